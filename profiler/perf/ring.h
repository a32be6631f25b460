/*
 * One CPU's ring of records, shared with the kernel. The kernel writes at head, we read at tail; a
 * record is handed out where it lies, and only one that wraps around the ring's end is copied.
 *
 * What is in the ring is the kernel's, but every size is checked all the same: a reader that trusts
 * a length runs off the mapping when a kernel has a bug, or a fuzzer writes the ring.
 */
#ifndef CPROF_PERF_RING_H
#define CPROF_PERF_RING_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct pev_ring {
	struct perf_event_mmap_page *page; /* NULL: not mapped */
	const uint8_t *data;
	uint64_t size;	  /* of data, a power of two */
	uint64_t head;	  /* the kernel's, as of pev_ring_refresh() */
	uint64_t tail;	  /* ours */
	uint64_t damaged; /* times that a record had no sane size and the rest was thrown away */
	uint8_t *scratch; /* room for one record */
};

/* Maps the ring of an opened event. bytes is a power of two, a multiple of the page size. Returns
 * 0, or the errno, for pev_explain_ring(). */
int pev_ring_open(struct pev_ring *r, int fd, size_t bytes) MUST_USE;
void pev_ring_close(struct pev_ring *r);

/* Learns what the kernel has written since. */
void pev_ring_refresh(struct pev_ring *r);

/* The oldest record, whole; NULL where there is none. Valid until pev_ring_pop(). *ret_size is its
 * size, header included. */
const struct perf_event_header *pev_ring_peek(struct pev_ring *r, size_t *ret_size);

/* Gives up the oldest record. The kernel may write there after pev_ring_release(). */
void pev_ring_pop(struct pev_ring *r, size_t size);
void pev_ring_release(struct pev_ring *r);

static inline uint64_t pev_ring_used(const struct pev_ring *r)
{
	return r->head - r->tail;
}

#endif
