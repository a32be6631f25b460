/* What the fuzzers of the formats have in common: whatever a reader accepts must go through the
 * call tree and every text or protobuf writer, and come back from them with the same total. */
#ifndef CPROF_TESTS_FORMAT_FUZZ_H
#define CPROF_TESTS_FORMAT_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "flamegraph/formats/format.h"
#include "flamegraph/model/calltree.h"

#define FUZZ_REQUIRE(condition)                                                                    \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static inline void fuzz_tree(const struct profile *p, enum calltree_root root, bool reverse)
{
	struct calltree_options o = { .type = p->default_type, .root = root, .reverse = reverse };
	struct calltree t;

	calltree_build(&t, p, &o);
	for (uint32_t i = 1; i < t.nodes.count; i++) {
		const struct calltree_node *n = &t.nodes.items[i];
		FUZZ_REQUIRE(n->parent < i);
		FUZZ_REQUIRE(n->depth == t.nodes.items[n->parent].depth + 1);
		FUZZ_REQUIRE(calltree_name(&t, i) != NULL);
	}
	calltree_deinit(&t);
}

/* Are all values small and positive, so that no sum can be cut? */
static inline bool fuzz_sums_exact(const struct profile *p)
{
	for (size_t i = 0; i < p->values.count; i++)
		if (p->values.items[i] < 0 || p->values.items[i] > INT32_MAX)
			return false;
	return true;
}

static inline void fuzz_write(const struct profile *p, const char *name)
{
	const struct format *f = format_by_name(name);
	struct write_options w = { .type = (int)p->default_type,
				   .mark_kernel = true,
				   .mark_jit = true,
				   .mark_inlined = true };
	struct read_options o = { 0 };
	struct buf out = { 0 };
	struct profile back;

	struct sink *sink = sink_to_buf(&out);
	struct error *err = f->write(p, &w, NULL, sink);
	FUZZ_REQUIRE(!err);
	err = sink_close(sink);
	FUZZ_REQUIRE(!err);

	profile_init(&back);
	err = f->read(out.data, out.len, &o, NULL, &back);
	if (err && out.len)
		error_print(err, stderr);
	/* Nothing but samples of 0 is no folded text. */
	FUZZ_REQUIRE(!err || !out.len);
	if (!err && fuzz_sums_exact(p) &&
	    strcmp(profile_text(p, p->types.items[p->default_type].type), "offcpu") != 0)
		FUZZ_REQUIRE(profile_total(&back, back.default_type) ==
			     profile_total(p, p->default_type));
	error_free(err);
	profile_deinit(&back);
	buf_deinit(&out);
}

static inline void fuzz_format(const char *name, const struct read_options *o, const uint8_t *data,
			       size_t size)
{
	const struct format *f = format_by_name(name);
	struct profile p;

	f->detect(data, size, true);
	profile_init(&p);
	struct error *err = f->read(data, size, o, NULL, &p);
	if (!err) {
		fuzz_tree(&p, CALLTREE_ROOT_COMM, false);
		fuzz_tree(&p, CALLTREE_ROOT_PID_THREAD, false);
		fuzz_tree(&p, CALLTREE_ROOT_NONE, true);
		fuzz_write(&p, "folded");
		/* Compressing takes longer than all the rest: one input in eight. */
		if (size % 8 == 0)
			fuzz_write(&p, "pprof");
	}
	error_free(err);
	profile_deinit(&p);
}

#endif
