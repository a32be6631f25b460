/*
 * `cprof record --open`: the picture is shown when it is there, by what the desktop opens files
 * with. Whatever stands in the way is said, and fails nothing.
 */
#ifndef CPROF_CMD_SHOW_PICTURE_H
#define CPROF_CMD_SHOW_PICTURE_H

#include "profiler/cmd/sudo_user.h"

/* Opens a file in $BROWSER, else with xdg-open or its like, and does not wait for it. It runs as
 * `user`, who called sudo; NULL: as we do. What was done or could not be is said on stderr; the
 * first only unless `quiet`. */
void show_picture(const char *path, const struct sudo_user *user, bool quiet);

#endif
