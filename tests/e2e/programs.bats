#!/usr/bin/env bats
# The ebpf backend on programs as they are installed: its walks are the host's, and its stacks whole.
# The bench does the same at length (rows kernel_equals_host and complete).

setup_file() {
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	cd "$BATS_TEST_TMPDIR"
}

# COMMAND...: recorded with --debug-stacks; no frame may differ
compare() {
	command -v "$1" >/dev/null || skip "$1 is not installed"
	cprof record -q -F 1999 --debug-stacks stacks -o x.cprof --stdout /dev/null -- "$@"
	rm stacks
	cprof report --json x.cprof | python3 -c '
import json, sys
doc = json.load(sys.stdin)
f, s = doc["recording"]["facts"], doc["health"]["statuses"]
print({k: v for k, v in f.items() if k.startswith("debug_")}, s)
assert f["debug_stacks_compared"] > 200 and f["debug_frames_compared"] > 2000
assert f["debug_stacks_differ"] == 0
gone = sum(s.get(k, 0) for k in ("exec", "exiting", "kthread", "user_worker"))
entered = s.get("ok_stop", 0) + s.get("guessed", 0)
assert entered >= 0.98 * (doc["health"]["samples"] - gone)'
}

@test "python3" {
	compare python3 -c 'for i in range(8): sorted(range(300000), key=lambda x: -x); str([{"a": j} for j in range(50000)])'
}

@test "sqlite3" {
	compare sqlite3 :memory: 'create table t(a integer, b text); with recursive c(x) as (select 1 union all
		select x + 1 from c where x < 400000) insert into t select x * 7919 % 100003, x from c;
		create index i on t(a); select a % 100, count(*), max(b) from t group by 1 order by 2;'
}

@test "openssl" {
	compare openssl speed -seconds 1 -bytes 8192 -evp chacha20
}

@test "g++" {
	printf '#include <map>\n#include <regex>\n#include <string>\nstd::map<std::string, std::regex> m;\n' >x.cc
	compare g++ -O2 -c x.cc
}

@test "node" {
	compare node -e 'const end = Date.now() + 1500; let s = 0; while (Date.now() < end)
		s += JSON.parse(JSON.stringify([...Array(2000).keys()].map((i) => ({ i })).sort((a, b) => b.i - a.i))).length'
}
