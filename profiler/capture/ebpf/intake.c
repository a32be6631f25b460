#include "profiler/capture/ebpf/intake.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/capture/session.h"

/* A full ring wakes the thread; each time that it looks by itself costs as much as two samples. */
#define LOOK_MS	      50
#define WATCH_LOOK_MS 4
#define WATCH_NS      50000000ull

/* The kernel program's budget of stacks in flight (64 MiB), and as much again for the rest. */
#define HELD_MAX (128ull << 20)

#define WANTS 64 /* a power of two */

struct intake {
	struct kern_sampler *sampler;
	struct side_band *side_band;
	bool listens;

	VEC(struct intake_queue *) queues; /* changed while the thread is held */
	pthread_mutex_t held_still;
	pthread_t thread;
	bool runs;
	int wake; /* eventfd: the drain's */
	int stop; /* eventfd: the thread's */

	atomic_bool is_stopping;
	_Atomic uint64_t watch_until_ns, copied_ns;
	_Atomic uint64_t held_bytes;
	uint64_t peak_bytes; /* the thread's */

	struct intake_want wants[WANTS]; /* more are not remembered: they come again */
	_Atomic uint32_t wanted, wants_taken;
};

/* --- copying --- */

static bool has_room(struct intake *in)
{
	uint64_t held = atomic_load_explicit(&in->held_bytes, memory_order_relaxed);

	in->peak_bytes = MAX(in->peak_bytes, held);
	return held < HELD_MAX;
}

static bool copy_side_band(struct intake *in, struct intake_queue *q)
{
	const void *record;
	bool any = false;
	size_t size;

	while (has_room(in) && (record = side_band_peek(in->side_band, q->ring, &size))) {
		backlog_push(&q->records, record, size);
		side_band_pop(in->side_band, q->ring, size);
		any = true;
	}
	return any;
}

static void add_want(struct intake *in, const struct kern_sample *sample)
{
	uint32_t at = atomic_load_explicit(&in->wanted, memory_order_relaxed);

	if (sample->status != UNWIND_DEFER || !sample->maps || !sample->fault_address ||
	    at - atomic_load_explicit(&in->wants_taken, memory_order_acquire) == WANTS)
		return;
	in->wants[at % WANTS] = (struct intake_want){ sample->maps, sample->fault_address };
	atomic_store_explicit(&in->wanted, at + 1, memory_order_release);
}

bool intake_take_want(struct intake *in, struct intake_want *ret)
{
	uint32_t at = atomic_load_explicit(&in->wants_taken, memory_order_relaxed);

	if (at == atomic_load_explicit(&in->wanted, memory_order_acquire))
		return false;
	*ret = in->wants[at % WANTS];
	atomic_store_explicit(&in->wants_taken, at + 1, memory_order_release);
	return true;
}

static bool copy_samples(struct intake *in, struct intake_queue *q)
{
	const struct kern_record *record;
	bool any = false;
	size_t size;

	while (has_room(in) && (record = kern_ring_peek(in->sampler, q->ring, &size))) {
		backlog_push(&q->records, record, size);
		if (record->kind == KERN_RECORD_SAMPLE)
			add_want(in, (const struct kern_sample *)record);
		kern_ring_pop(in->sampler, q->ring);
		any = true;
	}
	return any;
}

bool intake_copy(struct intake *in)
{
	uint64_t now = session_now();
	bool any = false;

	side_band_refresh(in->side_band);
	for (size_t i = 0; i < in->queues.count; i++) {
		struct intake_queue *q = in->queues.items[i];

		any |= q->kind == INTAKE_SIDE_BAND ? copy_side_band(in, q) : copy_samples(in, q);
	}
	side_band_release(in->side_band);
	atomic_store_explicit(&in->copied_ns, now, memory_order_release);
	return any;
}

/* --- the thread --- */

static void tell(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort(); /* an eventfd of our own */
}

static bool copy_once(struct intake *in)
{
	bool any;

	kern_sampler_clear_wake(in->sampler);
	if (in->listens && kern_sampler_listen(in->sampler))
		intake_watch(in, session_now() + WATCH_NS);
	pthread_mutex_lock(&in->held_still);
	any = intake_copy(in);
	pthread_mutex_unlock(&in->held_still);
	return any;
}

/* The event of a CPU that went offline has hung up for ever, and would never let us wait. */
static void leave_out_dead(struct pollfd *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i].revents & (POLLHUP | POLLERR | POLLNVAL))
			fds[i].fd = -1;
}

static void *run(void *intake)
{
	struct intake *in = intake;
	bool any = false, any_before;
	struct pollfd *fds;
	size_t cpus, n;

	prctl(PR_SET_NAME, "cprof-intake");
	session_hurry();
	pthread_mutex_lock(&in->held_still);
	cpus = in->side_band->cpus.count;
	n = cpus + 2;
	fds = mem_calloc(n, sizeof(*fds));
	for (size_t i = 0; i < cpus; i++)
		fds[i] = (struct pollfd){ .fd = in->side_band->cpus.items[i].fd, .events = POLLIN };
	pthread_mutex_unlock(&in->held_still);
	fds[cpus] = (struct pollfd){ .fd = kern_sampler_wake_fd(in->sampler), .events = POLLIN };
	fds[cpus + 1] = (struct pollfd){ .fd = in->stop, .events = POLLIN };
	while (!in->is_stopping) {
		bool watches = session_now() < intake_watches_until(in);

		if (poll(fds, n, watches ? WATCH_LOOK_MS : LOOK_MS) > 0)
			leave_out_dead(fds, n);
		any_before = any;
		any = copy_once(in);
		if (any || any_before) /* the drain goes only up to a moment ago */
			tell(in->wake);
	}
	free(fds);
	return NULL;
}

/* --- for the drain --- */

static void add_queue(struct intake *in, enum intake_kind kind, uint32_t ring, int cpu)
{
	struct intake_queue *q = mem_calloc(1, sizeof(*q));

	q->kind = kind;
	q->ring = ring;
	q->cpu = cpu;
	backlog_init(&q->records, &in->held_bytes);
	vec_push(&in->queues, q);
}

/* For the rings that have none. */
static void add_queues(struct intake *in)
{
	uint32_t known[] = { [INTAKE_SIDE_BAND] = 0, [INTAKE_SAMPLES] = 0 };

	for (size_t i = 0; i < in->queues.count; i++)
		known[in->queues.items[i]->kind]++;
	for (uint32_t i = known[INTAKE_SIDE_BAND]; i < in->side_band->cpus.count; i++)
		add_queue(in, INTAKE_SIDE_BAND, i, in->side_band->cpus.items[i].cpu);
	for (uint32_t i = known[INTAKE_SAMPLES]; i < kern_sampler_ring_count(in->sampler); i++)
		add_queue(in, INTAKE_SAMPLES, i, kern_sampler_ring_cpu(in->sampler, i));
}

struct error *intake_create(struct kern_sampler *sampler, struct side_band *side_band, bool listens,
			    struct intake **ret)
{
	struct intake *in = mem_calloc(1, sizeof(*in));

	in->sampler = sampler;
	in->side_band = side_band;
	in->listens = listens;
	in->copied_ns = session_now();
	pthread_mutex_init(&in->held_still, NULL);
	add_queues(in);
	in->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	in->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->wake < 0 || in->stop < 0) {
		struct error *err = error_errno(errno, "cannot make an eventfd");

		intake_destroy(in);
		return err;
	}
	*ret = in;
	return NULL;
}

void intake_destroy(struct intake *in)
{
	if (!in)
		return;
	intake_stop(in);
	for (size_t i = 0; i < in->queues.count; i++) {
		backlog_deinit(&in->queues.items[i]->records);
		free(in->queues.items[i]);
	}
	vec_deinit(&in->queues);
	pthread_mutex_destroy(&in->held_still);
	fd_cleanup(&in->wake);
	fd_cleanup(&in->stop);
	free(in);
}

struct error *intake_start(struct intake *in)
{
	int errnum = pthread_create(&in->thread, NULL, run, in);

	in->runs = !errnum;
	return errnum ? error_errno(errnum, "cannot start a thread") : NULL;
}

void intake_stop(struct intake *in)
{
	if (!in || !in->runs)
		return;
	in->is_stopping = true;
	tell(in->stop);
	pthread_join(in->thread, NULL);
	in->runs = false;
}

int intake_wake_fd(const struct intake *in)
{
	return in->wake;
}

void intake_clear_wake(struct intake *in)
{
	uint64_t times;

	if (read(in->wake, &times, sizeof(times)) < 0 && errno != EAGAIN)
		abort();
}

void intake_watch(struct intake *in, uint64_t until_ns)
{
	if (until_ns > intake_watches_until(in))
		atomic_store_explicit(&in->watch_until_ns, until_ns, memory_order_relaxed);
}

uint64_t intake_watches_until(const struct intake *in)
{
	return atomic_load_explicit(&in->watch_until_ns, memory_order_relaxed);
}

uint64_t intake_copied_ns(const struct intake *in)
{
	return atomic_load_explicit(&in->copied_ns, memory_order_acquire);
}

uint32_t intake_queue_count(const struct intake *in)
{
	return (uint32_t)in->queues.count;
}

struct intake_queue *intake_queue_at(struct intake *in, uint32_t i)
{
	return in->queues.items[i];
}

void intake_hold(struct intake *in)
{
	pthread_mutex_lock(&in->held_still);
}

void intake_release(struct intake *in)
{
	add_queues(in);
	pthread_mutex_unlock(&in->held_still);
}

uint64_t intake_peak_bytes(const struct intake *in)
{
	return in->peak_bytes;
}
