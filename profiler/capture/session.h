/* The insides of a session, for the files of this room. */
#ifndef CPROF_CAPTURE_SESSION_H
#define CPROF_CAPTURE_SESSION_H

#include <pthread.h>
#include <stdatomic.h>

#include "profiler/capture/backend.h"
#include "profiler/capture/capture.h"
#include "profiler/capture/launch.h"
#include "profiler/capture/machine.h"
#include "profiler/perf/record.h"
#include "profiler/process/find.h"
#include "profiler/process/model.h"
#include "profiler/process/namespace.h"
#include "profiler/unwind/walk.h"

/* Of a frame in session_walk.frames whose walk did not tell its mapping: it is looked up. */
#define SESSION_MAPPING_OPEN (UINT32_MAX - 1)

/* A sample in work. */
struct session_sample {
	uint64_t time_ns, weight;
	uint32_t pid, tid, cpu;
	bool in_kernel;
	const uint64_t *kernel; /* addresses of the kernel's frames, innermost first */
	uint32_t kernel_count;
	uint32_t thread, process; /* in the model: of session_begin_sample() */
};

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

/* Where a frame's address is in the recording; it holds as long as nothing is mapped. */
struct session_place {
	uint64_t ip;
	uint32_t process, epoch, flags;
	uint32_t location; /* 0: unused */
};

#define SESSION_PLACES_SHIFT 12

/* Scratch of the sample in work, and what only the drain thread touches. */
struct session_walk {
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	uint64_t by_status[UNWIND_STATUS_COUNT];
	VEC(struct session_waiting) waiting;
	struct session_memo memos[SESSION_MEMOS];
	struct session_place places[1 << SESSION_PLACES_SHIFT];
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
	int cgroup; /* its folder, where one is recorded; else -1 */
	bool is_switched, is_off;      /* by capture_switch() */
	uint64_t off_since_ns, off_ns; /* of sampling; 0: it is on; until it was on again */
	uint16_t event;		       /* in the recording */

	struct recording_writer *writer;
	struct unwind_tables *tables;
	struct proc_model model;
	const struct capture_backend *backend;
	void *backend_state;
	char *backend_reason; /* why it is not the one that would be better; NULL: it is */
	VEC(int) wake_fds;    /* readable when the backend's rings should be drained */
	struct launch launch;
	struct proc_ids targets; /* processes or threads, as asked for */
	struct session_walk walk;

	VEC(struct session_before) before; /* what was attached to, when that was */

	struct session_machine machine; /* when sampling began */

	uint64_t created_ns;
	uint64_t start_ns, stop_ns; /* of sampling; 0: not yet */
	uint64_t attached_ns;	    /* everything is being sampled: a duration counts from here */
	uint64_t last_record_ns;
	int poll_ms, watch_poll_ms; /* the drain looks this often at the least; while it watches */
	uint64_t lag_ns;	    /* see session_lag_ns() */
	uint64_t watch_until_ns;    /* until then the drain looks more often */
	uint64_t lost_records;	    /* that told of processes and mappings */
	bool rescan_due;	    /* for that */

	pthread_t drain;
	bool drain_runs;
	int wake; /* eventfd: the drain thread is to look at `stopping` */
	atomic_bool stopping, failed;
	struct error *error; /* the drain thread's, once it has ended */

	_Atomic uint64_t samples, complete, cut, lost, live_threads, live_targets;
};

/* As the kernel's records have it, in ns. */
static inline uint64_t session_now(void)
{
	return proc_now();
}

/* How long was sampled, and was not between two such times. */
uint64_t session_elapsed_ns(const struct capture *c);
uint64_t session_off_ns(const struct capture *c);

/* Puts the calling thread before busy targets where that is allowed: rings fill while it waits for
 * a CPU. Returns the nice value it had. */
int session_hurry(void);

/* drain.c: the thread that takes what is in the rings. */
void *drain_thread(void *session);

/* A round; the last one takes everything. */
void session_drain(struct capture *c, bool is_last);

/* How far behind the present a round ends. */
uint64_t session_lag_ns(const struct capture *c);

/* The file of a mapping that the kernel told of; the mapping itself. */
struct proc_file_key session_file_of(const struct pev_record *r);
void session_map(struct capture *c, const struct pev_record *r);

/* --- sample.c, for the backends --- */

/* Whose sample it is; settles what waited for it. */
void session_begin_sample(struct capture *c, struct session_sample *s);

/* Walks a stack from its registers and a copy that starts at the stack pointer (and is_cut: that
 * ended before the stack did). The frames are in c->walk.frames. */
void session_walk(struct capture *c, const struct session_sample *s, const struct unwind_regs *regs,
		  const struct unwind_memory *stack, bool is_cut, struct unwind_result *result);

/* Whether a walk's end may be for the lack of a mapping that nobody told of. */
bool session_wants_a_look(enum unwind_status status);

/* Writes a sample with so many frames of c->walk.frames. */
void session_write_sample(struct capture *c, const struct session_sample *s, uint32_t count,
			  enum unwind_status status);

/* The same, once it is known whether the thread was in execve: then it has no user frames. */
void session_hold_sample(struct capture *c, const struct session_sample *s, uint32_t count,
			 enum unwind_status status);

/* Writes the samples of a thread that waited (UINT32_MAX: of all), now that it is known whether it
 * was in execve. */
void session_settle(struct capture *c, uint32_t thread, bool was_exec);

/* --- usage.c --- */

/* Remembers what processes (or threads, where those are the targets) have used so far. */
void session_mark_times(struct capture *c, const struct proc_ids *ids);

/* What the targets used while they were recorded, as far as the kernel tells: not of processes that
 * ended and that nobody of them waited for. */
void session_times(const struct capture *c, struct session_times *ret);

/* --- finish.c: what the session learned, as facts and diagnostics --- */

void session_fact(struct capture *c, const char *key, uint64_t value);
void session_write_facts(struct capture *c);

#endif
