#include "profiler/capture/ebpf/aside.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/capture/ebpf/ebpf.h"

#define LAST_KEEP_NS  500000000ull /* unless samples ask for it */
#define LAST_BYTES    (8u << 20)   /* of all */
#define HELD_KEEP_NS  50000000ull
#define LAST_OVERHEAD sizeof(struct ebpf_last)

static const uint8_t *copy_of(const void *bytes, size_t size)
{
	uint8_t *copy = size ? mem_alloc(size) : NULL;

	if (size)
		memcpy(copy, bytes, size);
	return copy;
}

static void take_walk(const struct kern_aside *aside, const struct ebpf_stack *stack,
		      struct ebpf_walk *ret)
{
	*ret = (struct ebpf_walk){
		.regs.ip = aside->regs[0],
		.is_cut = aside->record.flags & (KERN_SAMPLE_STACK_CUT | KERN_SAMPLE_PARTS_LOST),
	};
	memcpy(ret->regs.gpr, aside->regs + 1, sizeof(ret->regs.gpr));
	ret->stack.base = ret->regs.gpr[UNWIND_REG_SP];
	if (stack->handled && stack->sequence == aside->record.sequence)
		ret->stack = stack->memory;
}

/* --- the last ones --- */

static void drop_last(struct ebpf_asides *a)
{
	struct ebpf_last *last = &a->lasts.items[a->lasts_taken++];

	a->last_bytes -= last->walk.stack.size + LAST_OVERHEAD;
	free((void *)last->walk.stack.bytes);
	last->walk.stack.bytes = NULL;
}

/* The latest one of a thread. */
static struct ebpf_last *find_last(struct ebpf_asides *a, uint32_t pid, uint32_t tid)
{
	uint64_t number = a->by_tid[tid % EBPF_LASTS];
	struct ebpf_last *last;

	if (number <= a->lasts_shed + a->lasts_taken)
		return NULL;
	last = &a->lasts.items[number - 1 - a->lasts_shed];
	return last->tid == tid && last->pid == pid ? last : NULL;
}

static void add_last(struct ebpf_asides *a, const struct kern_aside *aside,
		     const struct ebpf_walk *walk)
{
	struct ebpf_last last = { .pid = aside->tgid,
				  .tid = aside->tid,
				  .time_ns = aside->record.time_ns,
				  .walk = *walk };

	last.walk.stack.bytes = copy_of(walk->stack.bytes, walk->stack.size);
	a->last_bytes += walk->stack.size + LAST_OVERHEAD;
	vec_push(&a->lasts, last);
	a->by_tid[aside->tid % EBPF_LASTS] = a->lasts_shed + a->lasts.count;
	while (a->last_bytes > LAST_BYTES)
		drop_last(a);
}

const struct ebpf_walk *ebpf_last_of(struct capture *c, uint32_t pid, uint32_t tid,
				     uint64_t time_ns)
{
	struct ebpf_last *last = find_last(&ebpf_of(c)->asides, pid, tid);

	if (!last || last->time_ns > time_ns)
		return NULL;
	last->used_ns = time_ns;
	return &last->walk;
}

bool ebpf_has_last(struct capture *c, uint32_t pid, uint32_t tid)
{
	return find_last(&ebpf_of(c)->asides, pid, tid) != NULL;
}

void ebpf_forget_last(struct capture *c, uint32_t tid)
{
	struct ebpf_asides *a = &ebpf_of(c)->asides;
	uint64_t number = a->by_tid[tid % EBPF_LASTS];

	if (number > a->lasts_shed + a->lasts_taken &&
	    a->lasts.items[number - 1 - a->lasts_shed].tid == tid)
		a->by_tid[tid % EBPF_LASTS] = 0;
}

/* --- the later ones --- */

void ebpf_hold(struct capture *c, uint32_t ring, const struct kern_sample *sample,
	       const struct unwind_memory *stack)
{
	size_t words = (size_t)sample->kernel_count + sample->user_count;
	struct ebpf_held held = { .ring = ring, .stack = *stack };

	if (sample->record.flags & KERN_SAMPLE_REGS)
		words += KERN_REGS;
	held.sample = (void *)copy_of(sample, sizeof(*sample) + 8 * words);
	held.stack.bytes = copy_of(stack->bytes, stack->size);
	vec_push(&ebpf_of(c)->asides.held, held);
}

/* Hands on the held sample at i, with the stack that it waited for (NULL: it did not come). */
static void release(struct capture *c, size_t i, const struct ebpf_walk *later)
{
	struct ebpf_asides *a = &ebpf_of(c)->asides;
	struct ebpf_held held = a->held.items[i];

	memmove(&a->held.items[i], &a->held.items[i + 1],
		(--a->held.count - i) * sizeof(*a->held.items));
	ebpf_finish_sample(c, held.ring, held.sample, &held.stack, later);
	free(held.sample);
	free((void *)held.stack.bytes);
}

static void release_of(struct capture *c, uint32_t tid, uint64_t until_ns,
		       const struct ebpf_walk *later)
{
	struct ebpf_asides *a = &ebpf_of(c)->asides;

	for (size_t i = 0; i < a->held.count;) {
		const struct kern_sample *s = a->held.items[i].sample;

		if ((tid && s->tid != tid) || s->record.time_ns > until_ns) {
			i++;
			continue;
		}
		a->later_samples += later != NULL;
		release(c, i, later);
	}
}

/* --- both --- */

void ebpf_aside(struct capture *c, uint32_t ring, const struct kern_aside *aside)
{
	struct ebpf_state *e = ebpf_of(c);
	struct ebpf_stack *stack = &e->rings[ring].aside;
	struct ebpf_walk walk;

	take_walk(aside, stack, &walk);
	if (aside->record.kind == KERN_RECORD_LAST)
		add_last(&e->asides, aside, &walk);
	else
		release_of(c, aside->tid, aside->record.time_ns, &walk);
	ebpf_stack_handled(c, stack);
}

void ebpf_tend_asides(struct capture *c, uint64_t now_ns)
{
	struct ebpf_asides *a = &ebpf_of(c)->asides;
	size_t taken;

	while (a->lasts_taken < a->lasts.count) {
		const struct ebpf_last *last = &a->lasts.items[a->lasts_taken];

		if (MAX(last->time_ns, last->used_ns) + LAST_KEEP_NS > now_ns)
			break;
		drop_last(a);
	}
	taken = a->lasts_taken;
	vec_shed(&a->lasts, &a->lasts_taken);
	a->lasts_shed += taken - a->lasts_taken;
	if (a->held.count)
		release_of(c, 0, now_ns == UINT64_MAX ? now_ns : now_ns - HELD_KEEP_NS, NULL);
}

void ebpf_asides_deinit(struct ebpf_asides *a)
{
	while (a->lasts_taken < a->lasts.count)
		drop_last(a);
	for (size_t i = 0; i < a->held.count; i++) {
		free(a->held.items[i].sample);
		free((void *)a->held.items[i].stack.bytes);
	}
	vec_deinit(&a->lasts);
	vec_deinit(&a->held);
}
