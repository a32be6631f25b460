/*
 * Where the whole stacks of a recording end: the programs' and threads' entries. A stack counts as
 * complete because its walk ended in a row marked as an entry; this is the list of those, so that
 * anyone can see that they are ones.
 */
#ifndef CPROF_ANALYSIS_ENTRIES_H
#define CPROF_ANALYSIS_ENTRIES_H

#include "base/buf.h"
#include "profiler/recording/recording.h"

struct entry {
	uint32_t file;	  /* of the recording */
	uint32_t name;	  /* string: the raw name; 0: none, see start */
	uint64_t start;	  /* of the function, an address of the file */
	uint64_t samples; /* whole stacks that end here */
};

struct entries {
	VEC(struct entry) items; /* the most frequent first */
};

void entries_of(const struct recording *r, struct entries *ret);
void entries_deinit(struct entries *e);

/* Adds "_start (app)": the name, or the address, and the file's base name. */
void entry_add_name(struct buf *out, const struct recording *r, const struct entry *e);

#endif
