/*
 * One step of a walk: from the registers of a frame to those of its caller. The one source of this
 * function, for the host (walk.c) and for the kernel program; so no libc, no recursion, no loop
 * without a constant bound, and no arithmetic on pointers that are not its own.
 *
 * The includer defines, before it includes this file, `struct unwind_context` (whatever it needs)
 * and these static inline functions:
 *
 *	u32 unwind_mapping_count(cx)
 *	const struct unwind_mapping *unwind_mapping_at(cx, i)
 *		NULL where i is out of range
 *	u32 unwind_search_mapping(cx, address)
 *		unwind_bisect_mappings(), in a function of its own where that is of use
 *	const u32 *unwind_chunk(cx, offset)
 *		the chunk of the pool that holds the word at an offset; NULL outside of the pool
 *	u64 unwind_rule_at(cx, i)
 *		a packed rule
 *	bool unwind_cached_rule(cx, key, &rule), void unwind_cache_rule(cx, key, rule)
 *		a cache in front of the search for a rule, or nothing
 *	bool unwind_read(cx, s, address, &word)
 *		a word of the stack
 *	bool unwind_read_below(cx, s, address, &word)
 *		a word just below the stack pointer, for memory that is a copy from there on
 *	bool unwind_code(cx, address, bytes, UNWIND_CODE_BYTES)
 *		code bytes, of run-time code only
 *	enum unwind_status unwind_fault(cx, address, status)
 *		the status of a failed read
 *
 * Every walk ends: each step either moves the stack pointer outwards or is one of at most
 * UNWIND_MAX_FRAMES.
 */
#ifndef CPROF_UNWIND_STEP_H
#define CPROF_UNWIND_STEP_H

#include "profiler/unwind/state.h"

#define UNWIND_INLINE static inline __attribute__((always_inline))

#define UNWIND_FP_MAX_STEP    (1u << 20) /* a larger frame than this is no frame */
#define UNWIND_CODE_BEFORE    4		 /* of these, that lie in front of the address */
#define UNWIND_SEARCH_MAPS    14	 /* 2^13 mappings, and the step that ends the search */
#define UNWIND_SEARCH_ROWS    13	 /* 2^12 rows: one for each byte of a page */
#define UNWIND_UCONTEXT_GREGS 40	 /* from the stack pointer in a handler's return to r8 */

/* The mapping that holds an address, by bisection. */
UNWIND_INLINE __u32 unwind_bisect_mappings(struct unwind_context *cx, __u64 address)
{
	const struct unwind_mapping *m;
	__u32 low = 0, high = unwind_mapping_count(cx);

	for (int i = 0; i < UNWIND_SEARCH_MAPS && low < high; i++) {
		__u32 middle = (low + high) / 2;

		m = unwind_mapping_at(cx, middle);
		if (m && m->start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return UNWIND_NO_MAPPING;
	m = unwind_mapping_at(cx, low - 1);
	return m && address >= m->start && address < m->end ? low - 1 : UNWIND_NO_MAPPING;
}

/* The same; mostly it is the one of the frame before. */
UNWIND_INLINE __u32 unwind_find_mapping(struct unwind_context *cx, __u64 address, __u32 hint)
{
	const struct unwind_mapping *m = unwind_mapping_at(cx, hint);

	if (m && address >= m->start && address < m->end)
		return hint;
	return unwind_search_mapping(cx, address);
}

/* The rule at an offset of the page whose directory word is at `dir`. False: its page has not been
 * compiled. */
UNWIND_INLINE int unwind_search_rule(struct unwind_context *cx, __u32 dir, __u32 offset, __u64 *ret)
{
	const __u32 *words = unwind_chunk(cx, dir);
	__u32 at = words ? words[dir & UNWIND_CHUNK_MASK] : 0;
	__u32 low, high;

	if (at == 0)
		return 0;
	if (at & UNWIND_PAGE_ONE_RULE) {
		*ret = unwind_rule_at(cx, at & 0xffff);
		return 1;
	}
	words = unwind_chunk(cx, at); /* a page's rows lie in one chunk */
	if (!words)
		return 0;
	/* The last row at or below the offset; the first stands at 0. */
	low = 1;
	high = words[at & UNWIND_CHUNK_MASK] + 1;
	for (int i = 0; i < UNWIND_SEARCH_ROWS && low + 1 < high; i++) {
		__u32 middle = (low + high) / 2;

		if ((words[(at + middle) & UNWIND_CHUNK_MASK] & 0xffff) <= offset)
			low = middle;
		else
			high = middle;
	}
	*ret = unwind_rule_at(cx, words[(at + low) & UNWIND_CHUNK_MASK] >> 16);
	return 1;
}

/* The rule of an ELF address. A directory word is one page's of one table for the whole run, and
 * what it leads to does not change, but that code without entries may get rules later: it names a
 * rule for a cache that all processes share. */
UNWIND_INLINE int unwind_find_rule(struct unwind_context *cx, const struct unwind_mapping *m,
				   __u64 vaddr, __u64 *ret)
{
	__u32 dir = m->page_dir + (__u32)(vaddr >> UNWIND_PAGE_SHIFT);
	__u32 offset = vaddr & ((1u << UNWIND_PAGE_SHIFT) - 1);
	__u64 key = (__u64)dir << UNWIND_PAGE_SHIFT | offset;

	if (unwind_cached_rule(cx, key, ret))
		return 1;
	if (!unwind_search_rule(cx, dir, offset, ret))
		return 0;
	if (*ret != UNWIND_RULE_INVALID) /* the code may be followed yet */
		unwind_cache_rule(cx, key, *ret);
	return 1;
}

UNWIND_INLINE int unwind_end(struct unwind_state *s, __u32 status)
{
	s->status = status;
	return UNWIND_STEP_END;
}

UNWIND_INLINE int unwind_end_fault(struct unwind_context *cx, struct unwind_state *s, __u64 address,
				   __u32 status)
{
	s->fault_address = address;
	return unwind_end(s, unwind_fault(cx, address, status));
}

/* The caller, as far as it is known: unwind_enter() moves there. In the state, and not on a stack
 * of the kernel program's, where each way to come by it would be verified on its own. */
UNWIND_INLINE int unwind_go_to(struct unwind_state *s, __u64 ip, __u64 sp, __u64 bp)
{
	s->next.ip = ip;
	s->next.sp = sp;
	s->next.bp = bp;
	return UNWIND_STEP_ON;
}

/* Moves on to the caller, if its address is in code. */
UNWIND_INLINE int unwind_enter(struct unwind_context *cx, struct unwind_state *s)
{
	__u32 mapping;

	if (s->next.ip == 0)
		return unwind_end(s, s->next.zero);
	mapping = unwind_find_mapping(cx, s->next.ip - s->next.is_return, s->mapping);
	if (mapping == UNWIND_NO_MAPPING) {
		s->fault_address = s->next.ip;
		return unwind_end(s, s->next.not_code);
	}
	s->mapping = mapping;
	s->ip = s->next.ip;
	s->gpr[UNWIND_GPR_SP] = s->next.sp;
	s->gpr[UNWIND_GPR_BP] = s->next.bp;
	s->is_return = s->next.is_return;
	s->is_guessed = s->next.is_guessed;
	s->any_guessed |= s->next.is_guessed;
	s->is_live = s->next.is_live;
	s->regs_known = s->next.regs_known;
	return UNWIND_STEP_ON;
}

enum unwind_leaf {
	UNWIND_LEAF_FRAME,  /* the frame pointer is set up */
	UNWIND_LEAF_CALLED, /* the return address is at the stack pointer */
	UNWIND_LEAF_PUSHED, /* the caller's frame pointer is, and then the return address */
};

/* Where a function with a frame pointer was interrupted, by the code around the address. */
UNWIND_INLINE int unwind_leaf_shape(struct unwind_context *cx, __u64 ip)
{
	__u8 b[UNWIND_CODE_BYTES] = { 0 };
	const int at = UNWIND_CODE_BEFORE;

	if (!unwind_code(cx, ip - UNWIND_CODE_BEFORE, b, sizeof(b)))
		return UNWIND_LEAF_FRAME;
	/* ret; ret n; rep ret */
	if (b[at] == 0xc3 || b[at] == 0xc2 || (b[at] == 0xf3 && b[at + 1] == 0xc3))
		return UNWIND_LEAF_CALLED;
	/* push %rbp, behind an endbr64 or not */
	if (b[at] == 0x55 || (b[at] == 0xf3 && b[at + 1] == 0x0f && b[at + 2] == 0x1e &&
			      b[at + 3] == 0xfa && b[at + 4] == 0x55))
		return UNWIND_LEAF_CALLED;
	/* mov %rsp,%rbp, in both encodings, directly behind a push %rbp */
	if (b[at - 1] == 0x55 && b[at] == 0x48 &&
	    ((b[at + 1] == 0x89 && b[at + 2] == 0xe5) || (b[at + 1] == 0x8b && b[at + 2] == 0xec)))
		return UNWIND_LEAF_PUSHED;
	return UNWIND_LEAF_FRAME;
}

/* The caller along the chain of frame pointers. Ends with next.not_code where there is no such
 * chain.
 */
UNWIND_INLINE int unwind_by_fp(struct unwind_context *cx, struct unwind_state *s)
{
	__u64 sp = s->gpr[UNWIND_GPR_SP], bp = s->gpr[UNWIND_GPR_BP], at = bp, ra, caller_bp = bp;
	int shape = UNWIND_LEAF_FRAME;

	if (s->is_live)
		shape = unwind_leaf_shape(cx, s->ip);
	if (shape == UNWIND_LEAF_FRAME) {
		if (s->bp_lost || (bp & 7) || bp < sp || bp - sp >= UNWIND_FP_MAX_STEP)
			return unwind_end(s, bp == 0 && s->next.not_code == UNWIND_ANON_NO_FP
						     ? UNWIND_FP_ZERO
						     : s->next.not_code);
	} else {
		at = sp;
	}
	if (shape != UNWIND_LEAF_CALLED) {
		if (!unwind_read(cx, s, at, &caller_bp))
			return unwind_end_fault(cx, s, at, UNWIND_EFAULT_FP);
		at += 8;
	}
	if (!unwind_read(cx, s, at, &ra))
		return unwind_end_fault(cx, s, at, UNWIND_EFAULT_RA);
	s->bx_lost |= shape != UNWIND_LEAF_CALLED;
	s->next.zero = s->next.not_code;
	return unwind_go_to(s, ra, at + 8, caller_bp);
}

/* Out of a signal handler: every register as it was interrupted, from the ucontext above sp. */
UNWIND_INLINE int unwind_by_signal(struct unwind_context *cx, struct unwind_state *s)
{
	/* The kernel's order in struct sigcontext: r8..r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp,
	 * and then rip. A digit each, from the last; the kernel program has no room for an array.
	 */
	const __u64 order = 0x72013645fedcba98;
	__u64 at = s->gpr[UNWIND_GPR_SP] + UNWIND_UCONTEXT_GREGS, ip, word;

	if (!unwind_read(cx, s, at + 16 * sizeof(word), &ip))
		return unwind_end_fault(cx, s, at + 16 * sizeof(word), UNWIND_EFAULT_RA);
	for (int i = 0; i < 16; i++, at += sizeof(word)) {
		if (!unwind_read(cx, s, at, &word))
			return unwind_end_fault(cx, s, at, UNWIND_EFAULT_RA);
		s->gpr[order >> 4 * i & 15] = word;
	}
	s->next.not_code = UNWIND_NOMAP_NOVMA;
	s->next.is_return = 0;
	s->next.is_live = s->next.regs_known = 1;
	s->bp_lost = s->bx_lost = 0;
	return unwind_go_to(s, ip, s->gpr[UNWIND_GPR_SP], s->gpr[UNWIND_GPR_BP]);
}

/* A register as the base of an address; false where its value is the innermost frame's, not this
 * one's. */
UNWIND_INLINE int unwind_base(const struct unwind_state *s, __u32 reg, __u64 *ret)
{
	*ret = s->gpr[reg & 15];
	if (reg == UNWIND_GPR_SP || s->regs_known)
		return 1;
	return (reg == UNWIND_GPR_BP && !s->bp_lost) || (reg == UNWIND_GPR_BX && !s->bx_lost);
}

/* The caller's frame pointer. */
UNWIND_INLINE int unwind_caller_bp(struct unwind_context *cx, struct unwind_state *s,
				   const struct unwind_rule *r, __u64 cfa, __u64 *ret)
{
	__u64 bp = s->gpr[UNWIND_GPR_BP], at = cfa + r->bp_offset;

	*ret = bp;
	if (r->bp_kind == UNWIND_BP_SAME || r->bp_kind == UNWIND_BP_UNKNOWN)
		return UNWIND_STEP_ON;
	if (r->bp_kind == UNWIND_BP_AT_BP) {
		/* A frame keeps it between its own ends. Elsewhere it is the caller's already:
		 * behind the `leave` of a realigned frame gcc's entries still say that it is to be
		 * loaded. */
		at = bp + r->bp_offset;
		if (s->bp_lost || at < s->gpr[UNWIND_GPR_SP] || at >= cfa)
			return UNWIND_STEP_ON;
	}
	if (!unwind_read(cx, s, at, ret))
		return unwind_end_fault(cx, s, at, UNWIND_EFAULT_FP);
	return UNWIND_STEP_ON;
}

/* The caller's rbx, where that can be told. What has pushed nothing has not saved, so not changed
 * it. */
UNWIND_INLINE void unwind_caller_bx(struct unwind_context *cx, struct unwind_state *s,
				    const struct unwind_rule *r, __u64 cfa)
{
	if (!(r->flags & UNWIND_RULE_BX_KNOWN))
		s->bx_lost |= cfa != s->gpr[UNWIND_GPR_SP] + 8;
	else if (r->post)
		s->bx_lost = !unwind_read(cx, s, cfa + r->post, &s->gpr[UNWIND_GPR_BX]);
}

/* The caller by one of the rules that compute a CFA. */
UNWIND_INLINE int unwind_by_cfa(struct unwind_context *cx, struct unwind_state *s,
				const struct unwind_rule *r)
{
	__u64 base, index, cfa, ra, bp, sp = s->gpr[UNWIND_GPR_SP];
	int result;

	if (!unwind_base(s, r->base, &base))
		return unwind_end(s, UNWIND_LEAFREG_MIDSTACK);
	if (r->kind == UNWIND_RULE_PLT) {
		cfa = sp + 8 + ((s->ip & 15) >= (__u64)r->offset / 8 ? 8 : 0);
	} else {
		cfa = base + r->offset;
		if (r->kind == UNWIND_RULE_INDEX) {
			if (!unwind_base(s, r->flags & UNWIND_RULE_REGISTER, &index))
				return unwind_end(s, UNWIND_LEAFREG_MIDSTACK);
			cfa += 8 * index;
		}
		if (r->kind != UNWIND_RULE_REG) {
			__u64 at = cfa;

			if (!unwind_read(cx, s, at, &cfa) && !unwind_read_below(cx, s, at, &cfa))
				return unwind_end_fault(cx, s, at, UNWIND_EFAULT_DEREF);
			cfa += r->post;
		}
	}
	/* Only what has not pushed its return address may leave the stack pointer where it is. */
	if ((cfa & 7) || cfa < sp || (cfa == sp && !s->is_live)) {
		s->fault_address = cfa;
		return unwind_end(s, UNWIND_SP_BACKWARDS);
	}
	if (r->flags & UNWIND_RULE_RA_IN_REG) {
		if (!s->regs_known)
			return unwind_end(s, UNWIND_LEAFREG_MIDSTACK);
		ra = s->gpr[r->flags & UNWIND_RULE_REGISTER];
	} else {
		__u64 at = cfa - 8;

		if (r->kind == UNWIND_RULE_REG && !(r->flags & UNWIND_RULE_BX_KNOWN))
			at += r->post;

		if (!unwind_read(cx, s, at, &ra))
			return unwind_end_fault(cx, s, at, UNWIND_EFAULT_RA);
	}
	result = unwind_caller_bp(cx, s, r, cfa, &bp);
	if (result != UNWIND_STEP_ON)
		return result;
	unwind_caller_bx(cx, s, r, cfa);
	if (r->bp_kind == UNWIND_BP_AT_CFA)
		s->bp_lost = 0;
	else if (r->bp_kind == UNWIND_BP_UNKNOWN)
		s->bp_lost = 1;
	/* What has nothing on the stack has not saved a register, so not changed one that its
	 * caller needs: assembly with a private helper may name any register as the CFA across the
	 * call. */
	s->next.regs_known = s->regs_known && r->kind == UNWIND_RULE_REG && cfa == sp + 8;
	s->next.is_return = !(r->flags & UNWIND_RULE_INTERRUPTED);
	return unwind_go_to(s, ra, cfa, bp);
}

/* Before the first step: the registers are set, everything else is 0. Finds the mapping of ip. */
UNWIND_INLINE int unwind_start(struct unwind_context *cx, struct unwind_state *s)
{
	s->is_live = s->regs_known = 1;
	s->mapping = unwind_find_mapping(cx, s->ip, 0);
	if (s->mapping != UNWIND_NO_MAPPING)
		return UNWIND_STEP_ON;
	s->fault_address = s->ip;
	return unwind_end(s, UNWIND_NOMAP_NOVMA);
}

/* What is said about an address: how to leave it. Sets the ends that this can have. */
UNWIND_INLINE int unwind_choose(struct unwind_context *cx, struct unwind_state *s)
{
	const struct unwind_mapping *m = unwind_mapping_at(cx, s->mapping);

	s->next.is_guessed = s->next.is_live = s->next.regs_known = 0;
	s->next.is_return = 1;
	s->next.zero = UNWIND_RA_ZERO;
	s->next.not_code = UNWIND_RA_NONEXEC;
	if (!m)
		return unwind_end(s, UNWIND_NOMAP_STALE);
	s->rule = UNWIND_RULE_BY_FP;
	switch (m->kind) {
	case UNWIND_MAP_TABLE:
		if (!unwind_find_rule(cx, m, s->ip - s->is_return - m->bias, &s->rule))
			return UNWIND_STEP_COMPILE;
		if ((s->rule & UNWIND_RULE_KIND) != UNWIND_RULE_INVALID)
			return UNWIND_STEP_ON;
		s->rule = UNWIND_RULE_BY_FP;
		s->next.not_code = UNWIND_INVALID_ROW;
		s->next.is_guessed = 1;
		return UNWIND_STEP_ON;
	case UNWIND_MAP_FP_JIT:
		s->next.not_code = UNWIND_ANON_NO_FP;
		return UNWIND_STEP_ON;
	case UNWIND_MAP_NO_TABLE:
		s->next.not_code = UNWIND_NO_TABLE;
		s->next.is_guessed = 1;
		return UNWIND_STEP_ON;
	case UNWIND_MAP_UPROBES:
		return unwind_end(s, UNWIND_UPROBE);
	default:
		return unwind_end(s, UNWIND_DEFER);
	}
}

/* From the frame in *s to its caller. */
UNWIND_INLINE int unwind_step(struct unwind_context *cx, struct unwind_state *s)
{
	struct unwind_rule r;
	int result = unwind_choose(cx, s);

	if (result != UNWIND_STEP_ON)
		return result;
	r = unwind_rule_unpack(s->rule);
	switch (r.kind) {
	case UNWIND_RULE_UNSUP:
		return unwind_end(s, UNWIND_UNSUP_EXPR);
	case UNWIND_RULE_STOP:
		return unwind_end(s, s->any_guessed ? UNWIND_GUESSED : UNWIND_OK_STOP);
	case UNWIND_RULE_SIGNAL:
		result = unwind_by_signal(cx, s);
		break;
	case UNWIND_RULE_BY_FP:
		result = unwind_by_fp(cx, s);
		break;
	default:
		if ((r.flags & UNWIND_RULE_CLONED) && s->is_live && !s->gpr[UNWIND_GPR_AX])
			return unwind_end(s, s->any_guessed ? UNWIND_GUESSED : UNWIND_OK_STOP);
		result = unwind_by_cfa(cx, s, &r);
	}
	return result == UNWIND_STEP_ON ? unwind_enter(cx, s) : result;
}

#endif
