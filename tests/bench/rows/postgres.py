"""A private PostgreSQL cluster in a folder of its own, on a Unix socket there, with pgbench."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Skip, children_of, need, run


class Postgres:
    """Made and started with the block, stopped and removed with it. start=False: by somebody else
    (words() starts it in the foreground)."""

    def __init__(self, start=True):
        self.start = start

    def __enter__(self):
        folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if not folders:
            raise Skip("not installed: postgresql")
        need("pgbench", "setpriv")
        self.bin, self.as_user, self.process = folders[-1], [], None
        self.folder = tempfile.mkdtemp(prefix="cprof-pg-")
        if os.getuid() == 0:  # it refuses to run as root
            try:
                user = pwd.getpwnam("postgres")
            except KeyError:
                raise Skip("there is no user postgres, and its server does not run as root") from None
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.data = os.path.join(self.folder, "data")
        try:
            run([*self.as_user, f"{self.bin}/initdb", "-D", self.data, "-A", "trust", "-U", "bench", "--no-sync"],
                cwd=self.folder)
            self.launch()
            run([*self.client("pgbench"), "-i", "-q", "-s", "5", "postgres"])
            if not self.start:
                self.stop()
        except BaseException:
            self.__exit__()
            raise
        return self

    def words(self):
        return [*self.as_user, f"{self.bin}/postgres", "-D", self.data, "-k", self.folder, "-c",
                "listen_addresses=", "-c", "fsync=off", "-c", "jit=off", "-c", "shared_buffers=128MB"]

    def client(self, name):
        return [name, "-h", self.folder, "-U", "bench"]

    def wait_ready(self):
        for _ in range(200):
            if subprocess.run([*self.client("psql"), "-c", "select 1", "postgres"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise Skip("PostgreSQL did not start")

    def launch(self):
        self.process = subprocess.Popen(self.words(), cwd=self.folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wait_ready()

    def postmaster(self):
        with open(os.path.join(self.data, "postmaster.pid")) as f:
            return int(f.readline())

    def processes(self):
        pid = self.postmaster()
        return [pid, *children_of(pid)]

    def load(self, seconds, more=()):
        """pgbench as it comes: reads and writes; with more=["-S"] reads alone."""
        return subprocess.Popen([*self.client("pgbench"), "-n", "-c", "4", "-T", str(seconds), *more, "postgres"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self):
        """Ends the server, whoever started it."""
        try:
            os.kill(self.postmaster(), signal.SIGINT)  # fast shutdown
        except (OSError, ValueError):
            pass
        if self.process:
            self.process.wait(30)
        self.process = None

    def __exit__(self, *_):
        if self.process:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        return False
