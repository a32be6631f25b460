/*
 * Reads the ring that the kernel program of one CPU writes: BPF's ring buffer, by its layout and
 * not through libbpf, whose callbacks cannot look at a record without taking it, and the records of
 * all CPUs have to be merged by time.
 *
 * The kernel shares a page that holds the reader's position, one that holds the writer's, and the
 * data, twice in a row, so that no record is ever torn. A record is a header (struct
 * bpf_ringbuf_hdr of kernel/bpf/ringbuf.c: its length with two flags, and a word for the kernel
 * alone), its bytes, and up to seven bytes that make it a multiple of eight.
 *
 * Every length is checked all the same, and so is what a record claims to hold: what is handed out
 * can be read to its last word.
 */
#ifndef CPROF_BPF_RING_H
#define CPROF_BPF_RING_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "profiler/bpf/shared.h"

struct kern_reader {
	uint64_t *reader;	/* shared; NULL: not open */
	const uint64_t *writer; /* shared */
	const uint8_t *data;	/* 2 * size bytes */
	uint64_t size;		/* a power of two */
	uint64_t tail;		/* ours: what lies before was given up */
	uint64_t head;		/* the writer's, as of the last look */
	uint64_t taken;		/* bytes of the record that was handed out last */
	uint64_t damaged;	/* records that could not be what they claim */
};

/* Maps the ring of a BPF_MAP_TYPE_RINGBUF of `bytes`. Returns 0, or the errno. */
int kern_reader_open(struct kern_reader *r, int fd, size_t bytes) MUST_USE;
void kern_reader_close(struct kern_reader *r);

/* The oldest record, NULL where there is none or the kernel still writes it. Valid until
 * kern_reader_pop(). */
const struct kern_record *kern_reader_peek(struct kern_reader *r, size_t *ret_size);

/* Gives up what kern_reader_peek() returned. */
void kern_reader_pop(struct kern_reader *r);

#endif
