/*
 * The kernel programs: a sample of whatever runs on a CPU when its event fires, and what keeps the
 * processes' slots right across forks, execs and exits.
 *
 * A sample is counted in exactly one place (struct kern_counters), and every target's sample
 * becomes a record with a status. Where the walk needs something that only user space can give, the
 * record carries the registers, and the stack goes in front of it in parts.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>

#include "profiler/bpf/aside.bpf.h"
#include "profiler/bpf/pids.bpf.h"
#include "profiler/bpf/walk.bpf.h"

char licence[] SEC("license") = "Dual MIT/GPL";

const volatile __u32 target = KERN_TARGET_PROCESSES;
const volatile __u8 user_only = 0;
const volatile __u8 debug_stacks = 0;

static __always_inline struct kern_counters *own_counters(void)
{
	__u32 cpu = bpf_get_smp_processor_id();

	return bpf_map_lookup_elem(&counters, &cpu);
}

/* --- who --- */

/* Whether an entry is about the task's process: the number may have been another one's. */
static __always_inline int is_same_process(struct kern_process *p, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	if (p->start_time)
		return p->start_time == leader->start_time;
	if (p->start_ticks && p->start_ticks != leader->start_boottime / KERN_TICK_NS)
		return 0;
	p->start_time = leader->start_time;
	return 1;
}

/* The entry of the task's process, which has this number. */
static __always_inline struct kern_process *find_process(struct task_struct *task, __u32 tgid)
{
	struct kern_process *p = bpf_map_lookup_elem(&processes, &tgid);

	return p && is_same_process(p, task) ? p : 0;
}

/* The slot of the running process, 0 without one. False: no target. */
static __always_inline int find_target(__u32 tgid, __u32 tid, __u32 *ret_slot)
{
	struct kern_process *p = find_process(bpf_get_current_task_btf(), tgid);

	*ret_slot = p && p->armed ? p->slot : 0;
	if (target == KERN_TARGET_PROCESSES)
		return p && p->armed;
	if (target == KERN_TARGET_THREADS)
		return bpf_map_lookup_elem(&threads, &tid) != 0;
	if (target == KERN_TARGET_CGROUP)
		return bpf_current_task_under_cgroup(&cgroup, 0) == 1;
	return 1;
}

/* Whether an NMI came while the kernel's entry pushed the registers: what stands there is of the
 * system call before, in part. As in the kernel's perf_get_regs_user(). */
static __always_inline int are_unsaved(struct kern_scratch *k, const struct pt_regs___kernel *r,
				       __u64 kernel_sp)
{
	volatile __u64 *at = &k->out.at; /* an address, and for the verifier a number */
	__u64 depth;

	*at = (__u64)r;
	depth = kernel_sp - *at;
	return depth > bpf_core_field_offset(struct pt_regs___kernel, r11) &&
	       depth <= bpf_core_type_size(struct pt_regs___kernel);
}

/* What the kernel's entry saved. A function of its own: where clang makes one load of two, of which
 * one is of the sample's context, the verifier refuses it. */
static __attribute__((noinline)) __u32 take_task_regs(struct kern_scratch *k,
						      struct task_struct *task, __u64 kernel_sp)
{
	const struct pt_regs___kernel *r = (const struct pt_regs___kernel *)bpf_task_pt_regs(task);

	if (!k)
		return UNWIND_EXITING;
	if (are_unsaved(k, r, kernel_sp))
		return UNWIND_REGS_UNSAVED;
	return copy_task_regs(&k->out, r);
}

static __always_inline void take_sample_regs(struct kern_scratch *k,
					     const struct bpf_perf_event_data *ctx)
{
	k->out.regs[0] = ctx->regs.rip;
	k->out.regs[1] = ctx->regs.rax;
	k->out.regs[2] = ctx->regs.rdx;
	k->out.regs[3] = ctx->regs.rcx;
	k->out.regs[4] = ctx->regs.rbx;
	k->out.regs[5] = ctx->regs.rsi;
	k->out.regs[6] = ctx->regs.rdi;
	k->out.regs[7] = ctx->regs.rbp;
	k->out.regs[8] = ctx->regs.rsp;
	k->out.regs[9] = ctx->regs.r8;
	k->out.regs[10] = ctx->regs.r9;
	k->out.regs[11] = ctx->regs.r10;
	k->out.regs[12] = ctx->regs.r11;
	k->out.regs[13] = ctx->regs.r12;
	k->out.regs[14] = ctx->regs.r13;
	k->out.regs[15] = ctx->regs.r14;
	k->out.regs[16] = ctx->regs.r15;
}

/* Fills the user's registers. A status other than OK_STOP: there are none to walk with. */
static __always_inline __u32 take_regs(struct kern_scratch *k, struct task_struct *task,
				       const struct bpf_perf_event_data *ctx, int in_kernel)
{
	if (task->flags & PF_KTHREAD)
		return UNWIND_KTHREAD;
	if (task->flags & (PF_IO_WORKER | PF_USER_WORKER))
		return UNWIND_USER_WORKER; /* its registers were never set */
	if (!task->mm)
		return UNWIND_EXITING;
	if (!in_kernel) {
		if (ctx->regs.cs == USER32_CS)
			return UNWIND_COMPAT32;
		take_sample_regs(k, ctx);
		return UNWIND_OK_STOP;
	}
	return take_task_regs(k, task, ctx->regs.rsp);
}

/* In the middle of execve: a new memory, the old program's registers. What another memory means in
 * a kernel that does not tell: outside of execve nobody gets one in a system call. */
static __always_inline int is_in_execve(struct task_struct *task, int otherwise)
{
	if (!bpf_core_field_exists(task->in_execve))
		return otherwise;
	return BPF_CORE_READ_BITFIELD(task, in_execve);
}

/* Whether the slot is about the memory that the task has now; a process that was there before gets
 * its first sample's. Sets k->maps. */
static __always_inline __u32 check_memory(struct kern_scratch *k, struct task_struct *task,
					  __u32 index, int in_kernel)
{
	struct kern_slot *slot = bpf_map_lookup_elem(&slots, &index);
	const struct kern_owner *owner = bpf_map_lookup_elem(&owners, &index);
	__u64 mm = (__u64)task->mm;

	k->maps = 0;
	if (!slot || !owner || !index || owner->tgid != k->sample.tgid)
		return UNWIND_DEFER; /* it was given back, and is another's by now */
	if (!slot->mm && !is_in_execve(task, in_kernel))
		slot->mm = mm;
	if (slot->mm != mm)
		return is_in_execve(task, in_kernel) ? UNWIND_EXEC : UNWIND_DEFER;
	k->maps = slot->maps;
	return UNWIND_OK_STOP;
}

/* Mappings or a table are wanted: until it hears of that, user space makes none, and all samples
 * there are deferred. */
static __always_inline __u64 call_flag(const struct kern_scratch *k)
{
	__u32 zero = 0;
	struct kern_state *st = bpf_map_lookup_elem(&state, &zero);

	if (k->sample.status != UNWIND_DEFER || !st || !st->listening)
		return 0;
	st->listening = 0;
	return BPF_RB_FORCE_WAKEUP;
}

/* --- the sample --- */

static __always_inline void add_kernel_frames(struct kern_scratch *k,
					      struct bpf_perf_event_data *ctx)
{
	long bytes = bpf_get_stack(ctx, k->words, KERN_KERNEL_FRAMES * sizeof(__u64), 0);

	k->sample.kernel_count = 0;
	if (bytes > 0 && bytes <= KERN_KERNEL_FRAMES * (long)sizeof(__u64))
		k->sample.kernel_count = bytes / sizeof(__u64);
	k->frames = k->sample.kernel_count;
}

static __always_inline void add_regs(struct kern_scratch *k)
{
	__u32 n = k->frames;

	if (n > KERN_FRAME_WORDS - KERN_REGS)
		return;
	for (int i = 0; i < KERN_REGS; i++)
		k->words[n + i] = k->out.regs[i];
	k->frames = n + KERN_REGS;
	k->sample.record.flags |= KERN_SAMPLE_REGS;
}

/* Puts the record into the ring; false where it has no room. */
static __always_inline int emit(struct kern_scratch *k, void *ring)
{
	__u64 call = call_flag(k);
	__u32 n = k->frames;

	if (n > KERN_FRAME_WORDS)
		n = KERN_FRAME_WORDS;
	return !bpf_ringbuf_output(ring, &k->sample, sizeof(k->sample) + n * sizeof(__u64),
				   call ? call : wake_flag(ring));
}

static __always_inline void count_time(const struct kern_scratch *k, struct kern_counters *c,
				       __u64 started_ns, int in_kernel)
{
	__u64 ns = bpf_ktime_get_ns() - started_ns;

	if (k->sample.status == UNWIND_DEFER) {
		c->deferred++;
		c->deferred_ns += ns;
	} else if (in_kernel) {
		c->kernel_samples++;
		c->kernel_frames += k->sample.kernel_count + k->sample.user_count;
		c->kernel_ns += ns;
	} else {
		c->user_samples++;
		c->user_frames += k->sample.user_count;
		c->user_ns += ns;
	}
}

static __always_inline int lacks_page(const struct kern_scratch *k, __u32 status)
{
	return status == UNWIND_EFAULT_RA || status == UNWIND_EFAULT_FP ||
	       status == UNWIND_EFAULT_DEREF || (status == UNWIND_DEFER && k->out.has_holes);
}

/* A target's sample, from its registers to the ring. */
static __always_inline void take_sample(struct bpf_perf_event_data *ctx, struct kern_scratch *k,
					struct kern_counters *c, void *ring, __u32 slot,
					__u64 started_ns)
{
	struct task_struct *task = bpf_get_current_task_btf();
	int in_kernel = (ctx->regs.cs & 3) != 3;
	__u32 status;

	k->sample.record.flags = in_kernel ? KERN_SAMPLE_IN_KERNEL : 0;
	k->sample.slot = slot;
	k->sample.kernel_count = 0;
	k->sample.parts = 0;
	k->frames = 0;
	k->maps = 0;
	k->s.fault_address = 0;
	if (in_kernel && !user_only)
		add_kernel_frames(k, ctx);
	status = take_regs(k, task, ctx, in_kernel);
	if (status == UNWIND_OK_STOP) {
		status = check_memory(k, task, slot, in_kernel);
		if (status == UNWIND_OK_STOP) {
			walk_user(k, started_ns);
			status = k->s.status;
		}
		if (status == UNWIND_DEFER)
			k->frames = k->sample.kernel_count;
	}
	k->sample.user_count = k->frames - k->sample.kernel_count;
	k->sample.status = status;
	k->sample.maps = k->maps;
	k->sample.fault_address = k->s.fault_address;
	if (status == UNWIND_DEFER || (debug_stacks && k->maps)) {
		k->out.part.record = k->sample.record;
		k->out.part.record.kind = KERN_RECORD_PART;
		k->out.enough = NO_LIMIT;
		send_stack(&k->out, c, ring, task);
		k->sample.parts = k->out.parts;
		k->sample.record.flags |= k->out.flags;
		add_regs(k);
	}
	if (in_kernel && lacks_page(k, status) && promise_later(task, &k->out))
		k->sample.record.flags |= KERN_SAMPLE_LATER;
	if (!emit(k, ring)) {
		c->ring_full++;
		c->other_ns += bpf_ktime_get_ns() - started_ns;
		return;
	}
	c->emitted++;
	count_time(k, c, started_ns, in_kernel);
}

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	__u64 started_ns = bpf_ktime_get_ns(), id = bpf_get_current_pid_tgid();
	__u32 cpu = bpf_get_smp_processor_id(), slot;
	struct pid_numbers own;
	struct kern_counters *c = bpf_map_lookup_elem(&counters, &cpu);
	struct kern_scratch *k = bpf_map_lookup_elem(&scratch, &cpu);
	void *ring = bpf_map_lookup_elem(&rings, &cpu);

	if (!c)
		return 0;
	c->entries++;
	if ((__u32)id == 0) {
		c->idle++;
		goto nothing;
	}
	own = own_numbers(id);
	if (!own.tgid || !find_target(own.tgid, own.tid, &slot)) {
		c->filtered++;
		goto nothing;
	}
	if (!k || !ring) { /* a CPU that came later: nobody reads its ring */
		c->ring_full++;
		goto nothing;
	}
	k->sample.record.time_ns = started_ns;
	k->sample.record.sequence = k->sequence++;
	k->sample.record.kind = KERN_RECORD_SAMPLE;
	k->sample.tgid = own.tgid;
	k->sample.tid = own.tid;
	if (target == KERN_TARGET_THREADS)
		keep_number(id, own.tid);
	take_sample(ctx, k, c, ring, slot, started_ns);
	return 0;
nothing:
	c->other_ns += bpf_ktime_get_ns() - started_ns;
	return 0;
}

/* The ledger's judge: a program that does nothing but count its runs. */
SEC("perf_event")
int count_only(struct bpf_perf_event_data *ctx)
{
	struct kern_counters *c = own_counters();

	if (c) {
		c->entries++;
		c->filtered++;
	}
	return 0;
}

/* --- slots --- */

#define TAKE_TRIES 8 /* as many CPUs may be at it at once */

/* A process or thread of a target that nothing more can be kept of. */
static __always_inline void no_room(void)
{
	struct kern_counters *c = own_counters();

	if (c)
		c->no_slot++;
}

/* A free slot, 0: there is none. */
static __always_inline __u32 take_slot(__u32 tgid, __u64 maps, __u64 mm, __u32 memory_of)
{
	struct kern_state *st;
	struct kern_owner *owner;
	struct kern_slot *slot;
	__u32 zero = 0, at, *free;

	st = bpf_map_lookup_elem(&state, &zero);
	for (int i = 0; st && i < TAKE_TRIES; i++) {
		__u32 taken = *(volatile __u32 *)&st->slots_taken;

		if (taken == *(volatile __u32 *)&st->slots_given)
			break;
		at = taken & (KERN_SLOTS - 1);
		free = bpf_map_lookup_elem(&free_slots, &at);
		if (!free)
			break;
		at = *free;
		owner = bpf_map_lookup_elem(&owners, &at);
		slot = bpf_map_lookup_elem(&slots, &at);
		if (!owner || !slot)
			break;
		if (__sync_val_compare_and_swap(&st->slots_taken, taken, taken + 1) != taken)
			continue;
		slot->mm = mm; /* first: who had it before may look at it */
		slot->maps = maps;
		owner->tgid = tgid;
		owner->memory_of = memory_of;
		owner->time_ns = bpf_ktime_get_ns();
		return at;
	}
	no_room();
	return 0;
}

/* Whoever runs may be a target, whoever its parent is: from when user space has slots for them on,
 * which is before it looks for those that were there before. */
static __always_inline int takes_all(void)
{
	__u32 zero = 0;
	const struct kern_state *st = bpf_map_lookup_elem(&state, &zero);

	return (target == KERN_TARGET_ALL || target == KERN_TARGET_CGROUP) && st && st->slots_given;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct kern_process new = { .armed = 1 }, *p;
	struct pid_numbers from = numbers_of(parent), to = numbers_of(child);
	struct kern_slot *slot = 0;
	__u32 one = 1, index, memory_of;
	__u64 maps = 0;

	/* kernel threads have none */
	memory_of = child->mm && child->mm == parent->mm ? from.tgid : 0;
	if (target == KERN_TARGET_THREADS && bpf_map_lookup_elem(&threads, &from.tid) &&
	    bpf_map_update_elem(&threads, &to.tid, &one, BPF_ANY))
		no_room();
	if (child->pid != child->tgid)
		return 0;
	p = find_process(parent, from.tgid);
	if (!to.tgid || !(takes_all() || (p && p->armed)))
		return 0;
	if (p) {
		index = p->slot;
		slot = bpf_map_lookup_elem(&slots, &index);
	}
	/* of another memory: the parent's end was told too early, and it is another process's */
	if (slot && (!slot->mm || slot->mm == (__u64)parent->mm))
		maps = slot->maps;
	new.slot = take_slot(to.tgid, maps, (__u64)child->mm, memory_of);
	new.start_time = child->start_time;
	if (bpf_map_update_elem(&processes, &to.tgid, &new, BPF_ANY))
		no_room();
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_tid)
{
	__u32 tgid = numbers_of(task).tgid, one = 1, tid;
	struct kern_process new = { .armed = 1 };
	struct kern_process *p = find_process(task, tgid);

	/* the thread that execs becomes the process's first */
	if (target == KERN_TARGET_THREADS && old_tid != task->pid) {
		tid = old_number(old_tid);
		if (bpf_map_lookup_elem(&threads, &tid))
			bpf_map_update_elem(&threads, &tgid, &one, BPF_ANY);
	}
	if (p) {
		p->slot = take_slot(tgid, 0, (__u64)task->mm, 0);
		p->armed = 1;
	} else if (tgid && takes_all()) {
		new.start_time = task->start_time;
		new.slot = take_slot(tgid, 0, (__u64)task->mm, 0);
		if (bpf_map_update_elem(&processes, &tgid, &new, BPF_ANY))
			no_room();
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct pid_numbers own;
	__u32 slot;

	if (!task->mm || task->flags & (PF_KTHREAD | PF_IO_WORKER | PF_USER_WORKER) ||
	    is_in_execve(task, 0))
		return 0;
	own = numbers_of(task);
	if (own.tgid && find_target(own.tgid, own.tid, &slot))
		send_last(task, own);
	return 0;
}

/* Not at sched_process_exit: what a process does while its memory is given back is its own, too. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(on_free, struct task_struct *task)
{
	__u32 kernel_tid = task->pid, number = old_number(kernel_tid);
	struct kern_process *p;

	if (!number)
		return 0;
	if (in_pid_namespace)
		bpf_map_delete_elem(&numbers, &kernel_tid);
	if (target == KERN_TARGET_THREADS)
		bpf_map_delete_elem(&threads, &number);
	if (task->pid != task->tgid)
		return 0;
	p = bpf_map_lookup_elem(&processes, &number);
	/* the number may be another process's by now */
	if (p && is_same_process(p, task))
		bpf_map_delete_elem(&processes, &number);
	return 0;
}

/* Where numbers are a namespace's alone. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(keep_last_number, struct task_struct *task)
{
	__u32 tid = numbers_of(task).tid;

	if ((task->pid == task->tgid && bpf_map_lookup_elem(&processes, &tid)) ||
	    (target == KERN_TARGET_THREADS && bpf_map_lookup_elem(&threads, &tid)))
		keep_number(task->pid, tid);
	return 0;
}

/* Which namespace that is: user space runs this once. */
SEC("syscall")
int learn_namespace(void *ctx)
{
	const struct pid *own = bpf_get_current_task_btf()->thread_pid;
	__u32 zero = 0;
	struct kern_state *st = bpf_map_lookup_elem(&state, &zero);
	struct upid number = { 0 };

	if (!st || !own)
		return 0;
	bpf_probe_read_kernel(&number, sizeof(number), &own->numbers[own->level]);
	st->pid_level = own->level;
	st->pid_namespace = (__u64)number.ns;
	return 0;
}
