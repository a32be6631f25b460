#!/usr/bin/env bats
# `cprof record` as people type it: what it leaves behind, what it says, and what it does to the
# program. CPROF_BUILD is the build folder (default build/).

bats_require_minimum_version 1.5.0

setup_file() {
	export REPO="$BATS_TEST_DIRNAME/../.."
	export CPROF="${CPROF_BUILD:-$REPO/build}/cprof"
	CPROF=$(realpath "$CPROF")
	export FIXTURES="$BATS_FILE_TMPDIR"
	cc -O2 -o "$FIXTURES/burn" "$REPO/tests/fixtures/burn.c"
	export BACKENDS=perf # what is said of both is tried with both
	"$CPROF" doctor --json | grep -q '"backend": "ebpf"' && BACKENDS="perf ebpf" || true
}

setup() {
	cd "$BATS_TEST_TMPDIR"
}

burn() { echo "$FIXTURES/burn"; }

# total of a folded file
total() { awk '{ n += $NF } END { print n + 0 }' "$1"; }

can_sample() {
	"$CPROF" record -q -o can.folded --stdout /dev/null "$(burn)" 1 >/dev/null 2>&1 ||
		skip "perf events are not allowed here"
}

@test "without -o: a recording, a flame graph and a pprof file; the run before is kept" {
	can_sample
	run "$CPROF" record "$(burn)" 1
	[ "$status" -eq 0 ]
	[ -s cprof.cprof ] && [ -s cprof.svg ] && [ -s cprof.pb.gz ]
	[[ "$output" == *"complete"* ]]
	[[ "$output" == *"whole ones end at _start (burn)"* ]]
	[[ "$output" == *"cprof.svg"* ]]
	[ "$(stat -c %a cprof.cprof)" = 600 ]
	cp cprof.cprof first.cprof
	"$CPROF" record -q "$(burn)" 1 >/dev/null
	cmp first.cprof cprof.old.cprof
	ls -A | grep -v -E '^(cprof\.(cprof|svg|pb\.gz)|cprof\.old\.cprof|first\.cprof|can\.folded)$' && false
	true
}

@test "the program's stdout, arguments and exit status pass through" {
	can_sample
	run --separate-stderr "$CPROF" record -o x.folded sh -c 'echo "$1"; echo to stderr >&2; exit 7' sh 'a  b'
	[ "$status" -eq 7 ]
	[ "$output" = 'a  b' ]
	[[ "$stderr" == *"to stderr"* ]]
	run "$CPROF" record -q -o x.folded sh -c 'kill -TERM $$'
	[ "$status" -eq 143 ]
}

@test "-o alone keeps no recording; -o - goes to stdout with --stdout for the command" {
	can_sample
	"$CPROF" record -q -o one.folded "$(burn)" 1 >/dev/null
	[ ! -e cprof.cprof ]
	ls -A | grep -E '\.cprof$' && false
	run --separate-stderr "$CPROF" record -q -o - --to folded --stdout out.txt "$(burn)" 1
	[ "$status" -eq 0 ]
	[[ "$output" == *"burn;"*"leaf_c"* ]]
	grep -q 'caller_3_c;leaf_c' out.txt
	run "$CPROF" record -o - --to folded "$(burn)" 1
	[ "$status" -eq 2 ]
	[[ "$output" == *"--stdout"* ]]
}

@test "where nothing may be written, the recording that nobody asked for is beside the first output" {
	can_sample
	local less=
	mkdir shut open
	chmod 555 shut
	cd shut
	[ "$(id -u)" != 0 ] || less="setpriv --bounding-set=-dac_override"
	$less "$CPROF" record -q -o ../open/x.folded "$(burn)" 1 >/dev/null
	[ "$(total ../open/x.folded)" -ge 1 ]
	[ "$(ls -A ../open)" = x.folded ]
}

@test "stacks of a C program are whole: every one starts at _start and names its callers" {
	can_sample
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend --min-complete 99 -o x.folded "$(burn)" 2 >/dev/null
		[ "$(total x.folded)" -ge 500 ]
		# a handful of samples may fall into the dynamic loader
		whole=$(awk '/^burn;_start;__libc_start_main[^;]*;.*main;caller_[123]_[abc];leaf_[abc]/ { n += $NF } END { print n + 0 }' x.folded)
		[ "$((whole * 100))" -ge "$(($(total x.folded) * 98))" ]
	done
}

@test "attaching: -p PID, -p NAME, -t TID; the habit -F 99 -p PID -- sleep 1" {
	can_sample
	cp "$(burn)" ./burnable
	./burnable 40 >/dev/null &
	pid=$!
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend --duration 1 -p $pid -o $backend.pid.folded
		"$CPROF" record -q --backend $backend --duration 1 -p burnable -o $backend.name.folded
		"$CPROF" record -q --backend $backend --duration 1 -t $pid -o $backend.tid.folded
		"$CPROF" record -q --backend $backend -F 99 -g -p $pid -o $backend.sleep.folded -- sleep 1
	done
	kill $pid
	for backend in $BACKENDS; do
		for f in pid name tid; do
			grep -q '^burnable;_start;.*main;caller_3_c;leaf_c' $backend.$f.folded
		done
		grep -q 'leaf_c' $backend.sleep.folded
		[ "$(total $backend.sleep.folded)" -le 120 ]
	done
}

@test "a process that has ended, and whose parent has not asked for its status, is no target" {
	can_sample
	sh -c 'sleep 0.2 & echo $! >pid; exec sleep 20' &
	parent=$!
	for _ in $(seq 50); do
		[ -s pid ] && grep -qs '^State:.Z' "/proc/$(cat pid)/status" && break
		sleep 0.1
	done
	run timeout 10 "$CPROF" record -o x.folded --duration 20 -p "$(cat pid)"
	kill $parent
	[ "$status" -eq 1 ]
	[[ "$output" == *"have ended"* ]]
}

@test "forks and execs are followed, each process under its own name" {
	can_sample
	cp "$(burn)" ./child_a
	cp "$(burn)" ./child_b
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend -o x.folded sh -c './child_a 1 & ./child_b 1; wait' >/dev/null
		grep -q '^child_a;_start;.*leaf_a' x.folded
		grep -q '^child_b;_start;.*leaf_b' x.folded
	done
}

@test "a command that does not exist is 127, one that cannot run 126" {
	run -127 "$CPROF" record ./no-such-program
	[[ "$output" == *"no-such-program"* ]]
	[ ! -e cprof.cprof ]
	echo not a program >plain
	run -126 "$CPROF" record ./plain
	run -126 "$CPROF" record /tmp
	[[ "$output" == *"directory"* ]]
	printf '#!/no/such/interpreter -x\n' >script
	chmod +x script
	run -127 "$CPROF" record ./script
	[[ "$output" == *"there is no /no/such/interpreter,"* ]]
	[ ! -e cprof.cprof ]
}

@test "mistakes are named: options, numbers, extensions, processes" {
	run "$CPROF" record --frequenzy 9 true
	[ "$status" -eq 2 ]
	[[ "$output" == *"--frequenzy"* && "$output" == *"--frequency"* ]]
	run "$CPROF" record -F fast true
	[ "$status" -eq 2 ]
	run "$CPROF" record -o picture.jpg true
	[ "$status" -eq 2 ]
	[[ "$output" == *".svg"* ]]
	run "$CPROF" record
	[ "$status" -eq 2 ]
	run "$CPROF" record -p 4194303
	[ "$status" -eq 1 ]
	[[ "$output" == *4194303* ]]
	run "$CPROF" record -p no_such_name_here
	[ "$status" -eq 1 ]
	[[ "$output" == *no_such_name_here* ]]
	run "$CPROF" record --off-cpu true
	[ "$status" -eq 2 ]
	[[ "$output" == *"not yet"* ]]
	run "$CPROF" record -o no/such/folder/x.svg true
	[ "$status" -eq 1 ]
	[[ "$output" == *"no/such/folder/x.svg"* ]]
}

@test "what to record is said once; what only one backend can do is not asked of the other" {
	refused() { # WORDS... -- MESSAGE
		local message="${@: -1}"
		run "$CPROF" record "${@:1:$#-1}"
		echo "$output"
		[ "$status" -eq 2 ]
		[[ "$output" == *"$message"* ]]
	}
	refused -a -p $$ "-p and -a do not go together"
	refused -p $$ -t $$ "-p and -t do not go together"
	refused -t $$ --cgroup / "-t and --cgroup do not go together"
	refused -a --cgroup / -- true "-a and --cgroup do not go together"
	refused -a --wait-all -- true "--wait-all and -a do not go together"
	refused --cgroup / --wait-all "--wait-all and --cgroup do not go together"
	refused -a --stdout x "--stdout goes with a command"
	refused -a -F 0 true "--frequency: at least 1"
	refused --backend eppf true "did you mean ebpf?"
	refused --backend gdb true "perf or ebpf"
	refused -a --backend perf -- true "-a needs the ebpf backend"
	refused --cgroup / --backend perf -- true "--cgroup needs the ebpf backend"
	refused --backend perf --debug-stacks x true "--debug-stacks needs the ebpf backend"
	refused --backend ebpf --stack-size 16K true "--stack-size goes with the perf backend only"
	refused --cgroup "" true "--cgroup: the path is empty"
	run "$CPROF" record --cgroup no/such/group -- touch ran
	[ "$status" -eq 1 ]
	[[ "$output" == *"no/such/group"* || "$output" == *"no cgroup2 file system"* ]]
	run "$CPROF" record --cgroup 4:memory:/x -- touch ran
	[ "$status" -eq 1 ]
	[[ "$output" == *"cgroup v1"* ]]
	[ -z "$(ls -A)" ]
}

@test "a program too short to be sampled: its status, an empty picture, older recordings as they were" {
	can_sample
	"$CPROF" record -q "$(burn)" 1 >/dev/null
	cp cprof.cprof before
	run "$CPROF" record -o idle.svg -o idle.folded true
	[ "$status" -eq 0 ]
	[[ "$output" == *"too few"* ]]
	xmllint --noout idle.svg
	cmp before cprof.cprof
}

@test "a FIFO is opened once; a palette that does not exist is told before the program runs" {
	can_sample
	mkfifo pipe.folded
	cat pipe.folded >got &
	timeout 60 "$CPROF" record -q -o pipe.folded "$(burn)" 1 >/dev/null
	wait $!
	grep -q leaf_c got
	run "$CPROF" record --colors no_such touch ran
	[ "$status" -eq 2 ]
	[ ! -e ran ]
	run "$CPROF" record --stack-size 2M touch ran
	[ "$status" -eq 2 ]
	[ ! -e ran ]
}

@test "asked twice to end, cprof ends without a program that does not" {
	can_sample
	"$CPROF" record -o x.folded sh -c 'trap "" TERM; i=0; while [ $i -lt 9000000 ]; do i=$((i+1)); done' 2>err.txt &
	cprof=$!
	sleep 1
	command=$(pgrep -P $cprof)
	kill -TERM $cprof
	sleep 0.5
	kill -TERM $cprof
	status=0
	wait $cprof || status=$?
	kill -0 "$command"
	kill -9 "$command"
	[ "$status" -eq 130 ]
	[ -s x.folded ]
	grep -q "goes on as process $command" err.txt
}

@test "few samples are called few, with the rate that would do" {
	can_sample
	run "$CPROF" record -F 99 -o x.folded --stdout /dev/null "$(burn)" 1
	[[ "$output" == *"too few"* ]]
	[[ "$output" == *"-F"* ]]
}

@test "a rate above the kernel's limit is lowered with a word" {
	can_sample
	limit=$(cat /proc/sys/kernel/perf_event_max_sample_rate)
	run "$CPROF" record -F $((limit * 2)) -o x.folded --stdout /dev/null "$(burn)" 1
	[ "$status" -eq 0 ]
	[[ "$output" == *"$limit"* || "$output" == *"lowered"* ]]
}

@test "the shares of a program of known cost are right within the sampling error" {
	can_sample
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend -F 4999 -o x.folded --stdout truth.txt "$(burn)" 6
		# chi-square over five paths against the counted iterations: 4 degrees of freedom, the bound of
		# one run in 10,000
		python3 - <<-'PY'
			import re
			truth = dict(l.split() for l in open("truth.txt"))
			total = sum(map(int, truth.values()))
			seen = dict.fromkeys(truth, 0)
			for line in open("x.folded"):
			    stack, n = line.rsplit(" ", 1)
			    for path in truth:
			        if f";{path}" in stack:
			            seen[path] += int(n)
			        elif path.split(";")[1] in stack:
			            others = [p for p in truth if p.endswith(path.split(";")[1])]
			            assert any(f";{p}" in stack for p in others) or "[truncated" in stack, stack
			n = sum(seen.values())
			assert n >= 10000, n
			chi = sum((seen[p] - n * int(t) / total) ** 2 / (n * int(t) / total) for p, t in truth.items())
			print(n, seen, chi)
			assert chi < 23.5, chi
		PY
	done
}

@test "kill -9 of cprof leaves a recording that opens, and the program runs on" {
	can_sample
	for backend in $BACKENDS; do
		"$CPROF" record -q --backend $backend "$(burn)" 8 >/dev/null &
		cprof=$!
		sleep 3
		child=$(pgrep -P $cprof | head -1)
		kill -9 $cprof
		wait $cprof || true
		kill -0 "$child"
		run "$CPROF" report cprof.cprof
		kill "$child"
		[ "$status" -eq 0 ]
		[[ "$output" == *"leaf_c"* ]]
		[[ "$output" == *"cut"* ]]
	done
}

@test "ctrl-C ends the program and the files are written" {
	can_sample
	# a shell's background job ignores SIGINT, and so would what it starts
	setsid env --default-signal=INT "$CPROF" record "$(burn)" 100 >/dev/null 2>err.txt &
	sleep 2
	kill -INT -- "-$(pgrep -f "record $(burn) 100" | head -1)"
	status=0
	wait $! || status=$?
	cat err.txt
	[ "$status" -eq 130 ]
	[ -s cprof.svg ] && [ -s cprof.pb.gz ]
}

@test "signals sent to cprof alone reach the program" {
	can_sample
	"$CPROF" record -q -o x.folded sh -c 'trap "echo got it; exit 3" TERM; while :; do :; done' >out.txt &
	cprof=$!
	sleep 1
	kill -TERM $cprof
	status=0
	wait $cprof || status=$?
	[ "$status" -eq 3 ]
	grep -q "got it" out.txt
}

@test "the target is killed: the recording ends as usual" {
	can_sample
	"$CPROF" record -q "$(burn)" 100 >/dev/null &
	cprof=$!
	sleep 1
	pkill -9 -P $cprof
	status=0
	wait $cprof || status=$?
	[ "$status" -eq 137 ]
	[ -s cprof.svg ]
}

@test "no space: an error, and what was written before is readable" {
	can_sample
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	mkdir small
	mount -t tmpfs -o size=64k tmpfs small 2>/dev/null || skip "cannot mount a tmpfs"
	cd small
	run "$CPROF" record python3 -c 'import json
for i in range(60000): json.loads(json.dumps({"a": [i, str(i)]}))'
	cd ..
	cp small/cprof.cprof left.cprof
	umount small
	[ "$status" -eq 1 ]
	[[ "$output" == *"No space left"* ]]
	"$CPROF" report left.cprof >/dev/null
}

@test "a limit on the size of files: an error with words, and the program is its own master" {
	can_sample
	run bash -c 'ulimit -f 1; "$0" record -o x.cprof sh -c "\"\$0\" 1; kill -XFSZ \$\$" "$1" 2>&1 | cat; exit ${PIPESTATUS[0]}' "$CPROF" "$(burn)"
	[ "$status" -eq 1 ]
	[[ "$output" == *"File too large"*"ulimit -f"* ]]
	run bash -c 'ulimit -f 1; "$0" record -o x.svg "$1" 1 2>&1 | cat' "$CPROF" "$(burn)"
	[[ "$output" == *"ulimit -f"*"left as cprof.cprof"* ]]
	run "$CPROF" record -q -o x.folded sh -c 'kill -XFSZ $$'
	[ "$status" -eq 153 ]
}

@test "with --wait-all, a signal ends the recording once the command has ended" {
	can_sample
	"$CPROF" record -q --wait-all -o x.folded sh -c "setsid $(burn) 100 >/dev/null 2>&1 & sleep 0.2" &
	cprof=$!
	sleep 2
	kill -TERM $cprof
	wait $cprof
	pkill -f "$(burn) 100"
	[ -s x.folded ]
}

@test "a program that runs on after --duration gets its signals, and cprof its status" {
	can_sample
	"$CPROF" record -q --duration 0.3 -o x.folded sh -c 'trap "exit 3" TERM; while :; do :; done' &
	cprof=$!
	for _ in $(seq 100); do
		[ -s x.folded ] && break
		sleep 0.1
	done
	sleep 0.5
	kill -TERM $cprof
	status=0
	wait $cprof || status=$?
	[ "$status" -eq 3 ]
}

@test "what cannot be started leaves the recording of before, and status 1" {
	can_sample
	echo before >cprof.cprof
	sleep 100 &
	target=$!
	run "$CPROF" record -p $target -- no-such-clock
	kill $target
	[ "$status" -eq 1 ]
	[ "$(cat cprof.cprof)" = before ]
	printf '#!/no/such/interpreter\n' >script
	chmod +x script
	run -127 "$CPROF" record ./script
	[[ "$output" == *"interpreter"* ]]
	[ "$(cat cprof.cprof)" = before ]
	run "$CPROF" record -t 0
	[ "$status" -eq 1 ]
	run "$CPROF" record -o x.svg --to folded true
	[ "$status" -eq 2 ]
	[ "$(id -u)" = 0 ] || return 0
	rm cprof.cprof
	mkdir closed && chmod 755 . closed && cp "$CPROF" closed/cprof && touch closed/cprof.cprof
	cd closed
	run setpriv --reuid 65534 --regid 65534 --clear-groups ./cprof record -o cprof.cprof true
	[ "$status" -eq 1 ]
}

@test "names with newlines, semicolons and bytes that are no UTF-8 break no file" {
	can_sample
	name=$'we;ird\n\xff<b>'
	cp "$(burn)" "./$name"
	"$CPROF" record -q "./$name" 1 >/dev/null
	xmllint --noout cprof.svg
	"$CPROF" convert cprof.cprof -o x.folded
	awk 'NF < 2 || $NF !~ /^[0-9]+$/ { exit 1 }' x.folded
	"$CPROF" report cprof.cprof >/dev/null
}

@test "stdout closed: data is not lost silently" {
	can_sample
	run bash -c '"$0" record -q -o - --to folded --stdout /dev/null "$1" 1 >&-' "$CPROF" "$(burn)"
	[ "$status" -ne 0 ]
}

@test "under sudo the program runs as its user, who owns every file" {
	can_sample
	[ "$(id -u)" = 0 ] || skip "needs root"
	user=$(getent passwd 65534 | cut -d: -f1,6)
	[ -n "$user" ] || skip "there is no user 65534"
	SUDO_UID=65534 SUDO_GID=65534 "$CPROF" record -q -o x.svg -o x.cprof --stdout out.txt \
		/bin/sh -c 'echo "$(id -u) $(id -G) $USER:$HOME"; if kill -0 1 2>/dev/null; then echo root; fi'
	cat out.txt
	[ "$(cat out.txt)" = "65534 65534 $user" ]
	[ "$(stat -c %u x.svg x.cprof out.txt | sort -u)" = 65534 ]
	SUDO_UID=65534 SUDO_GID=65534 "$CPROF" record -q --as-root -o y.folded /bin/sh -c 'id -u' >as
	[ "$(cat as)" = 0 ]
	# a command that only says how long, too
	sleep 60 &
	SUDO_UID=65534 SUDO_GID=65534 "$CPROF" record -q -o z.folded -p $! --stdout timer.txt -- sh -c 'id -u; sleep 0.1'
	kill $!
	[ "$(cat timer.txt)" = 65534 ]
	run env SUDO_UID=4294967290 SUDO_GID=1 "$CPROF" record true
	[ "$status" -eq 1 ]
	[[ "$output" == *"--as-root"* ]]
}

@test "without privileges: one command, user stacks whole" {
	[ "$(id -u)" = 0 ] || skip "runs as another user only as root"
	[ "$(cat /proc/sys/kernel/perf_event_paranoid)" -le 2 ] || skip "perf_event_paranoid forbids it"
	mkdir open && chmod 777 open && cd open
	cp "$(burn)" "$CPROF" . && chmod 755 ./burn ./cprof
	chmod 755 "$BATS_TEST_TMPDIR" || true
	setpriv --reuid 65534 --regid 65534 --clear-groups ./cprof record -q --min-complete 99 ./burn 1 >/dev/null 2>err.txt ||
		{ cat err.txt; grep -q "Permission denied" err.txt && skip "the test folder is closed to others"; false; }
	[ -s cprof.svg ]
}

@test "capabilities in place of root: they are not for the command, its environment is" {
	[ "$(id -u)" = 0 ] || skip "runs as another user only as root"
	mkdir open && chmod 777 open && cd open
	cp "$CPROF" . && chmod 755 ./cprof "$BATS_TEST_TMPDIR"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf \
		env LD_LIBRARY_PATH=/some/where ./cprof record -q -o x.folded --stdout out.txt \
		sh -c 'echo "$LD_LIBRARY_PATH $(id -u)"; grep -E "Cap(Prm|Eff|Amb)" /proc/self/status'
	[[ "$output" != *"Permission denied"* ]] || skip "the test folder is closed to others"
	[ "$status" -eq 0 ]
	cat out.txt
	grep -q '^/some/where 65534$' out.txt
	[ "$(grep -c '0000000000000000$' out.txt)" = 3 ]
	# a command that only says how long, too
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf \
		./cprof record -q -o x.folded -p $$ --stdout timer.txt grep -E "Cap(Prm|Eff|Amb)" /proc/self/status
	[ "$(grep -c '0000000000000000$' timer.txt)" = 3 ]
}

@test "the command has the limit on open files that cprof was given, whatever cprof needs itself" {
	can_sample
	run sh -c 'ulimit -Sn 256; "$0" record -q -o x.folded --stdout out.txt sh -c "ulimit -Sn"' "$CPROF"
	[ "$status" -eq 0 ]
	[ "$(cat out.txt)" = 256 ]
}

@test "what a coroutine returns to is not named after the function that ends in front of it" {
	can_sample
	"$CPROF" record -q -o x.folded "$CPROF_BUILD/tests/fixtures/coroutine" 2
	grep -q ';co;co_work' x.folded
	! grep ';co;' x.folded | grep -vE ';(__start_context|libc\.so[^;]*);co;|;\[truncated: [a-z_]*\];co;'
}
