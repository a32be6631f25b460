"""Loading the kernel programs; memory; ten thousand threads."""

import os
import time

from harness import Ledger, Running, Skip, complete_rate
from rows.programs import clang_words

THREADS = 10000


def load_row(b):
    """What loading takes: the clang run, as everything else."""
    runs = [b.record("load", [b.program("deep"), "26", "0.5"], 999, backend="ebpf") for _ in range(b.rounds)]
    b.add("BPF load: CPU", [r.fact("bpf_load_cpu_ns") / 1e6 for r in runs], "ms", 300, at_least=False)
    b.add("BPF load: verified instructions", [r.fact("verified_instructions") for r in runs], "", 150000,
          at_least=False, timed=False)


def anonymous_kb(pid):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


class Watched:
    """Private memory of cprof while it runs: the most until its child has ended, and in all."""

    def __init__(self):
        self.recording = self.last = self.most = 0

    def __call__(self, process):
        seen_child = False
        while process.poll() is None:
            now = anonymous_kb(process.pid)
            try:
                children = open(f"/proc/{process.pid}/task/{process.pid}/children").read().split()
            except OSError:
                children = []
            seen_child |= bool(children)
            if children or not seen_child:
                self.last = now
                self.recording = max(self.recording, now)
            self.most = max(self.most, now)
            time.sleep(0.02)


def memory_row(b):
    """Private memory and the maps' locked memory at the end of the clang run."""
    sums, notes = [], []
    for _ in range(b.rounds_from(3)):
        watched = Watched()
        done = b.record("memory", clang_words(b), 999, backend="ebpf", watch=watched)
        maps = done.fact("bpf_map_bytes") / 1e6
        sums.append(maps + watched.last * 1024 / 1e6)
        notes.append(f"maps {maps:.1f}, private {watched.last * 1024 / 1e6:.1f} (most while recording "
                     f"{watched.recording * 1024 / 1e6:.1f}, naming and writing included "
                     f"{watched.most * 1024 / 1e6:.1f})")
    b.add("memory at the end of the clang run", sums, "MB", 80, at_least=False, timed=False,
          note=f"{notes[-1]} MB; bytes of deferred stacks in flight are not in it: limited apart")


def threads_row(b):
    """A program of ten thousand threads, launched and attached to."""
    words = [b.program("threads"), str(THREADS), "6"]

    def show(how, done, watched):
        ledger = Ledger()
        ledger.add(done)
        whole, of = complete_rate(done.statuses)
        gaps = ledger.gaps()
        others = ", ".join(f"{k} {v}" for k, v in done.statuses.most_common() if k != "ok_stop")
        b.add(f"{THREADS} threads, {how}: complete", [100 * whole / max(1, of)], "%", 99.9, timed=False,
              note=f"{of} samples; {others or 'all whole'}")
        b.add(f"{THREADS} threads, {how}: ledger's largest gap", [max(gaps.values())], "%", 0.1, at_least=False,
              timed=False, note=ledger.text())
        b.add(f"{THREADS} threads, {how}: memory", [done.fact("bpf_map_bytes") / 1e6 + watched.most * 1024 / 1e6],
              "MB", timed=False, note=f"cprof's CPU while recording {done.fact('cprof_cpu_ns') / 1e9:.2f} s")

    watched = Watched()
    show("launched", b.record("threads", words, 999, backend="ebpf", watch=watched), watched)
    with Running(words) as target:
        for _ in range(200):
            time.sleep(0.05)
            if target.ended() or len(os.listdir(f"/proc/{target.pid}/task")) > THREADS:
                break
        if target.ended():
            raise Skip("the threads ended before cprof could attach")
        watched = Watched()
        show("attached", b.record("threads", ["-p", str(target.pid)], 999, ["--duration", "3"], backend="ebpf",
                                  watch=watched), watched)


ROWS = [
    ("load", load_row),
    ("memory", memory_row),
    ("threads", threads_row),
]
