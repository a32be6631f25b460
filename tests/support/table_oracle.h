/*
 * Compares compiled tables with what libdw reads from the same file: for every row that libdw sees,
 * the rule that the tables give at the row's first and last byte and in its middle. What libdw says
 * is turned into the parts of a rule here, from its operations, and not by any code of cprof.
 */
#ifndef CPROF_TESTS_TABLE_ORACLE_H
#define CPROF_TESTS_TABLE_ORACLE_H

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <fcntl.h>
#include <gelf.h>
#include <unistd.h>

#include "profiler/unwind/pool.h"
#include "profiler/unwind/unit.h"
#include "symbolizer/elf/eh_index.h"

struct oracle_stats {
	uint64_t rows, differences;
	uint64_t unsupported; /* no rule can say it, and ours says so */
	uint64_t below_sp;    /* explained: see oracle_bp() */
	uint64_t unreadable;  /* FDEs that libdw refuses */
	uint64_t no_cfa;      /* explained: libdw has no CFA; see oracle_no_cfa() */
};

struct oracle {
	struct unwind_table *table;
	const char *path;
	struct oracle_stats *stats;
};

/* What the tables say, looked up as plainly as possible. */
static inline uint64_t oracle_lookup(const struct unwind_table *table, uint64_t vaddr)
{
	struct unwind_tables *t = table->tables;
	uint64_t page = (vaddr >> UNWIND_PAGE_SHIFT) - table->first_page;
	uint32_t word, rule = 0;

	if (page >= table->page_count)
		return UNWIND_RULE_INVALID;
	word = pool_word(t, table->dir + (uint32_t)page);
	if (word & UNWIND_PAGE_ONE_RULE)
		return t->rules[word & 0xffff];
	for (uint32_t i = 1; i <= pool_word(t, word); i++)
		if ((pool_word(t, word + i) & 0xffff) <= (vaddr & 4095))
			rule = pool_word(t, word + i) >> 16;
	return t->rules[rule];
}

static inline bool oracle_breg(const Dwarf_Op *op, int64_t *reg, int64_t *offset)
{
	if (op->atom == DW_OP_bregx) {
		*reg = (int64_t)op->number;
		*offset = (int64_t)op->number2;
		return true;
	}
	if (op->atom < DW_OP_breg0 || op->atom > DW_OP_breg31)
		return false;
	*reg = op->atom - DW_OP_breg0;
	*offset = (int64_t)op->number;
	return true;
}

static inline bool oracle_fits(int64_t v, int bits)
{
	int64_t limit = (int64_t)4 << bits;

	return v % 8 == 0 && v >= -limit && v < limit;
}

/* The CFA's part of the rule; false where no kind can say it. */
static inline bool oracle_cfa(const Dwarf_Op *o, size_t n, struct unwind_rule *r)
{
	int64_t reg, offset, index, zero;
	size_t i = 1;

	if (n == 0 || !oracle_breg(&o[0], &reg, &offset) || reg > 15)
		return false;
	r->base = (uint32_t)reg;
	r->offset = offset;
	r->kind = UNWIND_RULE_REG;
	if (n == 9 && o[1].atom == DW_OP_breg16 && o[2].atom == DW_OP_lit15 &&
	    o[3].atom == DW_OP_and && o[5].atom == DW_OP_ge && o[6].atom == DW_OP_lit3 &&
	    o[7].atom == DW_OP_shl && o[8].atom == DW_OP_plus && reg == 7 && offset == 8) {
		r->kind = UNWIND_RULE_PLT;
		r->offset = 8 * (o[4].atom - DW_OP_lit0);
		return true;
	}
	if (n > 4 && oracle_breg(&o[1], &index, &zero) && zero == 0 && index <= 15 &&
	    o[2].atom == DW_OP_lit8 && o[3].atom == DW_OP_mul && o[4].atom == DW_OP_plus) {
		r->kind = UNWIND_RULE_INDEX;
		r->flags |= (uint32_t)index;
		i = 5;
	}
	if (i < n && o[i].atom == DW_OP_deref) {
		if (r->kind == UNWIND_RULE_REG)
			r->kind = UNWIND_RULE_DEREF;
		i++;
		for (; i < n && o[i].atom == DW_OP_plus_uconst; i++)
			r->post += (int64_t)o[i].number;
	}
	return i == n && oracle_fits(r->offset, 21) && oracle_fits(r->post, 11) &&
	       !(r->kind == UNWIND_RULE_INDEX && o[5].atom != DW_OP_deref);
}

/* "at register + offset": an expression, in front of which libdw puts the CFA that DWARF pushes
 * first. */
static inline bool oracle_at_reg(const Dwarf_Op *o, size_t n, int64_t *reg, int64_t *offset)
{
	return n == 2 && o[0].atom == DW_OP_call_frame_cfa && oracle_breg(&o[1], reg, offset);
}

/* "at CFA + offset", which libdw writes as call_frame_cfa [plus_uconst]. */
static inline bool oracle_at_cfa(const Dwarf_Op *o, size_t n, int64_t *offset)
{
	if (n == 0 || n > 2 || o[0].atom != DW_OP_call_frame_cfa ||
	    (n == 2 && o[1].atom != DW_OP_plus_uconst))
		return false;
	*offset = n == 2 ? (int64_t)o[1].number : 0;
	return true;
}

/*
 * The frame pointer's part. One difference is meant: a slot below the stack pointer is where the
 * register was before it was popped again; compilers leave the entry as it is until the next row.
 * The register is live then, and memory below the stack pointer is not in a copy of the stack.
 */
static inline void oracle_bp(struct oracle *x, Dwarf_Frame *frame, struct unwind_rule *r)
{
	Dwarf_Op mem[3], *ops;
	size_t n;
	int64_t offset, reg;

	if (dwarf_frame_register(frame, 6, mem, &ops, &n) != 0) {
		r->bp_kind = UNWIND_BP_UNKNOWN;
		return;
	}
	if (n == 0) {
		r->bp_kind = ops == mem ? UNWIND_BP_UNKNOWN : UNWIND_BP_SAME;
		return;
	}
	r->bp_kind = UNWIND_BP_UNKNOWN;
	if (oracle_at_cfa(ops, n, &offset)) {
		if (r->kind == UNWIND_RULE_REG && r->base == 7 && r->offset + offset < 0) {
			r->bp_kind = UNWIND_BP_SAME;
			x->stats->below_sp++;
		} else if (oracle_fits(offset, 14)) {
			r->bp_kind = UNWIND_BP_AT_CFA;
			r->bp_offset = offset;
		}
	} else if (oracle_at_reg(ops, n, &reg, &offset) && reg == 6 && oracle_fits(offset, 14)) {
		r->bp_kind = UNWIND_BP_AT_BP;
		r->bp_offset = offset;
	}
}

/* The return address' part; false where no rule can say it. */
static inline bool oracle_ra(const Dwarf_Op *o, size_t n, struct unwind_rule *r)
{
	int64_t offset;

	if (n == 1 &&
	    (o[0].atom == DW_OP_regx || (o[0].atom >= DW_OP_reg0 && o[0].atom < DW_OP_reg16))) {
		uint64_t reg = o[0].number;

		if (o[0].atom != DW_OP_regx)
			reg = (uint64_t)(o[0].atom - DW_OP_reg0);
		r->flags |= UNWIND_RULE_RA_IN_REG | (uint32_t)reg;
		return reg <= 15 && r->kind != UNWIND_RULE_INDEX;
	}
	if (!oracle_at_cfa(o, n, &offset))
		return false;
	if (offset != -8) {
		r->post = offset + 8;
		return r->kind == UNWIND_RULE_REG && oracle_fits(r->post, 11);
	}
	return true;
}

/* True where the caller's stack pointer is not the CFA. */
static inline bool oracle_sp_moved(Dwarf_Frame *frame)
{
	Dwarf_Op mem[3], *ops;
	size_t n;

	if (dwarf_frame_register(frame, 7, mem, &ops, &n) != 0)
		return true;
	/* libdw's own default for the stack pointer is the CFA as a value. */
	if (n == 0)
		return ops == mem;
	return !(n == 2 && ops[0].atom == DW_OP_call_frame_cfa && ops[1].atom == DW_OP_stack_value);
}

/* rbx, in files whose rules have it. A slot below the stack pointer: as for the frame pointer.
 * (What libdw says of an rbx that no instruction named is wrong: its table of the ABI has rax in
 * its place.) */
static inline void oracle_bx(Dwarf_Frame *frame, struct unwind_rule *r)
{
	Dwarf_Op mem[3], *ops;
	size_t n;
	int64_t offset;

	if (r->kind != UNWIND_RULE_REG || r->post || (r->flags & 15) ||
	    dwarf_frame_register(frame, 3, mem, &ops, &n) != 0)
		return;
	if (n && (!oracle_at_cfa(ops, n, &offset) || !oracle_fits(offset, 11)))
		return;
	if (n && (r->base != 7 || r->offset + offset >= 0))
		r->post = offset;
	r->flags |= UNWIND_RULE_BX_KNOWN;
}

static inline uint64_t oracle_expect(struct oracle *x, Dwarf_Frame *frame, int ra, bool is_signal)
{
	struct unwind_rule r = { 0 };
	Dwarf_Op mem[3], *ops;
	size_t n;
	int64_t reg, offset;

	if (dwarf_frame_register(frame, ra, mem, &ops, &n) != 0)
		return UNWIND_RULE_UNSUP;
	if (n == 0)
		return ops == mem ? UNWIND_RULE_STOP : UNWIND_RULE_UNSUP;
	if (is_signal && oracle_at_reg(ops, n, &reg, &offset))
		return reg == 7 && offset == 168 ? UNWIND_RULE_SIGNAL : UNWIND_RULE_UNSUP;

	Dwarf_Op *cfa;
	size_t cfa_n;
	if (dwarf_frame_cfa(frame, &cfa, &cfa_n) != 0 || !oracle_cfa(cfa, cfa_n, &r) ||
	    oracle_sp_moved(frame) || !oracle_ra(ops, n, &r))
		return UNWIND_RULE_UNSUP;
	if (is_signal)
		r.flags |= UNWIND_RULE_INTERRUPTED;
	oracle_bp(x, frame, &r);
	if (x->table->follow_bx)
		oracle_bx(frame, &r);
	return unwind_rule_pack(&r);
}

/*
 * The other difference that is meant: DW_CFA_def_cfa_register after an expression. libdw leaves the
 * CFA undefined from there on; libgcc, which programs were tested with, takes the offset of before.
 */
static inline bool oracle_no_cfa(Dwarf_Frame *frame, uint64_t got)
{
	Dwarf_Op *ops;
	size_t n;

	return dwarf_frame_cfa(frame, &ops, &n) != 0 || n == 0
		       ? unwind_rule_unpack(got).kind == UNWIND_RULE_REG
		       : false;
}

static inline void oracle_report(struct oracle *x, uint64_t vaddr, uint64_t want, uint64_t got)
{
	struct unwind_rule w = unwind_rule_unpack(want), g = unwind_rule_unpack(got);

	if (x->stats->differences++ > 20)
		return;
	fprintf(stderr,
		"%s %#lx: libdw kind %u base %u off %ld bp %u %ld post %ld flags %#x; tables kind "
		"%u "
		"base %u off %ld bp %u %ld post %ld flags %#x\n",
		x->path, (unsigned long)vaddr, w.kind, w.base, (long)w.offset, w.bp_kind,
		(long)w.bp_offset, (long)w.post, w.flags, g.kind, g.base, (long)g.offset, g.bp_kind,
		(long)g.bp_offset, (long)g.post, g.flags);
}

/* Every row of the function that starts at `at`. */
static inline void oracle_function(struct oracle *x, Dwarf_CFI *cfi, uint64_t at, uint64_t end)
{
	while (at < end) {
		Dwarf_Frame *frame;
		Dwarf_Addr row_start, row_end;
		bool is_signal;

		if (dwarf_cfi_addrframe(cfi, at, &frame) != 0) {
			x->stats->unreadable++;
			return;
		}
		int ra = dwarf_frame_info(frame, &row_start, &row_end, &is_signal);
		uint64_t want = oracle_expect(x, frame, ra, is_signal);
		uint64_t probes[] = { at, at + (row_end - at) / 2, row_end - 1 };
		for (size_t i = 0; i < 3 && row_end > at; i++) {
			uint64_t got = oracle_lookup(x->table, probes[i]);
			if (got != want && oracle_no_cfa(frame, got))
				x->stats->no_cfa++;
			else if (got != want)
				oracle_report(x, probes[i], want, got);
		}
		x->stats->rows++;
		x->stats->unsupported += want == UNWIND_RULE_UNSUP;
		free(frame);
		if (row_end <= at)
			return;
		at = row_end;
	}
}

/* Compares one file; every `stride`-th function. False: it has no tables, or cannot be opened. */
static inline bool oracle_file(const char *path, size_t stride, struct oracle_stats *stats)
{
	struct unwind_tables *t = unwind_tables_create(NULL);
	struct oracle x = { .path = path, .stats = stats };
	struct image *img = NULL;
	struct error *err = image_open(path, &img);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	Elf *elf = fd >= 0 ? elf_begin(fd, ELF_C_READ_MMAP, NULL) : NULL;
	Dwarf_CFI *cfi = elf ? dwarf_getcfi_elf(elf) : NULL;
	bool compared = false;

	if (!err)
		err = unwind_table_create(t, img, &x.table);
	if (!err && cfi && x.table->index) {
		struct eh_cie cie = { 0 };
		struct eh_fde fde;
		size_t n = eh_index_count(x.table->index);

		unwind_table_compile_all(x.table);
		for (size_t i = 0; i < n; i += stride)
			if (eh_index_read(x.table->index, eh_index_entry(x.table->index, i).fde,
					  &cie, &fde))
				oracle_function(&x, cfi, fde.start, fde.end);
		compared = true;
	}
	error_free(err);
	if (cfi)
		dwarf_cfi_end(cfi);
	elf_end(elf);
	if (fd >= 0)
		close(fd);
	unwind_tables_destroy(t);
	image_close(img);
	return compared;
}

#endif
