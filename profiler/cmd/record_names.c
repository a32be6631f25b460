#include "profiler/cmd/record_names.h"

#include <time.h>

#include "base/log.h"
#include "profiler/analysis/naming.h"
#include "profiler/bpf/names.h"

static const struct image *find_image(void *context, uint32_t file)
{
	return capture_image(context, file);
}

static const char *find_root(void *context, const char *name)
{
	return capture_root(context, name);
}

static bool is_done(struct error *err)
{
	bool done = !err;

	if (err)
		log_debug("bpf", "%s", error_message(err));
	error_free(err);
	return done;
}

static bool name_kernel(void *namer, const uint64_t *addresses, size_t n,
			void (*found)(void *context, size_t i, uint64_t start, const char *name,
				      size_t len),
			void *context)
{
	return is_done(kern_namer_ask(namer, addresses, n, found, context));
}

static uint64_t own_cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void record_embed_names(struct capture *c, struct recording_writer *w,
			const volatile sig_atomic_t *stop)
{
	uint64_t before = own_cpu_ns();
	struct kern_namer *namer = NULL;
	bool may_ask = is_done(kern_namer_open(&namer));
	struct symbol_kernel kernel = { name_kernel, namer };
	struct naming_sources sources = { .find_image = find_image,
					  .find_root = find_root,
					  .context = c,
					  .kernel = may_ask ? &kernel : NULL };

	naming_embed(w, &sources, stop);
	kern_namer_close(namer);
	recording_set_fact(w, "naming_cpu_ns", own_cpu_ns() - before);
}
