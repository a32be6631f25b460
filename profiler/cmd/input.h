/* What every command that takes a FILE reads it with. */
#ifndef CPROF_CMD_INPUT_H
#define CPROF_CMD_INPUT_H

#include "flamegraph/formats/format.h"
#include "profiler/recording/recording.h"

/* The file that commands read when they are given none. */
#define INPUT_DEFAULT "cprof.cprof"

/* What was read. */
struct input {
	struct profile profile;
	const struct format *format; /* NULL: a recording of cprof */
	struct recording recording;  /* empty where it is none */
};

/* Reads a file as input_read() does, and keeps the recording where it is one. */
struct error *input_open(const char *path, const char *from, const struct read_options *o,
			 const struct format_notices *n, struct input *ret) MUST_USE;
void input_deinit(struct input *in);

/* The name of the input's format. */
const char *input_format_name(const struct input *in);

/*
 * Reads a file (`-`: stdin) into ret, which is initialised here; on an error nothing is left to
 * free. The format is found by content unless `from` names one. o->name is set here. Tells the user
 * through the notices what could be read in part only. *ret_format (may be NULL) is the format
 * found, NULL for a recording of cprof.
 */
struct error *input_read(const char *path, const char *from, const struct read_options *o,
			 const struct format_notices *n, struct profile *ret,
			 const struct format **ret_format) MUST_USE;

/* The value type that --type names (NULL: -1, the profile's default). An unknown one is an error
 * that lists those there are. */
struct error *input_find_type(const struct profile *p, const char *type, int *ret) MUST_USE;

/* `full`, `simple`, `raw`, `perl`. */
struct error *input_parse_names(const char *word, enum name_style *ret) MUST_USE;

#endif
