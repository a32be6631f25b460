/* A build id: the linker's hash of an ELF file, which names the file whatever its path. */
#ifndef CPROF_SYMBOLIZER_BUILD_ID_H
#define CPROF_SYMBOLIZER_BUILD_ID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BUILD_ID_MAX 20

struct build_id {
	uint8_t size; /* 0: none */
	uint8_t bytes[BUILD_ID_MAX];
};

static inline bool build_id_equal(const struct build_id *a, const struct build_id *b)
{
	return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

#define BUILD_ID_HEX_MAX (2 * BUILD_ID_MAX + 1)

/* Lower-case hex and a NUL into out[BUILD_ID_HEX_MAX]; returns out. */
static inline char *build_id_hex(const struct build_id *id, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < id->size; i++) {
		out[2 * i] = digits[id->bytes[i] >> 4];
		out[2 * i + 1] = digits[id->bytes[i] & 15];
	}
	out[2 * id->size] = '\0';
	return out;
}

#endif
