/*
 * A growable array of any type: `VEC(struct row) rows = {0};`. Items are rows.items[0 ..
 * rows.count). A zeroed one is empty. Pushing may move the items.
 */
#ifndef CPROF_BASE_VEC_H
#define CPROF_BASE_VEC_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t count;                                                                      \
		size_t capacity;                                                                   \
	}

/* Makes room for `more` items beyond the present ones. */
#define vec_reserve(v, more)                                                                       \
	do {                                                                                       \
		size_t vec_need_ = (v)->count + (more);                                            \
		if (vec_need_ > (v)->capacity) {                                                   \
			(v)->capacity = MAX(vec_need_, (v)->capacity + (v)->capacity / 2 + 8);     \
			(v)->items =                                                               \
				mem_realloc_array((v)->items, (v)->capacity, sizeof(*(v)->items)); \
		}                                                                                  \
	} while (0)

#define vec_push(v, ...)                                                                           \
	do {                                                                                       \
		vec_reserve(v, 1);                                                                 \
		(v)->items[(v)->count++] = __VA_ARGS__;                                            \
	} while (0)

/* Of a queue, whose reader counts in *taken: what was taken goes, once it is most of the items. */
#define vec_shed(v, taken)                                                                         \
	do {                                                                                       \
		if (*(taken) > (v)->count / 2) {                                                   \
			(v)->count -= *(taken);                                                    \
			memmove((v)->items, (v)->items + *(taken),                                 \
				(v)->count * sizeof(*(v)->items));                                 \
			*(taken) = 0;                                                              \
		}                                                                                  \
	} while (0)

#define vec_last(v) (&(v)->items[(v)->count - 1])

#define vec_deinit(v)                                                                              \
	do {                                                                                       \
		free((v)->items);                                                                  \
		(v)->items = NULL;                                                                 \
		(v)->count = (v)->capacity = 0;                                                    \
	} while (0)

#endif
