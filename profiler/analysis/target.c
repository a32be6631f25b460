#include "profiler/analysis/target.h"

#include "base/text.h"

static void add_string(struct buf *out, const struct recording *r, uint32_t string)
{
	text_add_printable(out, intern_get(&r->strings, string), intern_len(&r->strings, string));
}

void target_add(struct buf *out, const struct recording *r)
{
	for (size_t i = 0; i < r->command.count; i++) {
		if (i)
			buf_add_char(out, ' ');
		add_string(out, r, r->command.items[i]);
	}
	if (!r->command.count && r->target)
		add_string(out, r, r->target);
}
