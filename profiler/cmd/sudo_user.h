/*
 * Who typed `sudo cprof record ./app`: the program runs as that user, and the files belong to that
 * user.
 */
#ifndef CPROF_CMD_SUDO_USER_H
#define CPROF_CMD_SUDO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct sudo_user {
	uid_t uid;
	gid_t gid;
	gid_t *groups;
	size_t group_count;
	char *name;
	char **environment; /* ours, with HOME, USER, LOGNAME and SHELL of the user; ended by NULL
			     */
};

/* Where we are root on behalf of another user (SUDO_UID, SUDO_GID), fills *ret and sets *ret_found.
 * An unknown or malformed number is an error rather than a run as root. */
struct error *sudo_user_find(struct sudo_user *ret, bool *ret_found) MUST_USE;
void sudo_user_deinit(struct sudo_user *u);

#endif
