/*
 * The thread that empties the kernel's rings: it copies their records into memory, and does nothing
 * else. It opens no file and waits for nobody, so that there is room in the rings however long the
 * drain needs for a file on a slow disk, a table or the recording. What it may hold is bounded;
 * beyond that, records stay in the rings, and what finds no room there is counted by the kernel.
 *
 * Every ring has a queue. The drain reads the queues; all calls here but for the thread's own are
 * the drain's.
 */
#ifndef CPROF_CAPTURE_INTAKE_H
#define CPROF_CAPTURE_INTAKE_H

#include "profiler/bpf/sampler.h"
#include "profiler/capture/ebpf/backlog.h"
#include "profiler/capture/ebpf/side_band.h"

struct intake;

enum intake_kind {
	INTAKE_SIDE_BAND,
	INTAKE_SAMPLES,
};

struct intake_queue {
	enum intake_kind kind;
	uint32_t ring; /* its number in the side-band, or the sampler */
	int cpu;
	struct backlog records;
};

/* One that empties the rings that there are; they outlive it. `listens`: the sampler's call for new
 * processes is heard, and makes it look more often for a while. */
struct error *intake_create(struct kern_sampler *sampler, struct side_band *side_band, bool listens,
			    struct intake **ret) MUST_USE;
void intake_destroy(struct intake *in); /* takes NULL */

struct error *intake_start(struct intake *in) MUST_USE;

/* Nothing is written into the rings any more: the thread ends. Takes NULL. */
void intake_stop(struct intake *in);

/* Copies what is there, after intake_stop(). False: there was nothing. */
bool intake_copy(struct intake *in);

/* Readable when the thread has copied something, until it is cleared. */
int intake_wake_fd(const struct intake *in);
void intake_clear_wake(struct intake *in);

/* The code of deferred samples that a table is wanted for: told as soon as it is known, long before
 * these samples' turn comes. False: there is none. */
struct intake_want {
	uint64_t maps;	  /* what they were walked with */
	uint64_t address; /* of the code */
};
bool intake_take_want(struct intake *in, struct intake_want *ret);

/* Looks more often until then. */
void intake_watch(struct intake *in, uint64_t until_ns);
uint64_t intake_watches_until(const struct intake *in);

/* All records from before this time are in the queues. */
uint64_t intake_copied_ns(const struct intake *in);

uint32_t intake_queue_count(const struct intake *in);
struct intake_queue *intake_queue_at(struct intake *in, uint32_t i);

/* Around what adds rings: between them the thread stands still. Those that are new get queues,
 * behind the others. */
void intake_hold(struct intake *in);
void intake_release(struct intake *in);

/* The most that it ever held, in bytes. */
uint64_t intake_peak_bytes(const struct intake *in);

#endif
