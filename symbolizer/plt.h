/*
 * PLT stubs: the few instructions through which a file calls a function of another one. They have
 * no symbols; each is named after the function it jumps to, `puts@plt`. A stub's jump is decoded
 * for the slot that it goes through, and the relocation of that slot names the function: right for
 * every layout (.plt, .plt.sec of IBT, .plt.got), unlike counting stubs. x86-64 only.
 */
#ifndef CPROF_SYMBOLIZER_PLT_H
#define CPROF_SYMBOLIZER_PLT_H

#include "base/buf.h"
#include "symbolizer/elf/image.h"

struct plt;

/* The image must outlive it. Reads nothing until the first address that lies in a PLT. */
struct plt *plt_create(const struct image *img);
void plt_destroy(struct plt *p); /* takes NULL */

struct plt_stub {
	uint64_t start;
	const char *
		name; /* of the function, not ended by a NUL; NULL: `target` is all that is known */
	size_t name_len;
	uint64_t target; /* address of an IFUNC's resolver (IRELATIVE) */
};

/* The stub at an address; false where there is none that can be named. */
bool plt_find(struct plt *p, uint64_t vaddr, struct plt_stub *ret);

#endif
