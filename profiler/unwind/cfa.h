/*
 * Runs the programs of .eh_frame (DW_CFA_* instructions) and turns what they say about each address
 * into a packed rule. Only what a walk needs is followed: the CFA, the return address, the frame
 * pointer, and whether the stack pointer has a rule of its own.
 */
#ifndef CPROF_UNWIND_CFA_H
#define CPROF_UNWIND_CFA_H

#include "profiler/unwind/layout.h"
#include "symbolizer/elf/eh_index.h"

/* Where a register's value in the caller is. */
enum cfa_place {
	CFA_PLACE_UNSPECIFIED, /* no instruction named it */
	CFA_PLACE_SAME,
	CFA_PLACE_UNDEFINED,
	CFA_PLACE_AT_CFA, /* in memory at CFA + offset */
	CFA_PLACE_AT_REG, /* in memory at register + offset */
	CFA_PLACE_IN_REG,
	CFA_PLACE_OTHER, /* an expression that no rule can say */
};

struct cfa_register {
	uint8_t place; /* enum cfa_place */
	uint8_t reg;
	int64_t offset;
};

/* What a program has said up to some address. */
struct cfa_state {
	uint8_t kind; /* of the CFA: UNWIND_RULE_REG, _DEREF, _INDEX, _PLT; _UNSUP where it has none
		       */
	uint8_t base, index;
	int64_t offset, post;
	int64_t reg_offset; /* of the last register-and-offset CFA: an expression does not change it
			     */
	struct cfa_register ra, bp, bx, sp;
};

/* Runs the program of a CIE: the state that the programs of its FDEs start from. False where it is
 * damaged. */
bool cfa_run_cie(const struct eh_cie *cie, struct cfa_state *ret);

/* Receives a row: from this address on, this rule. */
typedef void cfa_emit_fn(void *context, uint64_t vaddr, uint64_t rule);

/* What the programs of one CIE have in common. */
struct cfa_source {
	const struct eh_index *index;
	const struct eh_cie *cie;
	const struct cfa_state *initial;
	bool follow_bx; /* rules say what becomes of rbx too */
};

/*
 * Runs the program of an FDE and emits its rows that concern [low, high), in order of address; the
 * first one may lie before low. Where the program is damaged, what it described so far stands and
 * the rest of the range becomes INVALID.
 */
void cfa_run(const struct cfa_source *source, const struct eh_fde *fde, uint64_t low, uint64_t high,
	     cfa_emit_fn *emit, void *context);

/* May a program of the file compute a CFA from rbx? True for few others beside those that do; files
 * with more unwind tables than any dynamic linker has are not looked at. */
bool cfa_uses_bx(const struct eh_index *index);

#endif
