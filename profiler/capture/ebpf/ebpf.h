/*
 * The insides of the ebpf backend, for the files of this folder.
 *
 *	backend.c    load, choose who is sampled, stop
 *	side_band.c  what the kernel tells of forks, execs and mappings
 *	intake.c     the thread that empties all rings into queues
 *	backlog.c    such a queue
 *	drain.c      all queues in the order of time
 *	sample.c     a sample that the kernel program walked, or left to be walked here
 *	aside.c      stacks that come after, or before, the samples that they belong to
 *	slots.c      which process has which slot
 *	spaces.c     mappings of processes, published to the kernel program, and taken back
 *	toucher.c    stacks that are not in memory
 *	outset.c     how soon the kernel program walks
 *	finish.c     the ledger
 */
#ifndef CPROF_CAPTURE_EBPF_H
#define CPROF_CAPTURE_EBPF_H

#include "profiler/bpf/sampler.h"
#include "profiler/capture/backend.h"
#include "profiler/capture/ebpf/aside.h"
#include "profiler/capture/ebpf/debug.h"
#include "profiler/capture/ebpf/intake.h"
#include "profiler/capture/ebpf/side_band.h"
#include "profiler/capture/ebpf/toucher.h"
#include "profiler/capture/ebpf/waiter.h"
#include "profiler/capture/session.h"

/* A stack on its way: the parts that came before their sample. */
struct ebpf_stack {
	uint8_t *bytes;		     /* KERN_PARTS_MAX * KERN_PART_BYTES */
	struct unwind_memory memory; /* of these bytes */
	uint32_t sequence;
	uint64_t handled; /* bytes that came, used or not */
};

struct ebpf_ring {
	struct ebpf_stack stack; /* of a sample */
	struct ebpf_stack aside; /* of a stack apart from samples, which samples may interrupt */
	uint32_t next_sequence;
	bool was_read;
};

/* A slot that the kernel program gave out. */
struct ebpf_new_slot {
	uint32_t slot, pid;
	uint64_t time_ns;
};

/* The end of a thread that was told, while it may still be sampled. */
struct ebpf_ending {
	uint32_t pid, tid;
	uint64_t time_ns;
	bool is_over; /* the process was seen to have ended */
};

/* Of a program, since it was executed; outset.c. */
struct ebpf_outset {
	uint64_t exec_ns; /* 0: it was there before */
	uint64_t samples;
	uint64_t first_ns;  /* to the first stack that was walked in the kernel; 0: none */
	uint64_t steady_ns; /* to the first window in which nearly all are; 0: none */
	uint64_t window;    /* the present one */
	uint32_t in_window, walked_in_window;
};

#define EBPF_NO_EPOCH UINT64_MAX

/* What the kernel program knows of a process of the model. */
struct ebpf_process {
	struct ebpf_outset outset;
	uint32_t serial; /* the process that this is about */
	uint64_t maps;	 /* the word in its slot */
	uint64_t epoch;	 /* of the process, that the word is right for; EBPF_NO_EPOCH: of none */
	uint64_t attached_ns;  /* attached to: what was mapped in it before is not known */
	bool is_sampled;       /* its mappings are published ... */
	uint64_t pruned_ns;    /* what is mapped no more was let go of ... */
	uint32_t pruned_count; /* ... and so many mappings were left */
	bool was_too_large;    /* to be published */
	uint64_t calm_ns;      /* ... but not before: code was replaced by other code */
	bool is_queued;	       /* to be published again */
};

enum ebpf_array_state {
	EBPF_ARRAY_FREE,
	EBPF_ARRAY_PUBLISHED,
	EBPF_ARRAY_RETIRED, /* replaced; a slot of a fork may still hold it */
};

/* A block of the pool with the mappings of a process; see spaces.c. */
struct ebpf_array {
	uint32_t offset, order; /* 1 << order words */
	uint32_t process;	/* whose mappings these are; its forks may hold them too */
	uint32_t generation;
	enum ebpf_array_state state;
	uint32_t held; /* the number of the look at all slots that finds, or found, it in one */
};

#define EBPF_ORDERS 20

enum ebpf_reclaim {
	EBPF_RECLAIM_IDLE,
	EBPF_RECLAIM_FIRST_WAIT,
	EBPF_RECLAIM_SECOND_WAIT,
	EBPF_RECLAIM_DRAIN,
};

struct ebpf_spaces {
	VEC(struct ebpf_array) arrays;
	struct map by_offset; /* -> arrays */
	VEC(uint32_t) free_arrays[EBPF_ORDERS];
	uint32_t generation; /* the last one given out */
	VEC(uint32_t) queue; /* processes to be published */

	VEC(uint32_t) retired, retired_slots; /* since the batch below was begun */
	VEC(uint32_t) batch, batch_slots;
	enum ebpf_reclaim reclaim;
	uint64_t begun_ns, waited_ns;
	uint32_t looks;
	struct ebpf_waiter *waiter;

	uint64_t published; /* times */
	uint64_t too_many;  /* processes with more mappings than are published */
	uint64_t open_ns;   /* CPU time of opening files */
};

struct ebpf_state {
	struct kern_sampler *sampler;
	struct perf_event_attr event;
	bool is_started;
	bool user_only, is_clock;

	struct side_band side_band;
	struct intake *intake;
	struct ebpf_ring *rings; /* of the sampler */
	uint32_t ring_count;

	VEC(struct ebpf_new_slot) new_slots;
	size_t new_slots_taken;
	VEC(struct ebpf_ending) endings;
	size_t endings_taken;
	struct map slot_of_pid;
	VEC(struct ebpf_process) processes; /* by index in the model: ebpf_process_at() */
	struct ebpf_spaces spaces;
	uint64_t drained_ns; /* up to there */
	uint64_t until_ns;   /* the present round goes up to there */
	uint64_t looked_ns;  /* at which CPUs there are */
	uint32_t cpus_came;  /* in mid-run */
	struct ebpf_asides asides;
	struct debug_stacks debug;
	struct ebpf_toucher *toucher; /* NULL: nothing was absent yet */

	struct ebpf_outset outset; /* of the program with the most samples, as far as ended */
	uint64_t side_band_lost;
	uint64_t early;		      /* samples from before a process's attached_ns: let go of */
	uint64_t gone_until_ns;	      /* until then it is looked for processes whose end was lost */
	uint64_t cut_deferred, stale; /* deferred and not finished; walked with old mappings */
	uint64_t walk_ns;	      /* CPU time of walks here */
};

static inline struct ebpf_state *ebpf_of(const struct capture *c)
{
	return c->backend_state;
}

/* --- drain.c --- */

void ebpf_drain(struct capture *c, bool is_last);

/* Whatever runs is a target, or may be one. */
bool ebpf_takes_all(const struct capture *c);

/* Something is to be published soon: looks more often for a while. */
void ebpf_watch(struct capture *c, uint64_t time_ns);

/* --- sample.c --- */

void ebpf_part(struct capture *c, uint32_t ring, const struct kern_part *part);
void ebpf_sample(struct capture *c, uint32_t ring, const struct kern_sample *sample);

/* What becomes of a sample: with the stack that came with it, or else (not NULL) with a later one.
 */
void ebpf_finish_sample(struct capture *c, uint32_t ring, const struct kern_sample *sample,
			const struct unwind_memory *stack, const struct ebpf_walk *later);

/* The mapping that holds an address; NULL: none. */
const struct unwind_mapping *ebpf_find_mapping(const struct unwind_mapping *mappings,
					       uint32_t count, uint64_t address);

/* It is of no more use: the kernel program may send as much again. */
void ebpf_stack_handled(struct capture *c, struct ebpf_stack *stack);

/* --- slots.c --- */

/* The slot of a process that has just got it: from add_process() or from the kernel program. */
void ebpf_give_slot(struct capture *c, uint32_t pid, uint32_t slot);

/* Where the process has another one's memory, what is told of one is of both from now on. */
void ebpf_join_memory(struct capture *c, uint32_t process);

/* The process of that number has ended or runs another program: nobody uses its slot any more. */
void ebpf_take_slot(struct capture *c, uint32_t pid);

/* The same of all processes that are gone, whose ends may be among the records that were lost. */
void ebpf_take_slots_of_gone(struct capture *c);

/* 0: none. */
uint32_t ebpf_slot_of(const struct capture *c, uint32_t process);

/* Learns of the slots that the kernel program gave out. */
void ebpf_refresh_slots(struct capture *c);

struct ebpf_process *ebpf_process_at(struct capture *c, uint32_t process);

/* --- spaces.c --- */

/* A sample of the process came: its files are opened, and its mappings published from now on. */
void ebpf_want_space(struct capture *c, uint32_t process);

/* Something of its mappings may have changed. */
void ebpf_touch_space(struct capture *c, uint32_t process);

/* A mapping comes that may take the place of another. */
void ebpf_replace_code(struct capture *c, uint32_t process, const struct pev_record *r);

/* Publishes what was touched. */
void ebpf_publish_spaces(struct capture *c);

/* The word is not in the process's slot any more. */
void ebpf_retire_maps(struct capture *c, uint32_t process, uint64_t maps);

/* Nobody gets the slot before every reader is gone. */
void ebpf_retire_slot(struct capture *c, uint32_t slot);

/* Gives back what no reader can hold any more, step by step. */
void ebpf_reclaim(struct capture *c, uint64_t now_ns);

/* The mappings that a word leads to; NULL where they are not there any more. */
const struct kern_maps *ebpf_maps_of(struct capture *c, uint64_t maps);

/* Where nothing is mapped in them, nothing is. */
void ebpf_settle_maps(struct capture *c, uint64_t maps);

void ebpf_spaces_deinit(struct ebpf_spaces *s);

/* --- outset.c --- */

void ebpf_begin_program(struct capture *c, uint32_t process, uint64_t time_ns);
void ebpf_count_outset(struct capture *c, uint32_t process, const struct kern_sample *sample);
void ebpf_write_outset(struct capture *c);

/* --- finish.c --- */

void ebpf_write_facts(struct capture *c);

#endif
