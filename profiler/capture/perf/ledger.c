#include "profiler/capture/perf/ledger.h"

void ledger_deinit(struct ledger *l)
{
	vec_deinit(&l->entries);
	vec_deinit(&l->starts);
	map_deinit(&l->by_thread);
	map_deinit(&l->throttled_since);
}

static struct ledger_entry *entry_of(struct ledger *l, uint32_t thread, uint32_t cpu)
{
	uint32_t *slot = map_at(&l->by_thread, map_key2(thread, cpu));

	if (*slot == MAP_NONE) {
		*slot = (uint32_t)l->entries.count;
		vec_push(&l->entries, (struct ledger_entry){ .thread = thread, .cpu = cpu });
	}
	return &l->entries.items[*slot];
}

void ledger_sample(struct ledger *l, uint32_t thread, uint32_t cpu, uint64_t weight)
{
	struct ledger_entry *e = entry_of(l, thread, cpu);

	e->samples++;
	e->weight += weight;
	l->emitted++;
	l->weight += weight;
}

void ledger_split(struct ledger *l, uint32_t thread, uint32_t cpu)
{
	entry_of(l, thread, cpu)->was_split = true;
}

void ledger_ended(struct ledger *l, uint32_t thread, uint32_t cpu, uint64_t count)
{
	struct ledger_entry *e = entry_of(l, thread, cpu);

	e->count += count;
	e->has_ended = true;
}

void ledger_throttle(struct ledger *l, uint64_t stream, bool start, uint64_t time_ns)
{
	uint32_t *slot = map_at(&l->throttled_since, stream);

	if (*slot == MAP_NONE) {
		*slot = (uint32_t)l->starts.count;
		vec_push(&l->starts, 0);
	}
	uint64_t *since = &l->starts.items[*slot];

	if (start) {
		*since = time_ns;
	} else if (*since) {
		l->throttled_ns += time_ns - MIN(*since, time_ns);
		*since = 0;
	}
}

void ledger_sum(const struct ledger *l, uint64_t period, struct ledger_rest *ret,
		void (*each)(void *context, uint32_t thread, int64_t beyond), void *context)
{
	VEC(uint8_t) was_sampled = { 0 }; /* by thread: 0 did not run, 1 ran, 2 was sampled */

	*ret = (struct ledger_rest){ 0 };
	for (size_t i = 0; i < l->entries.count; i++) {
		const struct ledger_entry *e = &l->entries.items[i];
		int64_t second = e->was_split ? (int64_t)period : 0, rest, whole;

		if (!e->has_ended)
			continue;
		/* threads of one program exchange their events when the scheduler switches between
		 * them, timers included: a single one may have more samples than time, the sum has
		 * not */
		rest = (int64_t)e->count - (int64_t)e->weight;
		whole = rest > second ? rest - second - (rest - second) % (int64_t)period : 0;
		ret->unsampled += rest - whole;
		ret->beyond += whole;
		while (was_sampled.count <= e->thread)
			vec_push(&was_sampled, 0);
		if (e->count)
			was_sampled.items[e->thread] |= e->samples ? 2 : 1;
		if (whole)
			each(context, e->thread, whole);
	}
	for (size_t i = 0; i < was_sampled.count; i++)
		ret->unsampled_tasks += was_sampled.items[i] == 1;
	vec_deinit(&was_sampled);
}
