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
