"""What is written, and how fast: bytes of the recording, its end, the picture; building tables."""

import glob
import os
import re
import shutil
import subprocess
import sys
import time

from harness import PERF_RECORD, TICK, Skip, run
from rows.programs import clang_words


def bytes_row(b):
    """The clang run at 997 Hz, beside perf's own files."""
    words = clang_words(b)
    report = b.record("bytes", words).report
    samples = max(1, report["health"]["samples"])
    chunks = report["recording"]["chunk_bytes"]
    each = (chunks.get("samples", 0) + chunks.get("stacks", 0)) / samples
    rest = sum(v for k, v in chunks.items() if k not in ("samples", "stacks"))
    peer, peer_name = None, ""
    if shutil.which("perf"):
        data = b.path("perf.data")
        run([*PERF_RECORD, "-e", "cpu-clock", "-F", "997", "--call-graph", "dwarf,8192", "-o", data,
             "--", *words])
        peer, peer_name = [os.path.getsize(data) / samples], "perf record --call-graph dwarf,8192"
        os.unlink(data)
    b.add("bytes a sample: samples and stacks", [each], "B", 32, at_least=False, timed=False, peer=peer,
          peer_name=peer_name,
          note=f"{samples} samples; names, mappings and fixed parts {rest} B apart: "
               + ", ".join(f"{k} {v}" for k, v in chunks.items()))


END_MARK = '"$@"; status=$?; cat /proc/$PPID/stat >"$0"; date +%s.%N >>"$0"; exit $status'


def cpu_of_stat(text):
    fields = text.rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def end_row(b):
    """From the end of the clang run to the end of cprof, everything written."""
    words, wall, cpu = clang_words(b), [], []
    for _ in range(b.rounds + 1):
        mark = b.path("end-mark")
        child = subprocess.Popen(
            [b.cprof, "record", "-q", "-F", "999", "-o", b.path("end.cprof"), "-o", b.path("end.svg"),
             "-o", b.path("end.pb.gz"), "--", "sh", "-c", END_MARK, mark, *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        end = time.time()
        stat = open(f"/proc/{child.pid}/stat").read()  # a zombie still shows its times
        if child.wait() != 0:
            raise Skip("cprof record failed")
        before, stamp = open(mark).read().splitlines()[:2]
        wall.append(end - float(stamp))
        cpu.append(cpu_of_stat(stat) - cpu_of_stat(before))
    b.add("end of program to all files: wall", wall[1:], "s", 1.0, at_least=False)
    b.add("end of program to all files: CPU", cpu[1:], "s", 0.5, at_least=False)


def svg_row(b):
    """100,000 unique stacks (137 MB of folded text) to a picture, beside inferno."""
    folded = b.path("stacks.folded")
    with open(folded, "w") as out:
        run([sys.executable, "tests/bench/make_folded.py", "100000"], stdout=out)
    inferno = shutil.which("inferno-flamegraph") or shutil.which("inferno-flamegraph", path="build/tools/bin")
    ours, theirs = [], []
    for _ in range(b.rounds + 1):
        start = time.monotonic()
        run([b.cprof, "flamegraph", folded, "-o", b.path("ours.svg")])
        ours.append(time.monotonic() - start)
        if inferno:
            start = time.monotonic()
            with open(b.path("theirs.svg"), "w") as out:
                run([inferno, folded], stdout=out)
            theirs.append(time.monotonic() - start)
    b.add("100,000 stacks to SVG", ours[1:], "s", 0.6, at_least=False, peer=theirs[1:],
          peer_name="inferno-flamegraph" if theirs else "",
          note=f"{os.path.getsize(folded) / 1e6:.0f} MB" + ("" if inferno else "; inferno is not installed"))


def table_row(b):
    """libLLVM's tables, built by one thread."""
    program = f"{b.build}/tests/bench/table_bench"
    files = sorted(glob.glob("/usr/lib/*/libLLVM-*.so.1")) or sorted(glob.glob("/usr/lib/llvm-*/lib/libLLVM*.so*"))
    if not os.path.exists(program):
        raise Skip("table_bench is not built")
    if not files:
        raise Skip("no libLLVM on this machine (package clang)")
    said = run([program, files[0], str(max(b.rounds, 5))], stdout=subprocess.PIPE).stdout.decode()
    found = re.search(r"build: ([\d.]+) MB/s of \.eh_frame \(([\d.]+) MB in [\d.]+ ms; ([\d.]+) to ([\d.]+) ms",
                      said)
    if not found:
        raise Skip(f"table_bench said: {said.strip()}")
    rate, size, fastest, slowest = (float(v) for v in found.groups())
    b.add("table building", [rate, size / fastest * 1e3, size / slowest * 1e3], "MB/s", 150,
          note=f"{size:.1f} MB of .eh_frame; " + said.splitlines()[-1].strip())


ROWS = [
    ("bytes", bytes_row),
    ("end", end_row),
    ("table", table_row),
    ("svg", svg_row),
]
