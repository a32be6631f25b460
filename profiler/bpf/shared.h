/*
 * What the kernel program (sampler.bpf.c) and user space (sampler.c) share: the layout of maps and
 * of the records in the rings. Fixed-width types, explicit padding, sizes asserted.
 *
 * The tables that a walk reads (page directories, rows, rules, mappings) are laid out in
 * profiler/unwind/layout.h: pool and rules are shared with the kernel as they are.
 */
#ifndef CPROF_BPF_SHARED_H
#define CPROF_BPF_SHARED_H

#include <linux/types.h>

#include "profiler/unwind/layout.h"

#define KERN_MAX_CPUS	   1024
#define KERN_SLOTS	   65536 /* a power of two */
#define KERN_MAX_THREADS   65536 /* that can be chosen with -t, and what they start */
#define KERN_NUMBERS	   65536 /* of threads, kept over their end; in a pid namespace alone */
#define KERN_KERNEL_FRAMES 127	 /* the kernel's own limit (kernel.perf_event_max_stack) */
#define KERN_PART_BYTES	   4096
#define KERN_PARTS_MAX	   256		/* of a stack: 1 MiB */
#define KERN_CPU_BYTES	   (192u << 10) /* of maps, that a possible CPU takes beside its ring */
#define KERN_REGS	   17		/* ip, then the 16 general registers in DWARF's order */

/* Which samples are taken. */
enum kern_target {
	KERN_TARGET_PROCESSES, /* those in `processes`, and what they fork */
	KERN_TARGET_THREADS,   /* those in `threads`, and what they start */
	KERN_TARGET_ALL,
	KERN_TARGET_CGROUP,
};

/*
 * What a process's samples are walked with. `maps` says where its mappings lie: the offset in the
 * pool (in words) of a kern_maps in the low half, its generation in the high half; 0: nothing is
 * known yet, every sample is deferred. Only user space writes maps, but for a fork, which copies
 * it. `mm` says whose memory that is: 0 until the first sample of a process that was there before.
 * Only the kernel program writes mm; where it is not the running task's, nothing here is about that
 * task. Slot 0 belongs to nobody, and is empty.
 */
struct kern_slot {
	__u64 maps;
	__u64 mm;
};

_Static_assert(sizeof(struct kern_slot) == 16, "shared with the kernel");

static inline __attribute__((always_inline)) __u64 kern_maps_word(__u32 offset, __u32 generation)
{
	return (__u64)generation << 32 | offset;
}

/* In front of an array of struct unwind_mapping, aligned as these are. Immutable once its word is
 * in a slot, but for `settled`. */
struct kern_maps {
	__u32 generation; /* the one of the word that leads here; another: it was freed meanwhile */
	__u32 count;	  /* of mappings, <= UNWIND_MAX_MAPPINGS */
	__u32 settled; /* user space has looked: where nothing is mapped, nothing is; no stack has
			  to be sent for that */
	__u32 pad[5];
};

_Static_assert(sizeof(struct kern_maps) == sizeof(struct unwind_mapping), "one array");

/* Who got a slot, for the slots that the kernel program gave out. All numbers of processes and
 * threads are those of the pid namespace that cprof runs in. */
struct kern_owner {
	__u32 tgid;
	__u32 memory_of; /* the process whose memory it has too (vfork, clone with CLONE_VM): what
			    one maps, both have; 0: its own alone */
	__u64 time_ns;	 /* of the fork or exec; 0: user space gave the slot out */
};

/* Value of the hash `processes`, by tgid. */
struct kern_process {
	__u32 slot;
	__u32 armed;	   /* 0: from its next exec on */
	__u64 start_time;  /* of the task, as the kernel program sees it; 0: was there before */
	__u64 start_ticks; /* of what was there before: as /proc shows it, so that another process
			      of the same number is not taken for it; 0: unknown */
};

#define KERN_TICK_NS 10000000ull /* of /proc: USER_HZ is 100 on every machine */

/* Shared state, one for all CPUs, mapped by user space. */
struct kern_state {
	__u32 slots_taken; /* from free_slots[] (modulo KERN_SLOTS), by the kernel program */
	__u32 slots_given; /* to it, by user space */
	__u64 in_flight;   /* bytes of stacks sent, and not yet handled: user space subtracts */
	__u64 in_flight_max;
	__u32 listening;     /* 1: user space wants to be woken by a deferred sample; woken, it sets
				that again */
	__u32 pid_level;     /* of the namespace that cprof runs in: 0 is the first one ... */
	__u64 pid_namespace; /* ... and the kernel's address of it */
	__u32 sampling;	     /* 1: from start to stop */
	__u32 asides;	     /* stacks that were sent apart from samples: each has a number */
	__u32 pad[4];
};

_Static_assert(sizeof(struct kern_state) == 64, "shared with the kernel");

/*
 * The ledger's counters, of each CPU. entries = emitted + filtered + idle + the losses.
 */
#define KERN_COUNTERS(X)                                                                           \
	X(entries)	/* runs of the program */                                                  \
	X(idle)		/* nothing ran on the CPU */                                               \
	X(filtered)	/* what ran is no target */                                                \
	X(emitted)	/* records in the ring */                                                  \
	X(ring_full)	/* lost: no room in the ring */                                            \
	X(deferred)	/* of the emitted: with registers, to be walked later */                   \
	X(parts)	/* pieces of stacks in the ring */                                         \
	X(parts_lost)	/* no room for them */                                                     \
	X(budget_cut)	/* pieces not sent: too many bytes in flight */                            \
	X(asides)	/* stacks sent apart from samples */                                       \
	X(asides_ns)	/* time for them */                                                        \
	X(no_slot)	/* processes and threads that there was no room for */                     \
	X(user_samples) /* emitted, walked to an end, interrupted in user mode ... */              \
	X(user_frames)                                                                             \
	X(user_ns)	  /* ... time in the program for them, output included */                  \
	X(kernel_samples) /* the same, interrupted in the kernel */                                \
	X(kernel_frames)  /* user and kernel ones */                                               \
	X(kernel_ns)                                                                               \
	X(deferred_ns)                                                                             \
	X(other_ns) /* of everything else: filtered, idle, lost */

struct kern_counters {
#define X(name) __u64 name;
	KERN_COUNTERS(X)
#undef X
	__u64 pad[12]; /* counters of two CPUs do not share a line */
};

_Static_assert(sizeof(struct kern_counters) == 256, "shared with the kernel");

enum kern_record_kind {
	KERN_RECORD_SAMPLE = 1,
	KERN_RECORD_PART, /* of the stack of the sample of the same sequence number that follows */
	KERN_RECORD_ASIDE_PART, /* ... of the KERN_RECORD_LAST or _LATER */
	KERN_RECORD_LAST,	/* a thread is at its end: what its samples from now on have */
	KERN_RECORD_LATER,	/* what the thread's samples before with KERN_SAMPLE_LATER have */
};

enum kern_sample_flags {
	KERN_SAMPLE_IN_KERNEL = 1, /* interrupted in the kernel: there are kernel frames */
	KERN_SAMPLE_REGS = 2,	   /* KERN_REGS words of registers follow the frames */
	KERN_SAMPLE_STACK_CUT = 4, /* the stack went on behind the last part */
	KERN_SAMPLE_PARTS_LOST = 8,
	KERN_SAMPLE_LATER = 16, /* a page of the stack was on its way: when the kernel is done with
				   it, the stack follows, in the ring of whichever CPU */
};

/* All kinds of records start like this. */
struct kern_record {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u32 sequence; /* of samples on this CPU, the lost ones counted: a gap is a loss; of stacks
			   apart from samples, on all CPUs */
	__u16 kind;	/* enum kern_record_kind */
	__u16 flags;	/* enum kern_sample_flags */
};

/*
 * A sample: this, then kernel_count words of kernel addresses, innermost first, then user_count
 * words of user frames, innermost first, then the registers where flags say so.
 */
struct kern_sample {
	struct kern_record record;
	__u32 tgid, tid;
	__u32 slot;
	__u16 kernel_count, user_count;
	__u32 status; /* enum unwind_status; DEFER: registers and parts of the stack are there */
	__u32 parts;  /* sent for it */
	__u64 maps;   /* what it was walked with */
	__u64 fault_address; /* of DEFER: the code whose mapping or table is wanted; 0: all are */
};

_Static_assert(sizeof(struct kern_sample) == 56, "shared with the kernel");

/* A stack apart from samples; its parts came before. */
struct kern_aside {
	struct kern_record record;
	__u32 tgid, tid;
	__u32 parts, pad;
	__u64 regs[KERN_REGS];
};

_Static_assert(sizeof(struct kern_aside) == 32 + 8 * KERN_REGS, "shared with the kernel");

/* A user frame is its address with these bits, which no user address has. */
#define KERN_FRAME_RETURN  (1ull << 63)
#define KERN_FRAME_GUESSED (1ull << 62)
#define KERN_FRAME_ADDRESS (KERN_FRAME_GUESSED - 1)

/* A page of a stack, or the piece of it that starts at the stack pointer. */
struct kern_part {
	struct kern_record record;
	__u64 address;
	__u32 size; /* of bytes, that hold the memory from address on */
	__u32 pad;
	__u8 bytes[KERN_PART_BYTES];
};

_Static_assert(sizeof(struct kern_part) == 32 + KERN_PART_BYTES, "shared with the kernel");

#endif
