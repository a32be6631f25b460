/* flamegraph/render: layout, colours, escapes and numbers of the picture. */
#include "tests/unit/unit.h"

#include <math.h>

#include "flamegraph/formats/svg.h"
#include "flamegraph/render/escape.h"
#include "flamegraph/render/layout.h"
#include "flamegraph/render/palette.h"
#include "flamegraph/render/textfit.h"
#include "flamegraph/render/values.h"

/* --- a profile of folded lines --- */

static void add_stack(struct profile *p, const char *line, int64_t value)
{
	CLEANUP(mem_cleanup) char *copy = mem_strdup(line);
	uint32_t stack = 0;

	for (char *rest = copy, *name; (name = strsep(&rest, ";"));)
		stack = profile_push(p, stack,
				     profile_name_location(p, profile_string(p, name), FRAME_USER));
	profile_add_sample(p, stack, 0, &value);
}

static void new_profile(struct profile *p)
{
	profile_init(p);
	profile_add_type(p, "samples", "count");
}

static void lay_out(struct profile *p, double min_share, struct calltree *t, struct layout *l)
{
	calltree_build(t, p, &(struct calltree_options){ .root = CALLTREE_ROOT_COMM });
	layout_build(l, t, min_share);
}

static const struct layout_frame *frame_of(const struct layout *l, const struct calltree *t,
					   const char *name)
{
	for (size_t i = 1; i < l->frames.count; i++) {
		const struct calltree_node *n = &t->nodes.items[l->frames.items[i].node];
		if (strcmp(profile_text(t->profile, n->name), name) == 0)
			return &l->frames.items[i];
	}
	return NULL;
}

static char *svg_of(struct profile *p, const struct write_options *o)
{
	struct buf out = { 0 };
	struct sink *sink = sink_to_buf(&out);

	assert_no_error(format_svg.write(p, o, NULL, sink));
	assert_no_error(sink_close(sink));
	return buf_take_str(&out);
}

/* --- layout --- */

static void children_stand_side_by_side_above_their_parent(void **state)
{
	struct profile p;
	struct calltree t;
	struct layout l;

	new_profile(&p);
	add_stack(&p, "a;b", 3);
	add_stack(&p, "a;c;d", 2);
	add_stack(&p, "a", 5);
	lay_out(&p, 0, &t, &l);

	assert_int_equal(l.frames.count, 5);
	assert_int_equal(l.total, 10);
	assert_int_equal(l.max_depth, 3);
	const struct layout_frame *a = frame_of(&l, &t, "a"), *c = frame_of(&l, &t, "c");
	assert_int_equal(a->w, 10);
	assert_int_equal(a->covered, 5);
	assert_int_equal(c->x, 3);
	assert_int_equal(c->depth, 2);
	assert_int_equal(frame_of(&l, &t, "d")->x, 3);
	assert_ptr_equal(&l.frames.items[c->parent], a);
	layout_deinit(&l);
	calltree_deinit(&t);
	profile_deinit(&p);
}

static void what_is_too_narrow_is_counted(void **state)
{
	struct profile p;
	struct calltree t;
	struct layout l;

	new_profile(&p);
	add_stack(&p, "main;big", 997);
	add_stack(&p, "main;small;smaller", 2);
	add_stack(&p, "main;small;tiny", 1);
	lay_out(&p, 0.0035, &t, &l);

	assert_null(frame_of(&l, &t, "small"));
	assert_int_equal(l.pruned_frames, 3);
	assert_int_equal(l.pruned_weight, 3);
	assert_int_equal(frame_of(&l, &t, "main")->covered, 997);
	layout_deinit(&l);
	calltree_deinit(&t);
	profile_deinit(&p);
}

static void negative_values_never_stick_out(void **state)
{
	struct profile p;
	struct calltree t;
	struct layout l;

	new_profile(&p);
	add_stack(&p, "main;grew", 10);
	add_stack(&p, "main;shrank", -6);
	lay_out(&p, 0, &t, &l);

	assert_int_equal(l.total, 4);
	assert_int_equal(l.negative_frames, 1);
	for (size_t i = 0; i < l.frames.count; i++)
		assert_true(l.frames.items[i].x + l.frames.items[i].w <= l.total);
	layout_deinit(&l);
	calltree_deinit(&t);
	profile_deinit(&p);
}

static void a_stack_of_70000_frames_is_laid_out(void **state)
{
	struct profile p;
	struct calltree t;
	struct layout l;
	uint32_t stack = 0;

	new_profile(&p);
	for (unsigned int i = 0; i < 70000; i++)
		stack = profile_push(
			&p, stack,
			profile_name_location(&p, profile_string(&p, "deep"), FRAME_USER));
	profile_add_sample(&p, stack, 0, &(int64_t){ 7 });
	lay_out(&p, 0, &t, &l);
	assert_int_equal(l.max_depth, 70000);
	assert_int_equal(vec_last(&l.frames)->depth, 70000);
	assert_int_equal(vec_last(&l.frames)->w, 7);
	layout_deinit(&l);
	calltree_deinit(&t);
	profile_deinit(&p);
}

/* --- text --- */

static void hostile_names_become_harmless(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "</script><b a=\"x\" c='y'>&",
		  "&lt;/script&gt;&lt;b a=&quot;x&quot; c=&#39;y&#39;&gt;&amp;" },
		{ "a\x1b[31m\tb\n\x7f", "a�[31m�b��" },
		{ "\xff\xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80", "��� ��� ����" },
		{ "\xc2\x85 \xef\xbf\xbe \xef\xbf\xbf", "� � �" },
		{ "x\xe2\x80\xaey\xe2\x81\xa6z", "x�y�z" },
		{ "größe 漢字 👩‍💻", "größe 漢字 👩‍💻" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b = { 0 };
		xml_add(&b, cases[i].in, strlen(cases[i].in));
		assert_string_equal(buf_str(&b), cases[i].out);
		buf_deinit(&b);
	}
}

static size_t fit(const char *s, double px)
{
	return textfit_bytes(s, strlen(s), px);
}

static void text_is_cut_between_characters(void **state)
{
	assert_int_equal(fit("main", 1000), 4);
	assert_int_equal(fit("mainmainmain", 4), 0);
	assert_int_equal(fit("i", 4), 1);
	/* a letter and its accent, a flag's tag characters, a person and what a joiner ties to them
	 */
	const char *const joined[] = { "aaae\xcc\x81zzz",
				       "aaa\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbbzzz" };
	const size_t lengths[] = { 3, 11 };
	for (size_t i = 0; i < ARRAY_SIZE(joined); i++)
		for (double px = 0; px < 120; px += 0.5) {
			size_t n = fit(joined[i], px);
			assert_true(n <= 3 || n >= 3 + lengths[i]);
		}
	for (double px = 0, last = 0; px < 200; px += 0.5) {
		size_t n = fit("std::vector<int>::push_back", px);
		assert_true((double)n >= last);
		last = (double)n;
	}
}

static void check_value(const char *type, const char *unit, int64_t v, const char *expected)
{
	struct profile p;
	struct buf b = { 0 };

	profile_init(&p);
	uint32_t t = profile_add_type(&p, type, unit);
	struct value_style style = value_style_of(&p, t);
	value_add(&b, &style, v);
	assert_string_equal(buf_str(&b), expected);
	buf_deinit(&b);
	profile_deinit(&p);
}

static void values_are_written_with_their_unit(void **state)
{
	check_value("samples", "count", 1234, "1,234 samples");
	check_value("samples", "count", 1, "1 sample");
	check_value("cycles", "count", -1000000, "-1,000,000 cycles");
	check_value("cpu", "nanoseconds", 1230000000, "1.23 s");
	check_value("offcpu", "microseconds", 45600, "45.6 ms");
	check_value("cpu", "nanoseconds", 789, "789 ns");
	check_value("inuse_space", "bytes", 12 << 20, "12.0 MiB");
	check_value("inuse_space", "bytes", 12, "12 B");
}

static void percent_is_rounded_exactly(void **state)
{
	static const struct {
		int64_t v, total;
		const char *expected;
	} cases[] = {
		{ 1, 3, "33.33%" },
		{ 2, 3, "66.67%" },
		{ 5, 5, "100%" },
		{ 0, 7, "0.00%" },
		{ INT64_MAX - 1, INT64_MAX, "100.00%" },
		{ 1, 1000000, "0.00%" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf b = { 0 };
		percent_add(&b, cases[i].v, cases[i].total);
		assert_string_equal(buf_str(&b), cases[i].expected);
		buf_deinit(&b);
	}
}

/* --- colours --- */

static double luminance(uint32_t rgb)
{
	static const double weights[] = { 0.2126, 0.7152, 0.0722 };
	double sum = 0;

	for (unsigned int i = 0; i < 3; i++) {
		double c = (rgb >> (16 - 8 * i) & 0xff) / 255.0;
		sum += weights[i] * (c <= 0.03928 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
	}
	return sum;
}

static void text_is_legible_on_every_colour(void **state)
{
	double text = luminance(PALETTE_TEXT_RGB);

	for (unsigned int family = 0; family < COLOR_FAMILIES; family++) {
		for (unsigned int i = 0; i < 2000; i++) {
			char name[16];
			int n = snprintf(name, sizeof(name), "f%u", i);
			uint32_t rgb = palette_color(family, name, (size_t)n);
			assert_true((luminance(rgb) + 0.05) / (text + 0.05) >= 4.5);
			assert_int_equal(rgb, palette_color(family, name, (size_t)n));
		}
	}
}

static enum color_family family_of(const char *palette, const char *name, enum frame_kind kind)
{
	const struct palette *p = NULL;
	struct palette_frame f = { .name = name, .len = strlen(name), .kind = kind };

	assert_no_error(palette_find(palette, &p));
	palette_strip_annotation(&f);
	return p->classify(&f);
}

static void frames_are_sorted_into_families(void **state)
{
	assert_int_equal(family_of(NULL, "main", FRAME_USER), COLOR_AMBER);
	assert_int_equal(family_of(NULL, "vfs_read", FRAME_KERNEL), COLOR_BLUE);
	assert_int_equal(family_of(NULL, "vfs_read_[k]", FRAME_USER), COLOR_BLUE);
	assert_int_equal(family_of(NULL, "fib", FRAME_JIT), COLOR_GREEN);
	assert_int_equal(family_of(NULL, "min_[i]", FRAME_USER), COLOR_VIOLET);
	assert_int_equal(family_of(NULL, "[truncated: no room]", FRAME_SENTINEL), COLOR_GREY);
	assert_int_equal(family_of("java", "java/util/HashMap.get", FRAME_USER), COLOR_GREEN);
	assert_int_equal(family_of("java", "JavaThread::run", FRAME_USER), COLOR_YELLOW);
	assert_int_equal(
		family_of("rust", "<alloc::vec::Vec<T> as core::ops::Drop>::drop", FRAME_USER),
		COLOR_ORANGE);
	assert_int_equal(family_of("rust", "app::main", FRAME_USER), COLOR_AMBER);
	assert_int_equal(family_of("python", "run (/srv/app.py)", FRAME_USER), COLOR_YELLOW);
	assert_int_equal(family_of("hot", "main", FRAME_KERNEL), COLOR_HOT);
}

static void an_unknown_palette_names_the_nearest(void **state)
{
	const struct palette *p = NULL;
	struct error *err = palette_find("pyton", &p);

	assert_non_null(err);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	assert_non_null(strstr(error_message(err), "pyton"));
	assert_non_null(strstr(error_hint_of(err), "did you mean python?"));
	assert_null(p);
	error_free(err);
}

/* --- the page --- */

static void the_same_profile_gives_the_same_bytes(void **state)
{
	const char *const lines[] = { "a;b;c", "a;b", "a;x;y", "d" };
	const struct write_options o = { .type = -1 };
	struct profile one, two;

	new_profile(&one);
	new_profile(&two);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		add_stack(&one, lines[i], (int64_t)i + 1);
		add_stack(&two, lines[ARRAY_SIZE(lines) - 1 - i], (int64_t)(ARRAY_SIZE(lines) - i));
	}
	CLEANUP(mem_cleanup) char *first = svg_of(&one, &o);
	CLEANUP(mem_cleanup) char *second = svg_of(&two, &o);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "<title>all (10 samples, 100%)</title>"));
	assert_non_null(strstr(first, "total_samples=\"10\""));
	profile_deinit(&one);
	profile_deinit(&two);
}

static void titles_are_escaped(void **state)
{
	const struct write_options o = { .type = -1,
					 .title = "<script>alert(1)</script>",
					 .subtitle = "a & b" };
	struct profile p;

	new_profile(&p);
	add_stack(&p, "main", 1);
	CLEANUP(mem_cleanup) char *svg = svg_of(&p, &o);
	assert_null(strstr(svg, "<script>alert"));
	assert_non_null(strstr(svg, "&lt;script&gt;alert(1)&lt;/script&gt;</text>"));
	assert_non_null(strstr(svg, ">a &amp; b</text>"));
	profile_deinit(&p);
}

/* No samples: a program that was too short. Samples of another type only: a mistake of the user's. */
static void nothing_to_draw_is_said(void **state)
{
	const struct write_options o = { .type = -1 };
	const int64_t none[8] = { 0 };
	struct profile p;
	struct buf out = { 0 };
	struct sink *sink = sink_to_buf(&out);

	new_profile(&p);
	assert_no_error(format_svg.write(&p, &o, NULL, sink));
	assert_no_error(sink_close(sink));
	assert_non_null(strstr(buf_str(&out), "no samples"));

	sink = sink_to_buf(&out);
	uint32_t name = profile_name_location(&p, profile_string(&p, "main"), FRAME_USER);
	profile_add_sample(&p, profile_push(&p, 0, name), 0, none);
	struct error *err = format_svg.write(&p, &o, NULL, sink);
	assert_non_null(err);
	assert_non_null(error_hint_of(err));
	error_free(err);
	sink_abort(sink);
	buf_deinit(&out);
	profile_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_stand_side_by_side_above_their_parent),
		cmocka_unit_test(what_is_too_narrow_is_counted),
		cmocka_unit_test(negative_values_never_stick_out),
		cmocka_unit_test(a_stack_of_70000_frames_is_laid_out),
		cmocka_unit_test(hostile_names_become_harmless),
		cmocka_unit_test(text_is_cut_between_characters),
		cmocka_unit_test(values_are_written_with_their_unit),
		cmocka_unit_test(percent_is_rounded_exactly),
		cmocka_unit_test(text_is_legible_on_every_colour),
		cmocka_unit_test(frames_are_sorted_into_families),
		cmocka_unit_test(an_unknown_palette_names_the_nearest),
		cmocka_unit_test(the_same_profile_gives_the_same_bytes),
		cmocka_unit_test(titles_are_escaped),
		cmocka_unit_test(nothing_to_draw_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
