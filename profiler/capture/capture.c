#include "profiler/capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/capture/session.h"
#include "profiler/perf/limits.h"
#include "profiler/process/namespace.h"

#define FREQUENCY_DEFAULT 997

/* While nothing tells that descendants, or threads attached to, have ended: look this often. */
#define LOOK_MS 50

static struct error *create_recording(struct capture *c, const struct capture_options *o)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	c->created_ns = session_now();

	struct recording_info info = {
		.command =
			o->target == CAPTURE_COMMAND ? (const char *const *)o->command.argv : NULL,
		.target = o->target_name,
		.backend = c->backend->name,
		.backend_reason = c->backend_reason,
		.start_ns = c->created_ns,
		.start_wall_ns = (uint64_t)wall.tv_sec * 1000000000ull + (uint64_t)wall.tv_nsec,
	};

	return recording_create(o->path, &info, &c->writer);
}

static uint32_t string_of(struct capture *c, const char *s)
{
	return recording_add_string(c->writer, s, strlen(s));
}

/* Rate and period of the event. */
static void choose_period(struct capture *c, const struct capture_options *o,
			  const struct pev_kind *kind, uint64_t *ret_asked)
{
	uint64_t most = pev_max_sample_rate();

	c->frequency_hz = o->frequency_hz ? o->frequency_hz : FREQUENCY_DEFAULT;
	*ret_asked = c->frequency_hz;
	if (most && c->frequency_hz > most)
		c->frequency_hz = most;
	c->period = MAX(1000000000ull / c->frequency_hz, 1ull);
	if (!kind->is_clock) {
		c->period = o->period ? o->period : kind->period;
		c->frequency_hz = 0;
		*ret_asked = 0;
	}
}

static void describe_event(struct capture *c, const struct pev_kind *kind, uint64_t asked_hz)
{
	c->event = (uint16_t)recording_add_event(c->writer,
						 &(struct recording_event){
							 .name = string_of(c, kind->name),
							 .type = string_of(c, kind->value_type),
							 .unit = string_of(c, kind->unit),
							 .period = c->period,
							 .frequency_hz = c->frequency_hz,
						 });
	if (c->frequency_hz != asked_hz)
		recording_add_diagnostic(
			c->writer, c->created_ns,
			"%llu samples a second were asked for, the kernel allows %llu "
			"(sysctl kernel.perf_event_max_sample_rate)",
			(unsigned long long)asked_hz, (unsigned long long)c->frequency_hz);
}

static struct error *start_drain(struct capture *c)
{
	int errnum;

	session_machine_begin(c);
	c->attached_ns = session_now();
	if (!c->start_ns)
		c->start_ns = c->attached_ns;
	errnum = pthread_create(&c->drain, NULL, drain_thread, c);
	if (errnum)
		return error_errno(errnum, "cannot start a thread");
	c->drain_runs = true;
	return NULL;
}

static struct error *attach(struct capture *c)
{
	int nice = session_hurry();
	struct error *err;

	c->start_ns = session_now();
	err = c->backend->attach(c);
	setpriority(PRIO_PROCESS, 0, nice);
	c->live_threads = c->model.live_threads;
	c->live_targets = c->targets.count;
	if (!err)
		err = start_drain(c);
	return err;
}

/* The command, held before its exec, runs. */
static struct error *start_command(struct capture *c, const struct capture_options *o,
				   int *ret_exit_status)
{
	uint32_t pid = (uint32_t)c->launch.pid;

	proc_ids_add(&c->targets, pid);
	if (!c->delay_ns) {
		TRY(c->backend->hold_command(c, pid));
		c->live_threads = c->live_targets = 1;
		TRY(start_drain(c));
	}
	return launch_go(&c->launch, &o->command, ret_exit_status);
}

static struct error *start_all(struct capture *c, const struct capture_options *o,
			       int *ret_exit_status)
{
	const struct pev_kind *kind;
	uint64_t asked_hz;

	TRY(proc_check_mount());
	TRY(proc_set_clock());
	TRY(pev_find_kind(o->event ? o->event : "cpu-clock", &kind));
	choose_period(c, o, kind, &asked_hz);
	TRY(backend_open(c, o, kind));
	if (o->target == CAPTURE_CGROUP)
		c->cgroup = open(o->cgroup, O_DIRECTORY | O_PATH | O_CLOEXEC);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->wake < 0)
		return error_errno(errno, "cannot make an eventfd");
	if (o->target == CAPTURE_COMMAND)
		TRY(launch_fork(&o->command, &c->launch, ret_exit_status));
	TRY(create_recording(c, o));
	proc_model_init(&c->model, c->tables, c->writer);
	describe_event(c, kind, asked_hz);
	for (size_t i = 0; i < o->id_count; i++)
		proc_ids_add(&c->targets, o->ids[i]);
	if (o->target == CAPTURE_COMMAND)
		return start_command(c, o, ret_exit_status);
	return c->delay_ns ? NULL : attach(c);
}

struct error *capture_start(const struct capture_options *o, struct capture **ret,
			    int *ret_exit_status)
{
	struct capture *c = mem_calloc(1, sizeof(*c));
	struct error *err;

	c->target = o->target;
	c->delay_ns = o->delay_ns;
	c->duration_ns = o->duration_ns;
	c->wait_all = o->wait_all;
	c->is_switched = o->is_switched;
	c->is_off = o->delay_ns == CAPTURE_DELAY_ENDLESS;
	c->wake = -1;
	c->cgroup = -1;
	c->launch = (struct launch){ .go = -1, .failed = -1, .pidfd = -1 };
	*ret_exit_status = 1;
	err = start_all(c, o, ret_exit_status);
	if (err) {
		if (c->writer)
			unlink(o->path); /* nothing is in it */
		capture_destroy(c);
		return err;
	}
	*ret = c;
	return NULL;
}

/* --- while it runs --- */

/* The delay is over. */
static void begin_late(struct capture *c)
{
	struct error *err;

	if (c->target == CAPTURE_COMMAND && launch_has_ended(&c->launch, false))
		return;
	err = attach(c);
	if (!err)
		return; /* the drain runs, and an error is its */
	c->error = err;
	c->failed = true;
}

void capture_switch(struct capture *c, bool on)
{
	if (c->stop_ns || c->failed)
		return;
	c->is_off = !on;
	if (!c->start_ns) {
		if (on)
			begin_late(c);
		return;
	}
	if (on == !c->off_since_ns)
		return;
	c->backend->enable(c, on);
	if (on)
		c->off_ns = session_off_ns(c);
	c->off_since_ns = on ? 0 : session_now();
}

bool capture_is_off(const struct capture *c)
{
	return c->is_off;
}

uint64_t session_off_ns(const struct capture *c)
{
	uint64_t until = c->stop_ns ? c->stop_ns : session_now();

	return c->off_ns + (c->off_since_ns ? until - c->off_since_ns : 0);
}

uint64_t session_elapsed_ns(const struct capture *c)
{
	uint64_t until = c->stop_ns ? c->stop_ns : session_now();

	return c->start_ns ? until - c->start_ns - session_off_ns(c) : 0;
}

/* What had its folder is nobody's any more. */
static bool cgroup_is_gone(const struct capture *c)
{
	return c->cgroup >= 0 && faccessat(c->cgroup, "cgroup.procs", F_OK, 0) != 0 &&
	       (errno == ENOENT || errno == ENODEV);
}

/* Those that were asked for, while nothing tells of them. */
static bool targets_have_ended(const struct capture *c)
{
	for (size_t i = 0; i < c->targets.count; i++) {
		uint32_t id = c->targets.items[i];

		if (c->target == CAPTURE_THREADS ? proc_of_thread(id) != 0 : !proc_has_ended(id))
			return false;
	}
	return true;
}

static bool is_over(struct capture *c)
{
	if (c->failed || c->stop_ns)
		return true;
	if (c->attached_ns && c->duration_ns && session_now() - c->attached_ns >= c->duration_ns)
		return true;
	if (c->target == CAPTURE_COMMAND && !c->wait_all)
		return launch_has_ended(&c->launch, false);
	if (!c->start_ns && c->target == CAPTURE_COMMAND)
		return launch_has_ended(&c->launch, false);
	if (c->target == CAPTURE_ALL || c->target == CAPTURE_CGROUP)
		return cgroup_is_gone(c);
	if (!c->start_ns)
		return targets_have_ended(c);
	return c->wait_all ? c->live_threads == 0 : c->live_targets == 0;
}

/* Milliseconds until a moment; at least one, so that a poll does not spin. */
static int ms_until(uint64_t moment_ns)
{
	uint64_t now = session_now();

	return moment_ns <= now ? 0 : (int)MIN((moment_ns - now) / 1000000 + 1, 3600000);
}

static int least_ms(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

/* Without a pidfd of the command, which tells of its end: whether there is an end to look for. A
 * whole machine has none. */
static bool ends_untold(const struct capture *c)
{
	return c->failed || !c->start_ns ||
	       (c->target != CAPTURE_ALL && c->target != CAPTURE_CGROUP);
}

enum capture_state capture_wait(struct capture *c, int fd, int timeout_ms)
{
	uint64_t end = timeout_ms < 0 ? 0 : session_now() + (uint64_t)timeout_ms * 1000000;

	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN },
					{ .fd = c->launch.pidfd, .events = POLLIN } };
		uint64_t start_at = c->is_off ? UINT64_MAX : c->created_ns + c->delay_ns;
		int wait = end ? ms_until(end) : -1;

		if (!c->start_ns && !c->failed && c->delay_ns && session_now() >= start_at)
			begin_late(c);
		if (is_over(c))
			return CAPTURE_OVER;
		if (!c->start_ns)
			wait = least_ms(wait, ms_until(start_at));
		else if (c->duration_ns)
			wait = least_ms(wait, ms_until(c->attached_ns + c->duration_ns));
		if (c->launch.has_ended)
			fds[1].fd = -1;
		if (fds[1].fd < 0 ? ends_untold(c) : c->wait_all || c->failed)
			wait = least_ms(wait, LOOK_MS);
		else
			wait = least_ms(wait, 1000); /* the drain thread may have failed */
		if (poll(fds, ARRAY_SIZE(fds), wait) > 0) {
			if (fds[1].revents)
				launch_has_ended(&c->launch, false);
			if (fds[0].revents)
				return CAPTURE_READABLE;
		}
		if (end && session_now() >= end)
			return is_over(c) ? CAPTURE_OVER : CAPTURE_RUNNING;
	}
}

static uint64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

void capture_counters(const struct capture *c, struct capture_counters *ret)
{
	*ret = (struct capture_counters){
		.elapsed_ns = session_elapsed_ns(c),
		.samples = c->samples,
		.complete = c->complete,
		.cut = c->cut,
		.lost = c->lost,
		.cprof_cpu_ns = own_cpu_ns(),
	};
}

/* --- the end --- */

void capture_stop(struct capture *c)
{
	uint64_t one = 1;

	if (c->stop_ns)
		return;
	if (c->backend)
		c->backend->enable(c, false);
	c->stop_ns = session_now();
	if (!c->drain_runs)
		return;
	c->stopping = true;
	if (write(c->wake, &one, sizeof(one)) < 0)
		c->stopping = true; /* the drain thread looks by itself now and then */
	pthread_join(c->drain, NULL);
	c->drain_runs = false;
}

struct error *capture_finish(struct capture *c)
{
	struct error *err;

	capture_stop(c);
	if (c->start_ns && !c->failed)
		session_drain(c, true);
	launch_has_ended(&c->launch, false);
	if (c->writer)
		session_write_facts(c);
	err = c->error;
	c->error = NULL;
	return err ? err : recording_flush(c->writer);
}

struct recording_writer *capture_take_writer(struct capture *c)
{
	struct recording_writer *writer = c->writer;

	c->writer = NULL;
	return writer;
}

pid_t capture_command_pid(const struct capture *c)
{
	return c->launch.pid;
}

bool capture_command_status(struct capture *c, bool block, int *ret_status)
{
	if (!c->launch.pid || !launch_has_ended(&c->launch, block))
		return false;
	*ret_status = c->launch.status;
	return true;
}

const char *capture_root(const struct capture *c, const char *name)
{
	return proc_root_path(&c->model.roots, name);
}

const struct image *capture_image(const struct capture *c, uint32_t file)
{
	return proc_files_image(&c->model.files, file);
}

void capture_destroy(struct capture *c)
{
	if (!c)
		return;
	capture_stop(c);
	launch_deinit(&c->launch);
	if (c->writer)
		error_free(recording_close(c->writer));
	unwind_tables_destroy(c->tables);
	proc_model_deinit(&c->model);
	if (c->backend)
		c->backend->close(c);
	free(c->backend_reason);
	session_machine_deinit(&c->machine);
	vec_deinit(&c->wake_fds);
	vec_deinit(&c->targets);
	vec_deinit(&c->before);
	vec_deinit(&c->walk.waiting);
	fd_cleanup(&c->wake);
	fd_cleanup(&c->cgroup);
	error_free(c->error);
	free(c);
}
