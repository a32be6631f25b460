/*
 * The drain: records of all rings in the order of their time, each applied to the model or unwound
 * where it lies. A record with an older time may still be on its way on another CPU, so a round
 * goes only up to a moment ago, unless a ring is filling up.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/capture/session.h"

#define LAG_NS	       10000000ull
#define POLL_MS	       20
#define WATCH_NS       300000000ull /* after a thread or program began: it may soon need more */
#define WATCH_LAG_NS   3000000ull
#define WATCH_POLL_MS  2
#define FLUSH_NS       1000000000ull
#define FIRST_FLUSH_NS 100000000ull /* whoever kills cprof early still finds something */
#define RELEASE_EVERY  (256u << 10) /* bytes that may be read before the kernel gets them back */
#define LIVE_CHECK_NS  200000000ull
#define RESCAN_NS      100000000ull /* of all maps, when records were lost */

uint64_t session_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

int session_hurry(void)
{
	int nice = getpriority(PRIO_PROCESS, 0);

	if (setpriority(PRIO_PROCESS, 0, -20) != 0)
		log_debug("capture", "no higher priority: %s", strerror(errno));
	return nice;
}

static void handle_map(struct capture *c, const struct pev_record *r)
{
	struct proc_file_key key = {
		.path = r->mmap.path,
		.build_id = r->mmap.build_id,
		.major = r->mmap.major,
		.minor = r->mmap.minor,
		.inode = r->mmap.inode,
	};

	if (r->pid == UINT32_MAX) /* the kernel's own */
		return;
	proc_model_map(&c->model, r->pid, r->mmap.start, r->mmap.start + r->mmap.size,
		       r->mmap.offset, &key, r->time);
}

/* The event that a count is of is that of the ring's CPU, wherever the thread ended. */
static void handle_count(struct capture *c, const struct pev_record *r, uint32_t ring_cpu)
{
	uint32_t thread = map_find(&c->model.by_tid, r->tid);

	if (thread != MAP_NONE)
		ledger_ended(&c->ledger, thread, ring_cpu, r->count);
}

static void handle_exit(struct capture *c, const struct pev_record *r)
{
	uint32_t process = map_find(&c->model.by_pid, r->pid);
	uint32_t thread = map_find(&c->model.by_tid, r->tid);

	if (thread != MAP_NONE)
		grow_thread_over(&c->grow, &c->events, thread, r->time);
	proc_model_exit(&c->model, r->tid, r->time);
	if (process != MAP_NONE && !proc_process_at(&c->model, process)->live_threads)
		vec_push(&c->ended, process);
}

/* Threads with events of their own, whose end was not told. */
static void check_grown(struct capture *c)
{
	for (size_t i = c->grow.open.count; i-- > 0;) {
		uint32_t thread = c->grow.threads.items[c->grow.open.items[i]].thread;

		if (proc_thread_at(&c->model, thread)->has_ended)
			grow_thread_over(&c->grow, &c->events, thread, session_now());
	}
}

/* Until a thread's copies grow its stacks are cut: look closely for a while. */
static void watch(struct capture *c, uint64_t time_ns)
{
	if (c->events.long_bytes > c->events.stack_bytes)
		c->watch_until_ns = time_ns + WATCH_NS;
}

/* An exec ends the other threads; the one that remains has a new stack. */
static void handle_exec(struct capture *c, const struct pev_record *r)
{
	uint32_t thread = map_find(&c->model.by_tid, r->tid);

	session_settle(c, thread, true);
	grow_thread_over(&c->grow, &c->events, thread, session_now());
	check_grown(c);
	watch(c, r->time);
}

void session_check_ended(struct capture *c)
{
	for (size_t i = 0; i < c->ended.count; i++) {
		const struct proc_process *p = proc_process_at(&c->model, c->ended.items[i]);
		uint32_t leader = p->leader;
		char path[64], *words;
		size_t n = 0;

		if (map_find(&c->model.by_pid, p->pid) != c->ended.items[i] || leader == UINT32_MAX)
			continue;
		/* what has ended, or is about to, has no memory, and so no command line */
		snprintf(path, sizeof(path), "/proc/%u/cmdline", p->pid);
		struct error *err = file_read_proc(path, 4096, &words, &n);

		if (!err)
			free(words);
		error_free(err);
		if (n)
			recording_add_diagnostic(c->writer, c->last_record_ns,
						 "process %u gained privileges (it runs a setuid "
						 "program): the kernel ended its sampling there",
						 p->pid);
	}
	c->ended.count = 0;
}

static void handle(struct capture *c, const struct pev_record *r, uint32_t ring_cpu)
{
	switch (r->kind) {
	case PEV_RECORD_SAMPLE:
		session_sample(c, r);
		break;
	case PEV_RECORD_MMAP:
		handle_map(c, r);
		break;
	case PEV_RECORD_COMM:
		proc_model_comm(&c->model, r->pid, r->tid, r->comm.name, r->comm.is_exec, r->time);
		if (r->comm.is_exec)
			handle_exec(c, r);
		break;
	case PEV_RECORD_FORK:
		proc_model_fork(&c->model, r->pid, r->task.ppid, r->tid, r->task.ptid, r->time);
		watch(c, r->time);
		break;
	case PEV_RECORD_EXIT:
		handle_exit(c, r);
		break;
	case PEV_RECORD_LOST:
		c->ledger.lost_records += r->lost;
		c->lost += r->lost;
		c->rescan_due = true;
		break;
	case PEV_RECORD_LOST_SAMPLES:
		c->ledger.lost_samples += r->lost;
		c->lost += r->lost;
		break;
	case PEV_RECORD_THROTTLE:
	case PEV_RECORD_UNTHROTTLE:
		if (!grow_owns(&c->grow, r->stream)) /* the thread's first events tell the same */
			ledger_throttle(&c->ledger, r->stream, r->kind == PEV_RECORD_THROTTLE,
					r->time);
		break;
	case PEV_RECORD_READ:
		handle_count(c, r, ring_cpu);
		break;
	case PEV_RECORD_DAMAGED:
		c->ledger.damaged++;
		break;
	case PEV_RECORD_OTHER:
		break;
	}
	if (r->time > c->last_record_ns)
		c->last_record_ns = r->time;
}

/* The time of a ring's oldest record; UINT64_MAX for an empty ring, 0 for a record without one. */
static uint64_t head_time(struct capture *c, struct events_cpu *cpu)
{
	const struct perf_event_header *header;
	uint64_t time;
	size_t size;

	header = pev_ring_peek(&cpu->ring, &size);
	if (!header)
		return UINT64_MAX;
	time = pev_record_time(header, size, &c->events.format);
	return time == UINT64_MAX ? 0 : time;
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

void drain_round(struct capture *c, uint64_t until_ns)
{
	size_t n = c->events.cpus.count;
	struct events_cpu *cpus = c->events.cpus.items;
	uint64_t *times = mem_alloc(n * sizeof(*times));
	uint64_t *released = mem_alloc(n * sizeof(*released));

	for (size_t i = 0; i < n; i++) {
		pev_ring_refresh(&cpus[i].ring);
		if (pev_ring_used(&cpus[i].ring) > cpus[i].ring.size / 2 && until_ns != UINT64_MAX)
			until_ns = session_now(); /* order matters less than what would be lost */
		times[i] = head_time(c, &cpus[i]);
		released[i] = cpus[i].ring.tail;
	}
	for (;;) {
		size_t oldest = 0, size;
		struct pev_record r;

		for (size_t i = 1; i < n; i++)
			if (times[i] < times[oldest])
				oldest = i;
		if (times[oldest] == UINT64_MAX || times[oldest] > until_ns)
			break;

		struct pev_ring *ring = &cpus[oldest].ring;
		const struct perf_event_header *header = pev_ring_peek(ring, &size);

		pev_record_parse(header, size, &c->events.format, &r);
		handle(c, &r, (uint32_t)cpus[oldest].cpu);
		pev_ring_pop(ring, size);
		if (ring->tail - released[oldest] >= RELEASE_EVERY) {
			pev_ring_release(ring);
			released[oldest] = ring->tail;
		}
		times[oldest] = head_time(c, &cpus[oldest]);
	}
	for (size_t i = 0; i < n; i++)
		pev_ring_release(&cpus[i].ring);
	c->live_threads = c->model.live_threads;
	c->live_targets = count_live_targets(c);
	free(times);
	free(released);
}

/* Threads that the model thinks alive, though their exit was lost, or was never told. */
static void check_live(struct capture *c)
{
	for (uint32_t i = 0; i < c->model.threads.count && c->ledger.lost_records; i++) {
		const struct proc_thread *t = &c->model.threads.items[i];
		uint32_t pid = proc_process_at(&c->model, t->process)->pid;
		char path[64];

		if (t->has_ended)
			continue;
		snprintf(path, sizeof(path), "/proc/%u/task/%u", pid, t->tid);
		if (access(path, F_OK) != 0)
			proc_model_end(&c->model, i);
	}
}

static uint64_t choose_lag(const struct capture *c)
{
	uint64_t samples = c->events.ring_bytes / (c->events.long_bytes + 1024);
	uint64_t holds_ns =
		c->frequency_hz ? samples * 1000000000ull / c->frequency_hz : UINT64_MAX;

	return MIN(LAG_NS, holds_ns / 4);
}

void *drain_thread(void *session)
{
	struct capture *c = session;
	size_t n = c->events.cpus.count;
	struct pollfd *fds = mem_calloc(n + 1, sizeof(*fds));
	uint64_t lag = choose_lag(c);
	uint64_t checked = session_now(), flush_at = checked + FIRST_FLUSH_NS, rescanned = 0;

	prctl(PR_SET_NAME, "cprof-drain");
	session_hurry();
	watch(c, session_now());
	for (size_t i = 0; i < n; i++)
		fds[i] = (struct pollfd){ .fd = c->events.cpus.items[i].owner, .events = POLLIN };
	fds[n] = (struct pollfd){ .fd = c->wake, .events = POLLIN };
	while (!c->stopping) {
		bool watches = session_now() < c->watch_until_ns;
		uint64_t now;

		if (poll(fds, n + 1, watches ? WATCH_POLL_MS : POLL_MS) < 0 && errno != EINTR) {
			c->error = error_errno(errno, "cannot wait for the kernel's samples");
			c->failed = true;
			break;
		}
		now = session_now();
		drain_round(c, now - (watches ? MIN(lag, WATCH_LAG_NS) : lag));
		if (c->rescan_due && now - rescanned >= RESCAN_NS) {
			c->rescan_due = false;
			rescanned = now;
			proc_model_rescan_all(&c->model, now);
		}
		if (now - checked >= LIVE_CHECK_NS) {
			check_live(c);
			check_grown(c);
			session_check_ended(c);
			checked = now;
		}
		if (now >= flush_at) {
			flush_at = now + FLUSH_NS;
			c->error = recording_flush(c->writer);
			if (c->error) {
				c->failed = true;
				break;
			}
		}
	}
	grow_stop(&c->grow, &c->events, c->stopping ? c->stop_ns : session_now());
	free(fds);
	return NULL;
}
