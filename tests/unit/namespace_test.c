/* profiler/process: the namespaces that cprof is in, from files as kernels write them. */
#include "tests/unit/unit.h"

#include <unistd.h>

#include "profiler/process/namespace.h"

static void check_status(const char *status, uint32_t own_pid, const char *words)
{
	struct error *err = proc_check_status(status, own_pid);

	if (!words) {
		assert_no_error(err);
		return;
	}
	assert_non_null(err);
	assert_non_null(strstr(error_message(err), words));
	assert_non_null(strstr(error_hint_of(err), "mount -t proc"));
	error_free(err);
}

static void numbers_of_another_namespace(void **state)
{
	check_status("Name:\tcprof\nNSpid:\t12\nNSpgid:\t12\n", 12, NULL);
	check_status("Name:\tcprof\nPid:\t12\n", 12, NULL); /* a kernel without namespaces */
	check_status("Name:\tcprof\nNSpid:\t4711\t1\nNSpgid:\t0\t0\n", 1,
		     "cprof is process 4711 there, and 1 here");
	check_status("Name:\tcprof\nNSpid:\t7\t7\nNSpgid:\t0\t0\n", 7, "another pid namespace");
	check_status("Name:\tcprof\nNSpid:\t4711\t12\t1\nNSpgid:\t0\n", 1, "4711 there");
	check_status("Name:\tcprof\nNSpid:\t12\n3\n", 5, "12 there, and 5 here");
	check_status("Name:\tcprof\nNSpid:\n", 5, NULL);
	check_status("", 5, NULL);
}

static void clocks_that_are_ahead_or_behind(void **state)
{
	int64_t ns = 7;

	assert_true(proc_clock_offset_parse("monotonic           0         0\n"
					    "boottime            0         0\n",
					    &ns));
	assert_int_equal(ns, 0);
	assert_true(
		proc_clock_offset_parse("monotonic        1000 500000000\nboottime 3 0\n", &ns));
	assert_int_equal(ns, 1000500000000);
	assert_true(
		proc_clock_offset_parse("boottime 3 0\nmonotonic       -1000 500000000\n", &ns));
	assert_int_equal(ns, -999500000000);
	ns = 7;
	assert_false(proc_clock_offset_parse("", &ns));
	assert_false(proc_clock_offset_parse("monotonic", &ns));
	assert_false(proc_clock_offset_parse("monotonic x 0\n", &ns));
	assert_int_equal(ns, 7);
}

static void this_machine(void **state)
{
	assert_no_error(proc_check_mount());
	assert_no_error(proc_set_clock());
	assert_true(proc_now() > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_of_another_namespace),
		cmocka_unit_test(clocks_that_are_ahead_or_behind),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
