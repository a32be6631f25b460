/* Targets as a user types them: processes by number or by name, and all of a process's threads and
 * descendants. */
#ifndef CPROF_PROCESS_FIND_H
#define CPROF_PROCESS_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/vec.h"

struct proc_ids {
	uint32_t *items;
	size_t count, capacity;
};

/*
 * The processes of a comma-separated list of numbers and names. A name is a whole comm or the base
 * name of the executable; every process of that name is taken, but never cprof itself. A number or
 * name that fits no process is an error. Adds to ids without doubles; what a name was found to be
 * is added to `listed` as one line of words ("python3: 1234, 5678").
 */
struct error *proc_find(const char *list, struct proc_ids *ids, struct buf *listed) MUST_USE;

/* Adds the threads of a process; false where it is gone. */
bool proc_threads(uint32_t pid, struct proc_ids *tids);

/* Whether a process is gone, or has ended and only waits to be asked for its status. */
bool proc_has_ended(uint32_t pid);

/* The same of a thread of a process that has others. */
bool proc_thread_has_ended(uint32_t pid, uint32_t tid);

/* When a process was started, in ticks since the machine was, as the kernel has it; 0: it is gone,
 * or /proc shows another time here (a time namespace). */
uint64_t proc_start_ticks(uint32_t pid);

/* Adds the children of all processes of the list, and theirs, that are not in it yet. */
void proc_descendants(struct proc_ids *pids);

/* The process that a thread belongs to; 0 where it is gone. */
uint32_t proc_of_thread(uint32_t tid);

bool proc_ids_add(struct proc_ids *ids, uint32_t id); /* false: was there already */

#endif
