/*
 * JSON out, streaming: no tree is kept. Commas, indentation and escapes are the writer's; the
 * caller opens and closes objects and arrays. Strings that are not UTF-8 get U+FFFD for each bad
 * byte; `<`,
 * `>`, `&`, U+2028 and U+2029 are written as \u escapes, so that the text is safe inside a script.
 */
#ifndef CPROF_BASE_JSON_H
#define CPROF_BASE_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sink.h"

struct json {
	struct sink *out; /* borrowed */
	bool pretty;	  /* two blanks a level, a line a value */
	unsigned int depth;
	bool has_items; /* the open object or array is not empty */
	bool after_key;
};

static inline struct json json_make(struct sink *out, bool pretty)
{
	return (struct json){ .out = out, .pretty = pretty };
}

void json_object(struct json *j);
void json_object_end(struct json *j);
void json_array(struct json *j);
void json_array_end(struct json *j);
void json_key(struct json *j, const char *key);
void json_str(struct json *j, const char *s);
void json_strn(struct json *j, const char *s, size_t n);
void json_u64(struct json *j, uint64_t v);
void json_i64(struct json *j, int64_t v);
void json_double(struct json *j, double v, int decimals); /* null where it is not finite */
void json_bool(struct json *j, bool v);
void json_null(struct json *j);

/* key and value in one call */
void json_key_str(struct json *j, const char *key, const char *s);
void json_key_u64(struct json *j, const char *key, uint64_t v);

#endif
