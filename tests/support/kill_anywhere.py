#!/usr/bin/env python3
"""Kills cprof at moments all over its run: kill_anywhere.py TIMES SECONDS DEEP, in an empty folder.

What it launched either runs to its end, or was never begun; what it attached to runs on; what it put
into the kernel is gone with it; its recording can be read, or is not there."""

import ctypes
import os
import random
import signal
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36
AT_ONCE = 6

times, seconds, deep = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
in_kernel = set()


def kernel_ids(pid):
    """Programs and maps that a process holds."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            lines = open(f"/proc/{pid}/fdinfo/{fd}").read().splitlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(":")
            if key in ("prog_id", "map_id"):
                found.add((key[:-3], int(value)))
    return found


def kill(process):
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGSTOP)
    in_kernel.update(kernel_ids(process.pid))
    process.kill()
    process.wait()
    return True


def wait_for_orphans(patience):
    """Status of everything that was left behind."""
    statuses = []
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return statuses
        if pid:
            statuses.append(os.waitstatus_to_exitcode(status))
        else:
            time.sleep(0.02)
    sys.exit("what cprof had launched was left hanging")


def check_recording(name):
    if not os.path.exists(name) or os.path.getsize(name) == 0:
        return 0
    said = subprocess.run(["cprof", "report", name], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return 1


def launch_and_kill(numbers):
    """Several at once, each in its own files."""
    running = []
    for i in numbers:
        command = ["sh", "-c", f"{deep} 9 0.5 >/dev/null; echo done; exit 7"]
        arguments = ["cprof", "record", "-q", "--backend", "ebpf", "-o", f"{i}.cprof", "--stdout", f"{i}.out"]
        moment = time.monotonic() + random.uniform(0, seconds)
        running.append((moment, subprocess.Popen(arguments + command), i))
    killed = 0
    for moment, process, i in sorted(running, key=lambda r: r[0]):
        time.sleep(max(0, moment - time.monotonic()))
        killed += kill(process)
    # 7: ended as usual; 1: it was told that cprof was gone, before it had begun
    statuses = wait_for_orphans(60)
    assert set(statuses) <= {1, 7}, statuses
    ran = sum(os.path.exists(f"{i}.out") and open(f"{i}.out").read() == "done\n" for i in numbers)
    assert ran >= statuses.count(7), (ran, statuses)
    return killed, ran


def attach_and_kill(count):
    target = subprocess.Popen([deep, "9", "1000"], stdout=subprocess.DEVNULL)
    for i in range(count):
        name = f"attached{i}.cprof"
        process = subprocess.Popen(["cprof", "record", "-q", "--backend", "ebpf", "-o", name, "-p", str(target.pid)])
        time.sleep(seconds * i / count)
        for _ in range(300 if i == count - 1 else 0):  # the last one has begun, however busy the machine is
            if os.path.exists(name) and os.path.getsize(name) > 1000:
                break
            time.sleep(0.1)
        assert kill(process)
        state = open(f"/proc/{target.pid}/stat").read().rpartition(")")[2].split()[0]
        assert state == "R", state
        read = check_recording(name)
    assert read, "nothing was attached to"
    target.kill()
    target.wait()


def left_in_kernel():
    return [
        (kind, number)
        for kind, number in in_kernel
        if subprocess.run(["bpftool", kind, "show", "id", str(number)], capture_output=True).returncode == 0
    ]


ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
os.environ["PATH"] += ":/usr/sbin"
killed = ran = 0
for first in range(0, times, AT_ONCE):
    some = launch_and_kill(range(first, min(first + AT_ONCE, times)))
    killed, ran = killed + some[0], ran + some[1]
readable = sum(check_recording(f"{i}.cprof") for i in range(times))
attach_and_kill(times // 3)
assert in_kernel
for _ in range(100):  # the kernel frees them when no CPU can hold them any more
    left = left_in_kernel()
    if not left:
        break
    time.sleep(0.1)
assert not left, left
print(f"{killed} of {times} killed, {ran} commands ran, {readable} recordings, {len(in_kernel)} programs and maps gone")
