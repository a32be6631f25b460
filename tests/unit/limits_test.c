/* profiler/perf: why the kernel refused, told from the facts. Each case is a machine as users have
 * it. */
#include "tests/unit/unit.h"

#include <linux/perf_event.h>

#include "profiler/perf/explain.h"

#define PERFMON	 (UINT64_C(1) << PEV_CAP_PERFMON)
#define IPC_LOCK (UINT64_C(1) << PEV_CAP_IPC_LOCK)

static const struct pev_limits debian_user = {
	.uid = 1000,
	.call_errno = EINVAL,
	.paranoid = 3,
	.max_sample_rate = 100000,
	.mlock_kb = 516,
	.memlock_bytes = 8 << 20,
	.nofile = 1024,
	.nofile_hard = 1048576,
	.cpus = 2,
};

static struct perf_event_attr clock_attr(bool user_only)
{
	struct perf_event_attr a = { .type = PERF_TYPE_SOFTWARE,
				     .config = PERF_COUNT_SW_CPU_CLOCK };

	a.exclude_kernel = user_only;
	a.freq = 1;
	a.sample_freq = 997;
	return a;
}

/* Message and hint hold these words. */
static void expect(struct error *err, enum error_code code, const char *in_message,
		   const char *in_hint)
{
	assert_int_equal(error_code_of(err), code);
	if (!strstr(error_message(err), in_message))
		fail_msg("'%s' does not say '%s'", error_message(err), in_message);
	if (in_hint && (!error_hint_of(err) || !strstr(error_hint_of(err), in_hint)))
		fail_msg("'%s' does not say '%s'", error_hint_of(err), in_hint);
	error_free(err);
}

static void paranoid_is_named_with_its_fix(void **state)
{
	struct perf_event_attr a = clock_attr(true);
	struct pev_request r = { &a, "cpu-clock", 0 };
	struct pev_limits l = debian_user;

	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION,
	       "perf_event_paranoid is 3", "sysctl kernel.perf_event_paranoid=2");

	l.paranoid = 2;
	a.exclude_kernel = 0;
	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION,
	       "the kernel's part", "kernel.perf_event_paranoid=1");

	a.exclude_kernel = 1;
	r.tid = -1;
	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION, "all programs",
	       "kernel.perf_event_paranoid=0");
}

static void root_of_a_container_is_told_what_it_lacks(void **state)
{
	struct perf_event_attr a = clock_attr(true);
	struct pev_request r = { &a, "cpu-clock", 0 };
	struct pev_limits l = debian_user;

	l.uid = 0;
	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION,
	       "perf_event_paranoid", "--cap-add PERFMON");
	l.in_user_ns = true;
	l.caps = PERFMON;
	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION,
	       "perf_event_paranoid", "user namespace");
}

static void a_filter_is_told_from_the_setting(void **state)
{
	struct perf_event_attr a = clock_attr(true);
	struct pev_request r = { &a, "cpu-clock", 0 };
	struct pev_limits l = debian_user;

	l.seccomp = 2;
	l.call_errno = EPERM;
	expect(pev_explain_open_with(&l, EPERM, &r, (uid_t)-1), ERR_PERMISSION, "seccomp filter",
	       "--cap-add PERFMON --security-opt seccomp=unconfined");
	/* The filter lets the call through: then the setting is the cause. */
	l.call_errno = EINVAL;
	expect(pev_explain_open_with(&l, EACCES, &r, (uid_t)-1), ERR_PERMISSION,
	       "perf_event_paranoid is 3", NULL);
	/* A sandbox that plays the kernel. */
	l.seccomp = 0;
	l.call_errno = EPERM;
	expect(pev_explain_open_with(&l, EPERM, &r, (uid_t)-1), ERR_UNSUPPORTED, "sandbox", NULL);
	/* No filter and no perf events. */
	l.call_errno = ENOSYS;
	expect(pev_explain_open_with(&l, ENOSYS, &r, (uid_t)-1), ERR_UNSUPPORTED, "no perf events",
	       "CONFIG_PERF_EVENTS");
}

static void no_pmu_is_no_lack_of_permission(void **state)
{
	struct perf_event_attr a = { .type = PERF_TYPE_HARDWARE,
				     .config = PERF_COUNT_HW_CPU_CYCLES };
	struct pev_request r = { &a, "cycles", 0 };

	expect(pev_explain_open_with(&debian_user, ENOENT, &r, (uid_t)-1), ERR_UNSUPPORTED,
	       "no hardware counter for cycles", "cpu-clock");
}

static void a_target_of_somebody_else_is_named(void **state)
{
	struct perf_event_attr a = clock_attr(true);
	struct pev_request r = { &a, "cpu-clock", 4711 };
	struct pev_limits l = debian_user;

	l.paranoid = 2;
	expect(pev_explain_open_with(&l, EACCES, &r, 0), ERR_PERMISSION,
	       "thread 4711 belongs to user 0, and cprof runs as user 1000", "as root");
	expect(pev_explain_open_with(&l, EACCES, &r, 1000), ERR_PERMISSION, "thread 4711",
	       "setuid");
	expect(pev_explain_open_with(&l, ESRCH, &r, (uid_t)-1), ERR_NOT_FOUND,
	       "thread 4711 has ended", NULL);
}

static void limits_are_named_with_their_numbers(void **state)
{
	struct perf_event_attr a = clock_attr(true);
	struct pev_request r = { &a, "cpu-clock", 0 };

	expect(pev_explain_open_with(&debian_user, EMFILE, &r, (uid_t)-1), ERR_SYSTEM, "1024",
	       "ulimit -n 1048576");
	a.sample_freq = 200000;
	expect(pev_explain_open_with(&debian_user, EINVAL, &r, (uid_t)-1), ERR_UNSUPPORTED,
	       "100000 Hz at the most", "-F 100000");
	expect(pev_explain_ring_with(&debian_user, EPERM, 1 << 20, 64), ERR_PERMISSION, "516",
	       "perf_event_mlock_kb=");
}

static void rings_fit_into_lockable_memory(void **state)
{
	struct pev_limits l = debian_user;
	uint64_t page = 4096, all = 516 * 1024 * 2 + (8 << 20);

	for (unsigned int rings = 1; rings <= 64; rings *= 4) {
		uint64_t ring = pev_limits_ring_bytes(&l, rings);
		assert_true(ring && (ring & (ring - 1)) == 0);
		assert_true((ring + page) * rings <= all);
		assert_true((2 * ring + page) * rings > all);
	}
	assert_int_equal(pev_limits_ring_bytes(&l, 1 << 20), 0);
	l.caps = IPC_LOCK;
	assert_true(pev_limits_ring_bytes(&l, 64) == UINT64_MAX);
	l.in_user_ns = true;
	assert_true(pev_limits_ring_bytes(&l, 64) < UINT64_MAX);
}

/* On the machine that runs this: the call reaches the kernel exactly where the kernel says so
 * itself. */
static void this_machine_is_read(void **state)
{
	struct pev_limits l;

	pev_limits_read(&l);
	assert_true(l.cpus >= 1);
	assert_true(l.nofile > 0 && l.nofile <= l.nofile_hard);
	if (l.seccomp == 0)
		assert_true(l.call_errno == EINVAL || l.call_errno == ENOSYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paranoid_is_named_with_its_fix),
		cmocka_unit_test(root_of_a_container_is_told_what_it_lacks),
		cmocka_unit_test(a_filter_is_told_from_the_setting),
		cmocka_unit_test(no_pmu_is_no_lack_of_permission),
		cmocka_unit_test(a_target_of_somebody_else_is_named),
		cmocka_unit_test(limits_are_named_with_their_numbers),
		cmocka_unit_test(rings_fit_into_lockable_memory),
		cmocka_unit_test(this_machine_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
