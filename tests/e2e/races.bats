# Programs and libraries that take each other's places while they are sampled: no stack has a frame of
# what was there before. tests/support/races.py knows every stack that there can be.

setup_file() {
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	cd "$BATS_TEST_TMPDIR"
}

# OPTIONS AND SCENARIOS
judge() {
	run python3 "$BATS_TEST_DIRNAME/../support/races.py" --build "$CPROF_BUILD" --seconds 0.5 \
		--programs "$BATS_FILE_TMPDIR" "$@"
	echo "$output"
	[ "$status" -eq 0 ]
}

@test "libraries in turn at one address, in one process, and in parent and child" {
	judge in_turn twins shared orphaned
}

@test "one path, another library each time; without build ids, too" {
	judge replaced rewritten
	judge --no-build-id in_turn replaced rewritten
}

@test "programs in turn: in one process, with one number, spawned" {
	[ "$(id -u)" = 0 ] || skip "needs root to choose a process's number"
	judge exec reused spawned
}

@test "programs that are not what their path says: in memory, deleted, replaced, hidden by a mount" {
	[ "$(id -u)" = 0 ] || skip "needs root to mount"
	judge memfd deleted mounts chroot
	judge --no-build-id memfd swapped
}

@test "code that comes and goes without being told of" {
	judge anonymous hugepages
}

@test "-a and -p see the same" {
	judge --mode all in_turn exec
	judge --mode attached in_turn
}

@test "more mappings than can be published: walked all the same, and what is cut says why" {
	cprof record -q -o x.cprof "$CPROF_BUILD/tests/fixtures/crowded" 9000 1000 1
	cprof report --json x.cprof | python3 -c '
import json, sys
doc = json.load(sys.stdin)
statuses, said = doc["health"]["statuses"], doc["recording"]["diagnostics"]
print(statuses, said)
assert any("1 process has more than 8192 mappings of code" in s for s in said)
assert statuses["ok_stop"] > 0 and "defer_cut" not in statuses'
}
