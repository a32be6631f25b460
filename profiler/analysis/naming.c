/*
 * All locations are sorted by file and address, so that each file is opened once and asked once for
 * all of its addresses. Where the names go differs (a writer, or tables in memory), how they
 * are found does not.
 */
#include "profiler/analysis/naming.h"

#include <stdlib.h>

#include "base/file.h"
#include "symbolizer/symbolizer.h"

/* Diagnostics of files without names: after so many, the rest is one number. */
#define TROUBLES_MAX 8

struct naming {
	const struct recording *r;
	struct recording_writer *writer; /* where the names go; NULL: into `own` */
	struct recording *own;
	const struct naming_sources *sources; /* may be NULL */
	bool same_boot;
	bool with_perf_maps;
	const volatile sig_atomic_t *stop;
	unsigned int troubles;
	size_t named; /* addresses of the file at hand that have a name */
};

struct target {
	uint32_t file;
	uint32_t location;
	uint64_t address;
};

static int compare_targets(const void *left, const void *right)
{
	const struct target *a = left, *b = right;

	if (a->file != b->file)
		return a->file < b->file ? -1 : 1;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return (a->location > b->location) - (a->location < b->location);
}

/* --- where names go --- */

static uint32_t add_string(const struct naming *n, const char *s, size_t len)
{
	return n->writer ? recording_add_string(n->writer, s, len)
			 : intern_bytes(&n->own->strings, s, len);
}

static void add_symbol(const struct naming *n, uint32_t location, uint64_t start,
		       const struct recording_symbol_frame *frames, uint32_t count)
{
	if (n->writer) {
		recording_add_symbol(n->writer, location, start, frames, count);
		return;
	}
	vec_push(&n->own->symbols,
		 (struct recording_symbol){ .location = location,
					    .first = (uint32_t)n->own->symbol_frames.count,
					    .count = count,
					    .start = start });
	for (uint32_t i = 0; i < count; i++)
		vec_push(&n->own->symbol_frames, frames[i]);
}

static void add_trouble(const struct naming *n, const char *text)
{
	if (n->writer)
		recording_add_diagnostic(n->writer, 0, "%s", text);
	else
		vec_push(&n->own->diagnostics,
			 (struct recording_diagnostic){ 0, add_string(n, text, strlen(text)) });
}

/* What cannot be opened is told, with what can be done about it. Takes the error. */
static void tell_trouble(struct naming *n, struct error *err)
{
	const char *hint = error_hint_of(err);
	char *text = mem_printf("no names: %s%s%s", error_message(err), hint ? "; " : "",
				hint ? hint : "");

	if (n->troubles++ < TROUBLES_MAX)
		add_trouble(n, text);
	free(text);
	error_free(err);
}

/* --- opening --- */

static const char *root_path(const struct naming *n, uint32_t root)
{
	const char *name = intern_get(&n->r->strings, root);

	return n->sources ? n->sources->find_root(n->sources->context, name) : name;
}

/* The roots under which the processes that mapped a file saw it. The last is ours. */
static void find_roots(const struct naming *n, uint32_t file,
		       const char *roots[static RECORDING_ROOTS_MAX + 2])
{
	size_t count = 0;

	for (uint32_t root; (root = recording_root(n->r, file, (uint32_t)count)) != 0;)
		roots[count++] = root_path(n, root);
	roots[count++] = "";
	roots[count] = NULL;
}

static struct error *open_file(const struct naming *n, uint32_t id, struct symbol_module **ret)
{
	const struct recording_file *f = &n->r->files.items[id];
	const char *path = intern_get(&n->r->strings, f->path);
	const struct image *img = NULL;
	const char *roots[RECORDING_ROOTS_MAX + 2];

	find_roots(n, id, roots);
	if (n->sources)
		img = n->sources->find_image(n->sources->context, id);
	if (!img)
		return symbol_module_open(path, roots, &f->build_id, ret);
	*ret = symbol_module_of_image(img, path, roots);
	return NULL;
}

static struct error *open_kernel(const struct naming *n, struct symbol_module **ret)
{
	if (!n->sources || !n->sources->kernel)
		return symbol_module_kernel(ret);
	*ret = symbol_module_kernel_by(n->sources->kernel);
	return NULL;
}

static struct error *open_perf_map(const struct naming *n, uint32_t process,
				   struct symbol_module **ret)
{
	const struct recording_process *p = &n->r->processes.items[process];
	struct error *err = symbol_module_perf_map(p->pid, p->ns_pid ? p->ns_pid : p->pid,
						   root_path(n, p->root), p->uid, ret);

	/* Most programs that make code at run time write no map: that is no trouble. */
	if (err && error_code_of(err) == ERR_NOT_FOUND) {
		error_free(err);
		*ret = NULL;
		return NULL;
	}
	return err;
}

/* *ret is NULL where the file has no names for a reason that needs no words. */
static struct error *open_module(const struct naming *n, uint32_t id, struct symbol_module **ret)
{
	const struct recording_file *f = &n->r->files.items[id];

	*ret = NULL;
	switch (f->kind) {
	case RECORDING_FILE_ELF:
		/* Later on only a build id tells whether a file is still the same. */
		return n->writer || f->build_id.size ? open_file(n, id, ret) : NULL;
	case RECORDING_FILE_VDSO:
		return n->same_boot ? symbol_module_vdso(ret) : NULL;
	case RECORDING_FILE_KERNEL:
		return n->same_boot ? open_kernel(n, ret) : NULL;
	case RECORDING_FILE_JIT:
		return n->with_perf_maps && f->process ? open_perf_map(n, f->process, ret) : NULL;
	case RECORDING_FILE_OTHER:
	case RECORDING_FILE_SENTINEL:
		break;
	}
	return NULL;
}

/* --- asking --- */

static void add_chain(struct naming *n, const struct target *t, const struct symbol_chain *c,
		      const struct symbol_result *result)
{
	struct recording_symbol_frame small[16], *frames = small;

	if (!c->count && c->start == t->address)
		return;
	n->named += c->count > 0;
	if (c->count > ARRAY_SIZE(small))
		frames = mem_calloc(c->count, sizeof(*frames));
	for (uint32_t i = 0; i < c->count; i++) {
		const struct symbol_frame *f = &result->frames.items[c->first + i];
		frames[i] = (struct recording_symbol_frame){
			.name = add_string(n, intern_get(&result->strings, f->name),
					   intern_len(&result->strings, f->name)),
			.source = add_string(n, intern_get(&result->strings, f->file),
					     intern_len(&result->strings, f->file)),
			.line = f->line,
			.inlined = f->inlined,
			.is_folded = f->is_folded,
		};
	}
	add_symbol(n, t->location, c->start, frames, c->count);
	if (frames != small)
		free(frames);
}

/* The kernel answers nothing, and nothing is to be read of it either. */
static void tell_nameless(struct naming *n, const struct recording_file *f)
{
	struct symbol_module *read;
	struct error *err;

	if (f->kind != RECORDING_FILE_KERNEL || n->named || (n->stop && *n->stop))
		return;
	err = symbol_module_kernel(&read);
	if (err)
		tell_trouble(n, err);
	else
		symbol_module_close(read);
}

/* Names the targets of one file. */
static void name_file(struct naming *n, const struct target *targets, size_t count)
{
	struct symbol_module *module;
	struct symbol_result result;
	struct error *err = open_module(n, targets[0].file, &module);

	if (err) {
		tell_trouble(n, err);
		return;
	}
	if (!module)
		return;

	uint64_t *addresses = mem_calloc(count, sizeof(*addresses));
	struct symbol_chain *chains = mem_calloc(count, sizeof(*chains));
	size_t unique = 0;

	for (size_t i = 0; i < count; i++)
		if (!i || targets[i].address != targets[i - 1].address)
			addresses[unique++] = targets[i].address;
	n->named = 0;
	symbol_result_init(&result);
	symbol_batch(module, addresses, unique, chains, &result);
	for (size_t i = 0, k = 0; i < count; i++) {
		k += i && targets[i].address != targets[i - 1].address;
		add_chain(n, &targets[i], &chains[k], &result);
	}
	symbol_result_deinit(&result);
	symbol_module_close(module);
	tell_nameless(n, &n->r->files.items[targets[0].file]);
	free(chains);
	free(addresses);
}

static bool has_names(const struct recording_file *f)
{
	return f->kind != RECORDING_FILE_OTHER && f->kind != RECORDING_FILE_SENTINEL;
}

static void run(struct naming *n)
{
	const struct recording *r = n->r;
	VEC(struct target) targets = { 0 };
	bool *named = mem_calloc(r->locations.count, sizeof(*named));

	for (size_t i = 0; i < r->symbols.count; i++)
		named[r->symbols.items[i].location] = true;
	for (uint32_t i = 1; i < r->locations.count; i++) {
		const struct recording_location *l = &r->locations.items[i];
		if (!named[i] && has_names(&r->files.items[l->file]))
			vec_push(&targets, (struct target){ l->file, i, naming_address(l) });
	}
	free(named);
	if (targets.count)
		qsort(targets.items, targets.count, sizeof(*targets.items), compare_targets);

	for (size_t first = 0, end; first < targets.count; first = end) {
		if (n->stop && *n->stop)
			break;
		end = first;
		while (end < targets.count && targets.items[end].file == targets.items[first].file)
			end++;
		name_file(n, targets.items + first, end - first);
	}
	if (n->troubles > TROUBLES_MAX) {
		char *text = mem_printf("no names for %u more files", n->troubles - TROUBLES_MAX);
		add_trouble(n, text);
		free(text);
	}
	vec_deinit(&targets);
}

void naming_embed(struct recording_writer *w, const struct naming_sources *sources,
		  const volatile sig_atomic_t *stop)
{
	run(&(struct naming){ .r = recording_written(w),
			      .writer = w,
			      .sources = sources,
			      .same_boot = true,
			      .with_perf_maps = true,
			      .stop = stop });
}

static bool is_same_boot(const struct recording *r)
{
	CLEANUP(mem_cleanup) char *id = NULL;
	CLEANUP(error_cleanup) struct error *err = NULL;
	size_t n;

	err = file_read_proc("/proc/sys/kernel/random/boot_id", 64, &id, &n);
	if (err || !r->boot)
		return false;
	id[strcspn(id, "\n")] = '\0';
	return strcmp(id, intern_get(&r->strings, r->boot)) == 0;
}

void naming_complete(struct recording *r)
{
	if (!r->was_cut && r->symbols.count)
		return;
	for (size_t i = 1; i < r->mappings.count; i++)
		recording_note_root(r, &r->mappings.items[i]);
	run(&(struct naming){ .r = r, .own = r, .same_boot = is_same_boot(r) });
}
