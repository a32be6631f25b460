/* Reading whole files. Only regular files are opened (a FIFO or device planted by somebody else
 * would block), unless the caller asks for a stream. */
#ifndef CPROF_BASE_FILE_H
#define CPROF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Opens a regular file for reading; *ret_fd is the caller's to close. */
struct error *file_open_regular(const char *path, int *ret_fd) MUST_USE;

/* The bytes of a file, mapped or read. */
struct file_bytes {
	const uint8_t *data; /* NULL when empty */
	size_t size;
	bool mapped;
};

/* Maps a regular file read-only. A file that another process cuts short while it is mapped raises
 * SIGBUS on access. */
struct error *file_map(const char *path, struct file_bytes *ret) MUST_USE;
struct error *file_map_fd(int fd, const char *name, struct file_bytes *ret) MUST_USE;

/* Reads everything: a regular file is mapped, a pipe or `-` (stdin) read to its end, up to max
 * bytes (0: no limit). */
struct error *file_read_input(const char *path, uint64_t max, struct file_bytes *ret) MUST_USE;

/* Reads a small file of /proc or /sys, whose size stat does not know, as a NUL-terminated string
 * that the caller frees. Reads at most max bytes. */
struct error *file_read_proc(const char *path, size_t max, char **ret_text,
			     size_t *ret_len) MUST_USE;

void file_bytes_deinit(struct file_bytes *b);

/* For CLEANUP(): closes *fd if it is not negative. */
void fd_cleanup(int *fd);

/* Room for `need` descriptors: the soft limit is raised to the hard one where that takes it. False
 * where that is not enough, with the hard limit. */
bool fd_make_room(size_t need, uint64_t *ret_most);

/* write() until everything is written; errno is the cause where it returns false. */
bool fd_write_all(int fd, const void *bytes, size_t n);

#endif
