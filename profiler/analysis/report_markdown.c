/* A report for a review comment. */
#include <string.h>

#include "base/text.h"
#include "profiler/analysis/report.h"
#include "profiler/analysis/summary.h"
#include "profiler/analysis/target.h"

/* As code: what would end the cell or the code is replaced. */
static void add_code(struct buf *out, const char *s, size_t n)
{
	CLEANUP(buf_deinit) struct buf printable = { 0 };

	text_add_printable(&printable, s, n);
	buf_add_char(out, '`');
	for (size_t i = 0; i < printable.len; i++) {
		char c = printable.data[i];
		if (c == '|')
			buf_add_str(out, "\\|");
		else
			buf_add_char(out, c == '`' ? '\'' : c);
	}
	buf_add_char(out, '`');
}

static void add_title(const struct report *r, struct buf *b)
{
	CLEANUP(buf_deinit) struct buf target = { 0 };

	buf_add_str(b, "### Profile of ");
	if (r->recording)
		target_add(&target, r->recording);
	if (target.len)
		add_code(b, target.data, target.len);
	else
		add_code(b, r->file, strlen(r->file));
	buf_add_str(b, "\n\n");
}

void report_markdown(const struct report *r, struct sink *out)
{
	CLEANUP(buf_deinit) struct buf b = { 0 };
	size_t n = report_count(r);

	add_title(r, &b);
	hot_add_value(&b, r->profile, r->type, r->hot.sum);
	buf_add_str(&b, " in all");
	if (r->recording) {
		struct health h;
		health_of(r->recording, &h);
		buf_add_str(&b, "; stacks: ");
		health_add_percent(&b, &h);
		buf_add_str(&b, " complete");
	}
	buf_add_str(&b, "\n\n| self | | total | | function |\n|---:|---:|---:|---:|:---|\n");
	for (size_t i = 0; i < n; i++) {
		const struct hot_function *f = &r->hot.functions.items[i];
		buf_printf(&b, "| %.1f %% | ", hot_percent(f->self, r->hot.sum));
		hot_add_value(&b, r->profile, r->type, f->self);
		buf_printf(&b, " | %.1f %% | ", hot_percent(f->total, r->hot.sum));
		hot_add_value(&b, r->profile, r->type, f->total);
		buf_add_str(&b, " | ");
		add_code(&b, profile_text(r->profile, f->name),
			 intern_len(&r->profile->strings, f->name));
		buf_add_str(&b, " |\n");
	}
	if (r->recording) {
		buf_add_str(&b, "\n<details><summary>How good the recording is</summary>\n\n```\n");
		summary_health(r->recording, "", &b);
		buf_add_str(&b, "```\n\n</details>\n");
	}
	sink_write(out, b.data, b.len);
}
