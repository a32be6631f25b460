/*
 * Writing pprof: one protobuf message, gzipped. Its parts are packed one after the other, each as a
 * message that holds nothing else: protobuf defines such a row of messages as their sum, and so a
 * large profile needs no second copy in memory.
 *
 * What readers insist on, beyond the schema: strings are UTF-8, string 0 is "", ids are 1..n in
 * order, each location has a line, nothing unused is written, no label is empty, the first mapping
 * is the program. A function whose name looks like C++ but is the only name known gets no system
 * name, or pprof would strip its template arguments.
 */
#include <protobuf-c/protobuf-c.h>

#include "base/buf.h"
#include "base/text.h"
#include "flamegraph/formats/pprof.h"
#include "flamegraph/formats/profile.pb-c.h"

#define GZIP_LEVEL 4 /* 6 takes more than twice the time, for 5 % fewer bytes */

/* An id of the profile -> its id in the file; 0: not used. */
struct id_table {
	uint32_t *ids;
	VEC(uint32_t) used; /* in the order of their ids, the first is 1 */
};

struct writer {
	const struct profile *p;
	struct sink *out;
	struct intern strings; /* of the file */
	uint32_t *string_ids;  /* string of the profile -> its string + 1; 0: not asked yet */
	struct id_table locations, functions, mappings;
	uint32_t kernel_mapping, jit_mapping; /* made up; 0: none */
	struct buf packed;
};

static uint32_t use(struct id_table *t, uint32_t id)
{
	if (!t->ids[id]) {
		vec_push(&t->used, id);
		t->ids[id] = (uint32_t)t->used.count;
	}
	return t->ids[id];
}

static void table_init(struct id_table *t, size_t count)
{
	*t = (struct id_table){ .ids = mem_calloc(count, sizeof(*t->ids)) };
}

static void table_deinit(struct id_table *t)
{
	free(t->ids);
	vec_deinit(&t->used);
}

static int64_t text_id(struct writer *w, const char *s, size_t n)
{
	struct buf valid = { 0 };

	if (utf8_valid(s, n))
		return intern_bytes(&w->strings, s, n);
	utf8_add_valid(&valid, s, n);
	int64_t id = intern_bytes(&w->strings, valid.data, valid.len);
	buf_deinit(&valid);
	return id;
}

static int64_t string_id(struct writer *w, uint32_t string)
{
	uint32_t *known = &w->string_ids[string];

	if (!*known)
		*known = 1 + (uint32_t)text_id(w, profile_text(w->p, string),
					       intern_len(&w->p->strings, string));
	return *known - 1;
}

static void write_part(struct writer *w, const Pprof__Profile *part)
{
	size_t n = pprof__profile__get_packed_size(part);

	buf_clear(&w->packed);
	buf_reserve(&w->packed, n);
	sink_write(w->out, w->packed.data, pprof__profile__pack(part, (uint8_t *)w->packed.data));
}

/* --- what is used --- */

static uint32_t mapping_of(const struct writer *w, const struct profile_location *l)
{
	if (l->mapping)
		return w->mappings.ids[l->mapping];
	if (l->kind == FRAME_KERNEL)
		return w->kernel_mapping;
	return l->kind == FRAME_JIT ? w->jit_mapping : 0;
}

static void use_locations(struct writer *w)
{
	const struct profile *p = w->p;
	bool *seen = mem_calloc(p->stacks.count, sizeof(*seen));

	for (size_t i = 0; i < p->samples.count; i++) {
		for (uint32_t s = p->samples.items[i].stack; s && !seen[s];
		     s = p->stacks.items[s].parent) {
			seen[s] = true;
			use(&w->locations, p->stacks.items[s].location);
		}
	}
	free(seen);
}

static bool is_program(const struct profile *p, uint32_t mapping)
{
	const char *file = profile_text(p, p->mappings.items[mapping].file);
	const char *slash = strrchr(file, '/');

	return file[0] && file[0] != '[' && !strstr(slash ? slash : file, ".so") &&
	       strncmp(file, "//", 2) != 0;
}

/* Gives the mappings in use their ids: the program first. */
static void use_mappings(struct writer *w)
{
	const struct profile *p = w->p;
	bool kernel = false, jit = false;

	for (size_t i = 0; i < w->locations.used.count; i++) {
		uint32_t mapping = p->locations.items[w->locations.used.items[i]].mapping;
		if (mapping && is_program(p, mapping)) {
			use(&w->mappings, mapping);
			break;
		}
	}
	for (size_t i = 0; i < w->locations.used.count; i++) {
		const struct profile_location *l = &p->locations.items[w->locations.used.items[i]];
		if (l->mapping)
			use(&w->mappings, l->mapping);
		kernel |= !l->mapping && l->kind == FRAME_KERNEL;
		jit |= !l->mapping && l->kind == FRAME_JIT;
	}
	uint32_t next = (uint32_t)w->mappings.used.count + 1;
	if (kernel)
		w->kernel_mapping = next++;
	if (jit)
		w->jit_mapping = next;
}

/* --- the parts --- */

static void write_types(struct writer *w)
{
	const struct profile *p = w->p;

	for (size_t i = 0; i < p->types.count; i++) {
		Pprof__ValueType type = PPROF__VALUE_TYPE__INIT, *list[] = { &type };
		Pprof__Profile part = PPROF__PROFILE__INIT;

		type.type = string_id(w, p->types.items[i].type);
		type.unit = string_id(w, p->types.items[i].unit);
		part.n_sample_type = 1;
		part.sample_type = list;
		write_part(w, &part);
	}
}

/* The labels of a set that a reader will see; returns how many. */
static size_t fill_labels(struct writer *w, uint32_t set, Pprof__Label *labels, Pprof__Label **list)
{
	const struct profile *p = w->p;
	const struct profile_label_set *s = &p->label_sets.items[set];
	size_t n = 0;

	for (uint32_t i = 0; i < s->count; i++) {
		const struct profile_label *l = &p->labels.items[s->first + i];

		if (!l->key || (!l->str && !l->num && !l->unit))
			continue;
		labels[n] = (Pprof__Label)PPROF__LABEL__INIT;
		labels[n].key = string_id(w, l->key);
		if (l->str) {
			labels[n].str = string_id(w, l->str);
		} else {
			labels[n].num = l->num;
			labels[n].num_unit = string_id(w, l->unit);
		}
		list[n] = &labels[n];
		n++;
	}
	return n;
}

static void write_samples(struct writer *w)
{
	const struct profile *p = w->p;
	VEC(uint64_t) ids = { 0 };
	size_t most = 1;

	for (size_t i = 0; i < p->label_sets.count; i++)
		most = MAX(most, p->label_sets.items[i].count);
	Pprof__Label *labels = mem_calloc(most, sizeof(*labels));
	Pprof__Label **label_list = mem_calloc(most, sizeof(Pprof__Label *));

	for (size_t i = 0; i < p->samples.count && !sink_failed(w->out); i++) {
		Pprof__Sample sample = PPROF__SAMPLE__INIT, *list[] = { &sample };
		Pprof__Profile part = PPROF__PROFILE__INIT;

		ids.count = 0;
		for (uint32_t s = p->samples.items[i].stack; s; s = p->stacks.items[s].parent)
			vec_push(&ids, w->locations.ids[p->stacks.items[s].location]);
		sample.n_location_id = ids.count;
		sample.location_id = ids.items;
		sample.n_value = p->types.count;
		sample.value = &p->values.items[i * p->types.count];
		sample.n_label = fill_labels(w, p->samples.items[i].labels, labels, label_list);
		sample.label = label_list;
		part.n_sample = 1;
		part.sample = list;
		write_part(w, &part);
	}
	vec_deinit(&ids);
	free(labels);
	free(label_list);
}

static void write_mapping(struct writer *w, Pprof__Mapping *mapping)
{
	Pprof__Profile part = PPROF__PROFILE__INIT;
	Pprof__Mapping *list[] = { mapping };

	part.n_mapping = 1;
	part.mapping = list;
	write_part(w, &part);
}

static void write_made_up_mapping(struct writer *w, uint32_t id, const char *file)
{
	Pprof__Mapping mapping = PPROF__MAPPING__INIT;

	if (!id)
		return;
	mapping.id = id;
	mapping.filename = text_id(w, file, strlen(file));
	mapping.has_functions = true;
	write_mapping(w, &mapping);
}

static void write_mappings(struct writer *w)
{
	for (size_t i = 0; i < w->mappings.used.count; i++) {
		const struct profile_mapping *m = &w->p->mappings.items[w->mappings.used.items[i]];
		Pprof__Mapping mapping = PPROF__MAPPING__INIT;

		mapping.id = i + 1;
		mapping.memory_start = m->start;
		mapping.memory_limit = m->limit;
		mapping.file_offset = m->offset;
		mapping.filename = string_id(w, m->file);
		mapping.build_id = string_id(w, m->build_id);
		mapping.has_functions = m->has_functions;
		mapping.has_filenames = m->has_filenames;
		mapping.has_line_numbers = m->has_line_numbers;
		mapping.has_inline_frames = m->has_inline_frames;
		write_mapping(w, &mapping);
	}
	write_made_up_mapping(w, w->kernel_mapping, PPROF_KERNEL_FILE);
	write_made_up_mapping(w, w->jit_mapping, PPROF_JIT_FILE);
}

static void write_locations(struct writer *w)
{
	const struct profile *p = w->p;
	VEC(Pprof__Line) lines = { 0 };
	VEC(Pprof__Line *) line_list = { 0 };

	for (size_t i = 0; i < w->locations.used.count; i++) {
		const struct profile_location *l = &p->locations.items[w->locations.used.items[i]];
		Pprof__Location location = PPROF__LOCATION__INIT, *list[] = { &location };
		Pprof__Profile part = PPROF__PROFILE__INIT;

		lines.count = line_list.count = 0;
		for (uint32_t k = 0; k < l->n_lines; k++) {
			const struct profile_line *from = &p->lines.items[l->first_line + k];
			Pprof__Line line = PPROF__LINE__INIT;
			line.function_id = use(&w->functions, from->function);
			line.line = from->line;
			line.column = from->column;
			vec_push(&lines, line);
		}
		for (size_t k = 0; k < lines.count; k++)
			vec_push(&line_list, &lines.items[k]);
		location.id = i + 1;
		location.mapping_id = mapping_of(w, l);
		location.address = l->address;
		location.is_folded = l->is_folded;
		location.n_line = line_list.count;
		location.line = line_list.items;
		part.n_location = 1;
		part.location = list;
		write_part(w, &part);
	}
	vec_deinit(&lines);
	vec_deinit(&line_list);
}

/* Would pprof take the name for a demangled C++ one and simplify it? */
static bool looks_demangled(const char *name)
{
	return strpbrk(name, "<>[]()") || strstr(name, "::");
}

static void write_functions(struct writer *w)
{
	const struct profile *p = w->p;

	for (size_t i = 0; i < w->functions.used.count; i++) {
		const struct profile_function *f = &p->functions.items[w->functions.used.items[i]];
		Pprof__Function function = PPROF__FUNCTION__INIT, *list[] = { &function };
		Pprof__Profile part = PPROF__PROFILE__INIT;
		uint32_t system_name = f->system_name;

		if (!system_name && !looks_demangled(profile_text(p, f->name)))
			system_name = f->name;
		function.id = i + 1;
		function.name = string_id(w, f->name);
		function.system_name = string_id(w, system_name);
		function.filename = string_id(w, f->file);
		function.start_line = f->start_line;
		part.n_function = 1;
		part.function = list;
		write_part(w, &part);
	}
}

static void write_rest(struct writer *w)
{
	const struct profile *p = w->p;
	Pprof__Profile part = PPROF__PROFILE__INIT;
	Pprof__ValueType period_type = PPROF__VALUE_TYPE__INIT;
	VEC(int64_t) comments = { 0 };

	part.drop_frames = string_id(w, p->drop_frames);
	part.keep_frames = string_id(w, p->keep_frames);
	part.time_nanos = p->time_ns;
	part.duration_nanos = p->duration_ns;
	if (p->period_type.type) {
		period_type.type = string_id(w, p->period_type.type);
		period_type.unit = string_id(w, p->period_type.unit);
		part.period_type = &period_type;
	}
	part.period = p->period;
	for (size_t i = 0; i < p->comments.count; i++)
		vec_push(&comments, string_id(w, p->comments.items[i]));
	part.n_comment = comments.count;
	part.comment = comments.items;
	part.default_sample_type = string_id(w, p->types.items[p->default_type].type);
	part.doc_url = string_id(w, p->doc_url);
	write_part(w, &part);
	vec_deinit(&comments);
}

/* Last: by now every string has been asked for. */
static void write_strings(struct writer *w)
{
	for (uint32_t i = 0; i < w->strings.count; i++) {
		ProtobufCBinaryData bytes = { intern_len(&w->strings, i),
					      (uint8_t *)intern_get(&w->strings, i) };
		Pprof__Profile part = PPROF__PROFILE__INIT;

		part.n_string_table = 1;
		part.string_table = &bytes;
		write_part(w, &part);
	}
}

static void write_message(const struct profile *p, struct sink *out)
{
	struct writer w = { .p = p, .out = out };

	intern_init(&w.strings);
	w.string_ids = mem_calloc(p->strings.count, sizeof(*w.string_ids));
	table_init(&w.locations, p->locations.count);
	table_init(&w.functions, p->functions.count);
	table_init(&w.mappings, p->mappings.count);

	use_locations(&w);
	use_mappings(&w);
	write_types(&w);
	write_samples(&w);
	write_mappings(&w);
	write_locations(&w);
	write_functions(&w);
	write_rest(&w);
	write_strings(&w);

	intern_deinit(&w.strings);
	free(w.string_ids);
	table_deinit(&w.locations);
	table_deinit(&w.functions);
	table_deinit(&w.mappings);
	buf_deinit(&w.packed);
}

/* The gzip sink closes the one below it, which is the caller's here: the compressed bytes go
 * through memory. */
static struct error *write_pprof(const struct profile *p, const struct write_options *o,
				 const struct format_notices *n, struct sink *out)
{
	CLEANUP(buf_deinit) struct buf compressed = { 0 };
	struct sink *gzip = sink_gzip(sink_to_buf(&compressed), GZIP_LEVEL);

	write_message(p, gzip);
	TRY(sink_close(gzip));
	sink_write(out, compressed.data, compressed.len);
	return NULL;
}

static const char *const suffixes[] = { ".pb.gz", ".pprof", ".pprof.gz", NULL };

const struct format format_pprof = {
	.name = "pprof",
	.suffixes = suffixes,
	.description = "what `go tool pprof` reads: gzipped protobuf",
	.detect = pprof_detect,
	.read = pprof_read,
	.write = write_pprof,
};
