#include "flamegraph/model/profile.h"

#include <assert.h>
#include <xxhash.h>

/* More children than this are looked up in a map. */
#define LINKED_CHILDREN 6

void profile_init(struct profile *p)
{
	*p = (struct profile){ 0 };
	intern_init(&p->strings);
	vec_push(&p->mappings, (struct profile_mapping){ 0 });
	vec_push(&p->functions, (struct profile_function){ 0 });
	vec_push(&p->locations, (struct profile_location){ 0 });
	vec_push(&p->stacks, (struct profile_stack){ 0 });
	vec_push(&p->stack_links, (struct profile_stack_links){ 0 });
	vec_push(&p->label_sets, (struct profile_label_set){ 0 });
}

void profile_deinit(struct profile *p)
{
	intern_deinit(&p->strings);
	vec_deinit(&p->mappings);
	vec_deinit(&p->functions);
	vec_deinit(&p->locations);
	vec_deinit(&p->stacks);
	vec_deinit(&p->stack_links);
	vec_deinit(&p->label_sets);
	vec_deinit(&p->lines);
	vec_deinit(&p->labels);
	vec_deinit(&p->types);
	vec_deinit(&p->samples);
	vec_deinit(&p->values);
	vec_deinit(&p->comments);
	map_deinit(&p->stack_ids);
	map_deinit(&p->sample_ids);
	map_deinit(&p->name_locations);
	map_deinit(&p->inline_locations);
	map_deinit(&p->label_set_ids);
	map_deinit(&p->function_ids);
	*p = (struct profile){ 0 };
}

uint32_t profile_add_type(struct profile *p, const char *type, const char *unit)
{
	assert(p->samples.count == 0);
	vec_push(&p->types,
		 (struct profile_value_type){ profile_string(p, type), profile_string(p, unit) });
	return (uint32_t)p->types.count - 1;
}

/* Does what the user typed mean this type? Types are spelt without `-` and `:`: an event's become
 * `_`, that of `off-cpu` falls away. */
static bool type_matches(const char *type, const char *typed, char instead)
{
	for (; *typed; typed++) {
		char c = *typed;
		if (c == '-' || c == ':') {
			if (!instead)
				continue;
			c = instead;
		}
		if (*type++ != c)
			return false;
	}
	return *type == '\0';
}

int profile_find_type(const struct profile *p, const char *type)
{
	static const char instead[] = { '-', '_', '\0' };

	for (size_t i = 0; i < p->types.count; i++)
		if (strcmp(profile_text(p, p->types.items[i].type), type) == 0)
			return (int)i;
	for (size_t k = 0; k < ARRAY_SIZE(instead); k++)
		for (size_t i = 0; i < p->types.count; i++)
			if (type_matches(profile_text(p, p->types.items[i].type), type, instead[k]))
				return (int)i;
	return -1;
}

uint32_t profile_add_mapping(struct profile *p, const struct profile_mapping *m)
{
	vec_push(&p->mappings, *m);
	return (uint32_t)p->mappings.count - 1;
}

static bool function_equal(const struct profile_function *a, const struct profile_function *b)
{
	return a->name == b->name && a->system_name == b->system_name && a->file == b->file &&
	       a->start_line == b->start_line;
}

uint32_t profile_intern_function(struct profile *p, const struct profile_function *f)
{
	uint64_t fields[3] = { map_key2(f->name, f->system_name), f->file,
			       (uint64_t)f->start_line };

	/* The map knows exact keys only: two functions of one hash take neighbouring keys. */
	for (uint64_t key = XXH3_64bits(fields, sizeof(fields));; key++) {
		uint32_t *id = map_at(&p->function_ids, key);
		if (*id == MAP_NONE) {
			*id = (uint32_t)p->functions.count;
			vec_push(&p->functions, *f);
			return (uint32_t)p->functions.count - 1;
		}
		if (function_equal(&p->functions.items[*id], f))
			return *id;
	}
}

uint32_t profile_add_location(struct profile *p, const struct profile_location *l,
			      const struct profile_line *lines, uint32_t n_lines)
{
	struct profile_location location = *l;

	assert(n_lines > 0);
	location.first_line = (uint32_t)p->lines.count;
	location.n_lines = n_lines;
	for (uint32_t i = 0; i < n_lines; i++)
		vec_push(&p->lines, lines[i]);
	vec_push(&p->locations, location);
	return (uint32_t)p->locations.count - 1;
}

uint32_t profile_name_location(struct profile *p, uint32_t name, enum frame_kind kind)
{
	uint32_t *id = map_at(&p->name_locations, map_key2(name, kind));

	if (*id == MAP_NONE) {
		struct profile_line line = { .function = profile_intern_function(
						     p,
						     &(struct profile_function){ .name = name }) };
		*id = profile_add_location(p, &(struct profile_location){ .kind = kind }, &line, 1);
	}
	return *id;
}

uint32_t profile_inline_location(struct profile *p, uint32_t location, uint32_t name)
{
	uint32_t *id = map_at(&p->inline_locations, map_key2(location, name));

	if (*id == MAP_NONE) {
		struct profile_location outer = p->locations.items[location];
		struct profile_function inlined = { .name = name };
		struct profile_line *lines = mem_calloc(outer.n_lines + 1, sizeof(*lines));

		lines[0].function = profile_intern_function(p, &inlined);
		memcpy(&lines[1], &p->lines.items[outer.first_line],
		       outer.n_lines * sizeof(*lines));
		*id = profile_add_location(p, &outer, lines, outer.n_lines + 1);
		free(lines);
	}
	return *id;
}

uint32_t profile_push_inlined(struct profile *p, uint32_t stack, uint32_t name, uint32_t location)
{
	struct profile_stack outer = p->stacks.items[stack];

	if (!stack || p->locations.items[outer.location].n_lines >= PROFILE_LINES_MAX)
		return profile_push(p, stack, location);
	return profile_push(p, outer.parent, profile_inline_location(p, outer.location, name));
}

static uint32_t add_stack(struct profile *p, uint32_t parent, uint32_t location)
{
	vec_push(&p->stacks, (struct profile_stack){ parent, location });
	vec_push(&p->stack_links, (struct profile_stack_links){ 0 });
	return (uint32_t)p->stacks.count - 1;
}

uint32_t profile_push(struct profile *p, uint32_t parent, uint32_t location)
{
	uint32_t linked = 0;

	for (uint32_t child = p->stack_links.items[parent].first_child; child;
	     child = p->stack_links.items[child].next_sibling, linked++)
		if (p->stacks.items[child].location == location)
			return child;

	if (linked < LINKED_CHILDREN) {
		uint32_t id = add_stack(p, parent, location);
		p->stack_links.items[id].next_sibling = p->stack_links.items[parent].first_child;
		p->stack_links.items[parent].first_child = id;
		return id;
	}
	uint32_t *id = map_at(&p->stack_ids, map_key2(parent, location));
	if (*id == MAP_NONE)
		*id = add_stack(p, parent, location);
	return *id;
}

static bool label_equal(const struct profile_label *a, const struct profile_label *b)
{
	return a->key == b->key && a->str == b->str && a->num == b->num && a->unit == b->unit;
}

static void sort_labels(const struct profile *p, struct profile_label *labels, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		struct profile_label moved = labels[i];
		uint32_t k = i;
		for (; k &&
		       strcmp(profile_text(p, labels[k - 1].key), profile_text(p, moved.key)) > 0;
		     k--)
			labels[k] = labels[k - 1];
		labels[k] = moved;
	}
}

static bool labels_equal(const struct profile *p, uint32_t set, const struct profile_label *labels,
			 uint32_t count)
{
	const struct profile_label_set *s = &p->label_sets.items[set];

	if (s->count != count)
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (!label_equal(&p->labels.items[s->first + i], &labels[i]))
			return false;
	return true;
}

uint32_t profile_intern_labels(struct profile *p, struct profile_label *labels, uint32_t count)
{
	uint64_t key = count;

	if (!count)
		return 0;
	sort_labels(p, labels, count);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t fields[4] = { key, map_key2(labels[i].key, labels[i].str),
				       (uint64_t)labels[i].num, labels[i].unit };
		key = XXH3_64bits(fields, sizeof(fields));
	}
	for (;; key++) {
		uint32_t *id = map_at(&p->label_set_ids, key);
		if (*id == MAP_NONE) {
			*id = (uint32_t)p->label_sets.count;
			vec_push(&p->label_sets,
				 (struct profile_label_set){ (uint32_t)p->labels.count, count });
			for (uint32_t i = 0; i < count; i++)
				vec_push(&p->labels, labels[i]);
			return (uint32_t)p->label_sets.count - 1;
		}
		if (labels_equal(p, *id, labels, count))
			return *id;
	}
}

const struct profile_label *profile_find_label(const struct profile *p, uint32_t label_set,
					       const char *key)
{
	const struct profile_label_set *s = &p->label_sets.items[label_set];

	for (uint32_t i = 0; i < s->count; i++) {
		const struct profile_label *l = &p->labels.items[s->first + i];
		if (strcmp(profile_text(p, l->key), key) == 0)
			return l;
	}
	return NULL;
}

void profile_add_sample(struct profile *p, uint32_t stack, uint32_t labels, const int64_t *values)
{
	size_t n = p->types.count;
	uint32_t *id = map_at(&p->sample_ids, map_key2(stack, labels));

	if (*id == MAP_NONE) {
		*id = (uint32_t)p->samples.count;
		vec_push(&p->samples, (struct profile_sample){ stack, labels });
		vec_reserve(&p->values, n);
		memcpy(p->values.items + p->values.count, values, n * sizeof(*values));
		p->values.count += n;
		return;
	}
	int64_t *sums = &p->values.items[*id * n];
	for (size_t i = 0; i < n; i++)
		sums[i] = profile_add_values(sums[i], values[i]);
}

int64_t profile_total(const struct profile *p, uint32_t type)
{
	int64_t total = 0;

	for (size_t i = 0; i < p->samples.count; i++)
		total = profile_add_values(total, p->values.items[i * p->types.count + type]);
	return total;
}
