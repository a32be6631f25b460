/* A growable buffer of bytes. A zeroed one is empty. Used for text (NUL-terminated on request) and
 * for binary data. */
#ifndef CPROF_BASE_BUF_H
#define CPROF_BASE_BUF_H

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct buf {
	char *data;
	size_t len;
	size_t capacity;
};

void buf_reserve(struct buf *b, size_t more);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_deinit(struct buf *b);

/* The contents as a C string, borrowed until the next change. */
const char *buf_str(struct buf *b);

/* The contents as a C string that the caller frees; the buffer is empty afterwards. */
char *buf_take_str(struct buf *b);

static inline void buf_add(struct buf *b, const void *bytes, size_t n)
{
	if (b->capacity - b->len < n)
		buf_reserve(b, n);
	if (n)
		memcpy(b->data + b->len, bytes, n);
	b->len += n;
}

static inline void buf_add_char(struct buf *b, char c)
{
	if (b->len == b->capacity)
		buf_reserve(b, 1);
	b->data[b->len++] = c;
}

static inline void buf_add_str(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void buf_clear(struct buf *b)
{
	b->len = 0;
}

/* Decimal digits without printf, for hot writers. */
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_i64(struct buf *b, int64_t v);

/* Little-endian base-128 numbers, as in DWARF and protobuf; zigzag for signed ones. */
void buf_add_uleb(struct buf *b, uint64_t v);

static inline uint64_t zigzag_encode(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t zigzag_decode(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
