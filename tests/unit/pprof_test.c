/* pprof, both ways. The messages read here are put together by hand, byte by byte, so that they do
 * not depend on the schema that the reader uses. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "flamegraph/formats/format.h"

static struct buf notices;

static void keep_notice(void *context, const char *text)
{
	(void)context;
	buf_printf(&notices, "%s\n", text);
}

static const struct format_notices keep = { .notice = keep_notice };

/* --- protobuf by hand --- */

static void number(struct buf *b, unsigned int field, uint64_t value)
{
	buf_add_uleb(b, field << 3);
	buf_add_uleb(b, value);
}

static void bytes(struct buf *b, unsigned int field, const void *data, size_t n)
{
	buf_add_uleb(b, field << 3 | 2);
	buf_add_uleb(b, n);
	buf_add(b, data, n);
}

static void message(struct buf *b, unsigned int field, struct buf *inner)
{
	bytes(b, field, inner->data ? inner->data : "", inner->len);
	buf_clear(inner);
}

enum { STR_SAMPLES = 1, STR_COUNT, STR_MAIN, STR_LEAF, STR_FILE, STR_KEY, STR_VALUE };

static void strings(struct buf *b)
{
	static const char *const table[] = { "",     "samples", "count", "main",
					     "leaf", "/bin/x",	"key",	 "value" };

	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		bytes(b, 6, table[i], strlen(table[i]));
}

static void type(struct buf *b)
{
	struct buf m = { 0 };

	number(&m, 1, STR_SAMPLES);
	number(&m, 2, STR_COUNT);
	message(b, 1, &m);
	buf_deinit(&m);
}

static void function(struct buf *b, uint64_t id, uint64_t name)
{
	struct buf m = { 0 };

	number(&m, 1, id);
	number(&m, 2, name);
	message(b, 5, &m);
	buf_deinit(&m);
}

/* A location with one line for each function id that is not 0. */
static void location(struct buf *b, uint64_t id, uint64_t mapping, uint64_t address,
		     uint64_t function1, uint64_t function2)
{
	struct buf m = { 0 }, line = { 0 };

	number(&m, 1, id);
	number(&m, 2, mapping);
	number(&m, 3, address);
	if (function1) {
		number(&line, 1, function1);
		message(&m, 4, &line);
	}
	if (function2) {
		number(&line, 1, function2);
		message(&m, 4, &line);
	}
	message(b, 4, &m);
	buf_deinit(&m);
	buf_deinit(&line);
}

/* A sample, its numbers packed or not. */
static void sample(struct buf *b, const uint64_t *locations, size_t n, uint64_t value, bool packed)
{
	struct buf m = { 0 }, list = { 0 };

	for (size_t i = 0; i < n; i++) {
		if (packed)
			buf_add_uleb(&list, locations[i]);
		else
			number(&m, 1, locations[i]);
	}
	if (packed)
		message(&m, 1, &list);
	number(&m, 2, value);
	message(b, 2, &m);
	buf_deinit(&m);
	buf_deinit(&list);
}

/* A profile that is right: main calls leaf, ids far apart. */
static void good(struct buf *b, bool packed)
{
	uint64_t stack[] = { UINT64_C(1) << 63, 7 };

	type(b);
	sample(b, stack, 2, 5, packed);
	location(b, 7, 0, 0, 900, 0);
	location(b, stack[0], 0, 0, 3, 0);
	function(b, 900, STR_MAIN);
	function(b, 3, STR_LEAF);
	strings(b);
}

static struct error *read_buf(const struct buf *b, struct profile *p)
{
	struct read_options o = { .name = "x.pb.gz" };
	/* A copy of its own, so that a sanitizer sees a read past the end. */
	void *copy = mem_dup(b->data, b->len);

	buf_clear(&notices);
	profile_init(p);
	struct error *err = format_by_name("pprof")->read(copy, b->len, &o, &keep, p);
	free(copy);
	return err;
}

static void fold(const struct profile *p, struct buf *out)
{
	struct write_options w = { .type = -1 };
	struct sink *sink = sink_to_buf(out);

	assert_no_error(format_by_name("folded")->write(p, &w, NULL, sink));
	assert_no_error(sink_close(sink));
}

static void assert_reads(const struct buf *b, const char *folded)
{
	struct buf out = { 0 };
	struct profile p;

	assert_no_error(read_buf(b, &p));
	fold(&p, &out);
	assert_string_equal(buf_str(&out), folded);
	buf_deinit(&out);
	profile_deinit(&p);
}

static void assert_refused(const struct buf *b, const char *part)
{
	struct profile p;
	struct error *err = read_buf(b, &p);

	assert_non_null(err);
	if (!strstr(error_message(err), part))
		fail_msg("'%s' is not in '%s'", part, error_message(err));
	error_free(err);
	profile_deinit(&p);
}

/* --- reading --- */

static void ids_may_be_sparse(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		struct buf b = { 0 };
		good(&b, packed);
		assert_reads(&b, "main;leaf 5\n");
		buf_deinit(&b);
	}
}

static void gzip_is_read(void **state)
{
	struct buf b = { 0 }, zipped = { 0 };

	good(&b, true);
	struct sink *sink = sink_gzip(sink_to_buf(&zipped), 6);
	sink_write(sink, b.data, b.len);
	assert_no_error(sink_close(sink));
	assert_reads(&zipped, "main;leaf 5\n");
	assert_true(format_by_name("pprof")->detect(zipped.data, zipped.len, true));
	assert_true(format_by_name("pprof")->detect(b.data, b.len, true));
	for (size_t n = 20; n < zipped.len; n += 7) {
		struct buf cut = { .data = zipped.data, .len = n };
		assert_refused(&cut, "gzip data ends too early");
	}
	zipped.data[zipped.len / 2] ^= 0x55;
	assert_refused(&zipped, "gzip data is damaged");
	buf_deinit(&b);
	buf_deinit(&zipped);
}

static void a_bomb_is_refused(void **state)
{
	struct buf zipped = { 0 };
	static const char zeros[1 << 20];
	struct sink *sink = sink_gzip(sink_to_buf(&zipped), 1);

	for (int i = 0; i < 400; i++)
		sink_write(sink, zeros, sizeof(zeros));
	assert_no_error(sink_close(sink));
	assert_refused(&zipped, "inflates to more than");
	buf_deinit(&zipped);
}

static void unusual_profiles_are_read(void **state)
{
	uint64_t stack[] = { 1 };
	struct buf b = { 0 }, m = { 0 };

	/* An empty stack. */
	type(&b);
	sample(&b, NULL, 0, 3, true);
	strings(&b);
	assert_reads(&b, "[unknown] 3\n");

	/* A location without lines is named by its file and place. */
	buf_clear(&b);
	type(&b);
	number(&m, 1, 4);
	number(&m, 2, 0x400000);
	number(&m, 3, 0x500000);
	number(&m, 4, 0x1000);
	number(&m, 5, STR_FILE);
	message(&b, 3, &m);
	location(&b, 1, 4, 0x400123, 0, 0);
	sample(&b, stack, 1, 3, true);
	strings(&b);
	assert_reads(&b, "x+0x1123 3\n");

	/* A mapping that is not there; inlined lines; unknown fields. */
	buf_clear(&b);
	type(&b);
	number(&b, 99, 1);
	bytes(&b, 100, "xx", 2);
	location(&b, 1, 77, 0x400123, 2, 3);
	function(&b, 2, STR_LEAF);
	function(&b, 3, STR_MAIN);
	sample(&b, stack, 1, 3, true);
	strings(&b);
	assert_reads(&b, "main;leaf 3\n");
	assert_non_null(strstr(buf_str(&notices), "mapping that is not there"));

	/* A negative value: a base that was subtracted. */
	buf_clear(&b);
	type(&b);
	location(&b, 1, 0, 0, 2, 0);
	function(&b, 2, STR_MAIN);
	sample(&b, stack, 1, (uint64_t)-4, true);
	strings(&b);
	assert_reads(&b, "main -4\n");
	buf_deinit(&b);
	buf_deinit(&m);
}

static void damaged_profiles_are_refused(void **state)
{
	uint64_t one[] = { 1 };
	struct buf b = { 0 };

#define REFUSED(part, ...)                                                                         \
	do {                                                                                       \
		buf_clear(&b);                                                                     \
		type(&b);                                                                          \
		__VA_ARGS__;                                                                       \
		strings(&b);                                                                       \
		assert_refused(&b, part);                                                          \
	} while (0)

	REFUSED("sample number 1 names location 1, which is not there",
		sample(&b, one, 1, 1, true));
	REFUSED("location 1 names function 9", location(&b, 1, 0, 0, 9, 0));
	REFUSED("a location has the id 0", location(&b, 0, 0, 0, 0, 0));
	REFUSED("a function has the id 0", function(&b, 0, STR_MAIN));
	REFUSED("location 1 is there twice", location(&b, 1, 0, 0, 0, 0),
		location(&b, 1, 0, 0, 0, 0));
	REFUSED("the string of a function is not there (500 of 8)", function(&b, 1, 500));
	REFUSED("sample number 1 has 1 values, the profile has 2 types", type(&b),
		sample(&b, one, 0, 1, true));
	REFUSED("sample number 1 is damaged", bytes(&b, 2, "\x0a\x05\x01", 3));
	/* A group, a length past the end, a number that does not end. */
	REFUSED("the message is damaged at byte", buf_add(&b, "\x1b\x1c", 2));
	REFUSED("is no message", number(&b, 2, 3));
#undef REFUSED

	buf_clear(&b);
	good(&b, true);
	buf_add(&b, "\x12\x7f", 2);
	assert_refused(&b, "the message is damaged");
	buf_clear(&b);
	strings(&b);
	assert_refused(&b, "no sample type");
	buf_clear(&b);
	type(&b);
	bytes(&b, 1, "", 0);
	strings(&b);
	assert_refused(&b, "sample type number 2 has no name");
	buf_clear(&b);
	type(&b);
	bytes(&b, 6, "first", 5);
	assert_refused(&b, "its first string is not empty");
	buf_deinit(&b);
}

/* --- writing --- */

/* Writes and reads back. */
static void round_trip(const struct profile *p, struct profile *back, struct buf *file)
{
	struct write_options w = { .type = -1 };
	struct sink *sink = sink_to_buf(file);

	assert_no_error(format_by_name("pprof")->write(p, &w, NULL, sink));
	assert_no_error(sink_close(sink));
	assert_no_error(read_buf(file, back));
}

static uint32_t name_frame(struct profile *p, uint32_t stack, const char *name,
			   enum frame_kind kind)
{
	return profile_push(p, stack, profile_name_location(p, profile_string(p, name), kind));
}

static void everything_comes_back(void **state)
{
	struct buf file = { 0 }, again = { 0 }, before = { 0 }, after = { 0 };
	int64_t values[2] = { 3, 3000 };
	struct profile p, q;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	p.default_type = profile_add_type(&p, "cpu", "nanoseconds");
	p.period_type = p.types.items[1];
	p.period = 1003009;
	p.time_ns = 1234567890;
	p.duration_ns = 99;
	vec_push(&p.comments, profile_string(&p, "command: x"));
	p.doc_url = profile_string(&p, "https://example.org/");
	profile_add_mapping(&p, &(struct profile_mapping){ .file = profile_string(&p, "/unused") });
	uint32_t library = profile_add_mapping(
		&p, &(struct profile_mapping){ .file = profile_string(&p, "/lib/libc.so.6"),
					       .start = 0x1000,
					       .limit = 0x2000,
					       .has_functions = true });
	uint32_t program = profile_add_mapping(
		&p, &(struct profile_mapping){ .file = profile_string(&p, "/bin/x"),
					       .build_id = profile_string(&p, "0123ab"),
					       .start = 0x400000,
					       .limit = 0x500000,
					       .offset = 0x1000 });
	struct profile_function f = { .name = profile_string(&p, "ns::f<int>(int)"),
				      .system_name = profile_string(&p, "_ZN2ns1fIiEEvT_"),
				      .file = profile_string(&p, "f.cc"),
				      .start_line = 10 };
	struct profile_line lines[2] = {
		{ .function = profile_intern_function(&p, &f), .line = 12, .column = 3 }
	};
	f = (struct profile_function){ .name = profile_string(&p, "outer") };
	lines[1] = (struct profile_line){ .function = profile_intern_function(&p, &f), .line = 4 };
	uint32_t leaf = profile_add_location(&p,
					     &(struct profile_location){ .mapping = library,
									 .address = 0x1800,
									 .is_folded = true },
					     lines, 2);
	uint32_t caller = profile_add_location(
		&p, &(struct profile_location){ .mapping = program, .address = 0x400100 },
		&lines[1], 1);

	struct profile_label labels[] = {
		{ .key = profile_string(&p, "thread"), .str = profile_string(&p, "w\xff") },
		{ .key = profile_string(&p, "pid"), .num = 0, .unit = profile_string(&p, "id") },
		{ .key = profile_string(&p, "empty") },
	};
	uint32_t set = profile_intern_labels(&p, labels, 3);
	uint32_t stack = name_frame(&p, 0, "[truncated: no rule]", FRAME_SENTINEL);
	stack = profile_push(&p, profile_push(&p, stack, caller), leaf);
	profile_add_sample(&p, stack, set, values);
	stack = name_frame(&p, name_frame(&p, 0, "vfs_read", FRAME_KERNEL), "Lx;", FRAME_JIT);
	profile_add_sample(&p, stack, 0, values);

	round_trip(&p, &q, &file);
	assert_int_equal(q.types.count, 2);
	assert_int_equal(q.default_type, 1);
	assert_int_equal(q.period, 1003009);
	assert_int_equal(q.time_ns, 1234567890);
	assert_int_equal(q.duration_ns, 99);
	assert_string_equal(profile_text(&q, q.comments.items[0]), "command: x");
	assert_string_equal(profile_text(&q, q.doc_url), "https://example.org/");
	assert_int_equal(profile_total(&q, 1), 6000);
	/* The program comes first, what is not used is gone. */
	assert_int_equal(q.mappings.count - 1, 4);
	assert_string_equal(profile_text(&q, q.mappings.items[1].file), "/bin/x");
	assert_string_equal(profile_text(&q, q.mappings.items[1].build_id), "0123ab");
	assert_int_equal(q.mappings.items[1].offset, 0x1000);
	assert_false(q.mappings.items[1].has_functions);
	assert_true(q.mappings.items[2].has_functions);

	set = q.samples.items[0].labels;
	assert_string_equal(profile_text(&q, profile_find_label(&q, set, "thread")->str),
			    "w\xef\xbf\xbd");
	assert_string_equal(profile_text(&q, profile_find_label(&q, set, "pid")->unit), "id");
	assert_null(profile_find_label(&q, set, "empty"));

	const struct profile_location *l =
		&q.locations.items[q.stacks.items[q.samples.items[0].stack].location];
	assert_int_equal(l->n_lines, 2);
	assert_int_equal(l->address, 0x1800);
	assert_true(l->is_folded);
	const struct profile_line *line = &q.lines.items[l->first_line];
	assert_int_equal(line->line, 12);
	assert_int_equal(line->column, 3);
	const struct profile_function *inner = &q.functions.items[line->function];
	assert_string_equal(profile_text(&q, inner->name), "ns::f<int>(int)");
	assert_string_equal(profile_text(&q, inner->system_name), "_ZN2ns1fIiEEvT_");
	assert_string_equal(profile_text(&q, inner->file), "f.cc");
	assert_int_equal(inner->start_line, 10);

	/* Kinds of frames known by name only come back, too. */
	stack = q.samples.items[1].stack;
	assert_int_equal(q.locations.items[q.stacks.items[stack].location].kind, FRAME_JIT);
	stack = q.stacks.items[stack].parent;
	assert_int_equal(q.locations.items[q.stacks.items[stack].location].kind, FRAME_KERNEL);
	stack = q.samples.items[0].stack;
	while (q.stacks.items[stack].parent)
		stack = q.stacks.items[stack].parent;
	assert_int_equal(q.locations.items[q.stacks.items[stack].location].kind, FRAME_SENTINEL);

	/* Written again it has the same bytes. */
	fold(&p, &before);
	fold(&q, &after);
	assert_string_equal(buf_str(&before), buf_str(&after));
	struct write_options w = { .type = -1 };
	struct sink *sink = sink_to_buf(&again);
	assert_no_error(format_by_name("pprof")->write(&q, &w, NULL, sink));
	assert_no_error(sink_close(sink));
	profile_deinit(&q);
	struct buf third = { 0 };
	assert_no_error(read_buf(&again, &q));
	sink = sink_to_buf(&third);
	assert_no_error(format_by_name("pprof")->write(&q, &w, NULL, sink));
	assert_no_error(sink_close(sink));
	assert_int_equal(third.len, again.len);
	assert_memory_equal(third.data, again.data, third.len);

	buf_deinit(&file);
	buf_deinit(&again);
	buf_deinit(&third);
	buf_deinit(&before);
	buf_deinit(&after);
	profile_deinit(&p);
	profile_deinit(&q);
}

/* pprof takes a name for a mangled one where both are equal, and strips its brackets. */
static void names_alone_keep_their_brackets(void **state)
{
	struct buf file = { 0 };
	struct profile p, q;
	int64_t one = 1;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	uint32_t stack = name_frame(&p, 0, "main", FRAME_USER);
	profile_add_sample(&p, name_frame(&p, stack, "<Vec<T> as Drop>::drop", FRAME_USER), 0,
			   &one);
	round_trip(&p, &q, &file);
	for (size_t i = 1; i < q.functions.count; i++) {
		const struct profile_function *f = &q.functions.items[i];
		bool plain = strcmp(profile_text(&q, f->name), "main") == 0;
		assert_string_equal(profile_text(&q, f->system_name), plain ? "main" : "");
	}
	buf_deinit(&file);
	profile_deinit(&p);
	profile_deinit(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_may_be_sparse),
		cmocka_unit_test(gzip_is_read),
		cmocka_unit_test(a_bomb_is_refused),
		cmocka_unit_test(unusual_profiles_are_read),
		cmocka_unit_test(damaged_profiles_are_refused),
		cmocka_unit_test(everything_comes_back),
		cmocka_unit_test(names_alone_keep_their_brackets),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_deinit(&notices);
	return failed;
}
