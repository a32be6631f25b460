/* /proc/PID/maps, read and taken apart: the executable mappings of a process as they are now. */
#ifndef CPROF_PROCESS_MAPS_H
#define CPROF_PROCESS_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/vec.h"

struct proc_map {
	uint64_t start, end, offset, inode;
	uint32_t major, minor;
	bool exec;
	const char *path; /* into the text; "" where nothing is named. A newline in it is \012 */
};

struct proc_maps {
	char *text;
	VEC(struct proc_map) maps;
};

/* Parses one line (without its newline, NUL-terminated); false where it is none. Pointers lead into
 * it. */
bool proc_map_parse(char *line, struct proc_map *ret);

/* Reads the executable mappings. ERR_NOT_FOUND where the process is gone; a kernel thread has none.
 */
struct error *proc_maps_read(uint32_t pid, struct proc_maps *ret) MUST_USE;
void proc_maps_deinit(struct proc_maps *m);

#endif
