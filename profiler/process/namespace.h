/* What of the machine cprof itself is shut into: namespaces in which processes have other numbers
 * than in the kernel, and clocks another time. */
#ifndef CPROF_PROCESS_NAMESPACE_H
#define CPROF_PROCESS_NAMESPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Whether processes have other numbers here than the kernel's own. */
bool proc_in_pid_namespace(void);

/* NULL where /proc shows the processes of cprof's pid namespace by their numbers in it; else the
 * error says what is there instead, and what to do. */
struct error *proc_check_mount(void) MUST_USE;

/* The same for a text of /proc/self/status, and cprof's number for itself. Pure. */
struct error *proc_check_status(const char *status, uint32_t own_pid) MUST_USE;

/* CLOCK_MONOTONIC as the kernel's records have it, in ns. In a time namespace cprof's own is ahead
 * of it, or behind: set_clock() finds out how far, and comes first. */
uint64_t proc_now(void);
struct error *proc_set_clock(void) MUST_USE;

/* How far that is, from a text of /proc/self/timens_offsets; false where it does not say. Pure. */
bool proc_clock_offset_parse(const char *text, int64_t *ret_ns);

#endif
