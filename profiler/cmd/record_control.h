/*
 * `cprof record --control`: sampling is switched by lines that come through a FIFO or a descriptor,
 * as of perf record. Each line is a command, and is answered when it is done:
 *
 *	enable		sampling is on: "ack"
 *	disable		off: "ack"
 *	stop		the recording ends, the program runs on: "ack"
 *	ping		"ack"
 *	anything else	"error: ..."
 *
 * Writers may come and go: the last one's end ends nothing. Answers are never waited for.
 */
#ifndef CPROF_CMD_RECORD_CONTROL_H
#define CPROF_CMD_RECORD_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "profiler/capture/capture.h"

struct control {
	int commands, answers; /* descriptors; -1: none */
	char line[64];	       /* what came of one so far */
	size_t len;	       /* of the whole line: of a longer one, the end is left out */
};

/* `fifo:COMMANDS[,ANSWERS]` or `fd:COMMANDS[,ANSWERS]`, for a start: neither is for the program. */
struct error *control_open(struct control *c, const char *spec) MUST_USE;

/* Does what has come. Returns true when the recording is to end. Nothing more will come once
 * c->commands is -1. */
bool control_read(struct control *c, struct capture *capture);

void control_close(struct control *c);

#endif
