/*
 * An address space: the executable mappings of a process at one time, sorted, as parallel arrays so
 * that the walk takes them as they are. A fork shares its parent's space until one of the two
 * changes it. A file that no sample has met yet stands there as UNWIND_MAP_UNKNOWN;
 * proc_space_resolve() opens it.
 */
#ifndef CPROF_PROCESS_SPACE_H
#define CPROF_PROCESS_SPACE_H

#include <stdbool.h>
#include <stdint.h>

#include "profiler/process/file.h"
#include "profiler/process/maps.h"
#include "profiler/unwind/walk.h"

struct proc_mapping {
	uint64_t offset, time_ns;
	uint32_t file; /* index in proc_files */
	bool resolved; /* its file was asked for; kind and bias hold */
};

struct proc_space {
	uint32_t refs;
	uint32_t count, capacity;
	struct unwind_mapping *unwind; /* start, end, bias, kind, page_dir */
	struct unwind_table **tables;
	struct proc_mapping *mappings;
};

struct proc_space *proc_space_create(void);
struct proc_space *proc_space_share(struct proc_space *s); /* one more user */
void proc_space_release(struct proc_space *s);		   /* one user less; takes NULL */

/* Puts a mapping in the place of whatever was there: what it covers in part keeps the rest. The
 * space is the caller's alone afterwards: where it was shared, *s becomes a copy. */
void proc_space_insert(struct proc_space **s, struct proc_files *files, uint64_t start,
		       uint64_t end, uint64_t offset, uint32_t file, uint64_t time_ns);

/* Lets go of the mappings that lie where nothing is mapped now; returns how many. */
uint32_t proc_space_retain(struct proc_space **s, const struct proc_maps *now);

/* The index of the mapping that holds an address; UINT32_MAX where none does. */
uint32_t proc_space_find(const struct proc_space *s, uint64_t address);

/* Whether anything is mapped in [start, end). */
bool proc_space_overlaps(const struct proc_space *s, uint64_t start, uint64_t end);

/* Opens the file of a mapping, as process pid sees it, and fills in kind, bias and table. */
void proc_space_resolve(struct proc_space *s, struct proc_files *files, uint32_t index,
			uint32_t pid);

#endif
