/* profiler/analysis/: what is told of a recording and of how good it is. */
#include "tests/support/scene.h"

#include <json-c/json.h>

#include "profiler/analysis/report.h"
#include "profiler/analysis/summary.h"

/* --- what is told of a recording --- */

static void few_samples_and_losses_are_told(void **state)
{
	struct scene s;
	struct recording r;
	struct buf out = { 0 };

	open_scene(&s, true);
	uint32_t stack = push(&s, 0, s.other, 0x7f0000001010, false);
	for (int i = 0; i < 59; i++)
		sample(&s, s.leader, stack, UNWIND_OK_STOP);
	sample(&s, s.leader, stack, UNWIND_COPY_SHORT);
	recording_set_fact(s.w, "frequency_hz", 1000);
	recording_set_fact(s.w, "expected_samples", 68);
	recording_set_fact(s.w, "kernel_not_visible_ns", 5 * PERIOD);
	recording_set_fact(s.w, "emitted_samples", 60);
	recording_set_fact(s.w, "lost_samples", 3);
	recording_add_diagnostic(s.w, 0, "something \033[31m happened");
	close_scene(&s, &r);
	summary_health(&r, "", &out);
	assert_non_null(strstr(buf_str(&out), "60 samples of cpu-clock at 1000 Hz"));
	assert_non_null(strstr(buf_str(&out), "complete 98.33 %, 1 of the stacks is cut"));
	assert_non_null(strstr(buf_str(&out), "1 copy_short"));
	assert_non_null(strstr(buf_str(&out),
			       "68 expected = 60 recorded + 5 in the kernel (not visible) + 3 lost"));
	assert_non_null(strstr(buf_str(&out), "record with -F 4999"));
	assert_null(strchr(buf_str(&out), '\033'));
	buf_deinit(&out);
	recording_deinit(&r);
}

static void expect_told(const struct recording *r, const char *words, bool expected)
{
	struct buf out = { 0 };

	summary_health(r, "", &out);
	assert_int_equal(strstr(buf_str(&out), words) != NULL, expected);
	buf_deinit(&out);
}

static void set_ledger(struct scene *s, uint64_t expected, uint64_t lost, uint64_t missed)
{
	recording_set_fact(s->w, "expected_samples", expected);
	recording_set_fact(s->w, "program_entries", expected - missed);
	recording_set_fact(s->w, "missed_samples", missed);
	recording_set_fact(s->w, "emitted_samples", 1000);
	recording_set_fact(s->w, "filtered_samples", 1200);
	recording_set_fact(s->w, "idle_samples", 700);
	recording_set_fact(s->w, "lost_samples", lost);
}

static void the_kernel_programs_ledger_adds_up(void **state)
{
	struct scene s;
	struct recording r;

	open_scene(&s, true);
	set_ledger(&s, 2903, 1, 2);
	close_scene(&s, &r);
	expect_told(&r,
		    "ledger: 2,903 expected = 1,000 recorded + 1,200 of other programs + 700 idle "
		    "+ 1 lost + 2 missed\n",
		    true);
	expect_told(&r, "were lost", false);
	expect_told(&r, "were missed", false);
	expect_told(&r, "the CPUs were", false); /* only one program was recorded */
	recording_deinit(&r);

	open_scene(&s, true);
	set_ledger(&s, 3155, 11, 240);
	recording_set_fact(s.w, "whole_machine", 1);
	close_scene(&s, &r);
	expect_told(&r, "+ 11 lost + 240 missed + 4 not accounted for\n", true);
	expect_told(&r, "a lower -F leaves more room", true);
	expect_told(&r, "samples were missed", false);
	expect_told(&r,
		    "the CPUs were busy 70.1 % of the time, idle 22.2 %; 38.0 % outside of cprof's "
		    "pid namespace; the rest was missed\n",
		    true);
	recording_deinit(&r);

	open_scene(&s, true);
	set_ledger(&s, 3000, 0, 800);
	recording_set_fact(s.w, "idle_samples", 0);
	recording_set_fact(s.w, "filtered_samples", 0);
	recording_set_fact(s.w, "whole_machine", 1);
	close_scene(&s, &r);
	expect_told(&r, "samples were missed", true);
	expect_told(&r, "the CPUs were busy 33.3 % of the time, idle 0.0 %; the rest was missed\n",
		    true);
	recording_deinit(&r);

	open_scene(&s, true);
	set_ledger(&s, 3000, 0, 0);
	recording_set_fact(s.w, "program_entries", 2900);
	recording_set_fact(s.w, "idle_unseen_samples", 100);
	recording_set_fact(s.w, "whole_machine", 1);
	close_scene(&s, &r);
	expect_told(&r, " + 800 idle + 0 lost + 0 missed\n", true);
	expect_told(&r,
		    "the CPUs were busy 73.3 % of the time, idle 26.7 %; 40.0 % outside of cprof's "
		    "pid namespace\n",
		    true);
	recording_deinit(&r);

	open_scene(&s, true);
	set_ledger(&s, 2898, 0, 0);
	close_scene(&s, &r);
	expect_told(&r, "+ 0 lost + 0 missed - 2 beyond what was expected\n", true);
	recording_deinit(&r);
}

static void costs_are_told_with_their_parts(void **state)
{
	struct scene s;
	struct recording r;

	open_scene(&s, true);
	recording_set_fact(s.w, "target_cpu_ns", 10000000000);
	recording_set_fact(s.w, "cprof_cpu_ns", 200000000);
	recording_set_fact(s.w, "bpf_ns", 50000000);
	recording_set_fact(s.w, "table_build_ns", 120000000);
	recording_set_fact(s.w, "naming_cpu_ns", 70000000);
	close_scene(&s, &r);
	expect_told(&r,
		    "cprof took 320.0 ms of CPU, 3.2 % of the target's 10.00 s (1.3 % without "
		    "unwind tables and names)\n",
		    true);
	recording_deinit(&r);
}

static void backends_are_told_with_their_reason(void **state)
{
	static const char reason[] = "the kernel\033[31m has no BTF";
	struct recording_info info = { .backend = "perf", .backend_reason = reason };
	struct recording_writer *w;
	struct recording r;
	struct scene s;

	assert_no_error(recording_create(path, &info, &w));
	assert_no_error(recording_close(w));
	read_back(&r);
	expect_told(&r, "backend perf, not ebpf: the kernel\\x1b[31m has no BTF\n", true);
	recording_deinit(&r);

	open_scene(&s, true);
	recording_set_fact(s.w, "deferred_samples", 1234);
	close_scene(&s, &r);
	expect_told(&r, "backend perf; 1,234 of the stacks came before their tables", true);
	recording_deinit(&r);
}

/* A recording without a sample, but of a program that ran. */
static void read_unsampled(uint64_t tasks, struct recording *ret)
{
	struct scene s;

	open_scene(&s, true);
	recording_set_fact(s.w, "frequency_hz", 1000);
	recording_set_fact(s.w, "elapsed_ns", 900000000);
	recording_set_fact(s.w, "target_cpu_ns", 800000000);
	recording_set_fact(s.w, "unsampled_ns", 700000000);
	recording_set_fact(s.w, "unsampled_tasks", tasks);
	close_scene(&s, ret);
}

static void no_samples_are_explained(void **state)
{
	struct scene s;
	struct recording r;

	read_unsampled(400, &r);
	expect_told(&r, "88 % of the CPU time was not sampled: threads or processes", true);
	expect_told(&r, "raise -F", true);
	expect_told(&r, "record for longer", false);
	expect_told(&r, "almost", false);
	recording_deinit(&r);
	read_unsampled(0, &r);
	expect_told(&r, "the program ran for less than a period (1.0 ms)", true);
	recording_deinit(&r);

	/* no facts: cut, or never begun */
	open_scene(&s, true);
	close_scene(&s, &r);
	expect_told(&r, "too few samples", true);
	expect_told(&r, "almost", false);
	recording_deinit(&r);

	open_scene(&s, true);
	recording_set_fact(s.w, "elapsed_ns", 3000000000);
	recording_set_fact(s.w, "target_cpu_ns", 1200000);
	close_scene(&s, &r);
	expect_told(&r, "the program used (almost) no CPU: 1.2 ms", true);
	recording_deinit(&r);
}

static void run_time_code_without_names_is_one_function(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	open_scene(&s, true);
	uint32_t jit = recording_add_file(
		s.w, &(struct recording_file){ .kind = RECORDING_FILE_JIT, .process = s.process });
	sample(&s, s.leader, push(&s, 0, jit, 0x7f1000000110, false), UNWIND_OK_STOP);
	sample(&s, s.leader, push(&s, 0, jit, 0x7f1000000800, false), UNWIND_OK_STOP);
	close_scene(&s, &r);
	profile_of(&r, &p);
	char *lines = folded(&p);
	assert_string_equal(lines, "app;[jit] 2\n");
	free(lines);
	expect_told(&r, "there is no /tmp/perf-PID.map", true);
	profile_deinit(&p);
	recording_deinit(&r);
}

static void only_what_was_sampled_is_counted(void **state)
{
	struct scene s;
	struct recording r;

	open_scene(&s, true);
	recording_add_process(s.w, &(struct recording_process){ .pid = 77 });
	sample(&s, s.worker, push(&s, 0, s.other, 0x7f0000001010, false), UNWIND_OK_STOP);
	close_scene(&s, &r);
	expect_told(&r, "of 1 process, 1 thread\n", true);
	recording_deinit(&r);
}

static void complete_is_not_rounded_up(void **state)
{
	struct health h = { .whole = 1000000, .cut = 1 };
	struct buf out = { 0 };

	health_add_percent(&out, &h);
	assert_string_equal(buf_str(&out), "99.99 %");
	buf_clear(&out);
	health_add_percent(&out, &(struct health){ .whole = 5 });
	assert_string_equal(buf_str(&out), "100.00 %");
	buf_deinit(&out);
}

static void read_folded(const char *lines, struct profile *p)
{
	profile_init(p);
	assert_no_error(format_by_name("folded")->read(lines, strlen(lines),
						       &(struct read_options){ .name = "test" },
						       &(struct format_notices){ 0 }, p));
}

static void recursion_counts_once(void **state)
{
	struct profile p;
	struct report r = { .profile = &p, .file = "x", .format = "folded" };

	read_folded("a;b;a;b;c 3\na;c 2\nb 1\n", &p);
	report_prepare(&r);
	assert_int_equal(r.hot.sum, 6);
	assert_int_equal(r.hot.functions.count, 3);
	assert_string_equal(profile_text(&p, r.hot.functions.items[0].name), "c");
	assert_int_equal(r.hot.functions.items[0].self, 5);
	assert_int_equal(r.hot.functions.items[0].total, 5);
	assert_string_equal(profile_text(&p, r.hot.functions.items[1].name), "b");
	assert_int_equal(r.hot.functions.items[1].self, 1);
	assert_int_equal(r.hot.functions.items[1].total, 4);
	assert_string_equal(profile_text(&p, r.hot.functions.items[2].name), "a");
	assert_int_equal(r.hot.functions.items[2].total, 5);
	report_deinit(&r);
	profile_deinit(&p);
}

static char *written(const struct report *r, void (*write)(const struct report *, struct sink *))
{
	struct buf out = { 0 };
	struct sink *sink = sink_to_buf(&out);

	write(r, sink);
	assert_no_error(sink_close(sink));
	return buf_take_str(&out);
}

static void names_cannot_write_to_the_terminal(void **state)
{
	struct profile p;
	struct report r = { .profile = &p, .file = "x\033y", .format = "folded", .width = 100 };
	void (*const writers[])(const struct report *, struct sink *) = { report_text, report_tree,
									  report_markdown,
									  report_json };

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	uint32_t name = profile_string(&p, "evil\033]0;x\a\n| `b` \xff name");
	int64_t one = 1;
	profile_add_sample(&p, profile_push(&p, 0, profile_name_location(&p, name, FRAME_USER)), 0,
			   &one);
	report_prepare(&r);
	for (size_t i = 0; i < ARRAY_SIZE(writers); i++) {
		char *out = written(&r, writers[i]);
		assert_null(strchr(out, '\033'));
		assert_null(strchr(out, '\a'));
		assert_null(strstr(out, "\n|`")); /* no table cell of its own */
		free(out);
	}
	report_deinit(&r);
	profile_deinit(&p);
}

static void json_tells_the_numbers_of_the_table(void **state)
{
	struct profile p;
	struct report r = { .profile = &p, .file = "x", .format = "folded", .with_tree = true };

	read_folded("a;b;a;b;c 3\na;c 2\nb 1\n", &p);
	report_prepare(&r);
	char *out = written(&r, report_json);
	json_object *doc = json_tokener_parse(out), *functions, *tree, *field;
	assert_non_null(doc);
	assert_true(json_object_object_get_ex(doc, "schema", &field));
	assert_string_equal(json_object_get_string(field), "cprof.report/1");
	assert_true(json_object_object_get_ex(doc, "total_samples", &field));
	assert_int_equal(json_object_get_int64(field), 6);
	assert_true(json_object_object_get_ex(doc, "functions", &functions));
	assert_int_equal(json_object_array_length(functions), r.hot.functions.count);
	for (size_t i = 0; i < r.hot.functions.count; i++) {
		json_object *f = json_object_array_get_idx(functions, i);
		assert_true(json_object_object_get_ex(f, "self_samples", &field));
		assert_int_equal(json_object_get_int64(field), r.hot.functions.items[i].self);
		assert_true(json_object_object_get_ex(f, "total_samples", &field));
		assert_int_equal(json_object_get_int64(field), r.hot.functions.items[i].total);
	}
	assert_true(json_object_object_get_ex(doc, "tree", &tree));
	assert_int_equal(json_object_array_length(tree), r.tree.nodes.count);
	json_object_put(doc);
	free(out);
	report_deinit(&r);
	profile_deinit(&p);
}

static void long_names_are_cut_to_the_width(void **state)
{
	struct buf out = { 0 };

	summary_add_name(&out, "abcdefghij", 10, 8);
	assert_string_equal(buf_str(&out), "abcde...");
	buf_clear(&out);
	summary_add_name(&out, "äöüäöüäö", 16, 8);
	assert_string_equal(buf_str(&out), "äöüäöüäö");
	buf_clear(&out);
	summary_add_name(&out, "abcdefghij", 10, 0);
	assert_string_equal(buf_str(&out), "abcdefghij");
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_samples_and_losses_are_told),
		cmocka_unit_test(the_kernel_programs_ledger_adds_up),
		cmocka_unit_test(costs_are_told_with_their_parts),
		cmocka_unit_test(backends_are_told_with_their_reason),
		cmocka_unit_test(no_samples_are_explained),
		cmocka_unit_test(only_what_was_sampled_is_counted),
		cmocka_unit_test(run_time_code_without_names_is_one_function),
		cmocka_unit_test(complete_is_not_rounded_up),
		cmocka_unit_test(recursion_counts_once),
		cmocka_unit_test(names_cannot_write_to_the_terminal),
		cmocka_unit_test(json_tells_the_numbers_of_the_table),
		cmocka_unit_test(long_names_are_cut_to_the_width),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
