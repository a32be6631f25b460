#include "profiler/capture/backend.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "profiler/capture/session.h"

/* The better ones first. */
static const struct capture_backend *const backends[] = {
	&ebpf_backend,
	&perf_backend,
};

static bool can_sample(const struct capture_backend *b, const struct capture_options *o)
{
	if ((o->target == CAPTURE_ALL || o->target == CAPTURE_CGROUP) && !b->sees_all)
		return false;
	return (!o->stack_bytes || b->copies_stacks) && (!o->debug_stacks || b->shows_stacks);
}

static struct error *no_such_backend(const char *name)
{
	const char *names[ARRAY_SIZE(backends)];

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		names[i] = backends[i]->name;

	const char *nearest = text_nearest(name, names, ARRAY_SIZE(names));
	struct error *err = error_new(ERR_USAGE, "no backend is called `%s`", name);

	return nearest ? error_hint(err, "did you mean %s?", nearest) : err;
}

/* Leaves c as it was before. */
static struct error *open_one(struct capture *c, const struct capture_options *o,
			      const struct pev_kind *kind, const struct capture_backend *b)
{
	struct error *err;

	c->backend = b;
	err = b->open(c, o, kind);
	if (!err)
		return NULL;
	unwind_tables_destroy(c->tables);
	c->tables = NULL;
	b->close(c);
	c->backend = NULL;
	c->backend_state = NULL;
	c->wake_fds.count = 0;
	return err;
}

/* What only one backend can do, as the user asked for it; NULL: nothing. */
static const char *special_wish(const struct capture_options *o)
{
	switch (o->target) {
	case CAPTURE_ALL:
		return "-a";
	case CAPTURE_CGROUP:
		return "--cgroup";
	default:
		return o->debug_stacks ? "--debug-stacks" : o->backend ? "--backend" : NULL;
	}
}

/* Why a backend is not even tried. */
static const char *not_tried(const struct capture_options *o)
{
	return o->backend ? "--backend says so" : "--stack-size is about copies of stacks";
}

struct error *backend_open(struct capture *c, const struct capture_options *o,
			   const struct pev_kind *kind)
{
	const char *reason = NULL;
	struct error *err = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		const struct capture_backend *b = backends[i];

		if (o->backend ? strcmp(o->backend, b->name) != 0 : !can_sample(b, o)) {
			reason = not_tried(o);
			continue;
		}
		if (!can_sample(b, o))
			return error_hint(error_new(ERR_UNSUPPORTED,
						    "the %s backend cannot do that", b->name),
					  "leave --backend out");
		reason = err ? error_message(err) : reason;
		free(c->backend_reason);
		c->backend_reason = reason ? mem_strdup(reason) : NULL;
		error_free(err);
		err = open_one(c, o, kind, b);
		if (!err)
			return NULL;
		log_debug("capture", "%s: %s", b->name, error_message(err));
	}
	if (!err && o->backend)
		return no_such_backend(o->backend);
	if (!err)
		return error_new(ERR_UNSUPPORTED, "no backend of cprof can do that");
	return special_wish(o) ? error_prefix(err, "%s", special_wish(o)) : err;
}
