/*
 * CPU time as the kernel's accounting has it. Where the kernel may not be sampled, time without a
 * sample may have been spent there, or behind a thread's last sample: this says how much of it the
 * kernel can have had at the most.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/capture/session.h"

/* Of a process and the children it waited for, or of a thread; false where it is gone. */
static bool read_times(const char *path, struct session_times *ret)
{
	uint64_t user, system, child_user, child_system;
	char *text;
	struct error *err = file_read_proc(path, 4096, &text, NULL);

	if (err) {
		error_free(err);
		return false;
	}
	const char *end = strrchr(text, ')'); /* a name may have anything in it */
	bool ok = end && sscanf(end,
				") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
				" %" SCNu64 " %" SCNu64,
				&user, &system, &child_user, &child_system) == 4;

	free(text);
	if (ok) {
		uint64_t tick_ns = 1000000000ull / (uint64_t)sysconf(_SC_CLK_TCK);

		ret->user_ns = (user + child_user) * tick_ns;
		ret->system_ns = (system + child_system) * tick_ns;
	}
	return ok;
}

static bool times_of_process(uint32_t pid, struct session_times *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	return read_times(path, ret);
}

static bool times_of_thread(uint32_t tid, struct session_times *ret)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", proc_of_thread(tid), tid);
	return read_times(path, ret);
}

static void mark(struct capture *c, uint32_t id, const struct session_times *times)
{
	vec_push(&c->before, ((struct session_before){ id, *times }));
}

void session_mark_times(struct capture *c, const struct proc_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++) {
		struct session_times t;

		if (c->target == CAPTURE_THREADS ? times_of_thread(ids->items[i], &t)
						 : times_of_process(ids->items[i], &t))
			mark(c, ids->items[i], &t);
	}
}

/* Adds what came since the start. */
static void add(const struct capture *c, uint32_t id, struct session_times t,
		struct session_times *sum)
{
	for (size_t i = 0; i < c->before.count; i++) {
		const struct session_before *b = &c->before.items[i];

		if (b->id != id)
			continue;
		t.user_ns -= MIN(t.user_ns, b->times.user_ns);
		t.system_ns -= MIN(t.system_ns, b->times.system_ns);
	}
	sum->user_ns += t.user_ns;
	sum->system_ns += t.system_ns;
}

void session_times(const struct capture *c, struct session_times *ret)
{
	struct session_times t;

	*ret = (struct session_times){ 0 };
	if (c->target == CAPTURE_THREADS) {
		for (size_t i = 0; i < c->targets.count; i++)
			if (times_of_thread(c->targets.items[i], &t))
				add(c, c->targets.items[i], t, ret);
		return;
	}
	if (c->launch.has_ended)
		add(c, (uint32_t)c->launch.pid,
		    (struct session_times){ c->launch.user_ns, c->launch.system_ns }, ret);
	for (uint32_t i = 0; i < c->model.processes.count; i++) {
		const struct proc_process *p = &c->model.processes.items[i];

		if (p->live_threads && map_find(&c->model.by_pid, p->pid) == i &&
		    times_of_process(p->pid, &t))
			add(c, p->pid, t, ret);
	}
}
