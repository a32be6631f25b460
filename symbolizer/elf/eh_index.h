/*
 * The index of .eh_frame: which FDE covers an address. Serves the table compiler (FDEs of a range in
 * order) and the symbolizer (where a function without a symbol starts).
 */
#ifndef CPROF_SYMBOLIZER_EH_INDEX_H
#define CPROF_SYMBOLIZER_EH_INDEX_H

#include "symbolizer/elf/image.h"

struct eh_index;

/* From .eh_frame_hdr's sorted table where it is there and sound, else by reading all of .eh_frame.
 * *ret is NULL (and no error) for a file without unwind tables. The image must outlive the index. */
struct error *eh_index_create(const struct image *img, struct eh_index **ret) MUST_USE;
void eh_index_destroy(struct eh_index *index); /* takes NULL */

/* The [start, end) of the FDE that covers vaddr; false where none does. */
bool eh_index_function(const struct eh_index *index, uint64_t vaddr, uint64_t *ret_start,
		       uint64_t *ret_end);

#endif
