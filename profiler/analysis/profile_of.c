/*
 * Everything is translated once, when it is first needed: strings, names (demangled once a unique
 * raw name), files to mappings, locations, and stacks node by node.
 *
 * The addresses of a file's locations are those of its first mapping, whatever process they were
 * hit in: pprof knows one address space, and tools merge by mapping and address.
 */
#include "profiler/analysis/profile_of.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/text.h"
#include "profiler/analysis/health.h"
#include "profiler/analysis/naming.h"
#include "profiler/analysis/target.h"
#include "symbolizer/demangle.h"

#define NOT_YET	    UINT32_MAX
#define TITLE_BYTES 160

struct translation {
	const struct recording *r;
	const struct analysis_options *o;
	struct profile *p;
	uint32_t *strings;	 /* recording's -> profile's */
	uint32_t *names;	 /* raw name -> shown one */
	uint32_t *folded_names;	 /* the same with its mark */
	uint32_t *symbols;	 /* location -> index of its symbol */
	uint32_t *first_mapping; /* file -> index of its first mapping; 0: none */
	uint32_t *next_mapping;	 /* mapping -> the next one of the same file; 0: none */
	uint32_t *mappings;	 /* file -> profile's mapping */
	uint32_t *locations;	 /* recording's -> profile's */
	struct map stacks;	 /* (0 or status + 1, stack) -> profile's */
	VEC(uint32_t) path;
	struct buf text;
};

static uint32_t *make_table(size_t count)
{
	uint32_t *table = mem_alloc(MAX(count, 1) * sizeof(*table));

	memset(table, 0xff, count * sizeof(*table)); /* NOT_YET */
	return table;
}

static void init(struct translation *t)
{
	const struct recording *r = t->r;

	t->strings = make_table(r->strings.count);
	t->names = make_table(r->strings.count);
	t->folded_names = make_table(r->strings.count);
	t->symbols = make_table(r->locations.count);
	t->locations = make_table(r->locations.count);
	t->mappings = make_table(r->files.count);
	t->first_mapping = mem_calloc(r->files.count, sizeof(*t->first_mapping));
	for (size_t i = 0; i < r->symbols.count; i++)
		t->symbols[r->symbols.items[i].location] = (uint32_t)i;
	t->next_mapping = mem_calloc(r->mappings.count, sizeof(*t->next_mapping));
	for (size_t i = r->mappings.count; i-- > 1;) {
		uint32_t *first = &t->first_mapping[r->mappings.items[i].file];
		t->next_mapping[i] = *first;
		*first = (uint32_t)i;
	}
}

static void deinit(struct translation *t)
{
	free(t->strings);
	free(t->names);
	free(t->folded_names);
	free(t->symbols);
	free(t->locations);
	free(t->mappings);
	free(t->first_mapping);
	free(t->next_mapping);
	map_deinit(&t->stacks);
	vec_deinit(&t->path);
	buf_deinit(&t->text);
}

static uint32_t string_of(struct translation *t, uint32_t string)
{
	if (t->strings[string] == NOT_YET)
		t->strings[string] =
			intern_bytes(&t->p->strings, intern_get(&t->r->strings, string),
				     intern_len(&t->r->strings, string));
	return t->strings[string];
}

static uint32_t buffer_string(struct translation *t)
{
	return intern_bytes(&t->p->strings, t->text.data, t->text.len);
}

/* A raw name as it is shown. */
static uint32_t name_of(struct translation *t, uint32_t raw, bool is_folded)
{
	uint32_t *name = is_folded ? &t->folded_names[raw] : &t->names[raw];

	if (*name == NOT_YET) {
		buf_clear(&t->text);
		name_demangle(intern_get(&t->r->strings, raw), t->o->names, &t->text);
		if (is_folded && t->o->names != NAMES_RAW)
			buf_add_str(&t->text, " [icf]");
		*name = buffer_string(t);
	}
	return *name;
}

/* --- locations --- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* The mapping of a file that holds an absolute address; NULL where there is none. */
static const struct recording_mapping *mapping_at(const struct translation *t, uint32_t file,
						  uint64_t address)
{
	for (uint32_t i = t->first_mapping[file]; i; i = t->next_mapping[i]) {
		const struct recording_mapping *m = &t->r->mappings.items[i];
		if (address >= m->start && address < m->end)
			return m;
	}
	return NULL;
}

/* The name of a location without a symbol: the file and where its function starts in it, or the
 * address. What has no file addresses is told from the start of its mapping, which does not
 * change from run to run as the address does. Code compiled at run time is one function: its
 * addresses are as many as its instructions, and say nothing to anybody. */
static uint32_t unnamed(struct translation *t, const struct recording_location *l, uint64_t start)
{
	const struct recording_file *f = &t->r->files.items[l->file];
	const char *name = base_name(intern_get(&t->r->strings, f->path));

	if (f->kind == RECORDING_FILE_KERNEL)
		name = "[kernel]";
	if (f->kind == RECORDING_FILE_JIT)
		return profile_string(t->p, "[jit]");
	if (f->kind == RECORDING_FILE_OTHER) {
		const struct recording_mapping *m = mapping_at(t, l->file, start);
		start -= m ? m->start - m->offset : 0;
		if (!*name)
			name = "[unknown]";
	}
	buf_clear(&t->text);
	buf_printf(&t->text, "%s+0x%" PRIx64, name, start);
	return buffer_string(t);
}

static uint32_t mapping_of(struct translation *t, uint32_t file)
{
	const struct recording_file *f = &t->r->files.items[file];
	const struct recording_mapping *first = &t->r->mappings.items[t->first_mapping[file]];
	char hex[BUILD_ID_HEX_MAX];

	if (t->mappings[file] != NOT_YET)
		return t->mappings[file];

	struct profile_mapping m = { .file = string_of(t, f->path) };
	if (f->kind == RECORDING_FILE_KERNEL)
		m.file = profile_string(t->p, "[kernel.kallsyms]_text");
	if (f->build_id.size)
		m.build_id = profile_string(t->p, build_id_hex(&f->build_id, hex));
	if (t->first_mapping[file]) {
		m.start = first->start;
		m.limit = first->end;
		m.offset = first->offset;
	}
	t->mappings[file] = profile_add_mapping(t->p, &m);
	return t->mappings[file];
}

/* Widens a mapping to hold an address: code of a file may lie in several. */
static void hold(struct profile_mapping *m, uint64_t address)
{
	uint64_t page = address & ~(uint64_t)4095;

	if (!m->limit) {
		m->start = page;
		m->limit = page + 4096;
	}
	if (address < m->start) {
		m->offset -= MIN(m->offset, m->start - page);
		m->start = page;
	}
	if (address >= m->limit)
		m->limit = page + 4096 ? page + 4096 : UINT64_MAX;
}

static enum frame_kind kind_of(const struct recording_file *f)
{
	switch (f->kind) {
	case RECORDING_FILE_KERNEL:
		return FRAME_KERNEL;
	case RECORDING_FILE_JIT:
		return FRAME_JIT;
	case RECORDING_FILE_SENTINEL:
		return FRAME_SENTINEL;
	default:
		return FRAME_USER;
	}
}

/* The lines of a location with a symbol; sets what the mapping then has. */
static void add_lines(struct translation *t, const struct recording_symbol *s,
		      struct profile_mapping *m, struct profile_line *lines)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct recording_symbol_frame *f = &t->r->symbol_frames.items[s->first + i];
		struct profile_function function = {
			.name = name_of(t, f->name, f->is_folded),
			.system_name = string_of(t, f->name),
			.file = string_of(t, f->source),
		};
		lines[i].function = profile_intern_function(t->p, &function);
		lines[i].line = f->line;
		m->has_functions = true;
		m->has_filenames |= f->source != 0;
		m->has_line_numbers |= f->line != 0;
		m->has_inline_frames |= f->inlined;
	}
}

static uint32_t translate_location(struct translation *t, uint32_t id)
{
	const struct recording *r = t->r;
	const struct recording_location *l = &r->locations.items[id];
	const struct recording_file *f = &r->files.items[l->file];
	const struct recording_symbol *s =
		t->symbols[id] == NOT_YET ? NULL : &r->symbols.items[t->symbols[id]];
	uint64_t address = naming_address(l);

	if (f->kind == RECORDING_FILE_SENTINEL)
		return profile_name_location(t->p, string_of(t, f->path), FRAME_SENTINEL);

	uint32_t n_lines = s && s->count ? s->count : 1;
	struct profile_line *lines = mem_calloc(n_lines, sizeof(*lines));
	uint32_t mapping = mapping_of(t, l->file);
	struct profile_mapping *m = &t->p->mappings.items[mapping];

	if (s && s->count) {
		add_lines(t, s, m, lines);
	} else {
		uint32_t name = unnamed(t, l, s ? s->start : address);
		lines[0].function = profile_intern_function(
			t->p, &(struct profile_function){ .name = name, .system_name = name });
	}
	if (f->kind == RECORDING_FILE_ELF || f->kind == RECORDING_FILE_VDSO)
		address += r->mappings.items[t->first_mapping[l->file]].bias;
	hold(m, address);

	uint32_t location = profile_add_location(
		t->p,
		&(struct profile_location){
			.mapping = mapping,
			.address = address,
			.kind = kind_of(f),
			.is_folded = s && s->count &&
				     r->symbol_frames.items[s->first + s->count - 1].is_folded },
		lines, n_lines);
	free(lines);
	return location;
}

static uint32_t location_of(struct translation *t, uint32_t id)
{
	if (t->locations[id] == NOT_YET)
		t->locations[id] = translate_location(t, id);
	return t->locations[id];
}

/* --- stacks --- */

/* A stack whose walk ended too early starts with a frame that says so. */
static uint32_t root_of(struct translation *t, enum unwind_status status, bool cut)
{
	if (!cut)
		return 0;
	buf_clear(&t->text);
	if (status == UNWIND_GUESSED)
		buf_add_str(&t->text, "[guessed]");
	else
		buf_printf(&t->text, "[truncated: %s]", unwind_status_name(status));
	return profile_push(t->p, 0, profile_name_location(t->p, buffer_string(t), FRAME_SENTINEL));
}

static uint32_t stack_of(struct translation *t, uint32_t stack, enum unwind_status status, bool cut)
{
	uint32_t variant = cut ? (uint32_t)status + 1 : 0;
	uint32_t known = MAP_NONE;

	t->path.count = 0;
	while (stack) {
		known = map_find(&t->stacks, map_key2(variant, stack));
		if (known != MAP_NONE)
			break;
		vec_push(&t->path, stack);
		stack = t->r->stacks.items[stack].parent;
	}
	if (known == MAP_NONE)
		known = root_of(t, status, cut);
	while (t->path.count) {
		uint32_t id = t->path.items[--t->path.count];
		known = profile_push(t->p, known, location_of(t, t->r->stacks.items[id].location));
		*map_at(&t->stacks, map_key2(variant, id)) = known;
	}
	return known;
}

/* --- samples --- */

/* The names of threads as time goes on. */
struct thread_names {
	const struct recording_comm **comms; /* in time order */
	size_t count, at;
	uint32_t *now; /* by thread: recording's string */
};

static int compare_comms(const void *left, const void *right)
{
	const struct recording_comm *a = *(const struct recording_comm *const *)left;
	const struct recording_comm *b = *(const struct recording_comm *const *)right;

	if (a->time_ns != b->time_ns)
		return a->time_ns < b->time_ns ? -1 : 1;
	return (a > b) - (a < b);
}

static void init_thread_names(struct thread_names *n, const struct recording *r)
{
	*n = (struct thread_names){ .count = r->comms.count };
	n->comms = mem_calloc(n->count, sizeof(*n->comms));
	n->now = mem_calloc(r->threads.count, sizeof(*n->now));
	for (size_t i = 0; i < n->count; i++)
		n->comms[i] = &r->comms.items[i];
	if (n->count)
		qsort(n->comms, n->count, sizeof(*n->comms), compare_comms);
}

/* The thread's name at a time; times are asked in order, a late sample gets the latest name. */
static uint32_t thread_name(struct thread_names *n, const struct recording_sample *s)
{
	for (; n->at < n->count && n->comms[n->at]->time_ns <= s->time_ns; n->at++)
		n->now[n->comms[n->at]->thread] = n->comms[n->at]->name;
	return n->now[s->thread] ? n->now[s->thread] : s->comm;
}

static void add_text_label(struct translation *t, struct profile_label *labels, uint32_t *count,
			   const char *key, uint32_t value)
{
	if (intern_len(&t->p->strings, value))
		labels[(*count)++] =
			(struct profile_label){ .key = profile_string(t->p, key), .str = value };
}

static void add_id_label(struct translation *t, struct profile_label *labels, uint32_t *count,
			 const char *key, uint32_t value)
{
	labels[(*count)++] = (struct profile_label){ .key = profile_string(t->p, key),
						     .num = value,
						     .unit = profile_string(t->p, "id") };
}

static uint32_t labels_of(struct translation *t, const struct recording_sample *s, uint32_t name,
			  bool cut)
{
	const struct recording *r = t->r;
	struct profile_label labels[6];
	uint32_t count = 0;

	add_text_label(t, labels, &count, PROFILE_LABEL_COMM, string_of(t, s->comm));
	add_text_label(t, labels, &count, PROFILE_LABEL_THREAD, string_of(t, name));
	if (cut)
		add_text_label(t, labels, &count, PROFILE_LABEL_STATUS,
			       profile_string(t->p, unwind_status_name(s->status)));
	if (r->events.count > 1)
		add_text_label(t, labels, &count, PROFILE_LABEL_EVENT,
			       string_of(t, r->events.items[s->event].name));
	if (t->o->label_ids) {
		const struct recording_thread *thread = &r->threads.items[s->thread];
		add_id_label(t, labels, &count, PROFILE_LABEL_PID,
			     r->processes.items[thread->process].pid);
		add_id_label(t, labels, &count, PROFILE_LABEL_TID, thread->tid);
	}
	return profile_intern_labels(t->p, labels, count);
}

/* Time that is booked in one piece counts as the samples it would have been. */
static int64_t sample_count(const struct recording *r, const struct recording_sample *s)
{
	uint64_t period = r->events.items[s->event].period;

	if (!period || s->weight < 2 * period || !health_is_booked(r, s))
		return 1;
	return (int64_t)((s->weight + period / 2) / period);
}

static void add_samples(struct translation *t, const uint32_t *event_types)
{
	const struct recording *r = t->r;
	int64_t *values = mem_calloc(t->p->types.count, sizeof(*values));
	struct thread_names names;

	init_thread_names(&names, r);
	for (size_t i = 0; i < r->samples.count; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		enum unwind_class class = unwind_status_class(s->status);
		bool cut = class == UNWIND_CLASS_CUT || class == UNWIND_CLASS_OPEN;

		memset(values, 0, t->p->types.count * sizeof(*values));
		values[event_types[s->event]] = (int64_t)MIN(s->weight, (uint64_t)INT64_MAX);
		values[0] = sample_count(r, s);
		profile_add_sample(t->p, stack_of(t, s->stack, s->status, cut),
				   labels_of(t, s, thread_name(&names, s), cut), values);
	}
	free(names.comms);
	free(names.now);
	free(values);
}

/* --- the whole --- */

/* samples/count, and one type for each type of event; event -> type in ret. */
static void add_types(struct translation *t, uint32_t *ret)
{
	const struct recording *r = t->r;

	profile_add_type(t->p, "samples", "count");
	for (size_t i = 0; i < r->events.count; i++) {
		const struct recording_event *e = &r->events.items[i];
		const char *type = intern_get(&r->strings, e->type);
		int known = profile_find_type(t->p, type);
		ret[i] = known >= 0
				 ? (uint32_t)known
				 : profile_add_type(t->p, type, intern_get(&r->strings, e->unit));
	}
	if (r->events.count) {
		t->p->default_type = ret[0];
		t->p->period_type = t->p->types.items[ret[0]];
		t->p->period = (int64_t)MIN(r->events.items[0].period, (uint64_t)INT64_MAX);
	}
}

/* What stands above a picture: what was recorded, of which long ones are cut, and how good the
 * stacks are. */
static void add_title(struct translation *t, const struct health *h)
{
	size_t kept = 0, next;

	buf_clear(&t->text);
	target_add(&t->text, t->r);
	while (kept < t->text.len && kept < TITLE_BYTES) {
		next = utf8_sequence(t->text.data + kept, t->text.len - kept);
		kept += next ? next : 1;
	}
	if (kept < t->text.len) {
		t->text.len = kept;
		buf_add_str(&t->text, " ...");
	}
	if (t->text.len)
		t->p->title = buffer_string(t);
	buf_clear(&t->text);
	if (h->whole + h->cut) {
		buf_add_str(&t->text, "complete ");
		health_add_percent(&t->text, h);
		t->p->remark = buffer_string(t);
	}
}

static void add_comment(struct translation *t)
{
	if (t->text.len)
		vec_push(&t->p->comments, buffer_string(t));
	buf_clear(&t->text);
}

static void add_comments(struct translation *t)
{
	const struct recording *r = t->r;
	struct health h;

	health_of(r, &h);
	buf_clear(&t->text);
	if (r->command.count || r->target) {
		buf_add_str(&t->text, r->command.count ? "command: " : "target: ");
		target_add(&t->text, r);
	}
	add_comment(t);
	if (r->host)
		buf_printf(&t->text, "host: %s", intern_get(&r->strings, r->host));
	add_comment(t);
	buf_printf(&t->text, "stacks: ");
	health_add_percent(&t->text, &h);
	buf_printf(&t->text, " complete");
	add_comment(t);
	if (recording_fact(r, "expected_samples", 0))
		buf_printf(&t->text,
			   "samples: expected %" PRIu64 ", recorded %" PRIu64 ", lost %" PRIu64
			   ", throttled %" PRIu64,
			   recording_fact(r, "expected_samples", 0), h.samples,
			   recording_fact(r, "lost_samples", 0),
			   recording_fact(r, "throttled_samples", 0));
	add_comment(t);
	if (r->was_cut)
		buf_add_str(&t->text, "the recording was cut");
	add_comment(t);
}

void analysis_profile(const struct recording *r, const struct analysis_options *o,
		      struct profile *ret)
{
	struct translation t = { .r = r, .o = o, .p = ret };
	uint32_t *event_types = mem_calloc(MAX(r->events.count, 1), sizeof(*event_types));
	struct health h;

	profile_init(ret);
	init(&t);
	add_types(&t, event_types);
	health_of(r, &h);
	ret->time_ns = (int64_t)MIN(r->start_wall_ns, (uint64_t)INT64_MAX);
	ret->duration_ns =
		(int64_t)MIN(recording_fact(r, "elapsed_ns", h.span_ns), (uint64_t)INT64_MAX);
	add_samples(&t, event_types);
	add_comments(&t);
	add_title(&t, &h);
	deinit(&t);
	free(event_types);
}
