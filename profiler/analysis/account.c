#include "profiler/analysis/account.h"

void account_of(const struct recording *r, struct account *ret)
{
	*ret = (struct account){
		.expected = recording_fact(r, "expected_samples", 0),
		.has_entries = recording_fact(r, "program_entries", UINT64_MAX) != UINT64_MAX,
		.entries = recording_fact(r, "program_entries", 0),
		.missed = recording_fact(r, "missed_samples", 0),
		.filtered = recording_fact(r, "filtered_samples", 0),
		.idle = recording_fact(r, "idle_samples", 0),
		.idle_unseen = recording_fact(r, "idle_unseen_samples", 0),
		.emitted = recording_fact(r, "emitted_samples", 0),
		.lost = recording_fact(r, "lost_samples", 0),
	};
	if (ret->has_entries)
		ret->open = (int64_t)(ret->expected - ret->missed - ret->emitted - ret->filtered -
				      ret->idle - ret->idle_unseen - ret->lost);
	else
		ret->open = (int64_t)recording_fact(r, "unexplained_samples", 0);
}

void cost_of(const struct recording *r, struct cost *ret)
{
	*ret = (struct cost){
		.target_ns = recording_fact(r, "target_cpu_ns", 0),
		.kernel_ns = recording_fact(r, "bpf_ns", 0),
		.load_ns = recording_fact(r, "bpf_load_cpu_ns", 0),
		.tables_ns = recording_fact(r, "table_build_ns", 0),
		.names_ns = recording_fact(r, "naming_cpu_ns", 0),
	};
	ret->all_ns = recording_fact(r, "cprof_cpu_ns", 0) + ret->names_ns + ret->kernel_ns;
}

double cost_percent(const struct cost *c, uint64_t ns)
{
	return c->target_ns ? (double)ns * 100 / (double)c->target_ns : 0;
}

uint64_t cost_running_ns(const struct cost *c)
{
	return c->all_ns - MIN(c->tables_ns + c->names_ns, c->all_ns);
}
