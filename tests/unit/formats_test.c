/* The text formats: what is read, what is written, how a format is found. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/file.h"
#include "flamegraph/formats/format.h"
#include "flamegraph/formats/perf_script_line.h"
#include "flamegraph/formats/tidy.h"

static struct buf notices;

static void keep_notice(void *context, const char *text)
{
	(void)context;
	buf_printf(&notices, "%s\n", text);
}

static const struct format_notices keep = { .notice = keep_notice };

/* Text in one format as folded text, which the caller frees; the notices are in `notices`. */
static char *fold_bytes(const void *bytes, size_t size, const struct format *format,
			struct read_options *o, struct write_options *w)
{
	struct write_options defaults = { .type = -1 };
	struct read_options plain = { 0 };
	struct buf out = { 0 };
	struct profile p;

	buf_clear(&notices);
	profile_init(&p);
	assert_no_error(format->read(bytes, size, o ? o : &plain, &keep, &p));
	struct sink *sink = sink_to_buf(&out);
	assert_no_error(format_by_name("folded")->write(&p, w ? w : &defaults, &keep, sink));
	assert_no_error(sink_close(sink));
	profile_deinit(&p);
	return buf_take_str(&out);
}

static void assert_folds(const char *format, const char *text, const char *expected)
{
	/* A copy of its own, so that a sanitizer sees a read past the end. */
	char *copy = mem_dup(text, strlen(text));
	char *folded = fold_bytes(copy, strlen(text), format_by_name(format), NULL, NULL);

	assert_string_equal(folded, expected);
	free(folded);
	free(copy);
}

static void assert_notice(const char *part)
{
	if (!strstr(buf_str(&notices), part))
		fail_msg("no notice '%s' in '%s'", part, buf_str(&notices));
}

static void folded_lines(void **state)
{
	assert_folds("folded", "a;b 1\na;b 2\r\n# a comment 5\n\na\t3\na;c 4",
		     "a 3\na;b 3\na;c 4\n");
	assert_int_equal(notices.len, 0);
	assert_folds("folded", "\xef\xbb\xbfmain;f 2\n", "main;f 2\n");
	assert_folds("folded", "b 1\na-b 1\na;b 1\na 1\n", "a 1\na-b 1\na;b 1\nb 1\n");
	/* Frames that share bytes are not shared frames. */
	assert_folds("folded", "ab;c 1\na;c 1\nab 1\nab;cd 1\nab;c;d 1\nab;c 1\n",
		     "a;c 1\nab 1\nab;c 2\nab;c;d 1\nab;cd 1\n");
	assert_folds("folded", "a;;b 1\n;a 2\n", "[unknown];a 2\na;[unknown];b 1\n");
	assert_folds("folded", "with blanks; in it  7  \n", "with blanks; in it 7\n");
}

static void folded_counts(void **state)
{
	assert_folds("folded", "a 239807672958951499\nb 9007199254740993\n",
		     "a 239807672958951499\nb 9007199254740993\n");
	assert_folds("folded", "a;b 3 5\na;c 4 6\n", "a;b 5\na;c 6\n");
	assert_notice("2 lines have two counts");
	assert_folds("folded", "a 1.5\nb 1.5\nc 2.\n", "a 1\nb 2\nc 2\n");
	assert_notice("3 counts have decimals");
	assert_folds("folded", "a 99999999999999999999\n", "a 9223372036854775807\n");
	assert_notice("too large");
	assert_folds("folded", "a 1\nno count\n12\na;b 2\nx\n", "a 1\na;b 2\n");
	assert_notice("3 lines have no count and are left out, the first is line 2");
	assert_folds("folded", "a;b -3\na 5\n", "a 5\na;b -3\n");
	/* Comments and blank lines count as lines. */
	assert_folds("folded", "# x\n\na 1\nbad\n", "a 1\n");
	assert_notice("1 line has no count and is left out, the first is line 4");
}

/* Inlined frames of which each copies those around it must not cost their number's square. */
static void folded_endless_inlining(void **state)
{
	enum { FRAMES = 20000 };
	CLEANUP(buf_deinit) struct buf text = { 0 };
	struct read_options o = { 0 };
	struct format_notices n = { 0 };
	struct profile p;

	buf_add_str(&text, "main");
	for (int i = 0; i < FRAMES; i++)
		buf_printf(&text, ";f%d_[i]", i % 7);
	buf_add_str(&text, " 1\n");
	profile_init(&p);
	assert_no_error(format_by_name("folded")->read(text.data, text.len, &o, &n, &p));
	assert_int_equal(profile_total(&p, 0), 1);
	assert_true(p.lines.count < (size_t)FRAMES * PROFILE_LINES_MAX);
	size_t shown = 0;
	for (uint32_t s = p.samples.items[0].stack; s; s = p.stacks.items[s].parent)
		shown += p.locations.items[p.stacks.items[s].location].n_lines;
	assert_int_equal(shown, FRAMES + 1);
	profile_deinit(&p);
}

static void folded_utf16(void **state)
{
	static const char little[] = "\xff\xfe"
				     "a\0;\0\xe4\0 \0"
				     "2\0\n\0";
	static const char big[] = "\xfe\xff"
				  "\0a\0;\xd8\x3d\xde\x00\0 \0"
				  "3";
	char *text = fold_bytes(little, sizeof(little) - 1, format_by_name("folded"), NULL, NULL);

	assert_string_equal(text, "a;\xc3\xa4 2\n");
	free(text);
	text = fold_bytes(big, sizeof(big) - 1, format_by_name("folded"), NULL, NULL);
	assert_string_equal(text, "a;\xf0\x9f\x98\x80 3\n");
	free(text);
}

static void folded_marks(void **state)
{
	static const char text[] = "a;b_[k] 1\na;f_[j];g_[i];h_[i] 2\na;x_[w] 3\na;- 4\n";
	struct write_options marks = {
		.type = -1, .mark_kernel = true, .mark_jit = true, .mark_inlined = true
	};
	char *folded = fold_bytes(text, strlen(text), format_by_name("folded"), NULL, &marks);

	assert_string_equal(folded, "a;- 4\na;b_[k] 1\na;f_[j];g_[i];h_[i] 2\na;x_[w] 3\n");
	free(folded);
	assert_folds("folded", text, "a;- 4\na;b 1\na;f;g;h 2\na;x_[w] 3\n");
}

static void folded_kinds(void **state)
{
	static const char text[] = "a;b_[k];c_[j];[truncated: no rule] 1\n";
	enum frame_kind expected[] = { FRAME_USER, FRAME_KERNEL, FRAME_JIT, FRAME_SENTINEL };
	struct read_options o = { 0 };
	struct profile p;

	profile_init(&p);
	assert_no_error(format_by_name("folded")->read(text, strlen(text), &o, NULL, &p));
	for (uint32_t s = 1; s <= 4; s++)
		assert_int_equal(p.locations.items[p.stacks.items[s].location].kind,
				 expected[s - 1]);
	profile_deinit(&p);
}

/* Names from a profile that would break a line. */
static void folded_hostile_names(void **state)
{
	static const char *const names[][2] = {
		{ "a;b", "a:b" },
		{ "new\nline", "newline" },
		{ "worker 12", "worker_12" },
		{ "1 2 3.5", "1 2_3.5" },
		{ "esc\x1b[0m", "esc[0m" },
		{ "\xff!", "\xef\xbf\xbd!" },
		{ "tab\tx", "tab x" },
		{ "trailing  ", "trailing" },
		{ "", "[unknown]" },
		{ "nel\xc2\x85.", "nel." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct write_options w = { .type = -1 };
		struct buf out = { 0 };
		struct profile p;
		int64_t one = 1;

		profile_init(&p);
		profile_add_type(&p, "samples", "count");
		struct profile_label comm = { .key = profile_string(&p, "comm"),
					      .str = profile_string(&p, "my app") };
		uint32_t name = profile_string(&p, names[i][0]);
		uint32_t stack = profile_push(&p, 0, profile_name_location(&p, name, FRAME_USER));
		profile_add_sample(&p, stack, profile_intern_labels(&p, &comm, 1), &one);
		struct sink *sink = sink_to_buf(&out);
		assert_no_error(format_by_name("folded")->write(&p, &w, NULL, sink));
		assert_no_error(sink_close(sink));

		char *expected = mem_printf("my_app;%s 1\n", names[i][1]);
		assert_string_equal(buf_str(&out), expected);
		free(expected);
		buf_deinit(&out);
		profile_deinit(&p);
	}
}

static void folded_root_is_no_comment(void **state)
{
	struct write_options w = { .type = -1, .fold_pid = true, .fold_tid = true };
	struct buf out = { 0 };
	struct profile p;
	int64_t value = 2500;

	profile_init(&p);
	profile_add_type(&p, "offcpu", "nanoseconds");
	struct profile_label labels[] = {
		{ .key = profile_string(&p, "comm"), .str = profile_string(&p, "#x") },
		{ .key = profile_string(&p, "pid"), .num = 7 },
		{ .key = profile_string(&p, "tid"), .num = 8 },
		{ .key = profile_string(&p, "thread"), .str = profile_string(&p, "w 1") },
	};
	profile_add_sample(&p, 0, profile_intern_labels(&p, labels, 4), &value);
	struct sink *sink = sink_to_buf(&out);
	assert_no_error(format_by_name("folded")->write(&p, &w, NULL, sink));
	assert_no_error(sink_close(sink));
	/* Off-CPU time is in microseconds. */
	assert_string_equal(buf_str(&out), "_#x-7;w_1-8 2\n");
	buf_deinit(&out);
	profile_deinit(&p);
}

static void folded_empty_is_an_error(void **state)
{
	struct read_options o = { .name = "x.folded" };
	struct profile p;

	profile_init(&p);
	struct error *err = format_by_name("folded")->read("# only\n", 7, &o, NULL, &p);
	assert_non_null(err);
	assert_string_equal(error_message(err), "x.folded holds no stacks");
	error_free(err);
	profile_deinit(&p);
}

static void clocks_are_counted(void **state)
{
	struct write_options o = { .type = -1 };
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	p.default_type = profile_add_type(&p, "cpu", "nanoseconds");
	assert_int_equal(format_shown_type(&p, &o), 0);
	o.type = 1;
	assert_int_equal(format_shown_type(&p, &o), 1);
	profile_deinit(&p);
}

/* --- perf script --- */

static void perf_event_lines(void **state)
{
	static const struct {
		const char *line, *comm, *event;
		int64_t pid, tid, period, time_ns;
	} cases[] = {
		{ "java 25607 4794564.109216: 1 cycles:", "java", "cycles", -1, 25607, 1,
		  4794564109216000 },
		{ "V8 WorkerThread 24636/25607 [000] 94564.109216: 100 cycles:uppp: ",
		  "V8 WorkerThread", "cycles:uppp", 24636, 25607, 100, 94564109216000 },
		{ "java 12688 [002] 6.5: cpu-clock:", "java", "cpu-clock", -1, 12688, 0,
		  6500000000 },
		{ "swapper     0 [011] 1.000001:          1 sched:sched_switch: prev_comm=a b ==> "
		  "c",
		  "swapper", "sched:sched_switch", -1, 0, 1, 1000001000 },
		{ "a/b 12 34/35 [1] 2.0: 7 page-faults:", "a/b 12", "page-faults", 34, 35, 7,
		  2000000000 },
		{ "   dd 39654 19.5:  1 cycles:u:  ffff9 [unknown] ([unknown])", "dd", "cycles:u",
		  -1, 39654, 1, 19500000000 },
		{ "x [003] 1.5: cycles:", "x", "cycles", -1, -1, 0, 1500000000 },
		{ " 12 1.5: cycles:", "", "cycles", -1, 12, 0, 1500000000 },
		{ "java 123/124 cycles:", "java", "cycles", 123, 124, 0, -1 },
		{ "java 124 [001] 250000 cpu-clock:uhH:", "java", "cpu-clock:uhH", -1, 124, 250000,
		  -1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct event_line e;
		size_t n = strlen(cases[i].line);
		char *copy = mem_dup(cases[i].line, n);

		assert_true(perf_event_line(copy, n, &e));
		assert_int_equal(e.comm.n, strlen(cases[i].comm));
		assert_memory_equal(e.comm.s, cases[i].comm, e.comm.n);
		assert_int_equal(e.event.n, strlen(cases[i].event));
		assert_memory_equal(e.event.s, cases[i].event, e.event.n);
		assert_true(e.pid == cases[i].pid);
		assert_true(e.tid == cases[i].tid);
		assert_true(e.period == cases[i].period);
		assert_true(e.time_ns == cases[i].time_ns);
		free(copy);
	}

	struct event_line e;
	assert_false(perf_event_line("a;b;c 12", 8, &e));
	assert_false(perf_event_line("", 0, &e));
	assert_false(perf_event_line("some words", 10, &e));
}

static void perf_frame_lines(void **state)
{
	static const struct {
		const char *line, *symbol, *dso;
	} cases[] = {
		{ "\t    7f44 _start+0x1f (/lib/ld-2.27.so)", "_start", "/lib/ld-2.27.so" },
		{ "\tffff9 [unknown] ([kernel.kallsyms])", "[unknown]", "[kernel.kallsyms]" },
		{ "\t401 f+0x1 (/bin/a b (deleted))", "f", "/bin/a b (deleted)" },
		{ "\t401 f (/bin/a b (deleted))", "f", "/bin/a b (deleted)" },
		{ "\t401 std::function<int (int)>::operator()+0xff (/bin/a)",
		  "std::function<int (int)>::operator()", "/bin/a" },
		{ "\t401 f(int (*)(int)) (/bin/a)", "f(int (*)(int))", "/bin/a" },
		{ "\t401 main+0x10 (inlined)", "main", "inlined" },
		{ "\t401 main", "main", "" },
		{ "\t401", "", "" },
		{ "\t401 (/bin/a)", "", "/bin/a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct frame_line f;
		size_t n = strlen(cases[i].line);
		char *copy = mem_dup(cases[i].line, n);

		assert_true(perf_frame_line(copy, n, &f));
		assert_int_equal(f.symbol.n, strlen(cases[i].symbol));
		assert_memory_equal(f.symbol.s, cases[i].symbol, f.symbol.n);
		assert_int_equal(f.dso.n, strlen(cases[i].dso));
		assert_memory_equal(f.dso.s, cases[i].dso, f.dso.n);
		free(copy);
	}

	struct frame_line f;
	assert_false(perf_frame_line("\tTHIS_IS_A_WEIRD_LINE", 21, &f));
	assert_false(perf_frame_line("\t0123456789abcdef0 x (y)", 24, &f));
	assert_true(perf_source_line("\t  file.c:12", 12));
	assert_true(perf_source_line("\t  file.c:12 (inlined)", 22));
	assert_true(perf_source_line("\t  ??:0", 7));
	assert_false(perf_source_line("\tTHIS_IS_A_WEIRD_LINE", 21));
}

static void perf_records(void **state)
{
	/* The last record has no blank line after it. */
	assert_folds(
		"perf-script",
		"# ========\n# cmdline : perf record\n# ========\n"
		"my app 7/8 [000] 1.5: 100 cycles: \n\t2 leaf+0x1 (/bin/x)\n\t1 main (/bin/x)\n\n"
		"my app 7/9 [000] 1.6: 10 cycles: \n\t3 leaf+0x2 (/bin/x)\n\t1 main (/bin/x)",
		"my_app;main;leaf 110\n");
	assert_int_equal(notices.len, 0);
	/* Inlined frames, source lines, CRLF, no blank line between records. */
	assert_folds("perf-script",
		     "a 7 1.5: cycles: \r\n\t2 in2 (inlined)\r\n\t  x.c:3 (inlined)\r\n\t2 in1 "
		     "(inlined)\r\n"
		     "\t2 f+0x9 (/bin/x)\r\n\t1 main (/bin/x)\r\na 7 1.6: cycles:\r\n\t1 main "
		     "(/bin/x)\r\n",
		     "a;main 1\na;main;f;in1;in2 1\n");
	assert_int_equal(notices.len, 0);
	/* Only the first type of event. */
	assert_folds("perf-script",
		     "a 7 1.5: 5 cycles: \n\t1 f (/x)\n\na 7 1.5: 6 instructions: \n\t1 g (/x)\n\n"
		     "a 7 1.6: 7 cycles: \n\t1 f (/x)\n\n",
		     "a;f 12\n");
	assert_notice("1 sample of other events is left out");
	assert_notice("read is cycles: instructions");
	/* A sample without frames, and a frame without a symbol. */
	assert_folds(
		"perf-script",
		"a 7 1.5: cycles: \n\na 7 1.5: cycles: \n\t12 [unknown] (/lib/x.so.1 (deleted))\n"
		"\t13 [unknown] ([unknown])\n\n",
		"a 1\na;[unknown];[x.so.1] 1\n");
}

static void perf_trouble_is_told(void **state)
{
	assert_folds("perf-script", "a 7 1.5: cycles: \n\t1 f (/x)\n\tWEIRD\n\nmore of it\n\n",
		     "a;f 1\n");
	assert_notice("2 lines cannot be read and are left out, the first is line 3");
	assert_folds("perf-script", "a 7 1.5: cycles: \n\t2 f (/x)\n\t1 ma",
		     "a;[truncated: end of input];ma;f 1\n");
	assert_notice("ends within a stack");
	assert_folds("perf-script",
		     "a 7 1.5: 3 cycles:u: \n\t1 f (/x)\n\na 7 1.5: 4 cycles: \n\t1 f (/x)\n",
		     "a;f 7\n");
	assert_notice("differ in modifiers only");
	assert_folds("perf-script", "a 7 1.5: 1 cycles: \n\t1 f\xff\x1b (/x)\n\n",
		     "a;f\xef\xbf\xbd 1\n");
	assert_notice("not UTF-8");
}

static void perf_event_is_chosen(void **state)
{
	static const char text[] =
		"a 7 1.5: 5 cycles:u: \n\t1 f (/x)\n\na 7 1.5: 6 faults: \n\t1 g (/x)\n\n";
	const struct format *f = format_by_name("perf-script");
	struct read_options o = { .event = "faults", .name = "x" };
	struct profile p;
	char *folded = fold_bytes(text, strlen(text), f, &o, NULL);

	assert_string_equal(folded, "a;g 6\n");
	assert_int_equal(notices.len, 0);
	free(folded);
	o.event = "cycles";
	profile_init(&p);
	struct error *err = f->read(text, strlen(text), &o, NULL, &p);
	assert_string_equal(error_message(err), "x has no event 'cycles'");
	assert_string_equal(error_hint_of(err), "it has cycles:u, faults");
	error_free(err);
	profile_deinit(&p);
}

static void perf_types_follow_the_event(void **state)
{
	static const char text[] = "a 7 1.5: 5000 cpu-clock:u: \n\t1 f (/x)\n\n";
	struct read_options o = { .label_ids = true };
	struct profile p;

	profile_init(&p);
	assert_no_error(format_by_name("perf-script")->read(text, strlen(text), &o, NULL, &p));
	assert_int_equal(p.types.count, 2);
	assert_string_equal(profile_text(&p, p.types.items[1].type), "cpu_clock");
	assert_string_equal(profile_text(&p, p.types.items[1].unit), "nanoseconds");
	assert_int_equal(profile_total(&p, 0), 1);
	assert_int_equal(profile_total(&p, 1), 5000);
	assert_int_equal(profile_find_label(&p, p.samples.items[0].labels, "tid")->num, 7);
	assert_null(profile_find_label(&p, p.samples.items[0].labels, "pid"));
	profile_deinit(&p);
}

static void names_in_styles(void **state)
{
	static const struct {
		enum name_style style;
		const char *name, *expected;
	} cases[] = {
		{ NAMES_FULL, "f.isra.0.cold", "f" },
		{ NAMES_FULL, "f.constprop.12", "f" },
		{ NAMES_FULL, "foo() [clone .part.3]", "foo()" },
		{ NAMES_FULL, "core::ops::drop::h0123456789abcdef", "core::ops::drop" },
		{ NAMES_FULL, "std::function<int (int)>::operator()",
		  "std::function<int (int)>::operator()" },
		{ NAMES_FULL, "net/http.(*Client).Do", "net/http.(*Client).Do" },
		{ NAMES_FULL, ".cold", ".cold" },
		{ NAMES_RAW, "f.isra.0", "f.isra.0" },
		{ NAMES_SIMPLE, "ns::f<int, (char)60>(std::vector<int> const&) const", "ns::f" },
		{ NAMES_SIMPLE, "(anonymous namespace)::f(int)", "(anonymous namespace)::f" },
		{ NAMES_SIMPLE, "main(int)::{lambda(int)#1}::operator()(int) const",
		  "main::{lambda(int)#1}::operator()" },
		{ NAMES_SIMPLE, "operator<< <char>(int)", "operator<<" },
		{ NAMES_SIMPLE, "a < b", "a < b" },
		{ NAMES_SIMPLE, "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
		  "<alloc::vec::Vec<T> as core::ops::Drop>::drop" },
		{ NAMES_PERL, "f.isra.0", "f.isra.0" },
		{ NAMES_PERL, "std::function<int (int)>::operator()",
		  "std::function<int (int)>::operator" },
		{ NAMES_PERL, "net/http.(*Client).Do", "net/http.(*Client).Do" },
		{ NAMES_PERL, "(anonymous namespace)::f(int)", "(anonymous namespace)::f" },
		{ NAMES_PERL, "RegExp:[&<>\"\']", "RegExp:[&<>]" },
		{ NAMES_PERL, "a;b", "a:b" },
		{ NAMES_PERL, "if (a < b)", "if " },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct buf out = { 0 };
		char *copy = mem_dup(cases[i].name, strlen(cases[i].name));
		name_tidy(copy, strlen(cases[i].name), cases[i].style, false, &out);
		assert_string_equal(buf_str(&out), cases[i].expected);
		buf_deinit(&out);
		free(copy);
	}
	struct buf out = { 0 };
	name_tidy("Lorg/moz/Ctx;.call(Lorg/x;)V", 28, NAMES_PERL, true, &out);
	assert_string_equal(buf_str(&out), "org/moz/Ctx:.call");
	buf_deinit(&out);
}

/* --- what stackcollapse-perf.pl and inferno make of the same inputs --- */

static char *data_path(const char *name)
{
	const char *folder = getenv("CPROF_TEST_DATA");

	return mem_printf("%s/perf-script/%s", folder ? folder : "../shared/data", name);
}

/* False where there is no such file. */
static bool read_data(const char *name, struct file_bytes *ret)
{
	char *path = data_path(name);
	struct error *err = file_map(path, ret);

	free(path);
	if (err)
		error_free(err);
	return !err;
}

static void assert_same_as(const char *input, const char *expected, struct read_options *o,
			   struct write_options *w)
{
	struct file_bytes text = { 0 }, golden = { 0 };

	if (!read_data(input, &text) || !read_data(expected, &golden)) {
		print_message("# skip: no test data %s (set CPROF_TEST_DATA)\n", expected);
		file_bytes_deinit(&text);
		skip();
	}
	char *folded = fold_bytes(text.data, text.size, format_by_name("perf-script"), o, w);
	if (strlen(folded) != golden.size || memcmp(folded, golden.data, golden.size) != 0)
		fail_msg("%s differs from %s:\n%s", input, expected, folded);
	free(folded);
	file_bytes_deinit(&text);
	file_bytes_deinit(&golden);
}

static void equal_to_the_script(void **state)
{
	static const char *const inputs[] = { "perf-cycles-instructions-01", "perf-dd-stacks-01",
					      "perf-java-stacks-01", "perf-numa-stacks-01" };
	static const struct {
		const char *suffix;
		bool pid, tid, addrs, kernel, jit;
	} options[] = {
		{ "", false, false, false, false, false },
		{ "-pid", true, false, false, false, false },
		{ "-tid", false, true, false, false, false },
		{ "-addrs", false, false, true, false, false },
		{ "-kernel", false, false, false, true, false },
		{ "-jit", false, false, false, false, true },
		{ "-all", false, false, false, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(options); k++) {
			struct read_options o = { .names = NAMES_PERL,
						  .root_pid = options[k].pid,
						  .root_tid = options[k].tid,
						  .show_addresses = options[k].addrs };
			struct write_options w = { .type = -1,
						   .mark_kernel = options[k].kernel,
						   .mark_jit = options[k].jit,
						   .mark_inlined = true };
			char input[64], expected[64];
			snprintf(input, sizeof(input), "%s.txt", inputs[i]);
			snprintf(expected, sizeof(expected), "%s%s.folded", inputs[i],
				 options[k].suffix);
			assert_same_as(input, expected, &o, &w);
		}
	}
}

static void equal_to_inferno(void **state)
{
	struct read_options o = { .names = NAMES_PERL };

	assert_same_as("cpp-stacks-std-function.txt", "cpp-stacks-std-function-collapsed.txt", &o,
		       NULL);
	assert_same_as("single-line-stacks.txt", "single-line-stacks-collapsed.txt", &o, NULL);
}

/* --- finding a format --- */

static void formats_by_path(void **state)
{
	assert_ptr_equal(format_by_path("x/y.folded"), format_by_name("folded"));
	assert_ptr_equal(format_by_path("y.collapsed"), format_by_name("folded"));
	assert_ptr_equal(format_by_path("a.perf.txt"), format_by_name("perf-script"));
	assert_null(format_by_path("a.txt"));
	assert_null(format_by_path(""));
	assert_null(format_by_name("nope"));
}

static void assert_detected(const char *text, const char *name)
{
	const struct format *found = NULL;
	struct error *err = format_detect(text, strlen(text), "x", &found);

	if (name) {
		assert_no_error(err);
		assert_string_equal(found->name, name);
		return;
	}
	assert_non_null(err);
	assert_non_null(strstr(error_message(err), "folded"));
	error_free(err);
}

static void formats_by_content(void **state)
{
	assert_detected("main;f 12\n", "folded");
	assert_detected("# austin\nmain;f 12\nmain 3", "folded");
	assert_detected("\n# ========\n# x\nperf 1 12.5: cycles:\n", "perf-script");
	assert_detected("         dd 39654 19.5:  1 cycles:u:  ffff9 [unknown] ([unknown])\n",
			"perf-script");
	assert_detected("Dear reader,\nthis is no profile.\nIn 1999\n", NULL);
	assert_detected("", NULL);
	assert_detected("int main(void)\n{\n\treturn 0;\n}\n", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folded_lines),
		cmocka_unit_test(folded_counts),
		cmocka_unit_test(folded_endless_inlining),
		cmocka_unit_test(folded_utf16),
		cmocka_unit_test(folded_marks),
		cmocka_unit_test(folded_kinds),
		cmocka_unit_test(folded_hostile_names),
		cmocka_unit_test(folded_root_is_no_comment),
		cmocka_unit_test(folded_empty_is_an_error),
		cmocka_unit_test(clocks_are_counted),
		cmocka_unit_test(perf_event_lines),
		cmocka_unit_test(perf_frame_lines),
		cmocka_unit_test(perf_records),
		cmocka_unit_test(perf_trouble_is_told),
		cmocka_unit_test(perf_event_is_chosen),
		cmocka_unit_test(perf_types_follow_the_event),
		cmocka_unit_test(names_in_styles),
		cmocka_unit_test(equal_to_the_script),
		cmocka_unit_test(equal_to_inferno),
		cmocka_unit_test(formats_by_path),
		cmocka_unit_test(formats_by_content),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_deinit(&notices);
	return failed;
}
