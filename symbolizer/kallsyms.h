/* The text of /proc/kallsyms as a symbol table. */
#ifndef CPROF_SYMBOLIZER_KALLSYMS_H
#define CPROF_SYMBOLIZER_KALLSYMS_H

#include "symbolizer/symtab.h"

/*
 * Reads the functions of the kernel, its modules and BPF programs into t and finishes it. The text
 * (size bytes and a NUL) is changed: names become strings of their own; it must outlive the table.
 * Returns false where every address is zero: the kernel hides them.
 */
bool kallsyms_parse(char *text, size_t size, struct symtab *t);

#endif
