/*
 * Reading pprof, from anyone: gzipped or not, ids of any size in any order, packed or unpacked.
 *
 * The outermost message is walked by hand and its parts are unpacked one at a time through the
 * schema: a file can then not ask for more memory than its own size warrants, and a large one is
 * never in memory twice. Parts refer to each other by ids and may come in any order, so they are
 * taken by kind: strings, mappings, functions, locations, then samples.
 *
 * What is damaged is refused with its place (dangling or doubled ids, a sample with too few values,
 * a string that is not there); what is merely unusual is taken (no mappings, an empty stack, a
 * location without lines, which is named `file+0xOFFSET`).
 */
#include <inttypes.h>
#include <protobuf-c/protobuf-c.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/text.h"
#include "flamegraph/formats/pprof.h"
#include "flamegraph/formats/profile.pb-c.h"
#include "flamegraph/model/frame_kind.h"

/* Field numbers of the outermost message that are taken by kind. */
enum part {
	PART_SAMPLE = 2,
	PART_MAPPING = 3,
	PART_LOCATION = 4,
	PART_FUNCTION = 5,
	PART_STRING = 6,
	PART_LAST = 15,
};

struct span {
	const uint8_t *at;
	size_t n;
};

/* The rest of the message (types, times, comments) is small. */
#define MAX_REST  ((size_t)16 << 20)
#define MAX_TYPES 1000
/* Real ones are a handful; each set of them is sorted. */
#define MAX_LABELS 1000

struct reader {
	struct profile *p;
	const struct format_notices *n;
	VEC(struct span) parts[PART_FUNCTION + 2]; /* by field number, up to PART_STRING */
	struct buf rest;
	VEC(uint32_t) strings; /* of the file -> of the profile; UINT32_MAX: not asked yet */
	struct map mappings, functions, locations; /* id -> id of the profile */
	uint64_t not_utf8, no_mapping;
};

/* --- gzip --- */

/* No profile shrinks more than this; a file that does is a bomb. */
#define MAX_RATIO  50
#define FREE_BYTES ((uint64_t)64 << 20)

static struct error *inflate_all(const uint8_t *bytes, size_t size, struct buf *out)
{
	uint64_t most = FREE_BYTES + MAX_RATIO * (uint64_t)size;
	struct error *err = NULL;
	z_stream z = { 0 };
	int status = Z_OK;

	if (inflateInit2(&z, 16 + 15) != Z_OK)
		return error_new(ERR_FAILED, "zlib cannot start");
	for (size_t at = 0; !err;) {
		if (!z.avail_in && at < size) {
			z.next_in = (Bytef *)bytes + at;
			z.avail_in = (uInt)MIN(size - at, (size_t)1 << 30);
			at += z.avail_in;
		}
		if (status == Z_STREAM_END) {
			/* gzip files may be put together. */
			if (!z.avail_in || inflateReset(&z) != Z_OK)
				break;
		}
		buf_reserve(out, (size_t)256 << 10);
		z.next_out = (Bytef *)out->data + out->len;
		z.avail_out = (uInt)MIN(out->capacity - out->len, (size_t)1 << 30);
		uInt room = z.avail_out;
		status = inflate(&z, Z_NO_FLUSH);
		out->len += room - z.avail_out;
		if (out->len > most)
			err = error_hint(error_new(ERR_FORMAT, "it inflates to more than %llu MB",
						   (unsigned long long)(most >> 20)),
					 "gzip -d it first if it is a profile");
		else if (status == Z_BUF_ERROR && !z.avail_in && at == size)
			err = error_new(ERR_FORMAT, "the gzip data ends too early");
		else if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
			err = error_new(ERR_FORMAT, "the gzip data is damaged (%s)",
					z.msg ? z.msg : "zlib gives no reason");
	}
	inflateEnd(&z);
	return err;
}

static bool is_gzip(const uint8_t *s, size_t size)
{
	return size >= 2 && s[0] == 0x1f && s[1] == 0x8b;
}

/* --- the outermost message --- */

/* Reads one field: its number, wire type and, where it has one, its contents. */
static bool next_field(struct cursor *c, uint64_t *field, unsigned int *wire, struct span *contents)
{
	uint64_t tag = cursor_uleb(c);

	*field = tag >> 3;
	*wire = tag & 7;
	*contents = (struct span){ c->at, 0 };
	switch (*wire) {
	case 0:
		cursor_uleb(c);
		break;
	case 1:
		cursor_skip(c, 8);
		break;
	case 2: {
		uint64_t n = cursor_uleb(c);
		contents->at = c->at;
		contents->n = n;
		cursor_skip(c, n);
		break;
	}
	case 5:
		cursor_skip(c, 4);
		break;
	default: /* groups, and what protobuf does not define */
		return false;
	}
	return cursor_ok(c) && *field;
}

static struct error *split_message(struct reader *r, const uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_make(bytes, size);

	while (cursor_left(&c)) {
		const uint8_t *start = c.at;
		struct span contents;
		unsigned int wire;
		uint64_t field;

		if (!next_field(&c, &field, &wire, &contents))
			return error_new(ERR_FORMAT, "the message is damaged at byte %zu",
					 (size_t)(start - bytes));
		if (field > PART_LAST)
			continue; /* newer than this reader */
		if (field >= PART_SAMPLE && field <= PART_STRING) {
			if (wire != 2)
				return error_new(ERR_FORMAT, "field %llu at byte %zu is no message",
						 (unsigned long long)field,
						 (size_t)(start - bytes));
			vec_push(&r->parts[field], contents);
			continue;
		}
		buf_add(&r->rest, start, (size_t)(c.at - start));
		if (r->rest.len > MAX_REST)
			return error_new(ERR_FORMAT, "the message has too much beside its samples");
	}
	return NULL;
}

/* --- strings --- */

static struct error *find_string(struct reader *r, int64_t index, const char *what, uint32_t *ret)
{
	if (index < 0 || (uint64_t)index >= r->strings.count) {
		*ret = 0;
		if (!index)
			return NULL;
		return error_new(ERR_FORMAT, "the string of %s is not there (%lld of %zu)", what,
				 (long long)index, r->strings.count);
	}
	uint32_t *known = &r->strings.items[index];
	if (*known == UINT32_MAX) {
		struct span s = r->parts[PART_STRING].items[index];
		struct buf valid = { 0 };

		if (utf8_valid((const char *)s.at, s.n)) {
			*known = intern_bytes(&r->p->strings, (const char *)s.at, s.n);
		} else {
			utf8_add_valid(&valid, (const char *)s.at, s.n);
			*known = intern_bytes(&r->p->strings, valid.data, valid.len);
			buf_deinit(&valid);
			r->not_utf8++;
		}
	}
	*ret = *known;
	return NULL;
}

/* Notes what a new id stands for. */
static struct error *add_id(struct map *ids, uint64_t id, uint32_t value, const char *what)
{
	if (!id)
		return error_new(ERR_FORMAT, "a %s has the id 0", what);
	uint32_t *slot = map_at(ids, id);
	if (*slot != MAP_NONE)
		return error_hint(error_new(ERR_FORMAT, "%s %llu is there twice", what,
					    (unsigned long long)id),
				  "two profiles in one file cannot be read");
	*slot = value;
	return NULL;
}

/* --- the parts --- */

static struct error *damaged(const char *what, size_t index)
{
	return error_new(ERR_FORMAT, "%s number %zu is damaged", what, index + 1);
}

static struct error *add_mapping(struct reader *r, const Pprof__Mapping *m)
{
	struct profile_mapping mapping = {
		.start = m->memory_start,
		.limit = m->memory_limit,
		.offset = m->file_offset,
		.has_functions = m->has_functions,
		.has_filenames = m->has_filenames,
		.has_line_numbers = m->has_line_numbers,
		.has_inline_frames = m->has_inline_frames,
	};

	TRY(find_string(r, m->filename, "a mapping", &mapping.file));
	TRY(find_string(r, m->build_id, "a build id", &mapping.build_id));
	return add_id(&r->mappings, m->id, profile_add_mapping(r->p, &mapping), "mapping");
}

static struct error *add_function(struct reader *r, const Pprof__Function *f)
{
	struct profile_function function = { .start_line = f->start_line };

	TRY(find_string(r, f->name, "a function", &function.name));
	TRY(find_string(r, f->system_name, "a function", &function.system_name));
	TRY(find_string(r, f->filename, "a file", &function.file));
	if (!function.name)
		function.name = function.system_name ? function.system_name
						     : profile_string(r->p, "[unknown]");
	return add_id(&r->functions, f->id, profile_intern_function(r->p, &function), "function");
}

/* A location without lines is named by its file and its place in that. */
static uint32_t unnamed_function(struct reader *r, const struct profile_location *l)
{
	const struct profile_mapping *m = &r->p->mappings.items[l->mapping];
	CLEANUP(buf_deinit) struct buf name = { 0 };

	if (l->mapping && m->file) {
		const char *file = profile_text(r->p, m->file), *slash = strrchr(file, '/');
		buf_printf(&name, "%s+0x%" PRIx64, slash ? slash + 1 : file,
			   l->address - m->start + m->offset);
	} else {
		buf_printf(&name, "0x%" PRIx64, l->address);
	}
	struct profile_function f = { .name = profile_string(r->p, buf_str(&name)) };
	return profile_intern_function(r->p, &f);
}

static enum frame_kind kind_of(const struct reader *r, const struct profile_location *l,
			       const struct profile_line *line)
{
	uint32_t name = r->p->functions.items[line->function].name;

	if (l->mapping)
		return frame_kind_of_file(
			profile_text(r->p, r->p->mappings.items[l->mapping].file));
	return frame_is_sentinel(profile_text(r->p, name), intern_len(&r->p->strings, name))
		       ? FRAME_SENTINEL
		       : FRAME_USER;
}

static struct error *add_location(struct reader *r, const Pprof__Location *from)
{
	struct profile_location l = { .address = from->address, .is_folded = from->is_folded };
	CLEANUP(mem_cleanup)
	struct profile_line *lines = mem_calloc(from->n_line + 1, sizeof(*lines));

	if (from->mapping_id) {
		l.mapping = map_find(&r->mappings, from->mapping_id);
		if (l.mapping == MAP_NONE) {
			l.mapping = 0;
			r->no_mapping++;
		}
	}
	for (size_t i = 0; i < from->n_line; i++) {
		lines[i].function = map_find(&r->functions, from->line[i]->function_id);
		if (lines[i].function == MAP_NONE)
			return error_new(ERR_FORMAT,
					 "location %llu names function %llu, which is not there",
					 (unsigned long long)from->id,
					 (unsigned long long)from->line[i]->function_id);
		lines[i].line = from->line[i]->line;
		lines[i].column = from->line[i]->column;
	}
	if (!from->n_line)
		lines[0].function = unnamed_function(r, &l);
	l.kind = kind_of(r, &l, &lines[0]);
	/* The writer's own made-up mappings: frames known by name only. */
	if (l.mapping && !l.address && from->n_line == 1) {
		const struct profile_mapping *m = &r->p->mappings.items[l.mapping];
		const char *file = profile_text(r->p, m->file);
		if (!m->limit &&
		    (strcmp(file, PPROF_KERNEL_FILE) == 0 || strcmp(file, PPROF_JIT_FILE) == 0))
			l.mapping = 0;
	}
	return add_id(&r->locations, from->id,
		      profile_add_location(r->p, &l, lines, (uint32_t)MAX(from->n_line, 1)),
		      "location");
}

static struct error *find_labels(struct reader *r, const Pprof__Sample *from, size_t index,
				 uint32_t *ret)
{
	if (from->n_label > MAX_LABELS)
		return error_new(ERR_FORMAT, "sample number %zu has %zu labels", index + 1,
				 from->n_label);

	CLEANUP(mem_cleanup)
	struct profile_label *labels = mem_calloc(from->n_label + 1, sizeof(*labels));
	uint32_t n = 0;

	for (size_t i = 0; i < from->n_label; i++) {
		struct profile_label *l = &labels[n];

		TRY(find_string(r, from->label[i]->key, "a label", &l->key));
		TRY(find_string(r, from->label[i]->str, "a label", &l->str));
		TRY(find_string(r, from->label[i]->num_unit, "a unit", &l->unit));
		l->num = l->str ? 0 : from->label[i]->num;
		if (l->str)
			l->unit = 0;
		n += l->key != 0;
	}
	*ret = profile_intern_labels(r->p, labels, n);
	return NULL;
}

static struct error *add_sample(struct reader *r, const Pprof__Sample *from, size_t index)
{
	uint32_t stack = 0, labels = 0;

	if (from->n_value != r->p->types.count)
		return error_new(ERR_FORMAT,
				 "sample number %zu has %zu values, the profile has %zu types",
				 index + 1, from->n_value, r->p->types.count);
	for (size_t i = from->n_location_id; i-- > 0;) {
		uint32_t location = map_find(&r->locations, from->location_id[i]);
		if (location == MAP_NONE)
			return error_new(
				ERR_FORMAT,
				"sample number %zu names location %llu, which is not there",
				index + 1, (unsigned long long)from->location_id[i]);
		stack = profile_push(r->p, stack, location);
	}
	TRY(find_labels(r, from, index, &labels));
	profile_add_sample(r->p, stack, labels, from->value);
	return NULL;
}

/* Unpacks part after part through the schema and hands each on. */
#define READ_PARTS(field, type, lower, what, call)                                                 \
	for (size_t i = 0; i < r->parts[field].count; i++) {                                       \
		struct span s_ = r->parts[field].items[i];                                         \
		type *part = lower##__unpack(NULL, s_.n, s_.at);                                   \
		if (!part)                                                                         \
			return damaged(what, i);                                                   \
		struct error *err_ = call;                                                         \
		lower##__free_unpacked(part, NULL);                                                \
		if (err_)                                                                          \
			return err_;                                                               \
	}

static struct error *read_tables(struct reader *r)
{
	READ_PARTS(PART_MAPPING, Pprof__Mapping, pprof__mapping, "mapping", add_mapping(r, part))
	READ_PARTS(PART_FUNCTION, Pprof__Function, pprof__function, "function",
		   add_function(r, part))
	READ_PARTS(PART_LOCATION, Pprof__Location, pprof__location, "location",
		   add_location(r, part))
	return NULL;
}

static struct error *read_samples(struct reader *r)
{
	READ_PARTS(PART_SAMPLE, Pprof__Sample, pprof__sample, "sample", add_sample(r, part, i))
	return NULL;
}

static struct error *add_types(struct reader *r, const Pprof__Profile *rest)
{
	uint32_t wanted;

	if (!rest->n_sample_type)
		return error_new(ERR_FORMAT, "no sample type is given");
	if (rest->n_sample_type > MAX_TYPES)
		return error_new(ERR_FORMAT, "there are %zu sample types", rest->n_sample_type);
	TRY(find_string(r, rest->default_sample_type, "the default type", &wanted));
	r->p->default_type = (uint32_t)rest->n_sample_type - 1;
	for (size_t i = 0; i < rest->n_sample_type; i++) {
		struct profile_value_type t;

		TRY(find_string(r, rest->sample_type[i]->type, "a sample type", &t.type));
		TRY(find_string(r, rest->sample_type[i]->unit, "a unit", &t.unit));
		if (!t.type && rest->n_sample_type > 1)
			return error_new(ERR_FORMAT, "sample type number %zu has no name", i + 1);
		vec_push(&r->p->types, t);
		if (wanted && t.type == wanted)
			r->p->default_type = (uint32_t)i;
	}
	return NULL;
}

static struct error *add_rest(struct reader *r, const Pprof__Profile *rest)
{
	struct profile *p = r->p;
	uint32_t comment;

	TRY(add_types(r, rest));
	TRY(find_string(r, rest->drop_frames, "drop_frames", &p->drop_frames));
	TRY(find_string(r, rest->keep_frames, "keep_frames", &p->keep_frames));
	TRY(find_string(r, rest->doc_url, "the document's address", &p->doc_url));
	p->time_ns = rest->time_nanos;
	p->duration_ns = rest->duration_nanos;
	p->period = rest->period;
	if (rest->period_type) {
		TRY(find_string(r, rest->period_type->type, "the period", &p->period_type.type));
		TRY(find_string(r, rest->period_type->unit, "the period", &p->period_type.unit));
	}
	for (size_t i = 0; i < rest->n_comment; i++) {
		TRY(find_string(r, rest->comment[i], "a comment", &comment));
		vec_push(&p->comments, comment);
	}
	return NULL;
}

static struct error *read_rest(struct reader *r)
{
	Pprof__Profile *rest =
		pprof__profile__unpack(NULL, r->rest.len, (const uint8_t *)buf_str(&r->rest));

	if (!rest)
		return error_new(ERR_FORMAT, "its types, times or comments are damaged");
	struct error *err = add_rest(r, rest);
	pprof__profile__free_unpacked(rest, NULL);
	return err;
}

static struct error *read_message(struct reader *r, const uint8_t *bytes, size_t size)
{
	TRY(split_message(r, bytes, size));
	if (r->parts[PART_STRING].count && r->parts[PART_STRING].items[0].n)
		return error_new(ERR_FORMAT, "its first string is not empty");
	for (size_t i = 0; i < r->parts[PART_STRING].count; i++)
		vec_push(&r->strings, UINT32_MAX);
	TRY(read_rest(r));
	TRY(read_tables(r));
	TRY(read_samples(r));
	format_notice_not_utf8(r->n, r->not_utf8);
	if (r->no_mapping)
		format_notice(r->n, "%llu %s a mapping that is not there",
			      (unsigned long long)r->no_mapping,
			      text_plural(r->no_mapping, "location names", "locations name"));
	return NULL;
}

/* --- the format's functions --- */

/* The wire type that a field of the outermost message has; the comments may be packed or not. */
static bool wire_fits(uint64_t field, unsigned int wire)
{
	bool message = field <= PART_STRING || field == 11;

	return field <= PART_LAST &&
	       (field == 13 ? wire == 0 || wire == 2 : wire == (message ? 2 : 0));
}

static bool holds_fields(struct span s)
{
	struct cursor c = cursor_make(s.at, s.n);

	while (cursor_left(&c)) {
		struct span contents;
		unsigned int wire;
		uint64_t field;

		if (!next_field(&c, &field, &wire, &contents) || field > PART_LAST)
			return false;
	}
	return true;
}

/* Do the first fields make sense as a profile's? Text hardly ever does. */
static bool looks_like_profile(const uint8_t *bytes, size_t size, bool whole)
{
	struct cursor c = cursor_make(bytes, size);
	unsigned int parts = 0;

	for (unsigned int i = 0; i < 100 && cursor_left(&c); i++) {
		struct span contents;
		unsigned int wire;
		uint64_t field;

		if (!next_field(&c, &field, &wire, &contents))
			return parts && !whole && !cursor_ok(&c);
		if (!wire_fits(field, wire) || (field < PART_STRING && !holds_fields(contents)))
			return false;
		parts += field <= PART_STRING;
	}
	return parts > 0;
}

/* The CPU profiles that gperftools wrote before there was a pprof format: words of 8 bytes that
 * start with 0, 3, 0, PERIOD, 0. */
static bool is_gperftools(const uint8_t *bytes, size_t size)
{
	struct cursor c = cursor_make(bytes, size);
	uint64_t words[5];

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = cursor_u64(&c);
	return cursor_ok(&c) && !words[0] && words[1] == 3 && !words[2] && words[3] && !words[4];
}

bool pprof_detect(const void *bytes, size_t size, bool whole)
{
	const uint8_t *s = bytes;
	uint8_t start[512];
	z_stream z = { 0 };

	if (is_gperftools(s, size))
		return true; /* to say what it is */
	if (!is_gzip(s, size))
		return looks_like_profile(s, size, whole);
	if (inflateInit2(&z, 16 + 15) != Z_OK)
		return false;
	z.next_in = (Bytef *)s;
	z.avail_in = (uInt)MIN(size, (size_t)1 << 20);
	z.next_out = start;
	z.avail_out = sizeof(start);
	int status = inflate(&z, Z_SYNC_FLUSH);
	size_t n = sizeof(start) - z.avail_out;
	inflateEnd(&z);
	return looks_like_profile(start, n, status == Z_STREAM_END);
}

struct error *pprof_read(const void *bytes, size_t size, const struct read_options *o,
			 const struct format_notices *n, struct profile *ret)
{
	struct reader r = { .p = ret, .n = n };
	struct buf inflated = { 0 };
	struct error *err = NULL;

	if (is_gperftools(bytes, size))
		return error_hint(
			error_new(ERR_UNSUPPORTED, "%s is a CPU profile of gperftools' own format",
				  o->name ? o->name : "the input"),
			"go tool pprof -proto -output x.pb.gz FILE makes one that cprof reads");
	if (is_gzip(bytes, size)) {
		err = inflate_all(bytes, size, &inflated);
		bytes = inflated.data;
		size = inflated.len;
	}
	if (!err)
		err = read_message(&r, bytes, size);

	for (size_t i = 0; i < ARRAY_SIZE(r.parts); i++)
		vec_deinit(&r.parts[i]);
	buf_deinit(&r.rest);
	vec_deinit(&r.strings);
	map_deinit(&r.mappings);
	map_deinit(&r.functions);
	map_deinit(&r.locations);
	buf_deinit(&inflated);
	return error_prefix(err, "%s is no pprof profile that can be read",
			    o->name ? o->name : "the input");
}
