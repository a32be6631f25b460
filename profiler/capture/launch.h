/* Starting the command of a recording: forked first and held before its exec, so that the events
 * are there when its first instruction runs. */
#ifndef CPROF_CAPTURE_LAUNCH_H
#define CPROF_CAPTURE_LAUNCH_H

#include "profiler/capture/capture.h"

struct launch {
	pid_t pid;
	int go;	    /* a byte written here lets it exec; closed without one it ends */
	int failed; /* an errno comes from here if it could not exec */
	int pidfd;  /* -1 on kernels without */
	bool has_ended;
	int status;		     /* of wait() */
	uint64_t user_ns, system_ns; /* of it and what it waited for, once it has ended */
};

/* Forks the child. A command that is not there at all fails before. */
struct error *launch_fork(const struct capture_command *command, struct launch *ret,
			  int *ret_exit_status) MUST_USE;

/* Lets the child go, and waits until the command runs, or could not. */
struct error *launch_go(struct launch *l, const struct capture_command *command,
			int *ret_exit_status) MUST_USE;

/* Whether it has ended; with `block` waits for that. */
bool launch_has_ended(struct launch *l, bool block);

/* Ends a child that was not let go; one that was runs on. Closes everything. */
void launch_deinit(struct launch *l);

#endif
