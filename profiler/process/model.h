/*
 * The model of what runs: processes, threads, their names, and what is mapped where. It is fed with
 * what happened in the order of time (forks, execs, exits, mappings), from the kernel's records,
 * and corrects itself from /proc where those leave gaps: munmap is never told, records get lost,
 * and what existed before the recording started was never told at all.
 *
 * It is what later backends share: nothing here knows of perf records.
 *
 * Processes and threads are known by index; a number (pid, tid) may come back as another process,
 * and so may an index, once proc_model_shed() has let go of what ended.
 */
#ifndef CPROF_PROCESS_MODEL_H
#define CPROF_PROCESS_MODEL_H

#include "base/map.h"
#include "profiler/process/file.h"
#include "profiler/process/root.h"
#include "profiler/process/space.h"

struct proc_process {
	uint32_t pid;
	uint32_t parent; /* index; UINT32_MAX: unknown */
	uint32_t leader; /* index of the thread whose name is the process's */
	uint32_t live_threads;
	uint32_t threads, children; /* that are still known, ended or not */
	uint32_t serial;	    /* no other process's, of whatever index */
	uint64_t start_ns;
	struct proc_space *space; /* NULL once it has ended */
	uint32_t memory_next; /* index: processes of one memory, in a circle; itself, where it is
				 alone */
	uint32_t epoch;	      /* a number never used before, whenever something is mapped */
	bool was_execed;      /* and no sample has met the new program yet */
	bool is_forgotten;    /* its number is another process's */
	bool is_closed;	      /* /proc tells this user nothing of its mappings */
	uint64_t scan_ns; /* /proc/PID/maps was read at this time: older records say nothing new */

	/* who it is: read from /proc once it matters, else the parent's */
	bool identity_known;
	bool was_recorded_unknown; /* before that */
	uint32_t uid, ns_pid;
	uint32_t root; /* string */

	/* the token bucket of doubts: the next one is answered at this time at the earliest */
	uint64_t next_check_ns, check_every_ns;

	uint32_t id;	     /* in the recording; 0: not there yet */
	uint32_t jit_file;   /* its run-time code in the recording; 0: not there yet */
	struct map recorded; /* its mappings in the recording: start -> file */
};

struct proc_thread {
	uint32_t tid;
	uint32_t process; /* index */
	uint32_t comm;	  /* string of the recording */
	uint64_t comm_ns;
	uint64_t ended_ns;
	bool has_ended;
	bool is_queued;	     /* in proc_model.ended */
	bool was_told;	     /* its start was: what samples its parent samples it too */
	uint32_t id;	     /* in the recording; 0: not there yet */
	uint32_t process_id; /* ... as a thread of that process there */
};

/* What /proc/PID/maps said at a moment that the model has not come to yet. */
struct proc_scan {
	uint32_t process, serial;
	uint64_t time_ns;
	struct proc_maps maps;
};

struct proc_model {
	VEC(struct proc_process) processes;
	VEC(struct proc_thread) threads;
	struct map by_pid, by_tid;   /* the latest ones of a number, forgotten or not */
	VEC(struct proc_scan) scans; /* in the order of time */
	size_t scans_taken;
	struct proc_files files;
	struct recording_writer *writer;
	struct proc_roots roots;
	uint64_t live_threads;
	uint32_t last_epoch, last_serial;

	VEC(uint32_t) ended; /* threads, in the order in which they did, to be let go of */
	size_t ended_taken;
	VEC(uint32_t) free_processes, free_threads; /* indices */
	struct {
		uint64_t rescans;
		uint64_t late;	 /* told after something later was */
		uint64_t closed; /* processes whose mappings may not be read */
	} stats;
	uint64_t latest_ns; /* of what was told */
	uint64_t asked_ns;  /* the last time that proc_model_thread() was called with */
};

void proc_model_init(struct proc_model *m, struct unwind_tables *tables,
		     struct recording_writer *writer);
void proc_model_deinit(struct proc_model *m); /* after the tables are destroyed */

/* --- what happened --- */

void proc_model_fork(struct proc_model *m, uint32_t pid, uint32_t ppid, uint32_t tid, uint32_t ptid,
		     uint64_t time_ns);
void proc_model_exit(struct proc_model *m, uint32_t tid, uint64_t time_ns);

/* The same for a thread by its index, whose number may be another one's by now: its end was lost.
 */
void proc_model_end(struct proc_model *m, uint32_t thread);

/* The process has the same memory as another one (vfork, clone with CLONE_VM), until it executes a
 * program or ends: what one maps, all have. Its mappings are those of the other one now. */
void proc_model_share_memory(struct proc_model *m, uint32_t process, uint32_t with);

/* It has its memory alone from now on. */
void proc_model_leave_memory(struct proc_model *m, uint32_t process);

/* The number is another process's from now on, of which nothing may be told. */
void proc_model_forget(struct proc_model *m, uint32_t pid);

/* The model has come to this time: before a sample is looked at. What happened says so itself. */
void proc_model_catch_up(struct proc_model *m, uint64_t time_ns);

void proc_model_comm(struct proc_model *m, uint32_t pid, uint32_t tid, const char *name,
		     bool is_exec, uint64_t time_ns);
void proc_model_map(struct proc_model *m, uint32_t pid, uint64_t start, uint64_t end,
		    uint64_t offset, const struct proc_file_key *file, uint64_t time_ns);

/* Lets go of threads and processes that ended so long ago that no sample of theirs can be on its
 * way any more. */
void proc_model_shed(struct proc_model *m);

/* --- what is asked --- */

/* The thread of a number: one that nothing was told of is read from /proc. */
uint32_t proc_model_thread(struct proc_model *m, uint32_t pid, uint32_t tid, uint64_t time_ns);
/* The latest thread of a number, ended or not; UINT32_MAX where nothing was told of one. */
uint32_t proc_model_find_thread(const struct proc_model *m, uint32_t tid);
uint32_t proc_model_process(struct proc_model *m, uint32_t pid, uint64_t time_ns);

/* A walk ended where nothing is known, or where something else is: reads /proc/PID/maps again,
 * unless that was done just before. True if anything is different now. */
bool proc_model_doubt(struct proc_model *m, uint32_t process, uint64_t time_ns);

/* That something was unmapped is never told: lets go of what /proc/PID/maps does not show any more.
 * True if there was anything. */
bool proc_model_prune(struct proc_model *m, uint32_t process);

/* Records were lost: reads the maps of all processes that live. */
void proc_model_rescan_all(struct proc_model *m, uint64_t time_ns);

/* What a walk takes. Borrowed until the next call that changes the process. */
void proc_model_space(struct proc_model *m, uint32_t process, struct unwind_space *ret);

/* --- places in the recording: added when first asked for --- */

uint32_t proc_model_thread_id(struct proc_model *m, uint32_t thread);

/* The process's name now, as a string of the recording. */
uint32_t proc_model_comm_of(struct proc_model *m, uint32_t process);

/* The file and the address to record for an ip in mapping `index` of the process (UINT32_MAX:
 * none). */
void proc_model_place(struct proc_model *m, uint32_t process, uint32_t index, uint64_t ip,
		      uint32_t *ret_file, uint64_t *ret_address);

static inline struct proc_process *proc_process_at(struct proc_model *m, uint32_t index)
{
	return &m->processes.items[index];
}

static inline struct proc_thread *proc_thread_at(struct proc_model *m, uint32_t index)
{
	return &m->threads.items[index];
}

#endif
