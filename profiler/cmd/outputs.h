/*
 * The files that commands write. And what `cprof record` leaves behind: the files that -o names, or
 * a recording, a flame graph and a pprof file. The recording is written while the program runs; the
 * others are made from it at the end.
 */
#ifndef CPROF_CMD_OUTPUTS_H
#define CPROF_CMD_OUTPUTS_H

#include "base/error.h"
#include "base/vec.h"
#include "flamegraph/formats/format.h"
#include "profiler/recording/recording.h"

struct output {
	const char *path;	     /* `-`: stdout */
	const struct format *format; /* NULL: the recording itself */
};

/* Sets the format that path is written in: the one called `to`, where that is not NULL, else that
 * of its extension. Where nothing writes it, the error names what can be written. */
struct error *output_find_format(struct output *o, const char *to) MUST_USE;

/* Writes the file, whole or not at all. */
struct error *output_write(const struct output *o, const struct profile *p,
			   const struct write_options *options,
			   const struct format_notices *notices) MUST_USE;

struct outputs {
	VEC(struct output) items;
	char *recording; /* where the recording is written while the program runs */
	bool keep_recording;
	char *aside; /* the recording of the run before, under a name of its own; NULL: none */
};

/* Plans for the -o options given (none: the three default files). `to` names the format of `-o -`.
 * An extension that no writer has is an error that names the known ones. */
struct error *outputs_plan(struct outputs *o, const char *const *paths, size_t count,
			   const char *to) MUST_USE;

/* Is one of the outputs stdout? */
bool outputs_use_stdout(const struct outputs *o);

/* Checks that every file can be created, before the program runs. */
struct error *outputs_check(const struct outputs *o) MUST_USE;

/*
 * Where the new recording has the default name, the one before it is kept as cprof.old.cprof: it is
 * put aside before the start, and gets that name, or its old one back when nothing was started.
 */
struct error *outputs_put_aside(struct outputs *o) MUST_USE;
void outputs_settle(struct outputs *o, bool started);

/* Writes every file but the recording. One that fails does not keep the others from being written;
 * the first error is returned. */
struct error *outputs_write(const struct outputs *o, const struct profile *p,
			    const struct write_options *options,
			    const struct format_notices *notices) MUST_USE;

/* The files are written, or not: removes a recording that nobody asked for, or leaves it
 * when something failed, as cprof.cprof where there is none (the returned name; else NULL). */
const char *outputs_finish(struct outputs *o, bool failed);

void outputs_deinit(struct outputs *o);

#endif
