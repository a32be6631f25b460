/* profiler/recording/: what is written is read again, whole or as far as it goes. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/recording/format.h"

static char folder[] = "/tmp/cprof-recording-XXXXXX";

static int make_folder(void **state)
{
	return mkdtemp(folder) ? 0 : -1;
}

static char *path_of(const char *name)
{
	return mem_printf("%s/%s", folder, name);
}

/* A generator of its own, so that a failure can be repeated. */
static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state * 0x2545f4914f6cdd1dULL >> 16) % n;
}

/* --- a random recording, kept beside the file to compare with --- */

struct expected {
	VEC(struct recording_sample) samples;
	VEC(struct recording_location) locations;
	VEC(struct recording_stack) stacks;
	uint32_t diagnostics;
};

/* What a writer does not keep, of the one that is in work; index 0 is unused, as in recordings. */
static struct {
	VEC(struct recording_thread) threads;
	VEC(struct recording_comm) comms;
	VEC(struct recording_mapping) mappings;
} added;

static int remove_folder(void **state)
{
	vec_deinit(&added.threads);
	vec_deinit(&added.comms);
	vec_deinit(&added.mappings);
	return rmdir(folder);
}

static uint32_t add_name(struct recording_writer *w, const char *kind, uint64_t n)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "%s%c%llu", kind, (char)(n % 40),
			   (unsigned long long)n);

	return recording_add_string(w, text, (size_t)len);
}

static void add_tables(struct recording_writer *w)
{
	const struct recording *t = recording_written(w);
	uint32_t parent = (uint32_t)random_below(t->processes.count);
	struct recording_process p = { .pid = (uint32_t)random_below(1U << 22),
				       .ns_pid = (uint32_t)random_below(5),
				       .parent = parent,
				       .uid = UINT32_MAX,
				       .start_ns = random_below(UINT64_MAX),
				       .root = add_name(w, "root", random_below(3)) };
	uint32_t process = recording_add_process(w, &p);
	struct recording_thread new = { process, 7 };
	uint32_t thread = recording_add_thread(w, &new);
	struct recording_comm comm = { thread, add_name(w, "comm", process), 5 };

	assert_int_equal(thread, added.threads.count);
	vec_push(&added.threads, new);
	recording_add_comm(w, &comm);
	vec_push(&added.comms, comm);
	for (uint64_t i = random_below(4); i; i--) {
		struct recording_file f = { .kind = (enum recording_file_kind)random_below(
						    RECORDING_FILE_SENTINEL + 1),
					    .path = add_name(w, "path", random_below(1000)),
					    .process = process };
		f.build_id.size = (uint8_t)random_below(BUILD_ID_MAX + 1);
		memset(f.build_id.bytes, (int)random_below(256), f.build_id.size);
		uint32_t file = recording_add_file(w, &f);
		uint64_t start = random_below(UINT64_MAX / 2);
		struct recording_mapping m = { .process = process,
					       .file = file,
					       .start = start,
					       .end = start + random_below(1U << 30),
					       .offset = random_below(1U << 30),
					       .bias = random_below(UINT64_MAX),
					       .time_ns = random_below(UINT64_MAX) };

		assert_int_equal(recording_add_mapping(w, &m), added.mappings.count);
		vec_push(&added.mappings, m);
	}
}

static uint32_t add_location(struct recording_writer *w)
{
	struct recording_location l = {
		.file = 1 + (uint32_t)random_below(recording_written(w)->files.count - 1),
		.is_return = random_below(2),
		.guessed = random_below(10) == 0,
		.address = random_below(3) ? random_below(1U << 20) : ~random_below(1U << 20),
	};
	uint32_t id = recording_add_location(w, &l);

	assert_int_equal(recording_add_location(w, &l), id);
	return id;
}

static void add_sample(struct recording_writer *w, struct expected *e, uint64_t time_ns)
{
	const struct recording *t = recording_written(w);
	uint32_t stack = random_below(3) ? (uint32_t)random_below(t->stacks.count) : 0;

	for (uint64_t i = random_below(20); i; i--) {
		uint32_t location = random_below(4) && t->locations.count > 1
					    ? 1 + (uint32_t)random_below(t->locations.count - 1)
					    : add_location(w);
		stack = recording_add_stack(w, stack, location);
	}
	struct recording_sample s = {
		.time_ns = time_ns,
		.weight = random_below(8) ? 1003009 : random_below(UINT64_MAX),
		.thread = 1 + (uint32_t)random_below(added.threads.count - 1),
		.comm = add_name(w, "comm", random_below(20)),
		.stack = stack,
		.cpu = (uint16_t)random_below(random_below(9) ? 2 : 65536),
		.event = (uint16_t)random_below(2),
		.status = (enum unwind_status)random_below(UNWIND_STATUS_COUNT),
	};
	recording_add_sample(w, &s);
	vec_push(&e->samples, s);
}

static void add_symbols(struct recording_writer *w)
{
	const struct recording *t = recording_written(w);

	for (uint32_t location = 1; location < t->locations.count; location += 3) {
		struct recording_symbol_frame frames[3];
		uint32_t count = (uint32_t)random_below(4);
		for (uint32_t i = 0; i < count; i++)
			frames[i] = (struct recording_symbol_frame){
				.name = add_name(w, "function", location + i),
				.source = add_name(w, "file", i),
				.line = (uint32_t)random_below(UINT32_MAX),
				.inlined = i + 1 < count,
				.is_folded = random_below(2),
			};
		recording_add_symbol(w, location, random_below(UINT64_MAX), frames, count);
	}
}

static struct recording_writer *open_writer(const char *path)
{
	const char *const command[] = { "./app", "", "a b\n;", NULL };
	struct recording_info info = { .command = command,
				       .backend = "perf",
				       .backend_reason = "no BTF",
				       .target = "all CPUs",
				       .start_ns = 12345678901ULL,
				       .start_wall_ns = 1700000000000000000ULL };
	struct recording_writer *w;

	assert_no_error(recording_create(path, &info, &w));
	for (int i = 0; i < 2; i++)
		recording_add_event(w, &(struct recording_event){ .name = add_name(w, "event", i),
								  .type = add_name(w, "type", i),
								  .unit = add_name(w, "unit", 0),
								  .period = i ? 0 : 1003009,
								  .frequency_hz = 997 });
	added.threads.count = added.comms.count = added.mappings.count = 0;
	vec_push(&added.threads, (struct recording_thread){ 0 });
	vec_push(&added.mappings, (struct recording_mapping){ 0 });
	add_tables(w);
	recording_add_file(w, &(struct recording_file){ .kind = RECORDING_FILE_ELF });
	return w;
}

/* Keeps what a reader must find. */
static void keep_tables(const struct recording *t, struct expected *e)
{
	vec_reserve(&e->locations, t->locations.count);
	memcpy(e->locations.items, t->locations.items,
	       t->locations.count * sizeof(*t->locations.items));
	e->locations.count = t->locations.count;
	vec_reserve(&e->stacks, t->stacks.count);
	memcpy(e->stacks.items, t->stacks.items, t->stacks.count * sizeof(*t->stacks.items));
	e->stacks.count = t->stacks.count;
}

static void free_expected(struct expected *e)
{
	vec_deinit(&e->samples);
	vec_deinit(&e->locations);
	vec_deinit(&e->stacks);
}

/* Writes n samples with a flush now and then; the table of names and symbols at the end. */
static void write_random(const char *path, uint64_t seed, size_t n, struct expected *e)
{
	uint64_t time_ns = 0;

	random_state = seed;
	struct recording_writer *w = open_writer(path);
	for (size_t i = 0; i < n; i++) {
		if (random_below(30) == 0)
			add_tables(w);
		time_ns += random_below(2000000);
		add_sample(w, e, time_ns);
		recording_set_fact(w, "emitted_samples", i + 1);
		if (random_below(100) == 0) {
			recording_add_diagnostic(w, i, "number %zu", i);
			e->diagnostics++;
		}
		if (random_below(50) == 0)
			assert_no_error(recording_flush(w));
	}
	add_symbols(w);
	keep_tables(recording_written(w), e);
	assert_no_error(recording_close(w));
}

static void assert_same_sample(const struct recording_sample *a, const struct recording_sample *b)
{
	assert_int_equal(a->time_ns, b->time_ns);
	assert_int_equal(a->weight, b->weight);
	assert_int_equal(a->thread, b->thread);
	assert_int_equal(a->comm, b->comm);
	assert_int_equal(a->stack, b->stack);
	assert_int_equal(a->cpu, b->cpu);
	assert_int_equal(a->event, b->event);
	assert_int_equal(a->status, b->status);
}

/* What was read is the expected recording, or its first part. */
static void assert_prefix(const struct recording *r, const struct expected *e)
{
	assert_in_range(r->samples.count, 0, e->samples.count);
	assert_in_range(r->locations.count, 1, e->locations.count);
	assert_in_range(r->stacks.count, 1, e->stacks.count);
	for (size_t i = 0; i < r->samples.count; i++)
		assert_same_sample(&r->samples.items[i], &e->samples.items[i]);
	for (size_t i = 1; i < r->locations.count; i++) {
		assert_int_equal(r->locations.items[i].file, e->locations.items[i].file);
		assert_int_equal(r->locations.items[i].address, e->locations.items[i].address);
		assert_int_equal(r->locations.items[i].is_return, e->locations.items[i].is_return);
		assert_int_equal(r->locations.items[i].guessed, e->locations.items[i].guessed);
	}
	for (size_t i = 1; i < r->stacks.count; i++) {
		assert_int_equal(r->stacks.items[i].parent, e->stacks.items[i].parent);
		assert_int_equal(r->stacks.items[i].location, e->stacks.items[i].location);
	}
}

static void read_file(const char *path, struct recording *r)
{
	struct file_bytes bytes;

	assert_no_error(file_read_input(path, 0, &bytes));
	assert_true(recording_detect(bytes.data, bytes.size));
	assert_no_error(recording_read(bytes.data, bytes.size, r));
	file_bytes_deinit(&bytes);
}

static void what_is_written_is_read(void **state)
{
	char *path = path_of("random.cprof");

	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct expected e = { 0 };
		struct recording r;
		struct stat st;
		uint64_t total = 0;

		write_random(path, seed, seed * 40, &e);
		read_file(path, &r);
		assert_prefix(&r, &e);
		assert_int_equal(r.samples.count, e.samples.count);
		assert_int_equal(r.locations.count, e.locations.count);
		assert_int_equal(r.stacks.count, e.stacks.count);
		assert_int_equal(r.diagnostics.count, e.diagnostics);
		assert_false(r.was_cut);
		assert_int_equal(r.cut_bytes, 0);
		assert_int_equal(recording_fact(&r, "emitted_samples", 0), seed * 40);
		assert_int_equal(recording_fact(&r, "no_such_fact", 99), 99);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		for (size_t i = 0; i < RECORDING_CHUNK_KINDS; i++)
			total += r.chunk_bytes[i];
		assert_int_equal(total, st.st_size);
		recording_deinit(&r);
		free_expected(&e);
	}
	unlink(path);
	free(path);
}

static void assert_same_event(const struct recording_event *a, const struct recording_event *b)
{
	assert_int_equal(a->name, b->name);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->unit, b->unit);
	assert_int_equal(a->period, b->period);
	assert_int_equal(a->frequency_hz, b->frequency_hz);
}

static void assert_same_process(const struct recording_process *a,
				const struct recording_process *b)
{
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->ns_pid, b->ns_pid);
	assert_int_equal(a->parent, b->parent);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->start_ns, b->start_ns);
	assert_int_equal(a->root, b->root);
}

static void assert_same_mapping(const struct recording_mapping *a,
				const struct recording_mapping *b)
{
	assert_int_equal(a->process, b->process);
	assert_int_equal(a->file, b->file);
	assert_int_equal(a->start, b->start);
	assert_int_equal(a->end, b->end);
	assert_int_equal(a->offset, b->offset);
	assert_int_equal(a->bias, b->bias);
	assert_int_equal(a->time_ns, b->time_ns);
}

/* Every row of the tables, field by field: the reader's against the writer's own. */
static void tables_are_read_as_added(void **state)
{
	char *path = path_of("tables.cprof");
	struct recording r;

	random_state = 77;
	struct recording_writer *w = open_writer(path);
	for (int i = 0; i < 50; i++) {
		add_tables(w);
		if (i % 20 == 0)
			assert_no_error(recording_flush(w));
	}
	for (int i = 0; i < 30; i++)
		add_location(w);
	add_symbols(w);
	assert_no_error(recording_flush(w));
	read_file(path, &r);

	const struct recording *t = recording_written(w);
	assert_true(r.was_cut); /* not closed yet */
	assert_int_equal(r.strings.count, t->strings.count);
	for (uint32_t i = 0; i < r.strings.count; i++) {
		assert_int_equal(intern_len(&r.strings, i), intern_len(&t->strings, i));
		assert_memory_equal(intern_get(&r.strings, i), intern_get(&t->strings, i),
				    intern_len(&t->strings, i) + 1);
	}
	assert_int_equal(r.command.count, 3);
	assert_string_equal(intern_get(&r.strings, r.command.items[2]), "a b\n;");
	assert_string_equal(intern_get(&r.strings, r.backend), "perf");
	assert_string_equal(intern_get(&r.strings, r.backend_reason), "no BTF");
	assert_string_equal(intern_get(&r.strings, r.target), "all CPUs");
	assert_true(intern_len(&r.strings, r.host) > 0);
	assert_int_equal(r.start_ns, 12345678901ULL);
	assert_int_equal(r.start_wall_ns, 1700000000000000000ULL);
	for (size_t i = 0; i < t->events.count; i++)
		assert_same_event(&r.events.items[i], &t->events.items[i]);
	for (size_t i = 0; i < t->processes.count; i++)
		assert_same_process(&r.processes.items[i], &t->processes.items[i]);
	for (size_t i = 0; i < added.mappings.count; i++)
		assert_same_mapping(&r.mappings.items[i], &added.mappings.items[i]);
	for (size_t i = 0; i < added.comms.count; i++) {
		assert_int_equal(r.comms.items[i].thread, added.comms.items[i].thread);
		assert_int_equal(r.comms.items[i].name, added.comms.items[i].name);
	}
	assert_int_equal(r.events.count, t->events.count);
	assert_int_equal(r.processes.count, t->processes.count);
	assert_int_equal(r.mappings.count, added.mappings.count);
	assert_int_equal(r.threads.count, added.threads.count);
	assert_memory_equal(r.threads.items, added.threads.items,
			    added.threads.count * sizeof(*added.threads.items));
	assert_int_equal(r.comms.count, added.comms.count);
	assert_int_equal(r.files.count, t->files.count);
	for (size_t i = 1; i < r.files.count; i++) {
		assert_int_equal(r.files.items[i].kind, t->files.items[i].kind);
		assert_int_equal(r.files.items[i].path, t->files.items[i].path);
		assert_true(
			build_id_equal(&r.files.items[i].build_id, &t->files.items[i].build_id));
	}
	assert_int_equal(r.symbols.count, t->symbols.count);
	assert_int_equal(r.symbol_frames.count, t->symbol_frames.count);
	for (size_t i = 0; i < r.symbols.count; i++) {
		assert_int_equal(r.symbols.items[i].location, t->symbols.items[i].location);
		assert_int_equal(r.symbols.items[i].start, t->symbols.items[i].start);
		assert_int_equal(r.symbols.items[i].first, t->symbols.items[i].first);
		assert_int_equal(r.symbols.items[i].count, t->symbols.items[i].count);
	}
	for (size_t i = 0; i < r.symbol_frames.count; i++) {
		assert_int_equal(r.symbol_frames.items[i].name, t->symbol_frames.items[i].name);
		assert_int_equal(r.symbol_frames.items[i].source, t->symbol_frames.items[i].source);
		assert_int_equal(r.symbol_frames.items[i].line, t->symbol_frames.items[i].line);
		assert_int_equal(r.symbol_frames.items[i].inlined,
				 t->symbol_frames.items[i].inlined);
		assert_int_equal(r.symbol_frames.items[i].is_folded,
				 t->symbol_frames.items[i].is_folded);
	}
	recording_deinit(&r);
	assert_no_error(recording_close(w));
	unlink(path);
	free(path);
}

/* The latest are kept: the processes of the first may be gone by the time that names are looked
 * for. */
static void files_have_their_latest_roots(void **state)
{
	const uint32_t most = RECORDING_ROOTS_MAX;
	struct recording_mapping m = { .file = 3 };
	struct recording r;
	uint32_t sum = 0;

	recording_init(&r);
	for (uint32_t i = 1; i <= 3 * most; i++)
		vec_push(&r.processes, (struct recording_process){ .root = 100 + i });
	recording_note_root(&r, &m); /* its process has none of its own */
	assert_int_equal(recording_root(&r, 3, 0), 0);
	for (m.process = 1; m.process <= 2; m.process++) {
		recording_note_root(&r, &m);
		recording_note_root(&r, &m);
	}
	assert_int_equal(recording_root(&r, 3, 0), 101);
	assert_int_equal(recording_root(&r, 3, 1), 102);
	assert_int_equal(recording_root(&r, 3, 2), 0);
	assert_int_equal(recording_root(&r, 4, 0), 0);
	for (; m.process <= 3 * most; m.process++)
		recording_note_root(&r, &m);
	for (uint32_t i = 0; i < most; i++) {
		assert_in_range(recording_root(&r, 3, i), 101 + 2 * most, 100 + 3 * most);
		sum += recording_root(&r, 3, i);
	}
	assert_int_equal(sum, (201 + 5 * most) * most / 2);
	assert_int_equal(recording_root(&r, 3, most), 0);
	recording_deinit(&r);
}

/* More than one chunk of everything, without a flush between. */
static void large_flushes_are_split(void **state)
{
	char *path = path_of("large.cprof");
	struct expected e = { 0 };
	struct recording r;

	random_state = 5;
	struct recording_writer *w = open_writer(path);
	for (size_t i = 0; i < RECORDING_CHUNK_RECORDS + 1000; i++)
		add_sample(w, &e, i);
	keep_tables(recording_written(w), &e);
	assert_no_error(recording_close(w));
	read_file(path, &r);
	assert_false(r.was_cut);
	assert_int_equal(r.samples.count, e.samples.count);
	assert_true(r.stacks.count > RECORDING_CHUNK_RECORDS);
	assert_prefix(&r, &e);
	recording_deinit(&r);
	free_expected(&e);
	unlink(path);
	free(path);
}

static void long_strings_are_cut(void **state)
{
	char *path = path_of("long.cprof");
	char *text = mem_alloc(100000);
	struct recording r;

	memset(text, 'x', 100000);
	struct recording_writer *w = open_writer(path);
	uint32_t id = recording_add_string(w, text, 100000);
	assert_no_error(recording_close(w));
	read_file(path, &r);
	assert_int_equal(intern_len(&r.strings, id), RECORDING_STRING_MAX);
	recording_deinit(&r);
	free(text);
	unlink(path);
	free(path);
}

static void every_cut_gives_a_prefix(void **state)
{
	char *path = path_of("cut.cprof");
	struct expected e = { 0 };
	struct file_bytes bytes;
	size_t last = 0;

	write_random(path, 3, 80, &e);
	assert_no_error(file_read_input(path, 0, &bytes));
	for (size_t size = 0; size < bytes.size; size++) {
		struct recording r;
		uint8_t *copy = mem_dup(bytes.data, size); /* exact size: a read past it is seen */
		struct error *err = recording_read(copy, size, &r);
		if (size < RECORDING_FILE_HEAD) {
			assert_non_null(err);
			error_free(err);
		} else {
			assert_null(err);
			assert_true(r.was_cut);
			assert_prefix(&r, &e);
			assert_true(r.samples.count >= last);
			last = r.samples.count;
			recording_deinit(&r);
		}
		free(copy);
	}
	assert_int_equal(last, e.samples.count); /* only the end mark was missing */
	free_expected(&e);
	file_bytes_deinit(&bytes);
	unlink(path);
	free(path);
}

static void garbage_behind_is_told(void **state)
{
	char *path = path_of("garbage.cprof");
	struct expected e = { 0 };
	struct file_bytes bytes;
	struct recording r;

	write_random(path, 4, 50, &e);
	assert_no_error(file_read_input(path, 0, &bytes));
	uint8_t *copy = mem_alloc(bytes.size + 100);
	size_t end_mark = RECORDING_CHUNK_HEADER + 1;

	memcpy(copy, bytes.data, bytes.size);
	memset(copy + bytes.size - end_mark, 0, end_mark + 100); /* as a file system leaves it */
	assert_no_error(recording_read(copy, bytes.size + 100, &r));
	assert_true(r.was_cut);
	assert_int_equal(r.cut_bytes, end_mark + 100);
	assert_int_equal(r.samples.count, e.samples.count);
	recording_deinit(&r);
	free(copy);
	file_bytes_deinit(&bytes);
	free_expected(&e);
	unlink(path);
	free(path);
}

static void flipped_bits_are_noticed(void **state)
{
	char *path = path_of("flip.cprof");
	struct expected e = { 0 };
	struct file_bytes bytes;

	write_random(path, 6, 20, &e);
	assert_no_error(file_read_input(path, 0, &bytes));
	uint8_t *copy = mem_dup(bytes.data, bytes.size);
	for (size_t bit = 0; bit < bytes.size * 8; bit++) {
		struct recording r;

		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct error *err = recording_read(copy, bytes.size, &r);
		if (bit / 8 < RECORDING_MAGIC_BYTES + 2) {
			assert_non_null(err);
		} else if (bit / 8 >= RECORDING_FILE_HEAD) {
			assert_null(err);
			assert_true(r.was_cut);
		}
		if (!err) {
			assert_prefix(&r, &e);
			recording_deinit(&r);
		}
		error_free(err);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(copy);
	file_bytes_deinit(&bytes);
	free_expected(&e);
	unlink(path);
	free(path);
}

static void newer_versions_are_refused_or_skipped(void **state)
{
	char *path = path_of("version.cprof");
	struct expected e = { 0 };
	struct file_bytes bytes;
	struct recording r;

	write_random(path, 8, 30, &e);
	assert_no_error(file_read_input(path, 0, &bytes));
	uint8_t *copy = mem_dup(bytes.data, bytes.size);
	copy[RECORDING_MAGIC_BYTES] = RECORDING_MAJOR + 1;
	struct error *err = recording_read(copy, bytes.size, &r);
	assert_int_equal(error_code_of(err), ERR_UNSUPPORTED);
	assert_non_null(strstr(error_message(err), "version 2."));
	assert_non_null(error_hint_of(err));
	error_free(err);

	copy[RECORDING_MAGIC_BYTES] = RECORDING_MAJOR;
	copy[RECORDING_MAGIC_BYTES + 2] = RECORDING_MINOR + 1;
	assert_no_error(recording_read(copy, bytes.size, &r));
	assert_int_equal(r.samples.count, e.samples.count);
	recording_deinit(&r);
	free(copy);
	file_bytes_deinit(&bytes);
	free_expected(&e);
	unlink(path);
	free(path);
}

static void an_older_file_is_replaced_and_links_are_not_followed(void **state)
{
	char *path = path_of("link.cprof"), *other = path_of("other");
	struct recording_writer *w;
	struct stat st;
	int fd = open(other, O_WRONLY | O_CREAT, 0644);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(symlink(other, path), 0);
	w = open_writer(path);
	assert_no_error(recording_close(w));
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
	unlink(other);

	assert_int_equal(mkdir(path, 0755), 0);
	struct error *err = recording_create(path, &(struct recording_info){ 0 }, &w);
	assert_non_null(err);
	error_free(err);
	rmdir(path);
	free(path);
	free(other);
}

/* The file holds whole chunks, and is readable. */
static void check_prefix(const char *path, const struct expected *e)
{
	struct recording r;

	read_file(path, &r);
	assert_true(r.was_cut);
	assert_int_equal(r.cut_bytes, 0);
	assert_true(r.samples.count > 0);
	assert_prefix(&r, e);
	recording_deinit(&r);
}

/* Writes until the error, which stays. */
static void fill(const char *path, int expected_errno)
{
	struct expected e = { 0 };
	struct error *err = NULL;

	random_state = 9;
	struct recording_writer *w = open_writer(path);
	assert_no_error(recording_flush(w));
	for (size_t i = 0; i < 1000000 && !err; i++) {
		add_sample(w, &e, i);
		if (i % 100 == 0)
			err = recording_flush(w);
	}
	keep_tables(recording_written(w), &e);
	assert_non_null(err);
	assert_int_equal(error_errno_of(err), expected_errno);
	error_free(err);
	add_sample(w, &e, 0);
	err = recording_close(w);
	assert_int_equal(error_errno_of(err), expected_errno);
	assert_non_null(error_hint_of(err));
	error_free(err);
	check_prefix(path, &e);
	free_expected(&e);
}

/* Writes more than there is room for, until the file does not grow any more. */
static struct recording_writer *overfill(const char *path, struct expected *e)
{
	struct recording_writer *w;
	struct stat st, before;

	random_state = 9;
	w = open_writer(path);
	for (size_t i = 0; i < 20000; i++) {
		add_sample(w, e, i);
		if (i % 100 == 0)
			assert_no_error(recording_flush(w));
		if (i == 19000)
			assert_int_equal(stat(path, &before), 0);
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, before.st_size);
	keep_tables(recording_written(w), e);
	return w;
}

static void a_file_size_limit_leaves_whole_chunks(void **state)
{
	char *path = path_of("limit.cprof");
	struct rlimit old, limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 50000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	fill(path, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	unlink(path);
	free(path);
}

static void a_full_disk_leaves_whole_chunks(void **state)
{
	char *disk = path_of("disk");
	char *path = mem_printf("%s/full.cprof", disk);

	assert_int_equal(mkdir(disk, 0755), 0);
	if (mount("none", disk, "tmpfs", 0, "size=64k") < 0) {
		print_message("skipped: no small file system can be mounted: %s\n",
			      strerror(errno));
	} else {
		struct expected e = { 0 };
		struct recording_writer *w = overfill(path, &e);
		struct error *err = recording_close(w);

		assert_int_equal(error_errno_of(err), ENOSPC);
		assert_non_null(error_hint_of(err));
		error_free(err);
		check_prefix(path, &e);
		unlink(path);
		free_expected(&e);
		assert_int_equal(umount(disk), 0);
	}
	rmdir(disk);
	free(path);
	free(disk);
}

static void a_disk_that_gets_room_again_gets_everything(void **state)
{
	char *disk = path_of("disk");
	char *path = mem_printf("%s/full.cprof", disk);

	assert_int_equal(mkdir(disk, 0755), 0);
	if (mount("none", disk, "tmpfs", 0, "size=64k") < 0) {
		print_message("skipped: no small file system can be mounted: %s\n",
			      strerror(errno));
	} else {
		struct expected e = { 0 };
		struct recording_writer *w = overfill(path, &e);
		struct recording r;

		assert_int_equal(mount("none", disk, "tmpfs", MS_REMOUNT, "size=64m"), 0);
		assert_no_error(recording_flush(w));
		assert_no_error(recording_close(w));
		read_file(path, &r);
		assert_false(r.was_cut);
		assert_int_equal(r.samples.count, 20000);
		assert_prefix(&r, &e);
		recording_deinit(&r);
		unlink(path);
		assert_int_equal(umount(disk), 0);
		free_expected(&e);
	}
	rmdir(disk);
	free(path);
	free(disk);
}

/* A killed writer leaves all that was flushed. */
static void kill_9_leaves_what_was_flushed(void **state)
{
	char *path = path_of("killed.cprof");
	struct expected e = { 0 };
	struct recording r;
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct expected mine = { 0 };
		random_state = 11;
		struct recording_writer *w = open_writer(path);
		for (size_t i = 0; i < 500; i++)
			add_sample(w, &mine, i);
		if (recording_flush(w))
			_exit(1);
		for (size_t i = 0; i < 100; i++)
			add_sample(w, &mine, i);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	read_file(path, &r);
	assert_true(r.was_cut);
	assert_int_equal(r.samples.count, 500);
	recording_deinit(&r);
	free_expected(&e);
	unlink(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(tables_are_read_as_added),
		cmocka_unit_test(large_flushes_are_split),
		cmocka_unit_test(files_have_their_latest_roots),
		cmocka_unit_test(long_strings_are_cut),
		cmocka_unit_test(every_cut_gives_a_prefix),
		cmocka_unit_test(garbage_behind_is_told),
		cmocka_unit_test(flipped_bits_are_noticed),
		cmocka_unit_test(newer_versions_are_refused_or_skipped),
		cmocka_unit_test(an_older_file_is_replaced_and_links_are_not_followed),
		cmocka_unit_test(a_file_size_limit_leaves_whole_chunks),
		cmocka_unit_test(a_full_disk_leaves_whole_chunks),
		cmocka_unit_test(a_disk_that_gets_room_again_gets_everything),
		cmocka_unit_test(kill_9_leaves_what_was_flushed),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
