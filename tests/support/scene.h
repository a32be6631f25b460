/*
 * A recording made by hand, in a file of its own: a process with two threads that runs this very
 * program, the kernel, and code of run-time compilers. Included by the tests of profiler/analysis/.
 */
#ifndef CPROF_TESTS_SCENE_H
#define CPROF_TESTS_SCENE_H

#include "tests/unit/unit.h"

#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "flamegraph/formats/format.h"
#include "profiler/analysis/profile_of.h"
#include "symbolizer/elf/image.h"

#define PERIOD 1000000

static char path[] = "/tmp/cprof-analysis-XXXXXX";
static uint64_t now_ns;

static inline int make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static inline int remove_path(void **state)
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

static inline uint32_t text(struct recording_writer *w, const char *s)
{
	return recording_add_string(w, s, strlen(s));
}

static inline int find_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
	*(uint64_t *)bias = info->dlpi_addr;
	return 1; /* the first one is the program */
}

static inline uint64_t vaddr_of(const void *address)
{
	uint64_t bias = 0;

	dl_iterate_phdr(find_bias, &bias);
	return (uint64_t)(uintptr_t)address - bias;
}

static inline void open_scene(struct scene *s, bool right_build_id)
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

static inline uint32_t push(struct scene *s, uint32_t stack, uint32_t file, uint64_t address,
			    bool is_return)
{
	return recording_add_stack(
		s->w, stack,
		recording_add_location(s->w, &(struct recording_location){ .file = file,
									   .is_return = is_return,
									   .address = address }));
}

static inline void sample(struct scene *s, uint32_t thread, uint32_t stack,
			  enum unwind_status status)
{
	now_ns += PERIOD;
	recording_add_sample(s->w, &(struct recording_sample){ .time_ns = now_ns,
							       .weight = PERIOD,
							       .thread = thread,
							       .comm = text(s->w, "app"),
							       .stack = stack,
							       .status = status });
}

static inline void read_back(struct recording *r)
{
	struct file_bytes bytes;

	assert_no_error(file_read_input(path, 0, &bytes));
	assert_no_error(recording_read(bytes.data, bytes.size, r));
	file_bytes_deinit(&bytes);
}

static inline void close_scene(struct scene *s, struct recording *r)
{
	assert_no_error(recording_close(s->w));
	read_back(r);
}

static inline void profile_of(const struct recording *r, struct profile *p)
{
	analysis_profile(r, &(struct analysis_options){ .names = NAMES_FULL }, p);
}

/* The profile as folded text, which the caller frees. */
static inline char *folded(const struct profile *p)
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
__attribute__((noinline)) static UNUSED int known_inner(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

__attribute__((noinline)) static UNUSED int known_outer(int x)
{
	__asm__ volatile("" : "+r"(x));
	return known_inner(x) + 2;
}

#endif
