#include "flamegraph/render/layout.h"

/* A frame whose children are being placed. */
struct open_frame {
	uint32_t frame;
	uint32_t child; /* the next child's node; 0: none is left */
};

static void add_frame(struct layout *l, const struct layout_frame *f)
{
	vec_push(&l->frames, *f);
	l->max_depth = MAX(l->max_depth, f->depth);
}

/* How wide a child may be: values below zero elsewhere can make children outweigh their parent, and
 * a frame never sticks out over what is below it. */
static int64_t child_width(const struct layout_frame *parent, int64_t total)
{
	return MIN(total, parent->w - parent->covered);
}

void layout_build(struct layout *l, const struct calltree *t, double min_share)
{
	VEC(struct open_frame) open = { 0 };
	const struct calltree_node *nodes = t->nodes.items;

	*l = (struct layout){ 0 };
	if (!t->nodes.count || nodes[0].total <= 0)
		return;
	l->total = nodes[0].total;
	double least = min_share * (double)l->total;

	add_frame(l, &(struct layout_frame){ .w = l->total });
	vec_push(&open, (struct open_frame){ 0, nodes[0].first_child });
	while (open.count) {
		struct open_frame *top = vec_last(&open);
		uint32_t node = top->child;
		if (!node) {
			open.count--;
			continue;
		}
		top->child = nodes[node].next_sibling;

		uint32_t below = top->frame;
		struct layout_frame *parent = &l->frames.items[below];
		int64_t w = child_width(parent, nodes[node].total);
		if (w <= 0 || (double)w < least) {
			l->negative_frames += nodes[node].total <= 0;
			l->pruned_weight += MAX(w, 0);
			continue;
		}
		struct layout_frame f = { .node = node,
					  .parent = below,
					  .depth = parent->depth + 1,
					  .x = parent->x + parent->covered,
					  .w = w };
		parent->covered += w;
		vec_push(&open,
			 (struct open_frame){ (uint32_t)l->frames.count, nodes[node].first_child });
		add_frame(l, &f);
	}
	l->pruned_frames = t->nodes.count - l->frames.count;
	vec_deinit(&open);
}

void layout_deinit(struct layout *l)
{
	vec_deinit(&l->frames);
}
