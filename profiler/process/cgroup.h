/*
 * A control group as a user types it. Only groups of the second version (cgroup2) can be recorded:
 * there a process is in one group, and the kernel tells which one at every sample. It is given to
 * the kernel as an open folder, so that it makes no difference how deep below the root of all
 * groups it stands: inside of a cgroup namespace nobody is told that.
 *
 * Machines where systemd manages groups of the first version mostly have a cgroup2 mount beside
 * them (`hybrid`: /sys/fs/cgroup/unified), so the mounts are looked up and never assumed.
 */
#ifndef CPROF_PROCESS_CGROUP_H
#define CPROF_PROCESS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

struct proc_cgroup {
	/* the caller's to free */
	char *folder; /* where it can be opened */
	char *name;   /* "/a/b", as /proc/PID/cgroup prints it behind `0::` */
};

/*
 * Finds the group of a path: below the cgroup2 mount ("app", "/app"), with the mount in front
 * ("/sys/fs/cgroup/app"), or as a line of /proc/PID/cgroup ("0::/app"). The error of a path that is
 * no group of cgroup2 says what it is.
 */
struct error *proc_cgroup_find(const char *path, struct proc_cgroup *ret) MUST_USE;

/* Whether no process is in a group's folder, nor below it. */
bool proc_cgroup_is_empty(const char *folder);

/* NULL where groups can be found at all; else why not, and what to do. */
struct error *proc_cgroup_check(void) MUST_USE;

/* --- for tests --- */

struct proc_cgroup_mount {
	char *point;	  /* where it is mounted */
	char *root;	  /* the group that stands there: "/" mostly */
	char *controller; /* of the first version: its options ("rw,memory"); NULL: cgroup2 */
};

struct proc_cgroup_mounts {
	VEC(struct proc_cgroup_mount) items;
};

/* The cgroup mounts among the lines of /proc/PID/mountinfo. */
void proc_cgroup_mounts_parse(const char *mountinfo, struct proc_cgroup_mounts *ret);
void proc_cgroup_mounts_deinit(struct proc_cgroup_mounts *m);

#endif
