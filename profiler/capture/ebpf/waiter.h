/* A thread that waits for the readers in the kernel, which takes some 20 ms: the drain does not.
 * One wait at a time. */
#ifndef CPROF_CAPTURE_WAITER_H
#define CPROF_CAPTURE_WAITER_H

#include <stdbool.h>

#include "profiler/bpf/sampler.h"

struct ebpf_waiter;

struct ebpf_waiter *ebpf_waiter_create(struct kern_sampler *sampler); /* NULL: no thread */
void ebpf_waiter_destroy(struct ebpf_waiter *w);		      /* takes NULL */

void ebpf_waiter_start(struct ebpf_waiter *w);
/* The one that was started; never, where the kernel refuses to wait. */
bool ebpf_waiter_is_done(struct ebpf_waiter *w);

#endif
