/*
 * Reading the text that `perf script` prints: an event line, one line a frame (leaf first), a blank
 * line. A text of 300 MB has few different frame lines, so each is parsed once and found again by
 * its bytes, and a stack that ends in the same callers as the one before it keeps their ids.
 *
 * A sample weighs what its event line gives as period, 1 where it gives none. Only the events of
 * the first type met are read (or of the one asked for): a sum of cycles and page faults means
 * nothing. Events that differ in modifiers only (`cycles`, `cycles:u`) are one type, since perf
 * itself falls back from one to the other; that is said. What cannot be read is counted and said
 * once.
 *
 * The text knows the thread's name only, so it stands for the process's (label `comm`), too. A
 * frame's file becomes a mapping without addresses: the text has run-time addresses and no
 * mappings. Frames marked `(inlined)` become lines of the physical frame below them, and so do the
 * parts of a name of JIT code joined by `->`.
 */
#include "flamegraph/formats/perf_script.h"
#include "base/buf.h"
#include "base/text.h"
#include "flamegraph/formats/format.h"
#include "flamegraph/formats/memo.h"
#include "flamegraph/formats/perf_script_line.h"
#include "flamegraph/formats/tidy.h"
#include "flamegraph/model/frame_kind.h"

/* What a frame line stands for. */
struct frame {
	uint32_t location; /* 0: nothing is shown */
	uint32_t name;	   /* of an inlined one */
	bool inlined;
	bool unreadable;
	const char *text; /* the line; in frame_ids */
	uint32_t len;
	uint32_t next; /* the frame that stood below it last; 0: none yet */
};

/* A frame of the previous sample, root first, and the stack that it ends. */
struct step {
	uint32_t frame;
	uint32_t stack;
};

struct reader {
	struct profile *p;
	const struct read_options *o;

	struct memo frame_ids[2];  /* frame line -> frame; [1]: of processes named java... */
	VEC(struct frame) frames;  /* [0] unused */
	struct memo mapping_ids;   /* file -> mapping */
	struct memo label_set_ids; /* COMM PID/TID -> label set */
	struct map locations;	   /* name, mapping and kind -> location */
	VEC(struct step) steps;

	/* the record that is being read */
	bool open, skipped;
	bool java;
	int64_t period;
	uint32_t labels;
	VEC(uint32_t) stack; /* frames, leaf first */
	uint32_t last;	     /* the frame read last; 0: none yet */

	struct piece event; /* that is read; n 0: not known yet */
	bool has_event, has_period;
	VEC(uint32_t) others; /* strings: events left out */
	VEC(uint32_t) merged; /* strings: events that differ in modifiers only */
	int64_t first_ns, last_ns;

	uint64_t line, samples, left_out;
	uint64_t unreadable, first_unreadable, not_utf8;
	bool cut; /* the text ends within a line that cannot be read */
};

/* Room for the notices: more names are not told. */
#define MAX_NAMES 32

static uint32_t intern_piece(struct reader *r, struct piece t)
{
	if (utf8_valid(t.s, t.n))
		return intern_bytes(&r->p->strings, t.s, t.n);

	struct buf valid = { 0 };
	utf8_add_valid(&valid, t.s, t.n);
	uint32_t id = intern_bytes(&r->p->strings, valid.data, valid.len);
	buf_deinit(&valid);
	r->not_utf8++;
	return id;
}

static bool piece_is(struct piece t, const char *text)
{
	return t.n == strlen(text) && memcmp(t.s, text, t.n) == 0;
}

static bool piece_equal(struct piece a, struct piece b)
{
	return a.n == b.n && memcmp(a.s, b.s, a.n) == 0;
}

/* --- frames --- */

static uint32_t find_mapping(struct reader *r, struct piece dso)
{
	if (!dso.n || piece_is(dso, "[unknown]") || piece_is(dso, "inlined"))
		return 0;

	uint32_t *id = memo_at(&r->mapping_ids, dso.s, (uint32_t)dso.n);
	if (*id == MEMO_NONE) {
		struct profile_mapping m = { .file = intern_piece(r, dso), .has_functions = true };
		*id = profile_add_mapping(r->p, &m);
	}
	return *id;
}

/* Does the script take the file for the kernel's, for JIT code? It marks `[vdso]` too. */
static enum frame_kind perl_kind(const char *file)
{
	size_t n = strlen(file);

	if ((file[0] == '[' || (n >= 7 && strcmp(file + n - 7, "vmlinux") == 0)) &&
	    !strstr(file, "unknown"))
		return FRAME_KERNEL;
	return frame_kind_of_file(file) == FRAME_JIT && strstr(file, "/tmp/perf-") ? FRAME_JIT
										   : FRAME_USER;
}

static uint32_t find_location(struct reader *r, uint32_t name, uint32_t mapping)
{
	const char *file = profile_text(r->p, r->p->mappings.items[mapping].file);
	enum frame_kind kind =
		r->o->names == NAMES_PERL ? perl_kind(file) : frame_kind_of_file(file);

	if (!mapping)
		return profile_name_location(r->p, name, FRAME_USER);

	uint32_t *id = map_at(&r->locations, map_key2(name, mapping << 2 | kind));
	if (*id == MAP_NONE) {
		struct profile_function f = { .name = name };
		struct profile_line line = { .function = profile_intern_function(r->p, &f) };
		struct profile_location l = { .mapping = mapping, .kind = kind };
		*id = profile_add_location(r->p, &l, &line, 1);
	}
	return *id;
}

/* `[libc.so.6]`, or `[unknown]`, for a frame without a symbol; with its address on request. */
static void add_unknown(const struct reader *r, const struct frame_line *line, struct buf *out)
{
	bool perl = r->o->names == NAMES_PERL;
	struct piece file = line->dso;

	if (!file.n || piece_is(file, "[unknown]"))
		file = (struct piece){ "unknown", 7 };
	const char *slash = memrchr(file.s, '/', file.n);
	if (slash)
		file = (struct piece){ slash + 1, file.n - (size_t)(slash + 1 - file.s) };
	static const char deleted[] = " (deleted)";
	if (file.n > strlen(deleted) &&
	    memcmp(file.s + file.n - strlen(deleted), deleted, strlen(deleted)) == 0)
		file.n -= strlen(deleted);
	if (!perl && file.n > 2 && file.s[0] == '[' && file.s[file.n - 1] == ']')
		file = (struct piece){ file.s + 1, file.n - 2 };
	buf_add_char(out, '[');
	buf_add(out, file.s, file.n);
	if (r->o->show_addresses)
		buf_printf(out, " <%.*s>", (int)line->address.n, line->address.s);
	buf_add_char(out, ']');
}

static uint32_t shown_name(struct reader *r, const struct frame_line *line, struct piece symbol)
{
	struct buf name = { 0 }, tidied = { 0 };

	if (!symbol.n || piece_is(symbol, "[unknown]")) {
		add_unknown(r, line, &name);
		symbol = (struct piece){ name.data, name.len };
	}
	name_tidy(symbol.s, symbol.n, r->o->names, r->java, &tidied);
	uint32_t id = intern_piece(r, (struct piece){ tidied.data ? tidied.data : "", tidied.len });
	buf_deinit(&name);
	buf_deinit(&tidied);
	return id;
}

/* The script leaves out what starts with a parenthesis, once the names of processes. */
static bool is_left_out(const struct reader *r, struct piece symbol)
{
	static const char anonymous[] = "(anonymous namespace)";

	return r->o->names == NAMES_PERL && symbol.n && symbol.s[0] == '(' &&
	       (symbol.n < strlen(anonymous) ||
		memcmp(symbol.s, anonymous, strlen(anonymous)) != 0);
}

static struct frame make_frame(struct reader *r, const struct frame_line *line)
{
	uint32_t mapping = find_mapping(r, line->dso);
	struct piece symbol = line->symbol, rest = { 0 };
	struct frame f = { 0 };

	if (is_left_out(r, symbol))
		return f;
	/* outer->inner->innermost */
	bool joined = r->o->names == NAMES_PERL ||
		      frame_kind_of_file(profile_text(r->p, r->p->mappings.items[mapping].file)) ==
			      FRAME_JIT;
	const char *arrow = joined && symbol.n ? memmem(symbol.s, symbol.n, "->", 2) : NULL;
	if (arrow && arrow > symbol.s) {
		rest = (struct piece){ arrow + 2, symbol.n - (size_t)(arrow + 2 - symbol.s) };
		symbol.n = (size_t)(arrow - symbol.s);
	}
	f.name = shown_name(r, line, symbol);
	f.inlined = r->o->names != NAMES_PERL && piece_is(line->dso, "inlined");
	f.location = find_location(r, f.name, mapping);
	for (unsigned int parts = 2; rest.n; parts++) {
		/* What is joined beyond all measure stays in one piece. */
		arrow = parts < PROFILE_LINES_MAX ? memmem(rest.s, rest.n, "->", 2) : NULL;
		symbol = (struct piece){ rest.s, arrow ? (size_t)(arrow - rest.s) : rest.n };
		f.location = profile_inline_location(r->p, f.location, shown_name(r, line, symbol));
		rest.n -= arrow ? symbol.n + 2 : rest.n;
		rest.s = arrow ? arrow + 2 : rest.s;
	}
	return f;
}

/* Below a frame stands nearly always the one that stood there last time: the length of that line,
 * if the text goes on with it, else 0. */
static size_t read_expected_frame(struct reader *r, const char *s, const char *end)
{
	const struct frame *last = &r->frames.items[r->last];
	const struct frame *f = &r->frames.items[last->next];

	if (!last->next || (size_t)(end - s) <= f->len || s[f->len] != '\n' ||
	    memcmp(s, f->text, f->len) != 0)
		return 0;
	vec_push(&r->stack, last->next);
	r->last = last->next;
	return f->len;
}

static void read_frame(struct reader *r, const char *s, size_t n)
{
	struct memo_slot *slot = memo_find(&r->frame_ids[r->java], s, (uint32_t)n);

	if (slot->value == MEMO_NONE) {
		struct frame_line line;
		struct frame f = { .unreadable = true };

		if (perf_frame_line(s, n, &line))
			f = make_frame(r, &line);
		else if (perf_source_line(s, n))
			f.unreadable = false;
		f.text = slot->text;
		f.len = slot->len;
		slot->value = (uint32_t)r->frames.count;
		vec_push(&r->frames, f);
	}
	const struct frame *f = &r->frames.items[slot->value];
	if (f->location) {
		vec_push(&r->stack, slot->value);
		r->frames.items[r->last].next = r->last ? slot->value : 0;
		r->last = slot->value;
	} else if (f->unreadable && !r->unreadable++) {
		r->first_unreadable = r->line;
	}
}

/* --- samples --- */

static uint32_t push_frame(struct reader *r, uint32_t stack, const struct frame *f)
{
	if (f->inlined)
		return profile_push_inlined(r->p, stack, f->name, f->location);
	return profile_push(r->p, stack, f->location);
}

static uint32_t push_frames(struct reader *r)
{
	size_t n = r->stack.count, common = 0;
	uint32_t stack = 0;

	while (common < n && common < r->steps.count &&
	       r->steps.items[common].frame == r->stack.items[n - 1 - common])
		common++;
	r->steps.count = common;
	if (common)
		stack = r->steps.items[common - 1].stack;
	for (size_t i = n - common; i-- > 0;) {
		stack = push_frame(r, stack, &r->frames.items[r->stack.items[i]]);
		vec_push(&r->steps, (struct step){ r->stack.items[i], stack });
	}
	return stack;
}

static void end_record(struct reader *r)
{
	int64_t values[2] = { 1, r->period };

	if (!r->open)
		return;
	r->open = false;
	if (r->skipped)
		return;
	/* The text stops in the middle of a stack: its callers are missing. */
	if (r->cut) {
		uint32_t name = profile_string(r->p, "[truncated: end of input]");
		vec_push(&r->stack, (uint32_t)r->frames.count);
		vec_push(&r->frames, (struct frame){ .location = profile_name_location(
							     r->p, name, FRAME_SENTINEL) });
	}
	profile_add_sample(r->p, push_frames(r), r->labels, values);
	r->samples++;
}

static uint32_t find_labels(struct reader *r, const struct event_line *e)
{
	uint32_t *id = memo_at(&r->label_set_ids, e->who.s, (uint32_t)e->who.n);
	struct profile_label labels[4];
	uint32_t n = 0;

	if (*id != MEMO_NONE)
		return *id;

	CLEANUP(buf_deinit) struct buf comm = { 0 };
	buf_add(&comm, e->comm.s, e->comm.n);
	if (r->o->root_pid || r->o->root_tid) {
		buf_add_char(&comm, '-');
		if (e->pid >= 0)
			buf_add_i64(&comm, e->pid);
		else
			buf_add_char(&comm, '?');
		if (r->o->root_tid && e->tid >= 0)
			buf_printf(&comm, "/%lld", (long long)e->tid);
	}
	labels[n++] = (struct profile_label){ .key = profile_string(r->p, PROFILE_LABEL_COMM),
					      .str = intern_piece(r, (struct piece){ buf_str(&comm),
										     comm.len }) };
	labels[n++] = (struct profile_label){ .key = profile_string(r->p, PROFILE_LABEL_THREAD),
					      .str = intern_piece(r, e->comm) };
	uint32_t unit = profile_string(r->p, "id");
	if (r->o->label_ids && e->pid >= 0)
		labels[n++] = (struct profile_label){
			.key = profile_string(r->p, PROFILE_LABEL_PID), .num = e->pid, .unit = unit
		};
	if (r->o->label_ids && e->tid >= 0)
		labels[n++] = (struct profile_label){
			.key = profile_string(r->p, PROFILE_LABEL_TID), .num = e->tid, .unit = unit
		};
	*id = profile_intern_labels(r->p, labels, n);
	return *id;
}

/* --- events --- */

static void remember_name(struct reader *r, struct piece event, bool merged)
{
	uint32_t id = intern_piece(r, event);
	size_t count = merged ? r->merged.count : r->others.count;
	const uint32_t *names = merged ? r->merged.items : r->others.items;

	for (size_t i = 0; i < count; i++)
		if (names[i] == id)
			return;
	if (count == MAX_NAMES)
		return;
	if (merged)
		vec_push(&r->merged, id);
	else
		vec_push(&r->others, id);
}

/* The value types follow from the first event that is read. */
static void add_types(struct reader *r, const struct event_line *e)
{
	CLEANUP(buf_deinit) struct buf name = { 0 };
	struct piece base = perf_event_base(e->event);
	bool clock = base.n > 6 && memcmp(base.s + base.n - 6, "-clock", 6) == 0;

	r->event = e->event;
	r->has_event = true;
	r->has_period = e->period != 0;
	profile_add_type(r->p, "samples", "count");
	if (!r->has_period)
		return;
	utf8_add_valid(&name, base.s, base.n);
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] == '-' || name.data[i] == ':' || !(name.data[i] & ~0x1f))
			name.data[i] = '_';
	r->p->default_type = profile_add_type(r->p, name.len ? buf_str(&name) : "events",
					      clock ? "nanoseconds" : "count");
	r->p->period_type = r->p->types.items[r->p->default_type];
}

/* Is a sample of this event read? */
static bool want_event(struct reader *r, struct piece event)
{
	if (r->o->event) {
		if (piece_is(event, r->o->event))
			return true;
		remember_name(r, event, false);
		return false;
	}
	if (!r->has_event || !event.n || piece_equal(event, r->event))
		return true;
	bool same = piece_equal(perf_event_base(event), perf_event_base(r->event));
	remember_name(r, event, same);
	return same;
}

static void begin_record(struct reader *r, const struct event_line *e)
{
	static const char record[] = "PERF_RECORD_";

	end_record(r);
	if (e->event.n + e->payload.n > strlen(record) &&
	    (memcmp(e->event.s, record, strlen(record)) == 0))
		return; /* `--show-mmap-events` and its like: no sample */
	r->open = true;
	r->stack.count = 0;
	r->last = 0;
	r->skipped = !want_event(r, e->event);
	if (r->skipped) {
		r->left_out++;
		return;
	}
	if (!r->has_event)
		add_types(r, e);
	r->period = e->period ? e->period : 1;
	r->labels = find_labels(r, e);
	r->java = r->o->names == NAMES_PERL && e->comm.n >= 4 && memcmp(e->comm.s, "java", 4) == 0;
	if (e->time_ns >= 0) {
		r->first_ns = r->first_ns ? MIN(r->first_ns, e->time_ns) : e->time_ns;
		r->last_ns = MAX(r->last_ns, e->time_ns);
	}

	/* A record of one line has its leaf behind the event. */
	struct frame_line leaf;
	if (e->payload.n && perf_frame_line(e->payload.s, e->payload.n, &leaf) && leaf.dso.n) {
		read_frame(r, e->payload.s, e->payload.n);
		end_record(r);
	}
}

/* --- lines --- */

static void read_header(struct reader *r, const char *s, size_t n)
{
	static const char *const kept[] = { "cmdline", "hostname", "os release", "captured on" };

	while (n && (*s == '#' || *s == ' '))
		s++, n--;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (n > strlen(kept[i]) && memcmp(s, kept[i], strlen(kept[i])) == 0)
			vec_push(&r->p->comments, intern_piece(r, (struct piece){ s, n }));
}

static bool is_blank_line(const char *s, size_t n)
{
	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	return !n;
}

static void read_line(struct reader *r, const char *s, size_t n)
{
	struct event_line e;
	bool indented = n && (*s == '\t' || *s == ' ');

	if (!n) {
		end_record(r);
	} else if (*s == '#' && !r->open) {
		read_header(r, s, n);
	} else if (n >= UINT32_MAX) {
		if (!r->unreadable++)
			r->first_unreadable = r->line;
	} else if (indented && r->open) {
		if (!r->skipped)
			read_frame(r, s, n);
	} else if (perf_event_line(s, n, &e)) {
		begin_record(r, &e);
	} else if (!is_blank_line(s, n) && !r->unreadable++) {
		r->first_unreadable = r->line;
	}
}

static void read_lines(struct reader *r, const char *s, size_t size)
{
	const char *end = s + size;

	while (s < end) {
		size_t expected = r->open && r->last ? read_expected_frame(r, s, end) : 0;

		r->line++;
		if (expected) {
			s += expected + 1;
			continue;
		}
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		const char *line_end = newline ? newline : end;
		size_t n = (size_t)(line_end - s);
		uint64_t unreadable = r->unreadable;

		if (n && s[n - 1] == '\r')
			n--;
		read_line(r, s, n);
		if (!newline && n && r->open && s[n - 1] != ')')
			r->cut = r->stack.count || r->unreadable > unreadable;
		s = line_end + 1;
	}
	end_record(r);
}

/* --- the format's functions --- */

static bool detect(const void *bytes, size_t size, bool whole)
{
	const char *s = bytes, *end = s + size;
	unsigned int tries = 0;
	struct event_line e;

	while (s < end && tries < 4) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		const char *line_end = newline ? newline : end;
		size_t n = (size_t)(line_end - s);

		if (!newline && !whole)
			break;
		if (n && *s != '#' && *s != '\r') {
			/* Without a time it could be anything. */
			if (perf_event_line(s, n, &e) && e.time_ns >= 0)
				return true;
			tries++;
		}
		s = line_end + 1;
	}
	return false;
}

static void tell_names(const struct reader *r, const struct format_notices *n, const char *what,
		       const uint32_t *names, size_t count)
{
	CLEANUP(buf_deinit) struct buf list = { 0 };

	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		buf_printf(&list, "%s%s", i ? ", " : "", profile_text(r->p, names[i]));
	format_notice(n, "%s%.*s%s: %s", what, (int)r->event.n, r->event.s ? r->event.s : "",
		      count == MAX_NAMES ? " (and more)" : "", buf_str(&list));
}

static void tell(const struct reader *r, const struct format_notices *n)
{
	if (!r->o->event && r->others.count) {
		char *what = mem_printf("%llu %s left out (--event NAME reads one); read is ",
					(unsigned long long)r->left_out,
					text_plural(r->left_out, "sample of other events is",
						    "samples of other events are"));
		tell_names(r, n, what, r->others.items, r->others.count);
		free(what);
	}
	tell_names(r, n, "events that differ in modifiers only are counted together, with ",
		   r->merged.items, r->merged.count);
	if (r->unreadable)
		format_notice(n, "%llu %s left out, the first is line %llu",
			      (unsigned long long)r->unreadable,
			      text_plural(r->unreadable, "line cannot be read and is",
					  "lines cannot be read and are"),
			      (unsigned long long)r->first_unreadable);
	if (r->cut)
		format_notice(n, "the text ends within a stack: it was cut");
	format_notice_not_utf8(n, r->not_utf8);
}

static struct error *no_samples(const struct reader *r)
{
	const char *name = r->o->name ? r->o->name : "the input";
	CLEANUP(buf_deinit) struct buf known = { 0 };

	if (!r->o->event || !r->others.count)
		return error_hint(error_new(ERR_FORMAT, "%s holds no samples", name),
				  "it is the output of `perf script` that is read");
	for (size_t i = 0; i < r->others.count; i++)
		buf_printf(&known, "%s%s", i ? ", " : "", profile_text(r->p, r->others.items[i]));
	return error_hint(error_new(ERR_FORMAT, "%s has no event '%s'", name, r->o->event),
			  "it has %s", buf_str(&known));
}

static struct error *read_perf_script(const void *bytes, size_t size, const struct read_options *o,
				      const struct format_notices *n, struct profile *ret)
{
	struct reader r = { .p = ret, .o = o };

	vec_push(&r.frames, (struct frame){ 0 });
	read_lines(&r, bytes, size);
	tell(&r, n);
	ret->duration_ns = r.last_ns - r.first_ns;
	struct error *err = r.samples ? NULL : no_samples(&r);

	memo_deinit(&r.frame_ids[0]);
	memo_deinit(&r.frame_ids[1]);
	vec_deinit(&r.frames);
	memo_deinit(&r.mapping_ids);
	memo_deinit(&r.label_set_ids);
	map_deinit(&r.locations);
	vec_deinit(&r.steps);
	vec_deinit(&r.stack);
	vec_deinit(&r.others);
	vec_deinit(&r.merged);
	return err;
}

static const char *const suffixes[] = { ".perf.txt", ".perf", NULL };

const struct format format_perf_script = {
	.name = "perf-script",
	.suffixes = suffixes,
	.description = "the text that `perf script` prints",
	.detect = detect,
	.read = read_perf_script,
};
