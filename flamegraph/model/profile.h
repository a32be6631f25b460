/*
 * The profile: named stacks with values, the one thing that readers make and writers take. It is
 * the pprof model (mapping, function, location with inlined lines, sample with labels and several
 * value types) with its stacks kept as a tree, so that a common prefix is stored once.
 *
 * Everything is named by small ids: strings, mappings, functions, locations, stacks, label sets. Id
 * 0 is "none" (the empty string, no mapping, the empty stack, no labels). Ids are given out in the
 * order of first use and stay valid for the profile's life; the arrays may move when something is
 * added.
 */
#ifndef CPROF_FLAMEGRAPH_PROFILE_H
#define CPROF_FLAMEGRAPH_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/intern.h"
#include "base/map.h"
#include "base/vec.h"

/* Where a frame runs. Text formats show it as a suffix (`_[k]`), pictures as a colour. */
enum frame_kind {
	FRAME_USER,
	FRAME_KERNEL,
	FRAME_JIT,
	FRAME_SENTINEL, /* `[truncated: ...]`, `[guessed]`, `[kernel, not visible]`: not code */
};

struct profile_mapping {
	uint64_t start, limit; /* addresses of its locations lie in [start, limit) */
	uint64_t offset;       /* of `start` in the file, bytes */
	uint32_t file;	       /* string */
	uint32_t build_id;     /* string, lower-case hex; 0: unknown */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

struct profile_function {
	uint32_t name;	      /* string: as shown */
	uint32_t system_name; /* string: as in the symbol table (mangled); 0: unknown */
	uint32_t file;	      /* string: source file; 0: unknown */
	int64_t start_line;
};

struct profile_line {
	uint32_t function;
	int64_t line; /* 0: unknown */
	int64_t column;
};

/* One address (or, in text formats, one name). Its lines are the inline chain: the first is the
 * innermost inlined function, the last the function that holds the code. */
struct profile_location {
	uint32_t mapping;
	uint64_t address;	      /* inside the call instruction for callers; 0: unknown */
	uint32_t first_line, n_lines; /* at least one: without a symbol it names `module+0xVADDR` */
	enum frame_kind kind;
	bool is_folded; /* several symbols share this code */
};

/* A stack is a path from the root: its outer part and one more location. Stack 0 is empty. */
struct profile_stack {
	uint32_t parent;
	uint32_t location;
};

/* The first few children of a stack are found through links: most have one, and a new one none. */
struct profile_stack_links {
	uint32_t first_child, next_sibling;
};

struct profile_label {
	uint32_t key; /* string */
	uint32_t str; /* string value; 0 for a number */
	int64_t num;
	uint32_t unit; /* string: of the number */
};

/* A set of labels sorted by key text; items are labels[first .. first + count). */
struct profile_label_set {
	uint32_t first, count;
};

struct profile_value_type {
	uint32_t type, unit; /* strings: "samples"/"count", "cpu"/"nanoseconds" */
};

struct profile_sample {
	uint32_t stack;
	uint32_t labels;
	/* its values are profile.values[index * n_types ...] */
};

struct profile {
	struct intern strings;
	/* [0] of these is there and unused: id 0 is "none". */
	VEC(struct profile_mapping) mappings;
	VEC(struct profile_function) functions;
	VEC(struct profile_location) locations;
	VEC(struct profile_stack) stacks;
	VEC(struct profile_label_set) label_sets;
	/* These start at [0]. */
	VEC(struct profile_line) lines;
	VEC(struct profile_label) labels;
	VEC(struct profile_value_type) types;
	VEC(struct profile_sample) samples; /* one for each (stack, labels): values are summed */
	VEC(int64_t) values;

	uint32_t default_type; /* index into types */
	struct profile_value_type period_type;
	int64_t period;		/* in period_type's unit; 0: unknown */
	int64_t time_ns;	/* start, UTC since 1970; 0: unknown */
	int64_t duration_ns;	/* wall; 0: unknown */
	VEC(uint32_t) comments; /* strings: command line, host, lost samples ... for people */
	uint32_t title;	 /* string: of a picture, where the user gives none: the command line */
	uint32_t remark; /* string: a fact for below the title: "complete 99.98 %" */
	uint32_t drop_frames, keep_frames, doc_url; /* strings; as in pprof */

	/* lookups */
	VEC(struct profile_stack_links) stack_links;
	struct map stack_ids;	     /* (parent, location) of children that the links do not hold */
	struct map sample_ids;	     /* (stack, labels) */
	struct map name_locations;   /* name and kind -> location of profile_name_location() */
	struct map inline_locations; /* (location, name) -> that of profile_inline_location() */
	struct map label_set_ids, function_ids;
};

/* A new profile without value types. */
void profile_init(struct profile *p);
void profile_deinit(struct profile *p);

static inline uint32_t profile_string(struct profile *p, const char *s)
{
	return intern_str(&p->strings, s);
}

static inline const char *profile_text(const struct profile *p, uint32_t string)
{
	return intern_get(&p->strings, string);
}

/* Adds a value type ("cpu", "nanoseconds") and returns its index. Only before the first sample. */
uint32_t profile_add_type(struct profile *p, const char *type, const char *unit);

/* The index of a value type by name; -1 where there is none. `off-cpu` finds `offcpu`, an event's
 * name as typed (`LLC-load-misses`) finds its type (`LLC_load_misses`). */
int profile_find_type(const struct profile *p, const char *type);

uint32_t profile_add_mapping(struct profile *p, const struct profile_mapping *m);

/* The function with these four fields, added if it is new. */
uint32_t profile_intern_function(struct profile *p, const struct profile_function *f);

/* Always a new location; lines are copied. */
uint32_t profile_add_location(struct profile *p, const struct profile_location *l,
			      const struct profile_line *lines, uint32_t n_lines);

/* The location of a frame that is only a name (text formats, sentinels): one a name and kind. */
uint32_t profile_name_location(struct profile *p, uint32_t name, enum frame_kind kind);

/* The location of `location` with one more function, known by name, inlined into its innermost. */
uint32_t profile_inline_location(struct profile *p, uint32_t location, uint32_t name);

/* The stack that is `parent` with one more location inside. */
uint32_t profile_push(struct profile *p, uint32_t parent, uint32_t location);

/* Each inlined frame copies the lines of the one around it, so that a chain of n costs n * n: from
 * this length on, which no compiler makes, frames stand on their own. */
#define PROFILE_LINES_MAX 128

/* The stack whose innermost location has one more function inlined into it, known by name; an empty
 * stack, or one whose location is full, gets `location` as a frame of its own. */
uint32_t profile_push_inlined(struct profile *p, uint32_t stack, uint32_t name, uint32_t location);

/* The id of a label set; labels are sorted by key text in place. */
uint32_t profile_intern_labels(struct profile *p, struct profile_label *labels, uint32_t count);

/* The label with this key in a set; NULL where there is none. */
const struct profile_label *profile_find_label(const struct profile *p, uint32_t label_set,
					       const char *key);

/* Adds n_types values to the sample of (stack, labels). Sums stop at the limits of int64_t. */
void profile_add_sample(struct profile *p, uint32_t stack, uint32_t labels, const int64_t *values);

/* a + b, stopping at the limits of int64_t: values come from outside. */
static inline int64_t profile_add_values(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

/* The sum of one value type over all samples. */
int64_t profile_total(const struct profile *p, uint32_t type);

/*
 * The labels that readers, analysis and writers agree on: `comm` is the process's name (its
 * leader's) at the time of the sample, which text formats and pictures show as the root of the
 * stack; `thread` the thread's own name; `pid` and `tid` numbers with the unit "id"; `status` says
 * why a stack is incomplete; `event` the event's name as typed.
 */
#define PROFILE_LABEL_COMM   "comm"
#define PROFILE_LABEL_THREAD "thread"
#define PROFILE_LABEL_PID    "pid"
#define PROFILE_LABEL_TID    "tid"
#define PROFILE_LABEL_STATUS "status"
#define PROFILE_LABEL_EVENT  "event"

#endif
