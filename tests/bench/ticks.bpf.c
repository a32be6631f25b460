/*
 * An independent count of whose ticks are whose: of all tasks that a process starts, and what they
 * start, how many ticks found them in execve, between two programs, or without memory. It shares
 * nothing with the sampling program: not its events, its slots, nor its kinds of status.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/types.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "tests/bench/ticks.h"

char licence[] SEC("license") = "Dual MIT/GPL";

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct {
	unsigned long start_stack;
};
struct task_struct {
	int pid, tgid;
	struct mm_struct *mm;
	unsigned int in_execve : 1;
};
#pragma clang attribute pop

struct process {
	__u64 mm; /* as of its start or last exec */
	__u64 role;
};

/* Key: process. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct process);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TICKS_KINDS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline void count(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&counts, &kind);

	if (n)
		__sync_fetch_and_add(n, 1);
}

SEC("perf_event")
int tick(struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);

	if (!p || p->role != TICKS_COUNTED)
		return 0;
	count(TICKS_ALL);
	if (!task->mm)
		count(TICKS_NO_MEMORY);
	else if ((__u64)task->mm != p->mm)
		count(TICKS_BETWEEN);
	if (BPF_CORE_READ_BITFIELD(task, in_execve))
		count(TICKS_IN_EXECVE);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 tgid = child->tgid, from = parent->tgid;
	struct process *p = bpf_map_lookup_elem(&processes, &from);
	struct process new = { .mm = (__u64)child->mm };

	if (child->pid != child->tgid || !p)
		return 0;
	new.role = p->role < TICKS_WAITING ? p->role + 1 : p->role;
	bpf_map_update_elem(&processes, &tgid, &new, BPF_ANY);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct process *p = bpf_map_lookup_elem(&processes, &tgid);

	if (!p)
		return 0;
	p->mm = (__u64)task->mm;
	if (p->role == TICKS_WAITING)
		p->role = TICKS_COUNTED;
	return 0;
}

SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	__u32 tgid = task->tgid;

	if (task->pid == task->tgid)
		bpf_map_delete_elem(&processes, &tgid);
	return 0;
}
