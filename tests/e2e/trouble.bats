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
	holds x.cprof 'h["samples"] > 500 and f["debug_stacks_compared"] > 100 and f["debug_stacks_differ"] == 0'
	# the whole stack, or a piece from its inner end outwards
	whole="_start;.*;main;rounds;(down;){30}bottom;work"
	piece="\[truncated: [a-z_]*\];((down;){0,30}bottom;)?work"
	for lie in $(ls lies); do
		grep "^${lie:0:15};.*work" x.folded >stacks.folded
		case $lie in
		hdr_*) # the index is not needed: the entries are read one by one
			grep -Eq "^${lie:0:15};$whole" stacks.folded ;;
		overlapping | return_elsewhere | wrong_* | covers_all) # may say what looks like a caller
			grep -Eq "^${lie:0:15};\[truncated: [a-z_]*\];.*work" stacks.folded ;;
		*)
			! grep -Ev "^[^;]*;($whole|$piece)" stacks.folded ;;
		esac || { echo "$lie:"; cat stacks.folded; false; }
	done
}

@test "a table that leads to where no code is: stacks are sent no longer than it takes to learn that" {
	mkdir lies
	"$BATS_TEST_DIRNAME/../support/lying_tables.py" "$FIXTURES/deep" down lies
	cprof record -q --backend ebpf -o x.cprof --stdout recorded.out lies/covers_all 30 1.5
	holds x.cprof 's["ra_nonexec"] > 100 and f["deferred_samples"] * 4 < h["samples"]'
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
	holds x.cprof 'h["samples"] > 20 and h["complete_percent"] > 95'
	if command -v gdb >/dev/null; then
		gdb -q -batch -ex "attach $pid" -ex "shell cprof record -p $pid --duration 0.3 -o y.cprof 2>said" -ex detach
		grep -q "process $pid is held by a debugger" said
		gdb -q -batch -ex "attach $pid" -ex "python
end = __import__('time').time() + 2
while __import__('time').time() < end: gdb.execute('stepi', to_string=True)" -ex detach >steps 2>&1 &
		cprof record -q -p $pid --duration 3 -o x.cprof
		wait $!
		holds x.cprof 'h["samples"] > 20 and h["complete_percent"] > 95'
	fi
	if command -v strace >/dev/null; then
		strace -f -o /dev/null cprof record -q -o x.cprof --stdout out.txt sh -c "$FIXTURES/burn 1; exit 7" && false
		[ $? = 7 ]
		holds x.cprof 'h["samples"] > 50 and h["complete_percent"] > 95'
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
	ls attached*.cprof
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
