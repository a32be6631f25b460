/*
 * Where output goes: a file that appears whole or not at all (written under a temporary name beside
 * the final one and renamed when it is closed), stdout, or memory. Optionally gzipped on the way.
 * Writers ignore errors while they write; the first one is kept and sink_close() returns it.
 */
#ifndef CPROF_BASE_SINK_H
#define CPROF_BASE_SINK_H

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"

struct sink;

/* A new file at path; "-" is stdout. A symbolic link to a file is replaced by the new file; a
 * device or FIFO (/dev/null, /dev/stdout) is written to directly, through a link only while no
 * other owner is set. */
struct error *sink_open(const char *path, struct sink **ret) MUST_USE;

/* Appends to the caller's buffer. */
struct sink *sink_to_buf(struct buf *b);

/* Gzips what follows at the given level (1 to 9) into `take_below`, which it closes. The header
 * holds no time and no name: same input, same bytes. */
struct sink *sink_gzip(struct sink *take_below, int level);

void sink_write(struct sink *s, const void *bytes, size_t n);
void sink_printf(struct sink *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline void sink_str(struct sink *s, const char *text)
{
	sink_write(s, text, strlen(text));
}

/* True once something could not be written: a long writer may stop early. */
bool sink_failed(const struct sink *s);

/* Flushes, and renames a file into place. On an error the old file is as it was and the temporary
 * one is gone. Frees the sink in both cases. */
struct error *sink_close(struct sink *s) MUST_USE;

/* Gives up: nothing appears. Frees the sink; takes NULL. */
void sink_abort(struct sink *s);

/* Files that are created from here on belong to this user: who called sudo. (uid_t)-1: nobody in
 * particular. */
void sink_set_owner(uid_t uid, gid_t gid);

/* Gives a file that was just created to that user. For files that are not written through a sink.
 */
struct error *sink_give_to_owner(int fd, const char *path) MUST_USE;

#endif
