/*
 * Command-line options: one table a command feeds the parser, the help and the check that its man
 * page names them all. Long options take `--name VALUE` and `--name=VALUE`, short ones `-F 99` and
 * `-F99`; `--` ends them.
 */
#ifndef CPROF_BASE_OPTIONS_H
#define CPROF_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

enum option_kind {
	OPTION_FLAG,	 /* target: bool *, set to true */
	OPTION_STRING,	 /* target: const char **, borrowed from argv */
	OPTION_UINT,	 /* target: uint64_t * */
	OPTION_DURATION, /* target: uint64_t *, nanoseconds */
	OPTION_SIZE,	 /* target: uint64_t *, bytes */
	OPTION_CALL,	 /* apply(target, value) is called each time */
};

struct option_spec {
	const char *name; /* without the dashes; NULL where there is only a letter */
	char letter;	  /* 0 where there is none */
	enum option_kind kind;
	const char *argument; /* its name in the help; NULL where the option takes none */
	const char *help;     /* one line; NULL hides the option from the help */
	void *target;
	struct error *(*apply)(void *target, const char *value); /* OPTION_CALL only */
};

/* What another program has, whose users come with its habits. */
struct option_foreign {
	const char *words; /* "-c --count", between spaces */
	const char *hint;  /* what does it here */
};

struct options {
	const struct option_spec *specs;
	size_t count;
	bool stop_at_operand; /* what follows the first operand is not ours: a command and its words
			       */
	const struct option_foreign *foreign; /* ended by one without words; NULL: there are none */
};

/* Parses argv[1..], reordered so that operands stand at argv[*ret_first ..argc). The error of a
 * wrong word has code ERR_USAGE, names the word, and the nearest known option as its hint. */
struct error *options_parse(const struct options *o, int argc, char **argv,
			    int *ret_first) MUST_USE;

/* The table as text, for --help. */
void options_print(const struct options *o, FILE *out);

#endif
