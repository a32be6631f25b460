/*
 * The samples of a recording as text, with what no output format has: time, status, and which
 *frames were guessed.
 *
 * stacks_of RECORDING
 *	TIME_NS TID STATUS FRAME;FRAME;...	one sample a line, outermost frame first, a guessed
 *one with a '?' before its name stacks_of --files RECORDING
 *	TIME_NS PID STATUS COMM			the same, tabs between, and of each frame the name
 *of FILE:NAME;FILE:NAME;...		its file stacks_of --counts RECORDING guessed_frames N cut N
 *STATUS, where its walk ended	most frequent first
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "profiler/analysis/health.h"
#include "profiler/analysis/naming.h"

struct reader {
	struct recording r;
	const struct recording_symbol **symbols; /* by location */
	struct buf text;
	bool with_files;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void add_name(struct reader *x, uint32_t location)
{
	const struct recording_location *l = &x->r.locations.items[location];
	const struct recording_file *f = &x->r.files.items[l->file];
	const struct recording_symbol *s = x->symbols[location];
	const char *path = intern_get(&x->r.strings, f->path);

	if (l->guessed)
		buf_add_char(&x->text, '?');
	if (x->with_files) {
		text_add_printable(&x->text, base_name(path), strlen(base_name(path)));
		buf_add_char(&x->text, ':');
	}
	if (s && s->count) {
		uint32_t name = x->r.symbol_frames.items[s->first + s->count - 1].name;

		text_add_printable(&x->text, intern_get(&x->r.strings, name),
				   intern_len(&x->r.strings, name));
	} else {
		text_add_printable(&x->text, base_name(path), strlen(base_name(path)));
		buf_printf(&x->text, "+0x%" PRIx64, naming_address(l));
	}
}

static void add_stack(struct reader *x, uint32_t stack)
{
	VEC(uint32_t) path = { 0 };

	for (; stack; stack = x->r.stacks.items[stack].parent)
		vec_push(&path, x->r.stacks.items[stack].location);
	for (size_t i = path.count; i-- > 0;) {
		add_name(x, path.items[i]);
		if (i)
			buf_add_char(&x->text, ';');
	}
	vec_deinit(&path);
}

/* What stands in front of the stack. */
static void add_sample(struct reader *x, const struct recording_sample *s)
{
	const struct recording_thread *t = s->thread ? &x->r.threads.items[s->thread] : NULL;
	const char *status = unwind_status_name(s->status);

	if (!x->with_files) {
		buf_printf(&x->text, "%" PRIu64 " %u %s ", s->time_ns, t ? t->tid : 0, status);
		return;
	}
	buf_printf(&x->text, "%" PRIu64 "\t%u\t%s\t", s->time_ns,
		   t ? x->r.processes.items[t->process].pid : 0, status);
	text_add_printable(&x->text, intern_get(&x->r.strings, s->comm),
			   intern_len(&x->r.strings, s->comm));
	buf_add_char(&x->text, '\t');
}

static void print_samples(struct reader *x)
{
	for (size_t i = 0; i < x->r.samples.count; i++) {
		const struct recording_sample *s = &x->r.samples.items[i];

		if (health_is_booked(&x->r, s))
			continue;
		buf_clear(&x->text);
		add_sample(x, s);
		add_stack(x, s->stack);
		puts(buf_str(&x->text));
	}
}

/* --- counts --- */

struct cut {
	uint32_t status, location;
	uint64_t samples;
};

static int compare_cuts(const void *left, const void *right)
{
	const struct cut *a = left, *b = right;

	if (a->samples != b->samples)
		return a->samples > b->samples ? -1 : 1;
	return (a->location > b->location) - (a->location < b->location);
}

static void print_counts(struct reader *x)
{
	VEC(struct cut) cuts = { 0 };
	struct map by_place = { 0 };
	uint64_t guessed = 0;

	for (size_t i = 0; i < x->r.samples.count; i++) {
		const struct recording_sample *s = &x->r.samples.items[i];
		uint32_t outermost = 0;

		if (health_is_booked(&x->r, s))
			continue;
		for (uint32_t at = s->stack; at; at = x->r.stacks.items[at].parent) {
			outermost = x->r.stacks.items[at].location;
			guessed += x->r.locations.items[outermost].guessed;
		}
		if (unwind_status_class(s->status) == UNWIND_CLASS_WHOLE)
			continue;
		uint32_t *slot = map_at(&by_place, map_key2(s->status, outermost));

		if (*slot == MAP_NONE) {
			*slot = (uint32_t)cuts.count;
			vec_push(&cuts, ((struct cut){ s->status, outermost, 0 }));
		}
		cuts.items[*slot].samples++;
	}
	printf("guessed_frames %" PRIu64 "\n", guessed);
	if (cuts.count)
		qsort(cuts.items, cuts.count, sizeof(struct cut), compare_cuts);
	for (size_t i = 0; i < cuts.count; i++) {
		buf_clear(&x->text);
		if (cuts.items[i].location) {
			const struct recording_location *l =
				&x->r.locations.items[cuts.items[i].location];
			const struct recording_file *f = &x->r.files.items[l->file];

			buf_printf(&x->text, ", at 0x%" PRIx64 " of ", l->address);
			text_add_printable(&x->text, intern_get(&x->r.strings, f->path),
					   intern_len(&x->r.strings, f->path));
			buf_add_str(&x->text, ", ");
			add_name(x, cuts.items[i].location);
		}
		printf("cut %" PRIu64 " %s%s\n", cuts.items[i].samples,
		       unwind_status_name((enum unwind_status)cuts.items[i].status),
		       buf_str(&x->text));
	}
	vec_deinit(&cuts);
	map_deinit(&by_place);
}

int main(int argc, char **argv)
{
	bool counts = argc == 3 && strcmp(argv[1], "--counts") == 0;
	struct reader x = { 0 };
	struct file_bytes bytes;
	struct error *err;

	x.with_files = argc == 3 && strcmp(argv[1], "--files") == 0;
	if (argc != 2 && !counts && !x.with_files) {
		fprintf(stderr, "usage: stacks_of [--counts | --files] RECORDING\n");
		return 2;
	}
	err = file_map(argv[argc - 1], &bytes);
	if (!err)
		err = recording_read(bytes.data, bytes.size, &x.r);
	if (err) {
		error_print(err, stderr);
		return 1;
	}
	x.symbols = mem_calloc(MAX(x.r.locations.count, 1), sizeof(struct recording_symbol *));
	for (size_t i = 0; i < x.r.symbols.count; i++)
		x.symbols[x.r.symbols.items[i].location] = &x.r.symbols.items[i];
	if (counts)
		print_counts(&x);
	else
		print_samples(&x);
	free(x.symbols);
	buf_deinit(&x.text);
	recording_deinit(&x.r);
	file_bytes_deinit(&bytes);
	return ferror(stdout) || fflush(stdout) != 0;
}
