/*
 * The end of a session: the ledger summed up, and everything that a user must know of, as facts and
 * diagnostics of the recording.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/capture/session.h"

static void fact(struct capture *c, const char *key, uint64_t value)
{
	recording_set_fact(c->writer, key, value);
}

/* What the events counted. */
struct counts {
	uint64_t value, running_ns, lost;
};

static void read_counts(struct capture *c, struct counts *ret)
{
	*ret = (struct counts){ 0 };
	for (size_t i = 0; i < c->events.fds.count; i++) {
		struct pev_count n;

		if (!pev_read(c->events.fds.items[i].fd, &c->events.sampling, &n))
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
	int64_t count = (int64_t)counted, room;
	uint64_t contexts = 0;

	for (size_t i = 0; i < c->ledger.entries.count; i++) {
		const struct ledger_entry *e = &c->ledger.entries.items[i];

		if (e->has_ended)
			count -= (int64_t)e->count;
		else
			count -= (int64_t)e->weight;
		if (!e->has_ended)
			contexts += e->was_split ? 2 : 1;
	}
	/* one that was never sampled is in no entry */
	contexts = MAX(contexts, (uint64_t)c->events.tids.count);
	/* each has up to one period to go; half of one, where more cannot be told from kernel time
	 */
	room = (int64_t)(contexts * c->period) / (c->events.sampling.sees_kernel ? 1 : 2);
	int64_t own = count > room ? room : count < -room ? -room : count;

	rest->unsampled += own;
	rest->beyond += count - own;
	uint32_t first = c->events.tids.count
				 ? proc_model_find_thread(&c->model, c->events.tids.items[0])
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
	uint64_t damaged = c->ledger.damaged;

	for (size_t i = 0; i < c->events.cpus.count; i++)
		damaged += c->events.cpus.items[i].ring.damaged;
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
	struct session_times t;

	if (c->events.sampling.sees_kernel || !c->events.sampling.kind->is_clock || beyond <= 0)
		return 0;
	session_times(c, &t);

	uint64_t known = t.user_ns + t.system_ns;
	uint64_t most = t.system_ns + (running_ns > known ? running_ns - known : 0);
	int64_t hidden = (int64_t)MIN((uint64_t)beyond, most);
	uint64_t contexts = c->ledger.entries.count + c->events.tids.count;
	int64_t room = (int64_t)(contexts * c->period) - rest->unsampled;

	rest->unsampled += MAX(MIN(beyond - hidden, room), 0);
	return hidden;
}

static void write_ledger(struct capture *c)
{
	struct hidden h = { .c = c };
	struct ledger_rest rest;
	struct counts n;
	uint64_t period = c->period;

	read_counts(c, &n);
	uint64_t lost = MAX(n.lost, c->ledger.lost_records) + c->ledger.lost_samples;
	uint64_t throttled = c->ledger.throttled_ns;

	lost -= grow_lost_twice(&c->grow, lost);

	ledger_sum(&c->ledger, period, &rest, hide_thread, &h);
	add_unended(c, n.value, &rest, &h);

	/* what is beyond whole periods is one of these, whatever is left has no explanation */
	int64_t beyond = rest.beyond - (int64_t)(lost * period) -
			 (c->events.sampling.kind->is_clock ? (int64_t)throttled : 0);
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

	fact(c, "expected_samples", n.value / period);
	fact(c, "emitted_samples", c->ledger.emitted);
	fact(c, "lost_samples", lost);
	fact(c, "throttled_samples", throttled / period);
	fact(c, "unsampled_ns", (uint64_t)MAX(rest.unsampled, 0));
	fact(c, "unsampled_tasks", rest.unsampled_tasks);
	fact(c, "kernel_not_visible_ns", (uint64_t)hidden);
	fact(c, "unexplained_samples", (uint64_t)MAX(beyond, 0) / period);
	fact(c, "target_cpu_ns", n.running_ns);
	fact(c, "damaged_records", count_damaged(c));
}

/* Processes that were started, and live on when the command has ended. */
static void tell_of_left(struct capture *c)
{
	uint64_t left = 0;

	if (c->target != CAPTURE_COMMAND || c->wait_all || !c->launch.has_ended)
		return;
	for (uint32_t i = 0; i < c->model.processes.count; i++) {
		const struct proc_process *p = &c->model.processes.items[i];
		char path[64];

		if (!p->live_threads || p->pid == (uint32_t)c->launch.pid ||
		    map_find(&c->model.by_pid, p->pid) != i)
			continue;
		snprintf(path, sizeof(path), "/proc/%u", p->pid);
		left += access(path, F_OK) == 0;
	}
	if (left)
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "%" PRIu64 " process%s that the command started run%s on; "
					 "--wait-all records until %s",
					 left, left == 1 ? "" : "es", left == 1 ? "s" : "",
					 left == 1 ? "it ends" : "they end");
}

static void write_diagnostics(struct capture *c)
{
	const struct pev_kind *kind = c->events.sampling.kind;
	uint64_t now = c->stop_ns;

	if (c->walk.by_status[UNWIND_COPY_SHORT] && c->events.was_halved)
		recording_add_diagnostic(
			c->writer, now,
			"%" PRIu64 " stacks are cut: there was too little lockable "
			"memory for copies of more than %u bytes (raise `ulimit -l`)",
			c->walk.by_status[UNWIND_COPY_SHORT], c->events.long_bytes);
	if (c->grow.refused)
		recording_add_diagnostic(
			c->writer, now,
			"%u threads have deep stacks, of which only %u bytes were copied: %s",
			c->grow.refused, c->events.stack_bytes,
			c->grow.errnum == EMFILE
				? "too few file descriptors for longer copies (raise `ulimit -n`)"
				: strerror(c->grow.errnum));
	if (c->delay_ns && !c->start_ns)
		recording_add_diagnostic(c->writer, now,
					 "the program ended before --delay was over: nothing was "
					 "recorded");
	if (kind->type == PERF_TYPE_SOFTWARE && kind->config == PERF_COUNT_SW_CONTEXT_SWITCHES &&
	    !c->events.sampling.sees_kernel)
		recording_add_diagnostic(c->writer, now,
					 "%s happen in the kernel, which is not sampled here: run "
					 "as root, or sysctl kernel.perf_event_paranoid=1 (and "
					 "without --user-only)",
					 kind->name);
	tell_of_left(c);
	session_check_ended(c);
}

void session_write_facts(struct capture *c)
{
	struct rusage usage;

	session_settle(c, UINT32_MAX, false);
	write_ledger(c);
	write_diagnostics(c);
	getrusage(RUSAGE_SELF, &usage);
	fact(c, "elapsed_ns", c->start_ns ? c->stop_ns - c->start_ns : 0);
	fact(c, "cprof_cpu_ns",
	     (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
		     (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000);
	fact(c, "target_user_ns", c->launch.user_ns);
	fact(c, "target_system_ns", c->launch.system_ns);
	fact(c, "frequency_hz", c->frequency_hz);
	fact(c, "stack_bytes", c->events.stack_bytes);
	fact(c, "grown_threads", c->grow.grown);
	fact(c, "ring_bytes", c->events.ring_bytes);
	fact(c, "sees_kernel", c->events.sampling.sees_kernel);
	fact(c, "late_records", c->model.stats.late);
	fact(c, "map_rescans", c->model.stats.rescans);
}
