/*
 * The records of all queues in the order of their time: side-band, samples, and the slots that the
 * kernel program gave out. Parts of a stack come in front of their sample, in the same queue.
 */
#include <stdlib.h>

#include "profiler/capture/ebpf/ebpf.h"

#define GONE_NS	     3000000000ull /* after a loss: who ended may still be there for a moment */
#define END_DELAY_NS 20000000ull
#define WATCH_NS     50000000ull /* after something that mappings have to be published for */

/* Everything that a round takes records from. */
struct sources {
	uint64_t *times; /* of the oldest record of each; UINT64_MAX: there is none */
	uint32_t count;	 /* of queues, and one: the slots */
};

static bool is_known(struct capture *c, uint32_t pid)
{
	uint32_t process = map_find(&c->model.by_pid, pid);

	return process != MAP_NONE && proc_process_at(&c->model, process)->live_threads > 0;
}

/* On a whole machine something always is new, and no hurry. */
void ebpf_watch(struct capture *c, uint64_t time_ns)
{
	if (ebpf_takes_all(c))
		return;
	c->watch_until_ns = time_ns + WATCH_NS;
	intake_watch(ebpf_of(c)->intake, c->watch_until_ns);
}

/* Whether a fork or a new thread is a target's. */
static bool follows(struct capture *c, const struct pev_record *r)
{
	uint32_t thread = map_find(&c->model.by_tid, r->task.ptid);

	if (!is_known(c, r->task.ppid))
		return false;
	return c->target != CAPTURE_THREADS ||
	       (thread != MAP_NONE && !proc_thread_at(&c->model, thread)->has_ended);
}

/* Where not all threads are known (of what was there before, those that were sampled are), the last
 * one that is may not be the last: another one becomes known before it ends. */
static void look_for_others(struct capture *c, const struct ebpf_ending *e)
{
	struct proc_ids tids = { 0 };

	proc_threads(e->pid, &tids);
	for (size_t i = 0; i < tids.count; i++) {
		if (tids.items[i] == e->tid || proc_thread_has_ended(e->pid, tids.items[i]))
			continue;
		proc_model_thread(&c->model, e->pid, tids.items[i], e->time_ns);
		break;
	}
	vec_deinit(&tids);
}

static bool may_have_others(struct capture *c, const struct ebpf_ending *e)
{
	if (!ebpf_takes_all(c))
		return false;
	if (!is_known(c, e->pid))
		return e->pid == e->tid;
	return proc_process_at(&c->model, map_find(&c->model.by_pid, e->pid))->live_threads == 1;
}

static void end_thread(struct capture *c, const struct ebpf_ending *e)
{
	if (map_find(&ebpf_of(c)->slot_of_pid, e->pid) != MAP_NONE && may_have_others(c, e))
		look_for_others(c, e);
	if (!is_known(c, e->pid)) {
		if (e->pid == e->tid && map_find(&ebpf_of(c)->slot_of_pid, e->pid) != MAP_NONE)
			ebpf_take_slot(c, e->pid);
		return;
	}
	proc_model_exit(&c->model, e->tid, MAX(e->time_ns, c->model.latest_ns));
	if (!is_known(c, e->pid))
		ebpf_take_slot(c, e->pid);
}

/* Where an exec gives privileges (setuid), the kernel ends the events of the thread, and tells of
 * its end, though only the old program's: between the record of the exec and the first mapping. */
static bool is_in_exec(struct capture *c, const struct ebpf_ending *e)
{
	const struct proc_process *p;

	if (!is_known(c, e->pid))
		return false;
	p = proc_process_at(&c->model, map_find(&c->model.by_pid, e->pid));
	return p->was_execed && p->space && !p->space->count && !proc_has_ended(e->pid);
}

/* A process gives its memory back, which takes long if there is much of it, or no CPU is free: its
 * samples want to know what was mapped until it is done, and those of before that are handled. */
static bool is_exiting(struct capture *c, struct ebpf_ending *e)
{
	const struct proc_process *p;

	if (e->is_over || !is_known(c, e->pid) || !ebpf_has_last(c, e->pid, e->tid))
		return false;
	p = proc_process_at(&c->model, map_find(&c->model.by_pid, e->pid));
	if (p->live_threads != 1)
		return false;
	e->is_over = proc_has_ended(e->pid);
	e->time_ns = session_now() - (e->is_over ? END_DELAY_NS : 0);
	return true;
}

/* The kernel tells of a thread's end (since 6.16) while that still has its memory: samples may
 * follow, which want to know what was mapped. */
static void end_threads(struct capture *c, uint64_t now_ns)
{
	struct ebpf_state *e = ebpf_of(c);

	while (e->endings_taken < e->endings.count &&
	       e->endings.items[e->endings_taken].time_ns + END_DELAY_NS <= now_ns) {
		struct ebpf_ending ending = e->endings.items[e->endings_taken++];

		if (now_ns != UINT64_MAX && is_exiting(c, &ending)) {
			vec_push(&e->endings, ending);
		} else if (now_ns != UINT64_MAX && is_in_exec(c, &ending)) {
			/* its first mapping, or its end, comes yet */
			ending.time_ns = now_ns;
			vec_push(&e->endings, ending);
		} else {
			end_thread(c, &ending);
		}
	}
	vec_shed(&e->endings, &e->endings_taken);
}

/* Whoever maps code has not ended. */
static void take_back_end(struct capture *c, uint32_t tid)
{
	struct ebpf_state *e = ebpf_of(c);
	size_t kept = e->endings_taken;

	for (size_t i = e->endings_taken; i < e->endings.count; i++)
		if (e->endings.items[i].tid != tid)
			e->endings.items[kept++] = e->endings.items[i];
	e->endings.count = kept;
}

/* These numbers mean something else from now on. */
static void end_threads_of(struct capture *c, uint32_t pid, uint32_t tid)
{
	struct ebpf_state *e = ebpf_of(c);
	size_t kept = e->endings_taken;

	for (size_t i = e->endings_taken; i < e->endings.count; i++) {
		if (e->endings.items[i].pid == pid || e->endings.items[i].tid == tid)
			end_thread(c, &e->endings.items[i]);
		else
			e->endings.items[kept++] = e->endings.items[i];
	}
	e->endings.count = kept;
}

static void handle_fork(struct capture *c, const struct pev_record *r)
{
	uint32_t known;

	ebpf_forget_last(c, r->tid);
	end_threads_of(c, r->pid != r->task.ppid ? r->pid : 0, r->tid);
	known = map_find(&c->model.by_pid, r->pid);
	/* a number that comes back: of a process that ended, or whose end was lost */
	if (r->pid != r->task.ppid && known != MAP_NONE &&
	    proc_process_at(&c->model, known)->scan_ns < r->time) {
		ebpf_take_slot(c, r->pid);
		proc_model_forget(&c->model, r->pid);
	}
	if (!follows(c, r))
		return;
	proc_model_fork(&c->model, r->pid, r->task.ppid, r->tid, r->task.ptid, r->time);
}

static void handle_comm(struct capture *c, const struct pev_record *r)
{
	/* a program may be gone by the time that its first sample is looked at: then it is too late
	 * to ask what it had mapped */
	bool may_be_target = is_known(c, r->pid) || (r->comm.is_exec && ebpf_takes_all(c));

	if (!may_be_target)
		return;
	if (!r->comm.is_exec && map_find(&c->model.by_tid, r->tid) == MAP_NONE)
		return; /* a thread that is no target */
	if (r->comm.is_exec) {
		ebpf_forget_last(c, r->pid);
		end_threads_of(c, r->pid, r->tid);
	}
	proc_model_comm(&c->model, r->pid, r->tid, r->comm.name, r->comm.is_exec, r->time);
	if (!r->comm.is_exec)
		return;
	session_settle(c, map_find(&c->model.by_tid, r->tid), true);
	ebpf_take_slot(c, r->pid); /* the kernel program gave it another one */
	ebpf_begin_program(c, map_find(&c->model.by_pid, r->pid), r->time);
	ebpf_watch(c, r->time);
}

static void handle_map(struct capture *c, const struct pev_record *r)
{
	uint32_t process = map_find(&c->model.by_pid, r->pid), first = process;
	struct pev_record of_it = *r;

	if (!is_known(c, r->pid))
		return;
	take_back_end(c, r->tid);
	do { /* all that have this memory */
		of_it.pid = proc_process_at(&c->model, process)->pid;
		ebpf_replace_code(c, process, &of_it);
		session_map(c, &of_it);
		ebpf_touch_space(c, process);
		process = proc_process_at(&c->model, process)->memory_next;
	} while (process != first);
}

/* In a pid namespace: what is outside of it has no number there. */
static bool is_foreign(const struct pev_record *r)
{
	return r->kind != PEV_RECORD_LOST && (r->pid == 0 || r->pid == UINT32_MAX);
}

static void handle_side_band(struct capture *c, const struct pev_record *r)
{
	if (is_foreign(r))
		return;
	switch (r->kind) {
	case PEV_RECORD_MMAP:
		handle_map(c, r);
		break;
	case PEV_RECORD_COMM:
		handle_comm(c, r);
		break;
	case PEV_RECORD_FORK:
		handle_fork(c, r);
		break;
	case PEV_RECORD_EXIT:
		vec_push(
			&ebpf_of(c)->endings,
			((struct ebpf_ending){ .pid = r->pid, .tid = r->tid, .time_ns = r->time }));
		break;
	case PEV_RECORD_LOST:
		ebpf_of(c)->side_band_lost += r->lost;
		c->lost_records += r->lost;
		ebpf_of(c)->gone_until_ns = session_now() + GONE_NS;
		c->rescan_due = true;
		break;
	default:
		break;
	}
}

static void handle_samples(struct capture *c, uint32_t ring, const struct kern_record *r)
{
	if (r->kind == KERN_RECORD_PART || r->kind == KERN_RECORD_ASIDE_PART)
		ebpf_part(c, ring, (const struct kern_part *)r);
	else if (r->kind == KERN_RECORD_LAST || r->kind == KERN_RECORD_LATER)
		ebpf_aside(c, ring, (const struct kern_aside *)r);
	else if (r->kind == KERN_RECORD_SAMPLE)
		ebpf_sample(c, ring, (const struct kern_sample *)r);
}

/* The time of the oldest record of a source. */
static uint64_t head_time(struct capture *c, const struct sources *s, uint32_t i)
{
	struct ebpf_state *e = ebpf_of(c);
	struct intake_queue *q;
	const void *record;
	uint64_t time;
	size_t size;

	if (i == s->count - 1)
		return e->new_slots_taken < e->new_slots.count
			       ? e->new_slots.items[e->new_slots_taken].time_ns
			       : UINT64_MAX;
	q = intake_queue_at(e->intake, i);
	record = backlog_peek(&q->records, &size);
	if (!record)
		return UINT64_MAX;
	if (q->kind == INTAKE_SAMPLES)
		return ((const struct kern_record *)record)->time_ns;
	time = pev_record_time(record, size, &e->side_band.format);
	return time == UINT64_MAX ? 0 : time;
}

static void handle(struct capture *c, const struct sources *s, uint32_t i)
{
	struct ebpf_state *e = ebpf_of(c);
	struct intake_queue *q;
	const void *record;
	size_t size;

	if (i == s->count - 1) {
		const struct ebpf_new_slot *new = &e->new_slots.items[e->new_slots_taken++];

		ebpf_give_slot(c, new->pid, new->slot);
		return;
	}
	q = intake_queue_at(e->intake, i);
	record = backlog_peek(&q->records, &size);
	if (q->kind == INTAKE_SAMPLES) {
		handle_samples(c, q->ring, record);
	} else {
		struct pev_record r;

		pev_record_parse(record, size, &e->side_band.format, &r);
		handle_side_band(c, &r);
	}
	backlog_pop(&q->records);
}

static uint32_t oldest_of(const struct sources *s)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < s->count; i++)
		if (s->times[i] < s->times[oldest])
			oldest = i;
	return oldest;
}

static void handle_until(struct capture *c, uint64_t until_ns)
{
	struct ebpf_state *e = ebpf_of(c);
	struct sources s = { .count = intake_queue_count(e->intake) + 1 };

	s.times = mem_alloc(s.count * sizeof(*s.times));
	e->until_ns = until_ns;
	for (uint32_t i = 0; i < s.count; i++)
		s.times[i] = head_time(c, &s, i);
	for (;;) {
		uint32_t i = oldest_of(&s);
		uint64_t time = s.times[i];

		if (time == UINT64_MAX || time > until_ns)
			break;
		end_threads(c, time);
		handle(c, &s, i);
		s.times[i] = head_time(c, &s, i);
		if (time > c->last_record_ns)
			c->last_record_ns = time;
	}
	end_threads(c, until_ns);
	ebpf_tend_asides(c, until_ns);
	free(s.times);
	e->drained_ns = until_ns;
}

/* Tables that are wanted, out of turn: until they are there, each sample of that code is sent with
 * its whole stack. */
static void compile_wants(struct capture *c)
{
	struct intake_want w;

	while (intake_take_want(ebpf_of(c)->intake, &w)) {
		const struct kern_maps *maps = ebpf_maps_of(c, w.maps);
		const struct unwind_mapping *m = NULL;

		if (maps)
			m = ebpf_find_mapping((const struct unwind_mapping *)(maps + 1),
					      maps->count, w.address);
		if (m && m->kind == UNWIND_MAP_TABLE)
			unwind_tables_compile(c->tables, m, w.address);
	}
}

void ebpf_drain(struct capture *c, bool is_last)
{
	struct intake *in = ebpf_of(c)->intake;

	intake_clear_wake(in);
	compile_wants(c);
	if (is_last) {
		intake_stop(in);
		while (intake_copy(in)) { /* what it holds is bounded */
			ebpf_refresh_slots(c);
			handle_until(c, intake_copied_ns(in));
		}
	}
	c->watch_until_ns = MAX(c->watch_until_ns, intake_watches_until(in));
	ebpf_refresh_slots(c);
	handle_until(c, is_last ? UINT64_MAX : intake_copied_ns(in) - session_lag_ns(c));
	ebpf_publish_spaces(c);
}
