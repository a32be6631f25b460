/*
 * The perf backend: events of the kernel's perf interface on every thread, each sample with a copy
 * of the stack, which is unwound here. Needs no privileges beyond those of perf_event_paranoid 2.
 */
#include <stdlib.h>

#include "profiler/capture/perf/perf.h"

#define LAG_NS	      10000000ull
#define POLL_MS	      20
#define WATCH_POLL_MS 2

/* A quarter of the time that a ring holds. */
static uint64_t choose_lag(const struct capture *c, const struct events *e)
{
	uint64_t samples = e->ring_bytes / (e->long_bytes + 1024);
	uint64_t holds_ns =
		c->frequency_hz ? samples * 1000000000ull / c->frequency_hz : UINT64_MAX;

	return MIN(LAG_NS, holds_ns / 4);
}

static struct error *perf_open(struct capture *c, const struct capture_options *o,
			       const struct pev_kind *kind)
{
	struct perf_state *p = mem_calloc(1, sizeof(*p));
	struct events *e = &p->events;

	c->backend_state = p;
	TRY(events_init(e, kind,
			&(struct events_options){
				.period = c->period,
				.frequency_hz = c->frequency_hz,
				.stack_bytes = o->stack_bytes,
				.ring_bytes = o->ring_bytes,
				.user_only = o->user_only,
				.is_switched = c->is_switched,
			}));
	for (size_t i = 0; i < e->cpus.count; i++)
		vec_push(&c->wake_fds, e->cpus.items[i].owner);
	c->lag_ns = choose_lag(c, e);
	c->poll_ms = POLL_MS;
	c->watch_poll_ms = WATCH_POLL_MS;
	c->tables = unwind_tables_create(NULL);
	return NULL;
}

static struct error *perf_hold_command(struct capture *c, uint32_t pid)
{
	bool gone = false;

	TRY(events_open_thread(&perf_of(c)->events, pid, true, &gone));
	proc_model_thread(&c->model, pid, pid, session_now());
	perf_watch(c, session_now());
	return NULL;
}

/* What is mapped and who is who, of everything that there is; after the events, so that whatever
 * changes meanwhile is told by them. */
static void scan_targets(struct capture *c, const struct proc_ids *pids)
{
	for (size_t i = 0; i < pids->count; i++) {
		struct proc_ids tids = { 0 };

		proc_threads(pids->items[i], &tids);
		for (size_t t = 0; t < tids.count; t++)
			proc_model_thread(&c->model, pids->items[i], tids.items[t], session_now());
		vec_deinit(&tids);
	}
}

static void drain_while_attaching(void *session)
{
	session_drain(session, false);
}

static bool is_inherited(void *session, uint32_t tid)
{
	struct capture *c = session;
	uint32_t thread = map_find(&c->model.by_tid, tid);

	return thread != MAP_NONE && proc_thread_at(&c->model, thread)->was_told &&
	       !proc_thread_at(&c->model, thread)->has_ended;
}

static struct error *attach_threads(struct capture *c)
{
	TRY(events_attach_threads(&perf_of(c)->events, c->targets.items, c->targets.count));
	for (size_t i = 0; i < c->targets.count; i++) {
		uint32_t tid = c->targets.items[i];

		proc_model_thread(&c->model, proc_of_thread(tid), tid, session_now());
	}
	session_mark_times(c, &c->targets);
	return NULL;
}

static struct error *attach_processes(struct capture *c, struct proc_ids *pids)
{
	struct events_hooks hooks = { drain_while_attaching, is_inherited, c };

	for (size_t i = 0; i < c->targets.count; i++)
		proc_ids_add(pids, c->targets.items[i]);
	TRY(events_attach_processes(&perf_of(c)->events, pids, &hooks));
	scan_targets(c, pids);
	session_mark_times(c, pids);
	return NULL;
}

static struct error *perf_attach(struct capture *c)
{
	struct proc_ids pids = { 0 };
	struct error *err =
		c->target == CAPTURE_THREADS ? attach_threads(c) : attach_processes(c, &pids);

	vec_deinit(&pids);
	perf_watch(c, session_now());
	return err;
}

static void perf_enable(struct capture *c, bool on)
{
	events_enable(&perf_of(c)->events, on);
}

static void perf_close(struct capture *c)
{
	struct perf_state *p = perf_of(c);

	ledger_deinit(&p->ledger);
	grow_deinit(&p->grow, &p->events);
	events_deinit(&p->events);
	vec_deinit(&p->ended);
	free(p);
}

const struct capture_backend perf_backend = {
	.name = "perf",
	.copies_stacks = true,
	.open = perf_open,
	.hold_command = perf_hold_command,
	.attach = perf_attach,
	.drain = perf_drain,
	.tend = perf_tend,
	.enable = perf_enable,
	.write_facts = perf_write_facts,
	.close = perf_close,
};
