# Bad input and trouble, on the ebpf backend. Whatever happens: the target's output and exit status are
# what they are without cprof, what was collected can be read, and what was not is said.

setup_file() {
	export FIXTURES="$CPROF_BUILD/tests/fixtures"
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	cd "$BATS_TEST_TMPDIR"
	started=()
	open=
}

teardown() {
	cd /
	umount -l "$BATS_TEST_TMPDIR/files" "$BATS_TEST_TMPDIR/small" 2>/dev/null || true
	[ -z "$open" ] || rm -rf "$open"
	[ -z "${started[*]}" ] || kill -CONT "${started[@]}" 2>/dev/null || true
	[ -z "${started[*]}" ] || kill -9 "${started[@]}" 2>/dev/null || true
	wait
}

# FILE EXPRESSION: of the JSON report of a recording: r, with facts f, ledger l, statuses s
holds() {
	cprof report --json "$1" | python3 -c '
import json, sys
doc = json.load(sys.stdin)
r, h = doc["recording"], doc["health"]
f, l, s = r["facts"], r.get("ledger"), h["statuses"]
print({k: f[k] for k in sorted(f) if k.endswith("_samples")}, s)
assert r["backend"] == "ebpf", r["backend_reason"]
assert l["unaccounted_samples"] == 0 and l["program_entries"] == sum(
	l[k + "_samples"] for k in ("emitted", "filtered", "idle", "lost")), l
assert eval(sys.argv[1]), sys.argv[1]' "$2"
}

# WORDS...: of cprof record; "$@" behind -- is the command, whose output is the same without cprof
unharmed() {
	local status=0 recorded=0 words=()
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	"$@" >alone.out || status=$?
	[ $status != 77 ] || skip "$(tail -1 alone.out)"
	cprof record --backend ebpf -o x.cprof --stdout recorded.out "${words[@]}" -- "$@" 2>said || recorded=$?
	cat said
	cmp alone.out recorded.out
	[ $status = $recorded ]
}

# As a user who has the two capabilities: WORDS...
as_capable() {
	setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +perfmon,+bpf --ambient-caps +perfmon,+bpf "$@"
}

# A folder that is open to everybody, with a copy of cprof and of FILES...
make_open() {
	[ "$(id -u)" = 0 ] || skip "runs as another user only as root"
	open=$(mktemp -d /tmp/cprof-trouble.XXXXXX)
	chmod 777 "$open" && cd "$open"
	cp "$CPROF_BUILD/cprof" "$@" . && chmod 755 ./*
}

@test "a setuid program: the kernel says that it ended, and it did not" {
	make_open "$FIXTURES/odd"
	cp odd as_nobody && chown 65534 as_nobody && chmod 4755 as_nobody
	unharmed -F 1999 -- ./as_nobody rename
	holds x.cprof 'h["samples"] > 100 and h["complete_percent"] > 95'
	rm x.cprof recorded.out
	# by a user who may not look into it once it is root's
	cp odd as_root && chmod 4755 as_root
	as_capable ./cprof record -F 1999 -o x.cprof --stdout recorded.out ./as_root rename && false
	[ $? = 7 ]
	cmp alone.out recorded.out
	holds x.cprof 'h["samples"] > 100 and h["complete_percent"] > 95'
	# nor read
	chmod 4711 as_root
	as_capable ./cprof record -F 1999 -o x.cprof --stdout recorded.out ./as_root rename 2>said && false
	cmp alone.out recorded.out
	grep 'as_root may be run, but not read' said
	holds x.cprof 'h["samples"] > 100 and s["no_table"] > 100'
}

@test "names that change all the time, with all that may stand in one" {
	unharmed -F 1999 -o x.svg -o x.folded -- "$FIXTURES/odd" rename
	xmllint --noout x.svg
	awk 'NF < 2 || $NF !~ /^[0-9]+$/ { exit 1 }' x.folded
	[ "$(cut -d';' -f1 x.folded | sort -u | wc -l)" -gt 20 ]
	holds x.cprof 'h["complete_percent"] > 95'
}

@test "code that is unmapped, and the callers' part of the stack" {
	unharmed -F 1999 -- "$FIXTURES/odd" unmap
	holds x.cprof 'h["samples"] > 100 and h["complete_percent"] > 95'
	unharmed -F 1999 -o x.folded -- "$FIXTURES/odd" unmap-stack
	holds x.cprof 'h["samples"] > 100 and s["efault_ra"] > 0 and h["complete_percent"] < 20'
	grep -q ';\[truncated: .*\];.*deeper;cut_off;work' x.folded
}

@test "signals on a stack of their own, a stack of 1 GiB, strict seccomp, the vDSO all the time" {
	unharmed -F 1999 -o x.folded -- "$FIXTURES/odd" altstack
	holds x.cprof 's["ok_stop"] > 100 and set(s) <= {"ok_stop", "other_stack", "exiting", "exec"}'
	grep -q 'main;.*do_altstack;.*raise;.*;on_alarm;work' x.folded
	unharmed -F 1999 -- "$FIXTURES/odd" bigstack
	holds x.cprof 's["ok_stop"] > 100 and set(s) <= {"ok_stop", "other_stack", "exiting", "exec", "efault_ra", "defer_cut"}'
	unharmed -F 1999 -- "$FIXTURES/odd" strict
	holds x.cprof 'h["complete_percent"] > 95'
	unharmed -F 1999 -o x.folded -- "$FIXTURES/odd" vdso
	holds x.cprof 'h["complete_percent"] > 95'
	grep -q 'main;do_vdso;.*;__vdso_clock_gettime' x.folded
}

@test "pages of a stack that the program promised to bring, and never brings: cprof does not wait" {
	unharmed -F 1999 -- timeout 60 "$FIXTURES/odd" userfault
	holds x.cprof 's["efault_ra"] > 100'
}

@test "a worker of the kernel's in the process has no user stack, and is shown" {
	unharmed -F 1999 -- "$FIXTURES/odd" worker
	holds x.cprof 's["user_worker"] > 20 and h["complete_percent"] > 95'
	grep -q 'user_worker: a kernel worker of the process' said
}

@test "tables that lie: a reason, no frame behind it, the same in the kernel as here" {
	mkdir lies
	"$BATS_TEST_DIRNAME/../support/lying_tables.py" "$FIXTURES/deep" down lies
	timeout 100 cprof record -q --backend ebpf -F 1999 --debug-stacks stacks -o x.cprof -o x.folded \
		--stdout recorded.out sh -c 'for lie in lies/*; do "$lie" 30 0.1 || exit; done'
	[ "$(wc -l <recorded.out)" = "$(ls lies | wc -l)" ]
	holds x.cprof 'h["samples"] > 50 and f["debug_stacks_compared"] > 5 and f["debug_stacks_differ"] == 0'
	# the whole stack, or a piece from its inner end outwards
	whole="_start;.*;main;rounds;(down;){30}bottom;work[; ]"
	piece="\[truncated: [a-z_]*\];((down;){0,30}bottom;)?work[; ]"
	seen=()
	for lie in $(ls lies); do
		# none on a machine that was busy with other things
		grep "^${lie:0:15};.*;work[; ]" x.folded >stacks.folded || continue
		seen+=("$lie")
		case $lie in
		hdr_*) # the index is not needed: the entries are read one by one
			grep -Eq "^${lie:0:15};$whole" stacks.folded ;;
		overlapping | return_elsewhere | wrong_* | covers_all) # may say what looks like a caller
			grep -Eq "^${lie:0:15};\[truncated: [a-z_]*\];.*work[; ]" stacks.folded ;;
		*)
			! grep -Ev "^[^;]*;($whole|$piece)" stacks.folded ;;
		esac || { echo "$lie:"; cat stacks.folded; false; }
	done
	echo "${seen[@]}"
	[ ${#seen[@]} -gt 10 ]
}

@test "a table that leads to where no code is: stacks are sent no longer than it takes to learn that" {
	mkdir lies
	"$BATS_TEST_DIRNAME/../support/lying_tables.py" "$FIXTURES/deep" down lies
	cprof record -q --backend ebpf -F 1999 -o x.cprof --stdout recorded.out lies/covers_all 30 1.5
	holds x.cprof 'h["samples"] < 200 or (s["ra_nonexec"] > 100 and f["deferred_samples"] * 2 < h["samples"])'
}

@test "a target that is stopped, frozen, or held by a debugger is said to be, and can go on" {
	"$FIXTURES/burn" 100000 >/dev/null &
	pid=$!
	started+=($pid)
	kill -STOP $pid
	run cprof record -p $pid --duration 0.3 -o x.cprof
	echo "$output"
	[ "$status" -eq 0 ]
	[ "$(grep -c "process $pid is stopped .*kill -CONT $pid" <<<"$output")" = 2 ]
	grep -q 'State:.T' /proc/$pid/status
	# stopped and continued in mid-run
	(sleep 0.5; kill -CONT $pid; sleep 0.5; kill -STOP $pid; sleep 0.3; kill -CONT $pid) &
	cprof record -q -p $pid --duration 2 -o x.cprof
	holds x.cprof 'h["samples"] > 2 and h["complete_percent"] > 90'
	if command -v gdb >/dev/null; then
		gdb -q -batch -ex "attach $pid" -ex "shell cprof record -p $pid --duration 0.3 -o y.cprof 2>said" -ex detach
		grep -q "process $pid is held by a debugger" said
		gdb -q -batch -ex "attach $pid" -ex "python
end = __import__('time').time() + 1
while __import__('time').time() < end: gdb.execute('stepi', to_string=True)" -ex detach >steps 2>&1 &
		cprof record -q -p $pid --duration 2 -o x.cprof
		wait $!
		holds x.cprof 'h["samples"] > 2 and h["complete_percent"] > 90'
	fi
	if command -v strace >/dev/null; then
		strace -f -o /dev/null cprof record -q -o x.cprof --stdout out.txt sh -c "$FIXTURES/deep 30 0.3; exit 7" && false
		[ $? = 7 ]
		holds x.cprof 'h["samples"] > 2 and h["complete_percent"] > 90'
	fi
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	group=$mount/cprof-trouble-$$
	[ -n "$mount" ] && mkdir "$group" 2>/dev/null || skip "no cgroup2 group can be made here"
	echo $pid >"$group/cgroup.procs"
	echo 1 >"$group/cgroup.freeze"
	run timeout 20 cprof record -p $pid --duration 0.3 -o x.cprof
	echo 0 >"$group/cgroup.freeze"
	kill -9 $pid && wait $pid || true
	rmdir "$group"
	echo "$output"
	[[ $output == *"process $pid is frozen with its control group: echo 0 >$group/cgroup.freeze"* ]]
}

@test "cprof killed at any moment: what it ran runs on, nothing of it stays in the kernel" {
	command -v bpftool >/dev/null || [ -x /usr/sbin/bpftool ] || skip "not installed: bpftool"
	"$BATS_TEST_DIRNAME/../support/kill_anywhere.py" 24 1.2 "$FIXTURES/deep"
}

@test "a disk that is full for a while: everything is there in the end, and the program has seen nothing" {
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	mkdir small
	mount -t tmpfs -o size=64k tmpfs small 2>/dev/null || skip "no tmpfs can be mounted here"
	dd if=/dev/zero of=small/rest bs=1k count=60 2>/dev/null
	run cprof record --backend ebpf -F 4999 -o small/x.cprof --stdout recorded.out \
		sh -c "$FIXTURES/burn 1 2; for i in 1 2 3 4 5 6 7 8; do sh -c :; done; df small | tail -1; rm small/rest; $FIXTURES/burn 1 3"
	[ ! -e small/x.cprof ] || cp small/x.cprof .
	umount small
	echo "$output"
	cat recorded.out
	[ "$status" -eq 0 ]
	[ "$(wc -l <recorded.out)" = 11 ]
	holds x.cprof 'h["samples"] == f["emitted_samples"] > 100 and not r["was_cut"]'
}

@test "files that are taken away in mid-run are said to be" {
	mkdir gone
	(cd gone && exec cprof record --backend ebpf -o x.svg --stdout ../recorded.out "$FIXTURES/burn" 2 2>../said) &
	sleep 1
	rm -rf gone
	wait $! && false
	cat said
	grep -q 'was it removed, or changed, while it was written' said
	! grep -q 'is left as' said
	[ "$(wc -l <recorded.out)" = 5 ]
}

@test "a seccomp filter is told apart from a lack of permission, with the flags to give" {
	refused() { # WORDS... -- MESSAGE...
		local words=()
		while [ "$1" != -- ]; do words+=("$1"); shift; done
		shift
		run "${words[@]}" -o y.cprof -- touch ran
		[ "$status" != 77 ] || skip "this machine lets nobody set a seccomp filter"
		echo "$output"
		[ "$status" -eq 1 ] && [ ! -e ran ] && [ ! -e y.cprof ]
		for message; do [[ $output == *"$message"* ]]; done
	}
	both="$FIXTURES/no_perf 1 $FIXTURES/no_perf bpf 1"
	refused $both cprof record -- "a seccomp filter" "--cap-add PERFMON --security-opt seccomp=unconfined"
	refused $both cprof record --backend ebpf -- "refuses bpf" "--cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined"
	refused "$FIXTURES/no_perf" 1 cprof record --backend ebpf -- "refuses perf_event_open" "seccomp=unconfined"
	# no PMU is no lack of permission
	refused cprof record -e no-such-event -- "no-such-event"
	[[ $output != *paranoid* ]]
	make_open "$FIXTURES/no_perf"
	refused as_capable ./no_perf 1 ./cprof record -- "a seccomp filter"
	[[ $output != *paranoid* ]]
}

@test "a full ring: what is lost is counted, and what to do is said; the program does not wait" {
	for _ in 1 2 3; do
		cprof record --backend ebpf -F 4999 -o x.cprof --stdout recorded.out "$FIXTURES/deep" 400 2 2>said &
		recorder=$!
		for _ in $(seq 400); do [ ! -s x.cprof ] || break; sleep 0.05; done
		sleep 0.3
		kill -STOP $recorder
		sleep 1.5
		kill -CONT $recorder
		wait $recorder
		holds x.cprof 'h["samples"] > 5 and l["lost_samples"] == f["lost_samples"]'
		# of a machine that gave the program no time there is nothing to lose
		! holds x.cprof 'f["lost_samples"] > 0' || break
	done
	cat said
	holds x.cprof 'f["lost_samples"] > 0'
	grep -q 'samples were lost: .*a lower -F leaves more room' said
	[ "$(cat recorded.out)" -ge 1 ]
}

@test "a slow disk, slow files: nothing is lost, and the program does not wait" {
	cat >slow.c <<-'C'
		#include <dlfcn.h>
		#include <errno.h>
		#include <stdarg.h>
		#include <string.h>
		#include <unistd.h>
		static void nap(void)
		{
			if (!strcmp(program_invocation_short_name, "cprof"))
				usleep(150000);
		}
		ssize_t write(int fd, const void *bytes, size_t n)
		{
			if (fd > 2 && n > 8)
				nap();
			return ((ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write"))(fd, bytes, n);
		}
		int open(const char *path, int flags, ...)
		{
			va_list rest;
			va_start(rest, flags);
			int mode = va_arg(rest, int);
			if (strstr(path, "/map_files/") || strstr(path, "/root/"))
				nap();
			return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open"))(path, flags, mode);
		}
	C
	cc -D_GNU_SOURCE -O2 -shared -fPIC -o slow.so slow.c -ldl
	[[ $CPROF_BUILD != *asan* ]] || skip "the sanitizer wants to be the first library"
	unharmed -F 1999 -- "$FIXTURES/odd" vdso
	holds x.cprof 'h["samples"] > 50'
	LD_PRELOAD=$PWD/slow.so cprof record -q --backend ebpf -F 1999 -o y.cprof --stdout recorded.out \
		/usr/bin/env -u LD_PRELOAD "$FIXTURES/odd" vdso && false
	cmp alone.out recorded.out
	holds y.cprof 'h["samples"] > 50 and f["deferred_samples"] > 0 and f["lost_samples"] == 0 and h["complete_percent"] > 95'
}

@test "a file system that answers late: stacks are finished when it does" {
	[ "$(id -u)" = 0 ] && [ -e /dev/fuse ] || skip "needs root and /dev/fuse"
	mkdir files
	"$BATS_TEST_DIRNAME/../support/slow_files.py" "$FIXTURES/deep" "$PWD/files" 1.5 >mounting 2>&1 &
	started+=($!)
	for _ in $(seq 100); do [ ! -x files/program ] || break; sleep 0.1; done
	[ -x files/program ] || skip "no FUSE file system can be mounted: $(cat mounting)"
	files/program 30 4 >recorded.out &
	pid=$!
	started+=($pid)
	for _ in $(seq 100); do ! grep -q program /proc/$pid/comm || break; sleep 0.05; done
	sleep 0.3
	touch files.slow
	timeout 60 cprof record -F 4999 -p $pid --duration 1 -o x.cprof || failed=1
	rm files.slow
	wait $pid || failed=1
	umount -l files
	[ -z "$failed" ]
	[ "$(cat recorded.out)" -gt 1 ]
	holds x.cprof 'h["samples"] > 5 and f["lost_samples"] == 0 and h["complete_percent"] > 80 and f["deferred_samples"] > 0'
}

@test "another clock: in a time namespace" {
	for offset in 100000 -1000; do
		unshare --time --fork --monotonic $offset true 2>/dev/null || skip "no time namespaces here"
		unshare --time --fork --monotonic $offset \
			cprof record -q --backend ebpf -o x.cprof --stdout recorded.out "$FIXTURES/odd" strict && false
		holds x.cprof 'h["samples"] > 50 and h["complete_percent"] > 95 and f["lost_samples"] == 0'
		holds x.cprof '0.05e9 < f["elapsed_ns"] < 60e9'
	done
}

@test "32-bit code: its time is shown, and that its stacks are not seen" {
	cat >m32.c <<-'C'
		static unsigned result = 1;
		static int call(int n, int a, const char *b, int c)
		{
			__asm__ volatile("int $0x80" : "+a"(n) : "b"(a), "c"(b), "d"(c) : "memory");
			return n;
		}
		void _start(void)
		{
			for (int i = 0; i < 300000000; i++)
				result = result * 1664525u + 1013904223u;
			call(4, 1, result == 1 ? "odd\n" : "sum\n", 4);
			call(1, 7, 0, 0);
		}
	C
	cc -m32 -O2 -nostdlib -static -fno-pie -no-pie -o m32 m32.c 2>/dev/null || skip "no 32-bit compiler"
	./m32 >/dev/null && false || [ $? = 7 ] || skip "no 32-bit programs run here"
	unharmed -- ./m32
	holds x.cprof 's["compat32"] > 50'
	grep -q 'compat32: 32-bit code' said
}

@test "more runnable threads than CPUs by far: the samples are the CPU time, and the ledger adds up" {
	for _ in $(seq 12); do
		"$FIXTURES/burn" 1000 >/dev/null &
		started+=($!)
	done
	cprof record -q --backend ebpf -o x.cprof --stdout recorded.out "$FIXTURES/odd" strict && false
	[ $? = 7 ]
	kill "${started[@]}"
	started=()
	holds x.cprof 'h["complete_percent"] > 95 and f["lost_samples"] == 0'
	holds x.cprof '0.7 < h["samples"] / 997 * 1e9 / (f["target_user_ns"] + f["target_system_ns"]) < 1.4'
}

@test "targets that end while they are looked for, and before they are attached to" {
	cp "$FIXTURES/deep" brief
	(while :; do ./brief 5 0.02 >/dev/null; done) &
	started+=($!)
	for _ in $(seq 8); do
		run cprof record -p brief --duration 0.1 -o x.cprof
		echo "$output"
		[ "$status" -eq 0 ] || [[ $output == *"have ended"* || $output == *"there is no process"* ||
			$output == *"no process is called"* || $output == *brief* ]]
		[ "$status" -le 1 ]
	done
}

@test "a program that becomes a daemon is followed with --wait-all, and said to run on without" {
	unharmed -- sh -c "exec '$FIXTURES/odd' daemon one"
	grep -q '1 process that the command started runs on; --wait-all' said
	cprof record -q --backend ebpf --wait-all -o x.cprof "$FIXTURES/odd" daemon two
	holds x.cprof 'h["samples"] > 50 and h["complete_percent"] > 95'
	for _ in $(seq 100); do [ ! -s one ] || break; sleep 0.1; done
	cmp one two
}

@test "limits: as few descriptors, processes and lockable bytes as there are, in words" {
	make_open "$FIXTURES/deep"
	run as_capable prlimit --memlock=0:0 ./cprof record --backend ebpf -o x.cprof --stdout out.txt ./deep 30 0.3
	echo "$output"
	[ "$status" -eq 0 ] && [ "$(cat out.txt)" -ge 1 ]
	rm x.cprof
	run as_capable prlimit --nofile=40:40 ./cprof record --backend ebpf -o x.cprof ./deep 30 0.3
	[ "$status" -eq 1 ]
	[[ $output == *"too few file descriptors: cprof may open 40"*"ulimit -n"* ]]
	run as_capable prlimit --nproc=0:0 ./cprof record --backend ebpf -o x.cprof ./deep 30 0.3
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"ulimit -u"* ]]
	[ ! -e x.cprof ]
}

@test "stripped programs, without section headers, with garbage for a symbol table" {
	mkdir bad
	cp "$FIXTURES/deep" bad/stripped && strip bad/stripped
	# the table of section headers lies behind the file's end; symbols and their names are garbage
	python3 - "$FIXTURES/deep" <<-'END'
		import os, random, struct, sys
		elf = open(sys.argv[1], "rb").read()
		table, = struct.unpack_from("<Q", elf, 0x28)
		size, count = struct.unpack_from("<HH", elf, 0x3A)
		headless = bytearray(elf)
		struct.pack_into("<Q", headless, 0x28, 1 << 60)
		garbage = bytearray(elf)
		for i in range(count):
		    _, kind, _, _, offset, length = struct.unpack_from("<IIQQQQ", elf, table + i * size)
		    if kind in (2, 3):  # SHT_SYMTAB, SHT_STRTAB
		        garbage[offset : offset + length] = random.Random(i).randbytes(length)
		# what the dynamic linker needs stays: symbols and names that are loaded
		first = struct.unpack_from("<Q", elf, 0x20)[0]
		loaded = struct.unpack_from("<H", elf, 0x38)[0]
		for i in range(loaded):
		    kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, first + 56 * i)
		    if kind == 1:
		        garbage[offset : offset + length] = elf[offset : offset + length]
		for name, data in ("headless", headless), ("garbage", garbage), ("short", elf[:table - 100]):
		    open("bad/" + name, "wb").write(data)
		    os.chmod("bad/" + name, 0o755)
	END
	for name in stripped headless garbage short; do
		cprof record -q --backend ebpf -F 1999 -o x.cprof -o x.svg --stdout recorded.out bad/$name 30 0.2
		[ "$(cat recorded.out)" -ge 1 ]
		holds x.cprof 'h["samples"] > 2 and h["complete_percent"] > 70'
		xmllint --noout x.svg
	done
}

# Makes the control group $box, whose processes may use no more than so many bytes: LIMIT
limit_memory() {
	if [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
		box=/sys/fs/cgroup/memory$(sed -n 's/^[0-9]*:memory://p' /proc/self/cgroup)/cprof-trouble-$$
		limit=$box/memory.limit_in_bytes
	else
		box=/sys/fs/cgroup/cprof-trouble-$$
		limit=$box/memory.max
		echo +memory >/sys/fs/cgroup/cgroup.subtree_control || return
	fi
	mkdir "$box" && echo "$1" >"$limit"
}

@test "cprof's control group runs out of memory: the target runs on, and what was recorded can be read" {
	[ "$(id -u)" = 0 ] || skip "needs root to set a limit"
	[[ $CPROF_BUILD != *asan* ]] || skip "the sanitizer itself takes more memory than that"
	limit_memory 60M 2>/dev/null || skip "no control group's memory can be limited here"
	"$FIXTURES/deep" 100 1000 >/dev/null &
	started+=($!)
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$box" \
		cprof record -q --backend ebpf -F 4999 -o x.cprof -p $! &
	recorder=$!
	for _ in $(seq 300); do
		[ "$(stat -c %s x.cprof 2>/dev/null || echo 0)" -le 3000 ] || break
		sleep 0.1
	done
	# the last one is less than what cannot be taken from it
	for less in 30M 20M 15M 10M 5M 1M; do
		echo $less >"$limit" 2>/dev/null || true
		kill -0 $recorder 2>/dev/null || break
		sleep 0.1
	done
	kill -9 $recorder 2>/dev/null || true # a kernel that kills nobody for a limit that is lowered
	wait $recorder && false
	rmdir "$box"
	grep -q 'State:.R' /proc/${started[0]}/status
	run cprof report x.cprof
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"samples of cpu-clock"*"work"* ]]
}
