/*
 * A table of unique strings with ids 0, 1, 2 ... in the order of their first appearance. Id 0 is
 * always the empty string. Strings may hold any bytes; each is also NUL-terminated. Up to 2^32-2
 * strings.
 */
#ifndef CPROF_BASE_INTERN_H
#define CPROF_BASE_INTERN_H

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct intern_entry {
	const char *s;
	uint32_t len;
	uint32_t hash;
};

struct intern {
	struct intern_entry *entries;
	uint32_t count;
	uint32_t capacity;
	uint32_t *slots; /* entry + 1; 0 is free */
	uint32_t mask;
	char **blocks; /* the bytes, in blocks that never move */
	size_t n_blocks;
	size_t block_used, block_size;
};

void intern_init(struct intern *t);
void intern_deinit(struct intern *t);

/* The id of n bytes, added if they are new. The bytes are copied. */
uint32_t intern_bytes(struct intern *t, const char *s, size_t n);

static inline uint32_t intern_str(struct intern *t, const char *s)
{
	return intern_bytes(t, s, strlen(s));
}

/* The string of an id, borrowed for the table's life. */
static inline const char *intern_get(const struct intern *t, uint32_t id)
{
	return t->entries[id].s;
}

static inline uint32_t intern_len(const struct intern *t, uint32_t id)
{
	return t->entries[id].len;
}

#endif
