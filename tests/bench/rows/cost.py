"""What sampling costs: the empty event below everything, the slowdown above it, a sample, a frame."""

import shutil
import statistics
import subprocess
import time

from bpf_stats import Stats
from harness import PERF_RECORD, Running, Skip, children_seconds, median_with_interval, run
from rows.programs import clang_words, sqlite_words

HZ = 999
SAMPLE_NS, FRAME_NS, DEEP_FRAME_NS = 3000, 180, 40  # goals
PERF_EVENT_PROGRAM = 7


class Timed:
    """Runs of one command in several ways, in turn; the CPU seconds of the command itself in each."""

    def __init__(self, b, words):
        self.b, self.words, self.file = b, words, b.path("timed")
        self.cpu, self.wall, self.own, self.expected = {}, {}, {}, {}

    def wrapped(self, hz):
        return [self.b.program("empty_event"), str(hz), self.file, *self.words]

    def once(self, kind, words, keep):
        before = children_seconds()
        run(words)
        spent = children_seconds() - before
        wall, user, system, counted, period = (int(v) for v in open(self.file).read().split())
        if not keep:
            return
        cpu = (user + system) / 1e9
        self.cpu.setdefault(kind, []).append(cpu)
        self.wall.setdefault(kind, []).append(wall / 1e9)
        self.own.setdefault(kind, []).append(max(0.0, spent - cpu))
        if period:
            self.expected.setdefault(kind, []).append(counted / period)

    def rounds(self, kinds, rounds, after=None):
        """kinds: name -> words. One round to warm up, then each kind once a round, starting with
        another one each time; after(kind, whether it counts) follows each run."""
        names = list(kinds)
        for i in range(rounds + 1):
            for name in names[i % len(names):] + names[:i % len(names)]:
                self.once(name, kinds[name], i > 0)
                if after:
                    after(name, i > 0)

    def above(self, kind, base):
        return [100 * (a / b - 1) for a, b in zip(self.cpu[kind], self.cpu[base])]


def empty_row(b):
    """The event of each CPU that nobody reads; and the ledger of a program that only counts."""
    t = Timed(b, [b.program("burn"), "3"])
    t.rounds({"off": t.wrapped(0), "999": t.wrapped(999), "4999": t.wrapped(4999)}, b.rounds_from(9))
    for hz in ("999", "4999"):
        slower = t.above(hz, "off")
        each_us = [s / 100 * cpu / (int(hz) * wall) * 1e6
                   for s, cpu, wall in zip(slower, t.cpu["off"], t.wall[hz])]
        b.add(f"empty event, {hz} Hz: slowdown", slower, "%",
              note=f"CPU time, paired: {median_with_interval(slower)}; about {statistics.median(each_us):.1f} us an "
                   f"interrupt; {t.expected[hz][-1]:.0f} were expected of all CPUs in the last run")


def count_only_row(b):
    """A program that only counts its runs, beside a ring that nobody reads: how many of the periods that
    the events counted they fired for. A timer that is late by more than a period fires once, whatever
    runs then; what the program misses beyond that, the kernel skipped it for."""
    counter = b.program("count_only")

    def missed(hz, more):
        said = run([counter, str(hz), "2", *more], stdout=subprocess.PIPE).stdout.decode()
        n = {k: int(v) for k, v in (line.split() for line in said.splitlines())}
        by_clock = n["elapsed_ns"] * n["cpus"] * hz / 1e9
        return 100 * (n["expected"] - n["entries"]) / n["expected"], 100 * (n["expected"] / by_clock - 1)

    for hz in (999, 4999):
        with Running([b.program("burn"), "1000"]):
            pairs = [(missed(hz, []), missed(hz, ["plain"])) for _ in range(b.rounds)]
        b.add(f"counting program, {hz} Hz: missed", [p[0][0] for p in pairs], "%", peer=[p[1][0] for p in pairs],
              peer_name="the same event with a ring, without a program",
              note="of what the events counted")
        b.add(f"counting program, {hz} Hz: expected, off the clock", [abs(p[0][1]) for p in pairs], "%", 0.1, at_least=False, timed=False,
              note="what the events count, over their period, against time passed, CPUs and rate")


def perf_words(b, graph):
    return [*PERF_RECORD, "-e", "cpu-clock", "-F", str(HZ), "--call-graph", graph, "-o",
            b.path("overhead.data"), "--"]


def check_backend(report):
    if report["recording"]["backend"] != "ebpf":
        raise Skip("the ebpf backend does not run here: " + "; ".join(report["recording"]["diagnostics"]))


class Parts:
    """Where cprof's time went in each run, in seconds."""

    def __init__(self):
        self.runs = []

    def add(self, report, target_s, own_s):
        facts = report["recording"]["facts"]
        part = {"bpf": facts["bpf_ns"], "load": facts["bpf_load_cpu_ns"], "tables": facts["table_build_ns"],
                "capture": facts["cprof_cpu_ns"]}
        part = {k: v / 1e9 for k, v in part.items()}
        part["after"] = max(0.0, own_s - part["capture"])  # naming, pictures, files
        part["target"] = target_s
        part["target_fact"] = facts.get("target_cpu_ns", 0) / 1e9
        self.runs.append(part)

    def percent(self, of):
        return [100 * of(p) / p["target"] for p in self.runs]

    def text(self):
        names = ("bpf", "load", "tables", "capture", "after", "target", "target_fact")
        mid = {n: statistics.median(p[n] for p in self.runs) for n in names}
        return (f"medians: target {mid['target']:.2f} s (by its fact {mid['target_fact']:.2f}); BPF {mid['bpf'] * 1e3:.0f} "
                f"ms, cprof while recording {mid['capture'] * 1e3:.0f} ms (of that loading BPF {mid['load'] * 1e3:.0f}, "
                f"building tables {mid['tables'] * 1e3:.0f}), naming and writing {mid['after'] * 1e3:.0f} ms")


def overhead_row(b):
    """The clang run alone, above an empty event, under cprof and under perf, interleaved."""
    t, parts = Timed(b, clang_words(b)), Parts()
    recording = b.path("overhead.cprof")
    kinds = {
        "off": t.wrapped(0),
        "empty": t.wrapped(HZ),
        "cprof": [b.cprof, "record", "-q", "-F", str(HZ), "-o", recording, "-o", b.path("overhead.svg"), "-o",
                  b.path("overhead.pb.gz"), "--", *t.wrapped(0)],
    }
    if shutil.which("perf"):
        kinds["perf fp"] = [*perf_words(b, "fp"), *t.wrapped(0)]
        kinds["perf dwarf"] = [*perf_words(b, "dwarf,8192"), *t.wrapped(0)]

    def read(kind, counts):
        if kind == "cprof":
            report = b.report(recording)
            check_backend(report)
            if counts:
                parts.add(report, t.cpu[kind][-1], t.own[kind][-1])

    t.rounds(kinds, b.rounds_from(9), read)
    b.add("clang at 999 Hz: BPF + cprof, no tables, names",
          parts.percent(lambda p: p["bpf"] + p["capture"] - p["tables"]), "%", 1.5, at_least=False,
          note=f"of the target's CPU; without loading BPF too: "
               f"{statistics.median(parts.percent(lambda p: p['bpf'] + p['capture'] - p['tables'] - p['load'])):.2f} %; "
               + parts.text())

    def perf_own(kind):
        return [100 * o / c for o, c in zip(t.own[kind], t.cpu[kind])] if kind in kinds else None

    b.add("clang at 999 Hz: BPF + cprof, with all", parts.percent(lambda p: p["bpf"] + p["capture"] + p["after"]),
          "%", 5, at_least=False, peer=perf_own("perf dwarf"),
          peer_name="perf record --call-graph dwarf,8192: its own CPU, not unwound, nothing named"
          if "perf dwarf" in kinds else "")
    for kind in ("empty", "cprof", "perf fp", "perf dwarf"):
        if kind not in kinds:
            continue
        base = "off" if kind == "empty" else "empty"
        slower = t.above(kind, base)
        own = "" if kind == "empty" else f"; own CPU {statistics.median(t.own[kind]):.2f} s"
        b.add(f"clang at 999 Hz: {kind} above {base}", slower, "%",
              note=f"the program's CPU time, paired: {median_with_interval(slower)}{own}")


def mean_cost(facts, mode):
    samples, frames = facts[f"{mode}_samples"], facts[f"{mode}_frames"]
    if not samples:
        return None
    return facts[f"{mode}_ns"] / samples, frames / samples


def program_cost(b, name, words):
    """[(mode, ns a sample, frames a sample)] of a run at HZ."""
    done = b.record(name, words, HZ, backend="ebpf")
    for key in ("user_samples", "user_frames", "user_ns", "kernel_samples", "kernel_frames", "kernel_ns"):
        done.fact(key)
    return {mode: mean_cost(done.facts, mode) for mode in ("user", "kernel")}


def line_through(points):
    """Least squares: (at 0, slope)."""
    x, y = [p[0] for p in points], [p[1] for p in points]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    slope = sum((a - mean_x) * (c - mean_y) for a, c in points) / sum((a - mean_x) ** 2 for a in x)
    return mean_y - slope * mean_x, slope


def sample_cost_row(b):
    """ns of an emitted sample by the program's own clock, output included, beside the kernel's."""
    runs = [program_cost(b, "cost", clang_words(b)) for _ in range(b.rounds_from(3))]
    user = [r["user"] for r in runs if r["user"]]
    kernel = [r["kernel"] for r in runs if r["kernel"]]
    if not user:
        raise Skip("no samples in user mode")
    frames = statistics.median(f for _, f in user)
    b.add("clang at 999 Hz: a user-mode sample", [ns for ns, _ in user], "ns", SAMPLE_NS + FRAME_NS * frames,
          at_least=False, note=f"{frames:.1f} frames: {statistics.median(ns / f for ns, f in user):.0f} ns a frame all in; "
                               f"the goal is {SAMPLE_NS} ns + {FRAME_NS} ns a frame")
    if kernel:
        b.add("clang at 999 Hz: a kernel-mode sample", [ns for ns, _ in kernel], "ns",
              note=f"{statistics.median(f for _, f in kernel):.1f} frames, the kernel's included")
    deep, points = b.program("deep"), []
    for depth in (26, 100, 400):
        costs = [program_cost(b, "cost", [deep, str(depth), "4"])["user"] for _ in range(b.rounds_from(3))]
        points += [(f, ns) for ns, f in costs]
        if depth == 400:
            b.add("400 deep at 999 Hz: a frame", [ns / f for ns, f in costs], "ns", DEEP_FRAME_NS, at_least=False,
                  note=f"{costs[0][1]:.1f} frames, {statistics.median(ns for ns, _ in costs):.0f} ns a sample")
    fixed, slope = line_through(points)
    b.add("26 to 400 deep at 999 Hz: slope", [slope], "ns", note=f"a frame; {fixed:.0f} ns a sample beside it")
    stats_row(b)


def stats_row(b):
    """The program's own clock against the kernel's statistics, which see its entry and exit too."""
    with Stats() as stats:

        def watch(process):
            while process.poll() is None:
                time.sleep(0.5)
                try:
                    stats.hold(process.pid)
                except OSError:
                    pass  # it has ended
                if any(kind == PERF_EVENT_PROGRAM and runs for _, kind, _, runs in stats.read()):
                    break

        done = b.record("stats", [b.program("deep"), "26", "4"], HZ, backend="ebpf", watch=watch)
        sampling = [p for p in stats.read() if p[1] == PERF_EVENT_PROGRAM]
    if not sampling:
        raise Skip("the sampling program was not found among cprof's descriptors")
    name, _, run_ns, runs = sampling[0]
    ours, entries = done.fact("bpf_ns"), done.fact("program_entries")
    b.add("BPF time: the kernel's statistics over ours", [run_ns / max(1, ours)], "x",
          note=f"{name}: {run_ns / 1e6:.1f} ms in {runs} runs by BPF_ENABLE_STATS, {ours / 1e6:.1f} ms in {entries} "
               f"entries by its own clock; {(run_ns - ours) / max(1, runs):.0f} ns a run that it does not see")


def cheap_overhead_row(b):
    """A short program, all of cprof's work in it, beside perf."""
    t = Timed(b, sqlite_words(b))
    kinds = {"off": t.wrapped(0),
             "cprof": [b.cprof, "record", "-q", "-o", b.path("overhead.cprof"), "--", *t.wrapped(0)]}
    if shutil.which("perf"):
        kinds["perf"] = [*perf_words(b, "dwarf,8192"), *t.wrapped(0)]
    t.rounds(kinds, b.rounds)

    def all_of(kind):
        return [100 * ((c + o) / base - 1) for c, o, base in zip(t.cpu[kind], t.own[kind], t.cpu["off"])]

    b.add("sqlite3: CPU of recording, above the program's", all_of("cprof"), "%",
          peer=all_of("perf") if "perf" in kinds else None,
          peer_name="perf record --call-graph dwarf,8192 (not unwound yet)" if "perf" in kinds else "",
          note="997 Hz; cprof's includes unwinding, naming and writing")


ROWS = [
    ("empty", empty_row),
    ("count_only", count_only_row),
    ("overhead", overhead_row),
    ("overhead-short", cheap_overhead_row),
    ("sample_cost", sample_cost_row),
]
