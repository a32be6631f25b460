/* What ticks.bpf.c counts. */
#ifndef CPROF_BENCH_TICKS_H
#define CPROF_BENCH_TICKS_H

enum ticks_kind {
	TICKS_ALL,
	TICKS_IN_EXECVE, /* from its beginning on: the old program is still there at first */
	TICKS_BETWEEN,	 /* the memory is not the program's any more, or not yet */
	TICKS_NO_MEMORY, /* it is exiting */
	TICKS_KINDS,
};

/* What a process is. */
enum ticks_role {
	TICKS_ROOT,	/* the program that counts */
	TICKS_RECORDER, /* what it runs */
	TICKS_WAITING,	/* what that starts, before it executes a program */
	TICKS_COUNTED,
};

#endif
