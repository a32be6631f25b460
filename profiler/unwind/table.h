/*
 * Compiled unwind tables: .eh_frame of one ELF file turned into rows that the step function can
 * look up in a few loads. A table is compiled in units of text (UNWIND_UNIT_SHIFT), each the first
 * time that a walk needs it, so that a program of 100 MB costs only what it runs.
 *
 * Not thread-safe: one thread compiles and walks.
 */
#ifndef CPROF_UNWIND_TABLE_H
#define CPROF_UNWIND_TABLE_H

#include "base/error.h"
#include "profiler/unwind/layout.h"
#include "symbolizer/elf/image.h"

struct unwind_tables; /* the pool of words and the rules that all files share */
struct unwind_table;  /* one file */

/* Where the memory of the tables comes from, when another reads it too (the kernel program). */
struct unwind_memory_source {
	/* Chunk `index`, UNWIND_CHUNK_WORDS words of zeros, asked for in order; NULL: no memory. It
	 * stays the source's, and stays until the tables are destroyed. */
	uint32_t *(*add_chunk)(void *context, uint32_t index);
	uint64_t *rules; /* room for UNWIND_MAX_RULES, the source's too */
	void *context;
};

/* source may be NULL: memory of our own. */
struct unwind_tables *unwind_tables_create(const struct unwind_memory_source *source);
void unwind_tables_destroy(struct unwind_tables *t); /* and every table of it; takes NULL */

/*
 * Indexes a file. The image is borrowed and must outlive the tables. A file without unwind tables
 * (or whose tables are damaged as a whole) gives a table that describes itself as
 * UNWIND_MAP_NO_TABLE; an error is only for what the user should know (a diagnostic names the
 * file), and then *ret is such a table too.
 */
struct error *unwind_table_create(struct unwind_tables *t, const struct image *img,
				  struct unwind_table **ret) MUST_USE;

/* Fills kind and page_dir of a mapping of this file; start, end and bias are the caller's. A
 * mapping that reaches beyond the file's text (a loader's first reservation) is cut to it. */
void unwind_table_describe(const struct unwind_table *table, struct unwind_mapping *m);

/* Compiles the unit that holds an ELF virtual address, unless that was done before. */
void unwind_table_compile(struct unwind_table *table, uint64_t vaddr);

/* The same for an address in a mapping that a table described. */
void unwind_tables_compile(struct unwind_tables *t, const struct unwind_mapping *m,
			   uint64_t address);

/* Compiling leaves out code without entries where it would take long. This does a piece of that;
 * false: there was none. */
bool unwind_tables_follow(struct unwind_tables *t);
bool unwind_tables_have_left(const struct unwind_tables *t);

/* CPU time that compiling has taken so far, of all tables. */
uint64_t unwind_tables_build_ns(const struct unwind_tables *t);

/* Pages of code that have no rows, because there was no memory for them: walks end there. */
uint64_t unwind_tables_left_out(const struct unwind_tables *t);

/* Compiles everything (tests, bench). */
void unwind_table_compile_all(struct unwind_table *table);

struct unwind_table_stats {
	uint64_t eh_frame_bytes, rows, pool_bytes;
	uint32_t rules, units, units_compiled;
};
void unwind_table_stats(const struct unwind_table *table, struct unwind_table_stats *ret);

#endif
