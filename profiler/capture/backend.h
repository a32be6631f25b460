/*
 * How samples are taken: the part of a session that depends on the kernel's interface. Two backends
 * stand in the table: `ebpf` unwinds in the kernel and needs privileges, `perf` copies stacks and
 * needs few. A backend drains its rings into the model (forks, execs, mappings: proc_model_*) and
 * into the recording (session_* of session.h), in the order of time, and keeps its own ledger.
 *
 * To add one: a file with its `const struct capture_backend`, and a line in backends[] (backend.c).
 */
#ifndef CPROF_CAPTURE_BACKEND_H
#define CPROF_CAPTURE_BACKEND_H

#include "base/error.h"
#include "profiler/capture/capture.h"
#include "profiler/perf/event.h"

struct capture_backend {
	const char *name;

	bool sees_all;	    /* can sample the whole machine, or a cgroup */
	bool copies_stacks; /* in the size that is asked for */
	bool shows_stacks;  /* to a file, for tests */

	/* Everything that may be refused, before the command is forked and before there is a
	 * recording: permissions, memory, rings. Fills c->tables, c->backend_state, c->wake_fds and
	 * c->lag_ns and c->poll_ms. An error is the reason why this backend does not run here. */
	struct error *(*open)(struct capture *c, const struct capture_options *o,
			      const struct pev_kind *kind)MUST_USE;

	/* The command, held before its exec, is sampled from its exec on. */
	struct error *(*hold_command)(struct capture *c, uint32_t pid)MUST_USE;

	/* The targets that exist (c->target, c->targets): they are being sampled, and known to the
	 * model, when it returns. */
	struct error *(*attach)(struct capture *c)MUST_USE;

	/* What is in the rings, in the order of time, up to a moment ago (session_lag_ns()):
	 * records of other CPUs with an older time may still be on their way. All of it if nothing
	 * is sampled any more. */
	void (*drain)(struct capture *c, bool is_last);

	/* Now and then from the drain thread, between two rounds: what has to be looked after. */
	void (*tend)(struct capture *c, uint64_t now_ns);

	/* Off: no samples, and nothing counts; what was counted stays readable. What becomes of
	 * processes and mappings is told all the same. On again, any number of times, where
	 * c->is_switched was set before open(). */
	void (*enable)(struct capture *c, bool on);

	/* The ledger, facts and diagnostics of its own, into the recording. */
	void (*write_facts)(struct capture *c);

	/* Frees backend_state; takes a session whose open() failed. */
	void (*close)(struct capture *c);
};

/* Opens the best backend that runs here, or the one that is asked for: c->backend. An error says
 * why none does; why a better one does not is c->backend_reason. */
struct error *backend_open(struct capture *c, const struct capture_options *o,
			   const struct pev_kind *kind) MUST_USE;

extern const struct capture_backend ebpf_backend, perf_backend;

#endif
