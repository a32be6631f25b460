/*
 * What the compiled unwind tables look like in memory. Written by user space, read by the step
 * function in user space and in the kernel: fixed-width types, explicit padding, sizes asserted.
 *
 * All tables live in one pool of 32-bit words and are found by word offset (0: none):
 *
 *   mapping -> page directory (one word for each 4 KiB of text)
 *           -> page rows (a count, then rows sorted by offset in the page; the first stands at 0)
 *           -> rule (global, deduplicated array)
 *
 * A page directory word is 0 while the unit that holds the page has not been compiled;
 * PAGE_ONE_RULE | rule where one rule covers the page; else the offset of its rows.
 */
#ifndef CPROF_UNWIND_LAYOUT_H
#define CPROF_UNWIND_LAYOUT_H

#include <linux/types.h>

#define UNWIND_PAGE_SHIFT    12
#define UNWIND_UNIT_SHIFT    18 /* 256 KiB of text are compiled at once */
#define UNWIND_PAGE_ONE_RULE 0x80000000u
#define UNWIND_MAX_FRAMES    1024
#define UNWIND_MAX_MAPPINGS  8192
#define UNWIND_MAX_RULES     65536

enum unwind_mapping_kind {
	UNWIND_MAP_TABLE,   /* has a page directory */
	UNWIND_MAP_NO_TABLE, /* a file without unwind tables */
	UNWIND_MAP_FP_JIT,  /* code compiled at run time: frame pointers, with checks */
	UNWIND_MAP_UPROBES, /* the kernel's page of uprobe slots */
	UNWIND_MAP_UNKNOWN, /* mapped, nothing known yet: DEFER */
};

/* One executable mapping of a process; the array of a process is sorted by start. */
struct unwind_mapping {
	__u64 start, end;
	__u64 bias;	/* ELF virtual address = ip - bias */
	__u32 kind;	/* enum unwind_mapping_kind */
	__u32 page_dir; /* word offset in the pool; page 0 of it holds the ELF address dir_base */
};

/* One row: from this offset in its page on, this rule. */
struct unwind_row {
	__u16 offset;
	__u16 rule;
};

#endif
