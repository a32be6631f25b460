#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*on_exhaustion)(size_t size);

void mem_on_exhaustion(void (*handler)(size_t size))
{
	on_exhaustion = handler;
}

static NORETURN void out_of_memory(size_t size)
{
	if (on_exhaustion)
		on_exhaustion(size);
	fprintf(stderr, "cprof: out of memory (asked for %zu bytes)\n", size);
	abort();
}

void *mem_alloc(size_t size)
{
	void *p = malloc(size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

void *mem_calloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);

	if (!p)
		out_of_memory(count * size);
	return p;
}

void *mem_realloc(void *old, size_t size)
{
	void *p = realloc(old, size ? size : 1);

	if (!p)
		out_of_memory(size);
	return p;
}

void *mem_realloc_array(void *old, size_t count, size_t size)
{
	if (size && count > SIZE_MAX / size)
		out_of_memory(SIZE_MAX);
	return mem_realloc(old, count * size);
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_strndup(const char *s, size_t n)
{
	size_t len = strnlen(s, n);
	char *copy = mem_alloc(len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void *mem_dup(const void *bytes, size_t size)
{
	void *copy = mem_alloc(size);

	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

char *mem_vprintf(const char *fmt, va_list args)
{
	char *s;

	if (vasprintf(&s, fmt, args) < 0)
		out_of_memory(0);
	return s;
}

char *mem_printf(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *s = mem_vprintf(fmt, args);
	va_end(args);
	return s;
}

void mem_cleanup(void *pointer)
{
	free(*(void **)pointer);
}
