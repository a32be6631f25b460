/*
 * Code that has no unwind entry and is known by its bytes: where programs and threads start, where
 * signal handlers return to (written in assembly by the C libraries, mostly without CFI), and what
 * gcc puts into every program to end it (compiled without).
 */
#ifndef CPROF_UNWIND_CODE_H
#define CPROF_UNWIND_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of the entry stub (what e_entry points at) that these bytes begin with; 0: no known one.
 */
size_t code_entry_stub(const uint8_t *bytes, size_t size);

/* The address of main() that an entry stub at an address loads for the C library; 0: none. */
uint64_t code_main(const uint8_t *stub, size_t size, uint64_t vaddr);

/* .init and .fini: pieces that linkers put together between a `sub $8,%rsp` and its `add; ret`.
 * Gives the offsets behind these two; false where it is anything else. */
bool code_init_section(const uint8_t *bytes, size_t size, size_t *ret_pushed, size_t *ret_popped);

#define CODE_PLT_BYTES	16 /* of an entry of a PLT that is bound late ... */
#define CODE_PLT_HEADER 6  /* ... the first of which has pushed here ... */
#define CODE_PLT_PUSHED 11 /* ... and all others here */

/* Whether a section is a PLT: entries that jump through a table, and no more, or (*ret_late) that
 * push their number behind that, with a header in front that is their common end. */
bool code_plt_section(const uint8_t *bytes, size_t size, bool *ret_late);

#define CODE_CLONE_SYSCALL 2
#define CODE_CLONE_BYTES   10

/* Whether these CODE_CLONE_BYTES are glibc's clone(): the system call, CODE_CLONE_SYSCALL bytes,
 * and what parent and child do before they part. */
bool code_is_clone(const uint8_t *bytes);

struct code_match {
	size_t offset, size;
	uint8_t rule; /* UNWIND_RULE_STOP, UNWIND_RULE_SIGNAL; UNWIND_RULE_REG: a function that
			 keeps rbp on its stack ... */
	size_t pushed, popped; /* ... between these offsets, and nothing else */
};

/* The first known sequence at or after `from`; false where there is none. */
bool code_find(const uint8_t *bytes, size_t size, size_t from, struct code_match *ret);

#endif
