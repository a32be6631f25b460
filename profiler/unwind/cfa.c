/*
 * The instructions are those of DWARF 5 section 6.4.2 plus the GNU extensions that compilers and
 * hand-written assembly emit. Rules that x86-64 code really has were counted over some thousand
 * files; shapes outside of these become UNSUP and are reported as such by the walk.
 */
#include "profiler/unwind/cfa.h"

#include "base/mem.h"
#include <stdlib.h>

enum dwarf_register { DW_RBX = 3, DW_RBP = 6, DW_RSP = 7, DW_RIP = 16 };

enum cfa_opcode {
	/* in the two high bits, with an operand in the others */
	DW_CFA_advance_loc = 0x40,
	DW_CFA_offset = 0x80,
	DW_CFA_restore = 0xc0,

	DW_CFA_nop = 0x00,
	DW_CFA_set_loc = 0x01,
	DW_CFA_advance_loc1 = 0x02,
	DW_CFA_advance_loc2 = 0x03,
	DW_CFA_advance_loc4 = 0x04,
	DW_CFA_offset_extended = 0x05,
	DW_CFA_restore_extended = 0x06,
	DW_CFA_undefined = 0x07,
	DW_CFA_same_value = 0x08,
	DW_CFA_register = 0x09,
	DW_CFA_remember_state = 0x0a,
	DW_CFA_restore_state = 0x0b,
	DW_CFA_def_cfa = 0x0c,
	DW_CFA_def_cfa_register = 0x0d,
	DW_CFA_def_cfa_offset = 0x0e,
	DW_CFA_def_cfa_expression = 0x0f,
	DW_CFA_expression = 0x10,
	DW_CFA_offset_extended_sf = 0x11,
	DW_CFA_def_cfa_sf = 0x12,
	DW_CFA_def_cfa_offset_sf = 0x13,
	DW_CFA_val_offset = 0x14,
	DW_CFA_val_offset_sf = 0x15,
	DW_CFA_val_expression = 0x16,
	DW_CFA_MIPS_advance_loc8 = 0x1d,
	DW_CFA_AARCH64_negate_ra_state = 0x2d, /* also GNU_window_save, of SPARC */
	DW_CFA_GNU_args_size = 0x2e,
	DW_CFA_GNU_negative_offset_extended = 0x2f,
};

enum dwarf_operator {
	DW_OP_deref = 0x06,
	DW_OP_and = 0x1a,
	DW_OP_mul = 0x1e,
	DW_OP_plus = 0x22,
	DW_OP_plus_uconst = 0x23,
	DW_OP_shl = 0x24,
	DW_OP_ge = 0x2a,
	DW_OP_lit0 = 0x30,
	DW_OP_breg0 = 0x70,
	DW_OP_breg31 = 0x8f,
};

#define MAX_REMEMBERED 64

/* No dynamic linker has more .eh_frame. */
#define BX_SEARCH_BYTES (256u << 10)

/* The state of one program being run. */
struct machine {
	const struct cfa_source *source; /* its initial state is what restore goes back to */
	struct cfa_state now;
	struct cfa_state *remembered;
	unsigned int remembered_count;
};

/* --- expressions --- */

static bool read_breg(struct cursor *c, uint8_t *reg, int64_t *offset)
{
	uint8_t op = cursor_u8(c);

	if (!cursor_ok(c) || op < DW_OP_breg0 || op > DW_OP_breg31)
		return false;
	*reg = op - DW_OP_breg0;
	*offset = cursor_sleb(c);
	return cursor_ok(c);
}

static bool accept_op(struct cursor *c, uint8_t op)
{
	if (cursor_left(c) == 0 || *c->at != op)
		return false;
	c->at++;
	return true;
}

/* breg offset, nothing more: the place of a register in memory. */
static bool match_breg(struct cursor c, uint8_t *reg, int64_t *offset)
{
	return read_breg(&c, reg, offset) && cursor_left(&c) == 0;
}

/* The PLT's: sp + 8 + ((ip & 15) >= N) * 8, N being how far into an entry its push is done. */
static bool match_plt(struct cursor c, int64_t *threshold)
{
	uint8_t reg;
	int64_t offset;

	if (!read_breg(&c, &reg, &offset) || reg != DW_RSP || offset != 8 ||
	    !read_breg(&c, &reg, &offset) || reg != DW_RIP || offset != 0 ||
	    !accept_op(&c, DW_OP_lit0 + 15) || !accept_op(&c, DW_OP_and))
		return false;
	*threshold = (int64_t)cursor_u8(&c) - DW_OP_lit0;
	return *threshold >= 0 && *threshold <= 15 && accept_op(&c, DW_OP_ge) &&
	       accept_op(&c, DW_OP_lit0 + 3) && accept_op(&c, DW_OP_shl) &&
	       accept_op(&c, DW_OP_plus) && cursor_left(&c) == 0;
}

/* breg + offset [+ 8 * breg] [deref] [+ post]. */
static bool match_address(struct cursor c, struct cfa_state *s)
{
	int64_t zero;
	uint8_t base, index = 0;
	int64_t offset, post = 0;
	bool indexed = false, loaded;

	if (!read_breg(&c, &base, &offset) || base > 15)
		return false;
	if (cursor_left(&c) && *c.at >= DW_OP_breg0 && *c.at <= DW_OP_breg31) {
		if (!read_breg(&c, &index, &zero) || zero != 0 || index > 15 ||
		    !accept_op(&c, DW_OP_lit0 + 8) || !accept_op(&c, DW_OP_mul) ||
		    !accept_op(&c, DW_OP_plus))
			return false;
		indexed = true;
	}
	loaded = accept_op(&c, DW_OP_deref);
	while (accept_op(&c, DW_OP_plus_uconst)) {
		uint64_t more = cursor_uleb(&c);
		if (more > INT32_MAX)
			return false;
		post += (int64_t)more;
	}
	if (!cursor_ok(&c) || cursor_left(&c) || (indexed && !loaded) || post > INT32_MAX ||
	    offset > INT32_MAX || offset < INT32_MIN)
		return false;
	s->base = base;
	s->index = index;
	s->kind = indexed ? UNWIND_RULE_INDEX : loaded ? UNWIND_RULE_DEREF : UNWIND_RULE_REG;
	s->offset = loaded ? offset : offset + post;
	s->post = loaded ? post : 0;
	return true;
}

static void set_cfa_expression(struct cfa_state *s, struct cursor expression)
{
	int64_t threshold;

	if (match_address(expression, s))
		return;
	if (match_plt(expression, &threshold)) {
		s->kind = UNWIND_RULE_PLT;
		s->base = DW_RSP;
		s->offset = threshold * 8;
		s->post = 0;
	} else {
		s->kind = UNWIND_RULE_UNSUP;
	}
}

/* --- packing --- */

static bool fits(int64_t bytes, int bits)
{
	int64_t limit = (int64_t)8 << (bits - 1);

	return (bytes & 7) == 0 && bytes >= -limit && bytes < limit;
}

static void set_bp(struct unwind_rule *r, const struct cfa_state *s)
{
	int64_t slot = s->bp.offset;

	if (!fits(slot, UNWIND_RULE_BP_OFFSET_BITS)) {
		r->bp_kind = UNWIND_BP_UNKNOWN;
		return;
	}
	switch (s->bp.place) {
	case CFA_PLACE_UNSPECIFIED:
	case CFA_PLACE_SAME:
		return;
	case CFA_PLACE_AT_CFA:
		/* A slot below the stack pointer: the register was popped and is live again, the
		 * entry just does not say so. A copy of the stack does not have the slot. */
		if (s->kind == UNWIND_RULE_REG && s->base == DW_RSP && s->offset + slot < 0)
			return;
		r->bp_kind = UNWIND_BP_AT_CFA;
		break;
	case CFA_PLACE_AT_REG:
		r->bp_kind = s->bp.reg == DW_RBP ? UNWIND_BP_AT_BP : UNWIND_BP_UNKNOWN;
		break;
	default:
		r->bp_kind = UNWIND_BP_UNKNOWN;
	}
	if (r->bp_kind != UNWIND_BP_UNKNOWN)
		r->bp_offset = slot;
}

/* The return address: directly below the CFA, somewhere else near it, or in a register. */
static bool set_ra(struct unwind_rule *r, const struct cfa_state *s)
{
	if (s->ra.place == CFA_PLACE_IN_REG && s->ra.reg <= 15 && s->kind != UNWIND_RULE_INDEX) {
		r->flags |= UNWIND_RULE_RA_IN_REG | s->ra.reg;
		return true;
	}
	if (s->ra.place != CFA_PLACE_AT_CFA)
		return false;
	if (s->ra.offset == -8)
		return true;
	if (s->kind != UNWIND_RULE_REG || !fits(s->ra.offset, UNWIND_RULE_POST_BITS) ||
	    !fits(s->ra.offset + 8, UNWIND_RULE_POST_BITS))
		return false;
	r->post = s->ra.offset + 8;
	return true;
}

/* rbx, where post is free to say it. */
static void set_bx(struct unwind_rule *r, const struct cfa_state *s)
{
	if (s->kind != UNWIND_RULE_REG || r->post || (r->flags & UNWIND_RULE_REGISTER))
		return;
	if (s->bx.place == CFA_PLACE_AT_CFA && fits(s->bx.offset, UNWIND_RULE_POST_BITS)) {
		if (s->base != DW_RSP || s->offset + s->bx.offset >= 0)
			r->post = s->bx.offset;
	} else if (s->bx.place != CFA_PLACE_UNSPECIFIED && s->bx.place != CFA_PLACE_SAME) {
		return;
	}
	r->flags |= UNWIND_RULE_BX_KNOWN;
}

static uint64_t pack(const struct cfa_state *s, const struct cfa_source *source)
{
	const struct eh_cie *cie = source->cie;
	struct unwind_rule r = { .kind = s->kind, .base = s->base };

	if (s->ra.place == CFA_PLACE_UNDEFINED)
		return UNWIND_RULE_STOP;
	/* The ucontext of a signal frame: the kernel's layout, rip 168 bytes above the stack
	 * pointer. */
	if (cie->is_signal_frame && s->ra.place == CFA_PLACE_AT_REG)
		return s->ra.reg == DW_RSP && s->ra.offset == 168 ? UNWIND_RULE_SIGNAL
								  : UNWIND_RULE_UNSUP;
	if (s->kind == UNWIND_RULE_UNSUP || s->base > 15 ||
	    !fits(s->offset, UNWIND_RULE_OFFSET_BITS) || !fits(s->post, UNWIND_RULE_POST_BITS) ||
	    (s->sp.place != CFA_PLACE_UNSPECIFIED && s->sp.place != CFA_PLACE_SAME) ||
	    !set_ra(&r, s))
		return UNWIND_RULE_UNSUP;
	r.offset = s->offset;
	if (s->kind != UNWIND_RULE_REG)
		r.post = s->post;
	if (s->kind == UNWIND_RULE_INDEX)
		r.flags |= s->index;
	if (cie->is_signal_frame)
		r.flags |= UNWIND_RULE_INTERRUPTED;
	set_bp(&r, s);
	if (source->follow_bx)
		set_bx(&r, s);
	return unwind_rule_pack(&r);
}

/* --- instructions --- */

/* The followed register of a DWARF number; NULL for all others. */
static inline struct cfa_register *followed(struct machine *m, struct cfa_state *s, uint64_t reg)
{
	if (reg == DW_RBP)
		return &s->bp;
	if (reg == m->source->cie->return_register)
		return &s->ra;
	if (reg == DW_RBX)
		return &s->bx;
	if (reg == DW_RSP)
		return &s->sp;
	return NULL;
}

static void set_register(struct machine *m, uint64_t reg, enum cfa_place place, uint64_t in,
			 int64_t offset)
{
	struct cfa_register *r = followed(m, &m->now, reg);

	if (r)
		*r = (struct cfa_register){ place, in > 15 ? 255 : (uint8_t)in, offset };
}

static void restore_register(struct machine *m, uint64_t reg)
{
	struct cfa_register *r = followed(m, &m->now, reg);
	struct cfa_state initial = { 0 };

	if (m->source->initial)
		initial = *m->source->initial;
	if (r)
		*r = *followed(m, &initial, reg);
}

static void set_cfa(struct cfa_state *s, uint64_t reg, int64_t offset)
{
	s->kind = UNWIND_RULE_REG;
	s->base = reg > 15 ? 255 : (uint8_t)reg;
	s->offset = s->reg_offset = offset;
	s->post = 0;
}

/* Assembly that goes from an expression back to a register names the register alone: the offset is
 * then the one from before the expression, as libgcc has it. (DWARF does not allow it.) */
static void set_cfa_register(struct cfa_state *s, uint64_t reg)
{
	set_cfa(s, reg, s->reg_offset);
}

static void set_cfa_offset(struct cfa_state *s, int64_t offset)
{
	s->reg_offset = offset;
	if (s->kind == UNWIND_RULE_REG)
		s->offset = offset;
}

static int64_t scale(uint64_t factor, int64_t by)
{
	return (int64_t)(factor * (uint64_t)by);
}

static bool remember(struct machine *m)
{
	if (m->remembered_count == MAX_REMEMBERED)
		return false;
	if (!m->remembered)
		m->remembered = mem_alloc(MAX_REMEMBERED * sizeof(*m->remembered));
	m->remembered[m->remembered_count++] = m->now;
	return true;
}

/* One of the instructions that name a register's place by an expression. */
static void run_expression(struct machine *m, struct cursor *c, bool is_value)
{
	uint64_t reg = cursor_uleb(c);
	struct cursor expression = cursor_sub(c, cursor_uleb(c));
	uint8_t in;
	int64_t offset;

	if (!is_value && match_breg(expression, &in, &offset))
		set_register(m, reg, CFA_PLACE_AT_REG, in, offset);
	else
		set_register(m, reg, CFA_PLACE_OTHER, 0, 0);
}

/* The instructions that do not move the address and are not the most frequent. */
static bool run_rare(struct machine *m, struct cursor *c, uint8_t op)
{
	uint64_t reg;

	switch (op) {
	case DW_CFA_nop:
	case DW_CFA_AARCH64_negate_ra_state:
		return true;
	case DW_CFA_offset_extended:
		reg = cursor_uleb(c);
		set_register(m, reg, CFA_PLACE_AT_CFA, 0,
			     scale(cursor_uleb(c), m->source->cie->data_align));
		return true;
	case DW_CFA_offset_extended_sf:
		reg = cursor_uleb(c);
		set_register(m, reg, CFA_PLACE_AT_CFA, 0,
			     scale((uint64_t)cursor_sleb(c), m->source->cie->data_align));
		return true;
	case DW_CFA_GNU_negative_offset_extended:
		reg = cursor_uleb(c);
		set_register(m, reg, CFA_PLACE_AT_CFA, 0,
			     scale(-cursor_uleb(c), m->source->cie->data_align));
		return true;
	case DW_CFA_restore_extended:
		restore_register(m, cursor_uleb(c));
		return true;
	case DW_CFA_undefined:
		set_register(m, cursor_uleb(c), CFA_PLACE_UNDEFINED, 0, 0);
		return true;
	case DW_CFA_same_value:
		set_register(m, cursor_uleb(c), CFA_PLACE_SAME, 0, 0);
		return true;
	case DW_CFA_register:
		reg = cursor_uleb(c);
		set_register(m, reg, CFA_PLACE_IN_REG, cursor_uleb(c), 0);
		return true;
	case DW_CFA_def_cfa_sf:
		reg = cursor_uleb(c);
		set_cfa(&m->now, reg, scale((uint64_t)cursor_sleb(c), m->source->cie->data_align));
		return true;
	case DW_CFA_def_cfa_offset_sf:
		set_cfa_offset(&m->now,
			       scale((uint64_t)cursor_sleb(c), m->source->cie->data_align));
		return true;
	case DW_CFA_def_cfa_expression:
		set_cfa_expression(&m->now, cursor_sub(c, cursor_uleb(c)));
		return true;
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		run_expression(m, c, op == DW_CFA_val_expression);
		return true;
	case DW_CFA_val_offset:
	case DW_CFA_val_offset_sf:
		set_register(m, cursor_uleb(c), CFA_PLACE_OTHER, 0, 0);
		cursor_uleb(c);
		return true;
	case DW_CFA_GNU_args_size:
		cursor_uleb(c);
		return true;
	default:
		return false; /* its operands are unknown, so nothing behind it can be read */
	}
}

/* Instructions that do not move the address. False where the program cannot go on. */
static bool run_instruction(struct machine *m, struct cursor *c, uint8_t op)
{
	switch (op & 0xc0) {
	case DW_CFA_offset: {
		uint64_t factor = cursor_uleb(c);
		set_register(m, op & 0x3f, CFA_PLACE_AT_CFA, 0,
			     scale(factor, m->source->cie->data_align));
		return true;
	}
	case DW_CFA_restore:
		restore_register(m, op & 0x3f);
		return true;
	default:
		break;
	}
	switch (op) {
	case DW_CFA_def_cfa: {
		uint64_t reg = cursor_uleb(c);
		set_cfa(&m->now, reg, (int64_t)cursor_uleb(c));
		return true;
	}
	case DW_CFA_def_cfa_register:
		set_cfa_register(&m->now, cursor_uleb(c));
		return true;
	case DW_CFA_def_cfa_offset:
		set_cfa_offset(&m->now, (int64_t)cursor_uleb(c));
		return true;
	case DW_CFA_remember_state:
		return remember(m);
	case DW_CFA_restore_state:
		if (m->remembered_count == 0)
			return false;
		m->now = m->remembered[--m->remembered_count];
		return true;
	default:
		return run_rare(m, c, op);
	}
}

/* Reads an instruction that moves the address; *ret is the new one. False: it is not one of those.
 */
static bool read_advance(const struct machine *m, struct cursor *c, uint8_t op, uint64_t from,
			 uint64_t *ret)
{
	uint64_t delta;

	if ((op & 0xc0) == DW_CFA_advance_loc)
		delta = op & 0x3f;
	else if (op == DW_CFA_advance_loc1)
		delta = cursor_u8(c);
	else if (op == DW_CFA_advance_loc2)
		delta = cursor_u16(c);
	else if (op == DW_CFA_advance_loc4)
		delta = cursor_u32(c);
	else if (op == DW_CFA_MIPS_advance_loc8)
		delta = cursor_u64(c);
	else if (op == DW_CFA_set_loc) {
		if (!eh_index_pointer(m->source->index, c, m->source->cie->pointer_encoding, ret))
			c->failed = true;
		return true;
	} else {
		return false;
	}
	*ret = from + delta * m->source->cie->code_align;
	return true;
}

bool cfa_run_cie(const struct eh_cie *cie, struct cfa_state *ret)
{
	struct cfa_source source = { .cie = cie };
	struct machine m = { .source = &source };
	struct cursor c = cie->instructions;
	bool ok = true;

	m.now.kind = UNWIND_RULE_UNSUP;
	while (ok && cursor_left(&c))
		ok = run_instruction(&m, &c, cursor_u8(&c));
	free(m.remembered);
	*ret = m.now;
	return ok && cursor_ok(&c);
}

/* The two instructions that programs are mostly made of beside advances, if the operand is one
 * byte. */
static inline bool run_frequent(struct machine *m, struct cursor *c, uint8_t op)
{
	if (c->at == c->end || (*c->at & 0x80))
		return false;
	if (op == DW_CFA_def_cfa_offset) {
		set_cfa_offset(&m->now, *c->at++);
		return true;
	}
	if ((op & 0xc0) != DW_CFA_offset)
		return false;
	uint8_t factor = *c->at++;
	if (followed(m, &m->now, op & 0x3f))
		set_register(m, op & 0x3f, CFA_PLACE_AT_CFA, 0,
			     scale(factor, m->source->cie->data_align));
	return true;
}

void cfa_run(const struct cfa_source *source, const struct eh_fde *fde, uint64_t low, uint64_t high,
	     cfa_emit_fn *emit, void *context)
{
	struct machine m = { .source = source, .now = *source->initial };
	struct cursor c = fde->instructions;
	uint64_t end = MIN(fde->end, high), at = fde->start;
	bool ok = true;

	while (ok && at < end && cursor_left(&c)) {
		uint8_t op = *c.at++; /* one is left */
		uint64_t next;

		if (run_frequent(&m, &c, op))
			continue;
		if (!read_advance(&m, &c, op, at, &next)) {
			ok = run_instruction(&m, &c, op) && cursor_ok(&c);
			continue;
		}
		ok = cursor_ok(&c) && next >= at;
		if (ok && next > at) {
			if (next > low)
				emit(context, at, pack(&m.now, source));
			at = next;
		}
	}
	if (at < end)
		emit(context, at, ok ? pack(&m.now, source) : UNWIND_RULE_INVALID);
	free(m.remembered);
}

bool cfa_uses_bx(const struct eh_index *index)
{
	static const uint8_t wanted[] = { DW_CFA_def_cfa_register, DW_RBX };
	uint64_t vaddr, size;
	const uint8_t *bytes = eh_index_frame(index, &vaddr, &size);

	return size <= BX_SEARCH_BYTES && memmem(bytes, size, wanted, sizeof(wanted));
}
