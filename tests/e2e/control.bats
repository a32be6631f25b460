#!/usr/bin/env bats
# `cprof record --control`: sampling is switched while the program runs.

setup_file() {
	export REPO="$BATS_TEST_DIRNAME/../.."
	export CPROF=$(realpath "${CPROF_BUILD:-$REPO/build}/cprof")
	export FIXTURES="$BATS_FILE_TMPDIR"
	cc -O2 -o "$FIXTURES/burn" "$REPO/tests/fixtures/burn.c"
	export BACKENDS=perf
	"$CPROF" doctor --json | grep -q '"backend": "ebpf"' && BACKENDS="perf ebpf" || true
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	"$CPROF" record -q -o can.folded --stdout /dev/null "$FIXTURES/burn" 1 >/dev/null 2>&1 ||
		skip "perf events are not allowed here"
	mkfifo ctl ack
	exec 7<>ack
}

teardown() {
	[ -z "$left" ] || kill $left 2>/dev/null || true
}

total() { awk '{ n += $NF } END { print n + 0 }' "$1"; }

ask() { # COMMAND: what is answered
	echo "$1" >ctl
	local line
	read -r -t 20 line <&7
	echo "$line"
}

@test "off from the start, on and off again: samples of those times only, and a ledger of them" {
	for backend in $BACKENDS; do
		"$CPROF" record --backend $backend --control fifo:ctl,ack --delay -1 -o $backend.cprof -o $backend.folded \
			"$FIXTURES/burn" 60 >/dev/null 2>$backend.err &
		cprof=$!
		[ "$(ask ping)" = ack ]
		sleep 0.5
		[ "$(ask enable)" = ack ]
		sleep 0.5
		[ "$(ask disable)" = ack ]
		sleep 1.5
		[ "$(ask enable)" = ack ]
		sleep 0.3
		[ "$(ask disable)" = ack ]
		[ "$(ask stop)" = ack ]
		left=$(pgrep -P $cprof)
		kill $left
		status=0
		wait $cprof || status=$?
		[ "$status" -eq 143 ] # the program's
		cat $backend.err
		grep -q "sampling was switched off for another" $backend.err
		python3 - "$("$CPROF" report --json $backend.cprof)" "$(total $backend.folded)" <<-'END'
			import json, sys
			doc, folded = json.loads(sys.argv[1]), int(sys.argv[2])
			text = json.dumps(doc)
			def find(o, key):
			    if isinstance(o, dict):
			        if key in o: return o[key]
			        o = list(o.values())
			    for v in o if isinstance(o, list) else []:
			        got = find(v, key)
			        if got is not None: return got
			expected, elapsed = find(doc, "expected_samples"), find(doc, "elapsed_ns")
			print(expected, elapsed, folded)
			assert folded >= 20, folded
			assert elapsed >= 0.8e9
			# of one process at the most a period for each; of the machine, for each CPU
			import os
			assert expected <= (elapsed / 1e9 * 997 + 20) * os.cpu_count(), (expected, elapsed)
			assert folded <= expected + 2
		END
	done
}

@test "what happens while it is off is known when it is on again" {
	cp "$FIXTURES/burn" ./later
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend --control fifo:ctl,ack --min-complete 90 -o x.folded \
			sh -c 'read line <go; ./later 60 >/dev/null & read line <go; kill $!; wait' 2>err.txt &
		cprof=$!
		rm -f go && mkfifo go
		exec 8<>go
		[ "$(ask disable)" = ack ]
		echo >&8
		for _ in $(seq 100); do
			pgrep -x later >/dev/null && break
			sleep 0.05
		done
		[ "$(ask enable)" = ack ]
		sleep 1
		echo >&8
		wait $cprof || { cat err.txt; false; }
		grep -q '^later;_start;.*main;caller_3_c;leaf_c' x.folded
	done
}

@test "writers come and go, wrong words are answered, and none of it is the program's" {
	"$CPROF" record --control fifo:ctl,ack -o x.folded sh -c 'ls -l /proc/self/fd >fds; read line <end' 2>err.txt 7<&- &
	cprof=$!
	mkfifo end
	[ "$(ask enabel)" = "error: there is no command 'enabel', did you mean enable?" ]
	for _ in 1 2 3; do printf 'ping' >ctl; read -r -t 20 line <&7; [ "$line" = ack ]; done
	printf 'ping\r\n\nping\n' >ctl
	read -r -t 20 line <&7 && read -r -t 20 line <&7
	printf '%070d\n' 1 >ctl
	read -r -t 20 line <&7
	[[ "$line" == "error: "* ]]
	# nobody writes, and cprof waits without work
	before=$(awk '{ print $14 + $15 }' /proc/$cprof/stat)
	sleep 1
	after=$(awk '{ print $14 + $15 }' /proc/$cprof/stat)
	[ $((after - before)) -le 30 ]
	echo >end
	wait $cprof
	cat fds
	! grep -E '/(ctl|ack)$' fds
	grep -q "did you mean enable" err.txt
}

@test "answers nobody reads stop nothing; a descriptor does as well, and its end ends nothing" {
	exec 7<&-
	"$CPROF" record -q --control fifo:ctl,ack -o x.folded sh -c 'read line <end' 2>err.txt &
	cprof=$!
	mkfifo end
	sleep 0.3
	yes ping | head -30000 | timeout 20 dd of=ctl bs=4k 2>/dev/null
	echo >end
	wait $cprof
	(echo disable; sleep 0.3; echo enable) |
		"$CPROF" record -q --control fd:9 -o y.folded "$FIXTURES/burn" 2 9<&0 </dev/null >/dev/null
	[ "$(total y.folded)" -ge 20 ]
}

@test "attached: off until it is said, and over when the target ends meanwhile" {
	for backend in $BACKENDS; do
		"$FIXTURES/burn" 60 >/dev/null &
		left=$!
		"$CPROF" record -q --backend $backend --control fifo:ctl,ack --delay -1 -p $left -o x.folded 2>err.txt &
		cprof=$!
		[ "$(ask enable)" = ack ]
		sleep 0.5
		[ "$(ask stop)" = ack ]
		wait $cprof
		kill -0 $left
		[ "$(total x.folded)" -ge 1 ]
		"$CPROF" record --backend $backend --control fifo:ctl,ack --delay -1 -p $left -o x.folded 2>err.txt &
		cprof=$!
		[ "$(ask ping)" = ack ]
		kill $left
		wait $cprof
		grep -q "nothing was recorded: --control never said enable" err.txt
	done
}

@test "mistakes are told before anything runs" {
	refused() { # STATUS WORDS... -- MESSAGE
		local message="${@: -1}"
		run "$CPROF" record "${@:2:$#-2}" touch ran
		echo "$output"
		[ "$status" -eq "$1" ]
		[[ "$output" == *"$message"* ]]
		[ ! -e ran ]
	}
	refused 2 --delay -1 "--control"
	refused 2 --control ctl "fifo:"
	refused 2 --control pipe:ctl "fifo:"
	refused 1 --control fifo:none "mkfifo none"
	touch file
	refused 2 --control fifo:file "is no FIFO"
	refused 1 --control fd:77 "fd:77"
	refused 2 --control fd:1 "the program's"
	refused 2 --delay -5 "--delay"
}
