"""Complete stacks of programs as they are installed, launched and attached to, and whether the
ledger of those runs adds up."""

import collections
import re
import shutil
import subprocess
import time

from harness import PERF_RECORD, Ledger, Running, Skip, complete_rate, run, tree_of, wilson_low
from rows import programs
from rows.postgres import Postgres

POOL = 20000  # samples of each program
LEDGER_GAP = 0.1  # per cent
MOST_RUNS = 60


class Pool:
    """Samples of one program, from runs of both kinds."""

    def __init__(self, b):
        self.b, self.ledger = b, Ledger()
        self.statuses = {"launched": collections.Counter(), "attached": collections.Counter()}
        self.guessed_frames = 0
        self.cuts = collections.Counter()

    def add(self, how, recorded):
        self.statuses[how].update(recorded.statuses)
        self.ledger.add(recorded)
        said = run([self.b.program("stacks_of"), "--counts", recorded.path], stdout=subprocess.PIPE).stdout.decode()
        for line in said.splitlines():
            word, count, rest = (line.split(" ", 2) + [""])[:3]
            if word == "guessed_frames":
                self.guessed_frames += int(count)
            elif word == "cut":
                self.cuts[rest] += int(count)

    def count(self, how):
        return complete_rate(self.statuses[how])[1]

    def both(self):
        return self.statuses["launched"] + self.statuses["attached"]


def attached(b, name, words, frequency, settle=0.3, seconds=60):
    """Attaches to the program, and what it started by then, once it is under way."""
    with Running(words) as target:
        time.sleep(settle)
        if target.ended():
            raise Skip(f"{words[0]} ended before cprof could attach")
        return b.record(name, ["-p", ",".join(map(str, tree_of(target.pid)))], frequency, ["--duration", str(seconds)],
                        backend="ebpf")


def pool_of(b, name, words, frequency, want):
    pool = Pool(b)
    run(words)  # warm: the files are in the page cache
    for how in ("launched", "attached"):
        for _ in range(MOST_RUNS):
            pool.add(how, b.record(name, words, frequency, backend="ebpf") if how == "launched" else
                     attached(b, name, words, frequency))
            if pool.count(how) >= want / 2:
                break
    return pool


def postgres_pool(b, want):
    pool, frequency, seconds = Pool(b), 4999, 8
    while pool.count("attached") < want / 2:
        with Postgres() as server:
            more = [] if pool.count("attached") else ["-S"]
            load = server.load(seconds + 2, more)
            time.sleep(0.5)
            pids = ",".join(str(p) for p in server.processes())
            pool.add("attached", b.record("postgres", ["-p", pids], frequency, ["--duration", str(seconds)],
                                          backend="ebpf"))
            load.wait()
    while pool.count("launched") < want / 2:
        with Postgres(start=False) as server:

            def drive(_):
                server.wait_ready()
                server.load(seconds).wait()
                server.stop()

            pool.add("launched", b.record("postgres", server.words(), frequency, ["--as-root"], backend="ebpf",
                                          watch=drive))
    return pool


def show(b, name, pool, goal):
    statuses = pool.both()
    whole, of = complete_rate(statuses)
    if not of:
        raise Skip("no samples")
    reasons = ", ".join(f"{k} {v}" for k, v in statuses.most_common() if k != "ok_stop")
    each = "; ".join("{} {:.3f} % of {}".format(how, 100 * whole_h / max(1, of_h), of_h)
                     for how in pool.statuses for whole_h, of_h in [complete_rate(pool.statuses[how])])
    guessed = ""
    if pool.guessed_frames:
        guessed = (f"; {pool.guessed_frames} guessed frames in {statuses['guessed']} stacks, which reach an entry but "
                   f"do not count: {100 * (whole + statuses['guessed']) / of:.3f} % with them")
    cuts = "".join(f"\n        {count:6} {where}" for where, count in pool.cuts.most_common(5))
    few = "" if of >= POOL else f" TOO FEW SAMPLES for a verdict ({POOL} wanted);"
    b.add(f"complete stacks: {name}", [100 * whole / of], "%", goal if of >= POOL else None, timed=False,
          note=f"{whole} of {of};{few} at least {wilson_low(whole, of):.3f} % (95 %); {each}; not whole or not counted: "
               f"{reasons or 'none'}{guessed}{cuts}")
    gaps = pool.ledger.gaps()
    b.add(f"ledger: {name}, largest gap", [max(gaps.values())], "%", LEDGER_GAP, at_least=False, timed=False,
          note=pool.ledger.text() + "".join(f"; {k}: {v:.4f} %" for k, v in gaps.items() if v))
    b.add(f"ledger: {name}, missed", [pool.ledger.missed_percent()], "%", timed=False)


def complete_row(name, words_of, frequency=4999, goal=99.9):
    def row(b):
        show(b, name, pool_of(b, name, words_of(b), frequency, POOL), goal)
    return row


def postgres_row(b):
    show(b, "postgres", postgres_pool(b, POOL), 99.9)


# --- the perf backend, which copies stacks ---


def copied_row(name, words_of, goal):
    def row(b):
        done = b.record(name, words_of(b), options=["--backend", "perf"], backend="perf")
        whole, of = complete_rate(done.statuses)
        b.add(f"complete stacks (perf backend): {name}", [100 * whole / max(1, of)], "%", goal, timed=False,
              note=f"{of} samples; " + ", ".join(f"{k} {v}" for k, v in done.statuses.items()))
    return row


def copied_clang_row(b):
    """Beside perf with the largest copy there is: what neither reaches, 64 kB do not hold."""
    words = programs.clang_words(b)
    done = b.record("clang++", words, options=["--backend", "perf"], backend="perf")
    whole, of = complete_rate(done.statuses)
    peer, peer_name = None, ""
    if shutil.which("perf"):
        peer, peer_name = [perf_rate(b, words, "dwarf,65528", 199)], "perf --call-graph dwarf,65528"
    b.add("complete stacks (perf backend): clang++", [100 * whole / max(1, of)], "%", 97.5, timed=False, peer=peer,
          peer_name=peer_name, note=f"{of} samples; " + ", ".join(f"{k} {v}" for k, v in done.statuses.items()))


def perf_rate(b, words, graph, frequency):
    """The share of perf's stacks that end where programs and threads start."""
    data = b.path("deep.data")
    run([*PERF_RECORD, "-e", "cpu-clock", "-F", str(frequency), "--call-graph", graph, "-o", data,
         "--", *words])
    text = run(["perf", "script", "--no-inline", "-i", data, "-F", "comm,ip,sym"],
               stdout=subprocess.PIPE).stdout.decode(errors="replace")
    stacks = [s for s in text.split("\n\n") if s.strip()]
    whole = sum(re.search(r"\b(_start|start_thread|__?clone3?)\b", s.strip().splitlines()[-1]) is not None
                for s in stacks)
    return 100 * whole / max(1, len(stacks))


ROWS = [
    ("complete-clang", complete_row("clang++", programs.clang_words)),
    ("complete-cc1plus", complete_row("cc1plus", programs.gcc_words)),
    ("complete-python3", complete_row("python3", programs.python_words)),
    ("complete-sqlite3", complete_row("sqlite3", programs.sqlite_words)),
    ("complete-postgres", postgres_row),
    ("complete-openssl", complete_row("openssl speed", programs.openssl_words, frequency=499)),
    ("complete-node", complete_row("node", programs.node_words, goal=None)),
    ("copied-python3", copied_row("python3", programs.python_words, 99.9)),
    ("copied-sqlite3", copied_row("sqlite3", programs.sqlite_words, 99.9)),
    ("copied-cc1plus", copied_row("cc1plus", programs.gcc_words, 99.9)),
    ("copied-clang", copied_clang_row),
]
