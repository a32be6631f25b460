/*
 * The end of a session of the perf backend: its ledger summed up, and everything that a user must
 * know of, as facts and diagnostics of the recording.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "profiler/capture/perf/perf.h"

/* What the events counted. */
struct counts {
	uint64_t value, running_ns, lost;
};

static void read_counts(struct capture *c, struct counts *ret)
{
	const struct perf_state *p = perf_of(c);
	*ret = (struct counts){ 0 };
	for (size_t i = 0; i < p->events.fds.count; i++) {
		struct pev_count n;

		if (!pev_read(p->events.fds.items[i].fd, &p->events.sampling, &n))
			continue;
		ret->value += n.value;
		ret->running_ns += n.running_ns;
		ret->lost += n.lost;
	}
}

/* Kernel time that was not seen, of each process. */
struct hidden {
	struct capture *c;
	VEC(int64_t) by_process;
	int64_t total;
};

static void hide(struct hidden *h, uint32_t process, int64_t amount)
{
	while (h->by_process.count <= process)
		vec_push(&h->by_process, 0);
	h->by_process.items[process] += amount;
	h->total += amount;
}

static void hide_thread(void *context, uint32_t thread, int64_t beyond)
{
	struct hidden *h = context;

	hide(h, proc_thread_at(&h->c->model, thread)->process, beyond);
}

/* The threads that still run, and those that the events were opened on (their own counts are told
 * by no record): what the events counted beyond the threads that ended, less their samples. */
static void add_unended(struct capture *c, uint64_t counted, struct ledger_rest *rest,
			struct hidden *h)
{
	const struct perf_state *p = perf_of(c);
	int64_t count = (int64_t)counted, room;
	uint64_t contexts = 0;

	for (size_t i = 0; i < p->ledger.entries.count; i++) {
		const struct ledger_entry *e = &p->ledger.entries.items[i];

		if (e->has_ended)
			count -= (int64_t)e->count;
		else
			count -= (int64_t)e->weight;
		if (!e->has_ended)
			contexts += e->was_split ? 2 : 1;
	}
	/* one that was never sampled is in no entry */
	contexts = MAX(contexts, (uint64_t)p->events.tids.count);
	/* each has up to one period to go; half of one, where more cannot be told from kernel time
	 */
	room = (int64_t)(contexts * c->period) / (p->events.sampling.sees_kernel ? 1 : 2);
	int64_t own = count > room ? room : count < -room ? -room : count;

	rest->unsampled += own;
	rest->beyond += count - own;
	uint32_t first = p->events.tids.count
				 ? proc_model_find_thread(&c->model, p->events.tids.items[0])
				 : UINT32_MAX;
	if (count > own && first != UINT32_MAX)
		hide(h, proc_thread_at(&c->model, first)->process, count - own);
}

/* Each process's hidden time as one sample with a frame that says so. */
static void write_hidden(struct capture *c, const struct hidden *h)
{
	static const char name[] = "[kernel, not visible]";
	uint32_t stack = 0;

	for (uint32_t i = 0; i < h->by_process.count; i++) {
		int64_t amount = h->by_process.items[i];
		uint32_t leader = proc_process_at(&c->model, i)->leader;

		if (amount <= 0 || leader == UINT32_MAX)
			continue;
		if (!stack) {
			struct recording_location l = { 0 };

			l.file = recording_add_file(
				c->writer,
				&(struct recording_file){
					.kind = RECORDING_FILE_SENTINEL,
					.path = recording_add_string(c->writer, name, strlen(name)),
				});
			stack = recording_add_stack(c->writer, 0,
						    recording_add_location(c->writer, &l));
		}
		recording_add_sample(c->writer,
				     &(struct recording_sample){
					     .time_ns = MAX(c->last_record_ns, c->start_ns),
					     .weight = (uint64_t)amount,
					     .thread = proc_model_thread_id(&c->model, leader),
					     .comm = proc_model_comm_of(&c->model, i),
					     .stack = stack,
					     .event = c->event,
					     .status = UNWIND_KTHREAD,
				     });
	}
}

/* Records that made no sense, and rings that had to be emptied unread. */
static uint64_t count_damaged(const struct capture *c)
{
	const struct perf_state *p = perf_of(c);
	uint64_t damaged = p->ledger.damaged;

	for (size_t i = 0; i < p->events.cpus.count; i++)
		damaged += p->events.cpus.items[i].ring.damaged;
	return damaged;
}

/*
 * Of the time that no sample stands for, what was spent in the kernel, unseen: never more than the
 * kernel measured. What is more than that came too late for a sample, a period for each thread and
 * CPU at the most. Time that the accounting does not know (of processes that nobody waited for) may
 * be either.
 */
static int64_t hidden_of(struct capture *c, int64_t beyond, uint64_t running_ns,
			 struct ledger_rest *rest)
{
	const struct perf_state *p = perf_of(c);
	struct session_times t;

	if (p->events.sampling.sees_kernel || !p->events.sampling.kind->is_clock || beyond <= 0)
		return 0;
	session_times(c, &t);

	uint64_t known = t.user_ns + t.system_ns;
	uint64_t most = t.system_ns + (running_ns > known ? running_ns - known : 0);
	int64_t hidden = (int64_t)MIN((uint64_t)beyond, most);
	uint64_t contexts = p->ledger.entries.count + p->events.tids.count;
	int64_t room = (int64_t)(contexts * c->period) - rest->unsampled;

	rest->unsampled += MAX(MIN(beyond - hidden, room), 0);
	return hidden;
}

static void write_ledger(struct capture *c)
{
	const struct perf_state *p = perf_of(c);
	struct hidden h = { .c = c };
	struct ledger_rest rest;
	struct counts n;
	uint64_t period = c->period;

	read_counts(c, &n);
	uint64_t lost = MAX(n.lost, p->ledger.lost_records) + p->ledger.lost_samples;
	uint64_t throttled = p->ledger.throttled_ns;

	lost -= grow_lost_twice(&p->grow, lost);

	ledger_sum(&p->ledger, period, &rest, hide_thread, &h);
	add_unended(c, n.value, &rest, &h);

	/* what is beyond whole periods is one of these, whatever is left has no explanation */
	int64_t beyond = rest.beyond - (int64_t)(lost * period) -
			 (p->events.sampling.kind->is_clock ? (int64_t)throttled : 0);
	int64_t unsampled = rest.unsampled;
	int64_t hidden = hidden_of(c, beyond, n.running_ns, &rest);

	beyond -= hidden + rest.unsampled - unsampled;

	if (hidden && h.total > 0)
		for (size_t i = 0; i < h.by_process.count; i++) /* each its share */
			h.by_process.items[i] = (int64_t)((double)h.by_process.items[i] *
							  (double)hidden / (double)h.total);
	if (hidden)
		write_hidden(c, &h);
	vec_deinit(&h.by_process);

	session_fact(c, "expected_samples", n.value / period);
	session_fact(c, "emitted_samples", p->ledger.emitted);
	session_fact(c, "lost_samples", lost);
	session_fact(c, "throttled_samples", throttled / period);
	session_fact(c, "unsampled_ns", (uint64_t)MAX(rest.unsampled, 0));
	session_fact(c, "unsampled_tasks", rest.unsampled_tasks);
	session_fact(c, "kernel_not_visible_ns", (uint64_t)hidden);
	session_fact(c, "unexplained_samples", (uint64_t)MAX(beyond, 0) / period);
	session_fact(c, "target_cpu_ns", n.running_ns);
	session_fact(c, "damaged_records", count_damaged(c));
}

static void write_diagnostics(struct capture *c)
{
	const struct perf_state *p = perf_of(c);
	const struct pev_kind *kind = p->events.sampling.kind;
	uint64_t now = c->stop_ns;

	if (c->walk.by_status[UNWIND_COPY_SHORT] && p->events.was_halved)
		recording_add_diagnostic(
			c->writer, now,
			"%" PRIu64 " stacks are cut: there was too little lockable "
			"memory for copies of more than %u bytes (raise `ulimit -l`)",
			c->walk.by_status[UNWIND_COPY_SHORT], p->events.long_bytes);
	if (p->grow.refused)
		recording_add_diagnostic(
			c->writer, now,
			"%u threads have deep stacks, of which only %u bytes were copied: %s",
			p->grow.refused, p->events.stack_bytes,
			p->grow.errnum == EMFILE
				? "too few file descriptors for longer copies (raise `ulimit -n`)"
				: strerror(p->grow.errnum));
	if (kind->type == PERF_TYPE_SOFTWARE && kind->config == PERF_COUNT_SW_CONTEXT_SWITCHES &&
	    !p->events.sampling.sees_kernel)
		recording_add_diagnostic(c->writer, now,
					 "%s happen in the kernel, which is not sampled here: run "
					 "as root, or sysctl kernel.perf_event_paranoid=1 (and "
					 "without --user-only)",
					 kind->name);
	perf_check_ended(c);
}

void perf_write_facts(struct capture *c)
{
	const struct perf_state *p = perf_of(c);

	write_ledger(c);
	write_diagnostics(c);
	session_fact(c, "stack_bytes", p->events.stack_bytes);
	session_fact(c, "grown_threads", p->grow.grown);
	session_fact(c, "ring_bytes", p->events.ring_bytes);
	session_fact(c, "sees_kernel", p->events.sampling.sees_kernel);
}
