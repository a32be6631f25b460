/* The two kinds of lines of `perf script` text, taken apart without interpreting them. */
#ifndef CPROF_FLAMEGRAPH_PERF_SCRIPT_LINE_H
#define CPROF_FLAMEGRAPH_PERF_SCRIPT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A piece of the input, borrowed. */
struct piece {
	const char *s;
	size_t n;
};

/* COMM PID[/TID] [CPU] SEC.USEC: [PERIOD] EVENT[:MODS]: [payload or inline leaf frame] */
struct event_line {
	struct piece comm;    /* may be empty, may hold blanks */
	struct piece who;     /* from the comm to the end of PID/TID: what labels depend on */
	int64_t pid, tid;     /* -1: not given; a lone number is the thread */
	int64_t time_ns;      /* -1: not given */
	int64_t period;	      /* 0: not given */
	struct piece event;   /* with its modifiers; empty where there is none */
	struct piece payload; /* what follows the event */
};

/* False where the line is none. */
bool perf_event_line(const char *s, size_t n, struct event_line *ret);

/* TAB ADDRESS SYMBOL[+0xOFFSET] (DSO) */
struct frame_line {
	struct piece address; /* hex digits */
	struct piece symbol;  /* without the offset; empty where there is none */
	struct piece dso;     /* without its parentheses; empty where there is none */
};

bool perf_frame_line(const char *s, size_t n, struct frame_line *ret);

/* Does the line give the source line of the frame before it (`perf script -F +srcline`)? */
bool perf_source_line(const char *s, size_t n);

/* The event's name without modifiers: `cycles` of `cycles:uppp`; `sched:sched_switch` has none. */
struct piece perf_event_base(struct piece event);

#endif
