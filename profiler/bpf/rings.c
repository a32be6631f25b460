/* The rings, a CPU at a time. */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/bpf/bridge.h"
#include "profiler/bpf/explain.h"

/* Of all CPUs together, and of one. A sample takes some 400 bytes, a stack that is sent 64 KiB: at
 * 1,000 Hz the largest has room for a stack with each sample of 60 ms, and wakes the intake well
 * before. */
#define ALL_RINGS_BYTES	 (64u << 20)
#define RING_BYTES_LEAST (512u << 10)
#define RING_BYTES_MOST	 (4u << 20)

/* --- CPUs --- */

uint32_t kern_cpu_list(const char *list, int *cpus, uint32_t max)
{
	uint32_t n = 0;

	while (*list) {
		char *end;
		long first = strtol(list, &end, 10), last = first;

		if (end == list || first < 0)
			break;
		if (*end == '-')
			last = strtol(end + 1, &end, 10);
		for (long cpu = first; cpu <= last && cpu < KERN_MAX_CPUS && n < max; cpu++)
			cpus[n++] = (int)cpu;
		if (*end != ',')
			break;
		list = end + 1;
	}
	return n;
}

static uint32_t read_cpus(const char *path, int cpus[KERN_MAX_CPUS])
{
	char *text;
	uint32_t n;
	struct error *err = file_read_proc(path, 16384, &text, NULL);

	if (err) {
		error_free(err);
		return 0;
	}
	n = kern_cpu_list(text, cpus, KERN_MAX_CPUS);
	free(text);
	return n;
}

/* Without /sys, the CPUs are those from 0 on. */
static uint32_t count_cpus(int name, int cpus[KERN_MAX_CPUS])
{
	long n = sysconf(name);

	n = MAX(1, MIN(n, KERN_MAX_CPUS));
	for (long i = 0; i < n; i++)
		cpus[i] = (int)i;
	return (uint32_t)n;
}

uint32_t kern_cpus_online(int cpus[KERN_MAX_CPUS])
{
	uint32_t n = read_cpus("/sys/devices/system/cpu/online", cpus);

	return n ? n : count_cpus(_SC_NPROCESSORS_ONLN, cpus);
}

uint32_t kern_cpus_possible(void)
{
	int cpus[KERN_MAX_CPUS];
	uint32_t n = read_cpus("/sys/devices/system/cpu/possible", cpus);

	if (!n)
		n = count_cpus(_SC_NPROCESSORS_CONF, cpus);
	return (uint32_t)cpus[n - 1] + 1;
}

/* --- rings --- */

uint32_t kern_ring_bytes(uint32_t cpus)
{
	uint32_t bytes = RING_BYTES_MOST;

	while (bytes > RING_BYTES_LEAST && (uint64_t)bytes * cpus > ALL_RINGS_BYTES)
		bytes /= 2;
	return bytes;
}

/* Where that fails, nobody is woken early: a full ring is counted. */
static void watch_ring(struct kern_sampler *s, struct kern_cpu *c, int map)
{
	struct epoll_event each_wake = { .events = EPOLLIN | EPOLLET };

	c->map = fcntl(map, F_DUPFD_CLOEXEC, 0);
	if (c->map < 0 || epoll_ctl(s->wake, EPOLL_CTL_ADD, c->map, &each_wake) != 0)
		log_debug("bpf", "the ring of CPU %d wakes nobody: %s", c->cpu, strerror(errno));
}

int kern_sampler_wake_fd(const struct kern_sampler *s)
{
	return s->wake;
}

void kern_sampler_clear_wake(struct kern_sampler *s)
{
	struct epoll_event events[16];

	while (epoll_wait(s->wake, events, ARRAY_SIZE(events), 0) == ARRAY_SIZE(events))
		;
}

bool kern_sampler_listen(struct kern_sampler *s)
{
	return !__atomic_exchange_n(&s->state->listening, 1, __ATOMIC_RELAXED);
}

struct error *kern_ring_add(struct kern_sampler *s, int cpu, struct kern_inner *ret)
{
	struct kern_cpu c = { .cpu = cpu, .event = -1, .map = -1 };
	int map, errnum;

	map = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, s->ring_bytes, NULL);
	errnum = map < 0 ? -map : kern_reader_open(&c.ring, map, s->ring_bytes);
	if (errnum) {
		if (map >= 0)
			close(map);
		char what[64];
		snprintf(what, sizeof(what), "making a ring of %u KiB for each CPU",
			 s->ring_bytes / 1024);
		return kern_explain(errnum, what, "");
	}
	s->facts.map_bytes += kern_map_bytes(map);
	watch_ring(s, &c, map);
	vec_push(&s->cpus, c);
	*ret = (struct kern_inner){ .outer = s->rings, .map = map, .index = (uint32_t)cpu };
	return NULL;
}

void kern_rings_close(struct kern_sampler *s)
{
	for (size_t i = 0; i < s->cpus.count; i++) {
		kern_reader_close(&s->cpus.items[i].ring);
		fd_cleanup(&s->cpus.items[i].map);
	}
	vec_deinit(&s->cpus);
}

uint32_t kern_sampler_ring_count(const struct kern_sampler *s)
{
	return (uint32_t)s->cpus.count;
}

int kern_sampler_ring_cpu(const struct kern_sampler *s, uint32_t ring)
{
	return s->cpus.items[ring].cpu;
}

const struct kern_record *kern_ring_peek(struct kern_sampler *s, uint32_t ring, size_t *ret_size)
{
	return kern_reader_peek(&s->cpus.items[ring].ring, ret_size);
}

void kern_ring_pop(struct kern_sampler *s, uint32_t ring)
{
	kern_reader_pop(&s->cpus.items[ring].ring);
}

uint64_t kern_rings_damaged(const struct kern_sampler *s)
{
	uint64_t damaged = 0;

	for (size_t i = 0; i < s->cpus.count; i++)
		damaged += s->cpus.items[i].ring.damaged;
	return damaged;
}

void kern_sampler_handled(struct kern_sampler *s, uint64_t bytes)
{
	__atomic_sub_fetch(&s->state->in_flight, bytes, __ATOMIC_RELAXED);
}
