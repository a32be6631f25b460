/*
 * A file format: what reads it, what writes it, and how it is recognised. One file a format, one
 * line each in format.c's table: that is all it takes to add one.
 */
#ifndef CPROF_FLAMEGRAPH_FORMAT_H
#define CPROF_FLAMEGRAPH_FORMAT_H

#include "base/error.h"
#include "base/name_style.h"
#include "base/sink.h"
#include "flamegraph/model/profile.h"

struct read_options {
	enum name_style names;
	const char *event; /* perf script: only this event; NULL: the first met */
	const char *name;  /* of the input, for messages */
	/* perf script, as in stackcollapse-perf.pl; other readers ignore them */
	bool root_pid, root_tid; /* the root is comm-PID or comm-PID/TID */
	bool label_ids;	     /* labels `pid` and `tid`, for the writers' fold_pid and fold_tid */
	bool show_addresses; /* `[name <hex>]` for frames without a symbol */
};

struct write_options {
	int type; /* value type to write where the format holds one; -1: the profile's default */
	/* folded text */
	bool fold_pid, fold_tid;		  /* the root is comm-PID; comm, then thread-TID */
	bool mark_kernel, mark_jit, mark_inlined; /* `_[k]`, `_[j]`, `_[i]` after names */
	/* pictures */
	const char *title, *subtitle, *colors;
	bool icicle, reverse;
	uint32_t width;	 /* px; 0: fluid */
	double minwidth; /* px, or per cent where minwidth_percent */
	bool minwidth_percent;
	bool minwidth_is_set; /* else the format's default */
};

/* Something a reader or writer wants the user to know; printed to stderr by the command. */
typedef void (*format_notice_fn)(void *context, const char *text);

struct format_notices {
	format_notice_fn notice; /* may be NULL */
	void *context;
};

void format_notice(const struct format_notices *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Says how many names were not UTF-8, if any were. */
void format_notice_not_utf8(const struct format_notices *n, uint64_t count);

struct format {
	const char *name;	     /* as in --from and --to: "folded" */
	const char *const *suffixes; /* ".folded", ... ended by NULL; the first is the usual one */
	const char *description;

	/* Does this look like the format? Given the first bytes of the input (and whether they are
	 * all). */
	bool (*detect)(const void *bytes, size_t size, bool whole);

	/* Both are NULL where the format is only written. The profile is initialised by the caller.
	 */
	struct error *(*read)(const void *bytes, size_t size, const struct read_options *o,
			      const struct format_notices *n, struct profile *ret);

	/* NULL where the format is only read. Does not close the sink. */
	struct error *(*write)(const struct profile *p, const struct write_options *o,
			       const struct format_notices *n, struct sink *out);
};

/* The value type that a format of one type shows: the one asked for, else the default. A clock's
 * samples are counted there (`samples/count` instead of `cpu/nanoseconds`): periods jitter. */
uint32_t format_shown_type(const struct profile *p, const struct write_options *o);

/* Ended by NULL; the order is the order of detection. */
extern const struct format *const formats[];

const struct format *format_by_name(const char *name);
/* By the longest suffix that the path ends in; NULL where none fits. */
const struct format *format_by_path(const char *path);

/* Finds the format by content, folded text as the last resort; an error names the formats tried. */
struct error *format_detect(const void *bytes, size_t size, const char *name,
			    const struct format **ret) MUST_USE;

#endif
