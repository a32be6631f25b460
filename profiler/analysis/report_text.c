/* Reports for the terminal. Names come from outside: all go through summary_add_name(). */
#include <string.h>

#include "base/text.h"
#include "profiler/analysis/report.h"
#include "profiler/analysis/summary.h"
#include "profiler/analysis/target.h"

#define BOLD	"\033[1m"
#define RED	"\033[31m"
#define YELLOW	"\033[33m"
#define MAGENTA "\033[35m"
#define PLAIN	"\033[0m"

static void write_buf(struct sink *out, struct buf *b)
{
	sink_write(out, b->data, b->len);
	buf_clear(b);
}

static void color_start(const struct report *r, struct buf *b, const char *color)
{
	if (r->color && color)
		buf_add_str(b, color);
}

static void color_end(const struct report *r, struct buf *b, const char *color)
{
	if (r->color && color)
		buf_add_str(b, PLAIN);
}

static const char *color_of(double percent)
{
	return percent >= 10 ? RED : percent >= 2 ? YELLOW : NULL;
}

static void add_head(const struct report *r, struct buf *b)
{
	color_start(r, b, BOLD);
	summary_add_name(b, r->file, strlen(r->file), 0);
	if (r->recording && (r->recording->command.count || r->recording->target)) {
		buf_add_str(b, ": ");
		target_add(b, r->recording);
	}
	color_end(r, b, BOLD);
	buf_add_char(b, '\n');
	if (r->recording) {
		summary_health(r->recording, "", b);
	} else {
		buf_add_str(b, r->format);
		buf_add_str(b, ", ");
		hot_add_value(b, r->profile, r->type, r->hot.sum);
		buf_add_char(b, '\n');
	}
	buf_add_char(b, '\n');
}

static void add_percent(const struct report *r, struct buf *b, double percent)
{
	const char *color = color_of(percent);

	color_start(r, b, color);
	buf_printf(b, "%5.1f %%", percent);
	color_end(r, b, color);
}

/* A value, right-aligned. */
static void add_value(const struct report *r, struct buf *b, int64_t value)
{
	CLEANUP(buf_deinit) struct buf text = { 0 };

	hot_add_value(&text, r->profile, r->type, value);
	buf_printf(b, " %11s", buf_str(&text));
}

/* A frame's name in what is left of the line after `used` columns. */
static void add_frame(const struct report *r, struct buf *b, const char *name, size_t len,
		      enum frame_kind kind, size_t used)
{
	const char *mark = summary_mark(name, kind);
	const char *color = kind == FRAME_SENTINEL ? MAGENTA : NULL;

	used += strlen(mark);
	color_start(r, b, color);
	summary_add_name(b, name, len,
			 r->width ? r->width > used + 8 ? r->width - (unsigned int)used : 8 : 0);
	color_end(r, b, color);
	buf_add_str(b, mark);
	buf_add_char(b, '\n');
}

#define TABLE_NAME_COLUMN 43

void report_text(const struct report *r, struct sink *out)
{
	CLEANUP(buf_deinit) struct buf b = { 0 };
	size_t n = report_count(r);

	add_head(r, &b);
	color_start(r, &b, BOLD);
	buf_printf(&b, "%-21s%-21sfunction", "   self", "  total");
	color_end(r, &b, BOLD);
	buf_add_char(&b, '\n');
	for (size_t i = 0; i < n; i++) {
		const struct hot_function *f = &r->hot.functions.items[i];
		add_percent(r, &b, hot_percent(f->self, r->hot.sum));
		add_value(r, &b, f->self);
		buf_add_str(&b, "  ");
		add_percent(r, &b, hot_percent(f->total, r->hot.sum));
		add_value(r, &b, f->total);
		buf_add_str(&b, "  ");
		add_frame(r, &b, profile_text(r->profile, f->name),
			  intern_len(&r->profile->strings, f->name), f->kind, TABLE_NAME_COLUMN);
		write_buf(out, &b);
	}
	if (n < r->hot.functions.count)
		buf_printf(&b, "... and %zu more (--top 0 shows all)\n",
			   r->hot.functions.count - n);
	write_buf(out, &b);
}

/* A node that is to be printed, where its name stands, and whether it is one of several. */
struct line {
	uint32_t node;
	uint32_t column;
	bool branches;
};

/*
 * A chain of calls stays in one column, else a stack of fifty frames would leave the screen; where
 * calls branch, the branches are indented and start with a dash.
 */
void report_tree(const struct report *r, struct sink *out)
{
	const struct calltree_node *nodes = r->tree.nodes.items;
	CLEANUP(buf_deinit) struct buf b = { 0 };
	struct report_children children = { 0 };
	VEC(struct line) open = { 0 };

	add_head(r, &b);
	color_start(r, &b, BOLD);
	buf_add_str(&b, "  total     self  call tree");
	color_end(r, &b, BOLD);
	buf_add_char(&b, '\n');
	vec_push(&open, (struct line){ 0 });
	while (open.count) {
		struct line at = open.items[--open.count];
		uint32_t column = at.column;

		if (at.node) {
			add_percent(r, &b, hot_percent(nodes[at.node].total, r->hot.sum));
			buf_add_str(&b, "  ");
			add_percent(r, &b, hot_percent(nodes[at.node].self, r->hot.sum));
			buf_printf(&b, "  %*s%s", (int)MIN(column, 1000), "",
				   at.branches ? "- " : "");
			column += at.branches ? 2 : 0;
			add_frame(r, &b, calltree_name(&r->tree, at.node),
				  calltree_name_len(&r->tree, at.node),
				  (enum frame_kind)nodes[at.node].kind, column + 18);
			write_buf(out, &b);
		}
		report_children_of(r, at.node, &children);
		for (size_t i = children.nodes.count; i-- > 0;)
			vec_push(&open, (struct line){ children.nodes.items[i], column,
						       at.node && children.nodes.count > 1 });
	}
	write_buf(out, &b);
	vec_deinit(&children.nodes);
	vec_deinit(&open);
}
