#include "profiler/cmd/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define DEFAULT_RECORDING "cprof.cprof"
#define OLD_RECORDING	  "cprof.old.cprof"

static bool ends_in(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n > m && strcmp(path + n - m, suffix) == 0;
}

/* Of the formats that can be written, the names, or the usual extensions. */
static void list_writable(struct buf *list, bool names)
{
	for (size_t i = 0; formats[i]; i++)
		if (formats[i]->write)
			buf_printf(list, "%s%s", list->len ? ", " : "",
				   names ? formats[i]->name : formats[i]->suffixes[0]);
}

struct error *output_find_format(struct output *o, const char *to)
{
	bool is_stdout = strcmp(o->path, "-") == 0;
	CLEANUP(buf_deinit) struct buf known = { 0 };

	o->format = to ? format_by_name(to) : is_stdout ? NULL : format_by_path(o->path);
	if (o->format && o->format->write)
		return NULL;
	list_writable(&known, to || is_stdout);
	if (to)
		return error_hint(error_new(ERR_USAGE, "--to: cannot write the format '%s'", to),
				  "known formats are %s", buf_str(&known));
	if (is_stdout)
		return error_hint(error_new(ERR_USAGE, "-o - needs --to FORMAT"),
				  "known formats are %s", buf_str(&known));
	if (o->format)
		return error_hint(error_new(ERR_USAGE, "-o %s: %s can be read, but not written",
					    o->path, o->format->name),
				  "known are %s", buf_str(&known));
	return error_hint(error_new(ERR_USAGE,
				    "-o %s: the extension names no format that can be written",
				    o->path),
			  "known are %s", buf_str(&known));
}

struct error *output_write(const struct output *o, const struct profile *p,
			   const struct write_options *options,
			   const struct format_notices *notices)
{
	struct sink *sink;

	TRY(sink_open(o->path, &sink));
	struct error *err = o->format->write(p, options, notices, sink);
	if (err) {
		sink_abort(sink);
		return error_prefix(err, "writing %s", o->path);
	}
	return sink_close(sink);
}

/* The recording is one more kind of file here. */
static struct error *find_format(struct output *o, const char *to)
{
	bool is_stdout = strcmp(o->path, "-") == 0;
	struct error *err = output_find_format(o, is_stdout ? to : NULL);

	if (!err || is_stdout)
		return err;
	CLEANUP(mem_cleanup) char *known = mem_strdup(error_hint_of(err));

	return error_hint(err, "%s, and .cprof (the recording itself)", known);
}

/* For one that nobody asked for: here, or where the first file goes, if nothing may be written here.
 */
static char *unkept_recording(const struct outputs *o)
{
	const char *folder = getenv("TMPDIR");
	int length = -1;

	if (faccessat(AT_FDCWD, ".", W_OK, AT_EACCESS) == 0)
		return mem_printf("cprof-%d.cprof", (int)getpid());
	if (!folder || !*folder)
		folder = "/tmp";
	for (size_t i = 0; i < o->items.count && length < 0; i++) {
		const char *path = o->items.items[i].path, *slash = strrchr(path, '/');

		if (slash) {
			folder = path;
			length = (int)(slash - path);
		}
	}
	return mem_printf("%.*s/cprof-%d.cprof", length, folder, (int)getpid());
}

struct error *outputs_plan(struct outputs *o, const char *const *paths, size_t count,
			   const char *to)
{
	static const char *const defaults[] = { DEFAULT_RECORDING, "cprof.svg", "cprof.pb.gz" };

	if (!count) {
		paths = defaults;
		count = ARRAY_SIZE(defaults);
	}
	for (size_t i = 0; i < count; i++) {
		struct output output = { .path = paths[i] };

		if (ends_in(paths[i], ".cprof")) {
			if (o->keep_recording)
				return error_new(ERR_USAGE, "-o %s: one recording is enough",
						 paths[i]);
			o->keep_recording = true;
			o->recording = mem_strdup(paths[i]);
		} else {
			TRY(find_format(&output, to));
		}
		vec_push(&o->items, output);
	}
	if (to && !outputs_use_stdout(o))
		return error_hint(error_new(ERR_USAGE, "--to is the format of -o -"),
				  "the format of a file goes by its extension");
	if (!o->recording)
		o->recording = unkept_recording(o);
	return NULL;
}

bool outputs_use_stdout(const struct outputs *o)
{
	for (size_t i = 0; i < o->items.count; i++)
		if (strcmp(o->items.items[i].path, "-") == 0)
			return true;
	return false;
}

struct error *outputs_check(const struct outputs *o)
{
	for (size_t i = 0; i < o->items.count; i++) {
		struct sink *sink;
		struct stat st;

		/* What is no file (a FIFO) may only be opened once. */
		const struct output *output = &o->items.items[i];
		if (!output->format ||
		    (stat(output->path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
			continue;
		TRY(sink_open(output->path, &sink));
		sink_abort(sink);
	}
	return NULL;
}

struct error *outputs_put_aside(struct outputs *o)
{
	if (!o->keep_recording || strcmp(o->recording, DEFAULT_RECORDING) != 0)
		return NULL;
	char *aside = mem_printf(".cprof-%d.previous", (int)getpid());
	if (rename(DEFAULT_RECORDING, aside) == 0) {
		o->aside = aside;
		return NULL;
	}
	free(aside);
	if (errno == ENOENT)
		return NULL;
	return error_errno(errno, "cannot keep the previous recording as " OLD_RECORDING);
}

void outputs_settle(struct outputs *o, bool started)
{
	if (o->aside)
		rename(o->aside, started ? OLD_RECORDING : DEFAULT_RECORDING);
	free(o->aside);
	o->aside = NULL;
}

struct error *outputs_write(const struct outputs *o, const struct profile *p,
			    const struct write_options *options,
			    const struct format_notices *notices)
{
	struct error *first = NULL;

	for (size_t i = 0; i < o->items.count; i++) {
		if (!o->items.items[i].format)
			continue;
		struct error *err = output_write(&o->items.items[i], p, options, notices);
		if (!first) {
			first = err;
		} else if (err) {
			error_print(err, stderr);
			error_free(err);
		}
	}
	return first;
}

const char *outputs_finish(struct outputs *o, bool failed)
{
	if (o->keep_recording)
		return NULL;
	if (!failed) {
		unlink(o->recording);
		return NULL;
	}
	/* The user asked for no recording: one of an earlier run stays as it is. */
	if (renameat2(AT_FDCWD, o->recording, AT_FDCWD, DEFAULT_RECORDING, RENAME_NOREPLACE) == 0)
		return DEFAULT_RECORDING;
	return access(o->recording, F_OK) == 0 ? o->recording : NULL;
}

void outputs_deinit(struct outputs *o)
{
	vec_deinit(&o->items);
	free(o->recording);
	o->recording = NULL;
}
