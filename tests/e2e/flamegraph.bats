# cprof flamegraph: from what people have in their hands to a picture.

need() { # FILE: $file is an input that somebody else made, or the test is skipped
	file=${CPROF_TEST_DATA:-$PWD/../shared/data}/$1
	[ -r "$file" ] || skip "no $1: set CPROF_TEST_DATA to the folder of test inputs"
}

total_of() { # SVG: what #frames says it holds
	sed -n 's/.* total_samples="\([0-9]*\)".*/\1/p' "$1"
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.." || return
	out=$BATS_TEST_TMPDIR/out.svg
	printf 'a;b 3\na;c 2\na;c;d_[k] 5\n' >"$BATS_TEST_TMPDIR/in.folded"
	in=$BATS_TEST_TMPDIR/in.folded
}

@test "perf script | cprof flamegraph - > flame.svg works as typed" {
	for name in perf-java-stacks-01 perf-dd-stacks-01 perf-numa-stacks-01 cpp-stacks-std-function; do
		need "perf-script/$name.txt"
		cat "$file" | cprof flamegraph - >"$out"
		samples=$(cprof convert "$file" -o - --to folded | awk '{ n += $NF } END { print n }')
		[ "$(total_of "$out")" = "$samples" ]
		[ "$samples" -gt 0 ]
		if command -v xmllint >/dev/null; then xmllint --noout "$out"; fi
	done
}

@test "a pprof file of several value types: --type chooses, a wrong one lists them" {
	need pprof/alloc_objects.pb.gz
	cprof flamegraph "$file" --type alloc_space -o "$out"
	grep -Eq '<title>all \([0-9.]+ [KMGT]iB, 100%\)</title>' "$out"
	space=$(total_of "$out")
	cprof flamegraph "$file" --type alloc_objects -o "$out"
	grep -Eq '<title>all \([0-9,]+ alloc_objects, 100%\)</title>' "$out"
	[ "$(total_of "$out")" -lt "$space" ]
	objects=$(cprof convert "$file" --type alloc_objects -o - --to folded | awk '{ n += $NF } END { printf "%.0f", n }')
	[ "$(total_of "$out")" = "$objects" ]
	run cprof flamegraph "$file" --type nonsense -o "$out"
	[ "$status" = 2 ]
	[[ $output == *alloc_space* ]]
}

@test "without -o: stdout, or a file beside the input where stdout is a terminal" {
	cprof flamegraph "$in" | grep -q '<title>d (5 samples, 50.00%)</title>'
	[ ! -e "$BATS_TEST_TMPDIR/in.svg" ]
	command -v script >/dev/null || skip "not installed: script"
	script -qec "cprof flamegraph $in" /dev/null >"$BATS_TEST_TMPDIR/said" </dev/null
	grep -q 'wrote .*in.svg' "$BATS_TEST_TMPDIR/said"
	cmp "$BATS_TEST_TMPDIR/in.svg" <(cprof flamegraph "$in")
}

@test "the picture's options are in the picture" {
	cprof flamegraph "$in" --title 'Before & after' --subtitle '10 samples' --width 800 --icicle -o "$out"
	grep -q 'width="800"' "$out"
	grep -q 'id="title".*>Before &amp; after</text>' "$out"
	grep -q 'id="subtitle".*>10 samples</text>' "$out"
	grep -q '<title>all (10 samples, 100%)</title><rect x="0%" y="0"' "$out"
	cprof flamegraph "$in" --minwidth 40% -o "$out"
	[ "$(grep -c 'fg:w=' "$out")" = 4 ]
	grep -q 'id="note">1 frame narrower than 40% not drawn' "$out"
	cprof flamegraph "$in" --reverse -o "$out"
	[ "$(total_of "$out")" = 10 ]
	grep -q '<title>a (3 samples, 30.00%)</title>' "$out"
}

@test "every palette draws, kernel and user frames differ by default" {
	for palette in default hot mem io wakeup chain java js perl python rust red green blue aqua yellow purple orange; do
		cprof flamegraph "$in" --colors "$palette" -o "$BATS_TEST_TMPDIR/$palette.svg"
	done
	grep -q '>kernel</text>' "$BATS_TEST_TMPDIR/default.svg"
	[ "$(grep -c '>kernel</text>' "$BATS_TEST_TMPDIR/hot.svg")" = 0 ]
	run cmp "$BATS_TEST_TMPDIR/red.svg" "$BATS_TEST_TMPDIR/blue.svg"
	[ "$status" = 1 ]
	run cprof flamegraph "$in" --colors prul
	[ "$status" = 2 ]
	[[ $output == *"did you mean perl?"* ]]
}

@test "mistakes are named, and nothing is left behind" {
	for arguments in '-o x.png' '-o x.folded' '--minwidth wide' '--minwidth 101%' '--width 3' 'one two' '--icycle'; do
		run cprof flamegraph "$in" $arguments
		[ "$status" = 2 ]
		[[ $output == cprof:* ]]
	done
	run cprof flamegraph "$in" --icycle
	[[ $output == *--icicle* ]]
	run cprof flamegraph "$BATS_TEST_TMPDIR/none" -o "$out"
	[ "$status" = 1 ]
	echo kept >"$out"
	: >"$BATS_TEST_TMPDIR/empty"
	run cprof flamegraph "$BATS_TEST_TMPDIR/empty" -o "$out"
	[ "$status" = 1 ]
	[ "$(cat "$out")" = kept ]
	[ "$(ls "$BATS_TEST_TMPDIR" | grep -c tmp-)" = 0 ]
	run bash -c "cprof flamegraph '$in' >/dev/full"
	[ "$status" = 1 ]
	[[ $output == *"No space left"* ]]
}
