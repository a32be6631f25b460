/* `cprof report [FILE]`: where the time went, as a table, a call tree, JSON or Markdown. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/options.h"
#include "base/text.h"
#include "profiler/analysis/report.h"
#include "profiler/cmd/command.h"
#include "profiler/cmd/input.h"

#define DEFAULT_LIMIT  20
#define MARKDOWN_LIMIT 10
#define DEFAULT_CUTOFF 1.0

struct report_command {
	const char *from, *type, *names;
	bool tree, json, markdown;
	bool limit_is_set, cutoff_is_set;
	uint64_t limit;
	double cutoff;
	struct read_options read;
};

static struct error *set_limit(void *target, const char *value)
{
	struct report_command *c = target;

	c->limit_is_set = true;
	return parse_u64(value, "--top", UINT32_MAX, &c->limit);
}

static struct error *set_cutoff(void *target, const char *value)
{
	struct report_command *c = target;

	c->cutoff_is_set = true;
	TRY(parse_double(value, "--cutoff", &c->cutoff));
	if (!(c->cutoff >= 0 && c->cutoff <= 100))
		return error_new(ERR_USAGE, "--cutoff: %s is not between 0 and 100 per cent",
				 value);
	return NULL;
}

static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
	       strcmp(term, "dumb") != 0;
}

static unsigned int terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0; /* what programs read is never cut */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return 80;
}

static uint64_t limit_of(const struct report_command *c)
{
	if (c->limit_is_set)
		return c->limit;
	return c->json ? 0 : c->markdown ? MARKDOWN_LIMIT : DEFAULT_LIMIT;
}

static struct error *write_report(const struct report_command *c, const struct report *r)
{
	struct sink *out;

	TRY(sink_open("-", &out));
	if (c->json)
		report_json(r, out);
	else if (c->markdown)
		report_markdown(r, out);
	else if (c->tree)
		report_tree(r, out);
	else
		report_text(r, out);
	return sink_close(out);
}

static struct error *report(struct report_command *c, const char *path)
{
	const struct format_notices notices = { .notice = command_notice };
	struct input in;
	int type;

	if (c->json && c->markdown)
		return error_new(ERR_USAGE, "--json and --md: one of them");
	if (c->tree && c->markdown)
		return error_new(ERR_USAGE, "--tree and --md: one of them");
	if (c->cutoff_is_set && !c->tree)
		return error_hint(error_new(ERR_USAGE, "--cutoff is the call tree's"),
				  "add --tree");
	if (c->names)
		TRY(input_parse_names(c->names, &c->read.names));
	TRY(input_open(path, c->from, &c->read, &notices, &in));

	struct error *err = input_find_type(&in.profile, c->type, &type);
	if (!err) {
		struct report r = { .profile = &in.profile,
				    .recording = in.format ? NULL : &in.recording,
				    .file = path,
				    .format = input_format_name(&in),
				    .type = type < 0 ? in.profile.default_type : (uint32_t)type,
				    .limit = limit_of(c),
				    .cutoff_percent = c->cutoff_is_set ? c->cutoff
						      : c->json	       ? 0
								       : DEFAULT_CUTOFF,
				    .with_tree = c->tree,
				    .color = wants_color(),
				    .width = terminal_width() };
		report_prepare(&r);
		err = write_report(c, &r);
		report_deinit(&r);
	}
	input_deinit(&in);
	return err;
}

static int run(int argc, char **argv)
{
	struct report_command c = { 0 };
	bool help = false;
	int first;
	const struct option_spec specs[] = {
		{ "tree", 0, OPTION_FLAG, NULL, "the call tree instead of the table", &c.tree,
		  NULL },
		{ "cutoff", 0, OPTION_CALL, "PERCENT",
		  "leave out what is less of the tree (default 1; JSON: 0)", &c, set_cutoff },
		{ "json", 0, OPTION_FLAG, NULL, "for machines, as docs/report.schema.json says",
		  &c.json, NULL },
		{ "md", 0, OPTION_FLAG, NULL, "Markdown, for a review comment", &c.markdown, NULL },
		{ "top", 0, OPTION_CALL, "N",
		  "so many functions; 0: all (default 20; --md: 10; --json: all)", &c, set_limit },
		{ "limit", 0, OPTION_CALL, "N", "the same as --top", &c, set_limit },
		{ "type", 0, OPTION_STRING, "NAME", "the values to count, as cpu or samples",
		  &c.type, NULL },
		{ "names", 0, OPTION_STRING, "STYLE", "full (default), simple, raw or perl",
		  &c.names, NULL },
		{ "event", 0, OPTION_STRING, "NAME",
		  "of perf script text: this event, not the first", &c.read.event, NULL },
		{ "from", 0, OPTION_STRING, "FORMAT", "read FILE as this instead of looking at it",
		  &c.from, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "this text", &help, NULL },
	};
	const struct options options = { specs, ARRAY_SIZE(specs), false, NULL };

	struct error *err = options_parse(&options, argc, argv, &first);
	if (!err && help) {
		puts("usage: cprof report [FILE]\n\n"
		     "Shows the hottest functions of a recording (cprof.cprof without FILE), or "
		     "of\n"
		     "any other profile that cprof reads: self is the time in the function, total\n"
		     "that and the time in what it called. - is standard input.\n");
		options_print(&options, stdout);
		return 0;
	}
	if (!err && argc - first > 1)
		err = error_new(ERR_USAGE, "report takes one FILE, '%s' is one too many",
				argv[first + 1]);
	if (!err)
		err = report(&c, first < argc ? argv[first] : INPUT_DEFAULT);
	return command_finish(err);
}

const struct command cmd_report = {
	.name = "report",
	.summary = "the hottest functions or the call tree of a profile",
	.run = run,
};
