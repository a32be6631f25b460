/*
 * Unwind rows for code that no entry covers, by following its instructions: hand-written assembly,
 * C that was compiled without tables (musl), what compilers emit without them (main of a Rust
 * program that aborts on panics).
 *
 * No guess is made. Followed from its first instruction on, a function must return with its return
 * address on top of the stack and its caller's rbp in place: a `ret` that is reached proves that
 * what was taken for a function's start is one, and every distance on the ways there. Whether a
 * call ever comes back nobody knows: what follows one is believed only if it comes to a `ret` as
 * well, or joins what was believed before, or a symbol says that it is the same function. What is
 * not proved has no rows.
 */
#ifndef CPROF_UNWIND_FLOW_H
#define CPROF_UNWIND_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow;

/* A function that is known from elsewhere; size 0: where it ends is not. */
struct flow_function {
	uint64_t vaddr, size;
};

struct flow_code {
	const uint8_t *bytes;
	size_t size;
	uint64_t vaddr;
	bool is_whole; /* all that has no entries there, and not a part of it */
	const struct flow_function *known;
	size_t known_count;
};

/* Follows the functions in these bytes, which are borrowed. NULL: the thread had taken so much CPU
 * time (thread_cpu_ns()) before that was done. */
struct flow *flow_create(const struct flow_code *code, uint64_t until_cpu_ns);
size_t flow_known_bytes(const struct flow *f); /* of those that have rows */
void flow_destroy(struct flow *f);	       /* takes NULL */

/* Emits rows for [from, to), in order; rule INVALID where nothing is known. */
void flow_emit(const struct flow *f, uint64_t from, uint64_t to,
	       void (*emit)(void *context, uint64_t vaddr, uint64_t rule), void *context);

#endif
