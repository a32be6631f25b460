#include "profiler/analysis/entries.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "profiler/analysis/health.h"

/* The outermost location of each stack, found once a stack: parents stand before their children. */
static uint32_t *find_roots(const struct recording *r)
{
	uint32_t *roots = mem_calloc(MAX(r->stacks.count, 1), sizeof(*roots));

	for (size_t i = 1; i < r->stacks.count; i++) {
		const struct recording_stack *s = &r->stacks.items[i];
		roots[i] = s->parent ? roots[s->parent] : s->location;
	}
	return roots;
}

/* Samples of whole stacks a location; the caller frees it. */
static uint64_t *count_by_location(const struct recording *r)
{
	uint64_t *counts = mem_calloc(MAX(r->locations.count, 1), sizeof(*counts));
	uint32_t *roots = find_roots(r);

	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		if (unwind_status_class(s->status) == UNWIND_CLASS_WHOLE && s->stack &&
		    !health_is_booked(r, s))
			counts[roots[s->stack]]++;
	}
	free(roots);
	return counts;
}

static struct entry entry_at(const struct recording *r, uint32_t location,
			     const struct recording_symbol *symbol)
{
	const struct recording_location *l = &r->locations.items[location];
	struct entry e = { .file = l->file, .start = l->address };

	if (symbol) {
		e.start = symbol->start;
		if (symbol->count)
			e.name = r->symbol_frames.items[symbol->first + symbol->count - 1].name;
	}
	return e;
}

static void add(struct entries *list, const struct entry *e, uint64_t samples)
{
	for (size_t i = 0; i < list->items.count; i++) {
		struct entry *known = &list->items.items[i];
		if (known->file == e->file && known->start == e->start) {
			known->samples += samples;
			return;
		}
	}
	vec_push(&list->items, *e);
	vec_last(&list->items)->samples = samples;
}

static int compare_entries(const void *left, const void *right)
{
	const struct entry *a = left, *b = right;

	if (a->samples != b->samples)
		return a->samples > b->samples ? -1 : 1;
	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	return (a->start > b->start) - (a->start < b->start);
}

void entries_of(const struct recording *r, struct entries *ret)
{
	uint64_t *counts = count_by_location(r);
	const struct recording_symbol **symbols =
		mem_calloc(MAX(r->locations.count, 1), sizeof(struct recording_symbol *));

	*ret = (struct entries){ 0 };
	for (size_t i = 0; i < r->symbols.count; i++)
		symbols[r->symbols.items[i].location] = &r->symbols.items[i];
	for (uint32_t i = 1; i < r->locations.count; i++) {
		if (!counts[i])
			continue;
		struct entry e = entry_at(r, i, symbols[i]);
		add(ret, &e, counts[i]);
	}
	if (ret->items.count)
		qsort(ret->items.items, ret->items.count, sizeof(struct entry), compare_entries);
	free(symbols);
	free(counts);
}

void entries_deinit(struct entries *e)
{
	vec_deinit(&e->items);
}

void entry_add_name(struct buf *out, const struct recording *r, const struct entry *e)
{
	const char *path = intern_get(&r->strings, r->files.items[e->file].path);
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	if (e->name)
		text_add_printable(out, intern_get(&r->strings, e->name),
				   intern_len(&r->strings, e->name));
	else
		buf_printf(out, "0x%" PRIx64, e->start);
	buf_add_str(out, " (");
	text_add_printable(out, base, strlen(base));
	buf_add_char(out, ')');
}
