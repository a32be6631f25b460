/*
 * A sample of the kernel program: walked to its end there, or deferred, with its registers and the
 * pages of its stack, to be walked here.
 */
#include <string.h>

#include "base/cpu_time.h"
#include "base/log.h"
#include "profiler/capture/ebpf/ebpf.h"

#define STACK_MAX (KERN_PARTS_MAX * KERN_PART_BYTES)

/* --- parts --- */

_Static_assert(KERN_PARTS_MAX <= UNWIND_MEMORY_HOLES, "each of them may be absent");

static void begin_stack(struct ebpf_stack *s, const struct kern_part *part)
{
	if (!s->bytes)
		s->bytes = mem_alloc(STACK_MAX);
	s->sequence = part->record.sequence;
	s->memory = (struct unwind_memory){ .bytes = s->bytes, .base = part->address };
}

/* The pages between two parts were not there. */
static bool add_hole(struct ebpf_stack *s, uint64_t until)
{
	struct unwind_memory *m = &s->memory;
	uint64_t end = m->base + m->size;

	if (until < end || (end | until) % UNWIND_MEMORY_PAGE || until - m->base > STACK_MAX)
		return false;
	memset(s->bytes + m->size, 0, until - end);
	m->size = until - m->base;
	m->has_holes = true;
	for (; end < until; end += UNWIND_MEMORY_PAGE) {
		uint64_t page = end / UNWIND_MEMORY_PAGE - m->base / UNWIND_MEMORY_PAGE;

		m->absent[page / 64 % ARRAY_SIZE(m->absent)] |= 1ull << page % 64;
	}
	return true;
}

void ebpf_part(struct capture *c, uint32_t ring, const struct kern_part *part)
{
	struct ebpf_ring *r = &ebpf_of(c)->rings[ring];
	struct ebpf_stack *s = part->record.kind == KERN_RECORD_PART ? &r->stack : &r->aside;
	struct unwind_memory *m = &s->memory;

	if (!s->handled || s->sequence != part->record.sequence)
		begin_stack(s, part);
	s->handled += part->size;
	if (part->address != m->base + m->size && !add_hole(s, part->address))
		return;
	if (part->size > STACK_MAX - m->size)
		return;
	memcpy(s->bytes + m->size, part->bytes, part->size);
	m->size += part->size;
}

void ebpf_stack_handled(struct capture *c, struct ebpf_stack *s)
{
	if (s->handled)
		kern_sampler_handled(ebpf_of(c)->sampler, s->handled);
	s->handled = 0;
}

/* --- samples --- */

static const uint64_t *words_of(const struct kern_sample *sample)
{
	return (const uint64_t *)(sample + 1);
}

/* What a sample brought along to be walked here. */
static struct ebpf_walk own_walk(const struct kern_sample *sample,
				 const struct unwind_memory *stack)
{
	const uint64_t *words = words_of(sample) + sample->kernel_count + sample->user_count;
	struct ebpf_walk walk = {
		.regs.ip = words[0],
		.stack = *stack,
		.is_cut = sample->record.flags & (KERN_SAMPLE_STACK_CUT | KERN_SAMPLE_PARTS_LOST),
	};

	memcpy(walk.regs.gpr, words + 1, sizeof(walk.regs.gpr));
	if (!stack->size)
		walk.stack.base = walk.regs.gpr[UNWIND_REG_SP];
	return walk;
}

_Static_assert(KERN_REGS == 1 + UNWIND_GPRS, "the same registers");

static void take_frames(struct capture *c, const struct kern_sample *sample)
{
	const uint64_t *words = words_of(sample) + sample->kernel_count;

	for (uint32_t i = 0; i < sample->user_count; i++) {
		struct unwind_frame *f = &c->walk.frames[i];

		*f = (struct unwind_frame){ .ip = words[i] & KERN_FRAME_ADDRESS,
					    .mapping = SESSION_MAPPING_OPEN };
		if (words[i] & KERN_FRAME_RETURN)
			f->flags |= UNWIND_FRAME_RETURN;
		if (words[i] & KERN_FRAME_GUESSED)
			f->flags |= UNWIND_FRAME_GUESSED;
	}
}

const struct unwind_mapping *ebpf_find_mapping(const struct unwind_mapping *mappings,
					       uint32_t count, uint64_t address)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (mappings[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && mappings[low].start <= address ? &mappings[low] : NULL;
}

/*
 * The kernel program walked with mappings that were published before; something has been mapped
 * since, and the sample is from after that. The frames up to the first one whose code was another
 * one by then; their number.
 */
static uint32_t count_sound(struct capture *c, const struct kern_sample *sample, uint32_t process)
{
	const struct proc_space *space = proc_process_at(&c->model, process)->space;
	const struct kern_maps *head = ebpf_maps_of(c, sample->maps);

	if (!head || !space)
		return 0;
	for (uint32_t i = 0; i < sample->user_count; i++) {
		const struct unwind_frame *f = &c->walk.frames[i];
		uint64_t address = f->ip - (f->flags & UNWIND_FRAME_RETURN ? 1 : 0);
		const struct unwind_mapping *then, *now;

		then = ebpf_find_mapping((const struct unwind_mapping *)(head + 1), head->count,
					 address);
		now = ebpf_find_mapping(space->unwind, space->count, address);
		if (then && (!now || then->bias != now->bias || then->kind != now->kind ||
			     then->page_dir != now->page_dir))
			return i;
	}
	return sample->user_count;
}

static bool are_current(struct capture *c, const struct kern_sample *sample, uint32_t process)
{
	const struct ebpf_process *p = ebpf_process_at(c, process);

	return p->maps == sample->maps && p->epoch == proc_process_at(&c->model, process)->epoch;
}

/* Walked by the kernel program; returns the number of frames in c->walk.frames. */
static uint32_t take_walk(struct capture *c, const struct kern_sample *sample, uint32_t process,
			  enum unwind_status *status)
{
	uint32_t count = sample->user_count;

	take_frames(c, sample);
	if (!count || are_current(c, sample, process))
		return count;
	count = count_sound(c, sample, process);
	if (count < sample->user_count) {
		*status = UNWIND_NOMAP_STALE;
		ebpf_of(c)->stale++;
	}
	return count;
}

/* What the kernel program was in want of. The walk here asks for it too, but does not get there
 * where the stack is longer than what can be sent: without this, such stacks would be deferred, and
 * cut, for ever. */
static void compile_wanted(struct capture *c, uint32_t process, uint64_t address)
{
	struct proc_process *p = proc_process_at(&c->model, process);
	uint32_t i = p->space ? proc_space_find(p->space, address) : UINT32_MAX;

	if (i == UINT32_MAX)
		return;
	proc_space_resolve(p->space, &c->model.files, i, p->pid);
	if (p->space->tables[i])
		unwind_table_compile(p->space->tables[i], address - p->space->unwind[i].bias);
}

/* A page that is not in memory, or is just being copied: the next sample may find it. */
static void touch_stack(struct capture *c, const struct session_sample *s,
			enum unwind_status status, uint64_t address)
{
	struct ebpf_state *e = ebpf_of(c);

	if (status != UNWIND_EFAULT_RA && status != UNWIND_EFAULT_FP &&
	    status != UNWIND_EFAULT_DEREF)
		return;
	if (!e->toucher)
		e->toucher = ebpf_toucher_create();
	if (e->toucher)
		ebpf_toucher_add(e->toucher, s->pid, address, s->time_ns);
}

/* Deferred; the same. */
static uint32_t walk_here(struct capture *c, const struct session_sample *s,
			  const struct kern_sample *sample, const struct ebpf_walk *walk,
			  enum unwind_status *status)
{
	struct ebpf_state *e = ebpf_of(c);
	uint64_t rescans = c->model.stats.rescans, begun = thread_cpu_ns();
	bool is_calm = ebpf_process_at(c, s->process)->calm_ns < s->time_ns;
	struct unwind_result result;

	if (sample->status == UNWIND_DEFER && sample->fault_address)
		compile_wanted(c, s->process, sample->fault_address);
	session_walk(c, s, &walk->regs, &walk->stack, walk->is_cut, &result);
	*status = result.status == UNWIND_COPY_SHORT ? UNWIND_DEFER_CUT : result.status;
	e->cut_deferred += *status == UNWIND_DEFER_CUT;
	if (*status == UNWIND_DEFER_CUT && ebpf_process_at(c, s->process)->was_too_large)
		*status = UNWIND_MAPS_FULL; /* nothing was ever published for it */
	if (is_calm)
		ebpf_watch(c, s->time_ns);
	/* /proc was asked, and had nothing new to tell */
	if (c->model.stats.rescans > rescans && session_wants_a_look(result.status) &&
	    are_current(c, sample, s->process))
		ebpf_settle_maps(c, sample->maps);
	touch_stack(c, s, result.status, result.fault_address);
	e->walk_ns += thread_cpu_ns() - begun;
	return result.count;
}

/* Its memory is gone, but its stack may have been sent before; the same. */
static uint32_t walk_last(struct capture *c, const struct session_sample *s,
			  enum unwind_status *status)
{
	const struct ebpf_walk *walk = ebpf_last_of(c, s->pid, s->tid, s->time_ns);
	struct ebpf_state *e = ebpf_of(c);
	uint64_t begun = thread_cpu_ns();
	struct unwind_result result;

	if (!walk || !proc_process_at(&c->model, s->process)->space)
		return 0;
	session_walk(c, s, &walk->regs, &walk->stack, walk->is_cut, &result);
	e->walk_ns += thread_cpu_ns() - begun;
	if (result.status == UNWIND_COPY_SHORT)
		return 0; /* not all of it was sent */
	*status = result.status;
	e->asides.last_samples++;
	return result.count;
}

/* --debug-stacks: the same walk here. */
static void debug_walk(struct capture *c, const struct session_sample *s,
		       const struct kern_sample *sample, const struct unwind_memory *stack)
{
	struct debug_sample d = {
		.sample = sample,
		.cpu = s->cpu,
		.maps = ebpf_maps_of(c, sample->maps),
		.stack = *stack,
		.tables = c->tables,
	};

	d.stack.is_raw = true;
	proc_model_space(&c->model, s->process, &d.space);
	debug_stacks_add(&ebpf_of(c)->debug, &d);
}

/* Records of the same CPU that are missing in between: the ring had no room. */
static void count_gap(struct capture *c, struct ebpf_ring *ring, const struct kern_sample *sample)
{
	uint32_t gap = sample->record.sequence - ring->next_sequence;

	if (ring->was_read)
		c->lost += gap;
	ring->was_read = true;
	ring->next_sequence = sample->record.sequence + 1;
}

/* An end that a mapping nobody told of may have caused. */
static void look_again(struct capture *c, const struct session_sample *s, enum unwind_status status)
{
	if (session_wants_a_look(status))
		proc_model_doubt(&c->model, s->process, s->time_ns);
}

static void log_walk(const struct session_sample *s, const struct kern_sample *sample,
		     uint32_t count, enum unwind_status status)
{
	if (status == UNWIND_OK_STOP)
		return;
	log_debug("sample", "%u/%u %s in the kernel program after %u frames at %#llx%s", s->pid,
		  s->tid, unwind_status_name(status), count,
		  (unsigned long long)sample->fault_address, s->in_kernel ? ", in the kernel" : "");
}

static bool has_memory(enum unwind_status status)
{
	return status != UNWIND_KTHREAD && status != UNWIND_USER_WORKER &&
	       status != UNWIND_EXITING && status != UNWIND_EXEC;
}

/* The kernel program says itself which samples are of an exec; this one is of what was executed. */
static void meet_program(struct capture *c, uint32_t process)
{
	struct proc_process *p = proc_process_at(&c->model, process);

	if (p->space && p->space->count)
		p->was_execed = false;
}

void ebpf_finish_sample(struct capture *c, uint32_t ring, const struct kern_sample *sample,
			const struct unwind_memory *stack, const struct ebpf_walk *later)
{
	struct ebpf_state *e = ebpf_of(c);
	enum unwind_status status = (enum unwind_status)sample->status;
	struct session_sample s = {
		.time_ns = sample->record.time_ns,
		.weight = c->period,
		.pid = sample->tgid,
		.tid = sample->tid,
		.cpu = (uint32_t)kern_sampler_ring_cpu(e->sampler, ring),
		.in_kernel = sample->record.flags & KERN_SAMPLE_IN_KERNEL,
		.kernel = words_of(sample),
		.kernel_count = sample->kernel_count,
	};
	uint32_t count;

	session_begin_sample(c, &s);
	if (s.time_ns < ebpf_process_at(c, s.process)->attached_ns) {
		e->early++;
		return;
	}
	if (e->debug.file && !later && sample->record.flags & KERN_SAMPLE_REGS)
		debug_walk(c, &s, sample, stack);
	if (has_memory(status)) {
		meet_program(c, s.process);
		ebpf_want_space(c, s.process);
	}
	if (later) {
		count = walk_here(c, &s, sample, later, &status);
	} else if (status == UNWIND_DEFER && sample->record.flags & KERN_SAMPLE_REGS) {
		struct ebpf_walk own = own_walk(sample, stack);

		count = walk_here(c, &s, sample, &own, &status);
	} else if (status == UNWIND_EXITING) {
		count = walk_last(c, &s, &status);
	} else {
		count = take_walk(c, sample, s.process, &status);
		log_walk(&s, sample, count, status);
		look_again(c, &s, (enum unwind_status)sample->status);
		touch_stack(c, &s, status, sample->fault_address);
	}
	ebpf_count_outset(c, s.process, sample);
	ebpf_touch_space(c, s.process);
	session_write_sample(c, &s, count, status);
}

void ebpf_sample(struct capture *c, uint32_t ring, const struct kern_sample *sample)
{
	struct ebpf_stack *stack = &ebpf_of(c)->rings[ring].stack;
	struct unwind_memory memory = { .base = 0 };

	count_gap(c, &ebpf_of(c)->rings[ring], sample);
	if (stack->handled && stack->sequence == sample->record.sequence)
		memory = stack->memory;
	if (sample->record.flags & KERN_SAMPLE_LATER)
		ebpf_hold(c, ring, sample, &memory);
	else
		ebpf_finish_sample(c, ring, sample, &memory, NULL);
	ebpf_stack_handled(c, stack);
}
