/*
 * The kernel side, as user space sees it: loads the sampling program, shares memory with it, opens
 * the event of each CPU, and hands out the records of its rings. Knows nothing of what the records
 * mean for a recording; profiler/capture/ does.
 *
 *	kern_sampler_load()	programs are in the kernel, maps are there, nothing is sampled
 *	kern_sampler_add_*()	who is to be sampled
 *	kern_sampler_start()	the events count
 *	kern_ring_*()		records, a CPU at a time
 *	kern_sampler_stop()	the counts stay readable; kern_sampler_resume()
 *	kern_sampler_destroy()
 *
 * No call here but load(), add_*() and follow_cpus() updates a map of the samples by bpf(): that
 * hides samples of its CPU for a moment (the kernel skips a program while bpf_prog_active is
 * taken).
 *
 * The calls for one sampler come from one thread at a time, but for add_chunk(), publish(), maps(),
 * wait_for_readers(), stop() and resume(), which may run beside the others; and those for records
 * and waking, which may come from another thread, though not while follow_cpus() runs.
 */
#ifndef CPROF_BPF_SAMPLER_H
#define CPROF_BPF_SAMPLER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "profiler/bpf/shared.h"

struct perf_event_attr;
struct kern_sampler;

struct kern_options {
	enum kern_target target;
	const char *cgroup;  /* of CGROUP: the folder of the group, of a cgroup2 file system */
	bool user_only;	     /* no kernel frames */
	bool may_freeze;     /* also on kernels that this may freeze (freeze.h) */
	bool debug_stacks;   /* every sample carries its registers and stack, beside what the kernel
				made of them */
	bool count_only;     /* runs a program that counts its entries as filtered, and no more: the
				ledger's judge */
	uint32_t ring_bytes; /* of each CPU, a power of two; 0: by the number of CPUs */
	uint64_t in_flight_max; /* bytes of deferred stacks; 0: 64 MiB */
};

/*
 * Loads. An error says in words why this machine or user may not (permissions, no BTF, lockdown, an
 * old kernel, memory): the caller falls back to the perf backend with its text.
 */
struct error *kern_sampler_load(const struct kern_options *options,
				struct kern_sampler **ret) MUST_USE;
void kern_sampler_destroy(struct kern_sampler *s); /* takes NULL */

/* Opens the event on each CPU that is online, and lets it run the program. attr has type, config
 * and sample_period; the rest is set here. Counts from now on. */
struct error *kern_sampler_start(struct kern_sampler *s,
				 const struct perf_event_attr *attr) MUST_USE;
void kern_sampler_stop(struct kern_sampler *s);
void kern_sampler_resume(struct kern_sampler *s); /* after stop() */

/* Looks for CPUs that went offline, whose events are closed, and for those that came (back): they
 * get events, and a ring behind the others if they have none; then came(context, cpu) is called.
 * Now and then while it runs. */
void kern_sampler_follow_cpus(struct kern_sampler *s, void (*came)(void *context, int cpu),
			      void *context);

/* --- who is sampled --- */

/* A process that exists, and was started at start_ticks (proc_start_ticks(); 0: unknown). It gets
 * an empty slot: its samples are deferred until there are mappings. With `armed` false its samples
 * are filtered until it execs. *ret_slot is 0 where slots ran out, and where the process ended
 * meanwhile. */
struct error *kern_sampler_add_process(struct kern_sampler *s, uint32_t tgid, uint64_t start_ticks,
				       bool armed, uint32_t *ret_slot) MUST_USE;
struct error *kern_sampler_add_thread(struct kern_sampler *s, uint32_t tid) MUST_USE;

/* The slots that the kernel program gave to forks and execs since the last call: each(context,
 * slot, owner), in the order in which they were given out. */
void kern_sampler_new_slots(struct kern_sampler *s,
			    void (*each)(void *context, uint32_t slot,
					 const struct kern_owner *owner),
			    void *context);

/* The process whose memory the slot's process has, too; 0: its own alone. */
uint32_t kern_sampler_memory_of(const struct kern_sampler *s, uint32_t slot);

/* Publishes the mappings of a slot: one store. */
void kern_sampler_publish(struct kern_sampler *s, uint32_t slot, uint64_t maps);
uint64_t kern_sampler_maps(const struct kern_sampler *s, uint32_t slot);

/* A slot nobody uses any more may be given out again. */
void kern_sampler_free_slot(struct kern_sampler *s, uint32_t slot);

/* --- memory of the tables --- */

/* Chunk `index` of the pool: (1 << UNWIND_CHUNK_SHIFT) words, zeroed, readable by the kernel
 * program. NULL where there is no memory for it. Asked for in order. Suits struct
 * unwind_memory_source. */
uint32_t *kern_sampler_add_chunk(void *sampler, uint32_t index);
uint64_t *kern_sampler_rules(struct kern_sampler *s); /* UNWIND_MAX_RULES of them */

/* Waits until no run of the kernel program can hold what was readable before the call. False: the
 * kernel refuses to wait. */
bool kern_sampler_wait_for_readers(struct kern_sampler *s);

/* --- records --- */

uint32_t kern_sampler_ring_count(const struct kern_sampler *s); /* CPUs */
int kern_sampler_ring_cpu(const struct kern_sampler *s, uint32_t ring);

/* The oldest record of a ring, where it lies (no more than 8 bytes aligned); NULL: none. */
const struct kern_record *kern_ring_peek(struct kern_sampler *s, uint32_t ring, size_t *ret_size);
/* Gives it up. */
void kern_ring_pop(struct kern_sampler *s, uint32_t ring);

/* Records of all rings that could not be what they claimed to be. */
uint64_t kern_rings_damaged(const struct kern_sampler *s);

/* Readable when a ring is filling up faster than usual; until it is cleared. */
int kern_sampler_wake_fd(const struct kern_sampler *s);
void kern_sampler_clear_wake(struct kern_sampler *s);

/* It is readable, once, with the next deferred sample, too: mappings or a table are wanted. Returns
 * whether one came since the call before. */
bool kern_sampler_listen(struct kern_sampler *s);

/* Bytes of stacks that were handled: the kernel program may send as many more. */
void kern_sampler_handled(struct kern_sampler *s, uint64_t bytes);

/* --- the ledger --- */

struct kern_cpu_counts {
	int cpu;
	uint64_t count; /* of the event, in its unit: nanoseconds for clocks */
	uint64_t enabled_ns, running_ns;
	uint64_t idle_ns;  /* that it had nothing to run, in ticks of 10 ms. An idle CPU's timer may
			      fire without running the program (virtual machines do it): that time
			      is counted, and in no counter */
	bool went_offline; /* meanwhile: what it counted may not be known */
	struct kern_counters counters;
};

/* The counts of one CPU's event and program, now. */
void kern_sampler_counts(struct kern_sampler *s, uint32_t ring, struct kern_cpu_counts *ret);

/* Facts for reports. */
struct kern_facts {
	uint32_t verified_instructions; /* of all programs; 0 where the kernel does not tell */
	uint64_t load_cpu_ns;
	uint64_t map_bytes; /* locked memory of all maps, chunks of the pool included */
	uint64_t run_ns,
		run_count; /* of the sampling program, where kernel.bpf_stats_enabled; else 0 */
};
void kern_sampler_facts(struct kern_sampler *s, struct kern_facts *ret);

/* NULL where the eBPF backend would run here; else an error that says why not, and what to do.
 * Loads tiny programs, no more. For doctor. */
struct error *kern_probe(void) MUST_USE;

#endif
