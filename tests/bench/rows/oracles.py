"""What cprof says against what is known: the kernel's walks against the host's, node's stacks against
those of its engine."""

import bisect
import collections
import json
import os
import re
import subprocess
import time

from harness import Skip, children_of, need, run
from rows import programs

FRAMES = 1000000  # to compare
MOST_RUNS = 30


# --- the kernel program's result against the host's step function, on the same registers and stacks ---


def compare(b, name, words, frequency, want, counts):
    stacks = b.path("debug.stacks")
    for _ in range(MOST_RUNS):
        done = b.record(name, words, frequency, ["--debug-stacks", stacks], backend="ebpf")
        os.unlink(stacks)
        for key in ("debug_stacks_compared", "debug_frames_compared", "debug_stacks_differ", "debug_stacks_open"):
            counts[name][key] += done.fact(key)
        counts[name]["samples"] += done.health["samples"]
        if counts[name]["debug_frames_compared"] >= want:
            break


def equals_row(b):
    todo = [("clang++", programs.clang_words, 997), ("cc1plus", programs.gcc_words, 997),
            ("python3", programs.python_words, 4999), ("sqlite3", programs.sqlite_words, 4999),
            ("openssl", programs.openssl_words, 299), ("node", programs.node_words, 4999)]
    counts, left = {name: collections.Counter() for name, _, _ in todo}, len(todo)
    for name, words_of, frequency in sorted(todo, key=lambda t: t[0] == "clang++"):  # clang makes up the rest
        so_far = sum(c["debug_frames_compared"] for c in counts.values())
        compare(b, name, words_of(b), frequency, FRAMES - so_far if left == 1 else FRAMES / len(todo), counts)
        left -= 1
    frames = sum(c["debug_frames_compared"] for c in counts.values())
    note = "; ".join(f"{n}: {c['debug_stacks_compared']} of {c['samples']} stacks, {c['debug_frames_compared']} frames, "
                     f"{c['debug_stacks_differ']} differ, {c['debug_stacks_open']} equal as far as their memory was sent" for n, c in counts.items())
    b.add("kernel equals host: frames compared", [frames], "", FRAMES, timed=False, note=note)
    b.add("kernel equals host: stacks that differ", [sum(c["debug_stacks_differ"] for c in counts.values())], "", 0,
          at_least=False, timed=False)


# --- node's stacks against the engine's own ---

SCRIPT = "node_truth.js"
JS_SYMBOL = re.compile(r"^JS:[~^*+]?(.*?) ?(\S*?)(?::\d+:\d+)?$")
# Builtins that call back, by the engine's name of them and by that of their code.
BUILTINS = [("Array.map", "ArrayMap"), ("Array.forEach", "ArrayForEach"), ("Array.reduce", "ArrayReduce"),
            ("Array.sort", "ArrayPrototypeSort"), ("Float64Array.sort", "TypedArrayPrototypeSort"),
            ("Map.forEach", "MapPrototypeForEach"), ("String.replace", "StringPrototypeReplace")]


def known_name(name, file):
    """A function of the script (those of `new Function` have no file)."""
    return name if file.endswith(SCRIPT) or re.match(r"ev[A-Z]", name) else None


def truth_of(stack):
    """The script's functions and the builtins that call back, outermost first."""
    found = []
    for site in stack:
        name = known_name(site["name"], site["file"])
        if name is None and not site["file"]:
            name = next((code for said, code in BUILTINS if said in (site["name"], f"{site['type']}.{site['name']}")),
                        None)
        if name is not None:
            found.append(name)
    return found


def sampled_names(frames):
    """The same of a sample: [(name, is of the script)], down to its innermost function of the script;
    and how many of the frames up to there were guessed."""
    found, last, guessed, guessed_there = [], 0, 0, 0
    for frame in frames:
        if frame.startswith("?"):
            guessed, frame = guessed + 1, frame[1:]
        symbol = JS_SYMBOL.match(frame)
        if symbol and frame.startswith("JS:"):
            name = known_name(*symbol.groups())
            if name is not None:
                found.append(name)
                last, guessed_there = len(found), guessed
        elif frame.startswith("Builtins_"):
            code = next((c for _, c in BUILTINS if frame[len("Builtins_"):].startswith(c)), None)
            if code:
                found.append(code)
    found = found[:last]
    if "writeDown" in found:
        found = found[:found.index("writeDown")]
    if found and found[-1] == "spin":
        found.pop()
    return found, guessed_there


def is_subsequence(names, of):
    rest = iter(of)
    return all(name in rest for name in names)


class Judged:
    def __init__(self):
        self.counts = collections.Counter()
        self.wrong, self.gaps = collections.Counter(), collections.Counter()

    def judge(self, paths, samples):
        starts = [p["start"] for p in paths]
        truths = [[truth_of(s) for s in p["stacks"]] for p in paths]
        for time_ns, status, frames in samples:
            at = bisect.bisect(starts, time_ns) - 1
            if at < 0 or time_ns >= paths[at]["end"]:
                self.counts["outside"] += 1
                continue
            names, guessed = sampled_names(frames)
            if not names:
                self.counts["no function of the script"] += 1
                continue
            self.counts["checked"] += 1
            self.counts["frames"] += len(names)
            self.counts["guessed frames"] += guessed
            self.counts[f"status {status}"] += 1
            if not any(is_subsequence(names, t) for t in truths[at]):
                self.counts["wrong"] += 1
                self.counts["wrong, guessed"] += guessed > 0
                self.wrong[f"{paths[at]['path']}: {' > '.join(names)}"] += 1
            elif not any(names == t[:len(names)] for t in truths[at]):
                self.counts["gap"] += 1
                self.gaps[f"{paths[at]['path']}: {' > '.join(names)}"] += 1
            another = truths[at - 1 if at else 1]
            self.counts["would suit another path"] += len(names) > 3 and any(is_subsequence(names, t) for t in another)


def node_run(b, frequency, options, judged):
    truth, pids = b.path("node-truth.json"), []

    def watch(process):
        while not pids and process.poll() is None:
            pids.extend(children_of(process.pid))
            time.sleep(0.01)

    done = b.record("node-truth", ["node", "--perf-basic-prof", "--interpreted-frames-native-stack",
                                   f"--logfile={b.path('v8.log')}", "--no-logfile-per-isolate", *options,
                                   f"tests/bench/{SCRIPT}", truth, "0.5"], frequency, backend="ebpf", watch=watch)
    for pid in pids:
        if os.path.exists(f"/tmp/perf-{pid}.map"):
            os.unlink(f"/tmp/perf-{pid}.map")
    with open(truth) as f:
        paths = json.load(f)
    said = run([b.program("stacks_of"), done.path], stdout=subprocess.PIPE).stdout.decode(errors="replace")
    samples = []
    for line in said.splitlines():
        time_ns, tid, status, stack = line.split(" ", 3)
        if pids and int(tid) == pids[0]:
            samples.append((int(time_ns), status, stack.split(";")))
    judged.judge(paths, samples)


def node_row(b):
    """Every sample's script functions must stand in the engine's own stack of that moment's path, in
    its order. Inlined functions have no frame: gaps are allowed, and counted where nothing is inlined."""
    need("node")
    for name, options in (("optimised", []), ("nothing inlined", ["--no-opt"])):
        judged = Judged()
        for _ in range(b.rounds_from(2)):
            node_run(b, 4999, options, judged)
        c = judged.counts
        if not c["checked"]:
            raise Skip(f"no sample could be checked: {dict(c)}")
        statuses = ", ".join(f"{k[7:]} {v}" for k, v in c.items() if k.startswith("status "))
        worst = "".join(f"\n        {n:6} {what}" for what, n in judged.wrong.most_common(5))
        b.add(f"node against V8, {name}: wrong stacks", [c["wrong"]], "", 0, at_least=False, timed=False,
              note=f"{c['checked']} stacks checked, {c['frames']} functions of theirs, {c['guessed frames']} guessed "
                   f"frames in them ({c['wrong, guessed']} wrong stacks have one); {c['gap']} have a gap; {statuses}; "
                   f"not checked: {c['no function of the script']} without the script's functions, {c['outside']} "
                   f"outside the windows; {c['would suit another path']} would have passed as another path's" + worst)


ROWS = [
    ("kernel_equals_host", equals_row),
    ("node", node_row),
]
