# The ebpf backend as people meet it: whole machines, control groups, threads; beside others, and where
# it may not run.

setup_file() {
	export FIXTURES="$CPROF_BUILD/tests/fixtures"
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	cd "$BATS_TEST_TMPDIR"
	started=()
	group=
}

teardown() {
	[ -z "${started[*]}" ] || kill "${started[@]}" 2>/dev/null || true
	wait
	[ -z "$group" ] || rmdir "$group/inner" "$group"
}

# NAME: a copy of the burner under this name, in the background; its number is in $pid
burn_as() {
	cp "$FIXTURES/burn" "./$1"
	"./$1" 600 >/dev/null &
	pid=$!
	started+=("$pid")
}

# FILE EXPRESSION: of the JSON report of a recording: r, with facts f, ledger l, statuses s
holds() {
	cprof report --json "$1" | python3 -c '
import json, sys
doc = json.load(sys.stdin)
r, h = doc["recording"], doc["health"]
f, l, s = r["facts"], r.get("ledger"), h["statuses"]
print({k: f[k] for k in sorted(f) if k.endswith("_samples")}, s)
assert eval(sys.argv[1]), sys.argv[1]' "$2"
}

ADDS_UP='l["expected_samples"] > 0 and l["unaccounted_samples"] == 0 and l["program_entries"] == sum(
	l[k + "_samples"] for k in ("emitted", "filtered", "idle", "lost"))'

@test "a command: chosen by itself, in the kernel, and the ledger adds up" {
	run cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 2
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend ebpf'* ]]
	[[ $output == *"ledger: "*" expected = "*" recorded"*" lost + "*" missed"* ]]
	[[ $output == *"(--json: every count)"* ]]
	holds x.cprof 'r["backend"] == "ebpf" and r["backend_reason"] is None'
	holds x.cprof "$ADDS_UP"
	holds x.cprof 'f["emitted_samples"] == h["samples"] > 50 and h["complete_percent"] > 98'
	holds x.cprof '0 < r["cost"]["kernel_ns"] < r["cost"]["total_ns"] and f["bpf_load_cpu_ns"] > 0'
	holds x.cprof 'f["user_frames"] > f["user_samples"] and f["whole_machine"] == 0'
}

@test "a stack that is deeper than any copy is whole" {
	cprof record -q -F 499 --duration 2 -o x.cprof -o x.folded --stdout /dev/null "$FIXTURES/deep" 3000 2
	holds x.cprof 'h["complete_percent"] >= 98 and h["samples"] > 50'
	# work, bottom, and every one of the calls between
	awk '/;bottom;work/ { n = gsub(/;down/, ""); deep += n >= 2999 ? $NF : 0; all += $NF }
	     END { print deep, all; exit !(all > 50 && deep >= all * 0.99) }' x.folded
}

@test "a stack that is too long to be sent is walked in the kernel once its tables are there" {
	cprof record -q -o x.cprof "$FIXTURES/plunge" 5000 3
	holds x.cprof 'f["deferred_cut_samples"] < h["samples"] / 4 and h["complete_percent"] > 75'
}

@test "code without unwind tables is followed by its instructions" {
	cprof record -q -o x.cprof "$FIXTURES/bare" 2
	holds x.cprof 'h["samples"] > 20 and h["complete_percent"] > 90'
	holds x.cprof '0 < f["first_kernel_walk_ns"] < 3e9'
	cprof record -q --backend perf -o x.cprof "$FIXTURES/bare" 2
	holds x.cprof 'h["samples"] > 20 and h["complete_percent"] > 90'
	command -v musl-gcc >/dev/null || return 0
	musl-gcc -O2 -static -o musl "$BATS_TEST_DIRNAME/../fixtures/bare.c"
	cprof record -q -o x.cprof ./musl 2
	holds x.cprof 'h["samples"] > 20 and h["complete_percent"] > 90'
}

@test "--debug-stacks: what the kernel program saw is what cprof sees, frame by frame" {
	ln -s elsewhere stacks
	cprof record -q -F 1999 --debug-stacks stacks -o x.cprof --stdout /dev/null \
		sh -c "'$FIXTURES/burn' 1; '$FIXTURES/threads' 4 1; for i in 1 2 3 4 5 6 7 8; do /bin/true; done" || true
	holds x.cprof 'f["debug_stacks_compared"] > 50 and f["debug_frames_compared"] > 200'
	holds x.cprof 'f["debug_stacks_differ"] == 0 and f["debug_stacks_open"] == 0'
	[ ! -e elsewhere ] && [ ! -L stacks ]
	[ "$(stat -c %a stacks)" = 600 ]
	# docs/debug-stacks.md
	python3 - "$(cprof report --json x.cprof)" <<-'END'
		import json, struct, sys
		facts = json.loads(sys.argv[1])["recording"]["facts"]
		data = open("stacks", "rb").read()
		assert data[:16] == b"\x8fcpstk\r\n" + struct.pack("<II", 2, 0)
		at, verdicts, frames = 16, [0, 0, 0, 0], 0
		while at < len(data):
		    r = struct.unpack_from("<IIQIIIIQIIIIQQQIIQQQQ", data, at)
		    size, verdict, kernel_count, host_count, stack = r[0], r[1], r[10], r[11], r[15]
		    words = struct.unpack_from(f"<{17 + kernel_count + host_count}Q", data, at + 120)
		    assert size == 120 + 8 * len(words) + (stack + 7) // 8 * 8
		    if verdict == 0:
		        assert words[17 : 17 + kernel_count] == words[17 + kernel_count :]
		        assert words[17] == words[0]
		        assert kernel_count == 1 or stack > 0 and r[14] <= words[8]
		    verdicts[verdict] += 1
		    frames += host_count
		    at += size
		print(verdicts, frames)
		assert verdicts[0] == facts["debug_stacks_compared"] and verdicts[1] == verdicts[2] == 0
		assert frames == facts["debug_frames_compared"]
	END
	run cprof record -q --debug-stacks . -o x.cprof true
	[ "$status" -eq 1 ]
	[[ $output == *"cannot create ."* ]]
}

@test "a stack that is not in memory is brought there" {
	cprof record -q -o x.cprof -o x.folded "$FIXTURES/absent" 400 1
	holds x.cprof 'f["touched_pages"] > 10 and h["samples"] > 500 and h["complete_percent"] > 90'
	grep -q '^absent;clone3;start_thread;thread;down;.*;down;bottom;work' x.folded
}

@test "a stack with pages that were never touched is whole, also before its tables are there" {
	for where in "" thread; do
		cprof record -q -F 1999 -o x.cprof sh -c "for i in \$(seq 20); do '$FIXTURES/holes' 10 $where; done"
		holds x.cprof 'f["deferred_samples"] > 50 and h["complete_percent"] > 97'
	done
}

@test "a thread's stack is sent up to its end, not what lies above it" {
	cprof record -q -F 1999 --debug-stacks stacks -o x.cprof "$FIXTURES/holes" 200 low
	holds x.cprof 'h["samples"] > 30 and h["complete_percent"] > 97'
	python3 - <<-'END'
		import struct
		data, at, most = open("stacks", "rb").read(), 16, 0
		while at < len(data):
		    most = max(most, struct.unpack_from("<I", data, at + 80)[0])
		    at += struct.unpack_from("<I", data, at)[0]
		print(most)
		assert 64 << 10 < most <= 128 << 10
	END
}

@test "threads that end at once: whole from their first instruction" {
	cprof record -q -F 4999 -o x.cprof "$FIXTURES/brief" 8000
	holds x.cprof 'h["samples"] > 300 and h["complete_percent"] > 98.5'
	holds x.cprof 'f["asides"] == 0 or s.get("exiting", 0) < h["samples"] * 0.03'
}

@test "what a process does after it has given up its memory has the stack that it ended with" {
	cprof record -q -F 1999 -o x.cprof -o x.folded -- python3 -c '
import os
x = b"x" * (300 << 20)
os._exit(0)'
	holds x.cprof "$ADDS_UP"
	holds x.cprof 'h["complete_percent"] > 98'
	holds x.cprof 'f["asides"] or s["exiting"] > 0' # a kernel before 6.16, which tells of it too late
	holds x.cprof 'f["asides"]' || skip "this kernel tells of exits when the memory is gone"
	holds x.cprof 'f["last_stack_samples"] > 5 and s.get("exiting", 0) * 3 < f["last_stack_samples"]'
	grep -q '^python3;_start;.*;_exit;.*do_exit;.*exit_mmap' x.folded
}

@test "a page of the stack that is just being copied: its samples are whole" {
	grep -q bpf_task_work_schedule_resume_impl /proc/kallsyms || skip "this kernel calls no program back"
	for _ in 1 2 3 4 5; do # chance decides how many come in the middle of that
		cprof record -q -F 4999 -o x.cprof bash -c 'for i in $(seq 300); do /bin/true; done'
		holds x.cprof "$ADDS_UP"
		holds x.cprof 'f["later_stack_samples"] > 0' && break
	done
	holds x.cprof 'f["later_stack_samples"] > 0 and h["complete_percent"] > 99'
}

@test "libraries in turn at one address: each frame is of the one that was there" {
	for plugin in one:64 two:512 three:4000; do
		cc -O2 -shared -fPIC -DPLUGIN="${plugin%:*}" -DROOM="${plugin#*:}" -o "${plugin%:*}.so" \
			"$BATS_TEST_DIRNAME/../fixtures/plugins.c"
	done
	cprof record -q -o x.cprof -o x.folded "$FIXTURES/plugins" . 2
	holds x.cprof 'f["stale_samples"] * 50 < h["samples"] > 500 and h["complete_percent"] > 98'
	for plugin in one two three; do
		grep -c ";${plugin}_leaf" x.folded
		others=$(grep ";${plugin}_" x.folded | grep -vc "^plugins;_start;.*;main;with_$plugin;call;plugin_work;" || true)
		[ "$others" = 0 ]
	done
}

@test "-a: everything that runs, what is idle, kernel threads as processes of their own" {
	burn_as burner_one
	burn_as burner_two
	# what the kernel itself counts, over the very time that is recorded
	run cprof record -a -o all.cprof -o all.folded --stdout stat.txt -- \
		sh -c 'head -1 /proc/stat; dd if=/dev/zero of=written bs=1M count=64 conv=fsync 2>/dev/null; sleep 2; head -1 /proc/stat'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *" at 99 Hz in "* ]]
	[[ $output == *"the CPUs were busy "*" % of the time, idle "*" %"* ]]
	grep -q '^burner_one;_start;' all.folded
	grep -q '^burner_two;_start;' all.folded
	cprof report all.cprof | grep -q '^all.cprof: all CPUs$'
	holds all.cprof "$ADDS_UP and r['target'] == 'all CPUs' and f['whole_machine'] == 1 and f['filtered_samples'] == 0"
	holds all.cprof 'f["frequency_hz"] == 99 and h["samples"] > 150'
	idle=$(awk '{ for (i = 2; i <= 9; i++) all[NR] += $i; idle[NR] = $5 + $6 }
	            END { print 100 * (idle[2] - idle[1]) / (all[2] - all[1]) }' stat.txt)
	# a virtual CPU that idles may get its timer late, or for nothing
	holds all.cprof "abs(100 * (f['idle_samples'] + f['idle_unseen_samples'] + f['missed_samples']) / f['expected_samples'] - $idle) < 12"
}

@test "-a: short programs are whole, though nobody knew who starts them" {
	# of these programs: what else runs here is not this test's
	run cprof record -a -F 997 -o short.cprof -o short.folded -- \
		sh -c 'sleep 0.3; for i in $(seq 40); do awk "BEGIN { while (i < 300000) i++ }"; done'
	echo "$output"
	[ "$status" -eq 0 ]
	awk -F'[; ]' '/^m?awk;/ { all += $NF } /^m?awk;.*nomap_novma/ { cut += $NF }
		END { print all, cut + 0; exit !(all > 30 && cut <= all * 0.01) }' short.folded
}

@test "-a: begun while others fork, there is room for each" {
	sh -c 'while :; do /bin/true; done' &
	started+=($!)
	for _ in 1 2 3; do
		cprof record -q -a --duration 0.3 -o x.cprof
		holds x.cprof 'f["no_slot"] == 0'
	done
}

@test "-a: samples of kernel threads are no cut stacks" {
	for _ in 1 2 3 4 5; do
		cprof record -q -a -F 1999 -o all.cprof -o all.folded --stdout /dev/null -- \
			sh -c 'for i in 1 2 3 4 5; do dd if=/dev/zero of=written bs=1M count=64 conv=fsync 2>/dev/null; done'
		! grep -E '^[^;]*(;ret_from_fork[^;]*)*;kthread;' all.folded >kernel.folded || break
	done
	head -3 kernel.folded
	holds all.cprof 's.get("kthread", 0) > 0'
	grep -Eq '^(kworker|ksoftirqd|jbd2|kswapd|kcompactd|rcu_|kdamond|migration)[^;]*;' kernel.folded
	! grep -q 'truncated' kernel.folded
	holds all.cprof 'h["complete_stacks"] + h["cut_stacks"] == h["samples"] - sum(s.get(k, 0) for k in ("kthread", "exec", "exiting", "user_worker"))'
}

@test "-t: these threads, and no others" {
	cat >two.c <<-'END'
	#include <pthread.h>
	#include <sys/syscall.h>
	#include <stdio.h>
	#include <unistd.h>
	static volatile unsigned long sink;
	__attribute__((noinline)) void burn_first(void) { for (;;) sink++; }
	__attribute__((noinline)) void burn_second(void) { for (;;) sink--; }
	static void *second(void *unused)
	{
		printf("%ld\n", syscall(SYS_gettid));
		fflush(stdout);
		burn_second();
		return unused;
	}
	int main(void)
	{
		pthread_t t;
		pthread_create(&t, 0, second, 0);
		burn_first();
	}
	END
	${CC:-cc} -O2 -pthread -o two two.c
	./two >tid &
	started+=($!)
	for _ in $(seq 100); do [ ! -s tid ] || break; sleep 0.1; done
	cprof record -q --duration 1 -t "$(cat tid)" -o second.folded -o second.cprof
	cprof record -q --duration 1 -t "${started[0]}" -o first.folded
	grep -q 'burn_second' second.folded
	! grep -q 'burn_first' second.folded
	grep -q 'burn_first' first.folded
	! grep -q 'burn_second' first.folded
	holds second.cprof "$ADDS_UP and h['complete_percent'] > 98"
}

@test "--cgroup: what is in the group and below it, by each way to write its path" {
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	[ -n "$mount" ] || skip "no cgroup2 is mounted here"
	group="$mount/cprof-e2e-$$"
	mkdir "$group" "$group/inner" 2>/dev/null || { group= && skip "no group can be made below $mount"; }
	burn_as grouped
	echo "$pid" >"$group/cgroup.procs" || skip "no process can be moved into a group"
	burn_as nested
	echo "$pid" >"$group/inner/cgroup.procs"
	burn_as outside

	name=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
	cprof record -q --cgroup "$group" --duration 1 -o x.folded -o x.cprof
	grep -q '^grouped;_start;' x.folded
	grep -q '^nested;_start;' x.folded
	! grep -q '^outside;' x.folded
	holds x.cprof "$ADDS_UP and f['filtered_samples'] > 0"

	cprof record -q --cgroup "0::/cprof-e2e-$$/inner" -o x.folded -- sleep 1
	[ "$(cut -d';' -f1 x.folded | sort -u)" = nested ]
	# one that joins while it is recorded; started in a group that was empty
	kill "${started[1]}"
	wait "${started[1]}" 2>/dev/null || true
	cprof record -q --cgroup "cprof-e2e-$$/inner" --duration 2 -o x.folded &
	recorder=$!
	sleep 1
	burn_as joined
	echo "$pid" >"$group/inner/cgroup.procs"
	wait $recorder
	grep -q '^joined;_start;' x.folded
}

@test "--cgroup: a group that is empty is said to be, and the recording ends when it is removed" {
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	[ -n "$mount" ] || skip "no cgroup2 is mounted here"
	group="$mount/cprof-e2e-$$"
	mkdir "$group" "$group/inner" 2>/dev/null || { group= && skip "no group can be made below $mount"; }
	cprof record --cgroup "$group/inner" -o x.folded 2>err.txt &
	recorder=$!
	for _ in $(seq 100); do
		grep -q "until ctrl-C" err.txt && break
		sleep 0.05
	done
	grep -q "no process is in the control group /cprof-e2e-$$/inner yet" err.txt
	rmdir "$group/inner" "$group"
	group=
	wait $recorder
	[ -e x.folded ]
}

@test "two at once, and perf beside them: each has its own samples, whole" {
	burn_as first
	one=$pid
	burn_as second
	two=$pid
	if command -v perf >/dev/null; then
		perf record -q -a -g -F 499 --no-bpf-event -e cpu-clock -o perf.data -- sleep 3 >/dev/null 2>&1 &
		started+=($!)
	fi
	cprof record -q -p $one --duration 2 -o one.cprof -o one.folded &
	recorder=$!
	cprof record -q -p $two --duration 2 -o two.cprof -o two.folded
	wait $recorder
	for n in one two; do
		holds $n.cprof "$ADDS_UP and h['complete_percent'] > 98 and h['samples'] > 20"
		[ "$(cut -d';' -f1 $n.folded | sort -u | wc -l)" = 1 ]
	done
	grep -q '^first;' one.folded
	grep -q '^second;' two.folded
}

@test "the backend that is asked for, and why it is not the other" {
	run cprof record --backend perf -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend perf, not ebpf: --backend says so\n'* ]]
	run cprof record --stack-size 16K -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	[[ $output == *$'\nbackend perf, not ebpf: --stack-size '* ]]
	run cprof record --backend ebpf -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend ebpf'* ]]
}

@test "without the capabilities: perf with the reason, and what needs ebpf is refused with it" {
	[ "$(id -u)" = 0 ] || skip "needs root to give privileges up"
	drop() { setpriv --bounding-set=-bpf,-sys_admin "$CPROF_BUILD/cprof" "$@"; }
	run drop record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend perf, not ebpf: '*"no CAP_BPF"* ]]
	holds x.cprof 'r["backend"] == "perf" and "CAP_BPF" in r["backend_reason"]'
	for wish in "-a" "--cgroup /" "--backend ebpf" "--debug-stacks d"; do
		run drop record $wish -o y.cprof -- touch ran
		[ "$status" -eq 1 ]
		[[ $output == *"${wish%% *}: "*"no CAP_BPF"* ]]
		[ ! -e ran ] && [ ! -e y.cprof ] && [ ! -e d ]
	done
	run "$FIXTURES/no_perf" bpf 1 cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	[ "$status" != 77 ] || skip "this machine lets nobody set a seccomp filter"
	[[ $output == *$'\nbackend perf, not ebpf: '*"seccomp filter"* ]]
}

# Makes the control group $box, whose processes may use no more than so many bytes: LIMIT
limit_memory() {
	if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
		box=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/cprof-test-$$
		mkdir "$box" && echo "$1" >"$box/memory.limit_in_bytes"
	else
		box=/sys/fs/cgroup/cprof-test-$$
		echo +memory >/sys/fs/cgroup/cgroup.subtree_control && mkdir "$box" && echo "$1" >"$box/memory.max"
	fi
}

@test "too little memory: perf with the reason, instead of the kernel's killer" {
	[ "$(id -u)" = 0 ] || skip "needs root to set a limit"
	[[ $CPROF_BUILD != *asan* ]] || skip "the sanitizer itself takes more memory than that"
	limit_memory 28M 2>/dev/null || skip "no control group's memory can be limited here"
	run sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$box" \
		cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	rmdir "$box"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend perf, not ebpf: too little memory to unwind in the kernel'* ]]
	run prlimit --nofile=20:20 "$CPROF_BUILD/cprof" record --backend ebpf -o x.cprof true
	[ "$status" -eq 1 ]
	[[ $output == *"too few file descriptors"*"ulimit -n"* ]]
}

@test "two capabilities in place of root" {
	[ "$(id -u)" = 0 ] || skip "runs as another user only as root"
	mkdir open && chmod 777 open && cd open
	cp "$CPROF_BUILD/cprof" "$FIXTURES/burn" . && chmod 755 ./cprof ./burn "$BATS_TEST_TMPDIR"
	run setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf \
		./cprof record -o x.cprof --stdout /dev/null ./burn 1
	[[ $output != *"Permission denied"* ]] || skip "the test folder is closed to others"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend ebpf'* ]]
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 99 and s['ok_stop'] > 200"
}

@test "a command that only says how long: its end ends the recording, its status is its own" {
	run cprof record -a -o x.folded -- sh -c 'sleep 0.5; exit 7'
	[ "$status" -eq 0 ]
	run cprof record -a -o y.folded -- no-such-clock
	[ "$status" -eq 1 ]
	[ ! -e y.folded ]
	run timeout -s INT 2 cprof record -a -o x.folded
	[[ $output == *"recording until ctrl-C"* ]]
	[ -s x.folded ]
}

@test "--delay: what the program did before is over, its stacks are walked in the kernel all the same" {
	cprof record -q --delay 0.5 -o x.cprof --stdout /dev/null "$FIXTURES/burn" 3
	holds x.cprof 'h["samples"] > 200 and f["deferred_samples"] < h["samples"] / 2'
}

@test "code made at run time without frame pointers: its stacks are sent a few times, not for ever" {
	run cprof record -o x.cprof "$FIXTURES/jit" 2
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"anon_no_fp: "*"-XX:+PreserveFramePointer"* ]]
	holds x.cprof 's.get("anon_no_fp", 0) > 0.8 * h["samples"] and h["samples"] > 100'
	holds x.cprof 'f["deferred_samples"] < h["samples"] / 4 and f["map_rescans"] > 0'
}
