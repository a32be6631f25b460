"""From the first instruction after exec: the share of complete stacks of programs that start, load and
compile things as they go; how many samples of short processes there are; and how soon the kernel
program walks by itself. Beside them a count that shares nothing with cprof's (tests/bench/ticks.c)."""

import collections
import os
import re
import shutil

from harness import NOT_IN_RATE, Ledger, Skip, complete_rate, need, run, wilson_low
from rows import programs

POOL = 20000  # samples of each program
MOST_RUNS = 60
FREQUENCY = 4999
IN_EXEC_OR_EXIT = 3.0  # per cent of the samples, at the most
SHORT_RUNS = 500

PLUGINS = """
import importlib, os, sys, time
folder = [p for p in sys.path if p.endswith("lib-dynload")][0]
for name in sorted(f.split(".")[0] for f in os.listdir(folder)):
    try: importlib.import_module(name)
    except Exception: pass
    until = time.perf_counter() + 0.02
    while time.perf_counter() < until: sum(i * i for i in range(100))
"""

RUST = """
use std::collections::{BTreeMap, HashMap};
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Tree { Leaf(u32), Name(String), Node(Vec<Tree>) }
fn work(n: u32) -> usize {
    let mut words: HashMap<u32, Vec<String>> = HashMap::new();
    let mut trees: BTreeMap<Tree, usize> = BTreeMap::new();
    for i in 0..n {
        words.entry(i % 997).or_default().push(format!("{:?}", i));
        trees.insert(Tree::Node(vec![Tree::Leaf(i % 77), Tree::Name(i.to_string())]), i as usize);
    }
    let mut all: Vec<_> = words.iter().flat_map(|(k, v)| v.iter().map(move |s| s.len() + *k as usize)).collect();
    all.sort();
    all.iter().sum::<usize>() + trees.values().sum::<usize>()
}
fn main() {
    println!("{}", work(std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(700000)));
}
"""

JAVA = """
import java.util.*;
public class Work {
    static int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
    public static void main(String[] a) {
        long sum = 0;
        Map<String, Integer> map = new HashMap<>();
        for (int r = 0; r < 20; r++) {
            sum += fib(30);
            for (int i = 0; i < 100000; i++) map.merge("k" + (i % 5000), i, Integer::sum);
            List<String> keys = new ArrayList<>(map.keySet());
            Collections.sort(keys);
            sum += keys.stream().mapToInt(String::length).sum();
        }
        System.out.println(sum);
    }
}
"""


def source(b, name, text):
    path = b.path(name)
    with open(path, "w") as out:
        out.write(text)
    return path


def drop_page_cache():
    """Whether that is allowed."""
    try:
        os.sync()
        with open("/proc/sys/vm/drop_caches", "w") as out:
            out.write("3")
        return True
    except OSError:
        return False


# --- the programs: (words, whether the page cache is emptied before each run) ---


def bash_clang(b):
    need("bash", "clang++")
    return ["bash", "-c", f"clang++ -std=c++17 -O2 -c tests/bench/templates.cc -o '{b.path('start.o')}'"], True


def make_project(b):
    """cprof's own C sources, into an empty folder."""
    need("make")
    out = b.path("project")
    return ["sh", "-c", f"rm -rf '{out}' && make -j2 BUILD='{out}' '{out}/libbase.a' '{out}/libsymbolizer.a' "
            f"'{out}/libflamegraph.a'"], True


def plug_ins(b):
    return [programs.python_words(b)[0], "-c", PLUGINS], False


def rustc(b):
    need("rustc")
    return ["rustc", "-O", source(b, "work.rs", RUST), "-o", b.path("work")], True


def rust_abort(b):
    need("rustc")
    run(["rustc", "-O", "-C", "panic=abort", source(b, "work.rs", RUST), "-o", b.path("abort")])
    return [b.path("abort")], False


def jvm(b):
    need("java")
    return ["java", "-XX:+PreserveFramePointer", source(b, "Work.java", JAVA)], False


def compiled(name, words):
    def make(b):
        need(words[0])
        out = b.path(name)
        run([*words, "-o", out, "tests/fixtures/bare.c"])
        return [out, "2"], False
    return make


def installed(*words):
    def make(b):
        need(words[0])
        return list(words), False
    return make


GOALS = [("bash -c clang++, cold", bash_clang, 99.9), ("make -j2", make_project, 99.9),
         ("plug-ins in mid-run", plug_ins, 99.9), ("rustc, cold", rustc, 99.9), ("a JVM", jvm, 99.5)]

OTHERS = [
    ("Rust, panic=abort", rust_abort),
    ("musl, static", compiled("musl", ["musl-gcc", "-O2", "-static"])),
    ("C without tables", compiled("bare", ["gcc", "-O2", "-fno-asynchronous-unwind-tables"])),
    ("static-pie", compiled("static-pie", ["gcc", "-O2", "-static-pie"])),
    ("AddressSanitizer", compiled("asan", ["gcc", "-O1", "-fsanitize=address"])),
    ("LTO, gold", compiled("gold", ["gcc", "-O2", "-flto", "-fuse-ld=gold"])),
    ("git", installed("git", "log", "--stat", "-p", "-300")),
    ("perl", installed("perl", "-e", "my %h; $h{$_ % 999} .= chr(65 + $_ % 26) for 1 .. 4e6; use Encode; use POSIX;")),
    ("gdb", installed("gdb", "-batch", "-ex", "info functions main", "/bin/bash")),
    ("tclsh", lambda b: ([*installed("tclsh")(b)[0], source(b, "x.tcl", "proc f n {expr {$n < 2 ? $n : [f [expr $n-1]]"
                                                            " + [f [expr $n-2]]}}; puts [f 25]\n")], False)),
    ("xz, gzip", installed("sh", "-c", "xz -6 -T2 -c /bin/bash | wc -c; gzip -9 -c /bin/bash | wc -c")),
]


class Pool:
    def __init__(self):
        self.statuses, self.cuts = collections.Counter(), collections.Counter()
        self.ticks, self.ledger = collections.Counter(), Ledger()
        self.deferred = self.runs = 0

    def add(self, b, done):
        self.runs += 1
        self.statuses.update(done.statuses)
        self.deferred += done.fact("deferred_samples")
        self.ledger.add(done)
        for kind, count in re.findall(r"^(all|in_execve|between|no_memory) (\d+)$", done.said, re.M):
            self.ticks[kind] += int(count)
        said = run([b.program("stacks_of"), "--counts", done.path], stdout=-1).stdout.decode()
        for count, rest in re.findall(r"^cut (\d+) (.*)$", said, re.M):
            if rest.split(",")[0] not in NOT_IN_RATE:
                self.cuts[rest] += int(count)


def pool_of(b, name, make, want, most_runs=MOST_RUNS):
    words, wants_cold = make(b)
    pool, is_cold = Pool(), False
    while complete_rate(pool.statuses)[1] < want and pool.runs < most_runs:
        is_cold = wants_cold and drop_page_cache()
        pool.add(b, b.record("start", words, FREQUENCY, ["--stdout", "/dev/null"], backend="ebpf",
                             under=[b.program("ticks"), str(FREQUENCY)]))
    if wants_cold and not is_cold:
        name += " (but warm: the page cache may not be emptied here)"
    return name, pool


def show(b, name, pool, goal):
    whole, of = complete_rate(pool.statuses)
    if not of:
        raise Skip("no samples")
    samples = sum(pool.statuses.values())
    others = ", ".join(f"{k} {v}" for k, v in pool.statuses.most_common() if k != "ok_stop")
    cuts = "".join(f"\n        {count:6} {where}" for where, count in pool.cuts.most_common(4))
    b.add(f"from exec: {name}", [100 * whole / of], "%", goal if of >= POOL else None, timed=False,
          note=f"{whole} of {of} in {pool.runs} runs; at least {wilson_low(whole, of):.3f} % (95 %); {others or 'all whole'}; "
               f"{pool.deferred} deferred{cuts}")
    if not pool.ticks["all"]:
        return
    apart = 100 * (pool.ticks["between"] + pool.ticks["no_memory"]) / pool.ticks["all"]
    share = 100 * (pool.statuses["exec"] + pool.statuses["exiting"]) / samples
    b.add(f"from exec: {name}: in execve or exiting", [share], "%", None if goal is None else IN_EXEC_OR_EXIT,
          at_least=False, timed=False,
          peer=[apart] if apart else None,
          peer_name="a count of its own",
          note=f"exec {pool.statuses['exec']}, exiting without a stack {pool.statuses['exiting']} of {samples}; counted apart: "
               f"{pool.ticks['between']} between two programs ({pool.ticks['in_execve']} in execve at all), "
               f"{pool.ticks['no_memory']} without memory (an exiting thread's last stack is taken before) of "
               f"{pool.ticks['all']}")
    b.add(f"from exec: {name}: samples of the ticks counted apart", [100 * samples / pool.ticks["all"]], "%", timed=False)


def goal_row(name, make, goal):
    def row(b):
        show(b, *pool_of(b, name, make, POOL), goal)
    return row


def others_row(b):
    """Without a goal: what else there is, a run each."""
    for name, make in OTHERS:
        try:
            show(b, *pool_of(b, name, make, 1, 1), None)
        except Skip as why:
            print(f"  {name:48} skipped: {why}")


# --- short processes ---


def cpu_of(path):
    """Seconds that a shell's `times` tells, of itself and its children."""
    return sum(60 * int(m) + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", open(path).read()))


def short_row(b):
    need("bash")
    for name, words in (("a program of 5 ms", f"'{b.program('deep')}' 26 0.005"), ("/bin/true", "/bin/true")):
        loop = f"for ((i = 0; i < {SHORT_RUNS}; i++)); do {words} >/dev/null; done; times"
        ratios, notes = [], []
        for _ in range(b.rounds_from(3)):
            out = b.path("times")
            done = b.record("short", ["bash", "-c", loop], 997, ["--stdout", out], backend="ebpf",
                            under=[b.program("ticks"), "997"])
            expected, samples = cpu_of(out) * 997, sum(done.statuses.values())
            ticks = int(re.search(r"^all (\d+)$", done.said, re.M).group(1))
            whole, of = complete_rate(done.statuses)
            ratios.append(100 * samples / expected)
            notes.append(f"{samples} of {expected:.0f} by the shell's times, {100 * samples / ticks:.1f} % of {ticks} ticks "
                         f"counted apart; missed {done.fact('missed_samples')}; complete {100 * whole / max(1, of):.3f} % "
                         f"of {of}")
        b.add(f"samples of {SHORT_RUNS} times {name}", ratios, "%", 98, timed=True, note="; ".join(notes))


# --- how soon the kernel program walks ---


def start_row(b):
    words = programs.clang_words(b)
    run(words)
    for how, goal in (("cold", 50), ("second run", 25)):
        first, steady, shares = [], [], []
        for _ in range(b.rounds):
            if how == "cold" and not drop_page_cache():
                raise Skip("the page cache may not be emptied here")
            done = b.record("start", words, 997, backend="ebpf")
            first.append(done.fact("first_kernel_walk_ns") / 1e6)
            steady.append(done.fact("steady_kernel_walk_ns") / 1e6)
            shares.append(f"{100 * done.fact('deferred_samples') / done.fact('emitted_samples'):.2f} % deferred, "
                          f"{done.fact('deferred_cut_samples')} of these cut")
        b.add(f"first stack of clang++ walked in the kernel, {how}", first, "ms", goal, at_least=False, note=shares[-1])
        b.add(f"from then on 90 % of 20 ms are, {how}", steady, "ms")


ROWS = [(f"start-{make.__name__.replace('_', '-')}", goal_row(name, make, goal)) for name, make, goal in GOALS] + [
    ("start-others", others_row),
    ("short", short_row),
    ("start", start_row),
]
