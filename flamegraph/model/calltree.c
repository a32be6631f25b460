/*
 * Building the tree. A stack of the profile is a path of locations; a path of the tree is one of
 * frames: name, kind and whether it was inlined. Where every location is one frame of its own, as
 * in text formats, the profile's stacks are the tree already and are only copied; otherwise
 * children are found through a map of (parent, frame).
 *
 * Samples of one root (the process, and on request the thread) are taken together: within a root
 * each stack has one node, kept in an array, so that a common prefix is walked once. Nothing
 * recurses: stacks of many thousand frames come from outside.
 */
#include "flamegraph/model/calltree.h"

#include <assert.h>

#define NO_FRAME UINT32_MAX
#define NO_NODE	 UINT32_MAX

struct frame {
	uint32_t name;
	enum frame_kind kind;
	bool inlined;
};

/* The frames above a sample's stack: process and thread. */
struct root {
	uint32_t frames[2];
	uint32_t count;
};

struct span {
	uint32_t first, count;
};

struct builder {
	const struct profile *p;
	struct calltree *t;
	const struct calltree_options *o;

	VEC(struct frame) frames;
	struct map frame_ids; /* name, kind, inlined -> frame */
	struct span *location_spans;
	VEC(uint32_t) location_frames; /* of a location, outermost first */
	bool unique;		       /* every location is one frame, and no two are the same */

	VEC(struct root) roots;
	struct map root_ids;
	uint32_t *set_roots; /* label set -> root; NO_FRAME: not asked yet */

	struct map children;	   /* (parent, frame) -> node, where not unique */
	VEC(uint32_t) node_frames; /* node -> frame */
	uint32_t *stack_nodes;	   /* stack -> its node below the current root */
	VEC(uint32_t) touched;	   /* the stacks that have one */
	VEC(uint32_t) path;
};

static uint32_t intern_frame(struct builder *b, uint32_t name, enum frame_kind kind, bool inlined)
{
	uint64_t key = (uint64_t)name << 8 | (uint64_t)kind << 1 | inlined;
	uint32_t *id = map_at(&b->frame_ids, key);

	if (*id == MAP_NONE) {
		*id = (uint32_t)b->frames.count;
		vec_push(&b->frames, (struct frame){ name, kind, inlined });
	}
	return *id;
}

static void expand_locations(struct builder *b)
{
	const struct profile *p = b->p;

	b->location_spans = mem_alloc(p->locations.count * sizeof(*b->location_spans));
	b->unique = !b->o->reverse;
	for (size_t i = 0; i < p->locations.count; i++) {
		const struct profile_location *l = &p->locations.items[i];
		size_t known = b->frames.count;

		b->location_spans[i] =
			(struct span){ (uint32_t)b->location_frames.count, l->n_lines };
		for (uint32_t k = l->n_lines; k-- > 0;) {
			uint32_t function = p->lines.items[l->first_line + k].function;
			vec_push(&b->location_frames,
				 intern_frame(b, p->functions.items[function].name, l->kind,
					      k + 1 < l->n_lines));
		}
		if (i && (l->n_lines != 1 || b->frames.count == known))
			b->unique = false;
	}
}

/* --- roots --- */

bool calltree_root_text(const struct profile *p, uint32_t label_set, enum calltree_root root,
			unsigned int level, struct buf *out)
{
	bool thread = level == 1;
	bool pid = root == CALLTREE_ROOT_PID || root == CALLTREE_ROOT_PID_THREAD;

	if (root == CALLTREE_ROOT_NONE ||
	    (thread && root != CALLTREE_ROOT_THREAD && root != CALLTREE_ROOT_PID_THREAD))
		return false;

	const struct profile_label *name = profile_find_label(
		p, label_set, thread ? PROFILE_LABEL_THREAD : PROFILE_LABEL_COMM);
	const struct profile_label *number = NULL;
	if (thread)
		number = profile_find_label(p, label_set, PROFILE_LABEL_TID);
	else if (pid)
		number = profile_find_label(p, label_set, PROFILE_LABEL_PID);
	if (!name && !number)
		return false;
	if (name)
		buf_add(out, profile_text(p, name->str), intern_len(&p->strings, name->str));
	if (number) {
		if (name)
			buf_add_char(out, '-');
		buf_add_i64(out, number->num);
	} else if (pid && !thread) {
		buf_add_str(out, "-?");
	}
	return true;
}

/* The frame of a level of a label set's root; NO_FRAME where there is none. */
static uint32_t root_frame(struct builder *b, uint32_t label_set, unsigned int level)
{
	struct buf text = { 0 };
	uint32_t frame = NO_FRAME;

	/* A process's name alone may be the name of a frame: it must be the same string. */
	if (level == 0 &&
	    (b->o->root == CALLTREE_ROOT_COMM || b->o->root == CALLTREE_ROOT_THREAD)) {
		const struct profile_label *comm =
			profile_find_label(b->p, label_set, PROFILE_LABEL_COMM);
		return comm ? intern_frame(b, comm->str, FRAME_USER, false) : NO_FRAME;
	}
	if (calltree_root_text(b->p, label_set, b->o->root, level, &text)) {
		uint32_t name = intern_bytes(&b->t->own_names, text.data, text.len);
		frame = intern_frame(b, b->t->first_own_name + name, FRAME_USER, false);
	}
	buf_deinit(&text);
	return frame;
}

static uint32_t find_root(struct builder *b, uint32_t label_set)
{
	struct root r = { { NO_FRAME, NO_FRAME }, 0 };

	if (b->set_roots[label_set] != NO_FRAME)
		return b->set_roots[label_set];
	for (unsigned int level = 0; level < ARRAY_SIZE(r.frames); level++) {
		uint32_t frame = root_frame(b, label_set, level);
		if (frame != NO_FRAME)
			r.frames[r.count++] = frame;
	}
	uint32_t *id = map_at(&b->root_ids, map_key2(r.frames[0], r.frames[1]));
	if (*id == MAP_NONE) {
		/* Roots of one depth share nothing below them; others may meet at a node. */
		if (b->roots.count && b->roots.items[0].count != r.count)
			b->unique = false;
		*id = (uint32_t)b->roots.count;
		vec_push(&b->roots, r);
	}
	b->set_roots[label_set] = *id;
	return *id;
}

/* --- nodes --- */

static uint32_t add_node(struct builder *b, uint32_t parent, uint32_t frame)
{
	const struct frame *f = &b->frames.items[frame];
	uint32_t id = (uint32_t)b->t->nodes.count;

	vec_reserve(&b->t->nodes, 1);
	struct calltree_node *nodes = b->t->nodes.items;
	nodes[id] = (struct calltree_node){
		.parent = parent,
		.next_sibling = nodes[parent].first_child,
		.name = f->name,
		.depth = nodes[parent].depth + 1,
		.kind = (uint8_t)f->kind,
		.inlined = f->inlined,
	};
	nodes[parent].first_child = id;
	b->t->nodes.count++;
	if (nodes[id].depth > b->t->max_depth)
		b->t->max_depth = nodes[id].depth;
	vec_push(&b->node_frames, frame);
	return id;
}

static uint32_t find_child(struct builder *b, uint32_t parent, uint32_t frame)
{
	uint32_t *id = map_at(&b->children, map_key2(parent, frame));

	if (*id == MAP_NONE)
		*id = add_node(b, parent, frame);
	return *id;
}

static uint32_t add_location(struct builder *b, uint32_t parent, uint32_t location)
{
	struct span s = b->location_spans[location];

	if (b->unique)
		return add_node(b, parent, b->location_frames.items[s.first]);
	for (uint32_t i = 0; i < s.count; i++)
		parent = find_child(b, parent, b->location_frames.items[s.first + i]);
	return parent;
}

static uint32_t root_node(struct builder *b, const struct root *r)
{
	uint32_t node = 0;

	for (uint32_t i = 0; i < r->count; i++)
		node = find_child(b, node, r->frames[i]);
	return node;
}

/* The node of a stack below the current root. */
static uint32_t stack_node(struct builder *b, uint32_t stack)
{
	uint32_t known = stack;

	b->path.count = 0;
	for (; b->stack_nodes[known] == NO_NODE; known = b->p->stacks.items[known].parent)
		vec_push(&b->path, known);

	uint32_t node = b->stack_nodes[known];
	while (b->path.count) {
		uint32_t next = b->path.items[--b->path.count];
		node = add_location(b, node, b->p->stacks.items[next].location);
		b->stack_nodes[next] = node;
		vec_push(&b->touched, next);
	}
	return node;
}

/* The same from the leaf outwards: the process and thread come last. */
static uint32_t reversed_node(struct builder *b, const struct root *r, uint32_t stack)
{
	uint32_t node = 0;

	for (; stack; stack = b->p->stacks.items[stack].parent) {
		struct span s = b->location_spans[b->p->stacks.items[stack].location];
		for (uint32_t i = s.count; i-- > 0;)
			node = find_child(b, node, b->location_frames.items[s.first + i]);
	}
	for (uint32_t i = r->count; i-- > 0;)
		node = find_child(b, node, r->frames[i]);
	return node;
}

static int64_t sample_value(const struct builder *b, size_t sample)
{
	return b->p->values.items[sample * b->p->types.count + b->o->type];
}

static void add_sample(struct builder *b, uint32_t root, size_t sample)
{
	uint32_t stack = b->p->samples.items[sample].stack;
	uint32_t node = b->o->reverse ? reversed_node(b, &b->roots.items[root], stack)
				      : stack_node(b, stack);
	struct calltree_node *n = &b->t->nodes.items[node];

	n->self = profile_add_values(n->self, sample_value(b, sample));
}

/* Adds all samples, root after root. */
static void add_samples(struct builder *b)
{
	const struct profile *p = b->p;
	size_t n = p->samples.count;
	VEC(uint32_t) order = { 0 };
	VEC(size_t) starts = { 0 };

	/* A counting sort by root keeps the samples' order within one. */
	for (size_t i = 0; i < n; i++)
		find_root(b, p->samples.items[i].labels);
	for (size_t r = 0; r <= b->roots.count; r++)
		vec_push(&starts, 0);
	for (size_t i = 0; i < n; i++)
		starts.items[b->set_roots[p->samples.items[i].labels] + 1]++;
	for (size_t r = 1; r <= b->roots.count; r++)
		starts.items[r] += starts.items[r - 1];
	vec_reserve(&order, n);
	for (size_t i = 0; i < n; i++)
		order.items[starts.items[b->set_roots[p->samples.items[i].labels]]++] = (uint32_t)i;

	size_t at = 0;
	for (uint32_t r = 0; r < b->roots.count; r++) {
		b->stack_nodes[0] = b->o->reverse ? 0 : root_node(b, &b->roots.items[r]);
		for (; at < starts.items[r]; at++)
			if (sample_value(b, order.items[at]) != 0)
				add_sample(b, r, order.items[at]);
		while (b->touched.count)
			b->stack_nodes[b->touched.items[--b->touched.count]] = NO_NODE;
	}
	vec_deinit(&order);
	vec_deinit(&starts);
}

/* --- order and totals --- */

struct ranked {
	const char *name;
	uint32_t len;
	uint32_t frame;
	enum frame_kind kind;
	bool inlined;
};

static int compare_ranked(const void *left, const void *right)
{
	const struct ranked *a = left, *b = right;
	int order = memcmp(a->name, b->name, MIN(a->len, b->len));

	if (order)
		return order;
	if (a->len != b->len)
		return a->len < b->len ? -1 : 1;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return (int)a->inlined - (int)b->inlined;
}

/* frame -> its place among all frames by name. The caller frees it. */
static uint32_t *rank_frames(const struct builder *b)
{
	size_t n = b->frames.count;
	struct ranked *sorted = mem_alloc(n * sizeof(*sorted));
	uint32_t *ranks = mem_alloc(n * sizeof(*ranks));

	for (uint32_t i = 0; i < n; i++) {
		const struct frame *f = &b->frames.items[i];
		bool own = f->name >= b->t->first_own_name;
		const struct intern *names = own ? &b->t->own_names : &b->p->strings;
		uint32_t id = own ? f->name - b->t->first_own_name : f->name;
		sorted[i] = (struct ranked){ intern_get(names, id), intern_len(names, id), i,
					     f->kind, f->inlined };
	}
	qsort(sorted, n, sizeof(*sorted), compare_ranked);
	for (uint32_t i = 0; i < n; i++)
		ranks[sorted[i].frame] = i;
	free(sorted);
	return ranks;
}

static int compare_keys(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* Children were linked newest first; sorted input is in order when read backwards. */
static void sort_children(struct builder *b)
{
	struct calltree_node *nodes = b->t->nodes.items;
	uint32_t *ranks = rank_frames(b);
	VEC(uint64_t) family = { 0 };

	for (size_t parent = 0; parent < b->t->nodes.count; parent++) {
		uint32_t child = nodes[parent].first_child;
		bool descending = true;

		if (!child || !nodes[child].next_sibling)
			continue;
		for (family.count = 0; child; child = nodes[child].next_sibling) {
			uint64_t key = map_key2(ranks[b->node_frames.items[child]], child);
			if (family.count && key > *vec_last(&family))
				descending = false;
			vec_push(&family, key);
		}
		if (!descending) {
			qsort(family.items, family.count, sizeof(*family.items), compare_keys);
			for (size_t i = 0; i < family.count / 2; i++) {
				uint64_t other = family.items[family.count - 1 - i];
				family.items[family.count - 1 - i] = family.items[i];
				family.items[i] = other;
			}
		}
		for (size_t i = 0; i < family.count; i++) {
			child = (uint32_t)family.items[i];
			nodes[child].next_sibling = i ? (uint32_t)family.items[i - 1] : 0;
		}
		nodes[parent].first_child = (uint32_t)*vec_last(&family);
	}
	vec_deinit(&family);
	free(ranks);
}

static void sum_totals(struct calltree *t)
{
	struct calltree_node *nodes = t->nodes.items;

	for (size_t i = t->nodes.count; i-- > 0;) {
		nodes[i].total = profile_add_values(nodes[i].total, nodes[i].self);
		if (i) {
			struct calltree_node *parent = &nodes[nodes[i].parent];
			parent->total = profile_add_values(parent->total, nodes[i].total);
		}
	}
}

void calltree_build(struct calltree *t, const struct profile *p, const struct calltree_options *o)
{
	struct builder b = { .p = p, .t = t, .o = o };

	assert(o->type < p->types.count);
	*t = (struct calltree){ .profile = p, .first_own_name = p->strings.count };
	intern_init(&t->own_names);
	vec_push(&t->nodes, (struct calltree_node){ 0 });
	vec_push(&b.node_frames, NO_FRAME);
	expand_locations(&b);
	b.set_roots = mem_alloc(p->label_sets.count * sizeof(*b.set_roots));
	memset(b.set_roots, 0xff, p->label_sets.count * sizeof(*b.set_roots));
	b.stack_nodes = mem_alloc(p->stacks.count * sizeof(*b.stack_nodes));
	memset(b.stack_nodes, 0xff, p->stacks.count * sizeof(*b.stack_nodes));

	add_samples(&b);
	sort_children(&b);
	sum_totals(t);

	vec_deinit(&b.frames);
	map_deinit(&b.frame_ids);
	free(b.location_spans);
	vec_deinit(&b.location_frames);
	vec_deinit(&b.roots);
	map_deinit(&b.root_ids);
	free(b.set_roots);
	map_deinit(&b.children);
	vec_deinit(&b.node_frames);
	free(b.stack_nodes);
	vec_deinit(&b.touched);
	vec_deinit(&b.path);
}

void calltree_deinit(struct calltree *t)
{
	vec_deinit(&t->nodes);
	intern_deinit(&t->own_names);
	*t = (struct calltree){ 0 };
}
