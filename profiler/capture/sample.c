/*
 * What samples of all backends have in common: a stack walked here or in the kernel becomes a path
 * of locations, root first, and a line of the recording. A walk that met a file nobody had opened
 * yet, or an address that nothing was known of, is done again once that is mended.
 */
#include "base/log.h"
#include "profiler/capture/session.h"

/* A walk ends for the lack of a file at most this often; each time one more is opened. */
#define RETRIES_MAX 256

/* --- walking --- */

bool session_wants_a_look(enum unwind_status status)
{
	return status == UNWIND_NOMAP_NOVMA || status == UNWIND_NOMAP_STALE ||
	       status == UNWIND_RA_NONEXEC || status == UNWIND_INVALID_ROW ||
	       status == UNWIND_ANON_NO_FP;
}

/* Opens the files that a walk ended at. True if there was any. */
static bool open_missing(struct capture *c, uint32_t process)
{
	struct proc_process *p = proc_process_at(&c->model, process);
	bool any = false;

	if (!p->space)
		return false;
	for (uint32_t i = 0; i < p->space->count; i++) {
		if (p->space->unwind[i].kind != UNWIND_MAP_UNKNOWN)
			continue;
		proc_space_resolve(p->space, &c->model.files, i, p->pid);
		any = true;
	}
	return any;
}

/* Opens the file of the frame that a walk ended at. */
static bool open_next(struct capture *c, uint32_t process, const struct unwind_result *result)
{
	struct proc_process *p = proc_process_at(&c->model, process);
	const struct unwind_frame *last;

	if (!result->count || !p->space)
		return open_missing(c, process);
	last = &c->walk.frames[result->count - 1];
	if (last->mapping >= p->space->count ||
	    p->space->unwind[last->mapping].kind != UNWIND_MAP_UNKNOWN)
		return open_missing(c, process);
	proc_space_resolve(p->space, &c->model.files, last->mapping, p->pid);
	return true;
}

void session_walk(struct capture *c, const struct session_sample *s, const struct unwind_regs *regs,
		  const struct unwind_memory *stack, bool is_cut, struct unwind_result *result)
{
	bool has_doubted = false;

	for (int i = 0; i < RETRIES_MAX; i++) {
		struct unwind_space space;

		proc_model_space(&c->model, s->process, &space);
		unwind_walk(c->tables, &space, regs, stack, is_cut, c->walk.frames,
			    UNWIND_MAX_FRAMES, result);
		if (result->status == UNWIND_DEFER && open_next(c, s->process, result))
			continue;
		if (session_wants_a_look(result->status) && !has_doubted &&
		    !proc_process_at(&c->model, s->process)->was_execed &&
		    proc_model_doubt(&c->model, s->process, s->time_ns)) {
			has_doubted = true;
			continue;
		}
		break;
	}
	if (result->status == UNWIND_DEFER)
		result->status = UNWIND_DEFER_CUT;
	if (result->status != UNWIND_OK_STOP)
		log_debug("sample",
			  "%u/%u %s after %u frames at %#llx: ip %#llx sp %#llx bp %#llx, copied "
			  "%llu%s%s",
			  s->pid, s->tid, unwind_status_name(result->status), result->count,
			  (unsigned long long)result->fault_address, (unsigned long long)regs->ip,
			  (unsigned long long)regs->gpr[UNWIND_REG_SP],
			  (unsigned long long)regs->gpr[UNWIND_REG_BP],
			  (unsigned long long)stack->size, is_cut ? ", cut" : "",
			  s->in_kernel ? ", in the kernel" : "");
}

/* --- paths --- */

static uint32_t kernel_file(struct capture *c)
{
	if (!c->walk.kernel_file)
		c->walk.kernel_file = recording_add_file(
			c->writer, &(struct recording_file){
					   .kind = RECORDING_FILE_KERNEL,
					   .path = recording_add_string(c->writer, "[kernel]", 8),
				   });
	return c->walk.kernel_file;
}

static struct session_memo *memo_of(struct capture *c, uint32_t thread, uint32_t process)
{
	struct session_memo *memo = &c->walk.memos[thread % SESSION_MEMOS];
	uint32_t epoch = proc_process_at(&c->model, process)->epoch;

	if (memo->thread != thread || memo->epoch != epoch)
		memo->count = 0;
	memo->thread = thread;
	memo->epoch = epoch;
	return memo;
}

/* The mapping of a frame, where the walk did not tell. */
static uint32_t mapping_of(struct capture *c, uint32_t process, const struct unwind_frame *f)
{
	const struct proc_space *space = proc_process_at(&c->model, process)->space;

	if (f->mapping != SESSION_MAPPING_OPEN)
		return f->mapping;
	if (!space)
		return UINT32_MAX;
	return proc_space_find(space, f->ip - (f->flags & UNWIND_FRAME_RETURN ? 1 : 0));
}

static uint32_t location_of(struct capture *c, uint32_t process, const struct unwind_frame *f)
{
	uint32_t epoch = proc_process_at(&c->model, process)->epoch;
	struct session_place *p =
		&c->walk.places[f->ip * 0x9e3779b97f4a7c15ull >> (64 - SESSION_PLACES_SHIFT)];
	struct recording_location l = {
		.is_return = f->flags & UNWIND_FRAME_RETURN,
		.guessed = f->flags & UNWIND_FRAME_GUESSED,
	};

	if (p->location && p->ip == f->ip && p->process == process && p->epoch == epoch &&
	    p->flags == f->flags)
		return p->location;
	proc_model_place(&c->model, process, mapping_of(c, process, f), f->ip, &l.file, &l.address);
	*p = (struct session_place){ .ip = f->ip,
				     .process = process,
				     .epoch = epoch,
				     .flags = f->flags,
				     .location = recording_add_location(c->writer, &l) };
	return p->location;
}

static uint32_t add_user_frames(struct capture *c, uint32_t thread, uint32_t process,
				uint32_t count)
{
	struct session_memo *memo = memo_of(c, thread, process);
	uint32_t stack = 0, depth = 0;

	for (; depth < MIN(count, memo->count); depth++) {
		const struct unwind_frame *f = &c->walk.frames[count - 1 - depth];

		if (memo->frames[depth].ip != f->ip || memo->frames[depth].flags != f->flags)
			break;
		stack = memo->frames[depth].stack;
	}
	for (; depth < count; depth++) {
		const struct unwind_frame *f = &c->walk.frames[count - 1 - depth];

		stack = recording_add_stack(c->writer, stack, location_of(c, process, f));
		memo->frames[depth].ip = f->ip;
		memo->frames[depth].flags = f->flags;
		memo->frames[depth].stack = stack;
	}
	memo->count = count;
	return stack;
}

static uint32_t add_kernel_frames(struct capture *c, const struct session_sample *s, uint32_t stack)
{
	for (uint32_t i = s->kernel_count; i-- > 0;) {
		struct recording_location l = {
			.file = kernel_file(c),
			.is_return = i > 0,
			.address = s->kernel[i],
		};

		stack = recording_add_stack(c->writer, stack,
					    recording_add_location(c->writer, &l));
	}
	return stack;
}

/* --- samples --- */

static void write_sample(struct capture *c, const struct recording_sample *s)
{
	recording_add_sample(c->writer, s);
	c->walk.by_status[s->status]++;
	if (unwind_status_class(s->status) == UNWIND_CLASS_WHOLE)
		c->complete++;
	else if (unwind_status_class(s->status) == UNWIND_CLASS_CUT)
		c->cut++;
}

void session_settle(struct capture *c, uint32_t thread, bool was_exec)
{
	for (size_t i = 0; i < c->walk.waiting.count; i++) {
		struct recording_sample *s = &c->walk.waiting.items[i].sample;

		if (thread != UINT32_MAX && c->walk.waiting.items[i].thread != thread)
			continue;
		if (was_exec) {
			s->status = UNWIND_EXEC;
			s->stack = c->walk.waiting.items[i].kernel_stack;
		}
		write_sample(c, s);
		c->walk.waiting.items[i--] = *vec_last(&c->walk.waiting);
		c->walk.waiting.count--;
	}
}

void session_begin_sample(struct capture *c, struct session_sample *s)
{
	proc_model_catch_up(&c->model, s->time_ns);
	s->thread = proc_model_thread(&c->model, s->pid, s->tid, s->time_ns);
	s->process = proc_thread_at(&c->model, s->thread)->process;
	session_settle(c, s->thread, false);
}

/* The sample as the recording has it. */
static struct recording_sample finish_sample(struct capture *c, const struct session_sample *s,
					     uint32_t count, enum unwind_status status)
{
	c->samples++;
	return (struct recording_sample){
		.time_ns = s->time_ns,
		.weight = s->weight,
		.thread = proc_model_thread_id(&c->model, s->thread),
		.comm = proc_model_comm_of(&c->model, s->process),
		.stack = add_kernel_frames(c, s, add_user_frames(c, s->thread, s->process, count)),
		.cpu = (uint16_t)s->cpu,
		.event = c->event,
		.status = status,
	};
}

void session_write_sample(struct capture *c, const struct session_sample *s, uint32_t count,
			  enum unwind_status status)
{
	struct recording_sample sample = finish_sample(c, s, count, status);

	write_sample(c, &sample);
}

void session_hold_sample(struct capture *c, const struct session_sample *s, uint32_t count,
			 enum unwind_status status)
{
	vec_push(&c->walk.waiting, (struct session_waiting){
					   .thread = s->thread,
					   .sample = finish_sample(c, s, count, status),
					   .kernel_stack = add_kernel_frames(c, s, 0),
				   });
}
