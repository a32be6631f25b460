/*
 * Records on their way from one thread to another, in order: a chain of blocks that the writer
 * fills and the reader frees. Neither ever waits for the other: a block tells how much of it may be
 * read, and of the next one once it is full.
 */
#ifndef CPROF_CAPTURE_BACKLOG_H
#define CPROF_CAPTURE_BACKLOG_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct backlog_block;

struct backlog {
	struct backlog_block *first; /* the reader's ... */
	uint32_t at;		     /* ... and the place of the oldest record in it */
	struct backlog_block *last;  /* the writer's */
	_Atomic(struct backlog_block *) spare;
	_Atomic uint64_t *held; /* bytes of all blocks: of all backlogs that share the counter */
};

void backlog_init(struct backlog *b, _Atomic uint64_t *held);
void backlog_deinit(struct backlog *b);

/* The writer's: adds a copy of a record. */
void backlog_push(struct backlog *b, const void *bytes, size_t size);

/* The reader's: the oldest record, aligned to 8 bytes; NULL: there is none. Valid until
 * backlog_pop(), which gives it up. */
const void *backlog_peek(struct backlog *b, size_t *ret_size);
void backlog_pop(struct backlog *b);

#endif
