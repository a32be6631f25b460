/*
 * Symbols sorted by address, whatever they were read from: the symbol tables of an ELF file and of
 * its debug file, or the kernel's list. Names are not copied: a symbol points into a string table
 * that somebody else keeps (and may be hostile: names are measured within its bounds at each use).
 *
 * One code often has several names. Which of them is shown is decided here by one fixed order, so
 * that the answer depends on nothing but the file.
 */
#ifndef CPROF_SYMBOLIZER_SYMTAB_H
#define CPROF_SYMBOLIZER_SYMTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"

enum symbol_binding { /* among aliases the higher one is shown */
		      SYMBOL_LOCAL,
		      SYMBOL_WEAK,
		      SYMBOL_GLOBAL,
};

struct symbol {
	uint64_t start, end;
	uint32_t name;	 /* offset in its string table */
	uint32_t parent; /* number of the symbol around this one; SYMBOL_NONE: none */
	uint8_t strings; /* which string table */
	uint8_t binding;
	bool is_folded; /* other functions share this code */
	bool is_sized;	/* false: `end` is where the next symbol or the section said it must be */
	bool is_boundary;
};

#define SYMBOL_NONE UINT32_MAX

struct symtab_strings {
	const char *bytes; /* borrowed */
	size_t size;
};

struct symtab {
	VEC(struct symbol) symbols;
	VEC(struct symtab_strings) strings;
	bool linker_folds; /* set by the reader: C functions with one code are folded, not aliases
			    */
};

void symtab_deinit(struct symtab *t);

/* At most 256 string tables; the number of the new one. */
uint8_t symtab_add_strings(struct symtab *t, const char *bytes, size_t size);

/*
 * Adds one symbol. Size 0: it reaches to the next symbol, but not beyond `limit` (the end of its
 * section); with limit == start it is an address only and covers one byte.
 */
void symtab_add(struct symtab *t, uint64_t start, uint64_t size, uint64_t limit,
		enum symbol_binding binding, uint8_t strings, uint32_t name);

/* A symbol that is no function but ends the one before it. */
void symtab_add_boundary(struct symtab *t, uint64_t address);

/* Sorts, chooses among aliases, ends what has no size. Call once, after the last symbol. */
void symtab_finish(struct symtab *t);

/*
 * The innermost symbol that covers an address; NULL where there is none. *near is where to begin
 * (start with 0): ascending addresses are found in steps.
 */
const struct symbol *symtab_find(const struct symtab *t, uint64_t address, size_t *near);

/* The last symbol that starts at or below an address, whether it covers it or not. */
const struct symbol *symtab_below(const struct symtab *t, uint64_t address, size_t *near);

/* A symbol's name and its length, without the version that linkers append (`@@GLIBC_2.14`). */
const char *symtab_name(const struct symtab *t, const struct symbol *s, size_t *ret_len);

#endif
