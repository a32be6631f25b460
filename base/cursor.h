/*
 * The one way to read bytes that came from outside: a bounds-checked, little-endian cursor. A read
 * past the end returns 0 and marks the cursor as failed; every later read fails too. So a parser
 * reads a whole structure and asks cursor_ok() once.
 */
#ifndef CPROF_BASE_CURSOR_H
#define CPROF_BASE_CURSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *at;
	const uint8_t *end; /* one past the last readable byte */
	bool failed;
};

static inline struct cursor cursor_make(const void *bytes, size_t size)
{
	/* NULL with size 0 is an empty cursor; even NULL + 0 would be undefined. */
	return (struct cursor){ bytes, size ? (const uint8_t *)bytes + size : bytes, false };
}

static inline bool cursor_ok(const struct cursor *c)
{
	return !c->failed;
}

static inline size_t cursor_left(const struct cursor *c)
{
	return c->failed ? 0 : (size_t)(c->end - c->at);
}

/* n bytes, borrowed from the underlying memory; NULL past the end. */
static inline const void *cursor_bytes(struct cursor *c, uint64_t n)
{
	if (n > cursor_left(c)) {
		c->failed = true;
		return NULL;
	}
	const void *p = c->at;
	c->at += n;
	return p;
}

static inline void cursor_skip(struct cursor *c, uint64_t n)
{
	(void)cursor_bytes(c, n);
}

/* A cursor over the next n bytes, which this one skips. */
static inline struct cursor cursor_sub(struct cursor *c, uint64_t n)
{
	const uint8_t *p = cursor_bytes(c, n);

	return p ? cursor_make(p, n) : (struct cursor){ c->end, c->end, true };
}

#define CURSOR_READ(bits)                                                                          \
	static inline uint##bits##_t cursor_u##bits(struct cursor *c)                              \
	{                                                                                          \
		uint##bits##_t v = 0;                                                              \
		const void *p = cursor_bytes(c, sizeof(v));                                        \
		if (p)                                                                             \
			memcpy(&v, p, sizeof(v));                                                  \
		return v;                                                                          \
	}
CURSOR_READ(8)
CURSOR_READ(16)
CURSOR_READ(32)
CURSOR_READ(64)
#undef CURSOR_READ

/* Base-128 numbers. Bits beyond 64 are an error. */
static inline uint64_t cursor_uleb(struct cursor *c)
{
	uint64_t v = 0;

	for (unsigned int shift = 0;; shift += 7) {
		uint8_t byte = cursor_u8(c);
		if (c->failed)
			return 0;
		if (shift >= 64 ? (byte & 0x7f) != 0 : shift == 63 && (byte & 0x7e)) {
			c->failed = true;
			return 0;
		}
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return v;
	}
}

static inline int64_t cursor_sleb(struct cursor *c)
{
	uint64_t v = 0;
	unsigned int shift = 0;
	uint8_t byte;

	do {
		byte = cursor_u8(c);
		if (c->failed || shift >= 70) {
			c->failed = true;
			return 0;
		}
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (shift < 64 && (byte & 0x40))
		v |= ~(uint64_t)0 << shift;
	return (int64_t)v;
}

/* A NUL-terminated string, borrowed; NULL if no NUL comes before the end. */
static inline const char *cursor_str(struct cursor *c)
{
	const uint8_t *nul = cursor_left(c) ? memchr(c->at, 0, cursor_left(c)) : NULL;

	if (!nul) {
		c->failed = true;
		return NULL;
	}
	const char *s = (const char *)c->at;
	c->at = nul + 1;
	return s;
}

#endif
