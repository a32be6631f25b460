/*
 * The tree is walked in depth, with a count for each function of how often it is on the path: what
 * a node adds to its function's total counts only where it is the outermost of them.
 */
#include "profiler/analysis/hot.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"

/* Functions of one name and kind are one. */
static uint32_t function_of(struct hot_list *l, struct map *ids, const struct calltree_node *node)
{
	uint32_t *id = map_at(ids, map_key2(node->kind, node->name));

	if (*id == MAP_NONE) {
		*id = (uint32_t)l->functions.count;
		vec_push(&l->functions,
			 (struct hot_function){ .name = node->name,
						.kind = (enum frame_kind)node->kind });
	}
	return *id;
}

struct ranked {
	struct hot_function function;
	const char *name;
};

static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;

	if (a->function.self != b->function.self)
		return a->function.self > b->function.self ? -1 : 1;
	if (a->function.total != b->function.total)
		return a->function.total > b->function.total ? -1 : 1;
	int order = strcmp(a->name, b->name);
	return order ? order : (int)a->function.kind - (int)b->function.kind;
}

static void sort_functions(struct hot_list *l, const struct profile *p)
{
	struct ranked *ranked = mem_calloc(l->functions.count, sizeof(*ranked));

	for (size_t i = 0; i < l->functions.count; i++)
		ranked[i] = (struct ranked){ l->functions.items[i],
					     profile_text(p, l->functions.items[i].name) };
	if (l->functions.count)
		qsort(ranked, l->functions.count, sizeof(*ranked), compare_ranked);
	for (size_t i = 0; i < l->functions.count; i++)
		l->functions.items[i] = ranked[i].function;
	free(ranked);
}

void hot_list_build(struct hot_list *l, const struct calltree *t)
{
	const struct calltree_node *nodes = t->nodes.items;
	uint32_t *functions = mem_calloc(t->nodes.count, sizeof(*functions));
	VEC(uint32_t) on_path = { 0 };
	struct map ids = { 0 };

	*l = (struct hot_list){ .sum = nodes[0].total };
	for (size_t i = 1; i < t->nodes.count; i++)
		functions[i] = function_of(l, &ids, &nodes[i]);
	vec_reserve(&on_path, l->functions.count);
	memset(on_path.items, 0, l->functions.count * sizeof(*on_path.items));

	uint32_t at = nodes[0].first_child;
	while (at) {
		struct hot_function *f = &l->functions.items[functions[at]];
		f->self = profile_add_values(f->self, nodes[at].self);
		if (!on_path.items[functions[at]]++)
			f->total = profile_add_values(f->total, nodes[at].total);
		if (nodes[at].first_child) {
			at = nodes[at].first_child;
			continue;
		}
		/* up to the next node that has one beside it */
		while (at) {
			on_path.items[functions[at]]--;
			if (nodes[at].next_sibling) {
				at = nodes[at].next_sibling;
				break;
			}
			at = nodes[at].parent;
		}
	}
	sort_functions(l, t->profile);
	vec_deinit(&on_path);
	map_deinit(&ids);
	free(functions);
}

void hot_list_deinit(struct hot_list *l)
{
	vec_deinit(&l->functions);
}

static void add_nanoseconds(struct buf *out, int64_t value)
{
	static const struct {
		const char *name;
		double size;
	} units[] = { { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 } };
	double absolute = value < 0 ? -(double)value : (double)value;
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(units) && absolute < units[i].size)
		i++;
	double shown = (double)value / units[i].size;
	buf_printf(out, "%.*f %s", i == 3 ? 0 : 2, shown, units[i].name);
}

void hot_add_value(struct buf *out, const struct profile *p, uint32_t type, int64_t value)
{
	const struct profile_value_type *t = &p->types.items[type];
	const char *unit = profile_text(p, t->unit), *name = profile_text(p, t->type);

	if (strcmp(unit, "nanoseconds") == 0) {
		add_nanoseconds(out, value);
		return;
	}
	if (value < 0)
		buf_add_char(out, '-');
	text_add_thousands(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
	if (strcmp(unit, "count") != 0) {
		buf_add_char(out, ' ');
		text_add_printable(out, unit, strlen(unit));
	} else if (strcmp(name, "samples") == 0) {
		buf_add_str(out, " samples");
	}
}
