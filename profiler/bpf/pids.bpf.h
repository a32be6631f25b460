/*
 * Numbers of processes and threads as cprof has them: where it runs in a pid namespace of its own,
 * these are not the kernel's. Everything that user space sees, and every key of a map, is a number
 * of cprof's namespace; a task that has none there is outside of it, and no target.
 *
 * bpf_get_ns_current_pid_tgid() would do for the running task alone, and on older kernels not for
 * one in a namespace below.
 */
#ifndef CPROF_BPF_PIDS_BPF_H
#define CPROF_BPF_PIDS_BPF_H

#include "profiler/bpf/maps.bpf.h"

#include <bpf/bpf_core_read.h>

const volatile __u8 in_pid_namespace = 0;

/* The kernel's number of a thread -> cprof's, of what the maps are to forget when the thread is
 * freed: by then it has lost its numbers. With KERN_TARGET_THREADS, of the chosen ones that were
 * sampled, too: an exec takes the number from the thread before it is told. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KERN_NUMBERS);
	__type(key, __u32);
	__type(value, __u32);
} numbers SEC(".maps");

struct pid_numbers {
	__u32 tgid, tid; /* 0: none */
};

static __always_inline __u32 number_of(const struct pid *pid)
{
	__u32 zero = 0;
	const struct kern_state *st = bpf_map_lookup_elem(&state, &zero);
	struct upid number = { 0 };

	if (!pid || !st || pid->level < st->pid_level)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number), &pid->numbers[st->pid_level]);
	return (__u64)number.ns == st->pid_namespace ? number.nr : 0;
}

static __always_inline struct pid_numbers numbers_of(struct task_struct *task)
{
	struct pid_numbers n = { .tgid = task->tgid, .tid = task->pid };
	const struct pid *process, *thread;

	if (!in_pid_namespace)
		return n;
	process = task->signal->pids[PIDTYPE_TGID];
	thread = task->thread_pid;
	n.tgid = n.tid = number_of(process);
	if (thread != process && thread) /* a thread that has ended, and still runs, has none */
		n.tid = number_of(thread);
	return n;
}

/* Those of the running task, of which id has the kernel's. */
static __always_inline struct pid_numbers own_numbers(__u64 id)
{
	struct pid_numbers n = { .tgid = id >> 32, .tid = id };

	return in_pid_namespace ? numbers_of(bpf_get_current_task_btf()) : n;
}

/* A number that the kernel knew the thread by, as it was before. 0: not known. */
static __always_inline __u32 old_number(__u32 kernel_tid)
{
	__u32 *number;

	if (!in_pid_namespace)
		return kernel_tid;
	number = bpf_map_lookup_elem(&numbers, &kernel_tid);
	return number ? *number : 0;
}

static __always_inline void keep_number(__u32 kernel_tid, __u32 tid)
{
	if (in_pid_namespace && !bpf_map_lookup_elem(&numbers, &kernel_tid))
		bpf_map_update_elem(&numbers, &kernel_tid, &tid, BPF_ANY);
}

#endif
