/*
 * ticks HZ COMMAND ARG...: runs the command and counts, by a program of its own on each CPU's clock
 * (ticks.bpf.c), the ticks of what the command's children execute. `cprof record ...` as the
 * command is not counted itself: what it records is.
 *
 * Prints `all N`, `in_execve N`, `between N`, `no_memory N` to stderr, and ends as the command did.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/perf/event.h"
#include "tests/bench/ticks.h"

static void fail(const char *what)
{
	fprintf(stderr, "ticks: %s: %s\n", what, strerror(errno));
	exit(77);
}

static struct bpf_object *load(const char *self)
{
	char path[4096];
	struct bpf_object *object;
	struct bpf_program *p;

	snprintf(path, sizeof(path), "%s.bpf.o", self);
	object = bpf_object__open(path);
	if (!object || bpf_object__load(object) != 0)
		fail(path);
	bpf_object__for_each_program(p, object)
	{
		if (bpf_program__type(p) != BPF_PROG_TYPE_PERF_EVENT && !bpf_program__attach(p))
			fail("attaching");
	}
	return object;
}

/* An event on each CPU, which run the program. */
static void start(struct bpf_object *object, long hz)
{
	struct bpf_program *tick = bpf_object__find_program_by_name(object, "tick");
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attr),
		.sample_period = 1000000000ul / (unsigned long)hz,
	};

	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		int fd = pev_open(&attr, -1, cpu, -1, 0);

		if (fd < 0 || !bpf_program__attach_perf_event(tick, fd))
			fail("an event");
	}
}

static int run(char **words)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		execvp(words[0], words);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		fail("the command");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "all", "in_execve", "between", "no_memory" };
	struct bpf_object *object;
	uint32_t self = (uint32_t)getpid();
	uint64_t root[2] = { 0, TICKS_ROOT };
	int processes, counts, status;

	if (argc < 3 || atol(argv[1]) < 1)
		return 2;
	object = load(argv[0]);
	processes = bpf_object__find_map_fd_by_name(object, "processes");
	counts = bpf_object__find_map_fd_by_name(object, "counts");
	if (bpf_map_update_elem(processes, &self, root, BPF_ANY) != 0)
		fail("the root");
	start(object, atol(argv[1]));
	status = run(argv + 2);
	for (uint32_t i = 0; i < TICKS_KINDS; i++) {
		uint64_t n = 0;

		bpf_map_lookup_elem(counts, &i, &n);
		fprintf(stderr, "%s %lu\n", names[i], (unsigned long)n);
	}
	return status;
}
