#include "profiler/capture/perf/grow.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/capture/session.h"

/* The sums that a second set leaves, and its descriptors. */
static void close_set(struct grow *g, const struct events *e, struct grow_thread *t)
{
	for (size_t i = 0; i < e->cpus.count && t->fds; i++) {
		struct pev_count n;

		if (pev_read(t->fds[i], &e->sampling, &n))
			g->lost += n.lost;
		close(t->fds[i]);
	}
	free(t->fds);
	t->fds = NULL;
}

void grow_stop(struct grow *g, const struct events *e, uint64_t time_ns)
{
	for (size_t i = 0; i < g->open.count; i++) {
		close_set(g, e, &g->threads.items[g->open.items[i]]);
		g->threads.items[g->open.items[i]].until_ns = time_ns;
	}
	g->open.count = 0;
}

void grow_deinit(struct grow *g, const struct events *e)
{
	grow_stop(g, e, 0);
	vec_deinit(&g->threads);
	vec_deinit(&g->open);
	map_deinit(&g->by_thread);
	map_deinit(&g->by_id);
}

/* A descriptor so high that hardly any would be left is one too many: the kernel gives the lowest
 * that is free. */
static bool is_too_high(int fd)
{
	uint64_t most;

	return !fd_make_room((size_t)fd + EVENTS_FDS_SPARE + 1, &most);
}

/* 0, or the reason that the event could not be opened. */
static int open_one(const struct events *e, const struct perf_event_attr *attr, uint32_t tid,
		    uint32_t cpu, int *ret_fd, uint64_t *ret_id)
{
	int fd = pev_open(attr, (pid_t)tid, e->cpus.items[cpu].cpu, -1, 0), errnum = 0;

	if (fd < 0)
		return errno;
	if (is_too_high(fd))
		errnum = EMFILE;
	else if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, e->cpus.items[cpu].owner) != 0 ||
		 ioctl(fd, PERF_EVENT_IOC_ID, ret_id) != 0)
		errnum = errno;
	if (errnum)
		close(fd);
	else
		*ret_fd = fd;
	return errnum;
}

/* One event a CPU, none of which counts yet. */
static int open_set(struct grow *g, const struct events *e, uint32_t index)
{
	struct grow_thread *t = &g->threads.items[index];
	struct perf_event_attr attr = events_long_copies(e);
	int *fds = mem_alloc(e->cpus.count * sizeof(*fds));

	for (uint32_t i = 0; i < e->cpus.count; i++) {
		uint64_t id;
		int errnum = open_one(e, &attr, t->tid, i, &fds[i], &id);

		if (errnum) {
			while (i-- > 0)
				close(fds[i]);
			free(fds);
			return errnum;
		}
		*map_at(&g->by_id, id) = index;
	}
	t->fds = fds;
	return 0;
}

void grow_thread(struct grow *g, const struct events *e, uint32_t thread, uint32_t tid)
{
	uint32_t *slot = map_at(&g->by_thread, thread), index = (uint32_t)g->threads.count;

	if (*slot != MAP_NONE && g->threads.items[*slot].until_ns == UINT64_MAX)
		return;
	*slot = index;
	vec_push(&g->threads, (struct grow_thread){ .thread = thread,
						    .tid = tid,
						    .from_ns = UINT64_MAX,
						    .until_ns = UINT64_MAX });
	int errnum = open_set(g, e, index);

	if (errnum) {
		log_debug("grow", "%u: %s", tid, strerror(errnum));
		if (errnum != ESRCH && !g->refused++)
			g->errnum = errnum;
		return;
	}
	vec_push(&g->open, index);
	g->grown++;
	g->threads.items[index].from_ns = session_now();
	for (size_t i = 0; i < e->cpus.count; i++)
		ioctl(g->threads.items[index].fds[i], PERF_EVENT_IOC_ENABLE, 0);
}

void grow_thread_over(struct grow *g, const struct events *e, uint32_t thread, uint64_t time_ns)
{
	uint32_t index = map_find(&g->by_thread, thread);

	if (index == MAP_NONE || g->threads.items[index].until_ns != UINT64_MAX)
		return;
	close_set(g, e, &g->threads.items[index]);
	g->threads.items[index].until_ns = time_ns;
	for (size_t i = 0; i < g->open.count; i++) {
		if (g->open.items[i] != index)
			continue;
		g->open.items[i] = *vec_last(&g->open);
		g->open.count--;
		break;
	}
}

/* The first sample of the second set can come no sooner than a period after it began. */
bool grow_takes(struct grow *g, uint32_t thread, uint64_t id, uint64_t time_ns, bool *ret_dropped)
{
	uint32_t of_id = map_find(&g->by_id, id);
	uint32_t index = of_id != MAP_NONE ? of_id : map_find(&g->by_thread, thread);
	const struct grow_thread *t;
	bool is_second;

	*ret_dropped = false;
	if (index == MAP_NONE)
		return true;
	t = &g->threads.items[index];
	is_second = t->thread == thread && time_ns > t->from_ns && time_ns <= t->until_ns;
	if (of_id != MAP_NONE) {
		g->taken += is_second;
		return is_second;
	}
	*ret_dropped = is_second;
	g->dropped += is_second;
	return !is_second;
}

bool grow_owns(const struct grow *g, uint64_t id)
{
	return map_find(&g->by_id, id) != MAP_NONE;
}

uint64_t grow_lost_twice(const struct grow *g, uint64_t lost)
{
	uint64_t second = g->taken + g->lost;

	return second > g->dropped ? MIN(second - g->dropped, lost) : 0;
}
