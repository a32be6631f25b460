/* The hottest functions of a profile, and values as text. */
#ifndef CPROF_ANALYSIS_HOT_H
#define CPROF_ANALYSIS_HOT_H

#include "base/buf.h"
#include "flamegraph/model/calltree.h"

struct hot_function {
	uint32_t name; /* string of the profile */
	enum frame_kind kind;
	int64_t self, total; /* a recursive function's total counts once */
};

struct hot_list {
	VEC(struct hot_function) functions; /* by self, then total, then name; sentinels too */
	int64_t sum;			    /* of all samples */
};

/* Sums up a tree without root frames (CALLTREE_ROOT_NONE). */
void hot_list_build(struct hot_list *l, const struct calltree *t);
void hot_list_deinit(struct hot_list *l);

/* Adds a value with its unit for people: "1.23 s", "4,567 samples", "12,345". */
void hot_add_value(struct buf *out, const struct profile *p, uint32_t type, int64_t value);

/* A part of the whole in per cent; 0 where the whole is 0. */
static inline double hot_percent(int64_t value, int64_t sum)
{
	return sum ? (double)value * 100 / (double)sum : 0;
}

#endif
