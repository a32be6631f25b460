# Demo workloads and cprof demo.

can_record() {
	cprof --help | grep -q '^  record' || skip "this cprof has no record"
	cprof doctor >/dev/null || skip "nothing can be recorded here (cprof doctor)"
}

@test "every demo has a folder with a README, a program, and both variants" {
	for folder in demo_workloads/*/; do
		name=$(basename "$folder")
		[ "$name" != common ] || continue
		[ -s "$folder/README.md" ]
		grep -q "DEMO($name," demo_workloads/demos.h
		run "$CPROF_BUILD/demos/$name" --help
		[ "$status" = 0 ]
		[[ $output == *baseline* && $output == *optimised* ]]
		[[ $(cprof demo list) == *"$name"* ]]
	done
}

@test "simd: every variant finds the same answers at sizes that fit no register evenly" {
	for variant in baseline ilp optimised; do
		for size in 64 1023 4K 65537 1M; do
			run "$CPROF_BUILD/demos/simd" --variant $variant --seconds 0.02 --size $size --threads 2
			[ "$status" = 0 ]
			[[ ${lines[-1]} =~ ^metric\ [0-9.]+\ GB/s$ ]]
		done
	done
}

@test "simd: what makes no sense is refused" {
	for wrong in "--variant fast" "--seconds 0" "--threads 0" "--size x" "--size 3T" "--size 10" "extra"; do
		run "$CPROF_BUILD/demos/simd" $wrong --seconds 0.01
		[ "$status" != 0 ]
	done
}

@test "cprof demo: usage" {
	run cprof demo smid
	[ "$status" = 2 ]
	[[ $output == *"did you mean simd?"* ]]
	run cprof demo simd --folder /nowhere
	[ "$status" = 1 ]
}

@test "cprof demo simd: both recorded, the ratio with its interval" {
	can_record
	run cprof demo simd --seconds 1 --rounds 7 --folder "$BATS_TEST_TMPDIR"
	echo "$output"
	[ "$status" = 0 ]
	for variant in baseline optimised; do
		for ending in svg pb.gz cprof; do
			[ -s "$BATS_TEST_TMPDIR/simd-$variant.$ending" ]
		done
	done
	cprof convert "$BATS_TEST_TMPDIR/simd-baseline.cprof" -o "$BATS_TEST_TMPDIR/b.folded"
	cprof convert "$BATS_TEST_TMPDIR/simd-optimised.cprof" -o "$BATS_TEST_TMPDIR/o.folded"
	grep -q 'main;.*sum_scalar' "$BATS_TEST_TMPDIR/b.folded"
	grep -q 'main;.*sum_' "$BATS_TEST_TMPDIR/o.folded"
	! grep -q 'sum_scalar' "$BATS_TEST_TMPDIR/o.folded"
	[[ $output =~ "optimised / baseline: "[0-9.]+" ["[0-9.]+", "[0-9.]+"] (median of 7" ]]
}

@test "cprof demo: too few rounds have no interval" {
	can_record
	run cprof demo simd --seconds 0.5 --rounds 2 --folder "$BATS_TEST_TMPDIR"
	[ "$status" = 0 ]
	[[ $output == *"too few for an interval"* ]]
}
