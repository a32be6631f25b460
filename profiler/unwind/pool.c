#include "profiler/unwind/pool.h"

#include <sys/mman.h>

#include "profiler/unwind/unit.h"

_Static_assert(RULE_CACHE_SIZE == 1 << 12, "pool_rule_id() keeps the 12 high bits of the hash");

struct unwind_tables *unwind_tables_create(void)
{
	struct unwind_tables *t = mem_calloc(1, sizeof(*t));

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
	for (size_t i = 0; i < UNWIND_MAX_CHUNKS && t->chunks[i]; i++)
		munmap(t->chunks[i], POOL_CHUNK_WORDS * sizeof(uint32_t));
	map_deinit(&t->rule_ids);
	free(t);
}

uint32_t pool_alloc(struct unwind_tables *t, uint32_t n)
{
	uint32_t left = POOL_CHUNK_WORDS - (t->used & (POOL_CHUNK_WORDS - 1));
	uint32_t at = n <= left ? t->used : t->used + left;
	uint32_t chunk = at >> UNWIND_CHUNK_SHIFT;

	if (n > POOL_CHUNK_WORDS || chunk >= UNWIND_MAX_CHUNKS)
		return 0;
	if (!t->chunks[chunk]) {
		void *p = mmap(NULL, POOL_CHUNK_WORDS * sizeof(uint32_t), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return 0;
		t->chunks[chunk] = p;
	}
	t->used = at + n;
	return at;
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
