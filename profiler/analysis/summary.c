#include "profiler/analysis/summary.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "profiler/analysis/account.h"
#include "profiler/analysis/advice.h"
#include "profiler/analysis/entries.h"
#include "profiler/analysis/hot.h"

#define HOTTEST	      5
#define ENTRIES_SHOWN 6

/* Where the share of the CPU time without a sample is worth a line. */
#define UNSAMPLED_PERCENT 5

/* More lines than this are read by nobody. */
#define DIAGNOSTICS_SHOWN 8

/* Terms of the perf backend's ledger that are times, and not whole periods. */
#define PERF_TERMS_ROUNDED 3

/* Less than this is almost none. */
#define LITTLE_CPU_NS 20000000

/* Where CPU time that went to other machines is, and waiting for a CPU. */
#define STEAL_PERCENT 1
#define WAIT_PERCENT  50

/* Fewer lost samples than this are no reason to change anything. */
#define LOST_TELLING 5

/* The kernel copies 64 KiB of stack less a record's head. */
#define STACK_BYTES_MOST 60000

const struct summary_loss summary_losses[] = {
	{ "lost_samples", "lost (no room in the kernel's ring)" },
	{ "throttled_samples", "throttled by the kernel" },
	{ "filtered_samples", "not of a target" },
	{ "damaged_records", "damaged" },
	{ "unexplained_samples", "not accounted for" },
	{ NULL, NULL },
};

static void add_count(struct buf *out, uint64_t n, const char *singular)
{
	text_add_thousands(out, n);
	buf_printf(out, " %s%s", singular, n == 1 ? "" : strcmp(singular, "process") ? "s" : "es");
}

static void add_seconds(struct buf *out, uint64_t ns)
{
	if (ns < 1000000000)
		buf_printf(out, "%.1f ms", (double)ns / 1e6);
	else
		buf_printf(out, "%.2f s", (double)ns / 1e9);
}

/* Of how many processes and threads there is a sample. */
static void add_tasks(const struct recording *r, struct buf *out)
{
	bool *threads = mem_calloc(r->threads.count, sizeof(*threads));
	bool *processes = mem_calloc(r->processes.count, sizeof(*processes));
	uint64_t thread_count = 0, process_count = 0;

	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		uint32_t process = r->threads.items[s->thread].process;

		if (health_is_booked(r, s))
			continue;
		thread_count += !threads[s->thread];
		process_count += !processes[process];
		threads[s->thread] = processes[process] = true;
	}
	free(threads);
	free(processes);
	if (!thread_count)
		return;
	buf_add_str(out, ", of ");
	add_count(out, process_count, "process");
	buf_add_str(out, ", ");
	add_count(out, thread_count, "thread");
}

static void add_samples_line(const struct recording *r, const struct health *h, struct buf *out)
{
	uint64_t frequency = recording_fact(r, "frequency_hz", 0);

	add_count(out, h->samples, "sample");
	for (size_t i = 0; i < r->events.count; i++) {
		const struct recording_event *e = &r->events.items[i];
		buf_add_str(out, i ? ", " : " of ");
		text_add_printable(out, intern_get(&r->strings, e->name),
				   intern_len(&r->strings, e->name));
	}
	if (frequency)
		buf_printf(out, " at %" PRIu64 " Hz", frequency);
	buf_add_str(out, " in ");
	add_seconds(out, recording_fact(r, "elapsed_ns", h->span_ns));
	add_tasks(r, out);
	buf_add_char(out, '\n');
}

/* --control switched it. */
static void add_off_time(const struct recording *r, const char *indent, struct buf *out)
{
	uint64_t off = recording_fact(r, "off_ns", 0);

	if (!off)
		return;
	buf_printf(out, "%ssampling was switched off for another ", indent);
	add_seconds(out, off);
	buf_add_char(out, '\n');
}

static void add_string(const struct recording *r, uint32_t string, struct buf *out)
{
	text_add_printable(out, intern_get(&r->strings, string), intern_len(&r->strings, string));
}

/* Who took the samples, and why nobody better. */
static void add_backend(const struct recording *r, const char *indent, struct buf *out)
{
	uint64_t deferred = recording_fact(r, "deferred_samples", 0);

	if (!r->backend)
		return;
	buf_printf(out, "%sbackend ", indent);
	add_string(r, r->backend, out);
	if (r->backend_reason) {
		buf_add_str(out, ", not ebpf: ");
		add_string(r, r->backend_reason, out);
	}
	if (deferred) {
		buf_add_str(out, "; ");
		text_add_thousands(out, deferred);
		buf_printf(out, " of the stacks came before their tables, and %s unwound by cprof",
			   deferred == 1 ? "was" : "were");
	}
	buf_add_char(out, '\n');
}

static bool is_telling(uint64_t missing, uint64_t of)
{
	return missing > LOST_TELLING && missing > of / 100;
}

/* The kernel says in ticks of its own how long a CPU was idle: beside much that is idle, a little
 * that is missed may be idle, too. */
static bool missed_while_idle(const struct account *a)
{
	return (a->idle + a->idle_unseen) / 2 >= a->missed;
}

static double percent_of(uint64_t part, uint64_t all)
{
	return (double)part * 100 / (double)all;
}

/* Of the whole machine: how much of it was at work. */
static void add_load(const struct recording *r, const struct health *h, const char *indent,
		     struct buf *out)
{
	uint64_t kernel_threads = h->by_status[UNWIND_KTHREAD];
	struct account a;

	account_of(r, &a);
	if (!a.has_entries || !a.expected || !recording_fact(r, "whole_machine", 0))
		return;
	buf_printf(out, "%sthe CPUs were busy %.1f %% of the time, idle %.1f %%", indent,
		   percent_of(a.emitted + a.filtered + a.lost, a.expected),
		   percent_of(a.idle + a.idle_unseen, a.expected));
	if (kernel_threads)
		buf_printf(out, "; kernel threads took %.1f %%",
			   percent_of(kernel_threads, a.expected));
	if (a.filtered)
		buf_printf(out, "; %.1f %% outside of cprof's pid namespace",
			   percent_of(a.filtered, a.expected));
	if (is_telling(a.missed, a.expected))
		buf_printf(out, "; the rest was missed");
	buf_add_char(out, '\n');
}

/* The statuses that are not OK_STOP, a line each, the most frequent first: either those that count
 * as incomplete, or those of samples that have no user stack to walk. */
static void add_statuses(const struct health *h, bool without_stack, const char *indent,
			 struct buf *out)
{
	bool done[UNWIND_STATUS_COUNT] = { false };

	for (;;) {
		size_t most = UNWIND_STATUS_COUNT;
		for (size_t i = 0; i < UNWIND_STATUS_COUNT; i++) {
			enum unwind_class class = unwind_status_class((enum unwind_status)i);
			if (class == UNWIND_CLASS_WHOLE ||
			    (class == UNWIND_CLASS_NONE) != without_stack)
				continue;
			if (h->by_status[i] && !done[i] &&
			    (most == UNWIND_STATUS_COUNT || h->by_status[i] > h->by_status[most]))
				most = i;
		}
		if (most == UNWIND_STATUS_COUNT)
			return;
		done[most] = true;
		buf_printf(out, "%s  ", indent);
		text_add_thousands(out, h->by_status[most]);
		buf_printf(out, " %s: %s\n", unwind_status_name((enum unwind_status)most),
			   unwind_status_words((enum unwind_status)most));
	}
}

/* Where the whole stacks end, so that "complete" can be checked. */
static void add_entries(const struct recording *r, const char *indent, struct buf *out)
{
	struct entries entries;

	entries_of(r, &entries);
	for (size_t i = 0; i < entries.items.count && i < ENTRIES_SHOWN; i++) {
		buf_add_str(out, i ? ", " : indent);
		buf_add_str(out, i ? "" : "  whole ones end at ");
		entry_add_name(out, r, &entries.items.items[i]);
		buf_add_char(out, ' ');
		text_add_thousands(out, entries.items.items[i].samples);
	}
	if (entries.items.count > ENTRIES_SHOWN)
		buf_printf(out, ", and at %zu more entries", entries.items.count - ENTRIES_SHOWN);
	if (entries.items.count)
		buf_add_char(out, '\n');
	entries_deinit(&entries);
}

static void add_term(struct buf *out, const char *sign, uint64_t n, const char *words)
{
	buf_add_str(out, sign);
	text_add_thousands(out, n);
	buf_add_str(out, words);
}

/* A tick of every CPU is one term of the sum. */
static void add_kernel_ledger(const struct account *a, struct buf *out)
{
	add_term(out, " = ", a->emitted, " recorded");
	if (a->filtered)
		add_term(out, " + ", a->filtered, " of other programs");
	if (a->idle + a->idle_unseen)
		add_term(out, " + ", a->idle + a->idle_unseen, " idle");
	add_term(out, " + ", a->lost, " lost");
	add_term(out, " + ", a->missed, " missed");
	if (a->open > 0)
		add_term(out, " + ", (uint64_t)a->open, " not accounted for");
	if (a->open < 0)
		add_term(out, " - ", (uint64_t)-a->open, " beyond what was expected");
}

static void add_perf_ledger(const struct recording *r, const struct health *h, uint64_t expected,
			    struct buf *out)
{
	uint64_t period = r->events.count ? r->events.items[0].period : 0;
	uint64_t unsampled = recording_fact(r, "unsampled_ns", 0);
	uint64_t hidden = period ? recording_fact(r, "kernel_not_visible_ns", 0) / period : 0;
	uint64_t emitted = recording_fact(r, "emitted_samples", h->samples);
	uint64_t behind = period ? (unsampled + period / 2) / period : 0;
	int64_t open = (int64_t)(expected - emitted - hidden - behind);

	add_term(out, " = ", emitted, " recorded");
	if (hidden)
		add_term(out, " + ", hidden, " in the kernel (not visible)");
	for (const struct summary_loss *l = summary_losses; l->key; l++) {
		uint64_t n = recording_fact(r, l->key, 0);
		if (!n && l != summary_losses)
			continue;
		buf_add_str(out, " + ");
		text_add_thousands(out, n);
		buf_printf(out, " %s", l->words);
		open -= (int64_t)n;
	}
	/* parts of a period, of several terms, make up another one, or are one too many */
	if (llabs(open) <= PERF_TERMS_ROUNDED && (int64_t)behind + open >= 0) {
		behind += (uint64_t)open;
		open = 0;
	}
	if (open > 0)
		add_term(out, " + ", (uint64_t)open, " not accounted for");
	if (open < 0)
		add_term(out, " - ", (uint64_t)-open, " beyond what was expected");
	if (behind) {
		add_term(out, " + ", behind, " behind threads' last samples (");
		add_seconds(out, unsampled);
		buf_add_char(out, ')');
	}
}

static void add_ledger(const struct recording *r, const struct health *h, const char *indent,
		       struct buf *out)
{
	struct account a;

	account_of(r, &a);
	if (!a.expected)
		return;
	buf_printf(out, "%sledger: ", indent);
	text_add_thousands(out, a.expected);
	buf_add_str(out, " expected");
	if (a.has_entries)
		add_kernel_ledger(&a, out);
	else
		add_perf_ledger(r, h, a.expected, out);
	buf_add_char(out, '\n');
}

static void add_costs(const struct recording *r, const char *indent, struct buf *out)
{
	uint64_t hidden = recording_fact(r, "kernel_not_visible_ns", 0);
	struct cost c;

	cost_of(r, &c);
	if (hidden) {
		buf_printf(out, "%sin the kernel, where stacks cannot be seen: ", indent);
		add_seconds(out, hidden);
		buf_add_str(out, " (run as root, or sysctl kernel.perf_event_paranoid=1)\n");
	}
	if (!c.all_ns || !c.target_ns)
		return;
	buf_printf(out, "%scprof took ", indent);
	add_seconds(out, c.all_ns);
	if (c.target_ns < LITTLE_CPU_NS) { /* a share of almost nothing says nothing */
		buf_add_str(out, " of CPU\n");
		return;
	}
	buf_printf(out, " of CPU, %.1f %% of the %s ", cost_percent(&c, c.all_ns),
		   recording_fact(r, "whole_machine", 0) &&
				   !recording_fact(r, "filtered_samples", 0)
			   ? "machine's"
			   : "target's");
	add_seconds(out, c.target_ns);
	if (c.tables_ns || c.names_ns)
		buf_printf(out, " (%.1f %% without unwind tables and names)",
			   cost_percent(&c, cost_running_ns(&c)));
	buf_add_char(out, '\n');
}

/* The share of the CPU time that came too late for a sample, in per cent; 0 where that is not
 * known, or the event counts no time. */
static double unsampled_percent(const struct recording *r)
{
	uint64_t cpu = recording_fact(r, "target_cpu_ns", 0);

	if (!cpu || !recording_fact(r, "frequency_hz", 0))
		return 0;
	double percent = (double)recording_fact(r, "unsampled_ns", 0) * 100 / (double)cpu;
	return MIN(percent, 100.0);
}

/* Programs of many short threads: no longer recording gives them samples. */
static bool runs_are_short(const struct recording *r)
{
	return unsampled_percent(r) > UNSAMPLED_PERCENT &&
	       recording_fact(r, "unsampled_tasks", 0) > 0;
}

static void add_unsampled(const struct recording *r, const struct health *h, const char *indent,
			  struct buf *out)
{
	double percent = unsampled_percent(r);

	if (percent <= UNSAMPLED_PERCENT || !r->events.count)
		return;
	if (recording_fact(r, "target_cpu_ns", 0) < LITTLE_CPU_NS)
		return; /* that is said then, and enough */
	buf_printf(out, "%s%.0f %% of the CPU time was not sampled: ", indent, percent);
	if (runs_are_short(r))
		buf_add_str(out, "threads or processes that ran for less than a period");
	else if (!h->samples)
		buf_add_str(out, "the program ran for less than a period");
	else
		buf_add_str(out, "what ran behind threads' last samples, less than a period each");
	buf_add_str(out, " (");
	add_seconds(out, r->events.items[0].period);
	buf_add_str(out, "), which the perf backend cannot sample");
	if (recording_fact(r, "frequency_hz", 0) < HEALTH_RATE_MAX)
		buf_add_str(out, "; raise -F");
	buf_add_char(out, '\n');
}

static void add_few_samples(const struct recording *r, const struct health *h, const char *indent,
			    struct buf *out)
{
	uint64_t rate = health_better_frequency(r, h);
	uint64_t cpu = recording_fact(r, "target_cpu_ns", UINT64_MAX);
	bool was_recorded = recording_fact(r, "elapsed_ns", 0) > 0;

	buf_printf(out, "%stoo few samples to tell much: under %d", indent, HEALTH_FEW_SAMPLES);
	if (rate)
		buf_printf(out, "; record with -F %" PRIu64 "%s", rate,
			   runs_are_short(r) ? "" : ", or for longer");
	else if (h->samples && !runs_are_short(r) && cpu >= LITTLE_CPU_NS)
		buf_add_str(out, "; record for longer");
	if (was_recorded && cpu < LITTLE_CPU_NS) {
		buf_add_str(out, "; the program used (almost) no CPU: ");
		add_seconds(out, cpu);
	}
	buf_add_char(out, '\n');
}

/* What to do about samples and stacks that are missing. */
static void add_losses(const struct recording *r, const struct health *h, const char *indent,
		       struct buf *out)
{
	uint64_t grown = recording_fact(r, "grown_threads", 0);
	bool are_long = grown || recording_fact(r, "stack_bytes", UINT64_MAX) > 16384;
	struct account a;

	account_of(r, &a);
	if (is_telling(a.missed, a.expected) && !missed_while_idle(&a))
		buf_printf(out,
			   "%ssamples were missed: the kernel took none where interrupts were off "
			   "for long, or where another tracing tool was at work\n",
			   indent);
	if (a.has_entries && is_telling(a.lost, a.emitted))
		buf_printf(out,
			   "%ssamples were lost: cprof came too late to empty the kernel's rings; "
			   "a lower -F leaves more room\n",
			   indent);
	else if (is_telling(a.lost, a.expected))
		buf_printf(out,
			   "%ssamples were lost: %sas root, or with a higher `ulimit -l`, there is "
			   "more room for them\n",
			   indent, are_long ? "--stack-size 16K makes them smaller; " : "");
	if (h->by_status[UNWIND_COPY_SHORT] &&
	    recording_fact(r, "stack_bytes", 0) >= STACK_BYTES_MOST)
		buf_printf(out,
			   "%scopy_short: these stacks are larger than the 64 kB that the kernel "
			   "copies at the most; their outer callers cannot be seen\n",
			   indent);
	else if (h->by_status[UNWIND_COPY_SHORT] && grown)
		buf_printf(out,
			   "%scopy_short: a thread's first copies are short, until its stack turns "
			   "out to be larger; --stack-size 64K begins with long ones\n",
			   indent);
	else if (h->by_status[UNWIND_COPY_SHORT] && recording_fact(r, "stack_bytes", 0))
		buf_printf(out,
			   "%scopy_short: more of the stack than %" PRIu64
			   " bytes is needed: --stack-size 64K asks for as much as the kernel "
			   "copies at the most\n",
			   indent, recording_fact(r, "stack_bytes", 0));
}

/* Code compiled at run time of which nobody wrote down the names. */
static void add_unnamed_code(const struct recording *r, const char *indent, struct buf *out)
{
	enum { NONE, HIT, NAMED } *files = mem_calloc(r->files.count, sizeof(*files));
	bool tell = false;

	for (size_t i = 1; i < r->locations.count; i++)
		files[r->locations.items[i].file] = HIT;
	for (size_t i = 0; i < r->symbols.count; i++)
		if (r->symbols.items[i].count)
			files[r->locations.items[r->symbols.items[i].location].file] = NAMED;
	for (size_t i = 1; i < r->files.count; i++)
		tell |= r->files.items[i].kind == RECORDING_FILE_JIT && files[i] == HIT;
	free(files);
	if (tell)
		buf_printf(out,
			   "%s[jit]: code compiled at run time has no names: there is no "
			   "/tmp/perf-PID.map (node --perf-basic-prof, java "
			   "-XX:+UnlockDiagnosticVMOptions -XX:+DumpPerfMapAtExit, python -X perf "
			   "write one)\n",
			   indent);
}

/* What kept the CPUs from the target, where it is worth a line. */
static void add_machine(const struct recording *r, const char *indent, struct buf *out)
{
	uint64_t elapsed = recording_fact(r, "elapsed_ns", 0) + recording_fact(r, "off_ns", 0);
	uint64_t steal = recording_fact(r, "steal_ns", 0);
	uint64_t pressure = recording_fact(r, "cpu_pressure_ns", 0);
	uint64_t wait = recording_fact(r, "run_wait_ns", 0);
	uint64_t held_back = recording_fact(r, "held_back_ns", 0);
	uint64_t times = recording_fact(r, "held_back_times", 0);
	uint64_t cpu_time = elapsed * recording_fact(r, "cpus", 1);

	if (elapsed < LITTLE_CPU_NS)
		return;
	if (steal > cpu_time / 100 * STEAL_PERCENT) {
		buf_printf(out, "%sthe host took ", indent);
		add_seconds(out, steal);
		buf_printf(out,
			   " of this virtual machine's CPU time (%.1f %%) for others: programs "
			   "look slower than they are (steal)\n",
			   percent_of(steal, cpu_time));
	}
	if (pressure > elapsed / 100 * WAIT_PERCENT)
		buf_printf(out,
			   "%sthe machine was busy: %.0f %% of the time some program waited for a "
			   "CPU\n",
			   indent, MIN(percent_of(pressure, elapsed), 100.0));
	else if (wait > elapsed / 100 * WAIT_PERCENT) {
		buf_printf(out, "%sthe machine was busy: programs waited ", indent);
		add_seconds(out, wait);
		buf_add_str(out, " for a CPU, all together\n");
	}
	if (times) {
		buf_printf(out,
			   "%sthe CPU limit of the program's control group (cpu.max) held it back ",
			   indent);
		add_count(out, times, "time");
		buf_add_str(out, ", for ");
		add_seconds(out, held_back);
		buf_add_char(out, '\n');
	}
}

/* Samples that take their part of what they measure. */
static void add_rate(const struct recording *r, const char *indent, struct buf *out)
{
	uint64_t rate = recording_fact(r, "frequency_hz", 0);
	struct cost c;

	cost_of(r, &c);
	if (rate <= HEALTH_RATE_MAX)
		return;
	buf_printf(out, "%s%" PRIu64 " samples a second are part of what was measured", indent,
		   rate);
	if (c.kernel_ns && c.target_ns)
		buf_printf(out, ": taking them took another %.0f %% of the target's time",
			   cost_percent(&c, c.kernel_ns));
	buf_printf(out, "; -F %d is a sensible most\n", HEALTH_RATE_MAX);
}

/* Each text once: several processes may have met the same. */
static void add_diagnostics(const struct recording *r, const char *indent, struct buf *out)
{
	const struct recording_diagnostic *all = r->diagnostics.items;
	size_t shown = 0;

	for (size_t i = 0; i < r->diagnostics.count; i++) {
		size_t first = 0, times = 0;

		while (all[first].text != all[i].text)
			first++;
		if (first < i || ++shown > DIAGNOSTICS_SHOWN)
			continue;
		for (size_t k = i; k < r->diagnostics.count; k++)
			times += all[k].text == all[i].text;
		buf_add_str(out, indent);
		text_add_printable(out, intern_get(&r->strings, all[i].text),
				   intern_len(&r->strings, all[i].text));
		if (times > 1)
			buf_printf(out, " (%zu times)", times);
		buf_add_char(out, '\n');
	}
	if (shown > DIAGNOSTICS_SHOWN)
		buf_printf(out, "%s... and %zu more like these (cprof report --json has all)\n",
			   indent, shown - DIAGNOSTICS_SHOWN);
}

static void add_warnings(const struct recording *r, const struct health *h, const char *indent,
			 struct buf *out)
{
	add_machine(r, indent, out);
	add_rate(r, indent, out);
	add_unsampled(r, h, indent, out);
	if (h->samples < HEALTH_FEW_SAMPLES)
		add_few_samples(r, h, indent, out);
	add_losses(r, h, indent, out);
	advice_add(h, indent, out);
	add_unnamed_code(r, indent, out);
	if (r->was_cut) {
		buf_printf(out, "%sthe recording was cut: cprof was killed or the disk was full",
			   indent);
		if (r->cut_bytes)
			buf_printf(out, "; %" PRIu64 " bytes at its end are unreadable",
				   r->cut_bytes);
		buf_add_char(out, '\n');
	}
	add_diagnostics(r, indent, out);
}

void summary_health(const struct recording *r, const char *indent, struct buf *out)
{
	struct health h;

	health_of(r, &h);
	buf_add_str(out, indent);
	add_samples_line(r, &h, out);
	add_off_time(r, indent, out);
	add_backend(r, indent, out);
	add_load(r, &h, indent, out);
	if (h.whole + h.cut) {
		buf_printf(out, "%scomplete ", indent);
		health_add_percent(out, &h);
		if (h.cut) {
			buf_add_str(out, ", ");
			text_add_thousands(out, h.cut);
			buf_printf(out, " of the stacks %s cut:", h.cut == 1 ? "is" : "are");
		}
		buf_add_char(out, '\n');
		add_statuses(&h, false, indent, out);
		add_entries(r, indent, out);
	}
	if (h.samples > h.whole + h.cut) {
		buf_printf(out, "%swithout a user stack, not in this share:\n", indent);
		add_statuses(&h, true, indent, out);
	}
	add_ledger(r, &h, indent, out);
	add_costs(r, indent, out);
	add_warnings(r, &h, indent, out);
}

void summary_add_name(struct buf *out, const char *name, size_t len, unsigned int width)
{
	CLEANUP(buf_deinit) struct buf printable = { 0 };
	size_t columns = 0, cut = 0, at = 0;

	text_add_printable(&printable, name, len);
	while (at < printable.len) {
		size_t n = utf8_sequence(printable.data + at, printable.len - at);
		if (width && columns + 3 == width)
			cut = at;
		at += n ? n : 1;
		columns++;
	}
	if (!width || columns <= width || width < 4) {
		buf_add(out, printable.data, printable.len);
		return;
	}
	buf_add(out, printable.data, cut);
	buf_add_str(out, "...");
}

const char *summary_mark(const char *name, enum frame_kind kind)
{
	if (*name == '[')
		return "";
	return kind == FRAME_KERNEL ? "_[k]" : kind == FRAME_JIT ? "_[j]" : "";
}

void summary_hottest(const struct profile *p, size_t n, unsigned int width, const char *indent,
		     struct buf *out)
{
	struct calltree_options options = { .type = p->default_type, .root = CALLTREE_ROOT_NONE };
	struct calltree tree;
	struct hot_list hot;

	calltree_build(&tree, p, &options);
	hot_list_build(&hot, &tree);
	for (size_t i = 0; i < hot.functions.count && i < n; i++) {
		const struct hot_function *f = &hot.functions.items[i];
		const char *name = profile_text(p, f->name), *mark = summary_mark(name, f->kind);
		size_t used = strlen(indent) + 9 + strlen(mark);
		if (f->self <= 0)
			break;
		buf_printf(out, "%s%5.1f %%  ", indent, hot_percent(f->self, hot.sum));
		summary_add_name(out, name, intern_len(&p->strings, f->name),
				 width > used ? width - (unsigned int)used : 0);
		buf_add_str(out, mark);
		buf_add_char(out, '\n');
	}
	hot_list_deinit(&hot);
	calltree_deinit(&tree);
}

void summary_print(const struct recording *r, const struct profile *p, unsigned int width,
		   struct buf *out)
{
	summary_health(r, "", out);
	if (!p->samples.count)
		return;
	buf_add_str(out, "hottest functions:\n");
	summary_hottest(p, HOTTEST, width, "  ", out);
}
