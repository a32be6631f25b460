#include "symbolizer/symtab.h"

#include <stdlib.h>
#include <string.h>

/* Longer names are cut (the longest known to us has 31,000 bytes). */
#define NAME_MAX_BYTES 65535

/* Aliases are compared by this many bytes: enough to tell real ones apart, little enough that a
 * table of equal monsters costs nothing. */
#define ALIAS_COMPARED_BYTES 1024

/* Symbols nest once or twice. Nobody's table may make a look-up long. */
#define NESTING_MAX 64

void symtab_deinit(struct symtab *t)
{
	vec_deinit(&t->symbols);
	vec_deinit(&t->strings);
}

uint8_t symtab_add_strings(struct symtab *t, const char *bytes, size_t size)
{
	vec_push(&t->strings, (struct symtab_strings){ bytes, size });
	return (uint8_t)(t->strings.count - 1);
}

void symtab_add(struct symtab *t, uint64_t start, uint64_t size, uint64_t limit,
		enum symbol_binding binding, uint8_t strings, uint32_t name)
{
	uint64_t end = size ? (size < UINT64_MAX - start ? start + size : UINT64_MAX) : limit;

	vec_push(&t->symbols, (struct symbol){ .start = start,
					       .end = MAX(end, start),
					       .name = name,
					       .strings = strings,
					       .binding = (uint8_t)binding,
					       .is_sized = size != 0,
					       .parent = SYMBOL_NONE });
}

void symtab_add_boundary(struct symtab *t, uint64_t address)
{
	vec_push(&t->symbols, (struct symbol){ .start = address,
					       .end = address,
					       .is_boundary = true,
					       .parent = SYMBOL_NONE });
}

static const char *bounded_name(const struct symtab *t, const struct symbol *s, size_t max,
				size_t *ret_len)
{
	const struct symtab_strings *strings = &t->strings.items[s->strings];

	if (s->name >= strings->size) {
		*ret_len = 0;
		return "";
	}
	*ret_len = strnlen(strings->bytes + s->name, MIN(strings->size - s->name, max));
	return strings->bytes + s->name;
}

const char *symtab_name(const struct symtab *t, const struct symbol *s, size_t *ret_len)
{
	const char *name = bounded_name(t, s, NAME_MAX_BYTES, ret_len);
	const char *version = *ret_len > 1 ? memchr(name + 1, '@', *ret_len - 1) : NULL;

	if (version)
		*ret_len = (size_t)(version - name);
	return name;
}

/* --- sorting --- */

enum { RADIX_BITS = 11, RADIX = 1 << RADIX_BITS };

static int compare_starts(const void *pa, const void *pb)
{
	const struct symbol *a = pa, *b = pb;

	return a->start < b->start ? -1 : a->start > b->start;
}

/* By start. Symbols come in any order, and tens of thousands of them are common. Only the bits in
 * which the starts differ are looked at. */
static void sort_by_start(struct symbol *symbols, size_t n)
{
	uint64_t low = UINT64_MAX, high = 0;

	for (size_t i = 0; i < n; i++) {
		low = MIN(low, symbols[i].start);
		high = MAX(high, symbols[i].start);
	}
	if (n < 64 || high - low > UINT64_MAX >> 20) {
		if (n > 1)
			qsort(symbols, n, sizeof(*symbols), compare_starts);
		return;
	}
	struct symbol *other = mem_alloc(n * sizeof(*other)), *from = symbols, *to = other;
	for (unsigned int shift = 0; shift < 64 && (high - low) >> shift; shift += RADIX_BITS) {
		uint32_t at[RADIX] = { 0 }, sum = 0;
		for (size_t i = 0; i < n; i++)
			at[(from[i].start - low) >> shift & (RADIX - 1)]++;
		for (int d = 0; d < RADIX; d++) {
			uint32_t count = at[d];
			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[at[(from[i].start - low) >> shift & (RADIX - 1)]++] = from[i];
		struct symbol *done = to;
		to = from;
		from = done;
	}
	if (from != symbols)
		memcpy(symbols, from, n * sizeof(*symbols));
	free(other);
}

/* --- aliases --- */

static bool has_odd_prefix(const char *name, size_t len)
{
	return len >= 1 &&
	       (name[0] == '$' || name[0] == '.' || (len >= 2 && name[0] == '_' && name[1] == '_'));
}

/* Below 0: a is the better name. The order: sized, longer code, binding, no odd prefix, shorter,
 * bytes. */
static int compare_aliases(const struct symtab *t, const struct symbol *a, const struct symbol *b)
{
	size_t la, lb;

	if (a->is_boundary || b->is_boundary)
		return a->is_boundary - b->is_boundary;
	if (a->is_sized != b->is_sized)
		return a->is_sized ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	if (a->binding != b->binding)
		return a->binding > b->binding ? -1 : 1;
	const char *na = bounded_name(t, a, ALIAS_COMPARED_BYTES, &la);
	const char *nb = bounded_name(t, b, ALIAS_COMPARED_BYTES, &lb);
	if (has_odd_prefix(na, la) != has_odd_prefix(nb, lb))
		return has_odd_prefix(na, la) ? 1 : -1;
	if (la != lb)
		return la < lb ? -1 : 1;
	return memcmp(na, nb, la);
}

static bool is_mangled(const char *name, size_t len)
{
	return len > 2 && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

/* Constructors and destructors come in up to three kinds (C1, C2, D0 ...) that often share their
 * code: names that differ in nothing but such a digit are one function. */
static bool differ_in_kind_only(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i] && (i == 0 || (a[i - 1] != 'C' && a[i - 1] != 'D') || a[i] < '0' ||
				     a[i] > '5' || b[i] < '0' || b[i] > '5'))
			return false;
	return true;
}

/*
 * Whether two names of one code are two functions that the compiler or the linker found to be
 * equal, as opposed to two names given to one function (`read` and `__read`). In C++ and Rust
 * nobody names a function twice; in C aliases are common and look the same, so there the linker
 * must be one that folds, and the symbols must look alike.
 */
static bool are_folded(const struct symtab *t, const struct symbol *a, const struct symbol *b)
{
	size_t la, lb;

	if (a->end != b->end || !a->is_sized || !b->is_sized || a->binding != b->binding)
		return false;
	const char *na = bounded_name(t, a, ALIAS_COMPARED_BYTES, &la);
	const char *nb = bounded_name(t, b, ALIAS_COMPARED_BYTES, &lb);
	const char *va = la ? memchr(na, '@', la) : NULL, *vb = lb ? memchr(nb, '@', lb) : NULL;

	la = va ? (size_t)(va - na) : la;
	lb = vb ? (size_t)(vb - nb) : lb;
	if (is_mangled(na, la) != is_mangled(nb, lb))
		return false;
	if (is_mangled(na, la))
		return la != lb || !differ_in_kind_only(na, nb, la);
	if (!t->linker_folds || has_odd_prefix(na, la) || has_odd_prefix(nb, lb))
		return false;
	return la != lb || memcmp(na, nb, la) != 0;
}

/* Leaves the best of each group of symbols with one start. */
static void choose_aliases(struct symtab *t)
{
	struct symbol *s = t->symbols.items;
	size_t n = t->symbols.count, kept = 0;

	for (size_t i = 0; i < n;) {
		size_t best = i, end = i + 1;
		for (; end < n && s[end].start == s[i].start; end++)
			if (compare_aliases(t, &s[end], &s[best]) < 0)
				best = end;
		bool folded = false;
		for (size_t k = i; k < end && !folded; k++)
			folded = k != best && are_folded(t, &s[best], &s[k]);
		s[kept] = s[best];
		s[kept++].is_folded = folded;
		i = end;
	}
	t->symbols.count = kept;
}

/* --- ends and nesting --- */

/* A symbol without a size ends where the next one starts. One inside of a sized symbol is a label,
 * not a function, and goes. Nesting: each symbol knows the one around it. */
static void end_and_nest(struct symtab *t)
{
	struct symbol *s = t->symbols.items;
	size_t n = t->symbols.count, kept = 0;
	uint32_t open = SYMBOL_NONE;

	for (size_t i = 0; i < n; i++) {
		struct symbol symbol = s[i];
		while (open != SYMBOL_NONE && s[open].end <= symbol.start)
			open = s[open].parent;
		if (symbol.is_boundary || (!symbol.is_sized && open != SYMBOL_NONE) ||
		    symbol.start == UINT64_MAX)
			continue; /* the last byte of all has no end */
		if (!symbol.is_sized && symbol.end > symbol.start && i + 1 < n)
			symbol.end = MIN(symbol.end, s[i + 1].start);
		if (symbol.end == symbol.start)
			symbol.end = symbol.start + 1;
		symbol.parent = open;
		s[kept] = symbol;
		open = (uint32_t)kept++;
	}
	t->symbols.count = kept;
}

void symtab_finish(struct symtab *t)
{
	sort_by_start(t->symbols.items, t->symbols.count);
	choose_aliases(t);
	end_and_nest(t);
}

/* --- look-up --- */

const struct symbol *symtab_below(const struct symtab *t, uint64_t address, size_t *near)
{
	const struct symbol *s = t->symbols.items;
	size_t n = t->symbols.count, low = *near, step = 1, high;

	if (low >= n || s[low].start > address)
		low = 0;
	if (n == 0 || s[low].start > address)
		return NULL;
	/* Steps of growing length, then halving: near what was found last time when it is near. */
	while (low + step < n && s[low + step].start <= address) {
		low += step;
		step *= 2;
	}
	high = MIN(low + step, n);
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (s[middle].start <= address)
			low = middle;
		else
			high = middle;
	}
	*near = low;
	return &s[low];
}

const struct symbol *symtab_find(const struct symtab *t, uint64_t address, size_t *near)
{
	const struct symbol *s = symtab_below(t, address, near);

	for (int depth = 0; s && s->end <= address; depth++) {
		if (s->parent == SYMBOL_NONE || depth == NESTING_MAX)
			return NULL;
		s = &t->symbols.items[s->parent];
	}
	return s;
}
