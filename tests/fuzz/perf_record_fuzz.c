/*
 * Fuzzes the reader of the kernel's rings and records, and /proc/PID/maps. The first byte says what
 * is asked of samples, the second where in the ring the bytes start; the rest is the ring's
 * contents.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "profiler/perf/record.h"
#include "profiler/perf/ring.h"
#include "profiler/process/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RING 65536

static uint64_t touch(const void *bytes, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ((const uint8_t *)bytes)[i];
	return sum;
}

/* Reads everything that a record claims to hold. */
static uint64_t use(const struct pev_record *r, const struct pev_format *format)
{
	switch (r->kind) {
	case PEV_RECORD_SAMPLE:
		return touch(r->sample.callchain, 8 * r->sample.callchain_count) +
		       (r->sample.regs ? touch(r->sample.regs,
					       8 * (size_t)__builtin_popcountll(format->regs_mask))
				       : 0) +
		       touch(r->sample.stack, r->sample.stack_size);
	case PEV_RECORD_MMAP:
		return strlen(r->mmap.path) + touch(r->mmap.build_id.bytes, r->mmap.build_id.size);
	case PEV_RECORD_COMM:
		return strlen(r->comm.name);
	default:
		return r->time;
	}
}

static void read_ring(const uint8_t *data, size_t size, uint64_t start, struct pev_format *format)
{
	struct perf_event_mmap_page *page = mem_calloc(1, sizeof(*page));
	uint8_t *bytes = mem_calloc(1, RING);
	struct pev_ring ring = { .page = page, .data = bytes, .size = RING, .tail = start };
	size_t n;

	ring.scratch = mem_alloc(65536);
	for (size_t i = 0; i < size; i++)
		bytes[(start + i) % RING] = data[i];
	page->data_head = start + size;
	pev_ring_refresh(&ring);
	for (const void *record; (record = pev_ring_peek(&ring, &n));) {
		void *alone = mem_dup(record, n); /* so that a read past its end is seen */
		struct pev_record r;

		pev_record_parse(alone, n, format, &r);
		volatile uint64_t sink = use(&r, format) + pev_record_time(alone, n, format);

		(void)sink;
		free(alone);
		pev_ring_pop(&ring, n);
	}
	free(ring.scratch);
	free(bytes);
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pev_format format = {
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD,
	};

	if (size < 2 || size > RING)
		return 0;
	format.sample_type |= data[0] & 1 ? PERF_SAMPLE_READ : 0;
	format.sample_type |= data[0] & 2 ? PERF_SAMPLE_CALLCHAIN : 0;
	format.sample_type |= data[0] & 4 ? PERF_SAMPLE_REGS_USER : 0;
	format.sample_type |= data[0] & 8 ? PERF_SAMPLE_STACK_USER : 0;
	format.read_format = data[0] >> 4;
	format.regs_mask = 0xff01ff;
	read_ring(data + 2, (size - 2) & ~7ull, RING - 8 * (uint64_t)data[1], &format);

	char *line = mem_strndup((const char *)data, size);
	struct proc_map map;

	if (proc_map_parse(line, &map))
		(void)strlen(map.path);
	free(line);
	return 0;
}
