/*
 * The memory that the tables of all files share: a pool of words in chunks (so that it can grow
 * without moving, and so that the kernel can have the same chunks as map values), and the array of
 * distinct rules. Real programs have few rules: some 900 in the largest files, some 1,500 in clang
 * and its libraries.
 */
#ifndef CPROF_UNWIND_POOL_H
#define CPROF_UNWIND_POOL_H

#include "base/map.h"
#include "base/vec.h"
#include "profiler/unwind/layout.h"
#include "profiler/unwind/table.h"

#define RULE_CACHE_SIZE 4096

/* A unit whose code without entries is still to be followed. */
struct unit_left {
	struct unwind_table *table;
	uint64_t unit;
};

struct unwind_tables {
	struct unwind_memory_source source; /* add_chunk NULL: chunks and rules are our own */
	uint32_t *chunks[UNWIND_MAX_CHUNKS];
	uint32_t used; /* words given out, those left over at a chunk's end included */

	uint64_t *rules;
	uint32_t rule_count;
	struct map rule_ids; /* packed rule -> position in rules */
	struct {
		uint64_t rule;
		uint32_t id;
	} rule_cache[RULE_CACHE_SIZE]; /* in front of rule_ids, direct-mapped */

	VEC(struct unwind_table *) tables;
	uint64_t build_ns;	    /* CPU time of compiling */
	uint64_t follow_ns;	    /* of that: of units with code without entries */
	VEC(struct unit_left) left; /* to be followed */
	size_t left_taken;
	uint64_t pages_left_out; /* of code, for whose rows there was no memory */
};

/* n words, zeroed, that lie in one chunk; 0 where the pool is full. */
uint32_t pool_alloc(struct unwind_tables *t, uint32_t n);

/* The same at an offset that is a multiple of `align`, a power of two. */
uint32_t pool_alloc_aligned(struct unwind_tables *t, uint32_t n, uint32_t align);

/* The word at an offset; 0 outside of what was given out. */
static inline uint32_t pool_word(const struct unwind_tables *t, uint32_t offset)
{
	if (offset >= t->used)
		return 0;
	return t->chunks[offset >> UNWIND_CHUNK_SHIFT][offset & UNWIND_CHUNK_MASK];
}

static inline uint32_t *pool_at(struct unwind_tables *t, uint32_t offset)
{
	return &t->chunks[offset >> UNWIND_CHUNK_SHIFT][offset & UNWIND_CHUNK_MASK];
}

uint16_t pool_intern_rule(struct unwind_tables *t, uint64_t rule);

/* The position of a rule in the array. When the array is full, that of UNSUP. */
static inline uint16_t pool_rule_id(struct unwind_tables *t, uint64_t rule)
{
	uint32_t slot = (uint32_t)((rule * 0x9e3779b97f4a7c15ULL) >> 52);

	if (t->rule_cache[slot].rule != rule) {
		t->rule_cache[slot].id = pool_intern_rule(t, rule);
		t->rule_cache[slot].rule = rule;
	}
	return (uint16_t)t->rule_cache[slot].id;
}

#endif
