/* Files as a process sees them: paths below its root folder. */
#ifndef CPROF_SYMBOLIZER_ROOT_FILE_H
#define CPROF_SYMBOLIZER_ROOT_FILE_H

#include "base/error.h"

/*
 * Opens a regular file for reading: `path` (absolute) below `root` ("/proc/PID/root"; "" for our
 * own). Symbolic links below a root other than ours are followed as the process would and never
 * lead out of it. A FIFO or device planted there is refused without blocking.
 */
struct error *root_file_open(const char *root, const char *path, int *ret_fd) MUST_USE;

#endif
