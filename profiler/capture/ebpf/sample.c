/*
 * A sample of the kernel program: walked to its end there, or deferred, with its registers and the
 * pages of its stack, to be walked here.
 */
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "profiler/capture/ebpf/ebpf.h"

#define STACK_MAX (KERN_PARTS_MAX * KERN_PART_BYTES)

/* --- parts --- */

static void begin_stack(struct ebpf_stack *s, const struct kern_part *part)
{
	if (!s->bytes)
		s->bytes = mem_alloc(STACK_MAX);
	s->sequence = part->record.sequence;
	s->base = part->address;
	s->absent = 0;
	s->size = 0;
}

/* The pages between two parts were not there. */
static bool add_hole(struct ebpf_stack *s, uint64_t until)
{
	uint64_t end = s->base + s->size;

	if (until < end || (end | until) % UNWIND_MEMORY_PAGE || until - s->base > STACK_MAX)
		return false;
	for (; end < until; end += UNWIND_MEMORY_PAGE)
		s->absent |= 1ull << (end / UNWIND_MEMORY_PAGE - s->base / UNWIND_MEMORY_PAGE);
	memset(s->bytes + s->size, 0, until - s->base - s->size);
	s->size = (uint32_t)(until - s->base);
	return true;
}

void ebpf_part(struct capture *c, uint32_t ring, const struct kern_part *part)
{
	struct ebpf_stack *s = &ebpf_of(c)->rings[ring].stack;

	if (!s->handled || s->sequence != part->record.sequence)
		begin_stack(s, part);
	s->handled += part->size;
	if (part->address != s->base + s->size && !add_hole(s, part->address))
		return;
	if (part->size > STACK_MAX - s->size)
		return;
	memcpy(s->bytes + s->size, part->bytes, part->size);
	s->size += part->size;
}

/* --- samples --- */

static const uint64_t *words_of(const struct kern_sample *sample)
{
	return (const uint64_t *)(sample + 1);
}

static void take_regs(const struct kern_sample *sample, struct unwind_regs *regs)
{
	const uint64_t *words = words_of(sample) + sample->kernel_count + sample->user_count;

	regs->ip = words[0];
	memcpy(regs->gpr, words + 1, sizeof(regs->gpr));
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

static const struct unwind_mapping *find_mapping(const struct unwind_mapping *mappings,
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

		then = find_mapping((const struct unwind_mapping *)(head + 1), head->count,
				    address);
		now = find_mapping(space->unwind, space->count, address);
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

static uint64_t thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
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
			  const struct kern_sample *sample, const struct ebpf_stack *stack,
			  enum unwind_status *status)
{
	struct ebpf_state *e = ebpf_of(c);
	uint64_t rescans = c->model.stats.rescans, begun = thread_cpu_ns();
	bool is_calm = ebpf_process_at(c, s->process)->calm_ns < s->time_ns;
	struct unwind_memory copy = { .base = 0 };
	struct unwind_result result;
	struct unwind_regs regs;

	take_regs(sample, &regs);
	copy.base = regs.gpr[UNWIND_REG_SP];
	if (stack->handled && stack->sequence == sample->record.sequence)
		copy = (struct unwind_memory){ .bytes = stack->bytes,
					       .base = stack->base,
					       .size = stack->size,
					       .absent = stack->absent };
	if (sample->fault_address)
		compile_wanted(c, s->process, sample->fault_address);
	session_walk(c, s, &regs, &copy,
		     sample->record.flags & (KERN_SAMPLE_STACK_CUT | KERN_SAMPLE_PARTS_LOST),
		     &result);
	*status = result.status == UNWIND_COPY_SHORT ? UNWIND_DEFER_CUT : result.status;
	e->cut_deferred += *status == UNWIND_DEFER_CUT;
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

/* --debug-stacks: the same walk here. */
static void debug_walk(struct capture *c, const struct session_sample *s,
		       const struct kern_sample *sample, const struct ebpf_stack *stack)
{
	struct debug_sample d = {
		.sample = sample,
		.cpu = s->cpu,
		.maps = ebpf_maps_of(c, sample->maps),
		.stack = { .is_raw = true },
		.tables = c->tables,
	};

	if (stack->handled && stack->sequence == sample->record.sequence) {
		d.stack.bytes = stack->bytes;
		d.stack.base = stack->base;
		d.stack.size = stack->size;
		d.stack.absent = stack->absent;
	}
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

void ebpf_sample(struct capture *c, uint32_t ring, const struct kern_sample *sample)
{
	struct ebpf_state *e = ebpf_of(c);
	struct ebpf_stack *stack = &e->rings[ring].stack;
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

	count_gap(c, &e->rings[ring], sample);
	session_begin_sample(c, &s);
	if (e->debug.file && sample->record.flags & KERN_SAMPLE_REGS)
		debug_walk(c, &s, sample, stack);
	if (has_memory(status)) {
		meet_program(c, s.process);
		ebpf_want_space(c, s.process);
	}
	if (status == UNWIND_DEFER && sample->record.flags & KERN_SAMPLE_REGS) {
		count = walk_here(c, &s, sample, stack, &status);
	} else {
		count = take_walk(c, sample, s.process, &status);
		log_walk(&s, sample, count, status);
		look_again(c, &s, (enum unwind_status)sample->status);
		touch_stack(c, &s, status, sample->fault_address);
	}
	ebpf_touch_space(c, s.process);
	session_write_sample(c, &s, count, status);
	if (stack->handled) {
		kern_sampler_handled(e->sampler, stack->handled);
		stack->handled = 0;
	}
}
