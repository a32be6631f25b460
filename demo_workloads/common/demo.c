#include "demo_workloads/common/demo.h"

#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct run {
	const struct demo *demo;
	const struct demo_variant *variant;
	double seconds;
	uint64_t size;
	unsigned int threads;
	pthread_barrier_t ready; /* all have set up */
	atomic_bool failed;
};

struct worker {
	struct run *run;
	pthread_t thread;
	double work, seconds;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	struct run *r = w->run;
	void *data = r->demo->set_up(r->size);

	if (!data)
		atomic_store(&r->failed, true);
	pthread_barrier_wait(&r->ready);

	double start = now(), end = start;
	while (!atomic_load(&r->failed) && end - start < r->seconds) {
		double done = r->demo->round(data, r->variant);
		if (done < 0)
			atomic_store(&r->failed, true);
		else
			w->work += done;
		end = now();
	}
	w->seconds = end - start;
	if (data)
		r->demo->tear_down(data);
	return NULL;
}

static int run_all(struct run *r)
{
	struct worker *workers = calloc(r->threads, sizeof(*workers));
	double rate = 0;

	if (!workers || pthread_barrier_init(&r->ready, NULL, r->threads) != 0) {
		fprintf(stderr, "%s: out of memory\n", r->demo->name);
		free(workers);
		return 1;
	}
	for (unsigned int i = 0; i < r->threads; i++) {
		workers[i].run = r;
		if (i > 0 && pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
			/* Those that run already wait for this one. */
			fprintf(stderr, "%s: cannot start %u threads\n", r->demo->name, r->threads);
			exit(1);
		}
	}
	work(&workers[0]); /* the first is the main thread: one thread is no thread */
	for (unsigned int i = 1; i < r->threads; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < r->threads; i++)
		if (workers[i].seconds > 0)
			rate += workers[i].work / workers[i].seconds;
	pthread_barrier_destroy(&r->ready);
	free(workers);
	if (atomic_load(&r->failed))
		return 1;

	printf("%s %s: %.1f s, %u thread%s, %llu bytes each\n", r->demo->name, r->variant->name,
	       r->seconds, r->threads, r->threads == 1 ? "" : "s", (unsigned long long)r->size);
	printf("metric %.4f %s\n", rate / r->demo->work_per_unit, r->demo->unit);
	return 0;
}

static void usage(const struct demo *d)
{
	printf("usage: %s [OPTION]...\n%s\n\n"
	       "  --variant NAME  which one to run (baseline)\n"
	       "  --seconds S     how long to measure (3)\n"
	       "  --threads N     how many work at the same time, each on its own data (1)\n"
	       "  --size BYTES    data of each, with K, M or G (%lluK)\n\nvariants:\n",
	       d->name, d->about, (unsigned long long)d->default_size >> 10);
	for (size_t i = 0; i < d->variant_count; i++)
		printf("  %-14s  %s\n", d->variants[i].name, d->variants[i].about);
}

static bool parse_size(const char *s, uint64_t *ret)
{
	static const char suffixes[] = "KMG";
	char *end;
	double v = strtod(s, &end);
	const char *suffix = *end ? strchr(suffixes, *end) : NULL;

	if (end == s || (*end && (!suffix || end[1])) || !(v > 0 && v < 1e18))
		return false;
	if (suffix)
		v *= (double)(UINT64_C(1) << (10 * (suffix - suffixes + 1)));
	*ret = (uint64_t)v;
	return true;
}

static const struct demo_variant *find_variant(const struct demo *d, const char *name)
{
	for (size_t i = 0; i < d->variant_count; i++)
		if (strcmp(d->variants[i].name, name) == 0)
			return &d->variants[i];
	return NULL;
}

int demo_main(const struct demo *d, int argc, char **argv)
{
	static const struct option options[] = {
		{ "variant", required_argument, NULL, 'v' },
		{ "seconds", required_argument, NULL, 's' },
		{ "threads", required_argument, NULL, 't' },
		{ "size", required_argument, NULL, 'b' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct run r = {
		.demo = d,
		.variant = find_variant(d, "baseline"),
		.seconds = 3,
		.size = d->default_size,
		.threads = 1,
	};
	bool good = true;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (c) {
		case 'v':
			r.variant = find_variant(d, optarg);
			good = good && r.variant;
			break;
		case 's':
			r.seconds = atof(optarg);
			good = good && r.seconds > 0;
			break;
		case 't':
			r.threads = (unsigned int)atoi(optarg);
			good = good && r.threads > 0 && r.threads <= 1024;
			break;
		case 'b':
			good = parse_size(optarg, &r.size) && good;
			break;
		case 'h':
			usage(d);
			return 0;
		default:
			return 2;
		}
		if (!good) {
			fprintf(stderr, "%s: '%s' is not a good value; see --help\n", d->name,
				optarg);
			return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "%s: what is '%s'? See --help\n", d->name, argv[optind]);
		return 2;
	}
	return run_all(&r);
}
