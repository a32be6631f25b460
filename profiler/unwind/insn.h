/*
 * What one instruction does to the stack: the stack pointer and rbp relative to the CFA, and where
 * control goes next. For code without unwind entries; see flow.h.
 */
#ifndef CPROF_UNWIND_INSN_H
#define CPROF_UNWIND_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where things are while a function runs, as distances below the CFA. */
struct insn_state {
	int32_t depth; /* CFA - rsp; 0: not known, and then frame is */
	int32_t frame; /* CFA - rbp; 0: rbp is no frame pointer */
	int32_t slot;  /* the caller's rbp lies at CFA - slot; 0: nowhere */
	int32_t lost;  /* rbp is not the caller's any more, and it lies nowhere */
};

enum insn_kind {
	INSN_NEXT,
	INSN_CALL,    /* comes back to the next one, or never */
	INSN_BRANCH,  /* to its target or the next one */
	INSN_JUMP,    /* to its target */
	INSN_RETURN,  /* from the function */
	INSN_SWITCH,  /* to an address that is not known here */
	INSN_END,     /* nowhere: a trap */
	INSN_NOTHING, /* on, having done nothing: padding, where it stands between functions */
};

struct insn {
	size_t size;
	enum insn_kind kind;
	bool has_target, has_address;
	int64_t target;	 /* of a call, branch or jump, relative to the instruction's start */
	int64_t address; /* that a `lea` computes, relative to it too */
};

/*
 * Reads the instruction at the start of `bytes` (x86-64). With a state, what it does to that; false
 * where it is none, or does what cannot be followed: sets the stack pointer to something else,
 * writes over the return address, returns from somewhere in the middle of the stack.
 */
bool insn_read(const uint8_t *bytes, size_t size, struct insn *ret, struct insn_state *state);

#endif
