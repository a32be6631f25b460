#!/usr/bin/env python3
"""Programs whose possible stacks are all known, where a frame may be another program's or library's
if the profiler is late or careless, and the judge of what cprof says of them.

    tests/support/races.py [--build build] [--seconds S] [--mode launched|attached|all] [--no-build-id]
                           [--programs FOLDER] SCENARIO...

Prints for each how many frames were judged and which were false; fails if any was. Every function of
tests/fixtures/turn.c has one legal caller, so that a stack whose every frame is legal is the one
that there was; what is inside of the C library and the kernel is not judged, but who calls it is.
"""

import argparse
import collections
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KINDS = {"red": (3, ["-fomit-frame-pointer"]), "green": (17, ["-fomit-frame-pointer"]),
         "blue": (40, ["-fno-omit-frame-pointer"])}
CHAIN = re.compile(r"(red|green|blue)_(\d+|leaf|decoy|work|exec)$")
SYSTEM = re.compile(r"(ld-linux|libc\.so|libgcc_s\.so|\[vdso\])")
STARTED_BY_LIBC = {"main", "serve", "outlive", "storm", "_init", "_fini", "frame_dummy", "register_tm_clones",
                   "deregister_tm_clones", "__do_global_dtors_aux", "_dl_relocate_static_pie", "call_fini"}
NO_STACK = ("exec", "exiting", "kthread", "user_worker")
ATTACH_SECONDS = 1.0  # that a target runs longer, for cprof to come


def build_programs(folder, build_id=True):
    """The chains, as libraries, programs and static programs."""
    os.makedirs(folder, exist_ok=True)
    source, flags = f"{TOP}/tests/fixtures/turn.c", ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g"]
    flags += [] if build_id else ["-Wl,--build-id=none"]
    for tag, (scale, more) in KINDS.items():
        made = [os.environ.get("CC", "cc"), *flags, *more, f"-DTAG={tag}", f"-DSCALE={scale}", source, "-o"]
        for words in ([*made, f"{folder}/{tag}.so", "-shared", "-fPIC"],
                      [*made, f"{folder}/{tag}", "-no-pie", "-lpthread"],
                      [*made, f"{folder}/{tag}-static", "-static", "-lpthread"]):
            subprocess.run(words, check=True)


def split(frame):
    """FILE:NAME; memory files have a colon in the first."""
    at = frame.find(":", len("memfd:") if frame.startswith("memfd:") else 0)
    return (frame[:at], frame[at + 1:]) if at >= 0 else ("", frame)  # a name with a semicolon


def file_of(frame):
    return split(frame)[0]


class Judge:
    def __init__(self, own_files):
        self.counts, self.false, self.statuses = collections.Counter(), collections.Counter(), collections.Counter()
        self.own_files = own_files  # name of a file -> whose functions are in it

    def kind_of(self, frame):
        """(what it is, its function's tag or name)"""
        file, name = split(frame)
        if file == "[kernel]":
            return "kernel", name
        if file == "[jit]":
            return "jit", ""
        if file == "[unknown]":
            return "unknown", ""
        if self.own_files.get(file) == set():
            return "system", name
        if name.startswith(file + "+0x") and file in self.own_files:
            # no name: a PLT, or a file that was gone before it could be opened
            return ("jit", "") if file.endswith(".so") else ("system", name)
        chain = CHAIN.match(name)
        if chain:
            return "chain", chain
        if SYSTEM.match(file):
            return "system", name
        if file in self.own_files or file == "races":
            if name.startswith("with_"):
                return "with", name
            if file == "races" or name in ("main", "_start") or name in STARTED_BY_LIBC:
                return "own", name
            return "system", name  # a static program's C library
        return "stranger", name

    def is_legal(self, frame, caller, comm):
        """Whether the frame's function can have been called by the caller's (None: by nobody)."""
        kind, what = self.kind_of(frame)
        by, by_what = self.kind_of(caller) if caller else (None, None)
        file = file_of(frame)
        if kind == "stranger":
            return False
        if by is None:
            return kind == "system" or (kind == "own" and what == "_start")
        if kind == "kernel":
            return True
        if by == "kernel":
            return False
        if kind == "chain":
            tag, step = what.groups()
            if step == "decoy" or self.own_files.get(file, {tag}) != {tag} and tag not in self.own_files.get(file, ()):
                return False
            if step == "exec":
                return by == "system" or (by == "own" and by_what == "main")
            if step == "work":
                return (by == "own" and by_what == "main") or (by == "chain" and by_what.groups() == (tag, "exec"))
            if step == "0":
                return (by == "with" and by_what == f"with_{tag}") or (by == "chain" and by_what.groups() == (tag, "work"))
            before = "11" if step == "leaf" else str(int(step) - 1)
            return by == "chain" and by_what.groups() == (tag, before) and file_of(caller) == file
        if kind == "jit":
            return by in ("with", "jit") or (by == "system" and not frame.startswith("["))
        if kind == "unknown":
            return False
        if kind == "system":
            return by == "system" or by == "own" or (by == "chain" and by_what.group(2) in ("work", "exec"))
        if kind == "with":
            return by == "own"
        if what == "_start":
            return False
        return by == "own" or (by == "system" and what in STARTED_BY_LIBC)

    def has_right_name(self, frames, comm):
        """A process's name goes with the program that is in it."""
        for frame in frames:
            file = file_of(frame)
            if file == "races" or file.endswith(".so") and file in self.own_files:
                return comm == "races"
            if file in self.own_files:
                return comm == file
        return True

    def sample(self, pid, status, comm, frames):
        mine = [f for f in frames if self.kind_of(f)[0] in ("chain", "with") or file_of(f) in self.own_files]
        if comm not in self.own_files and comm != "races" and not mine:
            self.counts["of others"] += 1
            return
        self.counts["samples"] += 1
        self.statuses[status] += 1
        guessed = [f.startswith("?") for f in frames]
        frames = [f.lstrip("?") for f in frames]
        user = [f for f in frames if self.kind_of(f)[0] != "kernel"]
        if not user:
            return
        wrong = None
        for i, frame in enumerate(frames):
            if i == 0:
                if status == "ok_stop" and not self.is_legal(frame, None, comm):
                    wrong = f"outermost {frame}"
                elif status != "ok_stop" and len(user) > 1 and self.kind_of(frame)[0] == "unknown":
                    wrong = f"outermost {frame}"
                elif self.kind_of(frame)[0] == "stranger" or frame.endswith("_decoy"):
                    wrong = f"outermost {frame}"
            elif not self.is_legal(frame, frames[i - 1], comm):
                wrong = f"{frames[i - 1]} -> {frame}"
            self.counts["frames"] += 1
            self.counts["chain frames"] += self.kind_of(frame)[0] == "chain"
            if wrong:
                break
        self.counts["unnamed"] += not comm  # what told of the program was lost
        if not wrong and comm and not self.has_right_name(frames, comm):
            wrong = f"named '{comm}': {user[-1]}"
        if wrong:
            what = "guessed" if any(guessed) else "false"
            self.counts[f"{what} stacks"] += 1
            self.false[f"{what}: {status}: {wrong}"] += 1

    def read(self, text):
        for line in text.replace(" (deleted)", "").splitlines():
            _, pid, status, comm, stack = line.split("\t", 4)
            self.sample(int(pid), status, comm, stack.split(";") if stack else [])


# --- the scenarios: what is run, in a folder of its own, and whose functions may be in which file ---

LIBRARIES = {f"{k}.so": {k} for k in KINDS}
PROGRAMS = {k: {k} for k in KINDS} | {f"{k}-static": {k} for k in KINDS}


def fixture(name, files=None):
    return lambda folder, seconds: (["./races", name, folder, str(seconds)], LIBRARIES | PROGRAMS | (files or {}))


def exec_turns(folder, seconds):
    """Two programs in one process, in turn, without address-space randomisation."""
    rounds = int(seconds * 1000 / 15)
    return ["setarch", "-R", "./red", "10", str(rounds), "./green"], PROGRAMS | {"setarch": set()}


SHELLS = {
    # code in memory, code whose file is gone, and code whose file is another one by now
    "memfd": """
import os, sys
for i in range(int(float(sys.argv[1]) * 1000 / 30)):
    tag = ["red", "green", "blue"][i % 3]
    pid = os.fork()
    if not pid:
        fd = os.memfd_create(tag)
        os.write(fd, open(tag, "rb").read())
        os.execve(fd, [tag, "25"], os.environ)
    os.waitpid(pid, 0)
""",
    "deleted": """
import os, shutil, sys, time
for i in range(int(float(sys.argv[1]) * 1000 / 30)):
    tag = ["red", "green", "blue"][i % 3]
    shutil.copy(tag, "gone/" + tag)
    pid = os.fork()
    if not pid:
        os.execv("gone/" + tag, [tag, "25"])
    while open(f"/proc/{pid}/comm").read().strip() != tag:
        time.sleep(0.001)
    os.unlink("gone/" + tag)
    os.waitpid(pid, 0)
""",
    "swapped": """
import os, shutil, sys, time
for i in range(int(float(sys.argv[1]) * 1000 / 60)):
    tag, other = ["red", "green", "blue"][i % 3], ["red", "green", "blue"][(i + 1) % 3]
    shutil.copy(tag, "gone/" + tag)
    pid = os.fork()
    if not pid:
        os.execv("gone/" + tag, [tag, "50"])
    while open(f"/proc/{pid}/comm").read().strip() != tag:
        time.sleep(0.001)
    shutil.copy(other, "gone/new")
    os.rename("gone/new", "gone/" + tag)
    os.waitpid(pid, 0)
""",
    # the same path is another file in the namespace that the program runs in
    "mounts": """
import os, shutil, subprocess, sys
for tag in ("red", "green", "blue"):
    os.makedirs("in/" + tag, exist_ok=True)
    shutil.copy(tag, "in/" + tag + "/" + tag)
    shutil.copy({"red": "green", "green": "blue", "blue": "red"}[tag], "hidden/" + tag)
for i in range(int(float(sys.argv[1]) * 1000 / 120)):
    tag = ["red", "green", "blue"][i % 3]
    subprocess.run(["unshare", "-mpf", "sh", "-c", f"mount --bind in/{tag} hidden && exec hidden/{tag} 100"], check=True)
""",
    "chroot": """
import os, shutil, subprocess, sys
os.makedirs("root/gone", exist_ok=True)
for tag in ("red", "green", "blue"):
    shutil.copy(tag + "-static", "root/gone/" + tag + "-static")
    shutil.copy({"red": "green", "green": "blue", "blue": "red"}[tag] + "-static", "gone/" + tag + "-static")
folder = os.getcwd()
for i in range(int(float(sys.argv[1]) * 1000 / 60)):
    tag = ["red", "green", "blue"][i % 3]
    pid = os.fork()
    if not pid:
        os.chroot("root")
        os.chdir("/")
        os.execv("/gone/" + tag + "-static", [tag + "-static", "50"])
    os.waitpid(pid, 0)
""",
}


def script(name):
    def words(folder, seconds):
        with open(f"{folder}/{name}.py", "w") as out:
            out.write(SHELLS[name])
        return ["python3", f"{name}.py", str(seconds)], PROGRAMS | {f"memfd:{k}": {k} for k in KINDS}
    return words


CURRENT = {"current.so": set(KINDS)}
SCENARIOS = {
    "in_turn": fixture("in_turn"), "slowly": fixture("slowly"), "replaced": fixture("replaced", CURRENT),
    "rewritten": fixture("rewritten", CURRENT), "twins": fixture("twins"), "shared": fixture("shared"),
    "reused": fixture("reused"), "spawned": fixture("spawned"), "orphaned": fixture("orphaned"),
    "hugepages": fixture("hugepages"), "anonymous": fixture("anonymous"),
    "stormy": fixture("stormy"), "exec": exec_turns, **{name: script(name) for name in SHELLS},
}

# Code that mremap() moves over other code: the kernel has no event for it.
UNTOLD = {"remapped": fixture("remapped"), "moved_slowly": fixture("moved_slowly")}


def record(build, folder, mode, words, frequency, seconds):
    cprof = [f"{build}/cprof", "record", "-q", "--backend", "ebpf", "-F", str(frequency), "-o", "x.cprof"]
    if mode == "launched":
        return subprocess.run([*cprof, "--stdout", "said.txt", "--", *words], cwd=folder).returncode
    if mode == "all":
        return subprocess.run([*cprof, "-a", "--stdout", "said.txt", "--", *words], cwd=folder).returncode
    with open(f"{folder}/said.txt", "w") as out:
        target = subprocess.Popen(words, cwd=folder, stdout=out)
        time.sleep(ATTACH_SECONDS / 4)
        recorder = subprocess.Popen([*cprof, "-p", str(target.pid)], cwd=folder)
        try:
            return recorder.wait(seconds + 30)
        except subprocess.TimeoutExpired:  # nothing told it that the target has ended
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
            return 1
        finally:
            target.wait()


def run(build, programs, name, mode="launched", seconds=1.0, frequency=4999):
    """Records one scenario, once, with what build_programs() made; returns its judge."""
    with tempfile.TemporaryDirectory(prefix="races") as folder:
        shutil.copytree(programs, folder, dirs_exist_ok=True)
        os.chmod(folder, 0o755)
        for below in ("gone", "hidden"):
            os.mkdir(f"{folder}/{below}")
        shutil.copy(f"{build}/tests/fixtures/races", folder)
        words, files = (SCENARIOS | UNTOLD)[name](folder, seconds + (ATTACH_SECONDS if mode == "attached" else 0))
        judge = Judge(files)
        status = record(build, folder, mode, words, frequency, seconds)
        if mode == "attached" and not os.path.exists(f"{folder}/x.cprof"):
            judge.counts["too late"] += 1  # the target had ended
            return judge
        judge.counts["failed"] += status != 0
        said = subprocess.run([f"{build}/tests/bench/stacks_of", "--files", f"{folder}/x.cprof"],
                              stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        judge.read(said)
        with open(f"{folder}/said.txt") as text:
            tried = re.search(r"(\d+) rounds, (\d+) where", text.read())
        judge.counts["tried"] += int(tried.group(2)) if tried else 0
        if os.environ.get("RACES_KEEP"):
            shutil.copy(f"{folder}/x.cprof", os.environ["RACES_KEEP"])
        return judge


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("--build", default="build")
    args.add_argument("--seconds", type=float, default=1.0)
    args.add_argument("--mode", default="launched", choices=["launched", "attached", "all"])
    args.add_argument("--frequency", type=int, default=4999)
    args.add_argument("--no-build-id", action="store_true")
    args.add_argument("--programs", help="where they are, and are built where they are not")
    args.add_argument("scenario", nargs="*")
    args = args.parse_args()
    bad, own = 0, tempfile.TemporaryDirectory(prefix="races")
    programs = f"{args.programs or own.name}/{'without' if args.no_build_id else 'with'}-build-id"
    if not os.path.exists(programs):
        build_programs(programs, not args.no_build_id)
    for name in args.scenario or SCENARIOS:
        for attempt in range(4):  # on a busy machine a scenario may not get far
            j = run(os.path.abspath(args.build), programs, name, args.mode, args.seconds * 2 ** attempt,
                    args.frequency)
            if j.counts["chain frames"] or j.counts["failed"]:
                break
        c = j.counts
        bad += c["false stacks"] + c["failed"] + (c["chain frames"] == 0)
        print(f"{name} {args.mode}: {c['frames']} frames judged, {c['chain frames']} of them of the chains; "
              f"{c['false stacks']} false stacks, {c['guessed stacks']} guessed and false; "
              f"{c['samples']} samples: {dict(j.statuses)}; {c['tried']} tried" + ("; FAILED" if c["failed"] else ""))
        for what, n in j.false.most_common(8):
            print(f"  {n:6} {what}")
        sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
