# cprof doctor: what it says must be what a recording meets.

state_of() { # CHECK: its state in the JSON on stdin
	python3 -c 'import json, sys
for c in json.load(sys.stdin)["checks"]:
    if c["id"] == sys.argv[1]: print(c["state"])' "$1"
}

@test "text and JSON say the same, and the exit status is can_record" {
	run cprof doctor
	[ "$status" -le 1 ]
	text=$output text_status=$status
	run cprof doctor --json
	[ "$status" = "$text_status" ]
	printf '%s' "$output" >"$BATS_TEST_TMPDIR/json"
	python3 - "$text" "$status" "$BATS_TEST_TMPDIR/json" <<-'END'
	import json, sys
	text, status, doc = sys.argv[1], int(sys.argv[2]), json.load(open(sys.argv[3]))
	assert doc["schema"] == "cprof.doctor/1"
	assert doc["can_record"] == (status == 0)
	assert (doc["backend"] is None) == (status == 1)
	assert (doc["backend_reason"] is None) == (doc["backend"] == "ebpf")
	assert len(doc["checks"]) >= 17
	for check in doc["checks"]:
	    assert check["found"] and check["found"] in text, check
	    assert check["advice"] is None or check["advice"] in text, check
	END
}

@test "the JSON has exactly the fields that its schema documents" {
	cprof doctor --json >"$BATS_TEST_TMPDIR/json" || [ $? = 1 ]
	python3 - docs/doctor.schema.json "$BATS_TEST_TMPDIR/json" <<-'END'
	import json, sys
	schema, doc = (json.load(open(f)) for f in sys.argv[1:])
	assert set(doc) == set(schema["properties"]), set(doc) ^ set(schema["properties"])
	limits = schema["properties"]["limits"]["properties"]
	assert set(doc["limits"]) == set(limits), set(doc["limits"]) ^ set(limits)
	item = schema["properties"]["checks"]["items"]
	for check in doc["checks"]:
	    assert set(check) == set(item["properties"])
	    assert check["state"] in item["properties"]["state"]["enum"]
	    assert check["id"] in item["properties"]["id"]["examples"], check["id"]
	END
}

@test "a container's filter is told from a setting, with the flags to give" {
	for errnum in 1 38; do
		run "$CPROF_BUILD/tests/fixtures/no_perf" $errnum cprof doctor
		[ "$status" != 77 ] || skip "this machine lets nobody set a seccomp filter"
		[ "$status" = 1 ]
		[[ $output == *"seccomp filter"*"refuses perf_event_open"* ]]
		[[ $output == *"--cap-add PERFMON --security-opt seccomp=unconfined"* ]]
		[[ $output == *"no "*"backend"*"nothing can be recorded"* ]]
	done
}

@test "what keeps the ebpf backend away is named with its cure, all of it" {
	[ "$(id -u)" = 0 ] || skip "needs root to give privileges up"
	run cprof doctor --json
	[ "$(state_of ebpf <<<"$output")" = ok ] || skip "the ebpf backend does not run here"
	[[ $output == *'"backend": "ebpf"'* ]]
	[ "$(state_of backend <<<"$output")" = ok ]

	run setpriv --bounding-set=-bpf,-sys_admin "$CPROF_BUILD/cprof" doctor
	[ "$status" = 0 ]
	[[ $output == *"limited  eBPF "*"has no CAP_BPF"*"--cap-add BPF"* ]]
	[[ $output == *"limited  -a, --cgroup "* ]]
	[[ $output == *"backend         perf: "* ]]

	run "$CPROF_BUILD/tests/fixtures/no_perf" bpf 1 cprof doctor
	[ "$status" != 77 ] || skip "this machine lets nobody set a seccomp filter"
	[ "$status" = 0 ]
	[[ $output == *"seccomp filter"*"refuses bpf"*"seccomp=unconfined"* ]]

	# two at once
	run unshare -m sh -c 'mount --bind "$1" /sys/kernel/btf && exec setpriv --bounding-set=-bpf,-sys_admin "$0" doctor --json' \
		"$CPROF_BUILD/cprof" "$BATS_TEST_TMPDIR"
	[ "$(state_of ebpf <<<"$output")" = limited ]
	[[ $output == *"has no CAP_BPF"*"/sys/kernel/btf/vmlinux"* ]]
	[[ $output == *'"btf": false'* ]]

	run unshare --pid --fork --mount-proc "$CPROF_BUILD/cprof" doctor
	[[ $output == *"info     namespaces "*"a pid namespace"*"--pid=host"*"ok       eBPF "* ]]
	run unshare --pid --fork "$CPROF_BUILD/cprof" doctor --json
	[ "$status" = 1 ]
	[ "$(state_of namespaces <<<"$output")" = no ]
	[[ $output == *"/proc is that of another pid namespace"*"mount -t proc"* ]]
	[[ $output == *'"can_record": false'*'"backend": null'* ]]
}

@test "without privileges: what paranoid 2 hides is named with its fix" {
	[ "$(id -u)" = 0 ] || skip "needs root to give privileges up"
	[ "$(cat /proc/sys/kernel/perf_event_paranoid)" = 2 ] || skip "perf_event_paranoid is not 2 here"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		"$CPROF_BUILD/cprof" doctor --json
	[ "$status" != 126 ] || skip "nobody cannot reach the build folder"
	[ "$(state_of sampling <<<"$output")" = ok ]
	[ "$(state_of kernel_time <<<"$output")" = limited ]
	[ "$(state_of other_programs <<<"$output")" = limited ]
	[[ $output == *"kernel.perf_event_paranoid=1"* ]]
	# a setting that has its value already is no advice
	[ "$(cat /proc/sys/kernel/kptr_restrict)" != 0 ] || [[ $output != *"kptr_restrict=0"* ]]
}

@test "the setpriv line that doctor offers does lift the limit" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	run cprof doctor --json
	backend=$(grep '"backend":' <<<"$output")
	run setpriv --reuid 65534 --regid 65534 --clear-groups "$CPROF_BUILD/cprof" doctor
	[[ $output == *"--inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf cprof"* ]]
	run setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon,+bpf \
		--ambient-caps +perfmon,+bpf "$CPROF_BUILD/cprof" doctor --json
	[ "$status" = 0 ] || skip "nobody cannot run it here: $output"
	[ "$(state_of kernel_time <<<"$output")" = ok ]
	[ "$(state_of other_programs <<<"$output")" = ok ]
	[ "$(grep '"backend":' <<<"$output")" = "$backend" ] # the same as root's
}

@test "an argument or a wrong option is a usage error" {
	run cprof doctor now
	[ "$status" = 2 ]
	[[ $output == *"'now'"* ]]
	run cprof doctor --jsn
	[ "$status" = 2 ]
	[[ $output == *"did you mean --json?"* ]]
}
