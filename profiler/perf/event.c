#include "profiler/perf/event.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "profiler/perf/explain.h"

/* uapi of 6.0 and newer */
#define PEV_FORMAT_LOST (1u << 4)

const struct pev_kind pev_kinds[] = {
	{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, "cpu", "nanoseconds", true, 0,
	  "time on a CPU, by a timer" },
	{ "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, "task_clock", "nanoseconds",
	  true, 0, "time on a CPU, by the scheduler's clock" },
	{ "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, "cycles", "count", false, 1000003,
	  "processor cycles" },
	{ "instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, "instructions", "count",
	  false, 1000003, "instructions executed" },
	{ "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, "page_faults", "count",
	  false, 1, "page faults, minor and major" },
	{ "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES,
	  "context_switches", "count", false, 1, "switches away from a thread" },
	{ 0 },
};

struct error *pev_find_kind(const char *name, const struct pev_kind **ret)
{
	const char *names[ARRAY_SIZE(pev_kinds)];
	size_t n = 0;

	for (const struct pev_kind *k = pev_kinds; k->name; k++) {
		if (!strcmp(k->name, name)) {
			*ret = k;
			return NULL;
		}
		names[n++] = k->name;
	}
	const char *nearest = text_nearest(name, names, n);
	struct error *err = error_new(ERR_USAGE, "no event is called `%s`", name);
	const char *modifier = strchr(name, ':');

	if (modifier && strchr(modifier, 'u') && !strchr(modifier, 'k'))
		return error_hint(err, "modifiers are not understood: -e %.*s --user-only",
				  (int)(modifier - name), name);
	if (nearest)
		return error_hint(err, "did you mean %s?", nearest);
	return error_hint(err,
			  "there are cpu-clock, task-clock, cycles, instructions, page-faults and "
			  "context-switches");
}

int pev_open(const struct perf_event_attr *attr, pid_t tid, int cpu, int group, unsigned long flags)
{
	struct perf_event_attr copy = *attr; /* the kernel writes its size into it on E2BIG */

	return (int)syscall(SYS_perf_event_open, &copy, tid, cpu, group,
			    flags | PERF_FLAG_FD_CLOEXEC);
}

/* The registers asked for (PERF_REG_*), as a mask, on this machine. */
static uint64_t regs_mask(void)
{
#if defined(__x86_64__)
	/* AX..IP are the lowest nine; no flags and segments; R8..R15 */
	return ((1ull << (PERF_REG_X86_IP + 1)) - 1) | (0xffull << PERF_REG_X86_R8);
#elif defined(__aarch64__)
	return (1ull << PERF_REG_ARM64_MAX) - 1;
#else
#error "which registers does a stack walk need on this machine?"
#endif
}

static void pev_fill(struct pev_sampling *s, uint64_t period, uint32_t stack_bytes)
{
	s->attr = (struct perf_event_attr){
		.type = s->kind->type,
		.size = sizeof(s->attr),
		.config = s->kind->config,
		.sample_period = period,
		.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD |
			       PERF_SAMPLE_READ | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER |
			       PERF_SAMPLE_STACK_USER,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING |
			       PERF_FORMAT_ID | PEV_FORMAT_LOST,
		.disabled = 1,
		.inherit = 1,
		.inherit_stat = 1,
		.exclude_hv = 1,
		.exclude_guest = 1,
		.exclude_callchain_user = 1,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.sample_regs_user = regs_mask(),
		.sample_stack_user = stack_bytes,
	};
}

static void pev_leave_kernel_out(struct pev_sampling *s)
{
	s->sees_kernel = false;
	s->attr.exclude_kernel = 1;
	s->attr.sample_type &= ~(uint64_t)PERF_SAMPLE_CALLCHAIN;
	s->attr.exclude_callchain_user = 0;
}

struct error *pev_sampling_probe(const struct pev_kind *kind, uint64_t period, uint32_t stack_bytes,
				 bool user_only, struct pev_sampling *ret)
{
	struct pev_sampling s = {
		.kind = kind, .sees_kernel = true, .counts_lost = true, .keeps_own = true
	};
	int fd, errnum;

	pev_fill(&s, period, stack_bytes);
	if (user_only)
		pev_leave_kernel_out(&s);
	while ((fd = pev_open(&s.attr, 0, -1, -1, 0)) < 0) {
		errnum = errno;
		log_debug("perf", "open %s: %s", kind->name, strerror(errnum));
		if ((errnum == EACCES || errnum == EPERM) && s.sees_kernel) {
			pev_leave_kernel_out(&s);
		} else if (errnum == EINVAL && s.keeps_own) {
			s.keeps_own = false;
			s.attr.sample_type &= ~(uint64_t)PERF_SAMPLE_READ;
		} else if (errnum == EINVAL && s.counts_lost) {
			s.counts_lost = false;
			s.attr.read_format &= ~(uint64_t)PEV_FORMAT_LOST;
		} else if (errnum == EINVAL && s.attr.build_id) {
			s.attr.build_id = 0;
		} else {
			return pev_explain_open(
				errnum,
				&(struct pev_request){ .attr = &s.attr, .event = kind->name });
		}
	}
	close(fd);
	*ret = s;
	return NULL;
}

bool pev_read(int fd, const struct pev_sampling *s, struct pev_count *ret)
{
	uint64_t words[5] = { 0 };
	ssize_t want = s->counts_lost ? sizeof(words) : 4 * sizeof(words[0]);

	if (read(fd, words, sizeof(words)) != want)
		return false;
	*ret = (struct pev_count){ words[0], words[1], words[2], words[3], words[4] };
	return true;
}
