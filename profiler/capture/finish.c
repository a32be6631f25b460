/*
 * The end of a session: what everybody who reads the recording should know, as facts and
 * diagnostics. The ledger is the backend's.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "profiler/capture/backend.h"
#include "profiler/capture/session.h"
#include "profiler/process/held.h"

#define HELD_TOLD 10 /* at the most */

void session_fact(struct capture *c, const char *key, uint64_t value)
{
	recording_set_fact(c->writer, key, value);
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

/* Targets that somebody holds use no CPU, whatever they have to do. */
static void tell_of_held(struct capture *c)
{
	bool threads = c->target == CAPTURE_THREADS;

	for (size_t i = 0; i < c->targets.count && i < HELD_TOLD; i++) {
		uint32_t id = c->targets.items[i];
		struct buf words = { 0 };

		if (proc_is_held(threads ? proc_of_thread(id) : id, &words))
			recording_add_diagnostic(c->writer, c->stop_ns,
						 "at the recording's end, %s", buf_str(&words));
		buf_deinit(&words);
	}
}

/* Go writes no unwind tables. */
static void tell_of_go(struct capture *c)
{
	for (size_t i = 0; i < c->model.files.all.count && c->cut; i++) {
		const struct proc_file *f = &c->model.files.all.items[i];

		if (f->same_as != i || !f->image || !image_find_section(f->image, ".gopclntab"))
			continue;
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "%s is a Go program: Go is not unwound yet, so its "
					 "functions have names and few of their callers",
					 f->path);
	}
}

void session_write_facts(struct capture *c)
{
	struct rusage usage;

	session_settle(c, UINT32_MAX, false);
	if (c->delay_ns && !c->start_ns)
		recording_add_diagnostic(c->writer, c->stop_ns, "nothing was recorded: %s",
					 c->is_off ? "--control never said enable"
						   : "the program ended before --delay was over");
	tell_of_left(c);
	tell_of_held(c);
	tell_of_go(c);
	if (c->model.stats.closed)
		recording_add_diagnostic(
			c->writer, c->stop_ns,
			"what %" PRIu64 " process%s of other users had mapped before may not be "
			"read without CAP_SYS_PTRACE: stacks end there (run as root, or give "
			"+sys_ptrace with the other capabilities)",
			c->model.stats.closed, c->model.stats.closed == 1 ? "" : "es");
	session_machine_end(c);
	c->backend->write_facts(c);
	getrusage(RUSAGE_SELF, &usage);
	session_fact(c, "elapsed_ns", session_elapsed_ns(c));
	if (c->is_switched)
		session_fact(c, "off_ns", session_off_ns(c));
	session_fact(c, "cprof_cpu_ns",
		     (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
			     (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000);
	session_fact(c, "target_user_ns", c->launch.user_ns);
	session_fact(c, "target_system_ns", c->launch.system_ns);
	session_fact(c, "frequency_hz", c->frequency_hz);
	session_fact(c, "whole_machine", c->target == CAPTURE_ALL);
	session_fact(c, "late_records", c->model.stats.late);
	session_fact(c, "map_rescans", c->model.stats.rescans);
}
