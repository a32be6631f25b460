/* Attributes that the whole tree uses. */
#ifndef CPROF_BASE_COMPILER_H
#define CPROF_BASE_COMPILER_H

#include <stddef.h>

#define MUST_USE	       __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN	       __attribute__((noreturn))
#define UNUSED		       __attribute__((unused))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)     ((a) < (b) ? (a) : (b))
#define MAX(a, b)     ((a) > (b) ? (a) : (b))

/* Runs fn(&variable) when the variable goes out of scope: `CLEANUP(buf_deinit) struct buf b = {0};`
 */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

#endif
