#include "profiler/cmd/command.h"

#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

int command_finish(struct error *err)
{
	if (!err)
		return 0;

	int status = error_code_of(err) == ERR_USAGE ? 2 : 1;
	error_print(err, stderr);
	error_free(err);
	return status;
}

static const char *_Atomic kept;

void command_keeps(const char *path)
{
	kept = path;
}

void command_out_of_memory(size_t size)
{
	const char *path = kept;

	dprintf(STDERR_FILENO,
		"cprof: out of memory (asked for %zu bytes)\n"
		"       `ulimit -v`, a control group's memory.max or the machine itself has no "
		"more\n",
		size);
	if (path)
		dprintf(STDERR_FILENO, "       the recording up to here is left as %s\n", path);
	_exit(1);
}

void command_notice(void *context, const char *text)
{
	CLEANUP(buf_deinit) struct buf printable = { 0 };

	(void)context;
	text_add_printable(&printable, text, strlen(text));
	fprintf(stderr, "cprof: %s\n", buf_str(&printable));
}
