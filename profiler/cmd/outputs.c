#include "profiler/cmd/outputs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

#define DEFAULT_RECORDING "cprof.cprof"
#define OLD_RECORDING	  "cprof.old.cprof"

static bool ends_in(const char *path, const char *suffix)
{
	size_t n = strlen(path), m = strlen(suffix);

	return n > m && strcmp(path + n - m, suffix) == 0;
}

/* ".folded .svg ...", of all that can be written. */
static char *writable_suffixes(void)
{
	struct buf list = { 0 };

	for (size_t i = 0; formats[i]; i++)
		if (formats[i]->write)
			buf_printf(&list, "%s, ", formats[i]->suffixes[0]);
	buf_add_str(&list, ".cprof (the recording)");
	return buf_take_str(&list);
}

static struct error *find_format(const char *path, const char *to, const struct format **ret)
{
	bool is_stdout = strcmp(path, "-") == 0;

	*ret = is_stdout || to ? format_by_name(to ? to : "") : format_by_path(path);
	if (*ret && (*ret)->write)
		return NULL;

	char *known = writable_suffixes();
	struct error *err;
	if (is_stdout && !to)
		err = error_hint(
			error_new(ERR_USAGE, "-o - needs the format of what goes to stdout"),
			"for example --to folded");
	else if (to)
		err = error_hint(error_new(ERR_USAGE, "--to: cannot write the format '%s'", to),
				 "formats go by extension: %s", known);
	else
		err = error_hint(error_new(ERR_USAGE, "-o %s: the extension names no format", path),
				 "known are %s", known);
	free(known);
	return err;
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
			TRY(find_format(paths[i], to && strcmp(paths[i], "-") == 0 ? to : NULL,
					&output.format));
		}
		vec_push(&o->items, output);
	}
	if (!o->recording)
		o->recording = mem_printf(".cprof-%d.cprof", (int)getpid());
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

		if (!o->items.items[i].format)
			continue;
		TRY(sink_open(o->items.items[i].path, &sink));
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

static struct error *write_one(const struct output *output, const struct profile *p,
			       const struct write_options *options,
			       const struct format_notices *notices)
{
	struct sink *sink;

	TRY(sink_open(output->path, &sink));
	struct error *err = output->format->write(p, options, notices, sink);
	if (err) {
		sink_abort(sink);
		return error_prefix(err, "writing %s", output->path);
	}
	return sink_close(sink);
}

struct error *outputs_write(const struct outputs *o, const struct profile *p,
			    const struct write_options *options,
			    const struct format_notices *notices)
{
	struct error *first = NULL;

	for (size_t i = 0; i < o->items.count; i++) {
		if (!o->items.items[i].format)
			continue;
		struct error *err = write_one(&o->items.items[i], p, options, notices);
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
	if (rename(DEFAULT_RECORDING, OLD_RECORDING) < 0 && errno != ENOENT)
		return o->recording;
	return rename(o->recording, DEFAULT_RECORDING) == 0 ? DEFAULT_RECORDING : o->recording;
}

void outputs_deinit(struct outputs *o)
{
	vec_deinit(&o->items);
	free(o->recording);
	o->recording = NULL;
}
