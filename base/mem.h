/*
 * Memory. Sizes that come from outside are checked by the parser that reads them; what is asked for
 * here is small or already bounded, so running out ends the program with a message: what a
 * recording has on disk by then stays readable. A program says with mem_on_exhaustion() how.
 */
#ifndef CPROF_BASE_MEM_H
#define CPROF_BASE_MEM_H

#include <stdarg.h>
#include <stddef.h>

#include "base/compiler.h"

void *mem_alloc(size_t size);		     /* not initialised; free() it */
void *mem_calloc(size_t count, size_t size); /* zeroed; overflow is checked */
void *mem_realloc(void *old, size_t size);
void *mem_realloc_array(void *old, size_t count, size_t size);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n); /* n bytes at the most, and a NUL */
void *mem_dup(const void *bytes, size_t size);
char *mem_printf(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *mem_vprintf(const char *fmt, va_list args) PRINTF_LIKE(1, 0);

/* What to do, in place of a message and abort(), when there is no memory for so many bytes. It does
 * not return, and asks for none. */
void mem_on_exhaustion(void (*handler)(size_t size));

/* For CLEANUP(): free(*(void **)pointer). */
void mem_cleanup(void *pointer);

#endif
