/*
 * Maps of maps. An update of one returns only when no program can see the old entry any more: some
 * ten milliseconds each, and on a machine with many CPUs seconds for the rings alone. Updates that
 * wait at the same time wait for the same thing, so each gets a thread.
 */
#include <bpf/bpf.h>
#include <pthread.h>
#include <stdlib.h>

#include "profiler/bpf/bridge.h"

#define STACK_BYTES 65536
#define AT_ONCE	    64

static void *put_one(void *arg)
{
	struct kern_inner *inner = arg;
	int result = bpf_map_update_elem(inner->outer, &inner->index, &inner->map, BPF_ANY);

	inner->errnum = result < 0 ? -result : 0;
	return NULL;
}

void kern_inner_put(struct kern_inner *inner, uint32_t n)
{
	pthread_t threads[AT_ONCE];
	bool running[AT_ONCE];
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (uint32_t from = 0; from < n; from += AT_ONCE) {
		uint32_t count = MIN(n - from, (uint32_t)AT_ONCE);

		/* the last one is ours, and so is what gets no thread */
		for (uint32_t i = 0; i < count; i++) {
			running[i] = i + 1 < count && pthread_create(&threads[i], &attr, put_one,
								     &inner[from + i]) == 0;
			if (!running[i])
				put_one(&inner[from + i]);
		}
		for (uint32_t i = 0; i < count; i++) {
			if (running[i])
				pthread_join(threads[i], NULL);
		}
	}
	pthread_attr_destroy(&attr);
}
