/*
 * The ledger of the ebpf backend, on every CPU:
 *
 *	expected = the event's count over the period
 *		 = runs of the program
 *		 + idle unseen	(the timer of an idle virtual CPU does not run it)
 *		 + missed	(the kernel skipped it, or the timer came late)
 *	runs	 = emitted + filtered + idle + lost, each counted by the program itself
 *
 * Every term is measured on its own; what does not add up is a fact too.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "profiler/capture/ebpf/ebpf.h"

/* Sums over all CPUs. */
struct sums {
	uint64_t expected, idle_unseen, missed, error;
	struct kern_counters counters;
	uint32_t offline;
};

static void add_counters(struct kern_counters *sum, const struct kern_counters *of)
{
#define X(name) sum->name += of->name;
	KERN_COUNTERS(X)
#undef X
}

static void add_cpu(struct sums *sums, const struct kern_cpu_counts *n, uint64_t period,
		    bool is_clock)
{
	const struct kern_counters *k = &n->counters;
	uint64_t expected = n->count / period;
	uint64_t parts = k->emitted + k->filtered + k->idle + k->ring_full;

	add_counters(&sums->counters, k);
	sums->offline += n->went_offline;
	if (n->went_offline && expected < k->entries)
		expected = k->entries; /* the rest of its count is gone with it */
	sums->expected += expected;

	uint64_t missed = expected > k->entries ? expected - k->entries : 0;
	uint64_t idle = n->idle_ns / period;
	uint64_t unseen = is_clock ? MIN(idle > k->idle ? idle - k->idle : 0, missed) : 0;

	sums->idle_unseen += unseen;
	sums->missed += missed - unseen;
	sums->error += k->entries > expected ? k->entries - expected : 0;
	sums->error += (uint64_t)llabs((int64_t)(k->entries - parts));
}

static void sum_up(struct capture *c, struct sums *ret)
{
	struct ebpf_state *e = ebpf_of(c);

	*ret = (struct sums){ 0 };
	for (uint32_t i = 0; i < e->ring_count && e->is_started; i++) {
		struct kern_cpu_counts n;

		kern_sampler_counts(e->sampler, i, &n);
		add_cpu(ret, &n, c->period, e->is_clock);
	}
}

static void write_ledger(struct capture *c, const struct sums *s)
{
	const struct kern_counters *k = &s->counters;
	uint64_t early = ebpf_of(c)->early; /* of programs that were no targets yet */

	session_fact(c, "expected_samples", s->expected);
	session_fact(c, "program_entries", k->entries);
	session_fact(c, "missed_samples", s->missed);
	session_fact(c, "emitted_samples", k->emitted - early);
	session_fact(c, "filtered_samples", k->filtered + early);
	session_fact(c, "idle_samples", k->idle);
	session_fact(c, "idle_unseen_samples", s->idle_unseen);
	session_fact(c, "lost_samples", k->ring_full);
	session_fact(c, "ledger_error_ppm", s->expected ? s->error * 1000000 / s->expected : 0);
	if (ebpf_of(c)->is_clock) /* a sample stands for a period of its target */
		session_fact(c, "target_cpu_ns", (k->emitted - early + k->ring_full) * c->period);
}

static void write_costs(struct capture *c, const struct kern_counters *k)
{
	struct ebpf_state *e = ebpf_of(c);
	struct kern_facts facts;

	kern_sampler_facts(e->sampler, &facts);
	session_fact(c, "bpf_ns",
		     k->user_ns + k->kernel_ns + k->deferred_ns + k->asides_ns + k->other_ns);
	session_fact(c, "user_samples", k->user_samples);
	session_fact(c, "user_frames", k->user_frames);
	session_fact(c, "user_ns", k->user_ns);
	session_fact(c, "kernel_samples", k->kernel_samples);
	session_fact(c, "kernel_frames", k->kernel_frames);
	session_fact(c, "kernel_ns", k->kernel_ns);
	session_fact(c, "deferred_ns", k->deferred_ns);
	session_fact(c, "verified_instructions", facts.verified_instructions);
	session_fact(c, "bpf_load_cpu_ns", facts.load_cpu_ns);
	session_fact(c, "bpf_map_bytes", facts.map_bytes);
	session_fact(c, "table_build_ns", e->spaces.open_ns + unwind_tables_build_ns(c->tables));
	session_fact(c, "deferred_walk_ns", e->walk_ns);
}

static void write_diagnostics(struct capture *c, const struct sums *s)
{
	struct ebpf_state *e = ebpf_of(c);

	if (s->offline || e->cpus_came)
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "CPUs changed while this was recorded: %u went offline, "
					 "%u came (what ran there in the first second was not "
					 "sampled)",
					 s->offline, e->cpus_came);
	if (e->spaces.too_many)
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "%" PRIu64 " process%s more than %u mappings of code: "
					 "stacks there were not walked in the kernel",
					 e->spaces.too_many,
					 e->spaces.too_many == 1 ? " has" : "es have",
					 UNWIND_MAX_MAPPINGS);
	if (s->counters.no_slot)
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "%llu processes or threads were too many to be kept: they "
					 "were not sampled, or not walked in the kernel",
					 (unsigned long long)s->counters.no_slot);
	if (unwind_tables_left_out(c->tables))
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "there was no memory for the unwind tables of %" PRIu64
					 " pages of code: stacks end there (invalid_row)",
					 unwind_tables_left_out(c->tables));
	if (e->side_band_lost)
		recording_add_diagnostic(c->writer, c->stop_ns,
					 "%" PRIu64 " records of forks, execs and mappings were "
					 "lost; what they said was looked up later",
					 e->side_band_lost);
}

void ebpf_write_facts(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);
	struct sums s;

	sum_up(c, &s);
	write_ledger(c, &s);
	write_costs(c, &s.counters);
	write_diagnostics(c, &s);
	session_fact(c, "deferred_samples", s.counters.deferred);
	session_fact(c, "deferred_cut_samples", e->cut_deferred);
	session_fact(c, "intake_peak_bytes", intake_peak_bytes(e->intake));
	session_fact(c, "last_stack_samples", e->asides.last_samples);
	session_fact(c, "later_stack_samples", e->asides.later_samples);
	session_fact(c, "asides", s.counters.asides);
	session_fact(c, "asides_ns", s.counters.asides_ns);
	ebpf_write_outset(c);
	session_fact(c, "no_slot", s.counters.no_slot);
	session_fact(c, "stale_samples", e->stale);
	session_fact(c, "touched_pages", ebpf_toucher_pages(e->toucher));
	session_fact(c, "published_maps", e->spaces.published);
	session_fact(c, "damaged_records",
		     side_band_damaged(&e->side_band) + kern_rings_damaged(e->sampler));
	session_fact(c, "sees_kernel", !e->user_only);
	if (e->debug.file) {
		session_fact(c, "debug_stacks_compared", e->debug.compared);
		session_fact(c, "debug_frames_compared", e->debug.frames_compared);
		session_fact(c, "debug_stacks_differ", e->debug.differ);
		session_fact(c, "debug_stacks_open", e->debug.open);
	}
}
