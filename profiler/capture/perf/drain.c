/*
 * The records of all rings in the order of their time, each applied to the model or unwound where
 * it lies.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "profiler/capture/perf/perf.h"

#define WATCH_NS      300000000ull /* after a thread or program began: it may soon need more */
#define RELEASE_EVERY (256u << 10) /* bytes that may be read before the kernel gets them back */
#define CHECK_NS      200000000ull

/* The event that a count is of is that of the ring's CPU, wherever the thread ended. */
static void handle_count(struct capture *c, const struct pev_record *r, uint32_t ring_cpu)
{
	uint32_t thread = map_find(&c->model.by_tid, r->tid);

	if (thread != MAP_NONE)
		ledger_ended(&perf_of(c)->ledger, thread, ring_cpu, r->count);
}

static void handle_exit(struct capture *c, const struct pev_record *r)
{
	uint32_t process = map_find(&c->model.by_pid, r->pid);
	uint32_t thread = map_find(&c->model.by_tid, r->tid);
	struct perf_state *s = perf_of(c);

	if (thread != MAP_NONE)
		grow_thread_over(&s->grow, &s->events, thread, r->time);
	proc_model_exit(&c->model, r->tid, r->time);
	if (process != MAP_NONE && !proc_process_at(&c->model, process)->live_threads)
		vec_push(&s->ended, process);
}

/* Threads with events of their own, whose end was not told. */
static void check_grown(struct capture *c)
{
	struct perf_state *s = perf_of(c);
	struct grow *g = &s->grow;

	for (size_t i = g->open.count; i-- > 0;) {
		uint32_t thread = g->threads.items[g->open.items[i]].thread;

		if (proc_thread_at(&c->model, thread)->has_ended)
			grow_thread_over(g, &s->events, thread, session_now());
	}
}

void perf_watch(struct capture *c, uint64_t time_ns)
{
	const struct events *e = &perf_of(c)->events;

	if (e->long_bytes > e->stack_bytes)
		c->watch_until_ns = time_ns + WATCH_NS;
}

/* An exec ends the other threads; the one that remains has a new stack. */
static void handle_exec(struct capture *c, const struct pev_record *r)
{
	uint32_t thread = map_find(&c->model.by_tid, r->tid);
	struct perf_state *s = perf_of(c);

	session_settle(c, thread, true);
	grow_thread_over(&s->grow, &s->events, thread, session_now());
	check_grown(c);
	perf_watch(c, r->time);
}

void perf_check_ended(struct capture *c)
{
	struct perf_state *s = perf_of(c);

	for (size_t i = 0; i < s->ended.count; i++) {
		const struct proc_process *p = proc_process_at(&c->model, s->ended.items[i]);
		uint32_t leader = p->leader;
		char path[64], *words;
		size_t n = 0;

		if (map_find(&c->model.by_pid, p->pid) != s->ended.items[i] || leader == UINT32_MAX)
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
	s->ended.count = 0;
}

static void handle(struct capture *c, const struct pev_record *r, uint32_t ring_cpu)
{
	struct perf_state *s = perf_of(c);

	switch (r->kind) {
	case PEV_RECORD_SAMPLE:
		perf_sample(c, r);
		break;
	case PEV_RECORD_MMAP:
		session_map(c, r);
		break;
	case PEV_RECORD_COMM:
		proc_model_comm(&c->model, r->pid, r->tid, r->comm.name, r->comm.is_exec, r->time);
		if (r->comm.is_exec)
			handle_exec(c, r);
		break;
	case PEV_RECORD_FORK:
		proc_model_fork(&c->model, r->pid, r->task.ppid, r->tid, r->task.ptid, r->time);
		perf_watch(c, r->time);
		break;
	case PEV_RECORD_EXIT:
		handle_exit(c, r);
		break;
	case PEV_RECORD_LOST:
		s->ledger.lost_records += r->lost;
		c->lost_records += r->lost;
		c->lost += r->lost;
		c->rescan_due = true;
		break;
	case PEV_RECORD_LOST_SAMPLES:
		s->ledger.lost_samples += r->lost;
		c->lost += r->lost;
		break;
	case PEV_RECORD_THROTTLE:
	case PEV_RECORD_UNTHROTTLE:
		if (!grow_owns(&s->grow, r->stream)) /* the thread's first events tell the same */
			ledger_throttle(&s->ledger, r->stream, r->kind == PEV_RECORD_THROTTLE,
					r->time);
		break;
	case PEV_RECORD_READ:
		handle_count(c, r, ring_cpu);
		break;
	case PEV_RECORD_DAMAGED:
		s->ledger.damaged++;
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
	time = pev_record_time(header, size, &perf_of(c)->events.format);
	return time == UINT64_MAX ? 0 : time;
}

void perf_drain(struct capture *c, bool is_last)
{
	uint64_t until_ns = is_last ? UINT64_MAX : session_now() - session_lag_ns(c);
	struct perf_state *s = perf_of(c);
	size_t n = s->events.cpus.count;
	struct events_cpu *cpus = s->events.cpus.items;
	uint64_t *times = mem_alloc(n * sizeof(*times));
	uint64_t *released = mem_alloc(n * sizeof(*released));

	if (is_last) /* nothing is sampled any more */
		grow_stop(&s->grow, &s->events, c->stop_ns);
	for (size_t i = 0; i < n; i++) {
		pev_ring_refresh(&cpus[i].ring);
		if (pev_ring_used(&cpus[i].ring) > cpus[i].ring.size / 2 && !is_last)
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

		pev_record_parse(header, size, &s->events.format, &r);
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
	free(times);
	free(released);
}

void perf_tend(struct capture *c, uint64_t now_ns)
{
	if (now_ns - perf_of(c)->checked_ns < CHECK_NS)
		return;
	perf_of(c)->checked_ns = now_ns;
	check_grown(c);
	perf_check_ended(c);
}
