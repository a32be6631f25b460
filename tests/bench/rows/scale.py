"""Much of everything: processes, files, mappings, deep stacks; a whole machine for long. Nothing may
be lost without being counted, and memory is bounded."""

import os
import shutil
import statistics
import subprocess
import sys
import time

from harness import TICK, Ledger, Running, Skip, complete_rate, need, run
from rows.load import Watched, anonymous_kb
from rows.postgres import Postgres

WHOLE_HZ = 99
WHOLE_SECONDS = 600
FLAT_FROM = 0.2  # of the time: what is seen for the first time comes before

COMPILING = """
while :; do
	for i in 1 2 3 4 5; do
		printf '#include <stdio.h>\\nint main(void) { return printf("%%d\\\\n", %d); }\\n' $i >"$0/$i.c"
		cc -O1 -c "$0/$i.c" -o "$0/$i.o"
		cc "$0/$i.o" -o "$0/$i"
		"$0/$i" | grep -q "$i"
	done
done
"""

COUNTING = """
import json, time
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
while True:
    fib(20)
    json.loads(json.dumps([{"a": j, "b": [str(j)] * 5} for j in range(2000)]))
    time.sleep(0.01)
"""


class Seen:
    """cprof's CPU time and private memory, every second while its recording runs: (s, CPU s, KiB)."""

    def __init__(self, seconds):
        self.seconds, self.points = seconds, []

    def __call__(self, process):
        begun = time.monotonic()
        while process.poll() is None:
            now = time.monotonic() - begun
            try:
                fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
            except OSError:
                break
            # not what naming takes at the end
            if now < self.seconds - 0.5:
                self.points.append((now, (int(fields[11]) + int(fields[12])) / TICK, anonymous_kb(process.pid)))
            time.sleep(min(1, self.seconds / 60))

    def at(self, share):
        """The median of the memory in the tenth of the run that ends there."""
        low, high = (share - 0.1) * self.seconds, share * self.seconds
        return statistics.median([p[2] for p in self.points if low <= p[0] <= high] or [0])

    def tenths(self):
        """CPU, in per cent of one, of each tenth of the run."""
        cuts = [min(self.points, key=lambda p: abs(p[0] - i * self.seconds / 10)) for i in range(11)]
        return " ".join(f"{100 * (b[1] - a[1]) / max(1e-9, b[0] - a[0]):.2f}" for a, b in zip(cuts, cuts[1:]))

    def slope(self):
        """KiB a minute, from FLAT_FROM on."""
        points = [(p[0] / 60, p[2]) for p in self.points if p[0] >= FLAT_FROM * self.seconds]
        x, y = statistics.mean(p[0] for p in points), statistics.mean(p[1] for p in points)
        return sum((a - x) * (c - y) for a, c in points) / max(1e-9, sum((a - x) ** 2 for a, _ in points))


def whole_machine_row(b):
    """-a on a machine that compiles, counts and serves."""
    seconds = b.seconds_asked or WHOLE_SECONDS
    seen, ledger = Seen(seconds), Ledger()
    folder = b.path("compiling")
    os.makedirs(folder)
    with Postgres() as server, Running(["sh", "-c", COMPILING, folder]), Running([sys.executable, "-c", COUNTING]):
        load = server.load(seconds + 30, ["-S", "-R", "200"])
        time.sleep(1)
        try:
            done = b.record("whole", ["-a"], WHOLE_HZ, ["--duration", str(seconds)], backend="ebpf", watch=seen)
        finally:
            load.terminate()
            load.wait()
    if len(seen.points) < 10:
        raise Skip("the run was too short to be watched")
    ledger.add(done)
    elapsed, own = done.fact("elapsed_ns"), done.fact("bpf_ns") + done.fact("cprof_cpu_ns")
    loading, naming = done.fact("bpf_load_cpu_ns"), done.fact("naming_cpu_ns")
    b.add(f"-a for {seconds} s: BPF + cprof", [100 * own / elapsed], "%", 1, at_least=False, timed=False,
          note=f"of a CPU: BPF {done.fact('bpf_ns') / 1e9:.2f} s, cprof while recording {done.fact('cprof_cpu_ns') / 1e9:.2f} "
               f"s (loading {loading / 1e9:.2f}, tables {done.fact('table_build_ns') / 1e9:.2f}), naming after it "
               f"{naming / 1e9:.2f} s; CPUs busy {done.fact('target_cpu_ns') / 1e9:.0f} s; "
               f"{done.fact('emitted_samples')} samples; cprof in each tenth: {seen.tenths()} %")
    early, late = seen.at(FLAT_FROM), seen.at(1)
    b.add(f"-a for {seconds} s: private memory at the end / at {FLAT_FROM:.0%}", [late / max(1, early)], "x", timed=False,
          note=f"{early / 1024:.1f} -> {late / 1024:.1f} MiB, {seen.slope():+.1f} KiB a minute; maps "
               f"{done.fact('bpf_map_bytes') / 1e6:.1f} MB; a recording of {os.path.getsize(done.path) / 1e6:.2f} MB")
    gaps = ledger.gaps()
    b.add(f"-a for {seconds} s: ledger's largest gap", [max(gaps.values())], "%", 0.1, at_least=False, timed=False,
          note=ledger.text())
    whole, of = complete_rate(done.statuses)
    others = ", ".join(f"{k} {v}" for k, v in done.statuses.most_common() if k != "ok_stop")
    b.add(f"-a for {seconds} s: complete", [100 * whole / max(1, of)], "%", timed=False,
          note=f"{of} samples; {others or 'all whole'}; deferred {done.fact('deferred_samples')}; /proc read again "
               f"{done.fact('map_rescans')} times; said: {'; '.join(done.report['recording']['diagnostics']) or 'nothing'}")


# --- much at once, for seconds ---


def show(b, name, done, watched, note="", goal=99.9):
    """Lines that all of these have."""
    ledger = Ledger()
    ledger.add(done)
    gaps, (whole, of) = ledger.gaps(), complete_rate(done.statuses)
    others = ", ".join(f"{k} {v}" for k, v in done.statuses.most_common() if k != "ok_stop")
    said = "; ".join(done.report["recording"]["diagnostics"])
    b.add(f"{name}: complete", [100 * whole / max(1, of)], "%", goal, timed=False,
          note=f"{of} samples; {others or 'all whole'}; {note}{'; said: ' + said if said else ''}")
    b.add(f"{name}: ledger's largest gap", [max(gaps.values())], "%", 0.1, at_least=False, timed=False,
          note=ledger.text())
    b.add(f"{name}: private memory, at the most", [watched.recording * 1024 / 1e6], "MB", timed=False,
          note=f"maps {done.fact('bpf_map_bytes') / 1e6:.1f} MB; cprof's CPU while recording "
               f"{done.fact('cprof_cpu_ns') / 1e9:.2f} s, BPF {done.fact('bpf_ns') / 1e9:.2f} s of "
               f"{done.fact('elapsed_ns') / 1e9:.1f} s; deferred {done.fact('deferred_samples')}, cut "
               f"{done.fact('deferred_cut_samples')}; no slot {done.fact('no_slot')}")


def launched(b, name, words, frequency=997, options=(), **more):
    watched = Watched()
    show(b, name, b.record("scale", words, frequency, options, backend="ebpf", watch=watched), watched, **more)


def attached(b, name, words, settle, seconds, frequency=997, options=None, **more):
    with Running(words) as target:
        time.sleep(settle)
        if target.ended():
            raise Skip(f"{words[0]} ended before cprof could attach")
        begun, watched = time.monotonic(), Watched()
        done = b.record("scale", options or ["-p", str(target.pid)], frequency, ["--duration", str(seconds)],
                        backend="ebpf", watch=watched)
        took = time.monotonic() - begun - done.fact("elapsed_ns") / 1e9
    show(b, name, done, watched, note=f"{took:.2f} s beside recording", **more)


def processes_row(b):
    """A thousand processes."""
    words = [b.program("processes"), "1000", "6"]
    launched(b, "1000 processes, launched", words)
    attached(b, "1000 processes, attached", words, 2, 3)


STORM_SECONDS = 10


def storm_row(b):
    """Fork, exec and exit, as often as the machine can."""
    words = [b.program("storm"), str(STORM_SECONDS)]
    alone = int(run(words, stdout=subprocess.PIPE).stdout)
    launched(b, "fork storm, launched", words, note=f"{alone / STORM_SECONDS:.0f} processes a second without cprof")
    attached(b, "fork storm, -a", words, 1, STORM_SECONDS - 2, WHOLE_HZ, ["-a"], goal=None)


LIBRARIES = 2000


def copies(source, folder, suffix, count):
    """Files that differ in their build ids alone."""
    data = open(source, "rb").read()
    at = data.index(b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0") + 16
    os.makedirs(folder)
    for i in range(count):
        path = os.path.join(folder, f"{i}{suffix}")
        with open(path, "wb") as out:
            out.write(data[:at] + (i + 1).to_bytes(4, "little") * 5 + data[at + 20:])
        os.chmod(path, 0o755)


def files_row(b):
    """A process that loads two thousand libraries, one that maps and unmaps all the time, and many
    programs."""
    need("cc")
    library, folder = b.path("library.so"), b.path("libraries")
    run(["cc", "-O2", "-shared", "-fPIC", "-DLIBRARY", "-Wl,--build-id=sha1", "-o", library,
         "tests/fixtures/mappings.c"])
    copies(library, folder, ".so", LIBRARIES)
    words = [b.program("mappings"), "load", folder, "6"]
    launched(b, f"{LIBRARIES} libraries, launched", words)
    attached(b, f"{LIBRARIES} libraries, attached", words, 3, 3)
    shutil.rmtree(folder)
    launched(b, "mmap and munmap of code, all the time", [b.program("mappings"), "map", library, "5"])
    copies(b.program("deep"), folder, "", 500)
    launched(b, "500 programs", ["sh", "-c", 'for i in "$0"/*; do "$i" 26 0.02; done', folder])
    shutil.rmtree(folder)


def hammer_row(b):
    """A program that calls bpf() all the time, each of which keeps our program from running: what it
    used by the kernel's accounting, beside what was recorded of it and what is missed."""
    watched = Watched()
    done = b.record("hammer", [b.program("hammer"), "6"], 997, backend="ebpf", watch=watched)
    used = (done.fact("target_user_ns") + done.fact("target_system_ns")) / 1e9
    taken = done.fact("emitted_samples") / 997
    missed = done.fact("missed_samples") / 997
    show(b, "bpf() all the time", done, watched, goal=None)
    b.add("bpf() all the time: recorded and missed / CPU time", [(taken + missed) / max(used, 1e-9)], "x", timed=False,
          note=f"{used:.2f} s by the kernel's accounting; {taken:.2f} s recorded, {missed:.2f} s missed on all CPUs: what "
               "is missed is missed there")


def stress_row(b):
    """Many deep stacks at once, before there are tables; a hundred threads on every CPU, at a high
    rate, and the least priority."""
    launched(b, "64 stacks of 200 KiB, at once", [b.program("plunge"), "800", "5", "64"])
    plunge = [b.program("plunge"), "2", "5", "100"]
    launched(b, "100 busy threads, 4999 Hz", plunge, 4999)
    nice, watched = b.cprof, Watched()
    wrapper = b.path("nice-cprof")
    with open(wrapper, "w") as out:
        out.write(f'#!/bin/sh\nexec nice -n 19 {nice} "$@"\n')
    os.chmod(wrapper, 0o755)
    b.cprof = wrapper
    try:
        done = b.record("nice", plunge, 4999, backend="ebpf", watch=watched)
    finally:
        b.cprof = nice
    show(b, "the same, cprof at nice 19", done, watched)


ROWS = [
    ("processes", processes_row),
    ("storm", storm_row),
    ("files-many", files_row),
    ("hammer", hammer_row),
    ("stress", stress_row),
    ("whole-machine", whole_machine_row),
]
