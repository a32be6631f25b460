/*
 * A profile as a table of its hottest functions or as a call tree: for the terminal, as JSON for
 * machines (docs/report.schema.json), as Markdown for a review comment.
 */
#ifndef CPROF_ANALYSIS_REPORT_H
#define CPROF_ANALYSIS_REPORT_H

#include "base/sink.h"
#include "flamegraph/model/calltree.h"
#include "profiler/analysis/hot.h"
#include "profiler/recording/recording.h"

struct report {
	const struct profile *profile;
	const struct recording *recording; /* NULL where the profile is of another format */
	const char *file, *format;	   /* for people */
	uint32_t type;			   /* value type */
	uint64_t limit;			   /* functions, 0: all */
	double cutoff_percent;		   /* of the tree */
	bool with_tree;			   /* JSON */
	bool color;
	unsigned int width; /* columns, 0: names are never cut */

	/* set by report_prepare() */
	struct calltree tree; /* with the processes as roots */
	struct hot_list hot;
};

/* Computes the tables of a report whose upper fields are set. */
void report_prepare(struct report *r);
void report_deinit(struct report *r);

void report_text(const struct report *r, struct sink *out);
void report_tree(const struct report *r, struct sink *out);
void report_markdown(const struct report *r, struct sink *out);
void report_json(const struct report *r, struct sink *out);

/* How many functions the limit leaves. Functions of no value at all are not shown. */
size_t report_count(const struct report *r);

/* "", "kernel", "jit", "sentinel": for JSON ("user" there) and marks. */
const char *report_kind(enum frame_kind kind);

/* The visible children of a node, the largest first; false values below the cut-off are left out.
 */
struct report_children {
	VEC(uint32_t) nodes;
};
void report_children_of(const struct report *r, uint32_t node, struct report_children *ret);

#endif
