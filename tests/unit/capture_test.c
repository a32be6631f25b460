/*
 * profiler/capture/: recordings of real programs, most of them this one in another role. Programs
 * run until they have used so much CPU time, so that a busy machine makes a test slower, not wrong.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/capture/capture.h"
#include "profiler/capture/perf/events.h"

static char self[4096];
static char own_name[16]; /* as the kernel has it */
static char path[64];

/* --- roles --- */

static _Thread_local volatile uint64_t sink;

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

__attribute__((noinline)) static void burn(clockid_t clock, uint64_t ms)
{
	while (cpu_ns(clock) < ms * 1000000)
		for (int i = 0; i < 20000; i++)
			sink += (uint64_t)i;
}

static void *burn_in_thread(void *ms)
{
	prctl(PR_SET_NAME, "burner");
	burn(CLOCK_THREAD_CPUTIME_ID, (uintptr_t)ms);
	return NULL;
}

static int role_threads(uint64_t count, uint64_t ms)
{
	pthread_t threads[64];

	for (uint64_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, burn_in_thread, (void *)(uintptr_t)ms) != 0)
			return 1;
	for (uint64_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

/* Burns below frames of 40 KiB together: more than the copies hold at first. */
__attribute__((noinline)) static void burn_deep(int depth, clockid_t clock, uint64_t ms)
{
	volatile char room[1024];

	room[0] = 0;
	if (depth == 0)
		burn(clock, ms);
	else
		burn_deep(depth - 1, clock, ms);
	sink += (uint64_t)room[0]; /* no tail call */
}

static void *burn_deep_in_thread(void *ms)
{
	burn_deep(40, CLOCK_THREAD_CPUTIME_ID, (uintptr_t)ms);
	return NULL;
}

/* So many deep threads, one after another. */
static int role_deep(uint64_t count, uint64_t ms)
{
	for (uint64_t i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, burn_deep_in_thread, (void *)(uintptr_t)ms) != 0)
			return 1;
		pthread_join(thread, NULL);
	}
	return 0;
}

/* Most of its time in the kernel. */
static int role_kernel(uint64_t ms)
{
	char buffer[4096];
	FILE *zero = fopen("/dev/zero", "r");

	setvbuf(zero, NULL, _IONBF, 0);
	while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) < ms * 1000000)
		for (int i = 0; i < 100; i++)
			sink += fread(buffer, sizeof(buffer), 1, zero);
	return 0;
}

/* A child that execs and a child that does not; both run on after it, with `daemon`. */
static int role_forks(uint64_t ms, bool daemon)
{
	char number[32];

	snprintf(number, sizeof(number), "%llu", (unsigned long long)ms);
	fflush(NULL);
	if (fork() == 0) {
		execl(self, "exec-ed", "burn", number, NULL);
		_exit(1);
	}
	if (fork() == 0) {
		prctl(PR_SET_NAME, "forked");
		burn(CLOCK_PROCESS_CPUTIME_ID, ms);
		_exit(0);
	}
	if (daemon)
		return 7;
	while (wait(NULL) > 0)
		;
	return 7;
}

static void *exec_in_thread(void *word)
{
	execl(self, self, "burn", word, NULL);
	_exit(1);
}

static int role_exec(char *ms)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, exec_in_thread, ms))
		return 1;
	pthread_join(thread, NULL);
	return 1;
}

static int play(char **argv)
{
	uint64_t a = argv[2] ? strtoull(argv[2], NULL, 10) : 0;
	uint64_t b = argv[2] && argv[3] ? strtoull(argv[3], NULL, 10) : 0;

	if (!strcmp(argv[1], "burn")) {
		burn(CLOCK_PROCESS_CPUTIME_ID, a);
		return 3;
	}
	if (!strcmp(argv[1], "threads"))
		return role_threads(a, b);
	if (!strcmp(argv[1], "deep"))
		return role_deep(a, b);
	if (!strcmp(argv[1], "kernel"))
		return role_kernel(a);
	if (!strcmp(argv[1], "forks"))
		return role_forks(a, false);
	if (!strcmp(argv[1], "daemons"))
		return role_forks(a, true);
	if (!strcmp(argv[1], "exec"))
		return role_exec(argv[2]);
	if (!strcmp(argv[1], "killed"))
		raise(SIGKILL);
	return 99;
}

/* --- recordings --- */

static struct capture_options options_of(char **argv)
{
	return (struct capture_options){
		.path = path,
		.frequency_hz = 997,
		.backend = "perf",
		.command = { .argv = argv, .stdout_fd = -1, .uid = -1, .gid = -1 },
	};
}

static void read_recording(struct recording *ret)
{
	struct file_bytes bytes;

	assert_no_error(file_map(path, &bytes));
	assert_no_error(recording_read(bytes.data, bytes.size, ret));
	file_bytes_deinit(&bytes);
}

/* Where the kernel lets nobody sample, there is nothing to test. */
static struct capture *start(const struct capture_options *o)
{
	struct capture *c;
	int status;
	struct error *err = capture_start(o, &c, &status);

	if (err && error_code_of(err) == ERR_PERMISSION) {
		print_message("skipped: %s\n", error_message(err));
		error_free(err);
		skip();
	}
	assert_no_error(err);
	return c;
}

static void finish(struct capture *c, struct recording *ret)
{
	assert_no_error(capture_finish(c));
	assert_no_error(recording_close(capture_take_writer(c)));
	capture_destroy(c);
	read_recording(ret);
}

/* Runs a command to its end; returns its status as wait() gives it. */
static int record(const struct capture_options *o, struct recording *ret)
{
	struct capture *c = start(o);
	int status = -1;

	while (capture_wait(c, -1, -1) != CAPTURE_OVER)
		;
	capture_command_status(c, true, &status);
	finish(c, ret);
	return status;
}

struct tally {
	size_t samples, whole, cut, none;
	uint64_t weight;
};

/* Samples whose process was called so; NULL: all. */
static struct tally tally_of(const struct recording *r, const char *comm)
{
	struct tally t = { 0 };

	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];

		if (comm && strcmp(intern_get(&r->strings, s->comm), comm) != 0)
			continue;
		t.samples++;
		t.weight += s->weight;
		t.whole += unwind_status_class(s->status) == UNWIND_CLASS_WHOLE;
		t.cut += unwind_status_class(s->status) == UNWIND_CLASS_CUT;
		t.none += unwind_status_class(s->status) == UNWIND_CLASS_NONE;
	}
	return t;
}

static double fact(const struct recording *r, const char *key)
{
	return (double)recording_fact(r, key, 0);
}

/* Every expected sample went somewhere: the terms add up to within one tick a task and CPU. */
static void check_ledger(const struct recording *r)
{
	double period = 1e9 / fact(r, "frequency_hz");
	double sum = fact(r, "emitted_samples") + fact(r, "lost_samples") +
		     fact(r, "throttled_samples") + fact(r, "unexplained_samples") +
		     (fact(r, "unsampled_ns") + fact(r, "kernel_not_visible_ns")) / period;

	assert_true(fact(r, "expected_samples") > 0);
	assert_float_equal(sum, fact(r, "expected_samples"),
			   2 + 0.002 * fact(r, "expected_samples"));
}

static void a_command(void **state)
{
	char *argv[] = { self, "burn", "400", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	int status = record(&o, &r);
	struct tally t = tally_of(&r, NULL);

	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	check_ledger(&r);
	/* its CPU time and no other's, and the samples stand for it */
	assert_in_range(recording_fact(&r, "target_cpu_ns", 0), 390000000, 600000000);
	assert_true(t.samples > 0);
	assert_true((double)t.weight <= fact(&r, "target_cpu_ns"));
	assert_true(t.whole >= t.samples * 9 / 10);
	assert_int_equal(tally_of(&r, own_name).samples, t.samples);
	assert_false(r.was_cut);
	for (size_t i = 1; i < r.samples.count; i++) {
		const struct recording_sample *s = &r.samples.items[i];

		assert_true(s->stack != 0 || s->status != UNWIND_OK_STOP);
		assert_true(s->time_ns >= r.start_ns);
	}
	recording_deinit(&r);
}

static void commands_that_cannot_run(void **state)
{
	static const struct {
		char *name;
		int status;
	} cases[] = { { "/no/such/program", 127 },
		      { "no-such-program-anywhere", 127 },
		      { "/etc/passwd", 126 },
		      { "/", 126 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *argv[] = { cases[i].name, NULL };
		struct capture_options o = options_of(argv);
		struct capture *c;
		int status;
		struct error *err = capture_start(&o, &c, &status);

		assert_non_null(err);
		if (error_code_of(err) == ERR_PERMISSION && i < 2)
			skip();
		assert_non_null(strstr(error_message(err), cases[i].name));
		assert_int_equal(status, cases[i].status);
		assert_int_not_equal(access(path, F_OK), 0); /* no recording of nothing */
		error_free(err);
	}
}

static void backends_have_names(void **state)
{
	char *argv[] = { self, "burn", "1", NULL };
	struct capture_options o = options_of(argv);
	struct capture *c;
	int status;

	o.backend = "pref";
	struct error *err = capture_start(&o, &c, &status);

	assert_non_null(err);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	assert_non_null(strstr(error_hint_of(err), "perf"));
	assert_int_not_equal(access(path, F_OK), 0);
	error_free(err);
}

static void a_killed_command(void **state)
{
	char *argv[] = { self, "killed", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	int status = record(&o, &r);

	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_false(r.was_cut);
	recording_deinit(&r);
}

static void forks_and_execs(void **state)
{
	char *argv[] = { self, "forks", "200", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	int status = record(&o, &r);

	assert_int_equal(WEXITSTATUS(status), 7);
	check_ledger(&r);
	/* the child that only renamed itself, and the one that execed this same program again */
	assert_true(tally_of(&r, "forked").whole > 0);
	assert_true(tally_of(&r, own_name).whole > 0);
	assert_true(r.processes.count >= 2 + 1);
	recording_deinit(&r);
}

static void daemons(void **state)
{
	char *argv[] = { self, "daemons", "300", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;

	o.wait_all = true;
	record(&o, &r);
	check_ledger(&r);
	assert_true(fact(&r, "target_cpu_ns") > 590e6);
	recording_deinit(&r);
	/* without, the command's end is the end */
	o.wait_all = false;
	record(&o, &r);
	assert_true(fact(&r, "target_cpu_ns") < 590e6);
	recording_deinit(&r);
}

/* Its leader has ended then, and the thread has the leader's number. */
static void an_exec_in_a_thread(void **state)
{
	char *argv[] = { self, "exec", "50", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	int status;

	o.wait_all = true;
	status = record(&o, &r); /* ends */
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_true(tally_of(&r, own_name).samples > 20);
	recording_deinit(&r);
}

static void threads_have_names(void **state)
{
	char *argv[] = { self, "threads", "8", "60", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	size_t burners = 0;

	record(&o, &r);
	check_ledger(&r);
	for (size_t i = 0; i < r.comms.count; i++)
		burners += !strcmp(intern_get(&r.strings, r.comms.items[i].name), "burner");
	assert_true(burners > 0);
	/* merged under the process's name */
	assert_int_equal(tally_of(&r, own_name).samples, tally_of(&r, NULL).samples);
	recording_deinit(&r);
}

#define SMALL_RING (4u << 20) /* too small for long copies of everything */

/* The samples whose stacks were cut for their copies were short. */
static size_t count_short(const struct recording *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->samples.count; i++)
		n += r->samples.items[i].status == UNWIND_COPY_SHORT;
	return n;
}

static void short_copies_grow(void **state)
{
	char *argv[] = { self, "deep", "1", "3000", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;

	o.ring_bytes = SMALL_RING;
	record(&o, &r);
	check_ledger(&r);
	assert_int_equal(recording_fact(&r, "stack_bytes", 0), 16384);
	assert_int_equal(recording_fact(&r, "grown_threads", 0), 1);

	struct tally t = tally_of(&r, NULL);

	assert_true(t.samples > 0);
	assert_in_range(count_short(&r), 1, t.samples / 10);
	assert_true(t.whole >= t.samples * 9 / 10);
	recording_deinit(&r);

	/* a size that was asked for is kept */
	argv[3] = "300";
	o.stack_bytes = 16384;
	record(&o, &r);
	check_ledger(&r);
	t = tally_of(&r, NULL);
	assert_int_equal(recording_fact(&r, "grown_threads", 0), 0);
	assert_true(count_short(&r) >= t.samples * 9 / 10);
	recording_deinit(&r);
}

static rlim_t count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	rlim_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Records with so many descriptors beyond those that capture_start() took: in a child, for the hard
 * limit would not come back. */
static void record_with_descriptors(const struct capture_options *o, rlim_t more,
				    struct recording *ret)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		rlim_t before = count_descriptors(), max;
		struct capture *c;
		struct error *err = capture_start(o, &c, &status);

		if (err)
			_exit(error_code_of(err) == ERR_PERMISSION ? 1 : 2);
		max = count_descriptors() + more;
		if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ max, max }) != 0)
			_exit(2);
		while (capture_wait(c, -1, -1) != CAPTURE_OVER)
			;
		err = capture_finish(c);
		if (!err)
			err = recording_close(capture_take_writer(c));
		if (err)
			_exit(3);
		capture_destroy(c);
		_exit(count_descriptors() == before ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		skip();
	assert_int_equal(status, 0);
	read_recording(ret);
}

static size_t count_diagnostics(const struct recording *r, const char *words)
{
	size_t n = 0;

	for (size_t i = 0; i < r->diagnostics.count; i++)
		n += strstr(intern_get(&r->strings, r->diagnostics.items[i].text), words) != NULL;
	return n;
}

/* Each gives its descriptors back when it ends: together they would be more than there may be. */
static void many_threads_grow(void **state)
{
	char *argv[] = { self, "deep", "60", "60", NULL };
	struct capture_options o = options_of(argv);
	rlim_t cpus = (rlim_t)sysconf(_SC_NPROCESSORS_CONF);
	struct recording r;

	o.ring_bytes = SMALL_RING;
	record_with_descriptors(&o, EVENTS_FDS_SPARE + 20 * cpus, &r);
	check_ledger(&r);
	assert_true(recording_fact(&r, "grown_threads", 0) > 0);
	assert_int_equal(count_diagnostics(&r, "file descriptors"), 0);
	recording_deinit(&r);
}

/* Without descriptors the copies stay short, and the recording says so. */
static void a_thread_that_cannot_grow(void **state)
{
	char *argv[] = { self, "deep", "1", "400", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;

	o.ring_bytes = SMALL_RING;
	record_with_descriptors(&o, EVENTS_FDS_SPARE / 2, &r);
	check_ledger(&r);
	assert_int_equal(recording_fact(&r, "grown_threads", 1), 0);
	assert_true(count_short(&r) > 0);
	assert_int_equal(count_diagnostics(&r, "file descriptors"), 1);
	recording_deinit(&r);
}

static void kernel_time_that_is_not_visible(void **state)
{
	char *argv[] = { self, "kernel", "300", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;
	size_t sentinels = 0, named = 0;
	uint64_t hidden = 0;

	o.user_only = true;
	record(&o, &r);
	check_ledger(&r);
	for (size_t i = 0; i < r.samples.count; i++) {
		const struct recording_sample *s = &r.samples.items[i];
		const struct recording_location *l =
			&r.locations.items[r.stacks.items[s->stack].location];

		if (r.files.items[l->file].kind != RECORDING_FILE_SENTINEL)
			continue;
		sentinels++;
		named += !strcmp(intern_get(&r.strings, s->comm), own_name);
		assert_string_equal(intern_get(&r.strings, r.files.items[l->file].path),
				    "[kernel, not visible]");
		hidden += s->weight;
	}
	/* one for each process that had some: a sanitizer may start one of its own */
	assert_true(sentinels >= 1);
	assert_true(named >= 1);
	assert_true(hidden <= recording_fact(&r, "kernel_not_visible_ns", 0));
	assert_true(hidden + sentinels >= recording_fact(&r, "kernel_not_visible_ns", 0));
	assert_true(fact(&r, "kernel_not_visible_ns") > 50e6);
	recording_deinit(&r);
}

/* What ran for less than a period was not seen: that it was in the kernel is not known. */
static void short_runs_are_not_kernel_time(void **state)
{
	char *argv[] = { self, "burn", "200", NULL };
	struct capture_options o = options_of(argv);
	struct recording r;

	o.user_only = true;
	o.frequency_hz = 2;
	record(&o, &r);
	assert_true(fact(&r, "target_cpu_ns") > 150e6);
	assert_true(fact(&r, "kernel_not_visible_ns") <= fact(&r, "target_system_ns"));
	assert_true(fact(&r, "unsampled_ns") >= 0.5 * fact(&r, "target_cpu_ns"));
	recording_deinit(&r);
}

static void durations_and_delays(void **state)
{
	char *argv[] = { self, "burn", "100000", NULL };
	struct capture_options o = options_of(argv);
	struct capture *c;
	struct recording r;
	int status;

	o.delay_ns = 100000000;
	o.duration_ns = 300000000;
	c = start(&o);
	while (capture_wait(c, -1, -1) != CAPTURE_OVER)
		;
	/* the command runs on, unharmed */
	assert_false(capture_command_status(c, false, &status));
	capture_stop(c);
	assert_int_equal(kill(capture_command_pid(c), SIGTERM), 0);
	assert_true(capture_command_status(c, true, &status));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	finish(c, &r);
	assert_true(fact(&r, "elapsed_ns") >= 300e6);
	assert_true(tally_of(&r, NULL).samples > 0);
	recording_deinit(&r);
}

/* --- attaching --- */

static pid_t run_role(char *role, char *a, char *b)
{
	char *argv[] = { self, role, a, b, NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execv(self, argv);
		_exit(1);
	}
	return pid;
}

static size_t count_threads(pid_t pid)
{
	char task[64];
	struct proc_stat {
		char *text;
	} s;
	size_t threads = 0;

	snprintf(task, sizeof(task), "/proc/%d/status", pid);
	struct error *err = file_read_proc(task, 16384, &s.text, NULL);

	if (err) {
		error_free(err);
		return 0;
	}
	const char *at = strstr(s.text, "\nThreads:");

	if (at)
		threads = strtoul(at + 9, NULL, 10);
	free(s.text);
	return threads;
}

static void attached_to_threads_of_a_process(void **state)
{
	struct capture_options o = options_of(NULL);
	pid_t pid = run_role("threads", "8", "100000");
	uint32_t id = (uint32_t)pid;
	struct recording r;

	while (count_threads(pid) < 9)
		usleep(1000);
	o.target = CAPTURE_PROCESSES;
	o.ids = &id;
	o.id_count = 1;
	o.duration_ns = 500000000;

	struct capture *c = start(&o);

	while (capture_wait(c, -1, -1) != CAPTURE_OVER)
		;
	finish(c, &r);
	assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	check_ledger(&r);

	struct tally t = tally_of(&r, NULL);

	assert_true(t.samples > 0);
	assert_true(t.whole >= t.samples * 9 / 10);
	recording_deinit(&r);
}

static void a_target_that_ends(void **state)
{
	struct capture_options o = options_of(NULL);
	pid_t pid = run_role("burn", "500", NULL);
	uint32_t id = (uint32_t)pid;
	struct recording r;

	o.target = CAPTURE_PROCESSES;
	o.ids = &id;
	o.id_count = 1;

	struct capture *c = start(&o);

	while (capture_wait(c, -1, -1) != CAPTURE_OVER)
		;
	finish(c, &r);
	waitpid(pid, NULL, 0);
	assert_false(r.was_cut);

	/* and one that has ended already */
	int status;
	struct error *err = capture_start(&o, &c, &status);

	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	assert_int_equal(status, 1);
	error_free(err);
	recording_deinit(&r);
}

/* kill -9 of cprof: the target runs on, and the recording is there up to about the last second. */
static void killed_ourselves(void **state)
{
	char *argv[] = { self, "burn", "100000", NULL };
	struct capture_options o = options_of(argv);
	int pid_pipe[2];
	struct recording r;
	pid_t target = 0;

	assert_int_equal(pipe(pid_pipe), 0);

	pid_t profiler = fork();

	if (profiler == 0) {
		struct capture *c;
		int status;
		struct error *err = capture_start(&o, &c, &status);

		if (err)
			_exit(1);
		target = capture_command_pid(c);
		if (write(pid_pipe[1], &target, sizeof(target)) < 0)
			_exit(1);
		for (;;)
			capture_wait(c, -1, -1);
	}
	close(pid_pipe[1]);
	if (read(pid_pipe[0], &target, sizeof(target)) != sizeof(target)) {
		waitpid(profiler, NULL, 0);
		skip();
	}
	close(pid_pipe[0]);
	/* until a second's worth is on the disk */
	for (size_t samples = 0; samples < 10;) {
		usleep(100000);
		read_recording(&r);
		samples = r.samples.count;
		recording_deinit(&r);
	}
	kill(profiler, SIGKILL);
	waitpid(profiler, NULL, 0);
	usleep(50000);
	assert_int_equal(kill(target, 0), 0);
	kill(target, SIGKILL);
	read_recording(&r);
	assert_true(r.was_cut);
	assert_true(tally_of(&r, NULL).whole > 0);
	recording_deinit(&r);
}

static int clean(void **state)
{
	unlink(path);
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_command, clean),
		cmocka_unit_test_teardown(commands_that_cannot_run, clean),
		cmocka_unit_test_teardown(backends_have_names, clean),
		cmocka_unit_test_teardown(a_killed_command, clean),
		cmocka_unit_test_teardown(forks_and_execs, clean),
		cmocka_unit_test_teardown(daemons, clean),
		cmocka_unit_test_teardown(an_exec_in_a_thread, clean),
		cmocka_unit_test_teardown(threads_have_names, clean),
		cmocka_unit_test_teardown(short_copies_grow, clean),
		cmocka_unit_test_teardown(many_threads_grow, clean),
		cmocka_unit_test_teardown(a_thread_that_cannot_grow, clean),
		cmocka_unit_test_teardown(kernel_time_that_is_not_visible, clean),
		cmocka_unit_test_teardown(short_runs_are_not_kernel_time, clean),
		cmocka_unit_test_teardown(durations_and_delays, clean),
		cmocka_unit_test_teardown(attached_to_threads_of_a_process, clean),
		cmocka_unit_test_teardown(a_target_that_ends, clean),
		cmocka_unit_test_teardown(killed_ourselves, clean),
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return 1;
	if (argc > 1)
		return play(argv);
	snprintf(own_name, sizeof(own_name), "%s", strrchr(self, '/') + 1);
	snprintf(path, sizeof(path), "/tmp/cprof-capture-%d.cprof", getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
