#include "profiler/cmd/command.h"

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

void command_notice(void *context, const char *text)
{
	CLEANUP(buf_deinit) struct buf printable = { 0 };

	(void)context;
	text_add_printable(&printable, text, strlen(text));
	fprintf(stderr, "cprof: %s\n", buf_str(&printable));
}
