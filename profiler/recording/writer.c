/*
 * The writer keeps those tables of the whole recording in memory that interning needs, or naming at
 * the end; of the others, and of samples, only what no chunk holds yet: they grow for as long as
 * the recording runs. A flush turns what is new into chunks, names before what refers to them, and
 * writes each with one call. If the disk is full the file is cut back behind the last whole chunk;
 * what comes then waits in memory for room, up to a limit. Other errors stay.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sink.h"
#include "profiler/recording/children.h"
#include "profiler/recording/encode.h"
#include "profiler/recording/location_ids.h"

#define ROWS_CHUNK_BYTES ((size_t)256 << 10)
#define WAITING_MAX	 ((size_t)64 << 20)

struct recording_writer {
	char *path;
	int fd;
	int errnum; /* of the write that failed for good; 0: none did */
	uint64_t size;
	struct buf waiting; /* chunks that the disk has no room for ... */
	VEC(size_t) waiting_ends;
	int waiting_errnum;
	uint64_t n_samples; /* that were written */
	struct recording tables;
	struct encoder encoder;

	struct location_ids location_ids;
	struct children children; /* of stacks */
	struct map fact_ids;	  /* string -> index */
	VEC(uint64_t) facts_written;

	/* how many are in the file, and no longer in memory */
	struct {
		uint32_t threads, comms, mappings;
	} gone;

	/* how many of each in memory are in the file */
	struct {
		uint32_t strings;
		size_t events, files, processes, threads, comms, mappings, locations, stacks,
			symbols;
	} done;
};

/* --- creation --- */

static struct error *create_file(const char *path, int *ret_fd)
{
	struct stat st;

	if (lstat(path, &st) == 0) {
		if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
			return error_hint(error_new(ERR_UNSUPPORTED,
						    "cannot write the recording %s: there is "
						    "something that is no file",
						    path),
					  "-o FILE.cprof names another place");
		if (unlink(path) < 0)
			return error_errno(errno, "cannot replace %s", path);
	}

	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_hint(error_errno(errno, "cannot create the recording %s", path),
				  "-o FILE.cprof names another place");

	struct error *err = sink_give_to_owner(fd, path);
	if (err) {
		close(fd);
		unlink(path);
		return err;
	}
	*ret_fd = fd;
	return NULL;
}

static struct error *write_error(const struct recording_writer *w)
{
	if (!w->errnum)
		return NULL;

	struct error *err = error_errno(w->errnum, "cannot write the recording %s", w->path);
	if (w->errnum == EFBIG)
		err = error_hint(err, "what was written before is readable; `ulimit -f` limits "
				      "the size of files");
	if (w->errnum == ENOSPC || w->errnum == EDQUOT)
		err = error_hint(err, "what was written before is readable; -o FILE.cprof names a "
				      "place with more room");
	return err;
}

/* Appends to the file, or leaves it as it is; returns an errno, or 0. */
static int append(struct recording_writer *w, const void *bytes, size_t n)
{
	if (fd_write_all(w->fd, bytes, n)) {
		w->size += n;
		return 0;
	}
	int errnum = errno ? errno : EIO;
	/* Readers also accept the piece that stays if this fails. */
	if (ftruncate(w->fd, (off_t)w->size) < 0 || lseek(w->fd, (off_t)w->size, SEEK_SET) < 0)
		w->errnum = errnum;
	return errnum;
}

/* Disks get room again. */
static bool may_pass(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT;
}

static void write_whole(struct recording_writer *w, const void *bytes, size_t n)
{
	int errnum = 0;

	if (w->errnum)
		return;
	if (!w->waiting.len) {
		errnum = append(w, bytes, n);
		if (!errnum)
			return;
		w->waiting_errnum = errnum;
	}
	if (w->errnum || !may_pass(w->waiting_errnum) || w->waiting.len + n > WAITING_MAX) {
		w->errnum = w->waiting_errnum;
		return;
	}
	buf_add(&w->waiting, bytes, n);
	vec_push(&w->waiting_ends, w->waiting.len);
}

/* What waits, as far as there is room now. */
static void write_waiting(struct recording_writer *w)
{
	size_t done = 0, from = 0;

	while (!w->errnum && done < w->waiting_ends.count) {
		size_t end = w->waiting_ends.items[done];

		if (append(w, w->waiting.data + from, end - from))
			break;
		from = end;
		done++;
	}
	if (!done)
		return;
	memmove(w->waiting.data, w->waiting.data + from, w->waiting.len - from);
	w->waiting.len -= from;
	for (size_t i = done; i < w->waiting_ends.count; i++)
		w->waiting_ends.items[i - done] = w->waiting_ends.items[i] - from;
	w->waiting_ends.count -= done;
}

static void write_chunk(struct recording_writer *w)
{
	write_whole(w, w->encoder.chunk.data, w->encoder.chunk.len);
}

static void write_strings(struct recording_writer *w)
{
	while (w->done.strings < w->tables.strings.count) {
		w->done.strings = encode_strings(&w->encoder, &w->tables, w->done.strings);
		write_chunk(w);
	}
}

static uint32_t add_text(struct recording_writer *w, const char *s)
{
	return s ? recording_add_string(w, s, strlen(s)) : 0;
}

static void add_boot_id(struct recording_writer *w)
{
	CLEANUP(mem_cleanup) char *id = NULL;
	CLEANUP(error_cleanup) struct error *err = NULL;
	size_t n;

	err = file_read_proc("/proc/sys/kernel/random/boot_id", 64, &id, &n);
	if (!err)
		w->tables.boot = recording_add_string(w, id, strcspn(id, "\n"));
}

static void write_head(struct recording_writer *w, const struct recording_info *info)
{
	const unsigned char versions[4] = { RECORDING_MAJOR & 0xff, RECORDING_MAJOR >> 8,
					    RECORDING_MINOR & 0xff, RECORDING_MINOR >> 8 };
	uint32_t status_names[UNWIND_STATUS_COUNT];
	struct recording *t = &w->tables;
	struct utsname names;
	struct buf text = { 0 };

	t->start_ns = info->start_ns;
	t->start_wall_ns = info->start_wall_ns;
	t->backend = add_text(w, info->backend);
	if (info->target)
		t->target = add_text(w, info->target);
	if (info->backend_reason)
		t->backend_reason = add_text(w, info->backend_reason);
	for (size_t i = 0; info->command && info->command[i]; i++)
		vec_push(&t->command, add_text(w, info->command[i]));
	for (size_t i = 0; i < UNWIND_STATUS_COUNT; i++)
		status_names[i] = add_text(w, unwind_status_name((enum unwind_status)i));
	if (uname(&names) == 0) {
		buf_printf(&text, "%s, %s %s, %s", names.nodename, names.sysname, names.release,
			   names.machine);
		t->host = add_text(w, buf_str(&text));
	}
	add_boot_id(w);

	buf_clear(&text);
	buf_add(&text, RECORDING_MAGIC, RECORDING_MAGIC_BYTES);
	buf_add(&text, versions, sizeof(versions));
	write_whole(w, text.data, text.len);
	buf_deinit(&text);
	write_strings(w);
	encode_head(&w->encoder, t, status_names);
	write_chunk(w);
}

static void free_writer(struct recording_writer *w)
{
	if (w->fd >= 0)
		close(w->fd);
	location_ids_deinit(&w->location_ids);
	children_deinit(&w->children);
	map_deinit(&w->fact_ids);
	vec_deinit(&w->facts_written);
	encoder_deinit(&w->encoder);
	buf_deinit(&w->waiting);
	vec_deinit(&w->waiting_ends);
	recording_deinit(&w->tables);
	free(w->path);
	free(w);
}

struct error *recording_create(const char *path, const struct recording_info *info,
			       struct recording_writer **ret)
{
	int fd = -1;

	TRY(create_file(path, &fd));

	struct recording_writer *w = mem_calloc(1, sizeof(*w));
	w->path = mem_strdup(path);
	w->fd = fd;
	recording_init(&w->tables);
	encoder_init(&w->encoder);
	w->done.strings = w->tables.strings.count;
	w->done.files = w->done.processes = w->done.threads = w->done.mappings = 1;
	w->done.locations = w->done.stacks = 1;

	write_head(w, info);
	if (w->waiting.len)
		w->errnum = w->waiting_errnum;
	struct error *err = write_error(w);
	if (err) {
		unlink(path);
		free_writer(w);
		return err;
	}
	*ret = w;
	return NULL;
}

/* --- adding --- */

uint32_t recording_add_string(struct recording_writer *w, const char *s, size_t n)
{
	return intern_bytes(&w->tables.strings, s, MIN(n, RECORDING_STRING_MAX));
}

uint32_t recording_add_event(struct recording_writer *w, const struct recording_event *e)
{
	vec_push(&w->tables.events, *e);
	return (uint32_t)w->tables.events.count - 1;
}

uint32_t recording_add_file(struct recording_writer *w, const struct recording_file *f)
{
	assert(f->process < w->tables.processes.count);
	vec_push(&w->tables.files, *f);
	return (uint32_t)w->tables.files.count - 1;
}

uint32_t recording_add_process(struct recording_writer *w, const struct recording_process *p)
{
	assert(p->parent < w->tables.processes.count);
	vec_push(&w->tables.processes, *p);
	return (uint32_t)w->tables.processes.count - 1;
}

uint32_t recording_add_thread(struct recording_writer *w, const struct recording_thread *t)
{
	assert(t->process < w->tables.processes.count);
	vec_push(&w->tables.threads, *t);
	return w->gone.threads + (uint32_t)w->tables.threads.count - 1;
}

void recording_add_comm(struct recording_writer *w, const struct recording_comm *c)
{
	assert(c->thread < w->gone.threads + w->tables.threads.count);
	vec_push(&w->tables.comms, *c);
}

uint32_t recording_add_mapping(struct recording_writer *w, const struct recording_mapping *m)
{
	assert(m->process < w->tables.processes.count && m->file < w->tables.files.count);
	vec_push(&w->tables.mappings, *m);
	recording_note_root(&w->tables, m);
	return w->gone.mappings + (uint32_t)w->tables.mappings.count - 1;
}

uint32_t recording_add_location(struct recording_writer *w, const struct recording_location *l)
{
	uint32_t next_id = (uint32_t)w->tables.locations.count, id;

	assert(l->file < w->tables.files.count);
	id = location_ids_intern(&w->location_ids, w->tables.locations.items, l, next_id);
	if (id == next_id)
		vec_push(&w->tables.locations, *l);
	return id;
}

uint32_t recording_add_stack(struct recording_writer *w, uint32_t parent, uint32_t location)
{
	uint32_t next_id = (uint32_t)w->tables.stacks.count, id;

	assert(parent < next_id);
	assert(location && location < w->tables.locations.count);
	id = children_intern(&w->children, w->tables.stacks.items, parent, location, next_id);
	if (id == next_id)
		vec_push(&w->tables.stacks, (struct recording_stack){ parent, location });
	return id;
}

void recording_add_sample(struct recording_writer *w, const struct recording_sample *s)
{
	assert(s->event < w->tables.events.count);
	assert(s->thread < w->gone.threads + w->tables.threads.count);
	assert(s->stack < w->tables.stacks.count && s->comm < w->tables.strings.count);
	vec_push(&w->tables.samples, *s);
}

void recording_add_diagnostic(struct recording_writer *w, uint64_t time_ns, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = mem_vprintf(fmt, args);
	va_end(args);
	vec_push(&w->tables.diagnostics,
		 (struct recording_diagnostic){ time_ns,
						recording_add_string(w, text, strlen(text)) });
	free(text);
}

void recording_set_fact(struct recording_writer *w, const char *key, uint64_t value)
{
	uint32_t string = recording_add_string(w, key, strlen(key));
	uint32_t *index = map_at(&w->fact_ids, string);

	if (*index == MAP_NONE) {
		*index = (uint32_t)w->tables.facts.count;
		vec_push(&w->tables.facts, (struct recording_fact){ .key = string });
	}
	w->tables.facts.items[*index].value = value;
}

void recording_add_symbol(struct recording_writer *w, uint32_t location, uint64_t start,
			  const struct recording_symbol_frame *frames, uint32_t count)
{
	struct recording *t = &w->tables;

	assert(location && location < t->locations.count);
	vec_push(&t->symbols, (struct recording_symbol){ .location = location,
							 .first = (uint32_t)t->symbol_frames.count,
							 .count = count,
							 .start = start });
	for (uint32_t i = 0; i < count; i++)
		vec_push(&t->symbol_frames, frames[i]);
}

const struct recording *recording_written(const struct recording_writer *w)
{
	return &w->tables;
}

/* --- flushing --- */

static void flush_rows(struct recording_writer *w, enum recording_chunk kind, size_t at_least)
{
	if (w->encoder.raw.len >= at_least) {
		encode_rows(&w->encoder, kind);
		write_chunk(w);
	}
}

/* Rows of one kind of table that the file does not have yet. */
#define ENCODE_NEW(w, table, encode)                                                               \
	do {                                                                                       \
		for (; (w)->done.table < (w)->tables.table.count; (w)->done.table++) {             \
			encode(&(w)->encoder, &(w)->tables.table.items[(w)->done.table]);          \
			flush_rows(w, RECORDING_CHUNK_TABLES, ROWS_CHUNK_BYTES);                   \
		}                                                                                  \
	} while (0)

#define LET_GO(w, table)                                                                           \
	do {                                                                                       \
		(w)->gone.table += (uint32_t)(w)->tables.table.count;                              \
		(w)->tables.table.count = (w)->done.table = 0;                                     \
	} while (0)

/* In an order in which each row names only what stands before it. */
static void flush_tables(struct recording_writer *w)
{
	ENCODE_NEW(w, events, encode_event);
	ENCODE_NEW(w, processes, encode_process);
	ENCODE_NEW(w, files, encode_file);
	ENCODE_NEW(w, threads, encode_thread);
	ENCODE_NEW(w, comms, encode_comm);
	ENCODE_NEW(w, mappings, encode_mapping);
	flush_rows(w, RECORDING_CHUNK_TABLES, 1);
	LET_GO(w, threads);
	LET_GO(w, comms);
	LET_GO(w, mappings);
}

static void flush_notes(struct recording_writer *w)
{
	struct recording *t = &w->tables;

	for (size_t i = 0; i < t->facts.count; i++) {
		bool is_new = i >= w->facts_written.count;
		if (!is_new && w->facts_written.items[i] == t->facts.items[i].value)
			continue;
		if (is_new)
			vec_push(&w->facts_written, 0);
		w->facts_written.items[i] = t->facts.items[i].value;
		encode_fact(&w->encoder, &t->facts.items[i]);
	}
	for (size_t i = 0; i < t->diagnostics.count; i++) {
		encode_diagnostic(&w->encoder, &t->diagnostics.items[i]);
		flush_rows(w, RECORDING_CHUNK_NOTES, ROWS_CHUNK_BYTES);
	}
	t->diagnostics.count = 0;
	flush_rows(w, RECORDING_CHUNK_NOTES, 1);
}

/* Records [*done, count) in chunks. */
static void flush_records(struct recording_writer *w, size_t *done, size_t count,
			  void (*encode)(struct encoder *, const struct recording *, size_t,
					 size_t))
{
	while (*done < count) {
		size_t to = MIN(count, *done + RECORDING_CHUNK_RECORDS);
		encode(&w->encoder, &w->tables, *done, to);
		write_chunk(w);
		*done = to;
	}
}

struct error *recording_flush(struct recording_writer *w)
{
	struct recording *t = &w->tables;
	size_t samples = 0;

	write_waiting(w);
	if (!w->errnum) {
		write_strings(w);
		flush_tables(w);
		flush_records(w, &w->done.locations, t->locations.count, encode_locations);
		flush_records(w, &w->done.stacks, t->stacks.count, encode_stacks);
		flush_records(w, &samples, t->samples.count, encode_samples);
		flush_records(w, &w->done.symbols, t->symbols.count, encode_symbols);
		flush_notes(w);
	}
	w->n_samples += t->samples.count;
	t->samples.count = 0;
	return write_error(w);
}

struct error *recording_close(struct recording_writer *w)
{
	struct error *err = recording_flush(w);

	if (!err) {
		encode_end(&w->encoder, w->n_samples);
		write_chunk(w);
		if (w->waiting.len)
			w->errnum = w->waiting_errnum;
		err = write_error(w);
	}
	if (close(w->fd) < 0 && !err)
		err = error_errno(errno, "cannot write the recording %s", w->path);
	w->fd = -1;
	free_writer(w);
	return err;
}
