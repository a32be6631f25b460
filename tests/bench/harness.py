"""What the rows of tests/bench/run share: running programs, reading recordings, statistics."""

import collections
import json
import math
import os
import resource
import shutil
import signal
import statistics
import subprocess
import time

BUSY_LIMIT = 0.3  # CPUs that others may use during a timed row
TICK = os.sysconf("SC_CLK_TCK")
# Without collecting build ids, which its version 6.1 does not always survive, and takes time for.
PERF_RECORD = ("perf", "record", "-q", "-B", "-N")
NOT_IN_RATE = ("exec", "exiting", "kthread", "user_worker")  # there is no stack of a program to walk


class Skip(Exception):
    """This row cannot be measured here; its text says why."""


def need(*tools):
    lost = [t for t in tools if not shutil.which(t)]
    if lost:
        raise Skip(f"not installed: {', '.join(lost)}")


def busy_cpus(seconds=0.5):
    """CPUs at work (stolen time included) while this program sleeps."""

    def read():
        fields = [int(v) for v in open("/proc/stat").readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4]

    total, idle = read()
    time.sleep(seconds)
    total2, idle2 = read()
    all_ticks = max(1, total2 - total)
    return (all_ticks - (idle2 - idle)) / all_ticks * (os.cpu_count() or 1)


def last_words(said):
    return (said.decode(errors="replace").strip().splitlines() or ["no words"])[-1]


def run(words, **more):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=more.pop("stdout", subprocess.DEVNULL),
                          stderr=subprocess.PIPE, **more)
    if done.returncode != 0:
        raise Skip(f"{os.path.basename(words[0])} failed with status {done.returncode}: {last_words(done.stderr)}")
    return done


def seconds_of(usage):
    return usage.ru_utime + usage.ru_stime


def children_seconds():
    return seconds_of(resource.getrusage(resource.RUSAGE_CHILDREN))


# --- statistics ---


def interval(values):
    """The median's 95 % interval by order statistics: (lowest, highest, what it covers in per cent).
    Below six values no pair of them covers as much: it is their range then, and says so."""
    values, n = sorted(values), len(values)
    rank, outside = 0, 0.0
    while rank + 1 <= n // 2:
        more = outside + 2 * math.comb(n, rank) / 2 ** n
        if more > 0.05 and rank > 0:
            break
        rank, outside = rank + 1, more
    return values[max(rank, 1) - 1], values[n - max(rank, 1)], 100 * (1 - outside if rank else 0)


def median_with_interval(values, unit="%"):
    low, high, covers = interval(values)
    return f"median {statistics.median(values):.2f} [{low:.2f}, {high:.2f}] {unit} ({covers:.1f} %, n={len(values)})"


def wilson_low(whole, of):
    """The lower end of the 95 % interval of a share, in per cent."""
    if not of:
        return 0.0
    z, share = 1.96, whole / of
    return 100 * (share + z * z / (2 * of) - z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))) \
        / (1 + z * z / of)


# --- recordings ---


class Recorded:
    """A recording's report, and what making it took."""

    def __init__(self, path, report, cpu_s=None):
        self.path, self.report, self.cpu_s, self.said = path, report, cpu_s, ""
        self.facts = report["recording"]["facts"]
        self.health = report["health"]
        self.statuses = collections.Counter(self.health["statuses"])

    def fact(self, key):
        if key not in self.facts:
            raise Skip(f"the recording has no fact '{key}' (backend {self.report['recording']['backend']})")
        return self.facts[key]


def complete_rate(statuses):
    """(whole, all that there is a stack to walk of)."""
    return statuses["ok_stop"], sum(v for k, v in statuses.items() if k not in NOT_IN_RATE)


class Ledger:
    """Sums of the ledger of one or more recordings."""

    def __init__(self):
        self.sums = collections.Counter()

    def add(self, recorded):
        for key in ("expected_samples", "program_entries", "missed_samples", "emitted_samples", "filtered_samples",
                    "idle_samples", "lost_samples"):
            self.sums[key] += recorded.fact(key)
        self.sums["idle_unseen_samples"] += recorded.facts.get("idle_unseen_samples", 0)
        self.sums["in_file"] += recorded.health["samples"]

    def gaps(self):
        """What does not add up, in per cent of the larger side: of what the events counted, of the
        program's runs, of the records."""
        s = self.sums
        sides = {
            "expected - entries - idle, unseen - missed":
                (s["expected_samples"], s["program_entries"] + s["idle_unseen_samples"] + s["missed_samples"]),
            "entries - emitted - filtered - idle - lost":
                (s["program_entries"],
                 s["emitted_samples"] + s["filtered_samples"] + s["idle_samples"] + s["lost_samples"]),
            "emitted - in the file": (s["emitted_samples"], s["in_file"]),
        }
        return {k: 100 * abs(a - b) / max(a, b, 1) for k, (a, b) in sides.items()}

    def missed_percent(self):
        return 100 * self.sums["missed_samples"] / max(1, self.sums["expected_samples"])

    def text(self):
        s = self.sums
        return (f"expected {s['expected_samples']} = entries {s['program_entries']} + idle, unseen "
                f"{s['idle_unseen_samples']} + missed {s['missed_samples']} ({self.missed_percent():.3f} %); entries = emitted {s['emitted_samples']} + filtered "
                f"{s['filtered_samples']} + idle {s['idle_samples']} + lost {s['lost_samples']}; in the file "
                f"{s['in_file']}")


# --- the bench ---


class Bench:
    def __init__(self, build, folder, rounds, seconds=None):
        self.cprof = os.path.abspath(f"{build}/cprof")
        self.build, self.folder, self.rounds_asked = os.path.abspath(build), folder, rounds
        self.seconds_asked = seconds
        self.rows = []

    @property
    def rounds(self):
        return self.rounds_asked or 5

    def rounds_from(self, least):
        """For rows that need more of them; who asked for fewer gets fewer."""
        return self.rounds_asked or least

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        """A helper of tests/bench, or a fixture."""
        for path in (f"{self.build}/tests/bench/{name}", f"{self.build}/tests/fixtures/{name}"):
            if os.path.exists(path):
                return path
        raise Skip(f"{name} is not built (make bench builds it)")

    def report(self, recording):
        done = run([self.cprof, "report", "--json", "--top", "1", recording], stdout=subprocess.PIPE)
        return json.loads(done.stdout)

    def record(self, name, words, frequency=997, options=(), backend=None, watch=None, statuses=(0,), under=()):
        """Runs `cprof record` once: words are a command, or the options that attach. The recording
        is the only file written. watch(process) is called while it runs; `under` are words in front of
        cprof's, whose own words are in Recorded.said."""
        path = self.path(f"{name}.cprof")
        if os.path.exists(path):
            os.unlink(path)
        errors = open(self.path(f"{name}.err"), "w+b")
        before = children_seconds()
        child = subprocess.Popen(
            [*under, self.cprof, "record", "-q", "-F", str(frequency), "-o", path, *options, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
        if watch:
            watch(child)
        status = child.wait()
        cpu = children_seconds() - before
        errors.seek(0)
        if status not in statuses:
            raise Skip(f"cprof record failed with status {status}: {last_words(errors.read())}")
        errors.seek(0)
        done = Recorded(path, self.report(path), cpu)
        done.said = errors.read().decode(errors="replace")
        errors.close()
        used = done.report["recording"]["backend"]
        if backend and used != backend:
            why = "; ".join(done.report["recording"]["diagnostics"]) or "no reason in the recording"
            raise Skip(f"the backend that ran is {used}, not {backend}: {why}")
        return done

    def add(self, name, values, unit, goal=None, at_least=True, timed=True, peer=None, peer_name="", note=""):
        """One row: values are those of the rounds; goal is met from it up, or down (at_least False)."""
        value = statistics.median(values)
        self.rows.append({
            "row": name, "value": value, "lowest": min(values), "highest": max(values),
            "rounds": len(values), "unit": unit, "goal": goal, "goal_is_lower_bound": at_least,
            "met": None if goal is None else (value >= goal if at_least else value <= goal),
            "timed": timed, "peer": peer_name or None,
            "peer_value": statistics.median(peer) if peer else None,
            "ratio_to_peer": value / statistics.median(peer) if peer and statistics.median(peer) else None,
            "note": note,
        })


class Running:
    """A program of ours in a process group of its own, ended with the block."""

    def __init__(self, words, **more):
        self.words, self.more = words, more

    def __enter__(self):
        more = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **self.more}
        self.process = subprocess.Popen(self.words, start_new_session=True, **more)
        self.pid = self.process.pid
        return self

    def ended(self):
        return self.process.poll() is not None

    def __exit__(self, *_):
        if not self.ended():
            os.killpg(self.pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                self.process.wait()
        return False


def children_of(pid):
    try:
        return [int(v) for v in open(f"/proc/{pid}/task/{pid}/children").read().split()]
    except OSError:
        return []


def tree_of(pid):
    """A process and all below it: cc1plus behind g++."""
    return [pid] + [p for child in children_of(pid) for p in tree_of(child)]
