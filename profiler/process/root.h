/*
 * Root folders of processes: what is /lib/libc.so there may be another file, or none, here. A root
 * in a mount namespace of its own (a container) is gone with its last process, and files below it
 * may still be asked for when names are looked up: each is kept open from when it was first seen.
 */
#ifndef CPROF_PROCESS_ROOT_H
#define CPROF_PROCESS_ROOT_H

#include <stdint.h>

#include "base/vec.h"

struct proc_root {
	char *name;
	uint64_t mount_namespace, device, inode;
	int namespace_fd, fd; /* -1: not kept */
	char path[32];	      /* that leads to fd */
};

struct proc_roots {
	uint64_t mount_namespace, device, inode; /* ours */
	VEC(struct proc_root) items;
};

void proc_roots_init(struct proc_roots *r);
void proc_roots_deinit(struct proc_roots *r);

/* The name of a process's root, borrowed: a folder of ours, or /proc/PID/root with the number of
 * the first process that had it. NULL: it is ours, or not known. */
const char *proc_root_of(struct proc_roots *r, uint32_t pid);

/* A path below which the files of a root of that name are now; the name itself where there is none
 * that is better. */
const char *proc_root_path(const struct proc_roots *r, const char *name);

#endif
