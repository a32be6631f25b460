#include "profiler/capture/ebpf/toucher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>

#include "base/compiler.h"
#include "base/mem.h"

#define PAGE_SHIFT    12
#define QUEUE	      64 /* what is more is asked for again by a later sample */
#define PAGES_AT_ONCE 16
#define AGAIN_NS      20000000ull
#define RECENT	      64
#define JOIN_NS	      200000000l

struct request {
	uint32_t pid;
	uint64_t page;
};

struct ebpf_toucher {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct request queue[QUEUE]; /* under the lock, as all up to pages */
	uint32_t count;
	bool is_stopping;
	atomic_ullong pages;
	struct {
		struct request request;
		uint64_t time_ns;
	} recent[RECENT]; /* the drain's */
};

/* Up to the first page that is none of its memory. Not through /proc/PID/mem: what is read below a
 * stack there becomes part of it. */
static void touch(struct ebpf_toucher *t, const struct request *r)
{
	char bytes[PAGES_AT_ONCE];
	struct iovec to = { bytes, sizeof(bytes) }, from[PAGES_AT_ONCE];
	ssize_t n;

	for (uint64_t i = 0; i < PAGES_AT_ONCE; i++)
		from[i] = (struct iovec){ (void *)(uintptr_t)((r->page + i) << PAGE_SHIFT), 1 };
	n = process_vm_readv((pid_t)r->pid, &to, 1, from, PAGES_AT_ONCE, 0);
	if (n > 0)
		atomic_fetch_add(&t->pages, (unsigned long long)n);
}

static void *run(void *toucher)
{
	struct ebpf_toucher *t = toucher;

	prctl(PR_SET_NAME, "cprof-touch");
	pthread_mutex_lock(&t->lock);
	while (!t->is_stopping) {
		struct request r;

		if (!t->count) {
			pthread_cond_wait(&t->changed, &t->lock);
			continue;
		}
		r = t->queue[--t->count];
		pthread_mutex_unlock(&t->lock);
		touch(t, &r);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

struct ebpf_toucher *ebpf_toucher_create(void)
{
	struct ebpf_toucher *t = mem_calloc(1, sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->changed, NULL);
	if (pthread_create(&t->thread, NULL, run, t) == 0)
		return t;
	free(t);
	return NULL;
}

void ebpf_toucher_destroy(struct ebpf_toucher *t)
{
	struct timespec until;

	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->is_stopping = true;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += JOIN_NS;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	if (pthread_clockjoin_np(t->thread, NULL, CLOCK_MONOTONIC, &until) != 0)
		return; /* it waits for a page that nobody brings: it ends with cprof */
	pthread_cond_destroy(&t->changed);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void ebpf_toucher_add(struct ebpf_toucher *t, uint32_t pid, uint64_t address, uint64_t time_ns)
{
	struct request r = { pid, address >> PAGE_SHIFT };
	uint32_t slot = (uint32_t)((r.page ^ pid) % RECENT);

	if (t->recent[slot].request.pid == pid && t->recent[slot].request.page == r.page &&
	    time_ns - t->recent[slot].time_ns < AGAIN_NS)
		return;
	t->recent[slot].request = r;
	t->recent[slot].time_ns = time_ns;
	pthread_mutex_lock(&t->lock);
	if (t->count < QUEUE)
		t->queue[t->count++] = r;
	pthread_cond_signal(&t->changed);
	pthread_mutex_unlock(&t->lock);
}

uint64_t ebpf_toucher_pages(const struct ebpf_toucher *t)
{
	return t ? atomic_load(&t->pages) : 0;
}
