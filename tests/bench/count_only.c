/*
 * The ledger's first line: what the events of all CPUs count over their period, and how often they
 * fired. A timer that comes late by more than a period fires once for all that it missed; what more
 * is missing when a BPF program is to run, the kernel skipped.
 *
 *	count_only HZ SECONDS [plain]	`plain`: without a program, by the records of a ring
 *
 * Prints `expected N`, `entries N`, `elapsed_ns N`, `cpus N`.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "profiler/bpf/sampler.h"
#include "profiler/perf/event.h"
#include "profiler/perf/ring.h"

#define MAX_CPUS   1024
#define RING_BYTES (4u << 20)

struct counted {
	uint64_t expected, entries, elapsed_ns;
	uint32_t cpus;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void rest(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds,
			      .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9) };

	nanosleep(&t, NULL);
}

/* By the counting program. */
static struct error *count_runs(struct perf_event_attr *attr, double seconds, struct counted *ret)
{
	const struct kern_options options = { .target = KERN_TARGET_ALL, .count_only = true };
	struct kern_sampler *s;
	struct error *err;

	TRY(kern_sampler_load(&options, &s));
	ret->elapsed_ns = now_ns();
	err = kern_sampler_start(s, attr);
	if (err) {
		kern_sampler_destroy(s);
		return err;
	}
	rest(seconds);
	kern_sampler_stop(s);
	ret->elapsed_ns = now_ns() - ret->elapsed_ns;
	ret->cpus = kern_sampler_ring_count(s);
	for (uint32_t i = 0; i < ret->cpus; i++) {
		struct kern_cpu_counts c;

		kern_sampler_counts(s, i, &c);
		ret->expected += c.count / attr->sample_period;
		ret->entries += c.counters.entries;
	}
	kern_sampler_destroy(s);
	return NULL;
}

static uint64_t count_samples(struct pev_ring *ring)
{
	const struct perf_event_header *h;
	uint64_t n = 0;
	size_t size;

	pev_ring_refresh(ring);
	while ((h = pev_ring_peek(ring, &size))) {
		n += h->type == PERF_RECORD_SAMPLE;
		pev_ring_pop(ring, size);
	}
	return n;
}

/* By the records of a ring, which nobody reads before the end. */
static struct error *count_records(struct perf_event_attr *attr, double seconds,
				   struct counted *ret)
{
	static struct pev_ring rings[MAX_CPUS];
	static int fds[MAX_CPUS];

	attr->sample_type = PERF_SAMPLE_TIME;
	attr->disabled = 1;
	for (int cpu = 0; cpu < MAX_CPUS && cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		int fd = pev_open(attr, -1, cpu, -1, 0), errnum = errno;

		if (fd >= 0)
			errnum = pev_ring_open(&rings[ret->cpus], fd, RING_BYTES);
		if (errnum && (fd < 0 || !rings[ret->cpus].page))
			return error_errno(errnum, "an event of CPU %d", cpu);
		fds[ret->cpus++] = fd;
	}
	ret->elapsed_ns = now_ns();
	for (uint32_t i = 0; i < ret->cpus; i++)
		ioctl(fds[i], PERF_EVENT_IOC_ENABLE, 0);
	rest(seconds);
	for (uint32_t i = 0; i < ret->cpus; i++)
		ioctl(fds[i], PERF_EVENT_IOC_DISABLE, 0);
	ret->elapsed_ns = now_ns() - ret->elapsed_ns;
	for (uint32_t i = 0; i < ret->cpus; i++) {
		uint64_t value = 0;

		if (read(fds[i], &value, sizeof(value)) != sizeof(value))
			return error_errno(errno, "reading an event");
		ret->expected += value / attr->sample_period;
		ret->entries += count_samples(&rings[i]);
		pev_ring_close(&rings[i]);
		close(fds[i]);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t hz = argc >= 3 ? strtoull(argv[1], NULL, 10) : 0;
	bool plain = argc == 4 && !strcmp(argv[3], "plain");
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
	};
	struct counted n = { 0 };
	struct error *err;

	if (!hz || (argc != 3 && !plain)) {
		fprintf(stderr, "usage: count_only HZ SECONDS [plain]\n");
		return 2;
	}
	attr.sample_period = 1000000000u / hz;
	err = plain ? count_records(&attr, atof(argv[2]), &n)
		    : count_runs(&attr, atof(argv[2]), &n);
	if (err) {
		error_print(err, stderr);
		error_free(err);
		return 1;
	}
	printf("expected %" PRIu64 "\nentries %" PRIu64 "\nelapsed_ns %" PRIu64 "\ncpus %u\n",
	       n.expected, n.entries, n.elapsed_ns, n.cpus);
	return 0;
}
