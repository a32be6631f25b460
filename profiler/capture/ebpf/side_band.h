/*
 * What the kernel tells of all processes: forks, execs, names, exits and mappings, in the rings of
 * one dummy event a CPU. System-wide, so that nothing has to be opened for a new thread; what is
 * not about a target is dropped by the reader.
 */
#ifndef CPROF_CAPTURE_SIDE_BAND_H
#define CPROF_CAPTURE_SIDE_BAND_H

#include "base/error.h"
#include "base/vec.h"
#include "profiler/perf/record.h"
#include "profiler/perf/ring.h"

struct side_band_cpu {
	int cpu, fd;
	struct pev_ring ring;
	uint64_t released; /* tail that the kernel knows of */
};

struct side_band {
	VEC(struct side_band_cpu) cpus;
	struct pev_format format;
	uint32_t ring_bytes;
};

/* Opens the events of all CPUs that are online; they tell from now on. */
struct error *side_band_open(struct side_band *b) MUST_USE;
void side_band_close(struct side_band *b);

/* A CPU came, or came back: the event that it had before is dead. False: it cannot be opened. */
bool side_band_add_cpu(struct side_band *b, int cpu);

/* The time of a CPU's oldest record; UINT64_MAX: there is none. */
uint64_t side_band_head(struct side_band *b, size_t i);

/* Takes it out. Borrowed until the next call for that CPU. */
void side_band_take(struct side_band *b, size_t i, struct pev_record *ret);

/* Learns of new records; whether a ring is filling up. */
bool side_band_refresh(struct side_band *b);

/* Records that made no sense, and rings that had to be emptied unread. */
uint64_t side_band_damaged(const struct side_band *b);

#endif
