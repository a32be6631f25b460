#include "profiler/analysis/target.h"

#include "profiler/analysis/summary.h"

/* A command line whose words come this far has its first words only. */
#define TARGET_BYTES 200

/* A word that is longer (a script) has only its beginning. */
#define WORD_COLUMNS 300

static void add_string(struct buf *out, const struct recording *r, uint32_t string)
{
	summary_add_name(out, intern_get(&r->strings, string), intern_len(&r->strings, string),
			 WORD_COLUMNS);
}

void target_add(struct buf *out, const struct recording *r)
{
	size_t start = out->len;

	for (size_t i = 0; i < r->command.count; i++) {
		if (i)
			buf_add_char(out, ' ');
		if (out->len - start > TARGET_BYTES) {
			buf_printf(out, "... (%zu more words)", r->command.count - i);
			break;
		}
		add_string(out, r, r->command.items[i]);
	}
	if (!r->command.count && r->target)
		add_string(out, r, r->target);
}
