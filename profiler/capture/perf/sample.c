/* A sample of the perf backend: registers and a copy of the stack, which are walked here. */
#include <asm/perf_regs.h>
#include <string.h>

#include "profiler/capture/perf/perf.h"

#define KERNEL_FRAMES_MAX 256

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

/* The user part. Status and frames in c->walk.frames; returns their number. */
static uint32_t walk_user(struct capture *c, const struct session_sample *sample,
			  const struct pev_sample *s, enum unwind_status *ret)
{
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
	if (sample->in_kernel && !regs.ip && !regs.gpr[UNWIND_REG_SP]) {
		*ret = UNWIND_USER_WORKER;
		return 0;
	}
	struct unwind_memory stack = {
		.bytes = s->stack,
		.base = regs.gpr[UNWIND_REG_SP],
		.size = s->stack_size,
	};

	session_walk(c, sample, &regs, &stack, s->stack_size == s->stack_room, &result);
	*ret = result.status;

	struct proc_process *p = proc_process_at(&c->model, sample->process);

	if (p->was_execed && sample->in_kernel && result.count <= 1 &&
	    (result.status == UNWIND_NOMAP_NOVMA || result.status == UNWIND_NOMAP_STALE)) {
		*ret = UNWIND_EXEC; /* the registers are the old program's, the memory the new one's
				     */
		return 0;
	}
	p->was_execed = false;
	return result.count;
}

/*
 * In execve, between the new memory and the record that tells of it, nothing of the old stack can
 * be copied: such a sample waits for what its thread does next.
 */
static bool may_be_exec(const struct pev_record *r, uint32_t count)
{
	return r->in_kernel && r->sample.regs && r->sample.stack_size == 0 && count <= 1;
}

/* The call chain has the kernel's frames, innermost first, among marks of whose they are. */
static uint32_t take_kernel_frames(const struct pev_record *r, uint64_t *ips)
{
	const struct pev_sample *s = &r->sample;
	uint32_t n = 0;

	if (!r->in_kernel)
		return 0;
	for (uint64_t i = 0; i < s->callchain_count && n < KERNEL_FRAMES_MAX; i++) {
		uint64_t ip = word_of(s->callchain, i);

		if (ip < (uint64_t)PERF_CONTEXT_MAX)
			ips[n++] = ip;
	}
	if (n == 0)
		ips[n++] = s->ip;
	return n;
}

/* Not while attaching: the descriptors that it takes are counted out. */
static void grow_if_short(struct capture *c, uint32_t thread, uint32_t tid,
			  enum unwind_status status)
{
	struct perf_state *s = perf_of(c);

	if (status == UNWIND_COPY_SHORT && s->events.long_bytes > s->events.stack_bytes &&
	    c->attached_ns && !c->stopping)
		grow_thread(&s->grow, &s->events, thread, tid);
}

void perf_sample(struct capture *c, const struct pev_record *r)
{
	struct perf_state *p = perf_of(c);
	uint64_t kernel[KERNEL_FRAMES_MAX];
	struct session_sample s = {
		.time_ns = r->time,
		.weight = r->sample.period,
		.pid = r->pid,
		.tid = r->tid,
		.cpu = r->cpu,
		.in_kernel = r->in_kernel,
		.kernel = kernel,
		.kernel_count = take_kernel_frames(r, kernel),
	};
	enum unwind_status status;
	bool dropped;

	session_begin_sample(c, &s);
	if (!grow_takes(&p->grow, s.thread, r->sample.id, r->time, &dropped)) {
		if (dropped)
			ledger_split(&p->ledger, s.thread, r->cpu);
		return;
	}
	ledger_sample(&p->ledger, s.thread, r->cpu, r->sample.period);

	uint32_t count = walk_user(c, &s, &r->sample, &status);

	grow_if_short(c, s.thread, r->tid, status);
	if (may_be_exec(r, count))
		session_hold_sample(c, &s, count, status);
	else
		session_write_sample(c, &s, count, status);
}
