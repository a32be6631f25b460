/*
 * Remembers what a piece of the input stands for: text -> number. The same line or name appears a
 * million times in text formats and is parsed once. The text is borrowed: the input outlives the
 * memo.
 */
#ifndef CPROF_FLAMEGRAPH_MEMO_H
#define CPROF_FLAMEGRAPH_MEMO_H

#include <stdint.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/mem.h"

#define MEMO_NONE UINT32_MAX

struct memo_slot {
	const char *text; /* NULL: free */
	uint32_t len;
	uint32_t hash;
	uint32_t value;
};

struct memo {
	struct memo_slot *slots;
	uint32_t mask, count;
};

static inline struct memo_slot *memo_slot_of(const struct memo *m, const char *s, uint32_t n,
					     uint32_t hash)
{
	uint32_t i = hash & m->mask;

	while (m->slots[i].text && (m->slots[i].hash != hash || m->slots[i].len != n ||
				    memcmp(m->slots[i].text, s, n) != 0))
		i = (i + 1) & m->mask;
	return &m->slots[i];
}

static inline void memo_grow(struct memo *m)
{
	struct memo old = *m;
	uint32_t slots = old.slots ? (old.mask + 1) * 2 : 1024;

	m->slots = mem_calloc(slots, sizeof(*m->slots));
	m->mask = slots - 1;
	for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
		const struct memo_slot *s = &old.slots[i];
		if (s->text)
			*memo_slot_of(m, s->text, s->len, s->hash) = *s;
	}
	free(old.slots);
}

/* A pointer to the value of the text, MEMO_NONE if the text is new: store another through it before
 * the next call. Valid until then. */
static inline uint32_t *memo_at(struct memo *m, const char *s, uint32_t n)
{
	uint32_t hash = (uint32_t)XXH3_64bits(s, n);

	if (!m->slots || m->count > m->mask / 2)
		memo_grow(m);

	struct memo_slot *slot = memo_slot_of(m, s, n, hash);
	if (!slot->text) {
		m->count++;
		*slot = (struct memo_slot){ s, n, hash, MEMO_NONE };
	}
	return &slot->value;
}

static inline void memo_deinit(struct memo *m)
{
	free(m->slots);
	*m = (struct memo){ 0 };
}

#endif
