/*
 * How fast tables are built, and how fast they are walked.
 *
 *     table_bench [FILE [RUNS]]
 *
 * Building: from the opened file to all of its text compiled, rules deduplicated and pages laid
 * out; one thread's CPU time over the bytes of .eh_frame, median of RUNS. Walking: a stack made of
 * frames that the file's own rules describe (return addresses behind calls are not needed: rows
 * are), ns a frame.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "profiler/unwind/pool.h"
#include "profiler/unwind/unit.h"
#include "profiler/unwind/walk.h"

#define DEFAULT_FILE "/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1"
#define MAX_RUNS     101
#define WALK_FRAMES  200
#define STACK_BASE   0x7ffd00000000ull
#define STACK_SIZE   (4u << 20)

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static struct error *build(const struct image *img, struct unwind_tables **ret_tables,
			   struct unwind_table **ret, double *ret_seconds)
{
	double start = cpu_seconds();

	*ret_tables = unwind_tables_create(NULL);
	TRY(unwind_table_create(*ret_tables, img, ret));
	unwind_table_compile_all(*ret);
	*ret_seconds = cpu_seconds() - start;
	return NULL;
}

/* A stack of frames at random addresses of the file whose rule is CFA = sp + n: what most code has.
 * Fills the words with return addresses as the walk will look for them; returns where the walk
 * starts. */
static uint64_t make_stack(struct unwind_table *table, uint64_t *words, uint64_t bias)
{
	struct unwind_tables *t = table->tables;
	uint64_t sp = 0, first = 0, *slot = &first;
	unsigned int seed = 1;

	for (int made = 0; made < WALK_FRAMES;) {
		uint64_t page = (uint64_t)rand_r(&seed) % table->page_count;
		uint32_t word = pool_word(t, table->dir + (uint32_t)page), row;

		if (word & UNWIND_PAGE_ONE_RULE)
			continue;
		row = pool_word(t, word + 1 + (uint32_t)rand_r(&seed) % pool_word(t, word));
		struct unwind_rule r = unwind_rule_unpack(t->rules[row >> 16]);
		if (r.kind != UNWIND_RULE_REG || r.base != UNWIND_REG_SP || r.offset < 8 ||
		    r.offset > 4096 || r.post || r.bp_kind == UNWIND_BP_AT_BP)
			continue;
		*slot = ((table->first_page + page) << UNWIND_PAGE_SHIFT) + (row & 0xffff) + 1 +
			bias;
		sp += (uint64_t)r.offset;
		slot = &words[sp / 8 - 1];
		made++;
	}
	*slot = 0;
	return first;
}

static void bench_walk(struct unwind_table *table)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	const uint64_t bias = 0x7f0000000000;
	uint64_t *words = mem_calloc(STACK_SIZE / 8, 8);
	struct unwind_memory stack = { .bytes = (uint8_t *)words,
				       .base = STACK_BASE,
				       .size = STACK_SIZE };
	struct unwind_mapping m = {
		.start = bias + (table->first_page << UNWIND_PAGE_SHIFT),
		.end = bias + ((table->first_page + table->page_count) << UNWIND_PAGE_SHIFT),
		.bias = bias,
	};
	struct unwind_space space = { .mappings = &m, .tables = &table, .count = 1 };
	struct unwind_regs regs = { .ip = make_stack(table, words, bias),
				    .gpr[UNWIND_REG_SP] = STACK_BASE };
	struct unwind_result r;
	uint64_t walked = 0;
	double start;

	unwind_table_describe(table, &m);
	start = cpu_seconds();
	for (int i = 0; i < 2000; i++) {
		unwind_walk(table->tables, &space, &regs, &stack, false, frames, UNWIND_MAX_FRAMES,
			    &r);
		walked += r.count;
	}
	printf("walk: %.1f ns a frame (%u frames a stack, ended with %s)\n",
	       (cpu_seconds() - start) * 1e9 / (double)walked, r.count,
	       unwind_status_name(r.status));
	free(words);
}

int main(int argc, char **argv)
{
	const char *path = argc > 1 ? argv[1] : DEFAULT_FILE;
	int runs = argc > 2 ? atoi(argv[2]) : 9;
	struct unwind_table_stats stats = { 0 };
	struct unwind_tables *tables = NULL;
	struct unwind_table *table = NULL;
	struct image *img = NULL;
	double seconds[MAX_RUNS];
	struct error *err = image_open(path, &img);

	runs = MIN(MAX(runs, 1), MAX_RUNS);
	for (int i = 0; i < runs && !err; i++) {
		unwind_tables_destroy(tables);
		err = build(img, &tables, &table, &seconds[i]);
	}
	if (err) {
		error_print(err, stderr);
		return 1;
	}
	unwind_table_stats(table, &stats);
	qsort(seconds, (size_t)runs, sizeof(*seconds), compare_doubles);
	double mb = (double)stats.eh_frame_bytes / 1e6, median = seconds[runs / 2];
	printf("build: %.1f MB/s of .eh_frame (%.2f MB in %.1f ms; %.1f to %.1f ms), %lu rows, %u "
	       "rules, %.2f bytes a row\n",
	       mb / median, mb, median * 1e3, seconds[0] * 1e3, seconds[runs - 1] * 1e3,
	       (unsigned long)stats.rows, stats.rules,
	       (double)stats.pool_bytes / (double)MAX(stats.rows, 1u));
	if (table->index)
		bench_walk(table);
	unwind_tables_destroy(tables);
	image_close(img);
	return 0;
}
