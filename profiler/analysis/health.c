#include "profiler/analysis/health.h"

#include <inttypes.h>

bool health_is_booked(const struct recording *r, const struct recording_sample *s)
{
	uint32_t location = r->stacks.items[s->stack].location;

	return r->files.items[r->locations.items[location].file].kind == RECORDING_FILE_SENTINEL;
}

void health_of(const struct recording *r, struct health *ret)
{
	uint64_t first = UINT64_MAX, last = 0;

	*ret = (struct health){ 0 };
	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		enum unwind_class class = unwind_status_class(s->status);

		if (health_is_booked(r, s))
			continue;
		ret->samples++;
		ret->by_status[s->status]++;
		ret->whole += class == UNWIND_CLASS_WHOLE;
		ret->cut += class == UNWIND_CLASS_CUT || class == UNWIND_CLASS_OPEN;
		first = MIN(first, s->time_ns);
		last = MAX(last, s->time_ns);
	}
	ret->span_ns = last > first ? last - first : 0;
}

void health_add_percent(struct buf *out, const struct health *h)
{
	uint64_t all = h->whole + h->cut;
	uint64_t share = all ? (uint64_t)((double)h->whole / (double)all * 10000) : 0;

	if (!all) {
		buf_add_str(out, "no stacks");
		return;
	}
	if (h->cut && share > 9999)
		share = 9999;
	buf_printf(out, "%" PRIu64 ".%02" PRIu64 " %%", share / 100, share % 100);
}

uint64_t health_better_frequency(const struct recording *r, const struct health *h)
{
	static const uint64_t rates[] = { 997, 1999, 4999, HEALTH_RATE_MAX };
	uint64_t rate = recording_fact(r, "frequency_hz", 0);

	if (h->samples >= HEALTH_FEW_SAMPLES || !h->samples || !rate)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		if (rates[i] > rate && h->samples * rates[i] / rate >= HEALTH_FEW_SAMPLES)
			return rates[i];
	return 0;
}
