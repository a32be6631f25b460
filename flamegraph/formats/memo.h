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

#include "base/vec.h"

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
	VEC(char *) blocks; /* the texts, in blocks that never move */
	size_t block_used, block_size;
};

#define MEMO_BLOCK_BYTES ((size_t)64 << 10)

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
	struct memo_slot *old = m->slots;
	uint32_t old_count = old ? m->mask + 1 : 0;
	uint32_t slots = old ? old_count * 2 : 1024;

	m->slots = mem_calloc(slots, sizeof(*m->slots));
	m->mask = slots - 1;
	for (uint32_t i = 0; i < old_count; i++)
		if (old[i].text)
			*memo_slot_of(m, old[i].text, old[i].len, old[i].hash) = old[i];
	free(old);
}

static inline const char *memo_copy(struct memo *m, const char *s, uint32_t n)
{
	if (m->block_size - m->block_used < n || !m->block_size) {
		m->block_size = MAX(MEMO_BLOCK_BYTES, n);
		m->block_used = 0;
		vec_push(&m->blocks, mem_alloc(m->block_size));
	}
	char *copy = *vec_last(&m->blocks) + m->block_used;
	memcpy(copy, s, n);
	m->block_used += n;
	return copy;
}

/* The slot of the text. Its value is MEMO_NONE if the text is new: store another before the next
 * call. The slot is valid until then, its text for the memo's life. */
static inline struct memo_slot *memo_find(struct memo *m, const char *s, uint32_t n)
{
	uint32_t hash = (uint32_t)XXH3_64bits(s, n);

	if (!m->slots || m->count > m->mask / 2)
		memo_grow(m);

	struct memo_slot *slot = memo_slot_of(m, s, n, hash);
	if (!slot->text) {
		m->count++;
		*slot = (struct memo_slot){ memo_copy(m, s, n), n, hash, MEMO_NONE };
	}
	return slot;
}

static inline uint32_t *memo_at(struct memo *m, const char *s, uint32_t n)
{
	return &memo_find(m, s, n)->value;
}

static inline void memo_deinit(struct memo *m)
{
	for (size_t i = 0; i < m->blocks.count; i++)
		free(m->blocks.items[i]);
	vec_deinit(&m->blocks);
	free(m->slots);
	*m = (struct memo){ 0 };
}

#endif
