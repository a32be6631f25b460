/*
 * What a command costs, alone or while an event of each CPU fires that nobody reads: the floor
 *under everything that samples by that event.
 *
 *	empty_event HZ FILE COMMAND [ARG...]
 *
 * HZ 0 opens none. Writes to FILE, one a line: the wall, user and system nanoseconds of the command
 * and what it waited for, what the events counted, and their period. Ends with the command's
 *status.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_CPUS 1024

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t ns_of(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

/* An event of each CPU; how many, or -1 with errno. Each overflows every period and has no ring. */
static int open_events(uint64_t period, int *fds)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = period,
	};
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	int n = 0;

	for (int cpu = 0; cpu < cpus && n < MAX_CPUS; cpu++) {
		int fd =
			(int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

		if (fd < 0 && errno == ENODEV) /* offline */
			continue;
		if (fd < 0)
			return -1;
		fds[n++] = fd;
	}
	return n;
}

int main(int argc, char **argv)
{
	static int fds[MAX_CPUS];
	uint64_t hz, period = 0, counted = 0, start, wall;
	struct rusage usage;
	int n = 0, status;
	FILE *out;

	if (argc < 4) {
		fprintf(stderr, "usage: empty_event HZ FILE COMMAND [ARG...]\n");
		return 2;
	}
	hz = strtoull(argv[1], NULL, 10);
	if (hz) {
		period = 1000000000u / hz;
		n = open_events(period, fds);
		if (n < 0) {
			fprintf(stderr, "empty_event: perf_event_open: %s\n", strerror(errno));
			return 1;
		}
	}
	start = now_ns();
	pid_t pid = fork();
	if (pid < 0) {
		perror("empty_event: fork");
		return 1;
	}
	if (pid == 0) {
		execvp(argv[3], argv + 3);
		perror(argv[3]);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	wall = now_ns() - start;
	getrusage(RUSAGE_CHILDREN, &usage);
	for (int i = 0; i < n; i++) {
		uint64_t count = 0;

		if (read(fds[i], &count, sizeof(count)) == sizeof(count))
			counted += count;
	}
	out = fopen(argv[2], "w");
	if (!out ||
	    fprintf(out, "%" PRIu64 "\n%" PRIu64 "\n%" PRIu64 "\n%" PRIu64 "\n%" PRIu64 "\n", wall,
		    ns_of(usage.ru_utime), ns_of(usage.ru_stime), counted, period) < 0 ||
	    fclose(out) != 0) {
		perror(argv[2]);
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
