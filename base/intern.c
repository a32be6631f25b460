#include "base/intern.h"

#include <stdbool.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/mem.h"

#define BLOCK_BYTES ((size_t)64 << 10)

void intern_init(struct intern *t)
{
	*t = (struct intern){ 0 };
	intern_bytes(t, "", 0);
}

void intern_deinit(struct intern *t)
{
	for (size_t i = 0; i < t->n_blocks; i++)
		free(t->blocks[i]);
	free(t->blocks);
	free(t->entries);
	free(t->slots);
	*t = (struct intern){ 0 };
}

static const char *store_bytes(struct intern *t, const char *s, size_t n)
{
	if (t->block_size - t->block_used < n + 1) {
		t->block_size = MAX(BLOCK_BYTES, n + 1);
		t->block_used = 0;
		t->blocks = mem_realloc_array(t->blocks, t->n_blocks + 1, sizeof(*t->blocks));
		t->blocks[t->n_blocks++] = mem_alloc(t->block_size);
	}
	char *copy = t->blocks[t->n_blocks - 1] + t->block_used;
	if (n)
		memcpy(copy, s, n);
	copy[n] = '\0';
	t->block_used += n + 1;
	return copy;
}

static void grow(struct intern *t)
{
	uint32_t slots = t->slots ? (t->mask + 1) * 2 : 256;

	free(t->slots);
	t->slots = mem_calloc(slots, sizeof(*t->slots));
	t->mask = slots - 1;
	for (uint32_t id = 0; id < t->count; id++) {
		uint32_t i = t->entries[id].hash & t->mask;
		while (t->slots[i])
			i = (i + 1) & t->mask;
		t->slots[i] = id + 1;
	}
}

uint32_t intern_bytes(struct intern *t, const char *s, size_t n)
{
	uint32_t hash = (uint32_t)XXH3_64bits(s, n);

	if (!t->slots || t->count >= t->mask / 2)
		grow(t);

	uint32_t i = hash & t->mask;
	while (t->slots[i]) {
		const struct intern_entry *e = &t->entries[t->slots[i] - 1];
		if (e->hash == hash && e->len == n && (!n || memcmp(e->s, s, n) == 0))
			return t->slots[i] - 1;
		i = (i + 1) & t->mask;
	}
	if (t->count == t->capacity) {
		t->capacity = t->capacity * 2 + 64;
		t->entries = mem_realloc_array(t->entries, t->capacity, sizeof(*t->entries));
	}
	t->entries[t->count] = (struct intern_entry){ store_bytes(t, s, n), (uint32_t)n, hash };
	t->slots[i] = t->count + 1;
	return t->count++;
}
