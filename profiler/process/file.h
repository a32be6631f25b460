/*
 * The files that are mapped as code, each known once for all processes: its image, its unwind table
 * and its place in the recording. A file is known by its build id, else by device and inode, and is
 * opened when the first sample falls into it. A file that is not the mapped one is never used.
 */
#ifndef CPROF_PROCESS_FILE_H
#define CPROF_PROCESS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/map.h"
#include "base/vec.h"
#include "profiler/recording/recording.h"
#include "profiler/unwind/table.h"
#include "symbolizer/elf/image.h"

enum proc_file_state {
	PROC_FILE_NEW,	  /* nobody has tried to open it */
	PROC_FILE_OPEN,	  /* image is there, table where it has one */
	PROC_FILE_CLOSED, /* not ELF, gone, or not the mapped file: no table */
};

struct proc_file {
	enum proc_file_state state;
	enum recording_file_kind kind;
	char *path; /* as the process saw it */
	struct build_id build_id;
	bool id_was_told; /* by the mapping: else it was found in the file */
	uint32_t major, minor;
	uint64_t inode, generation;
	struct timespec changed; /* its content, when it was opened */
	uint32_t attempts;	 /* to open it that failed */
	bool is_outdated; /* its content has changed since: whoever maps it now maps another */
	struct image *image;
	struct unwind_table *table;
	uint32_t same_as; /* index of the file that this one turned out to be; its own otherwise */
	uint32_t id;	  /* in the recording; 0: not there yet */
};

/* What a mapping says about its file. */
struct proc_file_key {
	const char *path;
	struct build_id build_id; /* size 0: unknown */
	uint32_t major, minor;
	uint64_t inode;	     /* 0: unknown */
	uint64_t generation; /* 0: unknown */
	uint32_t pid;	     /* that maps it, in whose root the path is; 0: unknown */
};

struct proc_files {
	VEC(struct proc_file) all;
	struct map by_build_id, by_inode, by_path;
	struct unwind_tables *tables;	 /* borrowed */
	struct recording_writer *writer; /* borrowed */
	uint32_t troubles;		 /* that were told, or left out */
};

void proc_files_init(struct proc_files *f, struct unwind_tables *tables,
		     struct recording_writer *writer);
void proc_files_deinit(
	struct proc_files *f); /* after the tables are destroyed: they borrow the images */

/* The image of a file by its id in the recording, borrowed; NULL: it is not open. */
const struct image *proc_files_image(const struct proc_files *f, uint32_t id);

/* The index of a file, added where it is new. One that could not be opened before gets another
 * chance: the number of times is limited. */
uint32_t proc_files_intern(struct proc_files *f, const struct proc_file_key *key);

/* Opens the file of a mapping [start, end) of a process, unless that was tried before. Returns the
 * index to use from then on: another one, where the file turned out to be known. What went wrong
 * becomes a diagnostic. */
uint32_t proc_files_open(struct proc_files *f, uint32_t index, uint32_t pid, uint64_t start,
			 uint64_t end, uint64_t time_ns);

/* The file's id in the recording. */
uint32_t proc_files_id(struct proc_files *f, uint32_t index);

static inline struct proc_file *proc_files_get(struct proc_files *f, uint32_t index)
{
	return &f->all.items[index];
}

#endif
