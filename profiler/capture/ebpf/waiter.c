#include "profiler/capture/ebpf/waiter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "base/mem.h"

struct ebpf_waiter {
	struct kern_sampler *sampler;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool is_asked, is_stopping; /* under the lock */
	atomic_bool is_done;
};

static void *wait_for_readers(void *waiter)
{
	struct ebpf_waiter *w = waiter;

	prctl(PR_SET_NAME, "cprof-wait");
	pthread_mutex_lock(&w->lock);
	while (!w->is_stopping) {
		if (!w->is_asked) {
			pthread_cond_wait(&w->changed, &w->lock);
			continue;
		}
		w->is_asked = false;
		pthread_mutex_unlock(&w->lock);
		if (kern_sampler_wait_for_readers(w->sampler))
			atomic_store(&w->is_done, true);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

struct ebpf_waiter *ebpf_waiter_create(struct kern_sampler *sampler)
{
	struct ebpf_waiter *w = mem_calloc(1, sizeof(*w));

	w->sampler = sampler;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	if (pthread_create(&w->thread, NULL, wait_for_readers, w) == 0)
		return w;
	free(w);
	return NULL;
}

void ebpf_waiter_destroy(struct ebpf_waiter *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->is_stopping = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

void ebpf_waiter_start(struct ebpf_waiter *w)
{
	atomic_store(&w->is_done, false);
	pthread_mutex_lock(&w->lock);
	w->is_asked = true;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

bool ebpf_waiter_is_done(struct ebpf_waiter *w)
{
	return atomic_load(&w->is_done);
}
