/*
 * Sending a user stack to user space, which walks it: registers, and the memory from the stack
 * pointer on, a page at a time.
 */
#ifndef CPROF_BPF_SEND_BPF_H
#define CPROF_BPF_SEND_BPF_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "profiler/bpf/maps.bpf.h"

#define PAGE_BYTES     4096ull
#define RED_ZONE_BYTES 128
#define NO_END	       (~0ull)
#define NO_LIMIT       (~0u)

const volatile __u64 wake_bytes = 0; /* in a ring */

/* User space looks into the rings by itself; it is woken, which costs more than a sample, only
 * where that would be too late. */
static __always_inline __u64 wake_flag(void *ring)
{
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA) > wake_bytes ? BPF_RB_FORCE_WAKEUP
								       : BPF_RB_NO_WAKEUP;
}

/* --- registers --- */

/* What the kernel's entry saved, when the program is not of an interrupt in that entry. */
static __always_inline __u32 copy_task_regs(struct kern_sending *o,
					    const struct pt_regs___kernel *r)
{
	if ((__u16)r->cs == USER32_CS)
		return UNWIND_COMPAT32;
	o->regs[0] = r->ip;
	o->regs[1] = r->ax;
	o->regs[2] = r->dx;
	o->regs[3] = r->cx;
	o->regs[4] = r->bx;
	o->regs[5] = r->si;
	o->regs[6] = r->di;
	o->regs[7] = r->bp;
	o->regs[8] = r->sp;
	o->regs[9] = r->r8;
	o->regs[10] = r->r9;
	o->regs[11] = r->r10;
	o->regs[12] = r->r11;
	o->regs[13] = r->r12;
	o->regs[14] = r->r13;
	o->regs[15] = r->r14;
	o->regs[16] = r->r15;
	return UNWIND_OK_STOP;
}

/* --- pages --- */

struct send_context {
	struct kern_sending *out;
	struct kern_counters *c;
	struct kern_state *state;
	void *ring;
};

/* One page of the stack, or what of it lies above `at`. Returns 1 behind the last one. An absent
 * page is left out: a hole, where it is known that the stack goes on behind it. */
static long send_part(__u32 i, struct send_context *cx)
{
	struct kern_sending *o = cx->out;
	__u64 at = o->at, size = PAGE_BYTES - (at & (PAGE_BYTES - 1));

	if (at >= o->end || o->pages >= KERN_PARTS_MAX || o->bytes >= o->enough)
		return 1;
	if (size > o->enough)
		size = o->enough;
	asm volatile("" : "+r"(size)); /* else the limit may be checked of another register */
	if (size > KERN_PART_BYTES)
		return 1;
	if (bpf_probe_read_user(o->part.bytes, size, (void *)at)) {
		/* below the stack pointer it may be just growing */
		if (at > o->regs[1 + UNWIND_GPR_SP] && o->end == NO_END)
			return 1;
		o->has_holes |= at + size > o->regs[1 + UNWIND_GPR_SP];
		o->at = at + size;
		o->pages++;
		return 0;
	}
	if (cx->state->in_flight + size > cx->state->in_flight_max) {
		__sync_fetch_and_add(&cx->c->budget_cut, 1);
		return 1;
	}
	o->part.address = at;
	o->part.size = size;
	if (bpf_ringbuf_output(cx->ring, &o->part, offsetof(struct kern_part, bytes) + size,
			       wake_flag(cx->ring))) {
		__sync_fetch_and_add(&cx->c->parts_lost, 1);
		o->flags |= KERN_SAMPLE_PARTS_LOST;
		return 1;
	}
	__sync_fetch_and_add(&cx->state->in_flight, size);
	__sync_fetch_and_add(&cx->c->parts, 1);
	o->parts++;
	o->bytes += size;
	o->at = at + size;
	o->pages++;
	return 0;
}

static long take_end(struct task_struct *task, struct vm_area_struct *vma, struct send_context *cx)
{
	cx->out->end = vma->vm_end;
	return 0;
}

/* Where a stack ends: the main thread's below the arguments, another's below what its thread
 * pointer points at, which C libraries put at the top of its stack. */
static __always_inline __u64 find_end(struct task_struct *task, __u64 sp)
{
	const __u64 most = KERN_PARTS_MAX * PAGE_BYTES;
	__u64 main_stack = task->mm->start_stack, tls;

	if (sp <= main_stack && main_stack - sp < most)
		return main_stack + 8;
	if (!bpf_core_field_exists(task->thread.fsbase))
		return NO_END;
	tls = task->thread.fsbase;
	return sp < tls && tls - sp < most ? tls : NO_END;
}

/*
 * Sends the stack of out->regs; out->part.record and enough are set. Where nothing tells its end,
 * that is the mapping's, which is asked for (in an interrupt that takes as long as a walk) only at
 * an absent page: most such stacks are above that page, and end there.
 */
static __always_inline void send_stack(struct kern_sending *o, struct kern_counters *c, void *ring,
				       struct task_struct *task)
{
	__u32 zero = 0;
	struct send_context cx = { .out = o, .c = c, .ring = ring };
	__u64 sp = o->regs[1 + UNWIND_GPR_SP];

	o->flags = 0;
	o->parts = o->bytes = o->pages = o->has_holes = 0;
	cx.state = bpf_map_lookup_elem(&state, &zero);
	if (!cx.state)
		return;
	o->at = (sp - RED_ZONE_BYTES) & ~7ull;
	o->end = find_end(task, sp);
	bpf_loop(KERN_PARTS_MAX, send_part, &cx, 0);
	if (o->end == NO_END && !o->flags && o->pages < KERN_PARTS_MAX && o->bytes < o->enough) {
		/* it stopped at an absent page, or for want of budget */
		bpf_find_vma(task, sp, take_end, &cx, 0);
		if (o->end <= o->at || o->end == NO_END)
			o->end = o->at;
		else
			bpf_loop(KERN_PARTS_MAX, send_part, &cx, 0);
	}
	if (o->at < o->end)
		o->flags |= KERN_SAMPLE_STACK_CUT;
}

#endif
