/*
 * Fuzzes the recording's reader. The first byte says how the rest is taken: as a file, or as
 * contents of chunks for which the headers are made here, since no mutation would find a checksum:
 * u8 kind and flags, u16 length, bytes.
 */
#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "profiler/analysis/profile_of.h"
#include "profiler/analysis/summary.h"
#include "profiler/recording/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_chunks(struct buf *file, struct cursor c)
{
	static const char head[] = RECORDING_MAGIC "\x01\0\0";

	buf_add(file, head, RECORDING_FILE_HEAD);
	while (cursor_left(&c) > 2) {
		uint8_t kind = cursor_u8(&c);
		uint64_t length = MIN(cursor_u16(&c), cursor_left(&c));
		uint64_t tag = (kind & 15) | (uint64_t)(kind >> 7) << 8 | length << 32;
		const void *bytes = cursor_bytes(&c, length);

		if (!bytes)
			break;
		uint64_t sum = htole64(XXH3_64bits_withSeed(bytes, length, tag));

		tag = htole64(tag);
		buf_add(file, &tag, sizeof(tag));
		buf_add(file, &sum, sizeof(sum));
		buf_add(file, bytes, length);
	}
}

/* Walks all that was read, as every user of a recording does: wrong ids show as reads out of
 * bounds. */
static uint64_t walk(const struct recording *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		sum += r->events.items[s->event].period + r->threads.items[s->thread].tid;
		sum += intern_len(&r->strings, s->comm) + (uint64_t)s->status;
		sum += r->stacks.items[s->stack].location;
	}
	for (size_t i = 1; i < r->stacks.count; i++) {
		const struct recording_stack *s = &r->stacks.items[i];
		if (s->parent >= i)
			abort();
		sum += r->locations.items[s->location].address;
	}
	for (size_t i = 1; i < r->locations.count; i++)
		sum += r->files.items[r->locations.items[i].file].path;
	for (size_t i = 0; i < r->symbols.count; i++)
		for (uint32_t k = 0; k < r->symbols.items[i].count; k++)
			sum += intern_len(
				&r->strings,
				r->symbol_frames.items[r->symbols.items[i].first + k].name);
	for (size_t i = 1; i < r->mappings.count; i++)
		sum += r->processes.items[r->mappings.items[i].process].pid +
		       r->files.items[r->mappings.items[i].file].process;
	return sum;
}

/* And what is made of it, names from files apart. */
static void analyse(const struct recording *r)
{
	struct profile p;
	struct buf text = { 0 };

	analysis_profile(r, &(struct analysis_options){ .names = NAMES_FULL, .label_ids = true },
			 &p);
	summary_print(r, &p, 80, &text);
	buf_deinit(&text);
	profile_deinit(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf file = { 0 };
	struct recording r;
	volatile uint64_t sum = 0;

	if (!size)
		return 0;
	if (data[0] & 1)
		add_chunks(&file, cursor_make(data + 1, size - 1));
	else
		buf_add(&file, data + 1, size - 1);

	struct error *err = recording_read(file.data, file.len, &r);
	if (!err) {
		sum += walk(&r);
		analyse(&r);
		recording_deinit(&r);
	}
	(void)sum;
	error_free(err);
	buf_deinit(&file);
	return 0;
}
