/* profiler/analysis/: recordings become named profiles. */
#include "tests/support/scene.h"

#include <sys/wait.h>

#include "profiler/analysis/health.h"
#include "profiler/analysis/naming.h"

/* --- naming --- */

/* Ends with a call that does not come back; the next function follows without padding. */
void known_end(void);
void known_next(void);
#if defined(__x86_64__)
#define CALL "call"
#else
#define CALL "bl"
#endif
asm(".text\n\t.p2align 4\n\t.globl known_end, known_next\n\t.type known_end, %function\n"
    "known_end:\n\t" CALL " known_end\n\t.size known_end, . - known_end\n\t"
    ".type known_next, %function\n"
    "known_next:\n\tret\n\t.size known_next, . - known_next\n");

static void hits_are_named_from_the_file(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	assert_int_equal(known_outer(1), 4);
	open_scene(&s, true);
	uint32_t stack = push(&s, 0, s.program, vaddr_of((void *)known_outer) + 1, true);
	stack = push(&s, stack, s.program, vaddr_of((void *)known_inner), false);
	sample(&s, s.leader, stack, UNWIND_OK_STOP);
	/* A return address at a function's very start belongs to the call at the end of the one
	 * before it: it must not be named after the function that starts there. */
	stack = push(&s, 0, s.program, vaddr_of((void *)known_next), true);
	sample(&s, s.leader, stack, UNWIND_OK_STOP);
	naming_embed(s.w, NULL, NULL);
	close_scene(&s, &r);
	profile_of(&r, &p);

	char *lines = folded(&p);
	assert_non_null(strstr(lines, "app;known_outer;known_inner 1\n"));
	assert_non_null(strstr(lines, "app;known_end 1\n"));
	free(lines);
	profile_deinit(&p);
	recording_deinit(&r);
}

static void another_file_gives_no_names(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;
	char expected[128];
	uint64_t address = vaddr_of((void *)known_inner);

	open_scene(&s, false);
	sample(&s, s.leader, push(&s, 0, s.program, address, false), UNWIND_OK_STOP);
	naming_embed(s.w, NULL, NULL);
	close_scene(&s, &r);
	assert_true(r.diagnostics.count >= 1);
	assert_non_null(strstr(intern_get(&r.strings, r.diagnostics.items[0].text), "no names"));
	profile_of(&r, &p);
	char *lines = folded(&p);
	snprintf(expected, sizeof(expected), "app;analysis_test+0x%llx 1\n",
		 (unsigned long long)address);
	assert_string_equal(lines, expected);
	free(lines);
	profile_deinit(&p);
	recording_deinit(&r);
}

static void a_stop_leaves_the_rest_unnamed(void **state)
{
	volatile sig_atomic_t stop = 1;
	struct scene s;
	struct recording r;

	open_scene(&s, true);
	push(&s, 0, s.program, vaddr_of((void *)known_inner), false);
	naming_embed(s.w, NULL, &stop);
	close_scene(&s, &r);
	assert_int_equal(r.symbols.count, 0);
	recording_deinit(&r);
}

static void a_killed_recording_is_named_when_it_is_read(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	open_scene(&s, true);
	sample(&s, s.leader, push(&s, 0, s.program, vaddr_of((void *)known_inner), false),
	       UNWIND_OK_STOP);
	assert_no_error(recording_flush(s.w));
	read_back(&r);
	assert_true(r.was_cut);
	naming_complete(&r);
	profile_of(&r, &p);
	char *lines = folded(&p);
	assert_string_equal(lines, "app;known_inner 1\n");
	free(lines);
	profile_deinit(&p);
	recording_deinit(&r);
	assert_no_error(recording_close(s.w));
}

static void perf_maps_name_run_time_code(void **state)
{
	char map[64];
	struct scene s;
	struct recording r;
	struct profile p;

	snprintf(map, sizeof(map), "/tmp/perf-%d.map", getpid());
	FILE *f = fopen(map, "w");
	assert_non_null(f);
	fprintf(f, "7f1000000100 40 compiled code\n");
	assert_int_equal(fclose(f), 0);

	open_scene(&s, true);
	uint32_t process = recording_add_process(
		s.w, &(struct recording_process){ .pid = (uint32_t)getpid(), .uid = getuid() });
	uint32_t jit = recording_add_file(
		s.w, &(struct recording_file){ .kind = RECORDING_FILE_JIT, .process = process });
	recording_add_mapping(s.w, &(struct recording_mapping){ .process = process,
								.file = jit,
								.start = 0x7f1000000000,
								.end = 0x7f1000001000 });
	sample(&s, s.leader, push(&s, 0, jit, 0x7f1000000110, false), UNWIND_OK_STOP);
	sample(&s, s.leader, push(&s, 0, jit, 0x7f1000000800, false), UNWIND_OK_STOP);
	naming_embed(s.w, NULL, NULL);
	unlink(map);
	close_scene(&s, &r);
	profile_of(&r, &p);
	char *lines = folded(&p);
	assert_string_equal(lines, "app;[jit] 1\napp;compiled code 1\n");
	free(lines);
	profile_deinit(&p);
	recording_deinit(&r);
}

/* --- profiles --- */

static void incomplete_stacks_say_so(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	open_scene(&s, true);
	uint32_t stack = push(&s, 0, s.other, 0x7f0000001010, false);
	sample(&s, s.leader, stack, UNWIND_OK_STOP);
	sample(&s, s.leader, stack, UNWIND_COPY_SHORT);
	sample(&s, s.leader, stack, UNWIND_GUESSED);
	sample(&s, s.leader, 0, UNWIND_NO_TABLE);
	sample(&s, s.leader, stack, UNWIND_EXITING);
	close_scene(&s, &r);
	profile_of(&r, &p);
	char *lines = folded(&p);
	assert_string_equal(lines, "app;[guessed];data+0x3010 1\n"
				   "app;[truncated: copy_short];data+0x3010 1\n"
				   "app;[truncated: no_table] 1\n"
				   "app;data+0x3010 2\n");
	free(lines);

	size_t labelled = 0;
	for (size_t i = 0; i < p.samples.count; i++)
		labelled += profile_find_label(&p, p.samples.items[i].labels,
					       PROFILE_LABEL_STATUS) != NULL;
	assert_int_equal(labelled, 3);
	assert_int_equal(profile_total(&p, p.default_type), 5 * PERIOD);
	assert_string_equal(profile_text(&p, p.types.items[p.default_type].type), "cpu");
	profile_deinit(&p);
	recording_deinit(&r);
}

static void booked_time_counts_as_the_samples_it_would_have_been(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;
	struct health h;

	open_scene(&s, true);
	uint32_t file = recording_add_file(
		s.w, &(struct recording_file){ .kind = RECORDING_FILE_SENTINEL,
					       .path = text(s.w, "[kernel, not visible]") });
	uint32_t stack = push(&s, 0, file, 0, false);
	recording_add_sample(s.w, &(struct recording_sample){ .weight = 7 * PERIOD + 1,
							      .thread = s.leader,
							      .comm = text(s.w, "app"),
							      .stack = stack,
							      .status = UNWIND_KTHREAD });
	close_scene(&s, &r);
	health_of(&r, &h);
	assert_int_equal(h.samples, 0);
	profile_of(&r, &p);
	char *lines = folded(&p);
	assert_string_equal(lines, "app;[kernel, not visible] 7\n");
	free(lines);
	assert_int_equal(profile_total(&p, p.default_type), 7 * PERIOD + 1);
	profile_deinit(&p);
	recording_deinit(&r);
}

static void threads_have_the_name_of_the_time(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	open_scene(&s, true);
	uint32_t stack = push(&s, 0, s.other, 0x7f0000001010, false);
	sample(&s, s.worker, stack, UNWIND_OK_STOP);
	recording_add_comm(s.w,
			   &(struct recording_comm){ s.worker, text(s.w, "renamed"), now_ns + 1 });
	sample(&s, s.worker, stack, UNWIND_OK_STOP);
	close_scene(&s, &r);
	profile_of(&r, &p);
	assert_int_equal(p.samples.count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct profile_label *l =
			profile_find_label(&p, p.samples.items[i].labels, PROFILE_LABEL_THREAD);
		assert_string_equal(profile_text(&p, l->str), i ? "renamed" : "worker");
		l = profile_find_label(&p, p.samples.items[i].labels, PROFILE_LABEL_COMM);
		assert_string_equal(profile_text(&p, l->str), "app");
	}
	profile_deinit(&p);
	recording_deinit(&r);
}

/* pprof's rules: inside the mapping, and inside the call instruction for callers. */
static void addresses_lie_in_their_mappings(void **state)
{
	struct scene s;
	struct recording r;
	struct profile p;

	open_scene(&s, true);
	uint32_t stack = push(&s, 0, s.program, 0x2000, true);
	stack = push(&s, stack, s.program, 0x5000000, false); /* beyond the first mapping */
	sample(&s, s.leader, stack, UNWIND_OK_STOP);
	close_scene(&s, &r);
	profile_of(&r, &p);
	assert_int_equal(p.locations.count, 3);
	assert_int_equal(p.locations.items[1].address, 0x555500000000 + 0x1fff);
	assert_int_equal(p.locations.items[2].address, 0x555500000000 + 0x5000000);
	for (size_t i = 1; i < p.locations.count; i++) {
		const struct profile_mapping *m = &p.mappings.items[p.locations.items[i].mapping];
		assert_true(p.locations.items[i].address >= m->start);
		assert_true(p.locations.items[i].address < m->limit);
		assert_false(m->has_functions);
	}
	profile_deinit(&p);
	recording_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hits_are_named_from_the_file),
		cmocka_unit_test(another_file_gives_no_names),
		cmocka_unit_test(a_stop_leaves_the_rest_unnamed),
		cmocka_unit_test(a_killed_recording_is_named_when_it_is_read),
		cmocka_unit_test(perf_maps_name_run_time_code),
		cmocka_unit_test(incomplete_stacks_say_so),
		cmocka_unit_test(booked_time_counts_as_the_samples_it_would_have_been),
		cmocka_unit_test(threads_have_the_name_of_the_time),
		cmocka_unit_test(addresses_lie_in_their_mappings),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}
