/* profiler/analysis/: recordings become named profiles, and say how good they are. */
#include "tests/unit/unit.h"

#include <json-c/json.h>
#include <link.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "flamegraph/formats/format.h"
#include "profiler/analysis/naming.h"
#include "profiler/analysis/profile_of.h"
#include "profiler/analysis/report.h"
#include "profiler/analysis/summary.h"
#include "symbolizer/elf/image.h"

#define PERIOD 1000000

static char path[] = "/tmp/cprof-analysis-XXXXXX";
static uint64_t now_ns;

static int make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	return unlink(path);
}

/* --- a recording made by hand --- */

struct scene {
	struct recording_writer *w;
	uint32_t process, leader, worker; /* threads */
	uint32_t program;		  /* file: this test program */
	uint32_t other;			  /* file: mapped, not ELF */
};

static uint32_t text(struct recording_writer *w, const char *s)
{
	return recording_add_string(w, s, strlen(s));
}

static int find_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
	*(uint64_t *)bias = info->dlpi_addr;
	return 1; /* the first one is the program */
}

static uint64_t vaddr_of(const void *address)
{
	uint64_t bias = 0;

	dl_iterate_phdr(find_bias, &bias);
	return (uint64_t)(uintptr_t)address - bias;
}

static void open_scene(struct scene *s, bool right_build_id)
{
	const char *const command[] = { "./app", "--fast", NULL };
	struct recording_info info = { .command = command,
				       .backend = "perf",
				       .start_wall_ns = 1700000000000000000 };
	struct recording_file program = { .kind = RECORDING_FILE_ELF };
	struct image *image;

	now_ns = 0;
	assert_no_error(recording_create(path, &info, &s->w));
	recording_add_event(s->w, &(struct recording_event){ .name = text(s->w, "cpu-clock"),
							     .type = text(s->w, "cpu"),
							     .unit = text(s->w, "nanoseconds"),
							     .period = PERIOD,
							     .frequency_hz = 1000 });
	s->process = recording_add_process(s->w, &(struct recording_process){ .pid = 42 });
	s->leader = recording_add_thread(s->w, &(struct recording_thread){ s->process, 42 });
	s->worker = recording_add_thread(s->w, &(struct recording_thread){ s->process, 43 });
	recording_add_comm(s->w, &(struct recording_comm){ s->leader, text(s->w, "app"), 0 });
	recording_add_comm(s->w, &(struct recording_comm){ s->worker, text(s->w, "worker"), 0 });

	char *exe = realpath("/proc/self/exe", NULL);
	assert_no_error(image_open(exe, &image));
	program.path = text(s->w, exe);
	program.build_id = *image_build_id(image);
	program.build_id.bytes[0] ^= !right_build_id;
	image_close(image);
	free(exe);
	s->program = recording_add_file(s->w, &program);
	s->other = recording_add_file(s->w,
				      &(struct recording_file){ .kind = RECORDING_FILE_OTHER,
								.path = text(s->w, "/tmp/data") });
	recording_add_mapping(s->w, &(struct recording_mapping){ .process = s->process,
								 .file = s->program,
								 .start = 0x555500000000,
								 .end = 0x555501000000,
								 .bias = 0x555500000000 });
	recording_add_mapping(s->w, &(struct recording_mapping){ .process = s->process,
								 .file = s->other,
								 .start = 0x7f0000001000,
								 .end = 0x7f0000002000,
								 .offset = 0x3000 });
}

static uint32_t push(struct scene *s, uint32_t stack, uint32_t file, uint64_t address,
		     bool is_return)
{
	return recording_add_stack(
		s->w, stack,
		recording_add_location(s->w, &(struct recording_location){ .file = file,
									   .is_return = is_return,
									   .address = address }));
}

static void sample(struct scene *s, uint32_t thread, uint32_t stack, enum unwind_status status)
{
	now_ns += PERIOD;
	recording_add_sample(s->w, &(struct recording_sample){ .time_ns = now_ns,
							       .weight = PERIOD,
							       .thread = thread,
							       .comm = text(s->w, "app"),
							       .stack = stack,
							       .status = status });
}

static void read_back(struct recording *r)
{
	struct file_bytes bytes;

	assert_no_error(file_read_input(path, 0, &bytes));
	assert_no_error(recording_read(bytes.data, bytes.size, r));
	file_bytes_deinit(&bytes);
}

static void close_scene(struct scene *s, struct recording *r)
{
	assert_no_error(recording_close(s->w));
	read_back(r);
}

static void profile_of(const struct recording *r, struct profile *p)
{
	analysis_profile(r, &(struct analysis_options){ .names = NAMES_FULL }, p);
}

/* The profile as folded text, which the caller frees. */
static char *folded(const struct profile *p)
{
	struct buf out = { 0 };
	struct sink *sink = sink_to_buf(&out);
	struct write_options o = { .type = profile_find_type(p, "samples") };

	assert_no_error(
		format_by_name("folded")->write(p, &o, &(struct format_notices){ 0 }, sink));
	assert_no_error(sink_close(sink));
	return buf_take_str(&out);
}

/* Functions to be found by name; not folded into each other. */
__attribute__((noinline)) static int known_inner(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

__attribute__((noinline)) static int known_outer(int x)
{
	__asm__ volatile("" : "+r"(x));
	return known_inner(x) + 2;
}

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
		cmocka_unit_test(hits_are_named_from_the_file),
		cmocka_unit_test(another_file_gives_no_names),
		cmocka_unit_test(a_stop_leaves_the_rest_unnamed),
		cmocka_unit_test(a_killed_recording_is_named_when_it_is_read),
		cmocka_unit_test(perf_maps_name_run_time_code),
		cmocka_unit_test(incomplete_stacks_say_so),
		cmocka_unit_test(booked_time_counts_as_the_samples_it_would_have_been),
		cmocka_unit_test(threads_have_the_name_of_the_time),
		cmocka_unit_test(addresses_lie_in_their_mappings),
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
