"""Frames that cannot be true, over programs whose every possible stack is known: libraries and
programs that take each other's places (tests/support/races.py has them)."""

import collections
import os
import sys

from harness import need

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "support"))

import races  # noqa: E402

FRAMES = 1000000  # of functions that have one legal caller
SECONDS = 3.0
MOST_ROUNDS = 12
KINDS = [(mode, build_id) for mode in ("launched", "all", "attached") for build_id in (True, False)]


class Sum:
    def __init__(self):
        self.counts, self.false, self.statuses = collections.Counter(), collections.Counter(), collections.Counter()

    def add(self, where, judge):
        self.counts.update(judge.counts)
        self.statuses.update(judge.statuses)
        self.false.update({f"{where}: {what}": n for what, n in judge.false.items()})


def false_frames_row(b):
    need("cc", "setarch", "unshare", "python3")
    total, each = Sum(), collections.Counter()
    for build_id in (True, False):
        races.build_programs(b.path(f"races-{build_id}"), build_id)
    for i in range(b.rounds_from(MOST_ROUNDS)):
        mode, build_id = KINDS[i % len(KINDS)]
        for name in races.SCENARIOS:
            judge = races.run(b.build, b.path(f"races-{build_id}"), name, mode, SECONDS)
            total.add(f"{name}, {mode}{'' if build_id else ', no build ids'}", judge)
            each[name] += judge.counts["chain frames"]
        if i >= len(KINDS) - 1 and total.counts["chain frames"] >= FRAMES:
            break
    untold = Sum()
    for name in races.UNTOLD:
        untold.add(name, races.run(b.build, b.path("races-True"), name, "launched", SECONDS))
    c = total.counts
    cut = sum(n for status, n in total.statuses.items() if status not in ("ok_stop", *races.NO_STACK))
    wrong = "".join(f"\n        {n:6} {what}" for what, n in total.false.most_common(10))
    b.add("frames whose caller is known", [c["chain frames"]], "", FRAMES, timed=False,
          note=f"{c['frames']} frames of {c['samples']} samples judged; {100 * cut / max(1, c['samples']):.2f} % of the "
               f"stacks are cut: {dict(total.statuses)}; " + ", ".join(f"{k} {n}" for k, n in each.items()))
    b.add("stacks with a false frame", [c["false stacks"]], "", 0, at_least=False, timed=False, note=wrong.strip())
    b.add("stacks with a false frame, and guessed", [c["guessed stacks"]], "", 0, at_least=False, timed=False)
    b.add("the same of code that mremap() moved over other code", [untold.counts["false stacks"]], "", timed=False,
          note=f"of {untold.counts['samples']} stacks: nothing tells of it, cprof finds out when a walk ends there")
    b.add("recordings that failed, or did not end", [c["failed"]], "", 0, at_least=False, timed=False)


ROWS = [("false_frames", false_frames_row)]
