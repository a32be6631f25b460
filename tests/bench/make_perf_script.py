#!/usr/bin/env python3
"""Writes `perf script` text for benchmarks: SAMPLES samples of a few thousand stacks that repeat.

Usage: make_perf_script.py [SAMPLES] > OUT      (131000 samples are 314 MB)

As in a real recording most frames lie in few files, a function is hit at several addresses, and the
callers near the root are always the same. The generator's own random numbers: the same bytes on every
machine.
"""
import sys

STATE = 88172645463325252


def random_below(n):
    global STATE
    STATE ^= (STATE << 13) & 0xFFFFFFFFFFFFFFFF
    STATE ^= STATE >> 7
    STATE ^= (STATE << 17) & 0xFFFFFFFFFFFFFFFF
    return (STATE >> 11) % n


def main():
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 131000
    files = ["/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/llvm-14/lib/libLLVM-14.so.1",
             "/usr/bin/worker", "[kernel.kallsyms]"]
    frames = []
    for i in range(20000):
        name = "llvm::function_%d::visit" % (i // 4)
        frames.append("\t%16x %s+0x%x (%s)\n" % (0x7F0000000000 + i * 4096, name, i % 997,
                                                files[random_below(4)]))
    stacks, previous = [], [frames[0]]
    for _ in range(4000):
        depth = 20 + random_below(20)
        keep = max(1, min(len(previous), depth - 1 - random_below(15)))
        previous = previous[:keep]
        while len(previous) < depth:
            previous.append(frames[random_below(len(frames))])
        stacks.append("".join(reversed(previous)))
    for i in range(samples):
        stack = stacks[random_below(len(stacks))]
        sys.stdout.write("worker %d/%d [%03d] %d.%06d:     %d cpu-clock:u: \n%s\n" % (
            4242, 4242 + random_below(8), random_below(4), 1000 + i // 1000, i % 1000 * 1000,
            1001001, stack))


main()
