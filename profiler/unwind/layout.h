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
#define UNWIND_CHUNK_SHIFT   20 /* the pool comes in chunks of 2^20 words (4 MiB) ... */
#define UNWIND_CHUNK_WORDS   (1u << UNWIND_CHUNK_SHIFT)
#define UNWIND_CHUNK_MASK    (UNWIND_CHUNK_WORDS - 1)
#define UNWIND_MAX_CHUNKS    256
#define UNWIND_MAX_FRAMES    8192 /* as many as the largest copy of a stack can hold: 64 kB */
#define UNWIND_MAX_MAPPINGS  8192
#define UNWIND_MAX_RULES     65536

enum unwind_mapping_kind {
	UNWIND_MAP_TABLE,    /* has a page directory */
	UNWIND_MAP_NO_TABLE, /* a file without unwind tables */
	UNWIND_MAP_FP_JIT,   /* code compiled at run time: frame pointers, with checks */
	UNWIND_MAP_UPROBES,  /* the kernel's page of uprobe slots */
	UNWIND_MAP_UNKNOWN,  /* mapped, nothing known yet: DEFER */
};

/* One executable mapping of a process; the array of a process is sorted by start. */
struct unwind_mapping {
	__u64 start, end;
	__u64 bias;	/* ELF virtual address = ip - bias; a multiple of the page size */
	__u32 kind;	/* enum unwind_mapping_kind */
	__u32 page_dir; /* the directory word of an ELF address is page_dir + (address >>
			   PAGE_SHIFT), modulo 2^32: the file's first page is already taken off */
};

_Static_assert(sizeof(struct unwind_mapping) == 32, "shared with the kernel");

/* One row: from this offset in its page on, this rule. As a word of the pool: offset | rule << 16.
 */
struct unwind_row {
	__u16 offset;
	__u16 rule;
};

_Static_assert(sizeof(struct unwind_row) == 4, "one word of the pool");

/*
 * A rule: how to get from the registers of a frame to those of its caller. CFA is DWARF's canonical
 * frame address: the stack pointer that the caller has after the call. The return address lies
 * directly below it, unless the flags say otherwise.
 */
enum unwind_rule_kind {
	UNWIND_RULE_INVALID, /* no entry covers the address */
	UNWIND_RULE_UNSUP,   /* an entry does, but no kind below can say what it says */
	UNWIND_RULE_STOP,    /* the entry of a program or thread: nothing called it */
	UNWIND_RULE_SIGNAL, /* a signal handler's return: all registers lie in the ucontext at sp */
	UNWIND_RULE_REG,    /* CFA = base + offset */
	UNWIND_RULE_DEREF,  /* CFA = load(base + offset) + post */
	UNWIND_RULE_INDEX,  /* CFA = load(base + 8 * index register + offset) + post */
	UNWIND_RULE_PLT,    /* CFA = sp + 8, and 8 more where (ip & 15) >= offset / 8 */
	UNWIND_RULE_BY_FP,  /* in no table: along the chain of frame pointers */
};

#define UNWIND_RULE_KIND 15 /* bits of a packed rule */

/* What happens to the frame pointer register, which is the only one that is followed outwards
 * beside the stack pointer. */
enum unwind_rule_bp {
	UNWIND_BP_SAME,
	UNWIND_BP_AT_CFA,  /* load(CFA + bp offset) */
	UNWIND_BP_AT_BP,   /* load(bp + bp offset) */
	UNWIND_BP_UNKNOWN, /* lost */
};

/* Flags of a rule. The low four bits name a register: the return address or the index. */
#define UNWIND_RULE_REGISTER	0x0f
#define UNWIND_RULE_RA_IN_REG	0x10 /* the return address is in that register (vfork) */
#define UNWIND_RULE_INTERRUPTED 0x20 /* the caller was interrupted, it did not call */
#define UNWIND_RULE_BX_KNOWN	0x40 /* post says where rbx is saved, relative to the CFA; 0: same */
#define UNWIND_RULE_CLONED	0x80 /* behind a clone: where rax is 0, STOP, for nothing called it */

/*
 * 64 bits: kind:4 base:4 offset/8:21 bp_kind:2 bp_offset/8:14 post/8:11 flags:8, offsets signed and
 * in bytes here. In rules of kind REG, post is where the return address lies, relative to CFA - 8,
 * unless it says where rbx is. rbx is followed in few files: the dynamic linker's trampoline for
 * lazy binding computes its CFA from it while it calls others.
 */
struct unwind_rule {
	__u32 kind, base, bp_kind, flags;
	__s64 offset, bp_offset, post;
};

#define UNWIND_RULE_OFFSET_BITS	   21
#define UNWIND_RULE_BP_OFFSET_BITS 14
#define UNWIND_RULE_POST_BITS	   11

static inline __attribute__((always_inline)) __u64 unwind_rule_pack(const struct unwind_rule *r)
{
	return (__u64)r->kind | (__u64)r->base << 4 |
	       ((__u64)(r->offset >> 3) & ((1u << UNWIND_RULE_OFFSET_BITS) - 1)) << 8 |
	       (__u64)r->bp_kind << 29 |
	       ((__u64)(r->bp_offset >> 3) & ((1u << UNWIND_RULE_BP_OFFSET_BITS) - 1)) << 31 |
	       ((__u64)(r->post >> 3) & ((1u << UNWIND_RULE_POST_BITS) - 1)) << 45 |
	       (__u64)r->flags << 56;
}

static inline __attribute__((always_inline)) struct unwind_rule unwind_rule_unpack(__u64 bits)
{
	return (struct unwind_rule){
		.kind = bits & 15,
		.base = bits >> 4 & 15,
		.offset = ((__s64)(bits << 35) >> 43) * 8,
		.bp_kind = bits >> 29 & 3,
		.bp_offset = ((__s64)(bits << 19) >> 50) * 8,
		.post = ((__s64)(bits << 8) >> 53) * 8,
		.flags = bits >> 56,
	};
}

#endif
