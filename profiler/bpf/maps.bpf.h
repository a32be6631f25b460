/* The maps of the kernel programs. Sizes that depend on the machine are set from user space. */
#ifndef CPROF_BPF_MAPS_BPF_H
#define CPROF_BPF_MAPS_BPF_H

#include "profiler/bpf/kernel_types.bpf.h"

#include <bpf/bpf_helpers.h>

#include "profiler/bpf/shared.h"
#include "profiler/unwind/state.h"

/* Index: slot. Written by both sides (struct kern_slot says who what); given back by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KERN_SLOTS);
	__type(key, __u32);
	__type(value, struct kern_slot);
} slots SEC(".maps");

/* Index: slot. Written here when a slot is given out. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KERN_SLOTS);
	__type(key, __u32);
	__type(value, struct kern_owner);
} owners SEC(".maps");

/* A queue: user space puts free slots behind state.slots_given, slots are taken at
 * state.slots_taken, both modulo the size. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, KERN_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} free_slots SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kern_state);
} state SEC(".maps");

/* Index: CPU. Written by that CPU alone. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kern_counters);
} counters SEC(".maps");

/* Packed rules of the tables, written by user space before anything refers to them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, UNWIND_MAX_RULES);
	__type(key, __u32);
	__type(value, __u64);
} rules SEC(".maps");

/* A chunk of the pool of tables and mappings; a value of 4 MiB is what old kernels allow. */
struct kern_chunk {
	union {
		__u32 words[UNWIND_CHUNK_WORDS];
		struct unwind_mapping mappings[UNWIND_CHUNK_WORDS / 8];
	};
};

struct kern_chunk_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(struct kern_chunk));
};

/* Index: chunk. Filled by user space as the pool grows. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, UNWIND_MAX_CHUNKS);
	__type(key, __u32);
	__array(values, struct kern_chunk_map);
} pool SEC(".maps");

struct kern_ring_map {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
};

/* Index: CPU. A ring of its own each: nothing waits for a lock, and a full one is an exact count.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct kern_ring_map);
} rings SEC(".maps");

/* Key: process (tgid). Entries of the targets come from user space, those of forks from here; gone
 * when the process is. Preallocated: it is read in interrupts. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct kern_process);
} processes SEC(".maps");

/* Key: thread (tid) that was chosen, or started by one. Used with KERN_TARGET_THREADS only. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KERN_MAX_THREADS);
	__type(key, __u32);
	__type(value, __u32);
} threads SEC(".maps");

/* The group of KERN_TARGET_CGROUP, put in by user space; not there for other targets. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroup SEC(".maps");

#define KERN_WINDOW_WORDS 512 /* a page of stack */
#define KERN_FRAME_WORDS  (KERN_KERNEL_FRAMES + UNWIND_MAX_FRAMES + KERN_REGS)

#define KERN_CACHE_SHIFT  12
#define KERN_CACHED_RULES (1u << KERN_CACHE_SHIFT)

/* The rule of an address, found before on this CPU, by whichever process: one line of memory in
 * place of the five that a search touches. key 0 is none: no page's directory word is at 0. */
struct kern_cached_rule {
	__u64 key, rule;
};

/* A stack on its way into a ring, and the registers that belong to it. */
struct kern_sending {
	__u64 regs[KERN_REGS]; /* of the user, as they were interrupted */
	__u64 at, end;	       /* what is next; where the stack ends, ~0: nobody knows */
	__u32 pages, parts;    /* looked at; sent */
	__u32 has_holes;       /* pages of it are not there */
	__u32 bytes, enough;   /* sent; so much is */
	__u32 flags;	       /* enum kern_sample_flags, of what became of it */
	struct kern_part part;
};

/* The sample in work. Values that change in loops live here, where the verifier does not follow
 * them, and not on the stack. */
struct kern_scratch {
	struct unwind_state s;
	__u64 window[KERN_WINDOW_WORDS]; /* of the stack, window_size bytes from window_base on */
	__u64 window_base;
	__u32 window_size;
	__u32 sequence;
	__u64 maps;	 /* slot.maps */
	__u32 map_first; /* mappings[] of the chunk that holds them */
	__u32 map_count;
	__u32 settled;
	__u32 frames;
	struct kern_sending out;
	struct kern_sample sample; /* and its words: */
	__u64 words[KERN_FRAME_WORDS];
	struct kern_cached_rule rule_cache[KERN_CACHED_RULES];
};

/* Index: CPU. Of the sampling program alone, which never interrupts itself (bpf_prog_active). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kern_scratch);
} scratch SEC(".maps");

/* A stack that is sent apart from samples. */
struct kern_desk {
	__u32 busy; /* taken: whoever works here may be interrupted by a sample, or preempted */
	__u32 pad;
	struct kern_sending out;
	struct kern_aside aside;
};

#define KERN_DESKS_OF_CPU 2

_Static_assert(sizeof(struct kern_scratch) + sizeof(struct kern_counters) +
			       KERN_DESKS_OF_CPU * sizeof(struct kern_desk) <=
		       KERN_CPU_BYTES,
	       "user space knows what it asks for");

/* Index: KERN_DESKS_OF_CPU for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KERN_DESKS_OF_CPU);
	__type(key, __u32);
	__type(value, struct kern_desk);
} desks SEC(".maps");

/* The kernel's own type: its name and size are what makes it one. */
struct bpf_task_work {
	__u64 opaque;
} __attribute__((aligned(8)));

/* What was promised with KERN_SAMPLE_LATER. */
struct kern_promise {
	struct bpf_task_work work;
	__u32 tid; /* whose; 0: free */
	__u32 pad;
	__u64 mm, ip, sp; /* and as of when: with others, the thread has gone on */
};

#define KERN_PROMISES 256 /* a power of two */

/* Index: the thread's number, modulo the size. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KERN_PROMISES);
	__type(key, __u32);
	__type(value, struct kern_promise);
} promises SEC(".maps");

#endif
