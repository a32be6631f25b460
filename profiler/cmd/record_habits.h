/* What users of perf type out of habit: understood, or answered with what does it here. */
#ifndef CPROF_CMD_RECORD_HABITS_H
#define CPROF_CMD_RECORD_HABITS_H

#include "base/options.h"

extern const struct option_foreign record_habits[];

/* -g and --call-graph MODE: stacks are always taken. Says so once. */
struct error *record_accept_call_graph(void *target, const char *value) MUST_USE;

#endif
