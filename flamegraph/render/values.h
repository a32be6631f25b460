/* Values of a profile as people read them: `1,234 samples`, `1.25 s`, `12.3 MiB`. */
#ifndef CPROF_FLAMEGRAPH_VALUES_H
#define CPROF_FLAMEGRAPH_VALUES_H

#include "base/buf.h"
#include "flamegraph/model/profile.h"

enum value_scale {
	VALUE_COUNT, /* a number and a noun */
	VALUE_TIME,
	VALUE_BYTES,
};

struct value_style {
	enum value_scale scale;
	double factor;	  /* one unit of the profile in seconds or bytes; 1 for counts */
	const char *noun; /* of a count: "samples", borrowed from the profile */
};

/* How the values of this type are shown. */
struct value_style value_style_of(const struct profile *p, uint32_t type);

void value_add(struct buf *out, const struct value_style *style, int64_t v);

/* `12.34%` of a total, rounded; exactly `100%` where they are the same. */
void percent_add(struct buf *out, int64_t v, int64_t total);

/* Adds v / total in per cent with up to four decimals and no `%`: a position on a page. */
void position_add(struct buf *out, int64_t v, int64_t total);

#endif
