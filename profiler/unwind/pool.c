#include "profiler/unwind/pool.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "profiler/unwind/unit.h"

_Static_assert(RULE_CACHE_SIZE == 1 << 12, "pool_rule_id() keeps the 12 high bits of the hash");

struct unwind_tables *unwind_tables_create(const struct unwind_memory_source *source)
{
	struct unwind_tables *t = mem_calloc(1, sizeof(*t));

	if (source)
		t->source = *source;
	t->rules = source ? source->rules : mem_calloc(UNWIND_MAX_RULES, sizeof(*t->rules));
	t->used = 1; /* offset 0 stands for none */

	/* The rules without operands stand at their own numbers, INVALID at 0: the empty slots of
	 * the cache, which say that rule 0 has id 0, are right from the start. */
	static const uint64_t fixed[] = { UNWIND_RULE_INVALID, UNWIND_RULE_UNSUP, UNWIND_RULE_STOP,
					  UNWIND_RULE_SIGNAL };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		pool_intern_rule(t, fixed[i]);
	return t;
}

void unwind_tables_destroy(struct unwind_tables *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->tables.count; i++)
		unwind_table_free(t->tables.items[i]);
	vec_deinit(&t->tables);
	vec_deinit(&t->left);
	if (!t->source.add_chunk) {
		for (size_t i = 0; i < UNWIND_MAX_CHUNKS && t->chunks[i]; i++)
			munmap(t->chunks[i], UNWIND_CHUNK_WORDS * sizeof(uint32_t));
		free(t->rules);
	}
	map_deinit(&t->rule_ids);
	free(t);
}

static uint32_t *add_chunk(struct unwind_tables *t, uint32_t index)
{
	void *p;

	if (t->source.add_chunk)
		return t->source.add_chunk(t->source.context, index);
	p = mmap(NULL, UNWIND_CHUNK_WORDS * sizeof(uint32_t), PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

uint32_t pool_alloc_aligned(struct unwind_tables *t, uint32_t n, uint32_t align)
{
	uint32_t at = (t->used + align - 1) & ~(align - 1);
	uint32_t left = UNWIND_CHUNK_WORDS - (at & UNWIND_CHUNK_MASK);
	uint32_t chunk;

	if (n > left)
		at += left;
	chunk = at >> UNWIND_CHUNK_SHIFT;
	if (n > UNWIND_CHUNK_WORDS || chunk >= UNWIND_MAX_CHUNKS)
		return 0;
	if (!t->chunks[chunk]) {
		t->chunks[chunk] = add_chunk(t, chunk);
		if (!t->chunks[chunk])
			return 0;
	}
	t->used = at + n;
	return at;
}

uint32_t pool_alloc(struct unwind_tables *t, uint32_t n)
{
	return pool_alloc_aligned(t, n, 1);
}

uint16_t pool_intern_rule(struct unwind_tables *t, uint64_t rule)
{
	uint32_t id = map_find(&t->rule_ids, rule);

	if (id != MAP_NONE)
		return (uint16_t)id;
	if (t->rule_count == UNWIND_MAX_RULES)
		return UNWIND_RULE_UNSUP;
	id = t->rule_count++;
	*map_at(&t->rule_ids, rule) = id;
	t->rules[id] = rule;
	return (uint16_t)id;
}
