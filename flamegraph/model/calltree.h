/*
 * The call tree: a profile's stacks merged by frame name for one value type, with self and total
 * values. It is what pictures and reports draw. Built once, read-only afterwards; children stand
 * sorted by name (bytewise), so the same profile gives the same tree.
 */
#ifndef CPROF_FLAMEGRAPH_CALLTREE_H
#define CPROF_FLAMEGRAPH_CALLTREE_H

#include "base/buf.h"
#include "flamegraph/model/profile.h"

struct calltree_node {
	uint32_t parent;       /* index; the root (index 0) is its own parent */
	uint32_t first_child;  /* index; 0: none */
	uint32_t next_sibling; /* index; 0: none */
	uint32_t name;	       /* for calltree_name() */
	uint32_t depth;	       /* root 0 */
	uint8_t kind;	       /* enum frame_kind */
	bool inlined;
	int64_t self, total; /* total = self + the children's totals */
};

enum calltree_root {
	CALLTREE_ROOT_COMM,	  /* the label `comm` first, where there is one (the default) */
	CALLTREE_ROOT_NONE,	  /* frames only */
	CALLTREE_ROOT_PID,	  /* `comm-PID`, `comm-?` where the sample has no label `pid` */
	CALLTREE_ROOT_PID_THREAD, /* `comm-PID`, then `thread-TID` */
	CALLTREE_ROOT_THREAD,	  /* comm, then `thread-TID` as a second frame */
};

struct calltree_options {
	uint32_t type; /* value type */
	enum calltree_root root;
	bool reverse; /* leaf first, its callers above it; the process comes last */
};

struct calltree {
	const struct profile *profile; /* borrowed */
	VEC(struct calltree_node)
	nodes; /* [0] is the root "all"; parents stand before their children */
	uint32_t max_depth;
	/* Names that the profile has not (`comm-PID`): name ids from first_own_name on. */
	struct intern own_names;
	uint32_t first_own_name;
};

/* Builds the tree. The profile must outlive it and not change meanwhile. Samples whose value of the
 * type is 0 are left out. Frames of one name, kind and inlining below one parent are one node. */
void calltree_build(struct calltree *t, const struct profile *p, const struct calltree_options *o);
void calltree_deinit(struct calltree *t);

/* The text of the frame that stands above the stacks of a label set: level 0 is the process, level
 * 1 the thread. False where there is none. Appends to out. */
bool calltree_root_text(const struct profile *p, uint32_t label_set, enum calltree_root root,
			unsigned int level, struct buf *out);

/* The name of a node, borrowed; the root's is empty. */
static inline const char *calltree_name(const struct calltree *t, uint32_t node)
{
	uint32_t name = t->nodes.items[node].name;

	return name < t->first_own_name ? intern_get(&t->profile->strings, name)
					: intern_get(&t->own_names, name - t->first_own_name);
}

static inline uint32_t calltree_name_len(const struct calltree *t, uint32_t node)
{
	uint32_t name = t->nodes.items[node].name;

	return name < t->first_own_name ? intern_len(&t->profile->strings, name)
					: intern_len(&t->own_names, name - t->first_own_name);
}

#endif
