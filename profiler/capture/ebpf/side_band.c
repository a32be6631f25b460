#include "profiler/capture/ebpf/side_band.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "profiler/perf/event.h"
#include "profiler/perf/explain.h"

#define RING_MAX (1u << 20)
#define RING_MIN (64u << 10)

static struct perf_event_attr attributes(uint32_t ring_bytes)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(struct perf_event_attr),
		.config = PERF_COUNT_SW_DUMMY,
		/* what pev_record_parse() wants of every record's end */
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD,
		.sample_id_all = 1,
		.sample_period = 1,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = ring_bytes / 4,
	};
}

static void close_all(struct side_band *b)
{
	for (size_t i = 0; i < b->cpus.count; i++) {
		pev_ring_close(&b->cpus.items[i].ring);
		close(b->cpus.items[i].fd);
	}
	b->cpus.count = 0;
}

static int open_event(struct perf_event_attr *attr, int cpu)
{
	int fd = pev_open(attr, -1, cpu, -1, 0);

	if (fd < 0 && errno == EINVAL && attr->build_id) {
		attr->build_id = 0; /* before Linux 5.12 */
		fd = pev_open(attr, -1, cpu, -1, 0);
	}
	return fd;
}

static struct error *open_all(struct side_band *b, int *ret_errnum)
{
	struct perf_event_attr attr = attributes(b->ring_bytes);

	*ret_errnum = 0;
	b->format.sample_type = attr.sample_type;
	attr.disabled = 1;
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		struct side_band_cpu new = { .cpu = cpu, .fd = open_event(&attr, cpu) };

		if (new.fd < 0 && errno == ENODEV)
			continue; /* offline */
		if (new.fd < 0)
			return pev_explain_open(errno, &(struct pev_request){ .attr = &attr,
									      .event = "dummy",
									      .tid = -1 });
		vec_push(&b->cpus, new);
		*ret_errnum = pev_ring_open(&vec_last(&b->cpus)->ring, new.fd, b->ring_bytes);
		if (*ret_errnum)
			return pev_explain_ring(*ret_errnum, b->ring_bytes,
						(unsigned int)sysconf(_SC_NPROCESSORS_ONLN));
	}
	return NULL;
}

struct error *side_band_open(struct side_band *b)
{
	for (b->ring_bytes = RING_MAX;; b->ring_bytes /= 2) {
		int errnum;
		struct error *err = open_all(b, &errnum);

		if (!err)
			return NULL;
		close_all(b);
		if ((errnum != EPERM && errnum != ENOMEM) || b->ring_bytes <= RING_MIN)
			return err;
		error_free(err);
	}
}

void side_band_close(struct side_band *b)
{
	close_all(b);
	vec_deinit(&b->cpus);
}

void side_band_start(struct side_band *b)
{
	for (size_t i = 0; i < b->cpus.count; i++)
		ioctl(b->cpus.items[i].fd, PERF_EVENT_IOC_ENABLE, 0);
}

bool side_band_add_cpu(struct side_band *b, int cpu)
{
	struct perf_event_attr attr = attributes(b->ring_bytes);
	struct side_band_cpu new = { .cpu = cpu, .fd = open_event(&attr, cpu) };

	if (new.fd < 0)
		return false;
	if (pev_ring_open(&new.ring, new.fd, b->ring_bytes) != 0) {
		close(new.fd);
		return false;
	}
	vec_push(&b->cpus, new);
	return true;
}

void side_band_refresh(struct side_band *b)
{
	for (size_t i = 0; i < b->cpus.count; i++)
		pev_ring_refresh(&b->cpus.items[i].ring);
}

const void *side_band_peek(struct side_band *b, uint32_t i, size_t *ret_size)
{
	return pev_ring_peek(&b->cpus.items[i].ring, ret_size);
}

void side_band_pop(struct side_band *b, uint32_t i, size_t size)
{
	pev_ring_pop(&b->cpus.items[i].ring, size);
}

void side_band_release(struct side_band *b)
{
	for (size_t i = 0; i < b->cpus.count; i++)
		pev_ring_release(&b->cpus.items[i].ring);
}

uint64_t side_band_damaged(const struct side_band *b)
{
	uint64_t damaged = 0;

	for (size_t i = 0; i < b->cpus.count; i++)
		damaged += b->cpus.items[i].ring.damaged;
	return damaged;
}
