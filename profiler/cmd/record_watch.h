/*
 * While the program runs: signals and the progress line of `cprof record`.
 *
 * The command shares our terminal and process group, so what the terminal sends (ctrl-C, ctrl-\)
 * reaches it by itself. What is sent to cprof alone is passed on to the command. Without a command,
 * or once it has ended, a signal ends the recording. The command is never killed.
 */
#ifndef CPROF_CMD_RECORD_WATCH_H
#define CPROF_CMD_RECORD_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "profiler/capture/capture.h"
#include "profiler/capture/launch.h"
#include "profiler/cmd/record_control.h"

struct watch {
	int signals; /* a signalfd */
	int wake;    /* an epoll set: signals, and what control listens to */
	struct control control;
	bool show_progress;
	bool impatient;	      /* asked to end twice: the command is not waited for */
	uint64_t asked_at_ns; /* the first time; 0: not yet */
};

#define WATCH_INIT                                                                                 \
	{                                                                                          \
		.signals = -1, .wake = -1, .control = {.commands = -1, .answers = -1 }             \
	}

/* Takes over the signals that matter, before the command is started: it gets its own mask back from
 * the capture. `control` is what --control says; NULL: nothing. */
struct error *watch_init(struct watch *w, const char *control, bool quiet) MUST_USE;

/* Runs until the capture is over or the user has had enough; `timer` is the process of the habit
 * `-p PID -- sleep 10` whose end ends the recording, one that was never started where there is
 * none. */
void watch_run(struct watch *w, struct capture *c, struct launch *timer);

/* From here on ctrl-C sets the returned flag, and a second one ends cprof. */
const volatile sig_atomic_t *watch_until_named(struct watch *w);

/* Waits for the command where it runs on after the recording, and passes signals on as before. */
void watch_until_ended(struct watch *w, struct capture *c);

void watch_deinit(struct watch *w);

#endif
