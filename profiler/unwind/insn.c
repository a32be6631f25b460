#include "profiler/unwind/insn.h"

#include <Zydis/Zydis.h>

#define WORD 8

struct reading {
	ZydisDecodedInstruction i;
	ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
	struct insn_state *s;
};

static bool is_reg(const ZydisDecodedOperand *o, ZydisRegister reg)
{
	return o->type == ZYDIS_OPERAND_TYPE_REGISTER && o->reg.value == reg;
}

/* Whether any part of a register is written, also by what the instruction does beside. */
static bool writes(const struct reading *r, ZydisRegister reg)
{
	for (int n = 0; n < r->i.operand_count; n++) {
		const ZydisDecodedOperand *o = &r->operands[n];

		if (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		    o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE &&
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, o->reg.value) ==
			    reg)
			return true;
	}
	return false;
}

/* How far below the CFA an operand in memory lies; false where that is not known. */
static bool distance_of(const struct reading *r, const ZydisDecodedOperand *o, int64_t *ret)
{
	const struct insn_state *s = r->s;

	if (o->type != ZYDIS_OPERAND_TYPE_MEMORY || o->mem.index != ZYDIS_REGISTER_NONE)
		return false;
	if (o->mem.base == ZYDIS_REGISTER_RSP && s->depth)
		*ret = s->depth - o->mem.disp.value;
	else if (o->mem.base == ZYDIS_REGISTER_RBP && s->frame)
		*ret = s->frame - o->mem.disp.value;
	else
		return false;
	return true;
}

/* --- rbp --- */

static void lose_bp(struct insn_state *s)
{
	s->frame = 0;
	s->lost = !s->slot;
}

static void save_bp(struct insn_state *s, int64_t distance)
{
	if (!s->slot && !s->lost && !s->frame && distance > WORD && distance < INT32_MAX / 2)
		s->slot = (int32_t)distance;
}

/* rbp is loaded from there. */
static void load_bp(struct insn_state *s, int64_t distance)
{
	s->frame = 0;
	if (s->slot && distance == s->slot)
		s->slot = s->lost = 0;
	else
		s->lost = !s->slot;
}

/* --- the stack pointer --- */

static bool set_depth(struct insn_state *s, int64_t depth)
{
	if (depth < 0 || depth > INT32_MAX / 2)
		return false;
	s->depth = (int32_t)depth;
	return depth != 0;
}

/* By an amount that is not known: from now on, all is told by rbp. */
static bool lose_depth(struct insn_state *s)
{
	s->depth = 0;
	return s->frame != 0;
}

static bool push(struct reading *r)
{
	struct insn_state *s = r->s;

	if (r->i.operand_width != 64 && r->i.mnemonic != ZYDIS_MNEMONIC_PUSHFQ)
		return false;
	if (!s->depth)
		return true;
	if (is_reg(&r->operands[0], ZYDIS_REGISTER_RBP))
		save_bp(s, s->depth + WORD);
	return set_depth(s, s->depth + WORD);
}

static bool pop(struct reading *r)
{
	struct insn_state *s = r->s;

	if (r->i.operand_width != 64 && r->i.mnemonic != ZYDIS_MNEMONIC_POPFQ)
		return false;
	if (is_reg(&r->operands[0], ZYDIS_REGISTER_RSP) ||
	    r->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
		return false;
	if (is_reg(&r->operands[0], ZYDIS_REGISTER_RBP))
		load_bp(s, s->depth ? s->depth : -1);
	return !s->depth || set_depth(s, s->depth - WORD);
}

static bool leave(struct reading *r)
{
	struct insn_state *s = r->s;
	int32_t frame = s->frame;

	if (!frame)
		return false;
	load_bp(s, frame);
	return set_depth(s, frame - WORD);
}

/* An instruction whose first operand is rsp. */
static bool move_sp(struct reading *r)
{
	const ZydisDecodedOperand *from = &r->operands[1];
	struct insn_state *s = r->s;
	int64_t distance;

	switch (r->i.mnemonic) {
	case ZYDIS_MNEMONIC_SUB:
	case ZYDIS_MNEMONIC_ADD:
		if (from->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return lose_depth(s);
		if (!s->depth)
			return true;
		return set_depth(s, r->i.mnemonic == ZYDIS_MNEMONIC_SUB
					    ? s->depth + from->imm.value.s
					    : s->depth - from->imm.value.s);
	case ZYDIS_MNEMONIC_AND:
		return lose_depth(s);
	case ZYDIS_MNEMONIC_LEA:
		return distance_of(r, from, &distance) && set_depth(s, distance);
	case ZYDIS_MNEMONIC_MOV:
		return is_reg(from, ZYDIS_REGISTER_RBP) && s->frame && set_depth(s, s->frame);
	default:
		return false;
	}
}

/* One whose first operand is rbp. */
static bool move_bp(struct reading *r)
{
	const ZydisDecodedOperand *from = &r->operands[1];
	struct insn_state *s = r->s;
	int64_t distance;
	bool known = distance_of(r, from, &distance);

	if (r->i.mnemonic == ZYDIS_MNEMONIC_MOV && known && from->size == 64) {
		load_bp(s, distance);
		return true;
	}
	if (r->i.mnemonic == ZYDIS_MNEMONIC_MOV && is_reg(from, ZYDIS_REGISTER_RSP)) {
		known = s->depth != 0;
		distance = s->depth;
	} else if (r->i.mnemonic != ZYDIS_MNEMONIC_LEA) {
		known = false;
	}
	lose_bp(s);
	if (known && distance > 0 && distance < INT32_MAX / 2)
		s->frame = (int32_t)distance;
	return true;
}

/* What is written to memory must leave the return address and the saved rbp alone. */
static bool store(struct reading *r)
{
	struct insn_state *s = r->s;
	int64_t distance;

	for (int n = 0; n < r->i.operand_count; n++) {
		const ZydisDecodedOperand *o = &r->operands[n];

		if (!(o->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) ||
		    !distance_of(r, o, &distance))
			continue;
		int64_t end =
			distance - o->size / 8; /* the operand lies at [CFA-distance, CFA-end) */

		if (distance > 0 && end < WORD)
			return false;
		if (r->i.mnemonic == ZYDIS_MNEMONIC_MOV && distance != s->slot &&
		    is_reg(&r->operands[1], ZYDIS_REGISTER_RBP)) {
			save_bp(s, distance);
			continue;
		}
		if (s->slot && distance > s->slot - WORD && end < s->slot &&
		    !is_reg(&r->operands[1], ZYDIS_REGISTER_RBP))
			return false;
	}
	return true;
}

/* --- one instruction --- */

static bool apply(struct reading *r)
{
	struct insn_state *s = r->s;

	switch (r->i.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
		return push(r);
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_POPFQ:
		return pop(r);
	case ZYDIS_MNEMONIC_LEAVE:
		return leave(r);
	case ZYDIS_MNEMONIC_CALL:
		return true;
	case ZYDIS_MNEMONIC_RET:
		return s->depth == WORD && !s->slot && !s->lost && !s->frame;
	default:
		break;
	}
	if (!store(r))
		return false;
	if (writes(r, ZYDIS_REGISTER_RSP))
		return is_reg(&r->operands[0], ZYDIS_REGISTER_RSP) && move_sp(r);
	if (!writes(r, ZYDIS_REGISTER_RBP))
		return true;
	if (is_reg(&r->operands[0], ZYDIS_REGISTER_RBP))
		return move_bp(r);
	lose_bp(s);
	return true;
}

static enum insn_kind kind_of(const struct reading *r, bool is_relative)
{
	switch (r->i.mnemonic) {
	case ZYDIS_MNEMONIC_NOP:
		return INSN_NOTHING;
	case ZYDIS_MNEMONIC_CALL:
		return INSN_CALL;
	case ZYDIS_MNEMONIC_RET:
		return INSN_RETURN;
	case ZYDIS_MNEMONIC_JMP:
		return is_relative ? INSN_JUMP : INSN_SWITCH;
	case ZYDIS_MNEMONIC_UD0:
	case ZYDIS_MNEMONIC_UD1:
	case ZYDIS_MNEMONIC_UD2:
	case ZYDIS_MNEMONIC_HLT:
	case ZYDIS_MNEMONIC_INT3:
		return INSN_END;
	default:
		return r->i.meta.category == ZYDIS_CATEGORY_COND_BR ? INSN_BRANCH : INSN_NEXT;
	}
}

/* Far calls and jumps, returns that take arguments off the stack, what privileged code does. */
static bool is_strange(const struct reading *r)
{
	return r->i.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR ||
	       r->i.meta.category == ZYDIS_CATEGORY_SYSRET ||
	       (r->i.mnemonic == ZYDIS_MNEMONIC_RET && r->i.operand_count_visible);
}

/* Where it leads to, without its operands, which take as long to decode as the rest. */
static void read_address(const ZydisDecodedInstruction *i, struct insn *ret)
{
	ret->size = i->length;
	if (i->attributes & ZYDIS_ATTRIB_IS_RELATIVE && i->raw.imm[0].is_relative) {
		ret->has_target = true;
		ret->target = i->raw.imm[0].value.s + i->length;
	}
	/* relative to rip */
	if (i->mnemonic == ZYDIS_MNEMONIC_LEA && i->raw.modrm.mod == 0 && i->raw.modrm.rm == 5) {
		ret->has_address = true;
		ret->address = i->raw.disp.value + i->length;
	}
}

bool insn_read(const uint8_t *bytes, size_t size, struct insn *ret, struct insn_state *state)
{
	struct reading r; /* 1 KB, which is not to be cleared for each instruction */
	ZydisDecoderContext context;
	ZydisDecoder decoder;

	ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, &context, bytes, size, &r.i)))
		return false;
	*ret = (struct insn){ 0 };
	read_address(&r.i, ret);
	ret->kind = kind_of(&r, ret->has_target);
	if (is_strange(&r))
		return false;
	if (!state)
		return true;
	r.s = state;
	r.operands[0].type = r.operands[1].type = ZYDIS_OPERAND_TYPE_UNUSED;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeOperands(&decoder, &context, &r.i, r.operands,
						     r.i.operand_count)))
		return false;
	return apply(&r);
}
