/*
 * A hash map from a 64-bit key to a 32-bit value: open addressing. Keys are any
 * numbers; MAP_NONE is no value. A zeroed map is empty. For composite keys combine them with
 * map_key2().
 */
#ifndef CPROF_BASE_MAP_H
#define CPROF_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define MAP_NONE UINT32_MAX

struct map_slot {
	uint64_t key;
	uint32_t value; /* MAP_NONE: the slot is free */
};

struct map {
	struct map_slot *slots;
	uint32_t mask; /* number of slots - 1, a power of two */
	uint32_t count;
};

/* The value of a key, MAP_NONE where there is none. */
uint32_t map_find(const struct map *m, uint64_t key);

/* A pointer to the value of the key, which is MAP_NONE if the key is new: store another value
 * through it before the next call (a free slot must not stay behind). Valid until the next
 * map_at() or map_remove(). */
uint32_t *map_at(struct map *m, uint64_t key);

/* Forgets a key, if it is there. The map does not become smaller. */
void map_remove(struct map *m, uint64_t key);

void map_deinit(struct map *m);

static inline uint64_t map_key2(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}

#endif
