/*
 * The bytes of a recording: constants and the two models that writer and reader must hold in step.
 * docs/recording-format.md is the specification; a change here is a change there.
 *
 *	file   := MAGIC, u16 major, u16 minor, chunk*
 *	chunk  := u8 kind, u8 flags, u16 0, u32 length, u64 checksum, bytes[length]
 *
 * The checksum is xxh3-64 of the bytes, seeded with the eight bytes before it. Inside, a chunk of
 * records is a set of columns: equal fields of all records stand side by side and are compressed
 * apart, since what resembles a field is the same field of the record before.
 */
#ifndef CPROF_RECORDING_FORMAT_H
#define CPROF_RECORDING_FORMAT_H

#include "base/map.h"
#include "profiler/recording/recording.h"

#define RECORDING_MAGIC                                                                            \
	"\x8f"                                                                                     \
	"cprof\r\n"
#define RECORDING_MAGIC_BYTES  8
#define RECORDING_MAJOR	       1
#define RECORDING_MINOR	       1
#define RECORDING_FILE_HEAD    (RECORDING_MAGIC_BYTES + 4)
#define RECORDING_CHUNK_HEADER 16

#define RECORDING_FLAG_ZSTD 1

/* A chunk holds so many records at the most, and so many bytes once it is unpacked. */
#define RECORDING_CHUNK_RECORDS 65536
#define RECORDING_CHUNK_RAW_MAX ((size_t)64 << 20)
#define RECORDING_STRING_MAX	65535

/* The records of a TABLES chunk: u8 tag, uleb length, fields. */
enum recording_tag {
	RECORDING_TAG_EVENT,
	RECORDING_TAG_FILE,
	RECORDING_TAG_PROCESS,
	RECORDING_TAG_THREAD,
	RECORDING_TAG_COMM,
	RECORDING_TAG_MAPPING,
	/* of a NOTES chunk */
	RECORDING_TAG_FACT,
	RECORDING_TAG_DIAGNOSTIC,
};

enum { /* columns of LOCATIONS */
       COLUMN_LOCATION_FILE,
       COLUMN_LOCATION_FLAGS,
       COLUMN_LOCATION_ADDRESS,
       LOCATION_COLUMNS,
};

enum { /* columns of STACKS */
       COLUMN_STACK_ATTACH,
       COLUMN_STACK_RUN,
       COLUMN_STACK_RANK,
       COLUMN_STACK_LOCATION,
       STACK_COLUMNS,
};

enum { /* columns of SAMPLES */
       COLUMN_SAMPLE_TIME,
       COLUMN_SAMPLE_THREAD,
       COLUMN_SAMPLE_COMM,
       COLUMN_SAMPLE_STACK,
       COLUMN_SAMPLE_CPU,
       COLUMN_SAMPLE_EVENT,
       COLUMN_SAMPLE_WEIGHT,
       COLUMN_SAMPLE_STATUS,
       SAMPLE_COLUMNS,
};

enum { /* columns of SYMBOLS */
       COLUMN_SYMBOL_LOCATION,
       COLUMN_SYMBOL_START,
       COLUMN_SYMBOL_COUNT,
       COLUMN_FRAME_NAME,
       COLUMN_FRAME_SOURCE,
       COLUMN_FRAME_LINE,
       COLUMN_FRAME_FLAGS,
       SYMBOL_COLUMNS,
};

#define RECORDING_COLUMNS_MAX 8

/*
 * The model of what follows what in stacks. Every location remembers the locations that stood
 * inside of it, the latest first; a new piece of stack then costs the place in that list, which is
 * mostly 0 or 1, instead of a number with twenty bits: on clang's stacks the column shrinks to
 * half.
 */
#define PATH_LIST 16

struct path_list {
	uint32_t items[PATH_LIST];
	uint32_t count;
};

struct path_model {
	VEC(struct path_list *) lists; /* by location; 0: of the root */
	uint32_t highest;	       /* the highest location that was used */
};

#define PATH_RANK_EXPLICIT 0 /* the location stands in a column of its own */
#define PATH_RANK_NEXT	   1 /* the one after the highest that was used */
#define PATH_RANK_LIST	   2 /* and up: the place in the list */

/* The rank of `location` inside `outer` (0: at the root); the model then knows of it. */
uint32_t path_model_rank(struct path_model *m, uint32_t outer, uint32_t location);

/* The location of a rank, 0 where there is none such; `explicit_location` is for
 * PATH_RANK_EXPLICIT. The model then knows of it. The caller has checked that `outer` is a location
 * or 0. */
uint32_t path_model_location(struct path_model *m, uint32_t outer, uint64_t rank,
			     uint32_t explicit_location);

void path_model_deinit(struct path_model *m);

/*
 * What a field is predicted from. Addresses are near the one before of the same file: carried over
 * the whole recording. Samples of a CPU follow each other by the period, and a thread's process
 * keeps its name: begun anew in every chunk.
 */
struct address_model {
	VEC(uint64_t) last; /* by file */
};

struct sample_model_cpu {
	uint64_t next_time; /* when its next sample is due; 0: not known */
	uint64_t chunk;
};

struct sample_model_thread {
	uint32_t comm;
	uint64_t chunk;
};

struct sample_model {
	VEC(struct sample_model_cpu) cpus;
	VEC(struct sample_model_thread) threads;
	uint64_t chunk; /* the present one: what an entry of another one says no longer holds */
	struct recording_sample last;
};

/* The place of a file's last address; grows the model. */
uint64_t *address_model_at(struct address_model *m, uint32_t file);

uint64_t sample_model_time(struct sample_model *m, uint16_t cpu);
uint32_t sample_model_comm(struct sample_model *m, uint32_t thread);
void sample_model_add(struct sample_model *m, const struct recording_sample *s, uint64_t period);
void sample_model_begin_chunk(struct sample_model *m);
void sample_model_deinit(struct sample_model *m);

#endif
