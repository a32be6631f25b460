/*
 * Files of others, mapped for reading. A file that is cut short while it is mapped (an upgrade that
 * writes in place, a hostile target) raises SIGBUS on access. For ranges mapped here the fault is
 * mended: the missing page becomes a page of zeros and the read goes on. Parsers check everything
 * they read anyway, so what they see is a damaged file and never a crash. A fault anywhere else
 * goes to the handler that was there before.
 *
 * Why not copies: most files mapped are large and little of them is read. Why not a jump out of the
 * reader: any byte read would need its landing place.
 *
 * The handler is process-wide and installed with the mappings. A thread that reads images must
 * not block SIGBUS: the kernel kills a process whose fault is blocked.
 */
#ifndef CPROF_SYMBOLIZER_GUARDED_MAP_H
#define CPROF_SYMBOLIZER_GUARDED_MAP_H

#include "base/error.h"
#include "base/file.h"

struct guarded_map {
	struct file_bytes bytes;
	struct guarded_range *range;
};

/* Maps a regular file; the descriptor is not kept. `name` is for messages. Thread-safe. */
struct error *guarded_map_fd(int fd, const char *name, struct guarded_map *ret) MUST_USE;
void guarded_map_deinit(struct guarded_map *m);

#endif
