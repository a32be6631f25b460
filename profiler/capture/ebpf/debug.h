/*
 * --debug-stacks: every sample that the kernel program walked comes with its registers and its
 * stack, is walked here once more with the same mappings, and both results are compared and written
 * to a file. docs/debug-stacks.md describes the file.
 */
#ifndef CPROF_CAPTURE_DEBUG_H
#define CPROF_CAPTURE_DEBUG_H

#include <stdio.h>

#include "base/error.h"
#include "profiler/bpf/shared.h"
#include "profiler/unwind/walk.h"

#define DEBUG_STACKS_MAGIC                                                                         \
	"\x8f"                                                                                     \
	"cpstk\r\n"
#define DEBUG_STACKS_VERSION 2

enum debug_verdict {
	DEBUG_EQUAL,
	DEBUG_DIFFERS,
	DEBUG_OPEN,	/* the walk here came to memory that was not sent; equal up to there */
	DEBUG_DEFERRED, /* the kernel program did not walk it */
};

/* A record of the file; KERN_REGS words of registers, the frames of the kernel program, those of
 * the walk here and the bytes of the stack (filled up to 8) follow. */
struct debug_record {
	uint32_t bytes; /* of the record, this included */
	uint32_t verdict;
	uint64_t time_ns;
	uint32_t pid, tid, cpu, in_kernel;
	uint64_t maps;
	uint32_t kernel_status, host_status;
	uint32_t kernel_count, host_count; /* user frames, as words of struct kern_sample */
	uint64_t kernel_fault, host_fault;
	uint64_t stack_base;
	uint32_t stack_bytes, pad;
	uint64_t stack_absent[UNWIND_MEMORY_HOLES / 64]; /* as struct unwind_memory has it */
};

_Static_assert(sizeof(struct debug_record) == 120, "described in docs/debug-stacks.md");

struct debug_stacks {
	FILE *file; /* NULL: nobody asked for it */
	char *path;
	struct unwind_frame *frames;
	uint64_t *words; /* of the frames */
	uint64_t compared, frames_compared, differ, open;
};

struct error *debug_stacks_open(struct debug_stacks *d, const char *path) MUST_USE;

/* What is compared. */
struct debug_sample {
	const struct kern_sample *sample;
	uint32_t cpu;
	const struct kern_maps *maps; /* NULL: they are gone */
	struct unwind_memory stack;
	struct unwind_tables *tables;
	struct unwind_space space; /* for the code of the process; its mappings are `maps` */
};
void debug_stacks_add(struct debug_stacks *d, const struct debug_sample *s);

/* An error is of writing. */
struct error *debug_stacks_close(struct debug_stacks *d) MUST_USE;

#endif
