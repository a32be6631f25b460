#include "profiler/capture/machine.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/capture/session.h"
#include "profiler/perf/limits.h"

#define PROC_MAX ((size_t)4 << 20)

/* NULL where there is no such file. */
static char *read_proc(const char *path)
{
	char *text = NULL;
	struct error *err = file_read_proc(path, PROC_MAX, &text, NULL);

	error_free(err);
	return err ? NULL : text;
}

static uint64_t read_steal_ns(void)
{
	CLEANUP(mem_cleanup) char *text = read_proc("/proc/stat");
	unsigned long long steal = 0;

	if (!text || sscanf(text, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1)
		return 0;
	return steal * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* The second but last of a CPU's numbers, since Linux 2.6.30. */
static uint64_t read_wait_ns(void)
{
	CLEANUP(mem_cleanup) char *text = read_proc("/proc/schedstat");
	uint64_t sum = 0;

	for (char *at = text; at && (at = strstr(at, "\ncpu"));) {
		unsigned long long ns;

		at += strlen("\ncpu");
		if (sscanf(at, "%*u %*u %*u %*u %*u %*u %*u %*u %llu %*u", &ns) == 1)
			sum += ns;
	}
	return sum;
}

static uint64_t read_pressure_ns(void)
{
	CLEANUP(mem_cleanup) char *text = read_proc("/proc/pressure/cpu");
	const char *total = text ? strstr(text, "total=") : NULL;
	unsigned long long us = 0;

	if (total)
		sscanf(total, "total=%llu", &us);
	return us * 1000;
}

static void read_all(struct session_machine *m)
{
	m->steal_ns = read_steal_ns();
	m->wait_ns = read_wait_ns();
	m->pressure_ns = read_pressure_ns();
	m->max_rate_hz = pev_max_sample_rate();
	proc_cpu_limits_read(&m->limits, &m->held_back);
}

void session_machine_begin(struct capture *c)
{
	if (c->target == CAPTURE_COMMAND || c->target == CAPTURE_PROCESSES)
		proc_cpu_limits_init(&c->machine.limits, c->targets.items[0]);
	read_all(&c->machine);
}

static uint64_t grown(uint64_t before, uint64_t now)
{
	return now > before ? now - before : 0;
}

void session_machine_end(struct capture *c)
{
	const struct session_machine *before = &c->machine;
	struct session_machine now = { .limits = before->limits };

	if (!c->start_ns)
		return;
	read_all(&now);
	session_fact(c, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	session_fact(c, "steal_ns", grown(before->steal_ns, now.steal_ns));
	session_fact(c, "run_wait_ns", grown(before->wait_ns, now.wait_ns));
	session_fact(c, "cpu_pressure_ns", grown(before->pressure_ns, now.pressure_ns));
	session_fact(c, "held_back_times", grown(before->held_back.times, now.held_back.times));
	session_fact(c, "held_back_ns", grown(before->held_back.ns, now.held_back.ns));
	if (now.max_rate_hz && now.max_rate_hz < before->max_rate_hz)
		recording_add_diagnostic(
			c->writer, c->stop_ns,
			"the kernel lowered its highest sampling rate from %" PRIu64 " to %" PRIu64
			" Hz meanwhile, since samples took it more than "
			"kernel.perf_cpu_time_max_percent: later recordings get no more than that "
			"(sudo sysctl kernel.perf_event_max_sample_rate=%" PRIu64 ")",
			before->max_rate_hz, now.max_rate_hz, before->max_rate_hz);
}

void session_machine_deinit(struct session_machine *m)
{
	proc_cpu_limits_deinit(&m->limits);
}
