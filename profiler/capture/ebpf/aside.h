/*
 * Stacks that come apart from samples: a thread's last one, for its samples after it gave up its
 * memory; and the later one of samples that came while a page of the stack was on its way.
 */
#ifndef CPROF_CAPTURE_ASIDE_H
#define CPROF_CAPTURE_ASIDE_H

#include "base/vec.h"
#include "profiler/bpf/shared.h"
#include "profiler/unwind/walk.h"

/* Registers and stack, to be walked here. */
struct ebpf_walk {
	struct unwind_regs regs;
	struct unwind_memory stack;
	bool is_cut;
};

struct ebpf_last {
	uint32_t pid, tid;
	uint64_t time_ns;
	uint64_t used_ns;      /* by the last sample that it was for */
	struct ebpf_walk walk; /* its bytes are the list's */
};

/* A sample that waits for its stack. */
struct ebpf_held {
	struct kern_sample *sample; /* with its words */
	uint32_t ring;
	struct unwind_memory stack; /* what came with it */
};

#define EBPF_LASTS 4096 /* a power of two */

struct ebpf_asides {
	VEC(struct ebpf_last) lasts; /* in the order in which they came */
	size_t lasts_taken;
	uint64_t lasts_shed; /* in front of those */
	uint64_t last_bytes;
	uint64_t by_tid[EBPF_LASTS]; /* modulo: the number of the thread's since the start, and 1 */
	VEC(struct ebpf_held) held;
	uint64_t last_samples, later_samples; /* that got a stack by this */
};

struct capture;

void ebpf_asides_deinit(struct ebpf_asides *a);

/* A record that ends a stack: KERN_RECORD_LAST, or KERN_RECORD_LATER. */
void ebpf_aside(struct capture *c, uint32_t ring, const struct kern_aside *aside);

/* A sample with KERN_SAMPLE_LATER, and the stack that came with it. */
void ebpf_hold(struct capture *c, uint32_t ring, const struct kern_sample *sample,
	       const struct unwind_memory *stack);

/* Nothing may be known of what is older than this any more. UINT64_MAX: the end. */
void ebpf_tend_asides(struct capture *c, uint64_t now_ns);

/* The stack that a thread ended with, for a sample at that time; NULL: there is none. */
const struct ebpf_walk *ebpf_last_of(struct capture *c, uint32_t pid, uint32_t tid,
				     uint64_t time_ns);

bool ebpf_has_last(struct capture *c, uint32_t pid, uint32_t tid);

/* The number is another thread's, or program's, from now on. */
void ebpf_forget_last(struct capture *c, uint32_t tid);

#endif
