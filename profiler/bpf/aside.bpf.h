/*
 * Stacks that are sent apart from samples, because at the time of the sample there is none to be
 * had. Nothing is walked here: user space does, if it turns out that a sample wants it.
 *
 * The last one: a thread gives its memory up early in its exit, and may be sampled for long after
 * that (the last thread of a process frees all of it). Where the kernel tells of an exit before
 * (since 6.16), the stack is sent then: a thread runs no more code of its own.
 *
 * A later one: a page of the stack that is just being copied (the first write after a fork), or
 * brought in, is not there in the middle of that, and with it goes the innermost frame's return
 * address. Where the kernel lets a program ask for it (since 6.18), it calls back before the thread
 * returns to its own code: then the page is there, and registers and stack are those of the sample.
 */
#ifndef CPROF_BPF_ASIDE_BPF_H
#define CPROF_BPF_ASIDE_BPF_H

#include "profiler/bpf/pids.bpf.h"
#include "profiler/bpf/send.bpf.h"

typedef int (*kern_task_work)(struct bpf_map *map, void *key, void *value);

/* Of 6.18; the last argument is the verifier's to fill in. Later kernels' has another name. */
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *work,
					      void *map__map, kern_task_work callback,
					      void *aux__prog) __weak __ksym;

static __always_inline struct kern_desk *take_desk(__u32 cpu)
{
	for (__u32 i = 0; i < KERN_DESKS_OF_CPU; i++) {
		__u32 index = cpu * KERN_DESKS_OF_CPU + i;
		struct kern_desk *d = bpf_map_lookup_elem(&desks, &index);

		if (d && !__sync_val_compare_and_swap(&d->busy, 0, 1))
			return d;
	}
	return 0;
}

static __always_inline void leave_desk(struct kern_desk *d)
{
	*(volatile __u32 *)&d->busy = 0;
}

/* Of the running task. A lost one is no lost sample: that keeps the status that it has. */
static __always_inline void send_aside(struct task_struct *task, struct pid_numbers number,
				       __u32 kind, __u32 enough)
{
	__u64 started_ns = bpf_ktime_get_ns();
	__u32 cpu = bpf_get_smp_processor_id(), zero = 0;
	struct kern_counters *c = bpf_map_lookup_elem(&counters, &cpu);
	struct kern_state *st = bpf_map_lookup_elem(&state, &zero);
	void *ring = bpf_map_lookup_elem(&rings, &cpu);
	struct kern_desk *d = take_desk(cpu);

	if (!d)
		return;
	if (!c || !st || !st->sampling || !ring ||
	    copy_task_regs(&d->out, (const struct pt_regs___kernel *)bpf_task_pt_regs(task)) !=
		    UNWIND_OK_STOP) {
		leave_desk(d);
		return;
	}
	d->aside.record = (struct kern_record){
		.time_ns = started_ns,
		.sequence = __sync_fetch_and_add(&st->asides, 1),
		.kind = kind,
	};
	d->aside.tgid = number.tgid;
	d->aside.tid = number.tid;
	d->out.part.record = d->aside.record;
	d->out.part.record.kind = KERN_RECORD_ASIDE_PART;
	d->out.enough = enough;
	send_stack(&d->out, c, ring, task);
	d->aside.record.flags = d->out.flags;
	d->aside.parts = d->out.parts;
	for (int i = 0; i < KERN_REGS; i++)
		d->aside.regs[i] = d->out.regs[i];
	bpf_ringbuf_output(ring, &d->aside, sizeof(d->aside), wake_flag(ring));
	leave_desk(d);
	__sync_fetch_and_add(&c->asides, 1);
	__sync_fetch_and_add(&c->asides_ns, bpf_ktime_get_ns() - started_ns);
}

/* What is sent of a stack. Of all threads but a process's last one, there is little left to sample,
 * and their stacks are short when they end by themselves. */
#define LAST_BYTES	  1024
#define LAST_OF_ALL_BYTES (128u << 10)

static __always_inline void send_last(struct task_struct *task, struct pid_numbers number)
{
	send_aside(task, number, KERN_RECORD_LAST,
		   task->signal->live.counter ? LAST_BYTES : LAST_OF_ALL_BYTES);
}

/* Before the thread returns to its own code. */
static int keep_promise(struct bpf_map *map, void *key, void *value)
{
	struct task_struct *task = bpf_get_current_task_btf();
	const struct pt_regs___kernel *r = (const struct pt_regs___kernel *)bpf_task_pt_regs(task);
	struct kern_promise *p = value;

	if (p->tid == (__u32)task->pid && task->mm && p->mm == (__u64)task->mm && p->ip == r->ip &&
	    p->sp == r->sp)
		send_aside(task, numbers_of(task), KERN_RECORD_LATER, NO_LIMIT);
	*(volatile __u32 *)&p->tid = 0;
	return 0;
}

/* Whether the stack of these registers, interrupted in the kernel, will be sent. */
static __always_inline int promise_later(struct task_struct *task, const struct kern_sending *o)
{
	__u32 tid = task->pid, index = tid & (KERN_PROMISES - 1), before;
	__u64 ip = o->regs[0], sp = o->regs[1 + UNWIND_GPR_SP], mm = (__u64)task->mm;
	struct kern_promise *p;

	if (!bpf_task_work_schedule_resume_impl)
		return 0;
	p = bpf_map_lookup_elem(&promises, &index);
	if (!p)
		return 0;
	before = __sync_val_compare_and_swap(&p->tid, 0, tid);
	if (before == tid && p->mm == mm && p->ip == ip && p->sp == sp)
		return 1;
	if (before && before != tid)
		return 0;
	p->mm = mm;
	p->ip = ip;
	p->sp = sp;
	if (!bpf_task_work_schedule_resume_impl(task, &p->work, &promises, keep_promise, 0))
		return 1;
	*(volatile __u32 *)&p->tid = 0;
	return 0;
}

#endif
