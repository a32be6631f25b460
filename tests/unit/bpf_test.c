/*
 * The kernel program as user space sees it, run for a second at a time: needs root, or CAP_BPF and
 * CAP_PERFMON. Nothing here compiles tables, so that every sample of a target comes with its stack,
 * to be walked later.
 */
#include "tests/unit/unit.h"

#include <dirent.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "profiler/bpf/sampler.h"

#define PERIOD_NS 1003009 /* 997 Hz */

static const struct perf_event_attr clock_attr = { .type = PERF_TYPE_SOFTWARE,
						   .config = PERF_COUNT_SW_CPU_CLOCK,
						   .sample_period = PERIOD_NS };

static void need_bpf(void)
{
	struct error *err = kern_probe();

	if (err) {
		print_message("# skip: %s\n", error_message(err));
		error_free(err);
		skip();
	}
}

static struct kern_sampler *load(const struct kern_options *o)
{
	struct kern_sampler *s = NULL;

	assert_no_error(kern_sampler_load(o, &s));
	return s;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static pid_t start_child(void (*run)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		run();
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void burn(void)
{
	for (;;)
		__asm__ volatile("");
}

/* What came out of the rings. */
struct drained {
	uint64_t samples, of_target, parts, bytes_of_parts, disorder, without_regs;
	uint32_t next[16]; /* sequence number of a ring's next sample */
	uint64_t time_ns[16], gaps;
};

static void take(struct drained *d, uint32_t ring, uint32_t tgid, const struct kern_record *r)
{
	const struct kern_sample *s = (const struct kern_sample *)r;

	if (r->kind == KERN_RECORD_PART || r->kind == KERN_RECORD_ASIDE_PART) {
		d->parts++;
		d->bytes_of_parts += ((const struct kern_part *)r)->size;
		return;
	}
	if (r->kind == KERN_RECORD_LAST || r->kind == KERN_RECORD_LATER)
		return;
	assert_int_equal(r->kind, KERN_RECORD_SAMPLE);
	d->samples++;
	d->of_target += s->tgid == tgid;
	d->without_regs += !(r->flags & KERN_SAMPLE_REGS);
	if (ring < ARRAY_SIZE(d->next)) {
		d->disorder += r->time_ns < d->time_ns[ring];
		d->gaps += r->sequence - d->next[ring];
		d->next[ring] = r->sequence + 1;
		d->time_ns[ring] = r->time_ns;
	}
}

static void drain(struct kern_sampler *s, struct drained *d, uint32_t tgid)
{
	const struct kern_record *r;
	size_t size;

	for (uint32_t ring = 0; ring < kern_sampler_ring_count(s); ring++) {
		while ((r = kern_ring_peek(s, ring, &size))) {
			take(d, ring, tgid, r);
			kern_ring_pop(s, ring);
		}
	}
}

static void drain_for(struct kern_sampler *s, uint64_t ns, struct drained *d, uint32_t tgid)
{
	uint64_t until_ns = now_ns() + ns;

	do {
		uint64_t before = d->bytes_of_parts;

		usleep(5000);
		drain(s, d, tgid);
		kern_sampler_handled(s, d->bytes_of_parts - before);
	} while (now_ns() < until_ns);
}

/* The sum of all CPUs; checks what has to be true of each. */
static struct kern_counters check_ledger(struct kern_sampler *s)
{
	struct kern_counters sum = { 0 };

	for (uint32_t ring = 0; ring < kern_sampler_ring_count(s); ring++) {
		struct kern_cpu_counts c;

		kern_sampler_counts(s, ring, &c);
		const struct kern_counters *k = &c.counters;

		assert_int_equal(c.cpu, kern_sampler_ring_cpu(s, ring));
		assert_int_equal(k->entries, k->idle + k->filtered + k->emitted + k->ring_full);
		/* no more runs than periods; the rest is what the timer did not fire for */
		assert_in_range(k->entries, 0, c.count / PERIOD_NS + 1);
		assert_int_equal(c.enabled_ns, c.running_ns);
		assert_in_range(c.count, c.running_ns / 100 * 99, c.running_ns / 100 * 101);
#define X(name) sum.name += k->name;
		KERN_COUNTERS(X)
#undef X
	}
	return sum;
}

static uint32_t open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint32_t n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void loading_costs_what_it_may(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct kern_facts facts;
	uint32_t files = open_files();

	need_bpf();
	for (int i = 0; i < 3; i++) { /* and leaves nothing behind */
		struct kern_sampler *s = load(&o);

		kern_sampler_facts(s, &facts);
		kern_sampler_destroy(s);
	}
	assert_in_range(facts.verified_instructions, 1000, 150000);
	assert_in_range(facts.load_cpu_ns, 1000000, UINT64_C(10000000000));
	/* slots, rules and a chunk at the least; two CPUs have rings of 2 MiB each */
	assert_in_range(facts.map_bytes, 6 << 20, 64 << 20);
	assert_int_equal(open_files(), files);
	kern_sampler_destroy(NULL);
}

static void samples_of_a_busy_process(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct drained d = { 0 };
	struct kern_sampler *s;
	uint32_t slot, again;

	need_bpf();
	s = load(&o);
	pid_t pid = start_child(burn);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, true, &slot));
	assert_int_not_equal(slot, 0);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, true, &again));
	assert_int_equal(again, slot);
	assert_no_error(kern_sampler_start(s, &clock_attr));
	drain_for(s, 1000000000, &d, (uint32_t)pid);
	kern_sampler_stop(s);
	drain(s, &d, (uint32_t)pid);
	end_child(pid);

	struct kern_counters sum = check_ledger(s);
	assert_in_range(d.samples, 50, 1100); /* of some 1,000; other tests want the CPUs too */
	assert_int_equal(d.of_target, d.samples);
	assert_int_equal(d.samples, sum.emitted);
	assert_int_equal(d.parts, sum.parts);
	assert_int_equal(d.gaps, 0);
	assert_int_equal(d.disorder, 0);
	assert_in_range(d.without_regs, 0, 5); /* in the kernel on its way in or out */
	assert_true(d.parts >= d.samples - 5);

	struct kern_cpu_counts before, after;
	kern_sampler_counts(s, 0, &before);
	usleep(10000);
	kern_sampler_counts(s, 0, &after);
	assert_int_equal(before.count, after.count); /* it did stop */
	kern_sampler_destroy(s);
}

static void a_process_that_is_not_armed_is_filtered(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct drained d = { 0 };
	struct kern_sampler *s;
	uint32_t slot;

	need_bpf();
	s = load(&o);
	pid_t pid = start_child(burn);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, false, &slot));
	assert_no_error(kern_sampler_start(s, &clock_attr));
	drain_for(s, 200000000, &d, (uint32_t)pid);
	kern_sampler_stop(s);
	drain(s, &d, (uint32_t)pid);
	end_child(pid);
	assert_int_equal(d.samples, 0);
	assert_in_range(check_ledger(s).filtered, 10, 100000);
	kern_sampler_destroy(s);
}

static void the_judge_counts_and_no_more(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_ALL, .count_only = true };
	struct drained d = { 0 };
	struct kern_sampler *s;

	need_bpf();
	s = load(&o);
	pid_t pid = start_child(burn);
	assert_no_error(kern_sampler_start(s, &clock_attr));
	drain_for(s, 300000000, &d, 0);
	kern_sampler_stop(s);
	drain(s, &d, 0);
	end_child(pid);
	assert_int_equal(d.samples, 0);
	struct kern_counters sum = check_ledger(s);
	assert_in_range(sum.entries, 20, 100000);
	assert_int_equal(sum.filtered, sum.entries);
	kern_sampler_destroy(s);
}

static void a_full_ring_is_counted(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES, .ring_bytes = 16384 };
	struct drained d = { 0 };
	struct kern_sampler *s;
	uint32_t slot;

	need_bpf();
	s = load(&o);
	pid_t pid = start_child(burn);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, true, &slot));
	assert_no_error(kern_sampler_start(s, &clock_attr));
	usleep(300000);
	drain_for(s, 300000000, &d, (uint32_t)pid);
	kern_sampler_stop(s);
	drain(s, &d, (uint32_t)pid);
	end_child(pid);

	struct kern_counters sum = check_ledger(s);
	assert_in_range(sum.ring_full, 10, 100000);
	assert_int_equal(d.samples, sum.emitted);
	assert_int_equal(d.parts, sum.parts);
	assert_in_range(d.gaps, 1, sum.ring_full); /* those behind the last one show nowhere */
	kern_sampler_destroy(s);
}

static void stacks_in_flight_are_bounded(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES, .in_flight_max = 65536 };
	struct drained d = { 0 };
	struct kern_sampler *s;
	uint32_t slot;

	need_bpf();
	s = load(&o);
	pid_t pid = start_child(burn);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, true, &slot));
	assert_no_error(kern_sampler_start(s, &clock_attr));
	usleep(500000); /* nobody handles them */
	kern_sampler_stop(s);
	drain(s, &d, (uint32_t)pid);
	end_child(pid);
	struct kern_counters sum = check_ledger(s);
	/* each CPU may pass the bound by the part that it sends */
	assert_in_range(d.bytes_of_parts, 1, 65536 + 4096 * kern_sampler_ring_count(s));
	assert_in_range(sum.budget_cut, 1, 100000);
	kern_sampler_destroy(s);
}

#define FORKS 20

static void fork_some(void)
{
	for (int i = 0; i < FORKS; i++) {
		if (fork() == 0)
			_exit(0);
		wait(NULL);
	}
	execl("/bin/true", "true", NULL);
}

struct given {
	uint32_t count, of_parent, slots[64];
	pid_t parent;
	uint64_t time_ns;
};

static void see_slot(void *context, uint32_t slot, const struct kern_owner *owner)
{
	struct given *g = context;

	assert_in_range(slot, 1, KERN_SLOTS - 1);
	assert_true(owner->time_ns >= g->time_ns);
	g->time_ns = owner->time_ns;
	g->of_parent += owner->tgid == (uint32_t)g->parent;
	if (g->count < ARRAY_SIZE(g->slots))
		g->slots[g->count] = slot;
	g->count++;
}

/* Without any event: slots follow forks and execs by themselves. */
static void forks_and_execs_get_slots(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct given given = { 0 };
	struct kern_sampler *s;
	uint32_t slot;
	int go[2];
	char byte = 0;

	need_bpf();
	s = load(&o);
	assert_int_equal(pipe(go), 0);
	given.parent = fork();
	if (given.parent == 0) {
		if (read(go[0], &byte, 1) == 1)
			fork_some();
		_exit(1);
	}
	assert_no_error(kern_sampler_add_process(s, (uint32_t)given.parent, 0, true, &slot));
	kern_sampler_publish(s, slot, kern_maps_word(64, 3));
	assert_int_equal(write(go[1], &byte, 1), 1);
	waitpid(given.parent, NULL, 0);
	close(go[0]);
	close(go[1]);
	kern_sampler_new_slots(s, see_slot, &given);
	assert_int_equal(given.count, FORKS + 1);
	assert_int_equal(given.of_parent, 1); /* its exec: it came last */
	for (uint32_t i = 0; i < FORKS; i++) {
		assert_int_equal(kern_sampler_maps(s, given.slots[i]), kern_maps_word(64, 3));
		assert_int_not_equal(given.slots[i], slot);
	}
	assert_int_equal(kern_sampler_maps(s, given.slots[FORKS]), 0);

	uint32_t before = given.count;
	kern_sampler_new_slots(s, see_slot, &given);
	assert_int_equal(given.count, before);
	kern_sampler_destroy(s);
}

static void chunks_are_made_when_they_are_asked_for(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct kern_facts before, after;
	struct kern_sampler *s;
	uint32_t *chunks[4];
	size_t words = (size_t)1 << UNWIND_CHUNK_SHIFT;

	need_bpf();
	s = load(&o);
	kern_sampler_facts(s, &before);
	for (uint32_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		chunks[i] = kern_sampler_add_chunk(s, i);
		assert_non_null(chunks[i]);
		for (size_t word = 0; word < words; word += 509)
			assert_int_equal(chunks[i][word], 0);
		chunks[i][0] = i + 1;
		chunks[i][words - 1] = i + 1;
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(chunks); i++) {
		assert_ptr_equal(kern_sampler_add_chunk(s, i), chunks[i]);
		assert_int_equal(chunks[i][0], i + 1);
		assert_int_equal(chunks[i][words - 1], i + 1);
	}
	kern_sampler_facts(s, &after);
	assert_in_range(after.map_bytes - before.map_bytes, 12 << 20, 13 << 20);
	kern_sampler_rules(s)[UNWIND_MAX_RULES - 1] = 1;
	assert_true(kern_sampler_wait_for_readers(s));
	kern_sampler_destroy(s);
}

static void two_at_once(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct drained d[2] = { { 0 }, { 0 } };
	struct kern_sampler *s[2];
	uint32_t slot;

	need_bpf();
	pid_t pid = start_child(burn);
	for (int i = 0; i < 2; i++) {
		s[i] = load(&o);
		assert_no_error(kern_sampler_add_process(s[i], (uint32_t)pid, 0, true, &slot));
		assert_no_error(kern_sampler_start(s[i], &clock_attr));
	}
	for (int round = 0; round < 30; round++) {
		for (int i = 0; i < 2; i++)
			drain_for(s[i], 1000000, &d[i], (uint32_t)pid);
	}
	for (int i = 0; i < 2; i++) {
		kern_sampler_stop(s[i]);
		drain(s[i], &d[i], (uint32_t)pid);
		assert_int_equal(check_ledger(s[i]).emitted, d[i].samples);
		assert_in_range(d[i].samples, 10, 100000);
		kern_sampler_destroy(s[i]);
	}
	end_child(pid);
}

/* --- CPUs that come and go --- */

#define ONLINE "/sys/devices/system/cpu/online"

static void set_online(const char *file, const char *list)
{
	FILE *out = fopen(file, "w");

	assert_non_null(out);
	fputs(list, out);
	fclose(out);
}

static void see_cpu(void *context, int cpu)
{
	int *seen = context;

	seen[0]++;
	seen[1] = cpu;
}

/* The samples of a child that burns on one CPU, of 0.2 s. */
static uint64_t samples_on(struct kern_sampler *s, int cpu)
{
	struct drained d = { 0 };
	cpu_set_t set;
	uint32_t slot;
	pid_t pid = start_child(burn);

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(pid, sizeof(set), &set);
	assert_no_error(kern_sampler_add_process(s, (uint32_t)pid, 0, true, &slot));
	drain_for(s, 200000000, &d, (uint32_t)pid);
	end_child(pid);
	drain(s, &d, (uint32_t)pid);
	return d.of_target;
}

static struct kern_cpu_counts counts_of(struct kern_sampler *s, uint32_t ring)
{
	struct kern_cpu_counts c;

	kern_sampler_counts(s, ring, &c);
	return c;
}

/* The kernel's list of CPUs is covered by one of our own: none of them goes offline. */
static void cpus_come_and_go(void **state)
{
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	char file[] = "/tmp/cprof-online-XXXXXX";
	int fd = mkstemp(file), seen[2] = { 0 };
	struct kern_sampler *s;

	need_bpf();
	assert_true(fd >= 0);
	close(fd);
	set_online(file, "0\n");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || unshare(CLONE_NEWNS) != 0 ||
	    mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount(file, ONLINE, NULL, MS_BIND, NULL) != 0) {
		unlink(file);
		skip_because("needs two CPUs, and root, to show this process another list of them");
	}
	s = load(&o);
	assert_int_equal(kern_sampler_ring_count(s), 1);
	kern_sampler_follow_cpus(s, see_cpu, seen); /* not started: nothing to follow */
	assert_no_error(kern_sampler_start(s, &clock_attr));
	set_online(file, "0\n");
	kern_sampler_follow_cpus(s, see_cpu, seen);
	assert_int_equal(seen[0], 0);
	assert_int_equal(samples_on(s, 1), 0);

	set_online(file, "0-1\n"); /* one that was never there */
	kern_sampler_follow_cpus(s, see_cpu, seen);
	kern_sampler_follow_cpus(s, see_cpu, seen);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 1);
	assert_int_equal(kern_sampler_ring_count(s), 2);
	assert_int_equal(kern_sampler_ring_cpu(s, 1), 1);
	assert_in_range(samples_on(s, 1), 5, 1000);
	assert_false(counts_of(s, 1).went_offline);

	set_online(file, "0\n");
	kern_sampler_follow_cpus(s, see_cpu, seen);
	uint64_t count = counts_of(s, 1).count;
	assert_true(counts_of(s, 1).went_offline);
	assert_in_range(count, 100000000, UINT64_C(100000000000));
	assert_int_equal(samples_on(s, 1), 0);
	assert_int_equal(counts_of(s, 1).count, count);
	assert_int_equal(kern_sampler_ring_count(s), 2);

	set_online(file, "0-1\n");
	kern_sampler_follow_cpus(s, see_cpu, seen);
	assert_int_equal(seen[0], 2);
	assert_int_equal(kern_sampler_ring_count(s), 2);
	assert_in_range(samples_on(s, 1), 5, 1000);
	assert_true(counts_of(s, 1).count > count + 100000000);
	kern_sampler_stop(s);
	check_ledger(s);
	kern_sampler_destroy(s);
	umount2(ONLINE, MNT_DETACH);
	unlink(file);
}

/* --- refusals --- */

/* Tries to load where `prepare` has taken something away; the words of the error. */
static char *refused(void (*prepare)(void))
{
	int out[2];
	char text[2048];
	size_t n = 0;

	assert_int_equal(pipe(out), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct kern_options o = { .target = KERN_TARGET_PROCESSES };
		struct kern_sampler *s = NULL;

		dup2(out[1], STDERR_FILENO); /* nobody prints there by himself */
		prepare();
		struct error *err = kern_sampler_load(&o, &s);
		dprintf(out[1], "%s\n%s\n", err ? error_message(err) : "loaded",
			err && error_hint_of(err) ? error_hint_of(err) : "");
		_exit(0);
	}
	close(out[1]);
	for (ssize_t got; (got = read(out[0], text + n, sizeof(text) - 1 - n)) > 0;)
		n += (size_t)got;
	close(out[0]);
	waitpid(pid, NULL, 0);
	text[n] = '\0';
	return mem_strdup(text);
}

static void expect_refusal(void (*prepare)(void), const char *message, const char *hint)
{
	char *text = refused(prepare), *newline = strchr(text, '\n');

	assert_non_null(newline);
	*newline = '\0';
	if (!strstr(text, message))
		fail_msg("'%s' does not say '%s'", text, message);
	if (!strstr(newline + 1, hint))
		fail_msg("'%s' does not say '%s'", newline + 1, hint);
	free(text);
}

/* Leaves the capabilities of a mask. */
static void keep(uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)caps, (uint32_t)caps, 0 },
		{ (uint32_t)(caps >> 32), (uint32_t)(caps >> 32), 0 },
	};

	if (syscall(SYS_capset, &head, data) != 0)
		_exit(1);
}

static void keep_nothing(void)
{
	keep(0);
}

static void keep_bpf(void)
{
	keep(UINT64_C(1) << CAP_BPF);
}

static void keep_both(void)
{
	keep(UINT64_C(1) << CAP_BPF | UINT64_C(1) << CAP_PERFMON);
}

static void few_files(void)
{
	struct rlimit limit = { 12, 12 };

	setrlimit(RLIMIT_NOFILE, &limit);
}

static void no_membarrier(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };
	struct kern_options o = { .target = KERN_TARGET_PROCESSES };
	struct kern_sampler *s = NULL;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
	error_free(kern_sampler_load(&o, &s));
	uint64_t started_ns = now_ns();
	if (!kern_sampler_wait_for_readers(s))
		_exit(1);
	_exit(now_ns() - started_ns > 200000 ? 0 : 1); /* a grace period takes milliseconds */
}

/* As on a kernel with nohz_full. */
static void readers_are_waited_for_without_membarrier(void **state)
{
	int status;
	pid_t pid;

	need_bpf();
	pid = start_child(no_membarrier);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip_because("this machine lets nobody set a seccomp filter");
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void refusals_are_explained(void **state)
{
	need_bpf();
	if (geteuid() != 0)
		skip_because("needs root to give privileges up");
	expect_refusal(keep_nothing, "cprof has neither", "--cap-add BPF --cap-add PERFMON");
	expect_refusal(keep_bpf, "no CAP_PERFMON", "--cap-add");
	expect_refusal(few_files, "too few file descriptors", "ulimit -n");

	char *text = refused(keep_both); /* they are enough */
	assert_string_equal(text, "loaded\n\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loading_costs_what_it_may),
		cmocka_unit_test(samples_of_a_busy_process),
		cmocka_unit_test(a_process_that_is_not_armed_is_filtered),
		cmocka_unit_test(the_judge_counts_and_no_more),
		cmocka_unit_test(a_full_ring_is_counted),
		cmocka_unit_test(stacks_in_flight_are_bounded),
		cmocka_unit_test(forks_and_execs_get_slots),
		cmocka_unit_test(chunks_are_made_when_they_are_asked_for),
		cmocka_unit_test(two_at_once),
		cmocka_unit_test(readers_are_waited_for_without_membarrier),
		cmocka_unit_test(cpus_come_and_go),
		cmocka_unit_test(refusals_are_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
