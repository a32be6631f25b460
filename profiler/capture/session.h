/* The insides of a session, for the files of this room. */
#ifndef CPROF_CAPTURE_SESSION_H
#define CPROF_CAPTURE_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "profiler/capture/capture.h"
#include "profiler/capture/events.h"
#include "profiler/capture/grow.h"
#include "profiler/capture/launch.h"
#include "profiler/capture/ledger.h"
#include "profiler/process/model.h"
#include "profiler/unwind/walk.h"

#define SESSION_KERNEL_FRAMES_MAX 256

/* A sample that waits for what its thread does next. */
struct session_waiting {
	uint32_t thread;
	uint32_t kernel_stack; /* the stack, if it turns out to have been in execve */
	struct recording_sample sample;
};

/* A thread's last user stack, root first, with the recording's id of each prefix: mostly the next
 * one has the same outer frames. It holds as long as nothing is mapped (proc_process.epoch). */
struct session_memo {
	uint32_t thread, epoch, count;
	struct {
		uint64_t ip;
		uint32_t flags, stack;
	} frames[UNWIND_MAX_FRAMES];
};

#define SESSION_MEMOS 16 /* by number of the thread */

/* Scratch of the sample in work, and what only the drain thread touches. */
struct session_walk {
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	uint64_t by_status[UNWIND_STATUS_COUNT];
	VEC(struct session_waiting) waiting;
	struct session_memo memos[SESSION_MEMOS];
	uint32_t kernel_file; /* in the recording; 0: not there yet */
};

/* CPU time by the kernel's own accounting. */
struct session_times {
	uint64_t user_ns, system_ns;
};

struct session_before {
	uint32_t id; /* process; thread, where threads are the targets */
	struct session_times times;
};

struct capture {
	enum capture_target target;
	uint64_t frequency_hz, period;
	uint64_t delay_ns, duration_ns;
	bool wait_all;
	uint16_t event; /* in the recording */

	struct recording_writer *writer;
	struct unwind_tables *tables;
	struct proc_model model;
	struct events events;
	struct grow grow;
	struct ledger ledger;
	struct launch launch;
	struct proc_ids targets; /* processes or threads, as asked for */
	struct session_walk walk;

	VEC(struct session_before) before; /* what was attached to, when that was */

	uint64_t created_ns;
	uint64_t start_ns, stop_ns; /* of sampling; 0: not yet */
	uint64_t attached_ns;	    /* everything is being sampled: a duration counts from here */
	uint64_t last_record_ns;
	uint64_t watch_until_ns; /* threads have begun, and their copies may turn out too short */
	bool rescan_due;	 /* records were lost */
	VEC(uint32_t) ended;	 /* processes whose end was told, to be looked at once more */

	pthread_t drain;
	bool drain_runs;
	int wake; /* eventfd: the drain thread is to look at `stopping` */
	atomic_bool stopping, failed;
	struct error *error; /* the drain thread's, once it has ended */

	_Atomic uint64_t samples, complete, cut, lost, live_threads, live_targets;
};

uint64_t session_now(void); /* CLOCK_MONOTONIC, in ns */

/* Puts the calling thread before busy targets where that is allowed: rings fill while it waits for
 * a CPU. Returns the nice value it had. */
int session_hurry(void);

/* drain.c: the thread that empties the rings; with `all` until they are empty. */
void *drain_thread(void *session);
void drain_round(struct capture *c, uint64_t until_ns);

/* Processes that are said to have ended, and live: the kernel takes its events from a program that
 * gains privileges (setuid). Each becomes a diagnostic. */
void session_check_ended(struct capture *c);

/* sample.c: unwinds a sample and writes it. */
void session_sample(struct capture *c, const struct pev_record *r);

/* Writes the samples of a thread that waited (UINT32_MAX: of all), now that it is known whether it
 * was in execve. */
void session_settle(struct capture *c, uint32_t thread, bool was_exec);

/* usage.c: remembers what processes (or threads, where those are the targets) have used so far. */
void session_mark_times(struct capture *c, const struct proc_ids *ids);

/* What the targets used while they were recorded, as far as the kernel tells: not of processes that
 * ended and that nobody of them waited for. */
void session_times(const struct capture *c, struct session_times *ret);

/* finish.c: what the session learned, as facts and diagnostics. */
void session_write_facts(struct capture *c);

#endif
