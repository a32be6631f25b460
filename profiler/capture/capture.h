/*
 * A recording session: starts a command or attaches to what runs, drains the kernel's rings while
 * the program runs (a thread of its own unwinds every sample, so that no copy of a stack reaches
 * the disk), follows forks, execs and mappings, and keeps the ledger of what was expected and what
 * came.
 *
 *	capture_start()       the targets are being sampled when it returns
 *	capture_wait() ...    until it says CAPTURE_OVER, or the caller has enough
 *	capture_switch()      sampling off and on meanwhile, as often as you like
 *	capture_stop()        no more samples
 *	capture_finish()      the rest is drained; ledger, facts and diagnostics are written
 *	capture_take_writer() names are added to it, and it is closed
 *	capture_destroy()
 *
 * The writer belongs to the session's thread from capture_start() to capture_finish().
 */
#ifndef CPROF_CAPTURE_H
#define CPROF_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "profiler/recording/recording.h"
#include "symbolizer/elf/image.h"

struct capture; /* a session */

#define CAPTURE_DELAY_ENDLESS UINT64_MAX

enum capture_target {
	CAPTURE_COMMAND,   /* argv, and everything it forks */
	CAPTURE_PROCESSES, /* ids are processes; their threads, descendants and later forks too */
	CAPTURE_THREADS,   /* ids are threads; only these, and what they start */
	CAPTURE_ALL,	   /* the whole machine */
	CAPTURE_CGROUP,	   /* everything in a cgroup (v2), and in those below it */
};

struct capture_command {
	char *const *argv;	  /* ended by NULL; looked up in PATH */
	char *const *environment; /* ended by NULL; NULL: ours */
	int stdout_fd;		  /* becomes the command's stdout; -1: ours */
	uint64_t open_files;	  /* its soft limit: ours may have been raised; 0: ours */
	int64_t uid, gid;	  /* to run as; -1: as we are */
	const gid_t *groups;	  /* supplementary ones, set where uid is */
	size_t group_count;
};

struct capture_options {
	const char *path;      /* of the recording: created, an older one is replaced */
	uint64_t frequency_hz; /* of clocks; lowered to the kernel's limit with a diagnostic */
	const char *event;     /* NULL: "cpu-clock"; see profiler/perf/event.h */
	uint64_t
		period; /* events between two samples, of events that are no clocks; 0: automatic */

	enum capture_target target;
	struct capture_command command;
	const uint32_t *ids;
	size_t id_count;
	const char *target_name; /* for people, where no command is recorded; NULL: none */
	const char *cgroup;	 /* of CAPTURE_CGROUP: its folder */

	uint64_t delay_ns; /* sampling starts this long after the command, or after capture_start();
			    * CAPTURE_DELAY_ENDLESS: when capture_switch() says so */
	bool is_switched;  /* capture_switch() will be called */
	uint64_t duration_ns; /* and is over after this long; 0: with the target's end */
	bool wait_all;	/* the end is that of all descendants, not only of the command's process */
	bool user_only; /* no kernel frames, even if they were allowed */
	uint32_t stack_bytes; /* of each sample; 0: automatic */
	uint32_t ring_bytes;  /* of each CPU, a power of two; 0: automatic */

	const char *backend;	  /* "ebpf", "perf"; NULL: the best that runs here */
	const char *debug_stacks; /* a file for registers and stacks of all samples; NULL: none */
};

/*
 * Starts a session. The caller blocks the signals it wants to read from a signalfd before (the
 * command starts with none blocked). An error says what to do; the command has not run then, and
 * *ret_exit_status is what to exit with: 127 no such command, 126 not executable, else 1.
 */
struct error *capture_start(const struct capture_options *options, struct capture **ret,
			    int *ret_exit_status) MUST_USE;

enum capture_state {
	CAPTURE_RUNNING,  /* timeout_ms are over */
	CAPTURE_READABLE, /* fd is readable */
	CAPTURE_OVER,	  /* the targets ended, the duration is over, or the session failed */
};

/* Waits for one of these. fd is the caller's (a signalfd), -1: none; timeout_ms -1: for ever. */
enum capture_state capture_wait(struct capture *c, int fd, int timeout_ms);

/* Counters for the progress line; may be asked at any time. */
struct capture_counters {
	uint64_t elapsed_ns; /* of sampling */
	uint64_t samples;
	uint64_t complete, cut; /* user stacks: whole, and not whole */
	uint64_t lost;		/* records for which the rings had no room */
	uint64_t cprof_cpu_ns;
};
void capture_counters(const struct capture *c, struct capture_counters *ret);

/* Sampling is off, or on, when it returns; on begins what waits for its delay, which may fail: the
 * session is over then. Off, nothing is expected of the samples, and time does not count, but for
 * duration_ns. */
void capture_switch(struct capture *c, bool on);

/* Whether nothing is sampled at the moment because of it. */
bool capture_is_off(const struct capture *c);

/* Stops sampling. The targets run on. */
void capture_stop(struct capture *c);

/* Drains what is left, writes the ledger, facts and diagnostics; the session's thread has ended
 * when it returns. The error is of writing the recording, or of the kernel's interface: what was
 * recorded before stays. Called once; stops first where that was not done. */
struct error *capture_finish(struct capture *c) MUST_USE;

/* The open writer; the caller closes it. NULL the second time. */
struct recording_writer *capture_take_writer(struct capture *c);

/* The command's process: 0 where none was launched. */
pid_t capture_command_pid(const struct capture *c);

/* Whether the command's process has ended, and how: wait()'s status. With `block` waits for it. */
bool capture_command_status(struct capture *c, bool block, int *ret_status);

/* The image of a file of the recording, as it was when it was mapped: it may be gone from its
 * folder since. Borrowed until capture_destroy(); NULL where it could not be opened. After
 * capture_finish(). */
const struct image *capture_image(const struct capture *c, uint32_t file);

/* A path below which the files of a root folder of the recording are, also where its processes have
 * ended; the name itself where nothing better is known. Borrowed. */
const char *capture_root(const struct capture *c, const char *name);

/* Frees a session, stopped or not; closes a writer that was not taken. Takes NULL. */
void capture_destroy(struct capture *c);

#endif
