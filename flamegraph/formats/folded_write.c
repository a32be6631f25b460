/*
 * Writing folded stacks: the process, then the frames, root first, then the count. Lines are
 * aggregated and sorted bytewise by stack, so that the same profile gives the same bytes and
 * difference tools work.
 *
 * What would break a line is replaced: `;` in a name by `:`, control characters are dropped, what
 * is not UTF-8 becomes U+FFFD, blanks in the process's name become `_`, and so does the blank in a
 * name that ends in a blank and a number, which readers would take for a count. A line never starts
 * with
 * `#`, which opens a comment: such a name gets a `_` before it.
 */
#include "base/buf.h"
#include "base/text.h"
#include "flamegraph/formats/folded.h"
#include "flamegraph/model/calltree.h"

struct span {
	size_t at;
	size_t len;
};

struct line {
	struct span text; /* in writer.text */
	int64_t value;
};

struct writer {
	const struct profile *p;
	const struct write_options *o;
	enum calltree_root root;
	struct buf names;      /* locations' frames as text, each followed by `;` */
	struct span *location; /* in names */
	struct span
		*set_root; /* label set -> its root frames in names; len SIZE_MAX: not made yet */
	VEC(uint32_t) path;
	struct buf text;
	VEC(struct line) lines;
};

/* Does the name end in a blank and a number, as a line's count does? Returns where the blank is. */
static size_t trailing_number(const char *s, size_t n)
{
	size_t i = n;

	while (i && ((s[i - 1] >= '0' && s[i - 1] <= '9') || s[i - 1] == '.' || s[i - 1] == '-'))
		i--;
	return i && i < n && s[i - 1] == ' ' ? i - 1 : SIZE_MAX;
}

/* The length of the control character at s (C0, DEL, C1, byte order mark), 0 if there is none. */
static size_t control_length(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];

	if (c < 0x20 || c == 0x7f)
		return 1;
	if (c == 0xc2 && n > 1 && ((unsigned char)s[1] & 0xe0) == 0x80)
		return 2;
	if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		return 3;
	return 0;
}

/* Adds a name as one frame. */
static void add_name(struct buf *out, const char *s, size_t n, bool process)
{
	CLEANUP(buf_deinit) struct buf valid = { 0 };
	size_t start = out->len;

	utf8_add_valid(&valid, s, n);
	for (size_t i = 0; i < valid.len;) {
		size_t control = control_length(valid.data + i, valid.len - i);
		char c = valid.data[i];

		i += control ? control : 1;
		if (control && c != '\t')
			continue;
		if (c == '\t')
			c = ' ';
		if (c == ';')
			c = ':';
		else if (c == ' ' && process)
			c = '_';
		buf_add_char(out, c);
	}
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->len--;
	if (out->len == start)
		buf_add_str(out, "[unknown]");
	for (size_t blank;
	     (blank = trailing_number(out->data + start, out->len - start)) != SIZE_MAX;)
		out->data[start + blank] = '_';
}

static const char *mark_of(const struct writer *w, enum frame_kind kind, bool inlined)
{
	if (inlined && w->o->mark_inlined)
		return "_[i]";
	if (kind == FRAME_KERNEL && w->o->mark_kernel)
		return "_[k]";
	if (kind == FRAME_JIT && w->o->mark_jit)
		return "_[j]";
	return "";
}

static struct span location_text(struct writer *w, uint32_t id)
{
	const struct profile_location *l = &w->p->locations.items[id];
	struct span *text = &w->location[id];

	if (text->len)
		return *text;
	text->at = w->names.len;
	for (uint32_t i = l->n_lines; i-- > 0;) {
		uint32_t function = w->p->lines.items[l->first_line + i].function;
		uint32_t name = w->p->functions.items[function].name;

		add_name(&w->names, profile_text(w->p, name), intern_len(&w->p->strings, name),
			 false);
		buf_add_str(&w->names, mark_of(w, l->kind, i + 1 < l->n_lines));
		buf_add_char(&w->names, ';');
	}
	text->len = w->names.len - text->at;
	return *text;
}

static struct span root_text(struct writer *w, uint32_t label_set)
{
	struct span *text = &w->set_root[label_set];
	CLEANUP(buf_deinit) struct buf name = { 0 };

	if (text->len != SIZE_MAX)
		return *text;
	text->at = w->names.len;
	for (unsigned int level = 0; level < 2; level++) {
		buf_clear(&name);
		if (!calltree_root_text(w->p, label_set, w->root, level, &name))
			continue;
		add_name(&w->names, buf_str(&name), name.len, true);
		buf_add_char(&w->names, ';');
	}
	text->len = w->names.len - text->at;
	return *text;
}

static void add_span(struct writer *w, struct span s)
{
	if (s.len)
		buf_add(&w->text, w->names.data + s.at, s.len);
}

static void add_line(struct writer *w, const struct profile_sample *sample, int64_t value)
{
	size_t start = w->text.len;
	struct span root = root_text(w, sample->labels);

	w->path.count = 0;
	for (uint32_t s = sample->stack; s; s = w->p->stacks.items[s].parent)
		vec_push(&w->path, w->p->stacks.items[s].location);
	if (!root.len && !w->path.count)
		buf_add_str(&w->text, "[unknown];");
	add_span(w, root);
	while (w->path.count)
		add_span(w, location_text(w, w->path.items[--w->path.count]));
	if (w->text.data[start] == '#') {
		buf_add_char(&w->text, '_');
		memmove(w->text.data + start + 1, w->text.data + start, w->text.len - start - 1);
		w->text.data[start] = '_';
	}
	w->text.len--; /* the last `;` */
	vec_push(&w->lines, (struct line){ { start, w->text.len - start }, value });
}

static int compare_lines(const void *left, const void *right, void *context)
{
	const struct line *a = left, *b = right;
	const char *text = context;
	int order = memcmp(text + a->text.at, text + b->text.at, MIN(a->text.len, b->text.len));

	if (order)
		return order;
	return a->text.len < b->text.len ? -1 : a->text.len > b->text.len;
}

/* Writes the sums of equal stacks, divided; what comes to nothing is left out. */
static void write_lines(struct writer *w, int64_t divisor, struct sink *out)
{
	CLEANUP(buf_deinit) struct buf number = { 0 };

	if (w->lines.count)
		qsort_r(w->lines.items, w->lines.count, sizeof(*w->lines.items), compare_lines,
			w->text.data);
	for (size_t i = 0; i < w->lines.count;) {
		const struct line *l = &w->lines.items[i];
		int64_t value = 0;

		for (;
		     i < w->lines.count && compare_lines(l, &w->lines.items[i], w->text.data) == 0;
		     i++)
			value = profile_add_values(value, w->lines.items[i].value);
		value /= divisor;
		if (!value)
			continue;
		buf_clear(&number);
		buf_add_char(&number, ' ');
		buf_add_i64(&number, value);
		buf_add_char(&number, '\n');
		sink_write(out, w->text.data + l->text.at, l->text.len);
		sink_write(out, number.data, number.len);
	}
}

/* Off-CPU time is written in microseconds, as the tools that draw it expect. */
static int64_t divisor_of(const struct profile *p, uint32_t type)
{
	const char *name = profile_text(p, p->types.items[type].type);
	const char *unit = profile_text(p, p->types.items[type].unit);

	return strcmp(name, "offcpu") == 0 && strcmp(unit, "nanoseconds") == 0 ? 1000 : 1;
}

static struct error *folded_write(const struct profile *p, const struct write_options *o,
				  const struct format_notices *n, struct sink *out)
{
	uint32_t type = format_shown_type(p, o);
	struct writer w = { .p = p, .o = o };

	w.root = o->fold_tid ? CALLTREE_ROOT_THREAD : CALLTREE_ROOT_COMM;
	if (o->fold_pid)
		w.root = o->fold_tid ? CALLTREE_ROOT_PID_THREAD : CALLTREE_ROOT_PID;
	w.location = mem_calloc(p->locations.count, sizeof(*w.location));
	w.set_root = mem_alloc(p->label_sets.count * sizeof(*w.set_root));
	for (size_t i = 0; i < p->label_sets.count; i++)
		w.set_root[i] = (struct span){ 0, SIZE_MAX };
	for (size_t i = 0; i < p->samples.count; i++) {
		int64_t value = p->values.items[i * p->types.count + type];
		if (value)
			add_line(&w, &p->samples.items[i], value);
	}
	write_lines(&w, divisor_of(p, type), out);

	buf_deinit(&w.names);
	free(w.location);
	free(w.set_root);
	vec_deinit(&w.path);
	buf_deinit(&w.text);
	vec_deinit(&w.lines);
	return NULL;
}

static const char *const suffixes[] = { ".folded", ".collapsed", NULL };

const struct format format_folded = {
	.name = "folded",
	.suffixes = suffixes,
	.description = "folded stacks, one `root;...;leaf COUNT` a line",
	.detect = folded_detect,
	.read = folded_read,
	.write = folded_write,
};
