/*
 * The drain: the thread that turns what the kernel's rings hold into the model and the recording
 * while the targets run. A record with an older time may still be on its way on another CPU, so a
 * round goes only up to a moment ago.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "profiler/capture/session.h"

#define WATCH_LAG_NS   3000000ull
#define CALM_NS	       100000000ull /* nothing is new: there is time for what takes long */
#define FLUSH_NS       1000000000ull
#define FIRST_FLUSH_NS 100000000ull /* whoever kills cprof early still finds something */
#define LIVE_CHECK_NS  200000000ull
#define RESCAN_NS      100000000ull  /* of all maps, when records were lost */
#define RESCAN_PART    20	     /* of the time, at the most */
#define ENDING_NS      2000000000ull /* so long after its end was lost a thread may be there */

/* When what was done last, or is due. */
struct drain_times {
	uint64_t rescan_at, checked, flush_at;
	uint64_t lost, lost_at; /* records so far, and when that was found */
};

int session_hurry(void)
{
	int nice = getpriority(PRIO_PROCESS, 0);

	if (setpriority(PRIO_PROCESS, 0, -20) != 0)
		log_debug("capture", "no higher priority: %s", strerror(errno));
	return nice;
}

/* How many of the processes or threads that were asked for have not ended. */
static uint64_t count_live_targets(struct capture *c)
{
	uint64_t live = 0;

	for (size_t i = 0; i < c->targets.count; i++) {
		uint32_t id = c->targets.items[i];
		uint32_t index = map_find(
			c->target == CAPTURE_THREADS ? &c->model.by_tid : &c->model.by_pid, id);

		if (index == MAP_NONE)
			continue;
		if (c->target == CAPTURE_THREADS)
			live += !proc_thread_at(&c->model, index)->has_ended;
		else
			live += proc_process_at(&c->model, index)->live_threads > 0;
	}
	return live;
}

uint64_t session_lag_ns(const struct capture *c)
{
	return session_now() < c->watch_until_ns ? MIN(c->lag_ns, WATCH_LAG_NS) : c->lag_ns;
}

void session_drain(struct capture *c, bool is_last)
{
	c->backend->drain(c, is_last);
	c->live_threads = c->model.live_threads;
	c->live_targets = count_live_targets(c);
}

struct proc_file_key session_file_of(const struct pev_record *r)
{
	return (struct proc_file_key){
		.path = r->mmap.path,
		.build_id = r->mmap.build_id,
		.major = r->mmap.major,
		.minor = r->mmap.minor,
		.inode = r->mmap.inode,
		.generation = r->mmap.generation,
		.pid = r->pid,
	};
}

void session_map(struct capture *c, const struct pev_record *r)
{
	struct proc_file_key key = session_file_of(r);

	if (r->pid == UINT32_MAX) /* the kernel's own */
		return;
	proc_model_map(&c->model, r->pid, r->mmap.start, r->mmap.start + r->mmap.size,
		       r->mmap.offset, &key, r->time);
}

/* Threads that the model thinks alive, though their exit was lost, or was never told. */
static void check_live(struct capture *c)
{
	for (uint32_t i = 0; i < c->model.threads.count; i++) {
		const struct proc_thread *t = &c->model.threads.items[i];
		char path[64];

		if (t->has_ended)
			continue;
		snprintf(path, sizeof(path), "/proc/%u/task/%u",
			 proc_process_at(&c->model, t->process)->pid, t->tid);
		if (access(path, F_OK) != 0)
			proc_model_end(&c->model, i);
	}
}

/* Between two rounds: what has to be done now and then. */
static struct error *tend(struct capture *c, struct drain_times *t, uint64_t now)
{
	if (c->rescan_due && now >= t->rescan_at) {
		c->rescan_due = false;
		proc_model_rescan_all(&c->model, now);
		t->rescan_at = now + MAX(RESCAN_NS, RESCAN_PART * (session_now() - now));
	}
	if (c->lost_records != t->lost) {
		t->lost = c->lost_records;
		t->lost_at = now;
	}
	if (t->lost && now - t->lost_at < ENDING_NS && now - t->checked >= LIVE_CHECK_NS) {
		check_live(c);
		t->checked = now;
	}
	c->backend->tend(c, now);
	if (now < t->flush_at)
		return NULL;
	t->flush_at = now + FLUSH_NS;
	return recording_flush(c->writer);
}

/* For what takes long, and what no sample waits for. */
static bool has_time(const struct capture *c)
{
	return unwind_tables_have_left(c->tables) && session_now() > c->watch_until_ns + CALM_NS;
}

/* False: it cannot wait. */
static bool wait_for_records(struct capture *c, struct pollfd *fds)
{
	bool watches = session_now() < c->watch_until_ns, has_left = has_time(c);
	int ms = has_left ? 0 : watches ? c->watch_poll_ms : c->poll_ms;
	int ready = poll(fds, c->wake_fds.count + 1, ms);

	if (ready < 0 && errno != EINTR) {
		c->error = error_errno(errno, "cannot wait for the kernel's samples");
		return false;
	}
	if (!ready && has_left)
		unwind_tables_follow(c->tables);
	/* the event of a CPU that went offline has hung up for ever, and would never let us wait */
	for (size_t i = 0; i < c->wake_fds.count; i++)
		if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			fds[i].fd = -1;
	return true;
}

void *drain_thread(void *session)
{
	struct capture *c = session;
	size_t n = c->wake_fds.count;
	struct pollfd *fds = mem_calloc(n + 1, sizeof(*fds));
	uint64_t now = session_now();
	struct drain_times t = { .checked = now, .flush_at = now + FIRST_FLUSH_NS };

	prctl(PR_SET_NAME, "cprof-drain");
	session_hurry();
	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = c->wake_fds.items[i], .events = POLLIN };
	fds[n] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
	while (!c->stopping && !c->error) {
		if (!wait_for_records(c, fds))
			break;
		now = session_now();
		session_drain(c, false);
		c->error = tend(c, &t, now);
	}
	if (c->error)
		c->failed = true;
	free(fds);
	return NULL;
}
