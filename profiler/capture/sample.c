/*
 * A sample: registers and a copy of the stack become a path of locations, root first, and a line of
 * the recording. A walk that met a file nobody had opened yet, or an address that nothing was known
 * of, is done again once that is mended.
 */
#include <asm/perf_regs.h>
#include <string.h>

#include "base/log.h"
#include "profiler/capture/session.h"

/* A walk ends for the lack of a file at most this often; each time one more is opened. */
#define RETRIES_MAX 256

static uint64_t word_of(const uint8_t *words, uint64_t i)
{
	uint64_t v;

	memcpy(&v, words + 8 * i, sizeof(v));
	return v;
}

#if defined(__x86_64__)
/* The kernel gives the registers in the order of PERF_REG_X86_*, those of the mask only: AX BX CX
 * DX SI DI BP SP IP, then R8..R15. DWARF has another order. */
static void take_regs(const uint8_t *words, struct unwind_regs *regs)
{
	static const uint8_t dwarf[] = { 0, 3, 2, 1, 4, 5, 6, 7 };

	for (uint32_t i = 0; i < ARRAY_SIZE(dwarf); i++)
		regs->gpr[dwarf[i]] = word_of(words, i);
	regs->ip = word_of(words, PERF_REG_X86_IP);
	for (uint32_t i = 0; i < 8; i++)
		regs->gpr[8 + i] = word_of(words, PERF_REG_X86_IP + 1 + i);
}
#elif defined(__aarch64__)
static void take_regs(const uint8_t *words, struct unwind_regs *regs)
{
	for (uint32_t i = 0; i < UNWIND_GPRS; i++)
		regs->gpr[i] = word_of(words, i);
	regs->ip = word_of(words, PERF_REG_ARM64_PC);
}
#endif

static bool wants_a_look(enum unwind_status status)
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

static void walk(struct capture *c, uint32_t process, const struct pev_record *r,
		 const struct unwind_regs *regs, struct unwind_result *result)
{
	const struct pev_sample *s = &r->sample;
	struct unwind_memory stack = { s->stack, regs->gpr[UNWIND_REG_SP], s->stack_size };
	bool is_cut = s->stack_size == s->stack_room, has_doubted = false;

	for (int i = 0; i < RETRIES_MAX; i++) {
		struct unwind_space space;

		proc_model_space(&c->model, process, &space);
		unwind_walk(c->tables, &space, regs, &stack, is_cut, c->walk.frames,
			    UNWIND_MAX_FRAMES, result);
		if (result->status == UNWIND_DEFER && open_next(c, process, result))
			continue;
		if (wants_a_look(result->status) && !has_doubted &&
		    !proc_process_at(&c->model, process)->was_execed &&
		    proc_model_doubt(&c->model, process, r->time)) {
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
			  "%llu of %llu%s",
			  r->pid, r->tid, unwind_status_name(result->status), result->count,
			  (unsigned long long)result->fault_address, (unsigned long long)regs->ip,
			  (unsigned long long)stack.base,
			  (unsigned long long)regs->gpr[UNWIND_REG_BP],
			  (unsigned long long)s->stack_size, (unsigned long long)s->stack_room,
			  r->in_kernel ? ", in the kernel" : "");
}

/* The user part. Status and frames in c->walk.frames; returns their number. */
static uint32_t walk_user(struct capture *c, uint32_t process, const struct pev_record *r,
			  enum unwind_status *ret)
{
	struct proc_process *p = proc_process_at(&c->model, process);
	const struct pev_sample *s = &r->sample;
	struct unwind_result result = { 0 };
	struct unwind_regs regs = { 0 };

	if (s->abi == PERF_SAMPLE_REGS_ABI_NONE || !s->regs) {
		/* no memory: of targets' threads that is so when they end */
		*ret = UNWIND_EXITING;
		return 0;
	}
	if (s->abi == PERF_SAMPLE_REGS_ABI_32) {
		*ret = UNWIND_COMPAT32;
		return 0;
	}
	take_regs(s->regs, &regs);
	if (r->in_kernel && !regs.ip && !regs.gpr[UNWIND_REG_SP]) {
		*ret = UNWIND_USER_WORKER;
		return 0;
	}
	walk(c, process, r, &regs, &result);
	*ret = result.status;
	p = proc_process_at(&c->model, process);
	if (p->was_execed && r->in_kernel && result.count <= 1 &&
	    (result.status == UNWIND_NOMAP_NOVMA || result.status == UNWIND_NOMAP_STALE)) {
		*ret = UNWIND_EXEC; /* the registers are the old program's, the memory the new one's
				     */
		return 0;
	}
	p->was_execed = false;
	return result.count;
}

static void write_sample(struct capture *c, const struct recording_sample *s)
{
	recording_add_sample(c->writer, s);
	c->walk.by_status[s->status]++;
	if (unwind_status_class(s->status) == UNWIND_CLASS_WHOLE)
		c->complete++;
	else if (unwind_status_class(s->status) == UNWIND_CLASS_CUT)
		c->cut++;
}

/*
 * In execve, between the new memory and the record that tells of it, nothing of the old stack can
 * be copied: such a sample waits for what its thread does next.
 */
static bool may_be_exec(const struct pev_record *r, uint32_t count)
{
	return r->in_kernel && r->sample.regs && r->sample.stack_size == 0 && count <= 1;
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
		struct recording_location l = {
			.is_return = f->flags & UNWIND_FRAME_RETURN,
			.guessed = f->flags & UNWIND_FRAME_GUESSED,
		};

		proc_model_place(&c->model, process, f->mapping, f->ip, &l.file, &l.address);
		stack = recording_add_stack(c->writer, stack,
					    recording_add_location(c->writer, &l));
		memo->frames[depth].ip = f->ip;
		memo->frames[depth].flags = f->flags;
		memo->frames[depth].stack = stack;
	}
	memo->count = count;
	return stack;
}

/* The call chain has the kernel's frames, innermost first, among marks of whose they are. */
static uint32_t add_kernel_frames(struct capture *c, const struct pev_record *r, uint32_t stack)
{
	const struct pev_sample *s = &r->sample;
	uint64_t ips[SESSION_KERNEL_FRAMES_MAX];
	uint32_t n = 0;

	for (uint64_t i = 0; i < s->callchain_count && n < ARRAY_SIZE(ips); i++) {
		uint64_t ip = word_of(s->callchain, i);

		if (ip < (uint64_t)PERF_CONTEXT_MAX)
			ips[n++] = ip;
	}
	if (n == 0 && r->in_kernel)
		ips[n++] = s->ip;
	for (uint32_t i = n; i-- > 0;) {
		struct recording_location l = {
			.file = kernel_file(c),
			.is_return = i > 0,
			.address = ips[i],
		};

		stack = recording_add_stack(c->writer, stack,
					    recording_add_location(c->writer, &l));
	}
	return stack;
}

/* Not while attaching: the descriptors that it takes are counted out. */
static void grow_if_short(struct capture *c, uint32_t thread, const struct pev_record *r,
			  enum unwind_status status)
{
	if (status == UNWIND_COPY_SHORT && c->events.long_bytes > c->events.stack_bytes &&
	    c->attached_ns && !c->stopping)
		grow_thread(&c->grow, &c->events, thread, r->tid);
}

void session_sample(struct capture *c, const struct pev_record *r)
{
	uint32_t thread = proc_model_thread(&c->model, r->pid, r->tid, r->time);
	uint32_t process = proc_thread_at(&c->model, thread)->process;
	struct recording_sample sample = {
		.time_ns = r->time,
		.weight = r->sample.period,
		.thread = proc_model_thread_id(&c->model, thread),
		.comm = proc_model_comm_of(&c->model, process),
		.cpu = (uint16_t)r->cpu,
		.event = c->event,
	};
	bool dropped;

	session_settle(c, thread, false);
	if (!grow_takes(&c->grow, thread, r->sample.id, r->time, &dropped)) {
		if (dropped)
			ledger_split(&c->ledger, thread, r->cpu);
		return;
	}
	ledger_sample(&c->ledger, thread, r->cpu, r->sample.period);
	c->samples++;

	uint32_t count = walk_user(c, process, r, &sample.status);

	grow_if_short(c, thread, r, sample.status);
	sample.stack = add_user_frames(c, thread, process, count);
	if (r->in_kernel)
		sample.stack = add_kernel_frames(c, r, sample.stack);
	if (may_be_exec(r, count))
		vec_push(&c->walk.waiting, (struct session_waiting){
						   .thread = thread,
						   .sample = sample,
						   .kernel_stack = add_kernel_frames(c, r, 0),
					   });
	else
		write_sample(c, &sample);
}
