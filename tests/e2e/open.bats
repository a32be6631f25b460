#!/usr/bin/env bats
# `cprof record --open`: a program that stands for the browser writes down what it was given.

setup_file() {
	export CPROF=$(realpath "${CPROF_BUILD:-$BATS_TEST_DIRNAME/../../build}/cprof")
}

setup() {
	cd "$BATS_TEST_TMPDIR"
	"$CPROF" record -q -o can.folded true >/dev/null 2>&1 || skip "perf events are not allowed here"
	unset DISPLAY WAYLAND_DISPLAY BROWSER
	mkdir out && chmod 777 out
	printf '#!/bin/sh\n{ echo "$@"; id -u; id -G; echo "$HOME"; } >out/wip && mv out/wip out/opened\n%s\n' \
		'[ -z "$STAYS" ] || exec sleep 5' >browser
	chmod 755 browser . 2>/dev/null
}

opened() { # waits for what the browser wrote
	for _ in $(seq 200); do
		[ -s out/opened ] && break
		sleep 0.05
	done
	cat out/opened
}

@test "the picture is opened, and nobody waits for what opens it" {
	STAYS=1 BROWSER="no_such:$PWD/browser --new-window %s" run "$CPROF" record --open -o 'a b.svg' true
	[ "$status" -eq 0 ] # and bats, which reads to the end of stderr, goes on before it ends
	[[ "$output" == *"opening $PWD/a b.svg"* ]]
	[ "$(opened | head -1)" = "--new-window $PWD/a b.svg" ]
	rm out/opened
	mkdir bin && cp browser bin/xdg-open
	DISPLAY=:9 PATH="$PWD/bin:$PATH" "$CPROF" record -q --open true
	[ "$(opened | head -1)" = "$PWD/cprof.svg" ]
}

@test "what stands in the way is said, and fails nothing" {
	run "$CPROF" record --open -o x.svg sh -c 'exit 3'
	[ "$status" -eq 3 ]
	[[ "$output" == *"there is no display here"*"$PWD/x.svg"* ]]
	mkdir empty
	DISPLAY=:9 PATH="$PWD/empty" run "$CPROF" record --open -o x.svg /bin/true
	[ "$status" -eq 0 ]
	[[ "$output" == *"nothing here opens files"* ]]
	run "$CPROF" record --open -o x.folded true
	[ "$status" -eq 0 ]
	[[ "$output" == *"no flame graph was written"* ]]
	echo 'no program' >broken && chmod 755 broken
	BROWSER=./broken run "$CPROF" record --open -o x.svg true
	[ "$status" -eq 0 ]
}

@test "under sudo it is the user's browser, not root's" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	home=$(getent passwd 65534 | cut -d: -f6)
	[ -n "$home" ] || skip "there is no user 65534"
	setpriv --reuid 65534 --clear-groups ./browser || skip "the test folder is closed to others"
	for as in "" --as-root; do
		rm -f out/opened
		SUDO_UID=65534 SUDO_GID=65534 BROWSER=./browser "$CPROF" record -q $as --open -o x.svg true
		opened >got
		[ "$(sed -n '2,4p' got)" = $'65534\n65534\n'"$home" ]
	done
}
