/* The state of a walk, which step.h moves from a frame to its caller. */
#ifndef CPROF_UNWIND_STATE_H
#define CPROF_UNWIND_STATE_H

#include "profiler/unwind/layout.h"
#include "profiler/unwind/status.h"

#define UNWIND_NO_MAPPING 0xffffffffu
#define UNWIND_CODE_BYTES 16 /* that are looked at of run-time code */

/* The numbers of the general registers are DWARF's. */
#define UNWIND_GPR_AX 0
#define UNWIND_GPR_BX 3
#define UNWIND_GPR_BP 6
#define UNWIND_GPR_SP 7

struct unwind_state {
	__u64 ip;
	__u64 gpr[16];
	__u64 fault_address;
	__u32 mapping;	   /* of the address that is looked up; UNWIND_NO_MAPPING */
	__u32 is_return;   /* ip is a return address: the call is in front of it */
	__u32 is_guessed;  /* this frame was found by frame pointer in code without entries */
	__u32 any_guessed; /* one of the frames so far was */
	__u32 is_live;	   /* it is running, or was interrupted: it has made no call */
	__u32 regs_known;  /* every register is this frame's, not just ip, sp, bp and bx */
	__u32 bp_lost, bx_lost;
	__u32 status; /* enum unwind_status, when the walk has ended */

	/* within a step */
	__u64 rule; /* packed: of the address */
	struct unwind_next {
		__u64 ip, sp, bp;
		__u32 is_return, is_guessed, is_live, regs_known;
		__u32 zero, not_code; /* statuses: where ip is 0, where nothing is mapped */
	} next;
};

enum unwind_step_result {
	UNWIND_STEP_ON,	     /* the state is the caller's */
	UNWIND_STEP_END,     /* the status is set */
	UNWIND_STEP_COMPILE, /* the state is unchanged: the page's unit is not compiled */
};

#endif
