/*
 * The index of .eh_frame: which FDE covers an address. Serves the table compiler (FDEs of a range
 * in order) and the symbolizer (where a function without a symbol starts). Creating one over a
 * sound .eh_frame_hdr allocates nothing but the index itself; nothing after that allocates.
 */
#ifndef CPROF_SYMBOLIZER_EH_INDEX_H
#define CPROF_SYMBOLIZER_EH_INDEX_H

#include "base/cursor.h"
#include "symbolizer/elf/image.h"

struct eh_index;

/* From .eh_frame_hdr's sorted table where it is there and sound, else by reading all of .eh_frame.
 * *ret is NULL (and no error) for a file without unwind tables. The image must outlive the index.
 */
struct error *eh_index_create(const struct image *img, struct eh_index **ret) MUST_USE;
void eh_index_destroy(struct eh_index *index); /* takes NULL */

/* The [start, end) of the FDE that covers vaddr; false where none does. */
bool eh_index_function(const struct eh_index *index, uint64_t vaddr, uint64_t *ret_start,
		       uint64_t *ret_end);

/* The bytes of .eh_frame and their virtual address. Its end is the segment's where the file has no
 * section headers. */
const uint8_t *eh_index_frame(const struct eh_index *index, uint64_t *ret_vaddr,
			      uint64_t *ret_size);

/* --- in order --- */

struct eh_entry {
	uint64_t start; /* first address of the function */
	uint64_t fde;	/* offset of its FDE (the length field) in eh_index_frame() */
};

/* Entries are numbered by ascending start; several may have the same. */
size_t eh_index_count(const struct eh_index *index);
struct eh_entry eh_index_entry(const struct eh_index *index, size_t i);

/* Number of entries that start at or below vaddr: entry n - 1 is the last of them. */
size_t eh_index_below(const struct eh_index *index, uint64_t vaddr);

/* The entries whose functions may touch [from, to): those that start in it, and first the one
 * before if its function reaches into the range. Only that one is looked at: FDEs of sound files do
 * not overlap. */
struct eh_range {
	const struct eh_index *index;
	size_t next, end;
};
struct eh_range eh_index_fdes(const struct eh_index *index, uint64_t from, uint64_t to);
bool eh_range_next(struct eh_range *range, struct eh_entry *ret);

/* --- one FDE --- */

struct eh_cie {
	uint64_t offset; /* in eh_index_frame() */
	uint64_t code_align, return_register;
	int64_t data_align;
	uint8_t pointer_encoding; /* DW_EH_PE_*: of an FDE's addresses */
	bool is_signal_frame;	  /* 'S': the caller's address is exact, not a return address */
	bool has_augmentation_data;
	struct cursor instructions;
};

struct eh_fde {
	uint64_t start, end; /* the function */
	struct cursor instructions;
};

/*
 * Reads the FDE at an offset of eh_index_frame() and its CIE; false where either is damaged or uses
 * what is not understood. *cie is also input: if it is the CIE of the FDE read before it is not
 * read again (start with a zeroed one).
 */
bool eh_index_read(const struct eh_index *index, uint64_t offset, struct eh_cie *cie,
		   struct eh_fde *ret);

/* A pointer in an encoding (DW_EH_PE_*) at a cursor over eh_index_frame(), as in DW_CFA_set_loc. */
bool eh_index_pointer(const struct eh_index *index, struct cursor *c, uint8_t encoding,
		      uint64_t *ret);

#endif
