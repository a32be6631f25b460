# cprof convert: what it reads, what it writes, and what other people's readers make of that.

bats_require_minimum_version 1.5.0

# Debian's golang-1.19-go has a pprof that runs alone; newer Go builds it on the first use.
find_pprof() {
	if [ -n "${CPROF_PPROF:-}" ]; then
		echo "$CPROF_PPROF"
		return
	fi
	ls /usr/lib/go-*/pkg/tool/*/pprof 2>/dev/null | tail -1
}

need_pprof() {
	PPROF=$(find_pprof)
	[ -x "$PPROF" ] || skip "no go tool pprof (set CPROF_PPROF)"
	export HOME=$BATS_TEST_TMPDIR
}

need_data() { # FILE...: leaves their folder in $data
	local file
	data=${CPROF_TEST_DATA:-../shared/data}
	for file; do
		[ -e "$data/$file" ] || skip "no test data $file (set CPROF_TEST_DATA)"
	done
}

folded_total() { # FILE: the sum of its counts
	awk '{ sum += $NF } END { printf "%.0f\n", sum }' "$1"
}

# TYPE FILE: the total that pprof itself prints for a value type, in its base unit
pprof_total() {
	"$PPROF" -sample_index="$1" -top "$2" 2>/dev/null | sed -n 's/.* of \([0-9.]*\)[a-z]* total.*/\1/p' | tail -1
}

setup() {
	cd "$BATS_TEST_DIRNAME/../.."
	tmp=$BATS_TEST_TMPDIR
	printf 'main;f;g 3\nmain;f 2\nmain;with blanks;h 5\n' >"$tmp/in.folded"
	LC_ALL=C sort "$tmp/in.folded" >"$tmp/sorted"
}

@test "folded to pprof to folded is the same" {
	cprof convert "$tmp/in.folded" -o "$tmp/x.pb.gz" -o "$tmp/y.folded"
	cprof convert "$tmp/x.pb.gz" -o "$tmp/z.folded"
	cmp "$tmp/sorted" "$tmp/y.folded"
	cmp "$tmp/y.folded" "$tmp/z.folded"
}

@test "the same input gives the same bytes" {
	cprof convert "$tmp/in.folded" -o "$tmp/a.pb.gz"
	cprof convert "$tmp/in.folded" -o "$tmp/b.pb.gz"
	cmp "$tmp/a.pb.gz" "$tmp/b.pb.gz"
}

@test "a pipe on both sides" {
	run --separate-stderr bash -c 'cat "$1" | cprof convert - -o - --to folded' - "$tmp/in.folded"
	[ "$status" = 0 ]
	[ "${lines[0]}" = "main;f 2" ]
	[ -z "$stderr" ]
}

@test "go tool pprof reads the totals and the names" {
	need_pprof
	cprof convert "$tmp/in.folded" -o "$tmp/x.pb.gz"
	run "$PPROF" -raw "$tmp/x.pb.gz"
	[ "$status" = 0 ]
	[[ "$output" = *"samples/count"* ]]
	[[ "$output" = *"with blanks"* ]]
	[ "$(pprof_total samples "$tmp/x.pb.gz")" = 10 ]
	run "$PPROF" -top "$tmp/x.pb.gz"
	[[ "$output" =~ 5\ +50.00%.*\ h ]]
}

@test "go tool pprof agrees with perf script text on the event's total" {
	need_pprof
	need_data perf-script/perf-dd-stacks-01.txt perf-script/perf-dd-stacks-01.folded
	input=$data/perf-script/perf-dd-stacks-01.txt
	cprof convert "$input" -o "$tmp/x.pb.gz" -o "$tmp/x.folded"
	cprof convert "$input" -o - --to folded --names perl |
		cmp - "$data/perf-script/perf-dd-stacks-01.folded"
	total=$(folded_total "$tmp/x.folded")
	[ "$("$PPROF" -unit=ns -sample_index=cpu_clock -top "$tmp/x.pb.gz" 2>/dev/null |
		sed -n 's/.* of \([0-9]*\)ns total.*/\1/p')" = "$total" ]
}

@test "profiles of others come out of pprof as they went in" {
	need_pprof
	files="pprof/alloc_objects.pb.gz pprof/labels.pb.gz pprof/cpu-profiler-labels.pprof"
	need_data $files
	for name in $files; do
		input=$data/$name
		cprof convert "$input" -o "$tmp/x.pb.gz"
		"$PPROF" -raw "$input" 2>/dev/null | sed 's/\[dflt\]//' >"$tmp/before"
		"$PPROF" -raw "$tmp/x.pb.gz" 2>/dev/null | sed 's/\[dflt\]//' >"$tmp/after"
		grep -q '^Samples:' "$tmp/before"
		cmp "$tmp/before" "$tmp/after"
	done
}

@test "names with every kind of hostile byte pass through pprof" {
	need_pprof
	printf 'main;</script><b>\x1b[0m;\xff\xfe&"quoted";operator<<(std::ostream&) 7\n' >"$tmp/in"
	cprof convert "$tmp/in" --from folded -o "$tmp/x.pb.gz" -o "$tmp/x.folded"
	run "$PPROF" -raw "$tmp/x.pb.gz"
	[ "$status" = 0 ]
	[[ "$output" = *"operator<<(std::ostream&)"* ]]
	[[ "$output" = *$'\xef\xbf\xbd\xef\xbf\xbd&"quoted"'* ]]
	[ "$(wc -l <"$tmp/x.folded")" = 1 ]
	[ "$(folded_total "$tmp/x.folded")" = 7 ]
	# As text the escape is dropped, and what is written is what is read.
	cprof convert "$tmp/x.folded" -o - --to folded | cmp - "$tmp/x.folded"
	! grep -q $'\x1b' "$tmp/x.folded"
}

@test "events: the first is read and the others are named" {
	need_data perf-script/perf-cycles-instructions-01.txt
	input=$data/perf-script/perf-cycles-instructions-01.txt
	run --separate-stderr cprof convert "$input" -o - --to folded
	[ "$status" = 0 ]
	[[ "$stderr" = *"read is instructions: cycles"* ]]
	run cprof convert "$input" -o - --to folded --event nonesuch
	[ "$status" = 1 ]
	[[ "$output" = *"it has instructions, cycles"* ]]
}

@test "marks are written on request" {
	need_data perf-script/perf-dd-stacks-01.txt
	input=$data/perf-script/perf-dd-stacks-01.txt
	run cprof convert "$input" -o - --to folded --kernel
	[[ "$output" = *"vfs_read_[k]"* ]]
	run cprof convert "$input" -o - --to folded
	[[ "$output" != *"_[k]"* ]]
	# They become kinds, and come back from pprof.
	printf 'a;b_[k];c_[j];d_[i] 1\n' >"$tmp/in.folded"
	cprof convert "$tmp/in.folded" -o "$tmp/x.pb.gz"
	[ "$(cprof convert "$tmp/x.pb.gz" -o - --to folded --all)" = "a;b_[k];c_[j];d_[i] 1" ]
}

@test "trouble is told with what to do" {
	run cprof convert "$tmp/in.folded"
	[ "$status" = 2 ]
	[[ "$output" = *"needs -o FILE"* ]]
	run cprof convert "$tmp/in.folded" -o "$tmp/x.png"
	[ "$status" = 2 ]
	[[ "$output" = *"x.png"*".pb.gz"*".folded"* ]]
	[ ! -e "$tmp/x.png" ]
	run cprof convert "$tmp/in.folded" -o -
	[ "$status" = 2 ]
	[[ "$output" = *"--to"* ]]
	run cprof convert "$tmp/in.folded" -o "$tmp/x.folded" --from nonesuch
	[ "$status" = 2 ]
	[[ "$output" = *"perf-script"* ]]
	run cprof convert "$tmp/nonesuch" -o "$tmp/x.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"No such file"* ]]
	: >"$tmp/empty"
	run cprof convert "$tmp/empty" -o "$tmp/x.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"is empty"* ]]
	run cprof convert "$BATS_TEST_DIRNAME/convert.bats" -o "$tmp/x.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"tried cprof, pprof"* ]]
	run cprof convert a b -o "$tmp/x.folded"
	[ "$status" = 2 ]
	run cprof convert "$tmp/in.folded" -o "$tmp/x.folded" --type nonesuch
	[ "$status" = 2 ]
	[[ "$output" = *"samples"* ]]
	[ ! -e "$tmp/x.folded" ]
}

@test "a truncated gzip file and a full disk fail and leave the old file" {
	cprof convert "$tmp/in.folded" -o "$tmp/x.pb.gz"
	head -c 60 "$tmp/x.pb.gz" >"$tmp/cut.pb.gz"
	cp "$tmp/sorted" "$tmp/old.folded"
	run cprof convert "$tmp/cut.pb.gz" -o "$tmp/old.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"ends too early"* ]]
	cmp "$tmp/sorted" "$tmp/old.folded"
	run bash -c 'cprof convert "$1" -o - --to folded >/dev/full' - "$tmp/in.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"No space left"* ]]
}

@test "a gperftools profile is named, and the way to read it works" {
	need_pprof
	need_data pprof/gobench.cpu
	run cprof convert "$data/pprof/gobench.cpu" -o "$tmp/x.folded"
	[ "$status" = 1 ]
	[[ "$output" = *"gperftools"*"pprof -proto"* ]]
	"$PPROF" -proto -output "$tmp/x.pb.gz" "$data/pprof/gobench.cpu" 2>/dev/null
	cprof convert "$tmp/x.pb.gz" -o "$tmp/x.folded" --type cpu
	[ "$(folded_total "$tmp/x.folded")" -gt 0 ]
}
