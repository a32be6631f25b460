/*
 * The call tree: a profile's stacks merged by frame name for one value type, with self and total
 * values. It is what pictures and reports draw. Built once, read-only afterwards; children stand
 * sorted by name (bytewise), so the same profile gives the same tree.
 */
#ifndef CPROF_FLAMEGRAPH_CALLTREE_H
#define CPROF_FLAMEGRAPH_CALLTREE_H

#include "flamegraph/model/profile.h"

struct calltree_node {
	uint32_t parent;       /* index; the root (index 0) is its own parent */
	uint32_t first_child;  /* index; 0: none */
	uint32_t next_sibling; /* index; 0: none */
	uint32_t name;	       /* string of the profile */
	uint16_t depth;	       /* root 0; saturates */
	uint8_t kind;	       /* enum frame_kind */
	bool inlined;
	int64_t self, total; /* total = self + the children's totals */
};

enum calltree_root {
	CALLTREE_ROOT_COMM,   /* the label `comm` first, where there is one (the default) */
	CALLTREE_ROOT_NONE,   /* frames only */
	CALLTREE_ROOT_PID,    /* `comm-PID` */
	CALLTREE_ROOT_THREAD, /* comm, then the thread's name and id as a second frame */
};

struct calltree_options {
	uint32_t type; /* value type */
	enum calltree_root root;
	bool reverse; /* callers below: leaf first */
};

struct calltree {
	const struct profile *profile; /* borrowed */
	VEC(struct calltree_node) nodes; /* [0] is the root "all"; parents stand before their children */
	uint32_t max_depth;
};

/* Builds the tree. The profile must outlive it. */
void calltree_build(struct calltree *t, const struct profile *p, const struct calltree_options *o);
void calltree_deinit(struct calltree *t);

#endif
