/*
 * The recording: what was sampled, with everything needed to name it later, in one append-only
 * file. docs/recording-format.md is its specification. The writer is fed in time order by the
 * capture and dedupes nothing but what the caller interns through it; the reader gives the whole
 * recording as arrays.
 *
 * Ids (strings, files, processes, threads, mappings, locations, stacks) count from 1 in the order
 * of addition; 0 is none. A record may only name what was added before it.
 */
#ifndef CPROF_RECORDING_H
#define CPROF_RECORDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/intern.h"
#include "base/map.h"
#include "base/vec.h"
#include "profiler/unwind/status.h"
#include "symbolizer/elf/build_id.h"

enum recording_file_kind {
	RECORDING_FILE_ELF,    /* addresses are ELF virtual addresses */
	RECORDING_FILE_VDSO,   /* likewise */
	RECORDING_FILE_KERNEL, /* absolute kernel addresses */
	RECORDING_FILE_JIT,    /* absolute addresses in one process's run-time code; `process` says
				  whose */
	RECORDING_FILE_OTHER,  /* mapped, but not ELF; or nothing mapped: absolute addresses */
	RECORDING_FILE_SENTINEL, /* no code: its path is the frame's name, "[kernel, not visible]"
				  */
};

struct recording_file {
	enum recording_file_kind kind;
	uint32_t path;	  /* string: as the process saw it */
	uint32_t process; /* JIT only */
	struct build_id build_id;
};

struct recording_process {
	uint32_t pid;	 /* as seen where cprof ran */
	uint32_t ns_pid; /* as the process sees itself; 0: the same */
	uint32_t parent; /* process id (of this list); 0: unknown */
	uint32_t uid;
	uint64_t start_ns; /* CLOCK_MONOTONIC; when it was first seen */
	uint32_t root; /* string: its root folder where that is not ours ("/proc/PID/root"); 0 else
			*/
};

struct recording_thread {
	uint32_t process;
	uint32_t tid;
};

/* A name that a thread took at a time (exec, prctl); a process's name is its leader's. */
struct recording_comm {
	uint32_t thread;
	uint32_t name; /* string */
	uint64_t time_ns;
};

struct recording_mapping {
	uint32_t process;
	uint32_t file;
	uint64_t start, end, offset;
	uint64_t bias; /* file address = ip - bias; 0 for absolute ones */
	uint64_t time_ns;
};

struct recording_location {
	uint32_t file;
	bool is_return; /* a return address: names belong to address - 1 */
	bool guessed;	/* found by frame pointer in code without unwind entries */
	uint64_t address;
};

struct recording_stack { /* a path from the root, outermost first: parent, then location */
	uint32_t parent;
	uint32_t location;
};

struct recording_sample {
	uint64_t time_ns;
	uint64_t weight; /* in the event's unit (nanoseconds for clocks): its period */
	uint32_t thread;
	uint32_t comm;	/* string: the process's name at this time */
	uint32_t stack; /* kernel frames innermost, then user frames, one path */
	uint16_t cpu;
	uint16_t event; /* index of recording_event */
	enum unwind_status status;
};

struct recording_event {
	uint32_t name;	     /* string: as typed, "cpu-clock" */
	uint32_t type, unit; /* strings: "cpu", "nanoseconds" */
	uint64_t period;     /* 0: varies */
	uint64_t frequency_hz;
};

/* One line of the ledger, or any other count or fact that the summary shows. Keys are names with
 * units (`expected_samples`, `lost_samples`, `elapsed_ns`); docs/recording-format.md lists them. */
struct recording_fact {
	uint32_t key; /* string */
	uint64_t value;
};

/* What a user must be told of: a mended or survived failure. */
struct recording_diagnostic {
	uint64_t time_ns;
	uint32_t text; /* string: one line */
};

/* A name for a location, found at the end of the recording. Frames innermost first. */
struct recording_symbol {
	uint32_t location;
	uint32_t first, count; /* of the recording's symbol frames */
	uint64_t start;	       /* of the function, in the file's address space */
};

struct recording_symbol_frame {
	uint32_t name, source; /* strings: raw name; source file */
	uint32_t line;
	bool inlined, is_folded;
};

/* The kinds of chunks that a file is made of; the numbers stand in the file. */
enum recording_chunk {
	RECORDING_CHUNK_END,	   /* the mark of a recording that was closed */
	RECORDING_CHUNK_HEAD,	   /* command, host, clocks */
	RECORDING_CHUNK_STRINGS,   /* every name: paths, comms, symbols */
	RECORDING_CHUNK_TABLES,	   /* events, files, processes, threads, comms, mappings */
	RECORDING_CHUNK_LOCATIONS, /* addresses hit */
	RECORDING_CHUNK_STACKS,
	RECORDING_CHUNK_SAMPLES,
	RECORDING_CHUNK_NOTES,	 /* facts and diagnostics */
	RECORDING_CHUNK_SYMBOLS, /* names of locations */
	RECORDING_CHUNK_KINDS,
};

/* "end", "head", "strings" ... */
const char *recording_chunk_name(enum recording_chunk kind);

/* What is known at the start. */
struct recording_info {
	const char *const
		*command;    /* the words of the command, ended by NULL; NULL when attached */
	const char *target;  /* for people, where there is no command: "all CPUs"; or NULL */
	const char *backend; /* "perf" */
	const char *backend_reason; /* why it is not a better one; NULL: there is none */
	uint64_t start_ns;	    /* CLOCK_MONOTONIC */
	uint64_t start_wall_ns;	    /* UTC since 1970 at that moment */
};

/* --- writing --- */

struct recording_writer;
struct recording;

/* Creates the file (0600, owned by the user of sink_set_owner(), under its final name, created
 * without following links; an existing file or link is replaced, anything else refused). The caller
 * renamed the previous recording before. Writes the head at once. */
struct error *recording_create(const char *path, const struct recording_info *info,
			       struct recording_writer **ret) MUST_USE;

/* Interned; what is longer than 64 KiB is cut. */
uint32_t recording_add_string(struct recording_writer *w, const char *s, size_t n);

/* Gives the event's index, which counts from 0. */
uint32_t recording_add_event(struct recording_writer *w, const struct recording_event *e);

uint32_t recording_add_file(struct recording_writer *w, const struct recording_file *f);
uint32_t recording_add_process(struct recording_writer *w, const struct recording_process *p);
uint32_t recording_add_thread(struct recording_writer *w, const struct recording_thread *t);
void recording_add_comm(struct recording_writer *w, const struct recording_comm *c);
uint32_t recording_add_mapping(struct recording_writer *w, const struct recording_mapping *m);

/* Both are interned. */
uint32_t recording_add_location(struct recording_writer *w, const struct recording_location *l);
uint32_t recording_add_stack(struct recording_writer *w, uint32_t parent, uint32_t location);

void recording_add_sample(struct recording_writer *w, const struct recording_sample *s);
void recording_add_diagnostic(struct recording_writer *w, uint64_t time_ns, const char *fmt, ...)
	PRINTF_LIKE(3, 4);

/* Sets a fact; the last value of a key holds. */
void recording_set_fact(struct recording_writer *w, const char *key, uint64_t value);

/* Names of a location; the strings are the writer's. */
void recording_add_symbol(struct recording_writer *w, uint32_t location, uint64_t start,
			  const struct recording_symbol_frame *frames, uint32_t count);

/* Writes out what was added since the last time as finished chunks; called about once a second, so
 * that a killed cprof leaves all but the last second. The error is kept: writing stops there, and
 * the file stays readable up to that point. */
struct error *recording_flush(struct recording_writer *w) MUST_USE;

/* Flushes, writes the end mark, closes. Frees the writer also on an error. */
struct error *recording_close(struct recording_writer *w) MUST_USE;

/* What was added so far, as a reader would see it, borrowed until the next call of the writer.
 * Strings, events, files, processes, locations, stacks and symbols are whole; of everything else
 * there is only what was added since the last flush. */
const struct recording *recording_written(const struct recording_writer *w);

/* --- reading --- */

struct recording {
	struct intern strings; /* ids as in the file */
	VEC(uint32_t) command; /* strings */
	uint32_t target;       /* string: what was recorded where there is no command, for people */
	uint32_t backend;
	uint32_t backend_reason; /* string: why it is not a better one; 0: there is none */
	uint32_t host;		 /* string: "NODE, Linux RELEASE, MACHINE" */
	uint32_t boot; /* string: the kernel's id of this boot: its addresses hold as long */
	uint64_t start_ns, start_wall_ns;
	/* index 0 of each is unused, as ids count from 1 (events count from 0) */
	VEC(struct recording_event) events;
	VEC(struct recording_file) files;
	VEC(struct recording_process) processes;
	VEC(struct recording_thread) threads;
	VEC(struct recording_comm) comms;
	VEC(struct recording_mapping) mappings;
	VEC(struct recording_location) locations;
	VEC(struct recording_stack) stacks;
	VEC(struct recording_sample) samples;
	VEC(struct recording_fact) facts;
	VEC(struct recording_diagnostic) diagnostics;
	VEC(struct recording_symbol) symbols;
	VEC(struct recording_symbol_frame) symbol_frames;
	struct map roots;   /* of recording_note_root() */
	bool was_cut;	    /* no end mark: cprof was killed, or the disk was full */
	uint64_t cut_bytes; /* unreadable bytes at the end */
	uint64_t chunk_bytes[RECORDING_CHUNK_KINDS]; /* of the file, its head with the end mark */
};

/* An empty recording: what index 0 of the tables is. */
void recording_init(struct recording *r);

/* A file has been seen under the root of the mapping's process. The latest of these roots are
 * kept: the processes of the first may be gone. A writer does that for each mapping. */
void recording_note_root(struct recording *r, const struct recording_mapping *m);

/* The number `n`, counted from 0, of a file's roots, as a string; 0: there are no more. */
#define RECORDING_ROOTS_MAX 8
uint32_t recording_root(const struct recording *r, uint32_t file, uint32_t n);

bool recording_detect(const void *bytes, size_t size);

/* Reads a whole recording, cut ones as far as they go. Hostile input gives an error, never a crash;
 * *ret is then empty. */
struct error *recording_read(const void *bytes, size_t size, struct recording *ret) MUST_USE;
void recording_deinit(struct recording *r);

/* The value of a fact; `missing` where there is none. */
uint64_t recording_fact(const struct recording *r, const char *key, uint64_t missing);

#endif
