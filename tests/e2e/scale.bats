# Much of everything, for a moment: nothing is lost without being counted. At length: make bench.

setup_file() {
	export FIXTURES="$CPROF_BUILD/tests/fixtures"
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	cd "$BATS_TEST_TMPDIR"
	group=
}

teardown() {
	[ -z "$group" ] || kill -- "-$group"
	wait
}

# FILE EXPRESSION: of the JSON report of a recording: r, with facts f; h with statuses s
holds() {
	cprof report --json "$1" | python3 -c '
import json, sys
doc = json.load(sys.stdin)
r, h = doc["recording"], doc["health"]
f, l, s = r["facts"], r["ledger"], h["statuses"]
print({k: v for k, v in f.items() if k.endswith("_samples") or k == "no_slot"}, s, r["diagnostics"])
parts = sum(l[k + "_samples"] for k in ("emitted", "filtered", "idle", "lost"))
assert l["unaccounted_samples"] == 0 and abs(l["program_entries"] - parts) <= parts / 1000
assert h["samples"] == l["emitted_samples"]
assert eval(sys.argv[1]), sys.argv[1]' "$2"
}

@test "a fork storm: every process has its place" {
	cprof record -q -o x.cprof --stdout many "$FIXTURES/storm" 3
	cat many
	holds x.cprof 'f["no_slot"] == 0 and h["samples"] > 100'
	holds x.cprof 's.get("nomap_novma", 0) + s.get("defer_cut", 0) <= h["samples"] / 100'
}

@test "three hundred processes, launched and attached to" {
	cprof record -q -o x.cprof --stdout /dev/null "$FIXTURES/processes" 300 2
	holds x.cprof 'f["no_slot"] == 0 and h["samples"] > 100 and h["complete_percent"] > 98'
	setsid "$FIXTURES/processes" 300 60 >/dev/null 3>&- &
	group=$!
	sleep 0.7
	cprof record -q --duration 1 -o x.cprof -p "$group"
	holds x.cprof 'f["no_slot"] == 0 and h["samples"] > 20'
}

@test "a program that calls bpf() all the time: what that hides is missed, and said" {
	run cprof record -F 4999 -o x.cprof --stdout /dev/null "$FIXTURES/hammer" 3
	echo "$output"
	[ "$status" -eq 0 ]
	holds x.cprof 'l["expected_samples"] == l["program_entries"] + l["missed_samples"] + l["idle_unseen_samples"]'
	holds x.cprof 'l["missed_samples"] > 0'
	[[ $output == *" missed"* ]]
	[[ $output == *"another tracing tool"* ]]
}

@test "code that is mapped and unmapped all the time" {
	cprof record -q -o x.cprof --stdout many "$FIXTURES/mappings" map "$FIXTURES/burn" 2
	[ "$(cat many)" -gt 1000 ]
	holds x.cprof 'h["samples"] > 100 and h["complete_percent"] > 98'
}

@test "sixty-four deep stacks at once" {
	cprof record -q -o x.cprof "$FIXTURES/plunge" 800 2 64
	holds x.cprof 'h["samples"] > 50 and s["ok_stop"] + s.get("defer_cut", 0) >= h["samples"] * 0.97'
}
