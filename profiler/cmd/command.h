/*
 * A subcommand: one file in this folder, one line in main.c's table. Its run() gets argv with the
 * command's name at [0] and returns the exit status: 0 done, 1 failed, 2 the command line is wrong.
 */
#ifndef CPROF_CMD_COMMAND_H
#define CPROF_CMD_COMMAND_H

#include "base/error.h"

struct command {
	const char *name;
	const char *summary; /* one line for `cprof --help` */
	int (*run)(int argc, char **argv);
};

extern const struct command cmd_convert;
extern const struct command cmd_doctor;
extern const struct command cmd_demo;
extern const struct command cmd_flamegraph;
extern const struct command cmd_record;
extern const struct command cmd_report;

/* Prints the error with its hint, frees it, and returns the exit status that it means; 0 for NULL.
 */
int command_finish(struct error *err);

/* mem_on_exhaustion()'s: says so, and ends the program with 1. What the command was writing by
 * then, and can be read, is named: command_keeps() (borrowed; NULL: nothing). */
void command_out_of_memory(size_t size);
void command_keeps(const char *path);

/* A format_notice_fn: prints "cprof: TEXT" to stderr. */
void command_notice(void *context, const char *text);

#endif
