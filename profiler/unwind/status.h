/*
 * How the walk of a user stack ended. This one list feeds the kernel's counters, the names in files
 * (lower case), the summary and the docs. Names are public and only added to.
 *
 * Classes: WHOLE ended in a row or rule that marks a program's or thread's entry, and nothing else
 * is a complete stack. NONE has no user stack to walk, and is not in the rate's denominator. OPEN
 * waits for a table and becomes another status. CUT is in the denominator and is not complete.
 */
#ifndef CPROF_UNWIND_STATUS_H
#define CPROF_UNWIND_STATUS_H

#define UNWIND_STATUSES(X)                                                                         \
	X(OK_STOP, WHOLE, "reached the program's or thread's entry")                               \
	X(EXEC, NONE, "in execve, between two programs")                                           \
	X(EXITING, NONE, "exiting, its memory is gone")                                            \
	X(KTHREAD, NONE, "a kernel thread")                                                        \
	X(USER_WORKER, NONE, "a kernel worker of the process (io_uring, vhost)")                   \
	X(DEFER, OPEN, "waits for a table that is not compiled yet")                               \
	X(DEFER_CUT, CUT, "its table came later, and its stack was too long to be sent")           \
	X(GUESSED, CUT, "has a frame found by frame pointer in code without unwind entries")       \
	X(REGS_UNSAVED, CUT, "registers were not saved yet at the kernel's entry")                 \
	X(COMPAT32, CUT, "32-bit code")                                                            \
	X(FP_ZERO, CUT, "frame-pointer code ended with a zero frame pointer")                      \
	X(TRUNC_DEPTH, CUT, "deeper than the most frames that are kept")                           \
	X(TIME, CUT, "took longer than a walk may take")                                           \
	X(COPY_SHORT, CUT, "the copy of the stack ended")                                          \
	X(OTHER_STACK, CUT,                                                                        \
	  "goes on on another stack, which is not copied (a signal's, a coroutine's)")             \
	X(MAPS_FULL, CUT, "too many mappings")                                                     \
	X(NOMAP_NOVMA, CUT, "an address where nothing is mapped")                                  \
	X(NOMAP_STALE, CUT, "an address in a mapping that cprof had not seen")                     \
	X(ANON_NO_FP, CUT, "code compiled at run time, without frame pointers")                    \
	X(NO_TABLE, CUT, "a file without unwind tables")                                           \
	X(INVALID_ROW, CUT, "an address that the file's unwind tables do not cover")               \
	X(UNSUP_EXPR, CUT, "an unwind expression that is not supported")                           \
	X(LEAFREG_MIDSTACK, CUT, "a register that is only known in the innermost frame")           \
	X(EFAULT_RA, CUT, "the return address could not be read")                                  \
	X(EFAULT_FP, CUT, "the saved frame pointer could not be read")                             \
	X(EFAULT_DEREF, CUT, "a word on the stack could not be read")                              \
	X(SP_BACKWARDS, CUT, "the stack pointer would move inwards")                               \
	X(RA_ZERO, CUT, "the return address is zero")                                              \
	X(RA_NONEXEC, CUT, "the return address is not in code")                                    \
	X(UPROBE, CUT, "a uretprobe's trampoline")

enum unwind_status {
#define X(name, class, words) UNWIND_##name,
	UNWIND_STATUSES(X)
#undef X
		UNWIND_STATUS_COUNT,
};

enum unwind_class {
	UNWIND_CLASS_WHOLE,
	UNWIND_CLASS_NONE,
	UNWIND_CLASS_OPEN,
	UNWIND_CLASS_CUT,
};

/* "ok_stop" ...; the words for people; the class. */
const char *unwind_status_name(enum unwind_status s);
const char *unwind_status_words(enum unwind_status s);
enum unwind_class unwind_status_class(enum unwind_status s);

#endif
