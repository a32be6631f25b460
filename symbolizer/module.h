/*
 * What the kinds of modules have in common. To add a kind: a struct that begins with struct
 * symbol_module, a function that makes one, and these two callbacks.
 */
#ifndef CPROF_SYMBOLIZER_MODULE_H
#define CPROF_SYMBOLIZER_MODULE_H

#include "symbolizer/symbolizer.h"

struct symbol_module {
	/* symbol_batch(), with chains that are unknown and start at their address */
	void (*batch)(struct symbol_module *m, const uint64_t *addresses, size_t n,
		      struct symbol_chain *chains, struct symbol_result *result);
	void (*close)(struct symbol_module *m);
};

/* Makes chains[i] a chain of one frame; the frame of chains[i - 1] serves if it is the same
 * function. */
void chain_set(struct symbol_chain *chains, size_t i, struct symbol_result *result, uint64_t start,
	       const char *name, size_t len, bool is_folded);

#endif
