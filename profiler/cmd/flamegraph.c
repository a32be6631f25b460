/*
 * `cprof flamegraph [FILE] [-o X]`: any readable profile as an SVG flame graph. Where nothing says
 * where to, it goes to stdout, so that `perf script | cprof flamegraph - > flame.svg` works as
 * typed; but nobody wants markup on a terminal: then it goes into a file beside the input.
 */
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "profiler/cmd/command.h"
#include "profiler/cmd/input.h"
#include "profiler/cmd/outputs.h"

struct flamegraph {
	const char *output, *from, *type, *names, *minwidth;
	uint64_t width;
	struct read_options read;
	struct write_options write;
};

/* `0.5`, `0.5px` or `0.1%`. */
static struct error *parse_minwidth(const char *s, struct write_options *o)
{
	CLEANUP(mem_cleanup) char *number = mem_strdup(s);
	size_t n = strlen(number);

	if (n > 1 && number[n - 1] == '%') {
		o->minwidth_percent = true;
		number[n - 1] = '\0';
	} else if (n > 2 && strcmp(number + n - 2, "px") == 0) {
		number[n - 2] = '\0';
	}
	struct error *err = parse_double(number, "--minwidth", &o->minwidth);
	if (err)
		return error_hint(err, "pixels, as 0.5, or a share of the whole, as 0.1%%");
	if (o->minwidth_percent && o->minwidth > 100)
		return error_new(ERR_USAGE, "--minwidth: %s is more than everything", s);
	o->minwidth_is_set = true;
	return NULL;
}

/* Where the input's name has an extension that we know, the picture has the name without it. */
static char *name_beside(const char *path)
{
	const struct format *format = format_by_path(path);
	const char *base = strrchr(path, '/');
	const char *dot = strrchr(base ? base + 1 : path, '.');
	size_t n = strlen(path);

	if (strcmp(path, "-") == 0)
		return mem_strdup("flamegraph.svg");
	if (format) {
		size_t longest = 0;
		for (const char *const *s = format->suffixes; *s; s++) {
			size_t len = strlen(*s);
			if (len < n && strcmp(path + n - len, *s) == 0)
				longest = MAX(longest, len);
		}
		n -= longest;
	} else if (dot && dot != path && dot[-1] != '/') {
		n = (size_t)(dot - path);
	}
	return mem_printf("%.*s.svg", (int)n, path);
}

static struct error *check_output(const char *output)
{
	const struct format *format;

	if (!output || strcmp(output, "-") == 0)
		return NULL;
	format = format_by_path(output);
	if (format && strcmp(format->name, "svg") == 0)
		return NULL;
	if (format && format->write)
		return error_hint(error_new(ERR_USAGE, "-o %s: that is not a picture", output),
				  "cprof convert writes %s", format->name);
	return error_hint(error_new(ERR_USAGE, "-o %s: only .svg can be drawn", output),
			  "a name that ends in .svg, or - for standard output");
}

static struct error *flamegraph(struct flamegraph *f, const char *path)
{
	const struct format_notices notices = { .notice = command_notice };
	CLEANUP(mem_cleanup) char *beside = NULL;
	struct profile p;

	TRY(check_output(f->output));
	if (f->minwidth)
		TRY(parse_minwidth(f->minwidth, &f->write));
	if (f->names)
		TRY(input_parse_names(f->names, &f->read.names));
	f->write.width = (uint32_t)MIN(f->width, (uint64_t)UINT32_MAX);
	f->read.label_ids = f->write.fold_pid || f->write.fold_tid;

	TRY(input_read(path, f->from, &f->read, &notices, &p, NULL));
	struct output output = { f->output ? f->output : "-", format_by_name("svg") };
	if (!f->output && isatty(STDOUT_FILENO))
		output.path = beside = name_beside(path);
	struct error *err = input_find_type(&p, f->type, &f->write.type);
	if (!err)
		err = output_write(&output, &p, &f->write, &notices);
	if (!err && beside)
		fprintf(stderr, "cprof: wrote %s: open it in a browser\n", beside);
	profile_deinit(&p);
	return err;
}

static int run(int argc, char **argv)
{
	struct flamegraph f = { .write = { .type = -1 } };
	struct write_options *w = &f.write;
	bool help = false;
	int first;
	const struct option_spec specs[] = {
		{ "output", 'o', OPTION_STRING, "FILE", "where to; '-' is stdout", &f.output,
		  NULL },
		{ "from", 0, OPTION_STRING, "FORMAT", "read FILE as this instead of looking at it",
		  &f.from, NULL },
		{ "type", 0, OPTION_STRING, "NAME", "the values that are drawn", &f.type, NULL },
		{ "title", 0, OPTION_STRING, "TEXT", "the picture's title", &w->title, NULL },
		{ "subtitle", 0, OPTION_STRING, "TEXT", "the line below it, in place of the facts",
		  &w->subtitle, NULL },
		{ "icicle", 0, OPTION_FLAG, NULL, "the root on top", &w->icicle, NULL },
		{ "reverse", 0, OPTION_FLAG, NULL, "merge from the leaf: callers above callees",
		  &w->reverse, NULL },
		{ "width", 0, OPTION_UINT, "PX", "a fixed width; without it, the window's",
		  &f.width, NULL },
		{ "minwidth", 0, OPTION_STRING, "PX|%", "leave out what is narrower (default 0.1)",
		  &f.minwidth, NULL },
		{ "colors", 0, OPTION_STRING, "PALETTE",
		  "default, hot, java, python, rust, ...: an unknown one lists all", &w->colors,
		  NULL },
		{ "names", 0, OPTION_STRING, "STYLE", "full (default), simple, raw or perl",
		  &f.names, NULL },
		{ "event", 0, OPTION_STRING, "NAME",
		  "of perf script text: this event, not the first", &f.read.event, NULL },
		{ "fold-pid", 0, OPTION_FLAG, NULL, "stacks start with comm-PID", &w->fold_pid,
		  NULL },
		{ "fold-tid", 0, OPTION_FLAG, NULL,
		  "stacks start with the process, then thread-TID", &w->fold_tid, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "this text", &help, NULL },
	};
	const struct options options = { specs, ARRAY_SIZE(specs), false, NULL };

	struct error *err = options_parse(&options, argc, argv, &first);
	if (!err && help) {
		puts("usage: cprof flamegraph [FILE] [-o FILE.svg]\n\n"
		     "Draws any profile as a flame graph for the browser. '-' is stdin; without "
		     "FILE it\n"
		     "reads " INPUT_DEFAULT
		     ". Without -o it writes to stdout, or beside FILE if that is\n"
		     "a terminal.\n");
		options_print(&options, stdout);
	} else if (!err && argc - first > 1) {
		err = error_hint(error_new(ERR_USAGE,
					   "flamegraph reads one file, '%s' is one too many",
					   argv[first + 1]),
				 "the file to write goes behind -o");
	} else if (!err) {
		err = flamegraph(&f, first < argc ? argv[first] : INPUT_DEFAULT);
	}
	return command_finish(err);
}

const struct command cmd_flamegraph = { "flamegraph", "draw a profile as an SVG flame graph", run };
