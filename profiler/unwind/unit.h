/* Compiling one unit of text of a file: its FDEs, in order, to rows. Private to the room. */
#ifndef CPROF_UNWIND_UNIT_H
#define CPROF_UNWIND_UNIT_H

#include "profiler/unwind/cfa.h"
#include "profiler/unwind/flow.h"
#include "profiler/unwind/pool.h"

#define UNIT_CIES 8

/* A CIE of the file and the state that its program leads to. Files have one to four that matter. */
struct unit_cie {
	struct eh_cie cie;
	struct cfa_state initial;
	bool used, sound;
};

enum unit_state {
	UNIT_NOT_COMPILED,
	UNIT_WITHOUT_BARE, /* code without entries is still to be followed */
	UNIT_COMPILED,
};

struct unwind_table {
	struct unwind_tables *tables;
	const struct image *img;
	struct eh_index *index; /* NULL: no unwind tables */
	uint32_t dir;		/* word offset of the page directory */
	uint64_t first_page, page_count;
	uint64_t first_unit, unit_count;
	uint64_t code_low, code_high; /* what may be code: of the sections, where there are any */
	uint8_t *compiled;	      /* an enum unit_state a unit */
	struct unit_cie cies[UNIT_CIES];
	/* while its units are compiled: of a whole piece of code without entries */
	struct flow *flow;
	uint64_t flow_start, flow_end;
	bool follow_bx;
	uint64_t rows, pool_words;
	uint64_t followed_bytes, shown_bytes; /* of code without entries; of these, with rows */
	uint32_t units_compiled;
	uint64_t follow_until_cpu_ns; /* of what is being compiled: see unit_compile() ... */
	bool left_bare;		      /* ... and whether it left something */
};

void unwind_table_free(struct unwind_table *table);

/* Writes the rows of a unit and then its words in the page directory, none of which stays 0. Code
 * without entries is followed, where that is of use, until the thread has taken so much CPU time;
 * 0: not at all. What is left is for a second time. */
void unit_compile(struct unwind_table *table, uint64_t unit, uint64_t follow_until_cpu_ns);

#endif
