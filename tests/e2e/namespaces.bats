# The ebpf backend with cprof itself inside of namespaces: processes have other numbers there than in the
# kernel, clocks another time, control groups other paths.

setup_file() {
	export FIXTURES="$CPROF_BUILD/tests/fixtures"
	cprof doctor --json | grep -q '"backend": "ebpf"' || touch "$BATS_FILE_TMPDIR/refused"
	unshare --pid --fork --mount-proc --kill-child true 2>/dev/null || touch "$BATS_FILE_TMPDIR/shut"
}

setup() {
	[ ! -e "$BATS_FILE_TMPDIR/refused" ] || skip "the ebpf backend does not run here: cprof doctor says why"
	[ ! -e "$BATS_FILE_TMPDIR/shut" ] || skip "no pid namespace can be made here (unshare --pid)"
	cd "$BATS_TEST_TMPDIR"
	outside=
}

teardown() {
	[ -z "$outside" ] || kill $outside 2>/dev/null || true
	wait
	[ ! -d "${group:-}" ] || rmdir "$group/inner" "$group"
}

# Runs a command, or a script of bash, as the first process of a pid namespace.
inside() { unshare --pid --fork --mount-proc --kill-child "$@"; }
script() { inside bash -euc "$1"; }

# FILE EXPRESSION: of the JSON report of a recording: r, with facts f, ledger l, statuses s
holds() {
	cprof report --json "$1" | python3 -c '
import json, sys
doc = json.load(sys.stdin)
r, h = doc["recording"], doc["health"]
f, l, s = r["facts"], r.get("ledger"), h["statuses"]
print({k: f[k] for k in sorted(f) if k.endswith("_samples")}, s)
assert eval("(" + sys.argv[1] + ")"), sys.argv[1]' "$2"
}

ADDS_UP='r["backend"] == "ebpf" and l["expected_samples"] > 0 and l["unaccounted_samples"] == 0 and
	l["program_entries"] == sum(l[k + "_samples"] for k in ("emitted", "filtered", "idle", "lost"))'

# The processes of a folded file, each once.
processes() { cut -d';' -f1 "$1" | sort -u; }

@test "a command in a pid namespace, and in one below another: in the kernel, whole, by its number there" {
	run inside cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *$'\nbackend ebpf'* ]]
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 98 and h['samples'] > 50"
	run inside unshare --pid --fork --mount-proc cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	[ "$status" -eq 0 ]
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 98 and h['samples'] > 50"
	cprof convert x.cprof --fold-pid -o x.folded
	grep -Eq '^burn-[0-9];' x.folded
}

@test "-p by number and name, also of a process in a namespace below: its samples, and no others" {
	"$FIXTURES/burn" 600 >/dev/null &
	outside=$!
	cp "$FIXTURES/burn" below
	script '
		"$FIXTURES/burn" 600 >/dev/null & burner=$!
		unshare --pid --fork --mount-proc --kill-child ./below 600 >/dev/null &
		until pgrep -x below >/dev/null; do sleep 0.1; done
		cprof record -q -p $burner --duration 1 -o x.cprof
		cprof record -q -p burn --duration 1 -o named.folded
		cprof record -q -p below --duration 1 -o below.cprof -o below.folded
		echo $burner >number
		pgrep -x below >>number'
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 98 and h['samples'] > 0"
	cprof convert x.cprof --fold-pid -o x.folded
	[ "$(processes x.folded)" = "burn-$(head -1 number)" ]
	[ "$(processes named.folded)" = burn ]
	holds below.cprof "$ADDS_UP and h['complete_percent'] > 98 and h['samples'] > 0"
	cprof convert below.cprof --fold-pid -o below.folded
	[ "$(processes below.folded)" = "below-$(tail -1 number)" ]
}

@test "-a: what runs in the namespace, in those below and what is put into it; the rest is of others" {
	cp "$FIXTURES/burn" outside
	cp "$FIXTURES/burn" below
	cp "$FIXTURES/burn" within
	cp "$FIXTURES/burn" entered
	./outside 600 >/dev/null &
	outside=$!
	mkfifo ready
	script '
		./within 600 >/dev/null &
		unshare --pid --fork --mount-proc --kill-child ./below 600 >/dev/null &
		cprof record -a -F 997 --duration 3 -o x.cprof -o x.folded 2>words &
		recorder=$!
		until [ -s x.cprof ]; do sleep 0.1; done
		echo >ready
		wait $recorder' &
	inner=$!
	read -r <ready
	first=$(pgrep -x -P "$(pgrep -P $inner -x unshare || echo $inner)" bash | head -1)
	nsenter -t "$first" --pid --mount "$PWD/entered" 600 >/dev/null & # ends with the namespace
	wait $inner
	cat words
	processes x.folded | tee names
	for name in within below entered; do grep -qx $name names; done
	! grep -qx outside names
	! grep -Eq '^(kworker|ksoftirqd|rcu_|swapper)' names
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 97 and f['filtered_samples'] > 0"
	# what came from outside has tables like everybody: only its first samples are walked by cprof
	holds x.cprof "f['deferred_samples'] < h['samples'] / 2 and f['no_slot'] == 0"
}

@test "a shell that forks and execs in a loop: as whole as outside" {
	loop='for i in $(seq 100); do /bin/true; awk "BEGIN { while (i < 30000) i++ }"; done'
	inside cprof record -q -F 4999 -o x.cprof -o x.folded bash -c "$loop"
	holds x.cprof "$ADDS_UP and h['complete_percent'] > 98 and f['no_slot'] == 0"
	processes x.folded >names
	grep -qx bash names && grep -qx awk names && grep -qx true names
	! grep -vxE 'bash|awk|true|seq' names
}

@test "an exec from a thread: what it was and what it became, also with -t" {
	for how in launched chosen; do
		HOW=$how script '
			before="$FIXTURES/thread_exec 700 $FIXTURES/burn 1"
			if [ $HOW = launched ]; then
				cprof record -q -o x.cprof -o x.folded --stdout /dev/null $before
			else
				$before >tid &
				until [ -s tid ]; do sleep 0.05; done
				cprof record -q -t "$(head -1 tid)" -o x.cprof -o x.folded
			fi'
		grep -q '^thread_exec;.*;work_before' x.folded
		grep -q '^burn;.*;work' x.folded
		holds x.cprof "$ADDS_UP and h['complete_percent'] > 97"
	done
}

@test "--cgroup in a cgroup namespace: its own groups, by their paths there" {
	mount=$(awk '$(NF - 2) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
	[ -n "$mount" ] || skip "no cgroup2 is mounted here"
	group="$mount/cprof-e2e-$$"
	mkdir "$group" "$group/inner" 2>/dev/null || { group= && skip "no group can be made below $mount"; }
	for name in outside above inner; do cp "$FIXTURES/burn" $name; done
	./outside 600 >/dev/null &
	outside=$!
	# the group that a process is in becomes the root of its namespace; a new mount shows it as that
	cat >within <<-'END'
		umount -l "$MOUNT" && mount -t cgroup2 none "$MOUNT"
		./above 600 >/dev/null &
		sh -c 'echo $$ >"$MOUNT/inner/cgroup.procs" && exec ./inner 600' >/dev/null &
		cprof record -q --cgroup / --duration 1 -o all.folded -o all.cprof
		cprof record -q --cgroup inner --duration 1 -o inner.folded -o inner.cprof
		cprof doctor >doctor
	END
	MOUNT=$mount GROUP=$group sh -euc 'echo $$ >"$GROUP/cgroup.procs"
		exec unshare --pid --fork --mount-proc --kill-child --cgroup bash -eu within'
	processes all.folded >names
	grep -qx above names && grep -qx inner names && ! grep -qx outside names
	[ "$(processes inner.folded)" = inner ]
	holds all.cprof "$ADDS_UP and r['target'] == 'cgroup /' and f['filtered_samples'] > 0"
	holds inner.cprof "$ADDS_UP and r['target'] == 'cgroup /inner' and h['complete_percent'] > 98"
	grep -q "ok  *-a, --cgroup  *-a and --cgroup" doctor
}

@test "code made at run time has its names, wherever its program sees the file with them, also when it has ended" {
	cp "$FIXTURES/jitted" .
	mkdir -p jail/tmp && cp jitted jail/
	own_tmp='mount -t tmpfs none "$0" && cp jitted "$0" && mount --move "$0" /tmp && exec /tmp/jitted 1'
	mkdir own
	cprof record -q -o namespace.folded unshare --mount --pid --fork --kill-child sh -c "$own_tmp" "$PWD/own"
	cprof record -q -o root.folded chroot jail /jitted 1
	chmod -R a+rx .
	cprof record -q -o user.folded sh -c 'echo $$ >number
		exec setpriv --reuid 65534 --regid 65534 --clear-groups ./jitted 1'
	rm "/tmp/perf-$(cat number).map"
	inside cprof record -q -o inside.folded unshare --mount --pid --fork --kill-child sh -c "$own_tmp" "$PWD/own"
	./jitted 600 &
	outside=$!
	until [ -e /tmp/perf-$outside.map ]; do sleep 0.1; done
	cprof record -q -p $outside --duration 0.5 -o here.folded
	rm /tmp/perf-$outside.map
	for name in namespace root user inside here; do
		head -3 $name.folded
		grep -q '^jitted;.*;main;jitted_loop' $name.folded
		! grep -q 'main;\[jit\]' $name.folded
	done
}

@test "/proc of another pid namespace, or none: refused, and nothing was run" {
	for backend in ebpf perf; do
		run unshare --pid --fork cprof record --backend $backend -o x.cprof -- touch ran
		echo "$output"
		[ "$status" -eq 1 ]
		[[ $output == *"/proc is that of another pid namespace"*" there, and 1 here"*"mount -t proc"* ]]
		[ ! -e ran ] && [ ! -e x.cprof ]
	done
	run unshare --pid --fork cprof doctor
	[ "$status" -eq 1 ]
	[[ $output == *"no       namespaces "*"another pid namespace"* ]]
	run unshare --mount sh -c 'umount -l /proc && exec cprof record -o x.cprof -- touch ran'
	[ "$status" -eq 1 ]
	[[ $output == *"there is no /proc here"* ]]
	[ ! -e ran ]
}

@test "a time namespace: records and cprof's own clock agree" {
	unshare --time --fork --monotonic -1000 true 2>/dev/null || skip "no time namespace can be made here"
	for ahead in 5000 -1000; do
		run unshare --time --fork --monotonic $ahead cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
		echo "$output"
		[ "$status" -eq 0 ]
		holds x.cprof "$ADDS_UP and f['deferred_samples'] < h['samples'] / 2 and h['complete_percent'] > 98"
	done
}

@test "a user namespace: perf, and why, in words that fit" {
	unshare --user --map-root-user true 2>/dev/null || skip "no user namespace can be made here"
	shut() { inside unshare --user --map-root-user "$@"; }
	run shut cprof record -o x.cprof --stdout /dev/null "$FIXTURES/burn" 1
	echo "$output"
	[ "$status" -eq 0 ] || [[ $output == *"on the host, sudo sysctl kernel.perf_event_paranoid=2"* ]]
	[ "$status" -ne 0 ] || [[ $output == *$'\nbackend perf, not ebpf: '*"user namespace (a rootless container?)"* ]]
	run shut cprof record -a -o y.cprof -- touch ran
	[ "$status" -eq 1 ]
	[[ $output == "cprof: -a: "*"user namespace"*"on the host"*"docker run --userns=host"* ]]
	[ ! -e ran ]
	run shut cprof doctor
	[[ $output == *"limited  eBPF "*"user namespace"*"docker run --userns=host"* ]]
	[[ $output == *"limited  other programs "*"run cprof on the host"* ]]
	[[ $output != *"sudo cprof"* ]]
}
