/*
 * Copies of stacks that grow. Where little memory may be locked, the rings are small, and copies of
 * the largest size would fill them within milliseconds: sampling starts with short ones. A thread
 * whose stack turns out to be deeper gets a second set of events, with the longest copies, and from
 * then on its samples are theirs. The first set counts on (expected samples, and what the thread's
 * children inherit), and its samples are dropped.
 *
 * All of it belongs to whoever drains the rings; no lock is needed.
 */
#ifndef CPROF_CAPTURE_PERF_GROW_H
#define CPROF_CAPTURE_PERF_GROW_H

#include "base/map.h"
#include "base/vec.h"
#include "profiler/capture/perf/events.h"

/* One thread's time with long copies; after an exec it may have another. */
struct grow_thread {
	uint32_t thread, tid;
	uint64_t from_ns, until_ns; /* when the samples are the second set's; from UINT64_MAX: never
				     */
	int *fds;		    /* one a CPU; NULL: closed, or never opened */
};

struct grow {
	VEC(struct grow_thread) threads;
	struct map by_thread;	       /* number of a thread -> its latest in threads */
	struct map by_id;	       /* of an event in the second set -> in threads */
	VEC(uint32_t) open;	       /* in threads: those with descriptors */
	uint32_t grown;		       /* threads */
	uint32_t refused;	       /* threads that could not grow, though they run on */
	int errnum;		       /* why the first of them could not */
	uint64_t taken, dropped, lost; /* samples: of the second set; of the first; for which there
					  was no room, of the second */
};

void grow_deinit(struct grow *g, const struct events *e);

/* Opens the second set for a thread that has none yet. What stands in the way is kept in g. */
void grow_thread(struct grow *g, const struct events *e, uint32_t thread, uint32_t tid);

/* Whether a sample counts, of the event with that id: samples of the first set do not while there
 * is a second one. *ret_dropped: the thread's second set stands for this one. */
bool grow_takes(struct grow *g, uint32_t thread, uint64_t id, uint64_t time_ns, bool *ret_dropped);

/* Whether an event is of a second set. */
bool grow_owns(const struct grow *g, uint64_t id);

/* The thread has ended, or runs another program, since then. */
void grow_thread_over(struct grow *g, const struct events *e, uint32_t thread, uint64_t time_ns);

/* Sampling was over at that time: second sets stop, and tell what they lost. */
void grow_stop(struct grow *g, const struct events *e, uint64_t time_ns);

/* Of so many samples for which there was no room: those of a first set that would have been
 * dropped. */
uint64_t grow_lost_twice(const struct grow *g, uint64_t lost);

#endif
