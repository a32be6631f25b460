#include "profiler/capture/perf/events.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/perf/explain.h"

#define RING_MAX	(16u << 20)
#define RING_MIN	(256u << 10)
#define RINGS_TOTAL_MAX (256u << 20)
#define RING_HOLDS_NS	12000000ull  /* of samples, at least: 1 MiB of the longest at 997 Hz */
#define RING_AMPLE_NS	200000000ull /* so much, and nothing is lost: 16 MiB likewise */
#define RATE_DEFAULT	1000ull	     /* samples a second, of events that are no clocks */
#define STACK_MIN	16384u
#define SAMPLE_REST	1024u /* registers, kernel frames and the rest of a sample */

/* The CPUs that an event can be opened on: those online. */
static struct error *open_owners(struct events *e)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.sample_id_all = 1,
		.sample_type = e->sampling.attr.sample_type,
		.sample_regs_user = e->sampling.attr.sample_regs_user,
		.sample_stack_user = STACK_MIN,
		.sample_period = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = e->ring_bytes / 4,
	};

	attr.sample_type &= ~(uint64_t)(PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_READ);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); cpu++) {
		int fd = pev_open(&attr, 0, cpu, -1, 0);

		if (fd < 0 && errno == ENODEV)
			continue; /* offline */
		if (fd < 0)
			return error_errno(errno, "cannot open an event on CPU %d", cpu);
		vec_push(&e->cpus, (struct events_cpu){ .cpu = cpu, .owner = fd });
	}
	return NULL;
}

static void close_owners(struct events *e)
{
	for (size_t i = 0; i < e->cpus.count; i++) {
		pev_ring_close(&e->cpus.items[i].ring);
		close(e->cpus.items[i].owner);
	}
	e->cpus.count = 0;
}

static struct error *try_rings(struct events *e, int *ret_errnum)
{
	*ret_errnum = 0;
	TRY(open_owners(e));
	for (size_t i = 0; i < e->cpus.count; i++) {
		*ret_errnum = pev_ring_open(&e->cpus.items[i].ring, e->cpus.items[i].owner,
					    e->ring_bytes);
		if (*ret_errnum)
			return pev_explain_ring(*ret_errnum, e->ring_bytes,
						(unsigned int)e->cpus.count);
	}
	return NULL;
}

/* As much memory as there may be locked, up to what is of use. */
static struct error *open_rings(struct events *e, uint32_t ring_bytes)
{
	uint64_t cpus = (uint64_t)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);

	e->ring_bytes = ring_bytes ? ring_bytes : RING_MAX;
	while (!ring_bytes && e->ring_bytes * cpus > RINGS_TOTAL_MAX &&
	       e->ring_bytes > 4 * RING_MIN)
		e->ring_bytes /= 2;
	for (;;) {
		int errnum;
		struct error *err = try_rings(e, &errnum);

		if (!err)
			return NULL;
		close_owners(e);
		if ((errnum != EPERM && errnum != ENOMEM) || e->ring_bytes <= RING_MIN ||
		    ring_bytes)
			return err;
		error_free(err);
		e->ring_bytes /= 2;
	}
}

/* The longest copies that the rings hold for so long. */
static uint32_t choose_stack(const struct events *e, uint64_t frequency_hz, uint64_t holds_ns)
{
	uint64_t samples = frequency_hz * holds_ns / 1000000000ull + 2;
	uint32_t bytes = PEV_STACK_MAX;

	for (uint32_t next = 32768; bytes > STACK_MIN; next /= 2) {
		if (samples * (bytes + SAMPLE_REST) <= e->ring_bytes)
			break;
		bytes = next;
	}
	return bytes;
}

/* A size that was asked for is kept. Else stacks are copied whole where the rings are ample; where
 * they are not, the copies begin short, and get longer for the threads that need it: most of what
 * is copied of most stacks is of no use, and a ring full of it has no room for what comes next. */
static void choose_stacks(struct events *e, uint32_t stack_bytes, uint64_t frequency_hz)
{
	uint64_t rate = frequency_hz ? frequency_hz : RATE_DEFAULT;

	if (stack_bytes) {
		e->stack_bytes = e->long_bytes = MIN(stack_bytes & ~7u, PEV_STACK_MAX);
		return;
	}
	e->long_bytes = choose_stack(e, rate, RING_HOLDS_NS);
	e->stack_bytes =
		choose_stack(e, rate, RING_AMPLE_NS) == PEV_STACK_MAX ? PEV_STACK_MAX : STACK_MIN;
	if (e->is_switched) /* the second events of a thread would have to be switched with them */
		e->stack_bytes = e->long_bytes;
	e->was_halved = e->long_bytes < PEV_STACK_MAX;
}

struct perf_event_attr events_long_copies(const struct events *e)
{
	struct perf_event_attr attr = e->sampling.attr;

	attr.sample_stack_user = e->long_bytes;
	attr.disabled = 1;
	attr.enable_on_exec = 0;
	attr.inherit = attr.inherit_stat = 0;
	attr.mmap = attr.mmap2 = attr.build_id = 0;
	attr.comm = attr.comm_exec = attr.task = 0;
	return attr;
}

/* Of the events that tell of everything but samples, where those that sample do not. */
static struct perf_event_attr telling_attr(const struct events *e)
{
	struct perf_event_attr attr = e->sampling.attr;

	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_DUMMY;
	attr.exclude_kernel =
		1; /* or it takes privileges; it is about what is told of the kernel */
	attr.exclude_callchain_user = 0;
	attr.sample_period = 1;
	attr.inherit_stat = 0;
	attr.sample_type &= ~(uint64_t)(PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_READ);
	return attr;
}

struct error *events_init(struct events *e, const struct pev_kind *kind,
			  const struct events_options *o)
{
	*e = (struct events){ .is_switched = o->is_switched };
	TRY(pev_sampling_probe(kind, o->period, PEV_STACK_MAX, o->user_only, &e->sampling));
	TRY(open_rings(e, o->ring_bytes));
	choose_stacks(e, o->stack_bytes, o->frequency_hz);
	e->sampling.attr.sample_stack_user = e->stack_bytes;
	e->sampling.attr.wakeup_watermark = e->ring_bytes / 4;
	e->format = (struct pev_format){
		.sample_type = e->sampling.attr.sample_type,
		.read_format = e->sampling.attr.read_format,
		.regs_mask = e->sampling.attr.sample_regs_user,
	};
	log_debug("capture", "ring %u stack %u to %u cpus %zu kernel %d", e->ring_bytes,
		  e->stack_bytes, e->long_bytes, e->cpus.count, e->sampling.sees_kernel);
	return NULL;
}

void events_deinit(struct events *e)
{
	for (size_t i = 0; i < e->fds.count; i++)
		close(e->fds.items[i].fd);
	for (size_t i = 0; i < e->tellers.count; i++)
		close(e->tellers.items[i]);
	close_owners(e);
	vec_deinit(&e->fds);
	vec_deinit(&e->tellers);
	vec_deinit(&e->cpus);
	vec_deinit(&e->tids);
	map_deinit(&e->known_tids);
}

/* Room for that many more descriptors: the soft limit may be raised to the hard one. */
static struct error *need_descriptors(const struct events *e, size_t more)
{
	size_t need = e->fds.count + e->tellers.count + e->cpus.count + EVENTS_FDS_SPARE +
		      (e->is_switched ? 2 * more : more);
	uint64_t most;

	if (fd_make_room(need, &most))
		return NULL;
	return error_hint(
		error_new(ERR_UNSUPPORTED,
			  "sampling these threads takes %zu file descriptors (%s for each "
			  "thread and CPU), and the limit is %llu",
			  need, e->is_switched ? "two" : "one", (unsigned long long)most),
		"raise it with `ulimit -n %zu` (when attaching, -t chooses threads)", need);
}

static struct error *open_failed(const struct events *e, uint32_t tid, int errnum)
{
	return pev_explain_open(errnum, &(struct pev_request){ .attr = &e->sampling.attr,
							       .event = e->sampling.kind->name,
							       .tid = (pid_t)tid });
}

/* One event of a thread, on a CPU; *ret_fd -1: the thread is gone. */
static struct error *open_event(const struct events *e, const struct perf_event_attr *attr,
				uint32_t tid, uint32_t cpu, int *ret_fd)
{
	int fd = pev_open(attr, (pid_t)tid, e->cpus.items[cpu].cpu, -1, 0);

	*ret_fd = fd;
	if (fd < 0)
		return errno == ESRCH ? NULL : open_failed(e, tid, errno);
	if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, e->cpus.items[cpu].owner) == 0)
		return NULL;

	struct error *err = error_errno(errno, "cannot give an event its ring");

	close(fd);
	return err;
}

static struct error *open_tellers(struct events *e, uint32_t tid, bool on_exec, bool *ret_gone)
{
	struct perf_event_attr attr = telling_attr(e);

	attr.enable_on_exec = on_exec;
	for (uint32_t i = 0; i < e->cpus.count; i++) {
		int fd;

		TRY(open_event(e, &attr, tid, i, &fd));
		*ret_gone = fd < 0;
		if (*ret_gone)
			return NULL;
		vec_push(&e->tellers, fd);
	}
	return NULL;
}

struct error *events_open_thread(struct events *e, uint32_t tid, bool on_exec, bool *ret_gone)
{
	struct perf_event_attr attr = e->sampling.attr;
	size_t first = e->fds.count, first_teller = e->tellers.count;

	attr.disabled = 1;
	attr.enable_on_exec = on_exec;
	*ret_gone = false;
	TRY(need_descriptors(e, e->cpus.count));
	if (e->is_switched) {
		attr.mmap = attr.mmap2 = attr.build_id = 0;
		attr.comm = attr.comm_exec = attr.task = 0;
		TRY(open_tellers(e, tid, on_exec, ret_gone));
	}
	for (uint32_t i = 0; i < e->cpus.count && !*ret_gone; i++) {
		int fd;

		TRY(open_event(e, &attr, tid, i, &fd));
		*ret_gone = fd < 0;
		if (!*ret_gone)
			vec_push(&e->fds, (struct events_fd){ .fd = fd, .tid = tid, .cpu = i });
	}
	if (*ret_gone)
		return NULL;
	/* a fork in between is inherited whole, from events that are all there */
	for (size_t i = first_teller; i < e->tellers.count && !on_exec; i++)
		ioctl(e->tellers.items[i], PERF_EVENT_IOC_ENABLE, 0);
	for (size_t i = first; i < e->fds.count && !on_exec; i++)
		ioctl(e->fds.items[i].fd, PERF_EVENT_IOC_ENABLE, 0);
	vec_push(&e->tids, tid);
	return NULL;
}

/* --- attaching --- */

/* Opens the events of those threads that have none. *ret_opened counts them. A thread that one with
 * events has started inherited its own, and its start was told in the rings. */
static struct error *attach_round(struct events *e, const struct proc_ids *threads,
				  const struct events_hooks *hooks, size_t *ret_opened)
{
	size_t more = threads->count - MIN(threads->count, e->tids.count);

	*ret_opened = 0;
	TRY(need_descriptors(e, more * e->cpus.count));
	for (size_t i = 0; i < threads->count; i++) {
		uint32_t *slot = map_at(&e->known_tids, threads->items[i]);
		bool gone;

		if (*slot != MAP_NONE)
			continue;
		*slot = 0;
		hooks->drain(hooks->context);
		if (hooks->is_inherited(hooks->context, threads->items[i]))
			continue;
		TRY(events_open_thread(e, threads->items[i], false, &gone));
		*ret_opened += !gone;
	}
	return NULL;
}

struct error *events_attach_processes(struct events *e, struct proc_ids *pids,
				      const struct events_hooks *hooks)
{
	struct error *err = NULL;
	size_t opened = 1;

	while (opened && !err) {
		struct proc_ids threads = { 0 };

		proc_descendants(pids);
		for (size_t i = 0; i < pids->count; i++)
			proc_threads(pids->items[i], &threads);
		err = attach_round(e, &threads, hooks, &opened);
		vec_deinit(&threads);
	}
	if (!err && !e->fds.count)
		err = error_new(ERR_NOT_FOUND, "the processes to attach to have ended");
	return err;
}

struct error *events_attach_threads(struct events *e, const uint32_t *tids, size_t count)
{
	TRY(need_descriptors(e, count * e->cpus.count));
	for (size_t i = 0; i < count; i++) {
		bool gone;

		TRY(events_open_thread(e, tids[i], false, &gone));
		if (gone)
			return error_new(ERR_NOT_FOUND, "there is no thread %u", tids[i]);
	}
	return NULL;
}

void events_enable(struct events *e, bool on)
{
	for (size_t i = 0; i < e->fds.count; i++)
		ioctl(e->fds.items[i].fd, on ? PERF_EVENT_IOC_ENABLE : PERF_EVENT_IOC_DISABLE, 0);
}
