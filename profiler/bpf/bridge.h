/* The parts of a sampler (sampler.h), for the files of this room alone. */
#ifndef CPROF_BPF_BRIDGE_H
#define CPROF_BPF_BRIDGE_H

#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <pthread.h>

#include "base/vec.h"
#include "profiler/bpf/ring.h"
#include "profiler/bpf/sampler.h"

/* A map whose memory is shared with the kernel program. */
struct kern_shared {
	void *at; /* NULL: not mapped */
	size_t bytes;
};

/* A CPU with its ring. Those that were online at the start come first. */
struct kern_cpu {
	int cpu;
	int event; /* descriptor; -1: none */
	int map;   /* of the ring; -1: it wakes nobody */
	bool went_offline;
	uint64_t idle_ns, idle_since_ns; /* while sampled until now; of all time, when that began */
	uint64_t enabled_seen_ns;	 /* of the event, at the last look; 0: there was none */
	struct kern_reader ring;
	uint64_t count, enabled_ns, running_ns; /* of events that were closed */
};

struct kern_sampler {
	struct sampler_bpf *programs; /* the skeleton; NULL: not loaded */
	struct bpf_object *object;    /* its own */
	int sample;		      /* the program that the events run */
	struct bpf_link *links[8];    /* of the tracing programs */
	uint32_t link_count;
	int pool, rings, processes, threads; /* maps */

	struct kern_shared slots_memory, owners_memory, free_memory, state_memory, counters_memory,
		rules_memory;
	struct kern_slot *slots;
	struct kern_owner *owners;
	uint64_t *free_slots; /* values of an array stand at multiples of 8 bytes */
	struct kern_state *state;
	struct kern_counters *counters;

	bool in_pid_namespace; /* numbers are not the kernel's: pids.bpf.h */
	uint32_t possible;     /* CPUs that may ever come */
	uint32_t ring_bytes;
	int wake; /* an epoll set of all rings */
	VEC(struct kern_cpu) cpus;
	bool started;		     /* and not stopped */
	pthread_mutex_t events_lock; /* of `started`, and of the events in cpus */
	struct perf_event_attr attr;

	int first_chunk; /* its map; put into the pool again where membarrier() is refused */
	uint32_t *chunks[UNWIND_MAX_CHUNKS];
	uint32_t chunk_count; /* made: one is there before it is asked for */

	uint32_t slots_seen; /* position in free_slots: taken before it, and reported */
	uint8_t taken_here[KERN_SLOTS / 8]; /* positions that user space took itself */

	struct kern_facts facts;
};

/* --- object.c --- */

/* Sizes that depend on the machine and on what is sampled. */
struct error *kern_object_size(struct bpf_object *object, uint32_t cpus, enum kern_target target,
			       bool in_pid_namespace) MUST_USE;

/* Sends libbpf's words to the debug log, for ever. */
void kern_object_take_words(void);
/* The last of the verifier's words that tells something; "" since kern_object_forget_words(). */
const char *kern_object_words(void);
void kern_object_forget_words(void);

/* Locked memory of a map; 0 where the kernel does not tell. */
uint64_t kern_map_bytes(int map);

/* --- inner.c --- */

/* A map to be put into a map of maps. */
struct kern_inner {
	int outer, map;
	uint32_t index;
	int errnum; /* the result */
};

/* Puts them in, all at once: after each the kernel waits for the programs that run. */
void kern_inner_put(struct kern_inner *inner, uint32_t n);

/* --- rings.c --- */

/* The CPUs of a list such as "0-3,5", in order; returns how many, at most max. */
uint32_t kern_cpu_list(const char *list, int *cpus, uint32_t max);
uint32_t kern_cpus_online(int cpus[KERN_MAX_CPUS]);
/* Number of CPUs that there may ever be: the highest id and one. */
uint32_t kern_cpus_possible(void);

/* Bytes of a ring. */
uint32_t kern_ring_bytes(uint32_t cpus);

/* Bytes that loading takes, with the maps of all CPUs that there may ever be. */
uint64_t kern_memory_needed(uint32_t ring_bytes, uint32_t cpus);

/* Makes a ring for a CPU, behind those that there are, and tells where it has to be put. */
struct error *kern_ring_add(struct kern_sampler *s, int cpu, struct kern_inner *ret) MUST_USE;
void kern_rings_close(struct kern_sampler *s);

/* --- events.c --- */

void kern_events_close(struct kern_sampler *s);

/* --- slots.c --- */

void kern_slots_init(struct kern_sampler *s);

/* As the kernel program does it, and maybe at the same time. 0: there is none. */
uint32_t kern_slot_take(struct kern_sampler *s);

/* --- tables.c --- */

/* Makes the pool's next chunk, and tells where it has to be put. Returns 0, or the errno. */
int kern_chunk_make(struct kern_sampler *s, struct kern_inner *ret) MUST_USE;
void kern_chunks_close(struct kern_sampler *s);

#endif
