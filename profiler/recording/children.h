/*
 * Finds a stack by its parent and its location, while stacks are added. Most of what a sample adds
 * lies below a frame that is new itself: that it has no children yet is known without a look into a
 * large table, which would miss the caches each time. So a stack keeps its first children in a
 * list; only those beyond CHILDREN_LISTED are found through a map.
 */
#ifndef CPROF_RECORDING_CHILDREN_H
#define CPROF_RECORDING_CHILDREN_H

#include "base/map.h"
#include "base/vec.h"
#include "profiler/recording/recording.h"

#define CHILDREN_LISTED 4

struct child_list {
	uint32_t first; /* 0: none */
	uint32_t next;	/* of the same parent's */
	uint32_t count; /* of the listed ones */
};

struct children {
	VEC(struct child_list) lists; /* by id of the stack */
	struct map more;	      /* (parent, location) -> stack: those not in a list */
};

static inline void children_deinit(struct children *c)
{
	vec_deinit(&c->lists);
	map_deinit(&c->more);
}

/* The child of `parent` at a location, `next_id` where it is new: the caller adds that one. */
static inline uint32_t children_intern(struct children *c, const struct recording_stack *stacks,
				       uint32_t parent, uint32_t location, uint32_t next_id)
{
	struct child_list *of;

	while (c->lists.count <= next_id)
		vec_push(&c->lists, ((struct child_list){ 0 }));
	of = &c->lists.items[parent];
	for (uint32_t id = of->first; id; id = c->lists.items[id].next)
		if (stacks[id].location == location)
			return id;
	if (of->count < CHILDREN_LISTED) {
		c->lists.items[next_id].next = of->first;
		of->first = next_id;
		of->count++;
		return next_id;
	}

	uint32_t *id = map_at(&c->more, map_key2(parent, location));

	if (*id == MAP_NONE)
		*id = next_id;
	return *id;
}

#endif
