/*
 * Finds a location by what it says, while locations are added: open addressing over their ids, some
 * seven bytes each. A map of each file would be empty for the most part: on a whole machine most
 * files have a few locations.
 */
#ifndef CPROF_RECORDING_LOCATION_IDS_H
#define CPROF_RECORDING_LOCATION_IDS_H

#include "profiler/recording/recording.h"

struct location_ids {
	uint32_t *slots; /* 0: free */
	uint32_t mask;
};

static inline void location_ids_deinit(struct location_ids *t)
{
	free(t->slots);
}

/* The slot of a location: with its id, or free. */
static inline uint32_t *location_ids_slot(const struct location_ids *t,
					  const struct recording_location *locations,
					  const struct recording_location *l)
{
	uint64_t hash = (l->address ^ (uint64_t)l->file << 34 ^ (uint64_t)l->is_return << 33 ^
			 (uint64_t)l->guessed << 32) *
			0x9e3779b97f4a7c15ull;

	for (uint32_t i = (uint32_t)(hash >> 32) & t->mask;; i = (i + 1) & t->mask) {
		const struct recording_location *of = &locations[t->slots[i]];

		if (!t->slots[i] || (of->address == l->address && of->file == l->file &&
				     of->is_return == l->is_return && of->guessed == l->guessed))
			return &t->slots[i];
	}
}

static inline void location_ids_grow(struct location_ids *t,
				     const struct recording_location *locations, uint32_t count)
{
	t->mask = t->slots ? 2 * t->mask + 1 : 1023;
	free(t->slots);
	t->slots = mem_calloc((size_t)t->mask + 1, sizeof(*t->slots));
	for (uint32_t id = 1; id < count; id++)
		*location_ids_slot(t, locations, &locations[id]) = id;
}

/* The id of a location, `next_id` where it is new: the caller adds that one. */
static inline uint32_t location_ids_intern(struct location_ids *t,
					   const struct recording_location *locations,
					   const struct recording_location *l, uint32_t next_id)
{
	uint32_t *slot;

	if (!t->slots || next_id > t->mask / 2 + t->mask / 8)
		location_ids_grow(t, locations, next_id);
	slot = location_ids_slot(t, locations, l);
	if (!*slot)
		*slot = next_id;
	return *slot;
}

#endif
