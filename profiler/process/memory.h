/* How much memory there is to use. */
#ifndef CPROF_PROCESS_MEMORY_H
#define CPROF_PROCESS_MEMORY_H

#include <stdint.h>

#include "profiler/process/cgroup.h"

/* Bytes that this process may use yet, by the limits of its control groups and by what the machine
 * has; UINT64_MAX where nothing is known. What lies cached of files counts as free. */
uint64_t proc_memory_left(void);

/* What the control groups leave. own is the text of /proc/self/cgroup; the mounts' points are where
 * their files are read. */
uint64_t proc_memory_left_in_groups(const char *own, const struct proc_cgroup_mounts *mounts);

#endif
