#!/usr/bin/env bats
# `cprof record` on a terminal of its own: what its keys do.

setup_file() {
	export REPO="$BATS_TEST_DIRNAME/../.."
	export CPROF=$(realpath "${CPROF_BUILD:-$REPO/build}/cprof")
	export FIXTURES="$BATS_FILE_TMPDIR"
	cc -O2 -o "$FIXTURES/burn" "$REPO/tests/fixtures/burn.c"
	# STEPS WORDS...: runs the words on a terminal, presses each key a moment after what it waits for
	# is there ("TEXT=>KEY|..."), prints what the terminal shows, and ends with the status
	cat >"$BATS_FILE_TMPDIR/terminal.py" <<-'END'
		import os, pty, select, sys, time
		steps = [s.split("=>") for s in sys.argv[1].split("|")]
		keys = {"^C": b"\x03", "^Z": b"\x1a", "^\\": b"\x1c"}
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[2], sys.argv[2:])
		out, since, deadline = b"", None, time.time() + 60
		while time.time() < deadline:
		    if select.select([fd], [], [], 0.1)[0]:
		        try:
		            got = os.read(fd, 65536)
		        except OSError:
		            break
		        if not got:
		            break
		        out += got
		    if steps and steps[0][0].encode() in out:
		        since = since or time.time()
		        if time.time() - since > 0.7:
		            key = steps.pop(0)[1]
		            os.write(fd, keys.get(key) or key.encode() + b"\n")
		            since = None
		else:
		    os.kill(pid, 9)
		    print("not ended after a minute")
		print(out.decode(errors="replace"))
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	"$CPROF" record -q -o can.folded true >/dev/null 2>&1 || skip "perf events are not allowed here"
}

on_terminal() { run python3 "$BATS_FILE_TMPDIR/terminal.py" "$@"; echo "$output"; }

@test "a progress line; ctrl-C reaches the program, once, and the files are written" {
	on_terminal ' samples=>^C' "$CPROF" record -o x.svg sh -c \
		'trap "echo interrupted; exit 5" INT; while :; do :; done'
	[ "$status" -eq 5 ]
	[ "$(grep -c interrupted <<<"$output")" = 1 ]
	[[ "$output" == *"[cprof]"*" samples"* ]]
	[[ "$output" == *"wrote x.svg"* ]]
	[ -s x.svg ]
}

@test "a second ctrl-C leaves a program that does not end; ctrl-\\ ends it" {
	on_terminal ' samples=>^C|^C=>^C' "$CPROF" record -o x.svg sh -c \
		'trap "" INT; echo $$ >pid; while :; do :; done'
	kill -9 "$(cat pid)"
	[ "$status" -eq 130 ]
	[[ "$output" == *"goes on as process $(cat pid)"* ]]
	[ -s x.svg ]
	on_terminal ' samples=>^\' "$CPROF" record -o y.svg "$FIXTURES/burn" 1000
	[ "$status" -eq 131 ]
	[ -s y.svg ]
}

@test "ctrl-Z stops both, fg goes on with both" {
	cp "$FIXTURES/burn" ./stopped
	on_terminal ' samples=>^Z' bash --norc --noprofile -ic "set -m; '$CPROF' record -o x.svg ./stopped 3; \
		pgrep -x stopped | xargs ps -o stat= -p | grep -q ^T && echo both stopped; fg >/dev/null; echo \"ended \$?\""
	[[ "$output" == *"both stopped"* ]]
	[[ "$output" == *"ended 0"* ]]
	[ -s x.svg ]
}

@test "ctrl-C ends a recording that has no program of its own" {
	"$FIXTURES/burn" 1000 >/dev/null &
	on_terminal ' samples=>^C' "$CPROF" record -p $! -o x.svg
	kill -0 $!
	kill $!
	[ "$status" -eq 0 ]
	[ -s x.svg ]
}
