#!/usr/bin/env bats
# What `cprof record` says to somebody who uses it for the first time: habits of perf, advice with
# errors, and what in the numbers is the machine's doing.

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
}

can_sample() {
	"$CPROF" record -q -o can.folded true >/dev/null 2>&1 || skip "perf events are not allowed here"
	rm can.folded
}

# STATUS WORDS... MESSAGE
says() {
	local message="${@: -1}"
	run "$CPROF" record "${@:2:$#-2}"
	echo "$output"
	[ "$status" -eq "$1" ]
	[[ "$output" == *"$message"* ]]
}

@test "habits of perf are understood, or answered with what does it here" {
	says 2 -c 1000 true "-F HZ"
	says 2 --count=1000 true "-F HZ"
	says 2 -D 500 true "--delay 500ms"
	says 2 -C0 true "unknown option '-C0'"
	says 2 -v true "CPROF_DEBUG"
	says 2 --all-user true "--user-only"
	says 2 -j any true "not in cprof"
	says 2 -e cycles:u true "-e cycles --user-only"
	says 2 -F max true "a sensible most"
	says 2 --dur 3 true "did you mean --duration?"
	says 2 -frequency 9 true "did you mean --frequency?"
	says 2 -Q true "--help lists the options"
	says 2 -o perf.data true ".cprof (the recording itself)"
	says 2 --duration 0 true "longer than 0"
	says 1 -p 4194303 "A name does as well"
	can_sample
	says 0 -g --call-graph dwarf --freq 99 -o x.folded true "stacks are always taken"
	[[ "$output" == *"at 99 Hz"* ]]
}

@test "so many samples that they show are told of, before and after" {
	can_sample
	says 0 -F 10000 -o x.folded --stdout /dev/null "$FIXTURES/burn" 1 "-F 10000: so many samples slow"
	[[ "$output" == *"10000 samples a second are part of what was measured"*"-F 9999"* ]]
	run "$CPROF" record -F 997 -o x.folded true
	[[ "$output" != *"slow"* ]]
}

@test "the ledger's line adds up as it is printed" {
	can_sample
	for backend in $BACKENDS; do
		"$CPROF" record --backend $backend -o x.folded --stdout /dev/null \
			sh -c "$FIXTURES/burn 1; for i in 1 2 3 4 5 6 7 8 9; do ls -R /etc; done" 2>err.txt
		grep ^ledger err.txt
		python3 - err.txt <<-'END'
			import re, sys
			line = next(l for l in open(sys.argv[1]) if l.startswith("ledger: ")).replace(",", "")
			line = re.sub(r"\([^)]*\)", "", line)
			expected, terms = re.match(r"ledger: (\d+) expected(.*)", line).groups()
			total = sum(int(n) for n in re.findall(r"[=+] (\d+)", terms)) - \
			        sum(int(n) for n in re.findall(r" - (\d+)", terms))
			assert int(expected) == total, (expected, total)
		END
	done
}

@test "Go programs: why their stacks are cut" {
	can_sample
	command -v go >/dev/null || skip "there is no go here"
	printf 'module x\ngo 1.18\n' >go.mod
	printf 'package main\nfunc main() { s := 0; for i := 0; i < 1500000000; i++ { s += i * i }; if s == 42 { println(s) } }\n' >main.go
	go build -o gone . || skip "go builds nothing here"
	says 0 -o x.folded ./gone "gone is a Go program: Go is not unwound yet"
	run "$CPROF" record -o x.folded "$FIXTURES/burn" 1
	[[ "$output" != *"Go"* ]]
}

@test "no room for the picture: what to do, and the recording is there" {
	can_sample
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	mkdir small
	mount -t tmpfs -o size=256k tmpfs small 2>/dev/null || skip "cannot mount a tmpfs"
	cd small
	# the recording is some 10 kB, the picture more
	head -c 235000 /dev/zero >filler
	run "$CPROF" record -o x.svg sh -c 'for i in 1 2 3 4 5 6 7 8; do ls -R /etc >/dev/null; done'
	left=$(ls)
	cd ..
	umount small
	echo "$output"
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* ]]
	[[ "$output" != *"cannot write x.svg"* || "$output" == *"make room"*"left as cprof.cprof"* ]]
	[[ "$left" == *cprof.cprof* ]]
}

@test "no memory for cprof itself: status 1, words, and what was recorded is there" {
	can_sample
	for backend in $BACKENDS; do
		"$CPROF" record --backend $backend -o x.cprof --stdout /dev/null \
			sh -c 'read line <go; "$0" 3' "$FIXTURES/burn" 2>err.txt &
		cprof=$!
		rm -f go && mkfifo go
		for _ in $(seq 100); do
			[ -s x.cprof ] && pgrep -P $cprof >/dev/null && break
			sleep 0.05
		done
		sleep 0.3
		prlimit --pid $cprof --data=4096 || skip "prlimit is not allowed here"
		echo >go
		status=0
		wait $cprof || status=$?
		cat err.txt
		grep -q "out of memory" err.txt || continue # it had all that it needed
		[ "$status" -eq 1 ]
		grep -q "left as x.cprof" err.txt
		"$CPROF" report x.cprof >/dev/null
		seen=1
	done
	[ -n "$seen" ]
}

@test "kernel functions without names: why, and what to do" {
	can_sample
	[ "$(id -u)" = 0 ] || skip "runs as another user only as root"
	mkdir open && chmod 777 open && cd open
	cp "$CPROF" . && chmod 755 ./cprof "$BATS_TEST_TMPDIR"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon --ambient-caps +perfmon \
		sh -c 'head -1 /proc/kallsyms; ./cprof record -o x.cprof sh -c "for i in 1 2 3 4 5 6 7 8; do ls -R /etc >/dev/null 2>&1; done; true"'
	[[ "$output" != *"Permission denied"* ]] || skip "the test folder is closed to others"
	[[ "$output" == 0000000000000000* ]] || skip "the kernel hides nothing here"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" == *"the kernel hides its symbols"*"[kernel]+0xADDRESS; run as root"* ]]
	run "$CPROF" report x.cprof
	[[ "$output" == *"the kernel hides its symbols"* ]]
}

@test "a limit on the CPU time of the control group is told of" {
	can_sample
	[ "$(id -u)" = 0 ] || skip "needs root"
	if [ -w /sys/fs/cgroup/cpu/cpu.cfs_quota_us ] || [ -d /sys/fs/cgroup/cpu/cgroup.procs ]; then
		group=/sys/fs/cgroup/cpu/cprof-test-$$
	else
		group=/sys/fs/cgroup/cprof-test-$$
	fi
	mkdir "$group" 2>/dev/null || skip "no control group can be made here"
	if [ -e "$group/cpu.cfs_quota_us" ]; then
		echo 20000 >"$group/cpu.cfs_quota_us"
	elif ! echo "20000 100000" >"$group/cpu.max" 2>/dev/null; then
		rmdir "$group"
		skip "control groups limit no CPU time here"
	fi
	run sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" \
		"$CPROF" record -o x.folded --stdout /dev/null "$FIXTURES/burn" 1
	rmdir "$group" 2>/dev/null || { sleep 0.5; rmdir "$group"; }
	echo "$output"
	[ "$status" -eq 0 ]
	[[ "$output" == *"control group (cpu.max) held it back "*" times, for "* ]]
}

@test "timeout(1) asks once, though it sends two signals" {
	can_sample
	run timeout 2 "$CPROF" record -o x.folded --stdout /dev/null "$FIXTURES/burn" 100
	echo "$output"
	[ "$status" -eq 124 ]
	[[ "$output" != *"goes on"* ]]
}

@test "a command line of any length is a line of a heading" {
	can_sample
	"$CPROF" record -q -o x.cprof -o x.svg sh -c true $(seq 1 20000) "$(head -c 5000 /dev/zero | tr '\0' x)"
	line=$("$CPROF" report x.cprof | head -1)
	[ "${#line}" -le 300 ]
	[[ "$line" == *": sh -c true 1 2 3 "*" more words)" ]]
	"$CPROF" record -q -o x.cprof sh -c "true $(head -c 5000 /dev/zero | tr '\0' x)"
	line=$("$CPROF" report x.cprof | head -1)
	[ "${#line}" -le 400 ]
	[[ "$line" == *"xxx..." ]]
}
