# cprof report: the hottest functions of a recording or of any other profile.

# A program whose time is in burn(), called by work(); recorded once for all tests of this file.
setup_file() {
	cd "$BATS_FILE_TMPDIR" || return 1
	cat >burn.c <<-'END'
	#include <time.h>
	static volatile unsigned long sink;
	__attribute__((noinline)) void burn(void)
	{
		for (int i = 0; i < 1000000; i++)
			sink += i;
	}
	__attribute__((noinline)) void work(void)
	{
		burn();
		__asm__ volatile("");
	}
	int main(void)
	{
		while (clock() < CLOCKS_PER_SEC * 7 / 10)
			work();
		return 0;
	}
	END
	${CC:-cc} -O2 -o burner burn.c || return 1
	cprof record -o burner.cprof -- ./burner 2>record.log || echo $? >record.failed
}

setup() {
	cd "$BATS_FILE_TMPDIR"
	printf 'app;main;a;b 100\napp;main;a;c 50\napp;main;a;a;b 25\napp;main;d_[k] 3\n' >a.folded
}

recorded() { # skips where this machine lets nobody record
	[ ! -e record.failed ] || skip "nothing can be recorded here: $(cat record.log)"
}

@test "a recording: the hot function, its callers, and how good it is" {
	recorded
	run cprof report burner.cprof
	[ "$status" = 0 ]
	[[ ${lines[0]} == *"./burner"* ]]
	[[ $output == *"complete "*" %"* ]]
	[[ $output == *"ledger: "*" expected"*" recorded"* ]]
	hottest=$(grep -A1 'function$' <<<"$output" | tail -1)
	[[ $hottest == *"burn" ]]
	cprof report --json burner.cprof | python3 -c '
import json, sys
doc = json.load(sys.stdin)
f = {f["name"]: f for f in doc["functions"]}
assert doc["functions"][0]["name"] == "burn"
assert f["burn"]["self_percent"] > 80, f["burn"]
assert f["work"]["total_ns"] >= f["burn"]["self_ns"]
assert f["main"]["total_ns"] >= f["work"]["total_ns"]
h = doc["health"]
assert h["complete_stacks"] + h["cut_stacks"] <= h["samples"]
assert h["complete_percent"] > 90, h
assert sum(h["statuses"].values()) == h["samples"]
'
}

@test "without FILE it reads cprof.cprof" {
	recorded
	cp burner.cprof cprof.cprof
	run cprof report
	rm cprof.cprof
	[ "$status" = 0 ]
	[[ $output == *"burn"* ]]
	run cprof report
	[ "$status" = 1 ]
	[[ $output == *"cprof.cprof"* ]]
}

@test "the recording has the names itself: the program may be gone" {
	recorded
	mv burner gone
	run cprof report burner.cprof
	mv gone burner
	[ "$status" = 0 ]
	[[ $output == *" burn"* ]]
}

@test "JSON has the fields of its schema, and the numbers of the table" {
	recorded
	for arguments in "burner.cprof" "burner.cprof --tree" "a.folded --tree" "a.folded --top 2"; do
		cprof report --json $arguments >report.json
		python3 - "$BATS_TEST_DIRNAME/../../docs/report.schema.json" report.json <<-'END'
		import json, re, sys
		schema, doc = (json.load(open(f)) for f in sys.argv[1:])
		def check(what, value, s):
		    kinds = {"object": dict, "array": list, "string": str, "boolean": bool,
		             "integer": int, "number": (int, float), "null": type(None)}
		    if "const" in s: assert value == s["const"], what
		    if "enum" in s: assert value in s["enum"], what
		    if "type" in s:
		        types = s["type"] if isinstance(s["type"], list) else [s["type"]]
		        assert any(isinstance(value, kinds[t]) for t in types), (what, value)
		    if isinstance(value, dict):
		        for key in s.get("required", []): assert key in value, (what, key)
		        for key, v in value.items():
		            sub = s.get("properties", {}).get(key)
		            for pattern, p in s.get("patternProperties", {}).items():
		                if sub is None and re.search(pattern, key): sub = p
		            if sub is None: sub = s.get("additionalProperties", {})
		            assert sub is not False, (what, key)
		            check(what + "." + key, v, sub)
		    if isinstance(value, list):
		        for v in value: check(what + "[]", v, s.get("items", {}))
		check("report", doc, schema)
		END
	done
	table=$(cprof report --type samples a.folded | sed -n 's/^ *[0-9.]* % *\([0-9]*\) samples.*  b$/\1/p')
	[ "$table" = 125 ]
	cprof report --json a.folded | python3 -c '
import json, sys
b = [f for f in json.load(sys.stdin)["functions"] if f["name"] == "b"][0]
assert b["self_samples"] == 125 and b["total_samples"] == 125, b'
}

@test "every format that is read gives the same numbers" {
	recorded
	cprof convert burner.cprof -o burner.pb.gz -o burner.folded
	for file in burner.cprof burner.pb.gz burner.folded; do
		cprof report --json --type samples --top 1 "$file" | python3 -c '
import json, sys
doc = json.load(sys.stdin)
print(doc["total_samples"], doc["functions"][0])' >"$file.numbers"
	done
	# folded text has the process as a frame; the hottest function is the same
	cmp burner.cprof.numbers burner.pb.gz.numbers
	cmp burner.cprof.numbers burner.folded.numbers
	cprof report - <burner.pb.gz | grep -q burn
}

@test "the tree leaves out what is below the cut-off" {
	run cprof report --tree a.folded
	[ "$status" = 0 ]
	[[ $output == *"- a"*"- b"*"- c"*"d_[k]"* ]]
	run cprof report --tree --cutoff 20 a.folded
	[ "$status" = 0 ]
	[[ $output == *"- c"* ]]
	[[ $output != *"d_[k]"* ]]
	run cprof report --cutoff 20 a.folded
	[ "$status" = 2 ]
	run cprof report --tree --cutoff 200 a.folded
	[ "$status" = 2 ]
}

@test "Markdown is a table" {
	run cprof report --md --top 2 a.folded
	[ "$status" = 0 ]
	[ "$(grep -c '^| [0-9.]* %' <<<"$output")" = 2 ]
	[[ $output == *'| 70.2 % | 125 samples | 70.2 % | 125 samples | `b` |'* ]]
}

@test "too few samples are told, with a rate that would do" {
	recorded
	cprof record -q -F 99 -o few.cprof -- ./burner || skip "nothing can be recorded here"
	run cprof report few.cprof
	[ "$status" = 0 ]
	[[ $output == *"too few samples"*"-F "[0-9]* ]]
	run cprof report burner.cprof
	[[ $output != *"too few samples"* ]]
}

@test "a cut recording is read as far as it goes, and said to be cut" {
	recorded
	size=$(stat -c %s burner.cprof)
	head -c $((size - 10)) burner.cprof >cut.cprof
	run cprof report cut.cprof
	[ "$status" = 0 ]
	[[ $output == *"was cut"* ]]
	[[ $output == *"burn"* ]]
	[ "$(cprof report --json cut.cprof 2>/dev/null | python3 -c '
import json, sys
print(json.load(sys.stdin)["recording"]["was_cut"])')" = True ]
}

@test "kill -9 of cprof leaves all but the last second, with names" {
	recorded
	sed 's/7 \/ 10/6/' burn.c >long.c
	${CC:-cc} -O2 -o longer long.c
	rm -f killed.cprof
	cprof record -q -o killed.cprof -- ./longer &
	cprof=$!
	# until a second of samples is written
	for _ in $(seq 200); do
		size=$(stat -c %s killed.cprof 2>/dev/null || echo 0)
		[ "$size" -lt 4500 ] || break
		sleep 0.1
	done
	target=$(pgrep -P $cprof)
	kill -9 $cprof
	wait $cprof || true
	kill "$target"
	run cprof report killed.cprof
	[ "$status" = 0 ]
	[[ $output == *"was cut"* ]]
	[[ $output == *" burn"* ]]
}

@test "what cannot be read is an error with its reason" {
	run cprof report nowhere.cprof
	[ "$status" = 1 ]
	[[ $output == *"nowhere.cprof"*"No such file"* ]]
	: >empty
	run cprof report empty
	[ "$status" = 1 ]
	[[ $output == *"empty is empty"* ]]
	printf '\x8fcprof\r\n\x09\x00\x00\x00' >newer.cprof
	run cprof report newer.cprof
	[ "$status" = 1 ]
	[[ $output == *"version 9.0"* ]]
	head -c 3000 /dev/urandom >noise
	run cprof report noise
	[ "$status" = 1 ]
	run cprof report .
	[ "$status" = 1 ]
}

@test "usage mistakes name the word" {
	run cprof report --tre a.folded
	[ "$status" = 2 ]
	[[ $output == *"--tre"*"--tree"* ]]
	run cprof report --type nothing a.folded
	[ "$status" = 2 ]
	[[ $output == *"nothing"*"samples"* ]]
	run cprof report a.folded b.folded
	[ "$status" = 2 ]
	[[ $output == *"b.folded"* ]]
	run cprof report --json --md a.folded
	[ "$status" = 2 ]
	run cprof report --top many a.folded
	[ "$status" = 2 ]
}

@test "a full disk behind stdout is a failure" {
	[ -w /dev/full ] || skip "no /dev/full here"
	run bash -c 'cprof report a.folded >/dev/full'
	[ "$status" = 1 ]
	[[ $output == *"cannot write"* ]]
}

@test "colour only on a terminal, and NO_COLOR holds" {
	cprof report a.folded >piped
	! grep -q $'\033' piped
	command -v script >/dev/null || skip "no script(1) to make a terminal"
	TERM=xterm script -qec "cprof report a.folded" /dev/null >colored
	grep -q $'\033\[' colored
	TERM=xterm NO_COLOR=1 script -qec "cprof report a.folded" /dev/null >plain
	! grep -q $'\033\[' plain
}

@test "names from outside cannot write to the terminal" {
	printf 'app;\033]0;title\a;b\377\t 5\n' >hostile.folded
	cp hostile.folded $'hostile\033[31m.folded'
	for option in "" --tree --md --json; do
		cprof report $option $'hostile\033[31m.folded' >out
		! grep -q $'[\033\a]' out
	done
}

@test "no recording, and files that are none: what to do is said" {
	mkdir empty && cd empty
	run cprof report
	[ "$status" -eq 1 ]
	[[ "$output" == *"cprof record ./app"* ]]
	printf 'PERFILE2 and more' >perf.data
	run cprof report perf.data
	[ "$status" -eq 1 ]
	[[ "$output" == *"perf script -i perf.data | cprof report -"* ]]
	printf '<?xml version="1.0"?><svg/>' >x.svg
	run cprof flamegraph x.svg
	[ "$status" -eq 1 ]
	[[ "$output" == *"picture"* ]]
}
