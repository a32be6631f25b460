/*
 * Random registers, stack, mappings, rules and page rows into the walk: it must end, with a status,
 * and touch nothing but what it was given. (Reads of the stack copy go through memory of exactly
 * its size, so that a sanitizer sees one byte too many.)
 */
#include <assert.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "profiler/unwind/pool.h"
#include "profiler/unwind/walk.h"

#define MAX_MAPPINGS 8
#define MAX_WORDS    512
#define STACK_BASE   0x7ffd00000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_code(void *context, uint64_t address, void *bytes, uint32_t size)
{
	struct cursor *c = context;

	for (uint32_t i = 0; i < size; i++)
		((uint8_t *)bytes)[i] = cursor_u8(c);
	return address & 16;
}

/* A word of the input; small ones become addresses in the mappings or on the stack, so that walks
 * get somewhere. */
static uint64_t value(struct cursor *c)
{
	uint8_t kind = cursor_u8(c);
	uint16_t v = cursor_u16(c);

	switch (kind & 3) {
	case 0:
		return STACK_BASE + (v & ~7u);
	case 1:
		return ((uint64_t)(kind >> 2 & 7) << 16) + v;
	case 2:
		return v;
	default:
		return cursor_u64(c);
	}
}

static uint32_t make_mappings(struct cursor *c, uint32_t dir, struct unwind_mapping *m)
{
	uint32_t n = cursor_u8(c) % (MAX_MAPPINGS + 1);
	uint64_t at = 0;

	for (uint32_t i = 0; i < n; i++) {
		at += cursor_u16(c);
		m[i].start = at;
		at += (uint64_t)cursor_u16(c) + 1;
		m[i].end = at;
		m[i].bias = (uint64_t)(cursor_u8(c) & 3) << 12;
		m[i].kind = cursor_u8(c) % 6;
		m[i].page_dir = dir + cursor_u8(c);
	}
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct cursor c = cursor_make(data, size);
	struct unwind_tables *t = unwind_tables_create(NULL);
	struct unwind_mapping mappings[MAX_MAPPINGS];
	struct unwind_result r = { .status = UNWIND_STATUS_COUNT };
	struct unwind_regs regs;
	uint32_t words = cursor_u16(&c) % MAX_WORDS + 1, dir = pool_alloc(t, words);
	uint32_t max_frames = cursor_u8(&c) * 8 + 1;
	bool cut = cursor_u8(&c) & 1;

	for (uint32_t i = cursor_u8(&c) % 64; i > 0; i--)
		pool_intern_rule(t, cursor_u64(&c));
	for (uint32_t i = 0; i < words; i++)
		*pool_at(t, dir + i) = cursor_u32(&c);

	struct unwind_space space = { .mappings = mappings,
				      .count = make_mappings(&c, dir, mappings),
				      .read_code = cut ? NULL : read_code,
				      .context = &c };
	regs.ip = value(&c);
	for (int i = 0; i < UNWIND_GPRS; i++)
		regs.gpr[i] = value(&c);

	size_t stack_size = MIN(cursor_left(&c), 8192u) / 4 * 8;
	uint64_t *stack = mem_alloc(stack_size + 1);
	for (size_t i = 0; i < stack_size / 8; i++)
		stack[i] = value(&c);
	struct unwind_memory memory = { .bytes = (uint8_t *)stack,
					.base = STACK_BASE,
					.size = stack_size };

	memory.has_holes = stack_size && stack[0] & 1;
	if (memory.has_holes)
		memory.absent[0] = stack[stack_size / 16];

	unwind_walk(t, &space, &regs, &memory, cut, frames, max_frames, &r);
	assert(r.status < UNWIND_STATUS_COUNT);
	assert(r.count >= 1 && r.count <= MIN(max_frames, UNWIND_MAX_FRAMES));
	for (uint32_t i = 0; i < r.count; i++)
		assert(frames[i].mapping < space.count ||
		       (frames[i].mapping == UINT32_MAX && i == 0));
	free(stack);
	unwind_tables_destroy(t);
	return 0;
}
