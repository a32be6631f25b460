/* Text for people, and text that came from outside. */
#ifndef CPROF_BASE_TEXT_H
#define CPROF_BASE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* Length in bytes of the UTF-8 sequence at s (n bytes readable), 0 if it is not valid UTF-8: no
 * overlong forms, no surrogates, nothing above U+10FFFF. */
size_t utf8_sequence(const char *s, size_t n);

bool utf8_valid(const char *s, size_t n);

/* Adds n bytes to out; what is not valid UTF-8 becomes U+FFFD, one for each byte. */
void utf8_add_valid(struct buf *out, const char *s, size_t n);

/* Adds a number with separators between thousands: 1,234,567. */
void text_add_thousands(struct buf *out, uint64_t v);

/* The word that follows a number: `one` where that is 1, else `many`. */
static inline const char *text_plural(uint64_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* Adds n bytes for a terminal: control characters as \n or \x1b, the rest as it is. Names of files
 * and programs come from outside: print them through this. */
void text_add_printable(struct buf *out, const char *s, size_t n);

/* The word of the list that is nearest to the given one by edits, NULL if none is near. */
const char *text_nearest(const char *word, const char *const *words, size_t count);

/* Numbers a user typed; `what` names the option or field in the error. */
struct error *parse_u64(const char *s, const char *what, uint64_t max, uint64_t *ret) MUST_USE;
struct error *parse_double(const char *s, const char *what, double *ret) MUST_USE;

/* `10ms`, `5s`, `250us`, `2m`, `1h`; a bare number is seconds, fractions are allowed. */
struct error *parse_duration_ns(const char *s, const char *what, uint64_t *ret_ns) MUST_USE;

/* `64K`, `2M`, `1G` in powers of 1,024; a bare number is bytes. */
struct error *parse_size(const char *s, const char *what, uint64_t *ret_bytes) MUST_USE;

#endif
