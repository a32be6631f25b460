/*
 * Walking a user stack on the host: from the registers and a copy of the stack that a sample
 * carries, with the step function that the kernel program uses too (step.h).
 */
#ifndef CPROF_UNWIND_WALK_H
#define CPROF_UNWIND_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/unwind/layout.h"
#include "profiler/unwind/status.h"
#include "profiler/unwind/table.h"

/* x86-64, in DWARF's order: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 (aarch64: x0..x30, sp). */
#define UNWIND_GPRS 16

struct unwind_regs {
	uint64_t ip;
	uint64_t gpr[UNWIND_GPRS];
};

#define UNWIND_REG_BP 6
#define UNWIND_REG_SP 7

#define UNWIND_MEMORY_PAGE  4096
#define UNWIND_MEMORY_HOLES 256 /* pages from the first one on, of which it is known */

/* Bytes of a process's memory as they were: a copy that starts at `base`. */
struct unwind_memory {
	const uint8_t *bytes;
	uint64_t base, size;
	/* Pages that were not in memory, a bit each from the one of base on: their bytes mean
	 * nothing. */
	bool has_holes;
	uint64_t absent[UNWIND_MEMORY_HOLES / 64];
	bool is_raw; /* a read outside ends with EFAULT_*, whatever the reason may be */
};

enum unwind_frame_flags {
	UNWIND_FRAME_RETURN = 1,  /* ip is a return address: names belong to ip - 1 */
	UNWIND_FRAME_GUESSED = 2, /* found by frame pointer in code without unwind entries */
};

struct unwind_frame {
	uint64_t ip;
	uint32_t mapping; /* index into the process's mappings; UINT32_MAX: none */
	uint32_t flags;
};

/* What a walk needs of a process. */
struct unwind_space {
	const struct unwind_mapping *mappings; /* sorted by start */
	struct unwind_table *const *tables; /* one for each mapping; NULL where kind is not TABLE */
	uint32_t count;

	/* Reads code bytes of the process for the checks of run-time code (is this a prologue?).
	 * May be NULL, or return false where the process is gone. */
	bool (*read_code)(void *context, uint64_t address, void *bytes, uint32_t size);
	void *context;
};

struct unwind_result {
	enum unwind_status status;
	uint32_t count;		/* frames, innermost first */
	uint64_t fault_address; /* of EFAULT_* and COPY_SHORT: what could not be read; of NOMAP and
				   RA_NONEXEC: the address that is not code */
};

/*
 * Walks from regs outwards, compiling units of tables as they are met. Writes at most max_frames
 * frames. Always terminates; never reads outside of `stack`. Reads beyond the end of the copy give
 * COPY_SHORT when the copy was cut (copy_is_cut), else EFAULT_*.
 */
void unwind_walk(struct unwind_tables *t, const struct unwind_space *space,
		 const struct unwind_regs *regs, const struct unwind_memory *stack,
		 bool copy_is_cut, struct unwind_frame *frames, uint32_t max_frames,
		 struct unwind_result *ret);

#endif
