/* `cprof convert IN -o OUT`: any format that can be read to any that can be written. */
#include "base/options.h"
#include "profiler/cmd/command.h"
#include "profiler/cmd/input.h"
#include "profiler/cmd/outputs.h"

struct convert {
	const char *from, *to, *type, *names;
	VEC(struct output) outputs;
	bool mark_all;
	struct read_options read;
	struct write_options write;
};

static struct error *add_output(void *target, const char *value)
{
	struct convert *c = target;

	vec_push(&c->outputs, (struct output){ .path = value });
	return NULL;
}

static struct error *convert(struct convert *c, const char *path)
{
	const struct format_notices notices = { .notice = command_notice };
	const struct format *format;
	struct profile p;

	if (!c->outputs.count)
		return error_hint(error_new(ERR_USAGE, "convert needs -o FILE"),
				  "for example: cprof convert cprof.cprof -o out.folded");
	for (size_t i = 0; i < c->outputs.count; i++)
		TRY(output_find_format(&c->outputs.items[i], c->to));
	if (c->names)
		TRY(input_parse_names(c->names, &c->read.names));
	c->read.label_ids = c->write.fold_pid || c->write.fold_tid;

	TRY(input_read(path, c->from, &c->read, &notices, &p, &format));
	/* Marks that folded text came with are kept; the script always marks inlined frames. */
	c->write.mark_inlined |= c->read.names == NAMES_PERL;
	if (c->mark_all || format == format_by_name("folded"))
		c->write.mark_kernel = c->write.mark_jit = c->write.mark_inlined = true;

	struct error *err = input_find_type(&p, c->type, &c->write.type);
	for (size_t i = 0; i < c->outputs.count && !err; i++)
		err = output_write(&c->outputs.items[i], &p, &c->write, &notices);
	profile_deinit(&p);
	return err;
}

static int run(int argc, char **argv)
{
	struct convert c = { .write = { .type = -1 } };
	bool help = false;
	int first;
	const struct option_spec specs[] = {
		{ "output", 'o', OPTION_CALL, "FILE",
		  "what to write; its extension says the format; may be repeated", &c, add_output },
		{ "from", 0, OPTION_STRING, "FORMAT", "read IN as this instead of looking at it",
		  &c.from, NULL },
		{ "to", 0, OPTION_STRING, "FORMAT", "write this whatever the extension says", &c.to,
		  NULL },
		{ "type", 0, OPTION_STRING, "NAME",
		  "the values to write where a format holds one kind", &c.type, NULL },
		{ "names", 0, OPTION_STRING, "STYLE", "full (default), simple, raw or perl",
		  &c.names, NULL },
		{ "event", 0, OPTION_STRING, "NAME",
		  "of perf script text: this event, not the first", &c.read.event, NULL },
		{ "fold-pid", 0, OPTION_FLAG, NULL, "stacks start with comm-PID", &c.write.fold_pid,
		  NULL },
		{ "fold-tid", 0, OPTION_FLAG, NULL,
		  "stacks start with the process, then thread-TID", &c.write.fold_tid, NULL },
		{ "pid", 0, OPTION_FLAG, NULL, "of perf script text: stacks start with comm-PID",
		  &c.read.root_pid, NULL },
		{ "tid", 0, OPTION_FLAG, NULL,
		  "of perf script text: stacks start with comm-PID/TID", &c.read.root_tid, NULL },
		{ "addrs", 0, OPTION_FLAG, NULL,
		  "of perf script text: addresses where names are unknown", &c.read.show_addresses,
		  NULL },
		{ "kernel", 0, OPTION_FLAG, NULL, "folded text: mark kernel frames with _[k]",
		  &c.write.mark_kernel, NULL },
		{ "jit", 0, OPTION_FLAG, NULL, "folded text: mark frames of JIT code with _[j]",
		  &c.write.mark_jit, NULL },
		{ "inline", 0, OPTION_FLAG, NULL, "folded text: mark inlined frames with _[i]",
		  &c.write.mark_inlined, NULL },
		{ "all", 0, OPTION_FLAG, NULL, "folded text: all these marks", &c.mark_all, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "this text", &help, NULL },
	};
	const struct options options = { specs, ARRAY_SIZE(specs), false, NULL };

	struct error *err = options_parse(&options, argc, argv, &first);
	if (!err && help) {
		puts("usage: cprof convert [IN] -o OUT [-o OUT]...\n\n"
		     "Reads any profile and writes it in other formats. '-' is stdin or stdout;\n"
		     "without IN it reads " INPUT_DEFAULT ".\n");
		options_print(&options, stdout);
	} else if (!err && argc - first > 1) {
		err = error_hint(error_new(ERR_USAGE,
					   "convert reads one file, '%s' is one too many",
					   argv[first + 1]),
				 "the file to write goes behind -o");
	} else if (!err) {
		err = convert(&c, first < argc ? argv[first] : INPUT_DEFAULT);
	}
	vec_deinit(&c.outputs);
	return command_finish(err);
}

const struct command cmd_convert = { "convert", "write a profile in another format", run };
