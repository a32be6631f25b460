/*
 * Fuzzes the reader of the kernel program's ring. The first byte says where in the ring the bytes
 * start, the second is added to the writer's position; the rest is the ring's contents.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "profiler/bpf/ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RING 16384

static uint64_t touch(const void *bytes, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += ((const uint8_t *)bytes)[i];
	return sum;
}

/* Reads everything that a record claims to hold. */
static uint64_t use(const struct kern_record *record)
{
	if (record->kind == KERN_RECORD_SAMPLE) {
		const struct kern_sample *s = (const struct kern_sample *)record;
		size_t words = (size_t)s->kernel_count + s->user_count;

		words += record->flags & KERN_SAMPLE_REGS ? KERN_REGS : 0;
		return touch(s + 1, 8 * words);
	}
	if (record->kind == KERN_RECORD_LAST || record->kind == KERN_RECORD_LATER)
		return touch(record, sizeof(struct kern_aside));
	if (record->kind == KERN_RECORD_PART || record->kind == KERN_RECORD_ASIDE_PART) {
		const struct kern_part *p = (const struct kern_part *)record;

		return touch(p->bytes, p->size);
	}
	return record->time_ns;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2 || size > RING)
		return 0;

	uint64_t start = RING - 8 * (uint64_t)data[0], writer = start + size - 2 + data[1];
	uint64_t reader = start;
	uint8_t *bytes = mem_calloc(2, RING);
	struct kern_reader ring = { .reader = &reader,
				    .writer = &writer,
				    .data = bytes,
				    .size = RING,
				    .tail = start,
				    .head = start };
	size_t n;

	for (size_t i = 2; i < size; i++)
		bytes[(start + i - 2) % RING] = bytes[(start + i - 2) % RING + RING] = data[i];
	for (const void *record; (record = kern_reader_peek(&ring, &n));) {
		void *alone = mem_dup(record, n); /* so that a read past its end is seen */
		volatile uint64_t sink = use(alone);

		(void)sink;
		free(alone);
		kern_reader_pop(&ring);
	}
	free(bytes);
	return 0;
}
