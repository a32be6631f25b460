/* A process that does not run because somebody holds it: no profiler sees anything of it, and that
 * has to be told apart from a process that waits. */
#ifndef CPROF_PROCESS_HELD_H
#define CPROF_PROCESS_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* Whether a process is stopped, held by a debugger, or frozen with its control group (v1 or v2);
 * adds what holds it, and what lets it go on. */
bool proc_is_held(uint32_t pid, struct buf *words);

#endif
