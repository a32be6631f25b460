/*
 * The ebpf backend: one event a CPU runs a program in the kernel that unwinds user stacks there,
 * with tables that are made here. What it cannot finish it sends, to be finished here.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "profiler/capture/ebpf/ebpf.h"

#define POLL_MS		200 /* the intake wakes the drain when there is something to do */
#define LAG_NS		10000000ull
#define LOOK_AT_CPUS_NS 1000000000ull

bool ebpf_takes_all(const struct capture *c)
{
	return c->target == CAPTURE_ALL || c->target == CAPTURE_CGROUP;
}

static enum kern_target target_of(enum capture_target target)
{
	switch (target) {
	case CAPTURE_THREADS:
		return KERN_TARGET_THREADS;
	case CAPTURE_ALL:
		return KERN_TARGET_ALL;
	case CAPTURE_CGROUP:
		return KERN_TARGET_CGROUP;
	default:
		return KERN_TARGET_PROCESSES;
	}
}

static struct error *ebpf_open(struct capture *c, const struct capture_options *o,
			       const struct pev_kind *kind)
{
	struct ebpf_state *e = mem_calloc(1, sizeof(*e));
	struct kern_options options = {
		.target = target_of(o->target),
		.cgroup = o->cgroup,
		.user_only = o->user_only,
		.may_freeze = o->backend != NULL, /* it was asked for by name */
		.debug_stacks = o->debug_stacks != NULL,
		.ring_bytes = o->ring_bytes,
	};

	c->backend_state = e;
	e->user_only = o->user_only;
	e->is_clock = kind->is_clock;
	e->event = (struct perf_event_attr){
		.type = kind->type,
		.config = kind->config,
		.sample_period = c->period,
	};
	TRY(kern_sampler_load(&options, &e->sampler));
	TRY(side_band_open(&e->side_band));
	if (o->debug_stacks)
		TRY(debug_stacks_open(&e->debug, o->debug_stacks));
	TRY(intake_create(e->sampler, &e->side_band, !ebpf_takes_all(c), &e->intake));
	vec_push(&c->wake_fds, intake_wake_fd(e->intake));
	e->ring_count = kern_sampler_ring_count(e->sampler);
	e->rings = mem_calloc(e->ring_count, sizeof(*e->rings));
	c->lag_ns = LAG_NS;
	c->poll_ms = POLL_MS;
	c->watch_poll_ms = POLL_MS;
	c->tables = unwind_tables_create(&(struct unwind_memory_source){
		.add_chunk = kern_sampler_add_chunk,
		.rules = kern_sampler_rules(e->sampler),
		.context = e->sampler,
	});
	return NULL;
}

static struct error *start(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);

	kern_sampler_listen(e->sampler);
	ebpf_watch(c, session_now());
	side_band_start(&e->side_band);
	TRY(intake_start(e->intake));
	TRY(kern_sampler_start(e->sampler, &e->event));
	e->is_started = true;
	return NULL;
}

static struct error *add_process(struct capture *c, uint32_t pid, bool armed)
{
	uint32_t slot;

	TRY(kern_sampler_add_process(ebpf_of(c)->sampler, pid, proc_start_ticks(pid), armed,
				     &slot));
	if (slot)
		ebpf_give_slot(c, pid, slot);
	return NULL;
}

static struct error *ebpf_hold_command(struct capture *c, uint32_t pid)
{
	TRY(start(c));
	TRY(add_process(c, pid, false));
	proc_model_thread(&c->model, pid, pid, session_now());
	return NULL;
}

/* What was mapped when a sample was taken is known from here on: that something was unmapped or
 * replaced before, nobody tells. */
static void begin_process(struct capture *c, uint32_t pid)
{
	uint32_t process = map_find(&c->model.by_pid, pid);

	if (process != MAP_NONE)
		ebpf_process_at(c, process)->attached_ns = session_now();
}

/* Events first, /proc second: whatever changes meanwhile is told by the side-band. */
static void scan_process(struct capture *c, uint32_t pid)
{
	struct proc_ids tids = { 0 };

	if (proc_has_ended(pid))
		return;
	proc_threads(pid, &tids);
	for (size_t t = 0; t < tids.count; t++) {
		/* a first thread that has ended while others run stays there */
		if (tids.items[t] != pid || !proc_thread_has_ended(pid, pid))
			proc_model_thread(&c->model, pid, tids.items[t], session_now());
	}
	vec_deinit(&tids);
	begin_process(c, pid);
}

/* Descendants that turn up while others are added were forked before: whoever is forked later is
 * added by the kernel program. */
static struct error *attach_processes(struct capture *c, struct proc_ids *pids)
{
	size_t added = 0;

	for (size_t i = 0; i < c->targets.count; i++)
		proc_ids_add(pids, c->targets.items[i]);
	while (added < pids->count) {
		for (; added < pids->count; added++)
			TRY(add_process(c, pids->items[added], true));
		proc_descendants(pids);
	}
	for (size_t i = 0; i < pids->count; i++)
		scan_process(c, pids->items[i]);
	if (!c->model.live_threads)
		return error_new(ERR_NOT_FOUND, "the processes to attach to have ended");
	return NULL;
}

static struct error *attach_threads(struct capture *c)
{
	struct proc_ids pids = { 0 };
	struct error *err = NULL;

	for (size_t i = 0; i < c->targets.count && !err; i++) {
		uint32_t tid = c->targets.items[i], pid = proc_of_thread(tid);

		if (!pid)
			err = error_new(ERR_NOT_FOUND, "there is no thread %u", tid);
		if (!err && proc_ids_add(&pids, pid))
			err = add_process(c, pid, true);
		if (!err)
			err = kern_sampler_add_thread(ebpf_of(c)->sampler, tid);
		if (!err)
			proc_model_thread(&c->model, pid, tid, session_now());
	}
	for (size_t i = 0; i < pids.count && !err; i++)
		begin_process(c, pids.items[i]);
	vec_deinit(&pids);
	return err;
}

/* Every process gets its slot now; what is mapped in it is read with its first sample. */
static struct error *attach_all(struct capture *c)
{
	DIR *dir = opendir("/proc");
	struct error *err = NULL;

	if (!dir)
		return error_errno(errno, "cannot read /proc");
	for (struct dirent *d; (d = readdir(dir)) && !err;) {
		char *end;
		unsigned long pid = strtoul(d->d_name, &end, 10);

		if (pid && !*end)
			err = add_process(c, (uint32_t)pid, true);
	}
	closedir(dir);
	return err;
}

static struct error *attach_targets(struct capture *c, struct proc_ids *pids)
{
	TRY(start(c));
	if (ebpf_takes_all(c))
		return attach_all(c);
	TRY(c->target == CAPTURE_THREADS ? attach_threads(c) : attach_processes(c, pids));
	session_mark_times(c, c->target == CAPTURE_THREADS ? &c->targets : pids);
	return NULL;
}

static struct error *ebpf_attach(struct capture *c)
{
	struct proc_ids pids = { 0 };
	struct error *err = attach_targets(c, &pids);

	vec_deinit(&pids);
	return err;
}

/* What forked or was mapped there until now was not told. */
static void cpu_came(void *session, int cpu)
{
	struct capture *c = session;
	struct ebpf_state *e = ebpf_of(c);
	uint32_t rings = kern_sampler_ring_count(e->sampler);

	e->cpus_came++;
	c->rescan_due = true;
	if (!side_band_add_cpu(&e->side_band, cpu))
		log_debug("capture", "cpu %d: nothing is told of forks there", cpu);
	e->rings = mem_realloc_array(e->rings, rings, sizeof(*e->rings));
	for (; e->ring_count < rings; e->ring_count++)
		e->rings[e->ring_count] = (struct ebpf_ring){ 0 };
}

static void ebpf_tend(struct capture *c, uint64_t now_ns)
{
	struct ebpf_state *e = ebpf_of(c);

	ebpf_reclaim(c, now_ns);
	proc_model_shed(&c->model);
	if (now_ns - e->looked_ns < LOOK_AT_CPUS_NS)
		return;
	e->looked_ns = now_ns;
	if (now_ns < e->gone_until_ns)
		ebpf_take_slots_of_gone(c);
	intake_hold(e->intake);
	kern_sampler_follow_cpus(e->sampler, cpu_came, c);
	intake_release(e->intake);
}

static void ebpf_enable(struct capture *c, bool on)
{
	struct ebpf_state *e = ebpf_of(c);

	if (!e->is_started)
		return;
	if (on)
		kern_sampler_resume(e->sampler);
	else
		kern_sampler_stop(e->sampler);
}

static void ebpf_close(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);

	error_free(debug_stacks_close(&e->debug));
	ebpf_toucher_destroy(e->toucher);
	ebpf_spaces_deinit(&e->spaces);
	intake_destroy(e->intake);
	ebpf_asides_deinit(&e->asides);
	side_band_close(&e->side_band);
	for (uint32_t i = 0; i < e->ring_count; i++) {
		free(e->rings[i].stack.bytes);
		free(e->rings[i].aside.bytes);
	}
	free(e->rings);
	vec_deinit(&e->new_slots);
	vec_deinit(&e->endings);
	map_deinit(&e->slot_of_pid);
	vec_deinit(&e->processes);
	kern_sampler_destroy(e->sampler);
	free(e);
}

const struct capture_backend ebpf_backend = {
	.name = "ebpf",
	.sees_all = true,
	.shows_stacks = true,
	.open = ebpf_open,
	.hold_command = ebpf_hold_command,
	.attach = ebpf_attach,
	.drain = ebpf_drain,
	.tend = ebpf_tend,
	.enable = ebpf_enable,
	.write_facts = ebpf_write_facts,
	.close = ebpf_close,
};
