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
};

struct side_band {
	VEC(struct side_band_cpu) cpus;
	struct pev_format format;
	uint32_t ring_bytes;
};

/* Opens the events of all CPUs that are online. */
struct error *side_band_open(struct side_band *b) MUST_USE;

/* They tell from now on: with a delay, of nothing that is long over by then. */
void side_band_start(struct side_band *b);

void side_band_close(struct side_band *b);

/* A CPU came, or came back: the event that it had before is dead. False: it cannot be opened. */
bool side_band_add_cpu(struct side_band *b, int cpu);

/* Learns of new records. */
void side_band_refresh(struct side_band *b);

/* A CPU's oldest record, to be read with `format`; NULL: there is none. Valid until it is given up,
 * by side_band_pop(). */
const void *side_band_peek(struct side_band *b, uint32_t i, size_t *ret_size);
void side_band_pop(struct side_band *b, uint32_t i, size_t size);

/* The kernel may write where what was given up lies. */
void side_band_release(struct side_band *b);

/* Records that made no sense, and rings that had to be emptied unread. */
uint64_t side_band_damaged(const struct side_band *b);

#endif
