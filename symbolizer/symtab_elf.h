/* The symbol tables of ELF files as a struct symtab. */
#ifndef CPROF_SYMBOLIZER_SYMTAB_ELF_H
#define CPROF_SYMBOLIZER_SYMTAB_ELF_H

#include "symbolizer/elf/image.h"
#include "symbolizer/symtab.h"

/*
 * Adds the functions of a file's .symtab and .dynsym (without section headers: of what PT_DYNAMIC
 * leads to). `shift` is added to every address: a debug file made before its program was prelinked
 * lies elsewhere. The image must outlive the table.
 */
void symtab_add_image(struct symtab *t, const struct image *img, uint64_t shift);

/* True for a file with a .symtab that has bytes: no other file need be looked for. */
bool image_has_symtab(const struct image *img);

#endif
