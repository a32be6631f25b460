#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct error {
	enum error_code code;
	int errnum;
	char *message;
	char *hint;
};

static struct error *error_make(enum error_code code, int errnum, char *message)
{
	struct error *err = mem_alloc(sizeof(*err));

	*err = (struct error){ .code = code, .errnum = errnum, .message = message };
	return err;
}

struct error *error_new(enum error_code code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *message = mem_vprintf(fmt, args);
	va_end(args);
	return error_make(code, 0, message);
}

struct error *error_errno(int errnum, const char *fmt, ...)
{
	enum error_code code = ERR_SYSTEM;
	va_list args;

	if (errnum == EPERM || errnum == EACCES)
		code = ERR_PERMISSION;
	else if (errnum == ENOENT || errnum == ESRCH)
		code = ERR_NOT_FOUND;

	va_start(args, fmt);
	char *what = mem_vprintf(fmt, args);
	va_end(args);
	char *message = mem_printf("%s: %s", what, strerror(errnum));
	free(what);
	return error_make(code, errnum, message);
}

struct error *error_prefix(struct error *err, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return NULL;
	va_start(args, fmt);
	char *context = mem_vprintf(fmt, args);
	va_end(args);
	char *message = mem_printf("%s: %s", context, err->message);
	free(context);
	free(err->message);
	err->message = message;
	return err;
}

struct error *error_hint(struct error *err, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return NULL;
	free(err->hint);
	va_start(args, fmt);
	err->hint = mem_vprintf(fmt, args);
	va_end(args);
	return err;
}

const char *error_message(const struct error *err)
{
	return err->message;
}

const char *error_hint_of(const struct error *err)
{
	return err->hint;
}

enum error_code error_code_of(const struct error *err)
{
	return err->code;
}

int error_errno_of(const struct error *err)
{
	return err->errnum;
}

void error_print(const struct error *err, FILE *out)
{
	fprintf(out, "cprof: %s\n", err->message);
	if (err->hint)
		fprintf(out, "       %s\n", err->hint);
}

void error_free(struct error *err)
{
	if (!err)
		return;
	free(err->message);
	free(err->hint);
	free(err);
}

void error_cleanup(struct error **err)
{
	error_free(*err);
}
