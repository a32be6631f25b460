#include "profiler/analysis/report.h"

#include <stdlib.h>

void report_prepare(struct report *r)
{
	struct calltree_options options = { .type = r->type, .root = CALLTREE_ROOT_NONE };
	struct calltree flat;

	calltree_build(&flat, r->profile, &options);
	hot_list_build(&r->hot, &flat);
	calltree_deinit(&flat);
	options.root = CALLTREE_ROOT_COMM;
	calltree_build(&r->tree, r->profile, &options);
}

void report_deinit(struct report *r)
{
	hot_list_deinit(&r->hot);
	calltree_deinit(&r->tree);
}

size_t report_count(const struct report *r)
{
	size_t n = r->hot.functions.count;

	return r->limit && r->limit < n ? (size_t)r->limit : n;
}

const char *report_kind(enum frame_kind kind)
{
	switch (kind) {
	case FRAME_KERNEL:
		return "kernel";
	case FRAME_JIT:
		return "jit";
	case FRAME_SENTINEL:
		return "sentinel";
	case FRAME_USER:
		break;
	}
	return "user";
}

static int compare_nodes(const void *left, const void *right, void *context)
{
	const struct calltree_node *nodes = context;
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	if (nodes[a].total != nodes[b].total)
		return nodes[a].total > nodes[b].total ? -1 : 1;
	return (a > b) - (a < b); /* siblings stand sorted by name */
}

void report_children_of(const struct report *r, uint32_t node, struct report_children *ret)
{
	const struct calltree_node *nodes = r->tree.nodes.items;

	ret->nodes.count = 0;
	for (uint32_t i = nodes[node].first_child; i; i = nodes[i].next_sibling)
		if (hot_percent(nodes[i].total, r->hot.sum) >= r->cutoff_percent)
			vec_push(&ret->nodes, i);
	if (ret->nodes.count)
		qsort_r(ret->nodes.items, ret->nodes.count, sizeof(*ret->nodes.items),
			compare_nodes, (void *)nodes);
}
