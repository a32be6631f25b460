#!/usr/bin/env python3
"""Writes folded stacks for benchmarks: unique, about 40 frames deep, names of about 34 characters.

Usage: make_folded.py [STACKS] [--shuffle] > OUT      (100000 stacks are 137 MB)

The stacks come from a walk that leaves the previous stack at a random depth and goes on through
functions picked at random, as a program's call tree does; sorted as every tool writes them, or
shuffled. The generator's own random numbers: the same bytes on every machine.
"""
import sys

STATE = 88172645463325252


def random_below(n):
    global STATE
    STATE ^= (STATE << 13) & 0xFFFFFFFFFFFFFFFF
    STATE ^= STATE >> 7
    STATE ^= (STATE << 17) & 0xFFFFFFFFFFFFFFFF
    return (STATE >> 11) % n


def make_names(count):
    parts = ["parser", "lexer", "token", "visit", "node", "codegen", "alloc", "buffer", "stream",
             "index", "query", "plan", "execute", "hash", "table", "insert", "flush", "worker"]
    names = []
    for i in range(count):
        name = "app::%s::%s_%s" % tuple(parts[random_below(len(parts))] for _ in range(3))
        names.append("%s_%05x" % (name + "x" * max(0, 28 - len(name)), i))
    return names


def main():
    args = [a for a in sys.argv[1:] if not a.startswith("-")]
    count = int(args[0]) if args else 100000
    names = make_names(5000)
    stacks, previous = set(), ["main"]
    while len(stacks) < count:
        depth = 30 + random_below(21)
        keep = max(1, min(len(previous), depth - 1 - random_below(21)))
        previous = previous[:keep]
        while len(previous) < depth:
            # A function calls few others: pick among eight that belong to the caller.
            seed = (hash_text(previous[-1]) * 8 + random_below(8)) * 2654435761
            previous.append(names[seed % len(names)])
        stacks.add(";".join(previous))
    lines = sorted(stacks)
    if "--shuffle" in sys.argv:
        for i in range(len(lines) - 1, 0, -1):
            j = random_below(i + 1)
            lines[i], lines[j] = lines[j], lines[i]
    write = sys.stdout.write
    for line in lines:
        write("%s %d\n" % (line, 1 + random_below(20)))


def hash_text(text):
    """The number at the end of the name: Python's own hash differs from run to run."""
    return int(text.rsplit("_", 1)[-1], 16) if "_" in text else 0


main()
