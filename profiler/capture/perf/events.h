/*
 * The events of a session and the rings they write to. An event that is inherited can only be
 * mapped if it belongs to one CPU, so each target thread has one event for each CPU, and all events
 * of a CPU write to that CPU's ring. The ring belongs to a dummy event on cprof's own thread, which
 * does not end with a target.
 */
#ifndef CPROF_CAPTURE_PERF_EVENTS_H
#define CPROF_CAPTURE_PERF_EVENTS_H

#include "base/error.h"
#include "base/map.h"
#include "base/vec.h"
#include "profiler/perf/event.h"
#include "profiler/perf/record.h"
#include "profiler/perf/ring.h"
#include "profiler/process/find.h"

#define EVENTS_FDS_SPARE 64 /* descriptors for everything else */

struct events_cpu {
	int cpu;
	int owner; /* the dummy event that the ring is mapped from */
	struct pev_ring ring;
};

struct events_fd {
	int fd;
	uint32_t tid;
	uint32_t cpu; /* index in cpus */
};

struct events {
	struct pev_sampling sampling;
	struct pev_format format;
	VEC(struct events_cpu) cpus;
	VEC(struct events_fd) fds;
	VEC(int)
	tellers;	       /* where fds are switched off and on: events that only tell of forks,
				  names and mappings, and are never off */
	struct proc_ids tids;  /* that have events of their own */
	struct map known_tids; /* looked at by attach rounds: tid -> 0 */
	uint32_t ring_bytes, stack_bytes;
	uint32_t long_bytes; /* of a thread's stack, once stack_bytes turned out too few for it */
	bool was_halved;     /* even these are shorter than the kernel could make them */
	bool is_switched;
};

struct events_options {
	uint64_t period, frequency_hz;
	uint32_t stack_bytes, ring_bytes; /* 0: automatic */
	bool user_only;
	bool is_switched; /* events_enable() is called more than once */
};

/* Decides the sizes and opens the rings. */
struct error *events_init(struct events *e, const struct pev_kind *kind,
			  const struct events_options *options) MUST_USE;
void events_deinit(struct events *e);

/* The attributes of events that tell nothing but samples, with the long copies, of one thread.
 * Their records are laid out like all others. */
struct perf_event_attr events_long_copies(const struct events *e);

/* Opens the events of one thread. With on_exec they start at its next exec, else at once. A thread
 * that is gone is no error: *ret_gone. */
struct error *events_open_thread(struct events *e, uint32_t tid, bool on_exec,
				 bool *ret_gone) MUST_USE;

/* What attaching asks of the session. */
struct events_hooks {
	void (*drain)(
		void *context); /* empties the rings, which fill while threads are looked for */
	bool (*is_inherited)(void *context, uint32_t tid); /* started by a thread with events */
	void *context;
};

/* Attaches to all threads of the processes and of their descendants, until no new ones turn up. The
 * descendants are added to pids. */
struct error *events_attach_processes(struct events *e, struct proc_ids *pids,
				      const struct events_hooks *hooks) MUST_USE;

/* Attaches to these threads only. */
struct error *events_attach_threads(struct events *e, const uint32_t *tids, size_t count) MUST_USE;

/* Stops all counting, or goes on; the counts stay readable. */
void events_enable(struct events *e, bool on);

#endif
