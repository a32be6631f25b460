/*
 * Which frames of a call tree are drawn, and where. A frame lies above its parent and is as wide as
 * its total; children stand side by side from the left edge of their parent, in the tree's order,
 * and what is left free on the right is the parent's own (self) value. Positions are in the value's
 * own unit, so that nothing is rounded before a writer knows its scale.
 *
 * Frames narrower than a least width are left out with everything above them: nobody can see them,
 * and they are most of a large profile. What was left out is counted, never silent.
 */
#ifndef CPROF_FLAMEGRAPH_LAYOUT_H
#define CPROF_FLAMEGRAPH_LAYOUT_H

#include "flamegraph/model/calltree.h"

struct layout_frame {
	uint32_t node;	 /* of the call tree */
	uint32_t parent; /* index of a frame; the root is its own parent */
	uint32_t depth;	 /* root 0; does not saturate */
	int64_t x, w;
	int64_t covered; /* the sum of the drawn children's widths */
};

struct layout {
	VEC(struct layout_frame) frames; /* the root first, each frame before its children */
	uint32_t max_depth;
	int64_t total; /* the root's width */

	uint64_t pruned_frames;
	int64_t pruned_weight;	  /* what the outermost frames left out weigh together */
	uint64_t negative_frames; /* of them: without a positive value, so without a width */
};

/* Lays out a tree; frames below `min_share` of the total are left out. No recursion: stacks may be
 * thousands of frames deep. A tree whose total is not positive has no frames. */
void layout_build(struct layout *l, const struct calltree *t, double min_share);
void layout_deinit(struct layout *l);

#endif
