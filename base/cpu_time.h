/* The CPU time, user's and system's, that the calling thread has taken so far. A system call. */
#ifndef CPROF_BASE_CPU_TIME_H
#define CPROF_BASE_CPU_TIME_H

#include <stdint.h>
#include <time.h>

static inline uint64_t thread_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

#endif
