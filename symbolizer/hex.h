/* Hexadecimal numbers in the texts that name addresses. */
#ifndef CPROF_SYMBOLIZER_HEX_H
#define CPROF_SYMBOLIZER_HEX_H

#include <stddef.h>
#include <stdint.h>

static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads 1 to 16 digits at p; returns what follows them, NULL where there is no such number. */
static inline const char *hex_u64(const char *p, const char *end, uint64_t *ret)
{
	const char *start = p;
	uint64_t v = 0;

	for (int digit; p < end && (digit = hex_digit(*p)) >= 0; p++)
		v = v << 4 | (uint64_t)digit;
	*ret = v;
	return p > start && p - start <= 16 ? p : NULL;
}

#endif
