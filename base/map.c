#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* A finaliser of the splitmix64 family: every bit of the key reaches the low bits. */
static uint32_t hash_key(uint64_t key)
{
	key ^= key >> 32;
	key *= 0xd6e8feb86659fd93ULL;
	key ^= key >> 32;
	return (uint32_t)key;
}

static struct map_slot *find_slot(const struct map *m, uint64_t key)
{
	uint32_t i = hash_key(key) & m->mask;

	while (m->slots[i].value != MAP_NONE && m->slots[i].key != key)
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

uint32_t map_find(const struct map *m, uint64_t key)
{
	return m->slots ? find_slot(m, key)->value : MAP_NONE;
}

static void grow(struct map *m)
{
	struct map old = *m;
	size_t slots = old.slots ? ((size_t)old.mask + 1) * 2 : 64;

	m->slots = mem_alloc(slots * sizeof(*m->slots));
	m->mask = (uint32_t)(slots - 1);
	for (size_t i = 0; i < slots; i++)
		m->slots[i].value = MAP_NONE;
	if (!old.slots)
		return;
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].value != MAP_NONE)
			*find_slot(m, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

uint32_t *map_at(struct map *m, uint64_t key)
{
	if (!m->slots || m->count >= m->mask / 2 + m->mask / 8)
		grow(m);

	struct map_slot *slot = find_slot(m, key);
	if (slot->value == MAP_NONE) {
		slot->key = key;
		m->count++;
	}
	return &slot->value;
}

void map_remove(struct map *m, uint64_t key)
{
	uint32_t hole, i;

	if (map_find(m, key) == MAP_NONE)
		return;
	hole = (uint32_t)(find_slot(m, key) - m->slots);
	m->count--;
	/* what follows moves up, unless its place is behind the hole: no search may end there */
	for (i = (hole + 1) & m->mask; m->slots[i].value != MAP_NONE; i = (i + 1) & m->mask) {
		uint32_t home = hash_key(m->slots[i].key) & m->mask;

		if (((i - home) & m->mask) < ((i - hole) & m->mask))
			continue;
		m->slots[hole] = m->slots[i];
		hole = i;
	}
	m->slots[hole].value = MAP_NONE;
}

void map_deinit(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}
