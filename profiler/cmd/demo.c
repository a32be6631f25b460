/*
 * `cprof demo`: runs demo workloads, baseline against optimised. Each variant is recorded once for
 * its pictures; the ratio of the two comes from runs of their own without a profiler, interleaved
 * (ABBA), so that a machine that grows slower meanwhile slows both. Its interval is that of the
 * median by order statistics: nothing is assumed about how run times are distributed.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/options.h"
#include "base/text.h"
#include "base/vec.h"
#include "demo_workloads/demos.h"
#include "profiler/cmd/command.h"

static const struct demo_entry {
	const char *name, *about, *unit;
} demos[] = {
#define ENTRY(name, about, unit) { #name, about, unit },
	DEMOS(ENTRY)
#undef ENTRY
};

/* An interval of the median needs this many ratios to hold it with 95 %. */
#define ROUNDS_FOR_INTERVAL 6

struct demo_run {
	const struct demo_entry *entry;
	char *program, *self;
	const char *folder;
	const char *size, *threads; /* passed on; NULL: the demo's own */
	double seconds;
	uint64_t rounds;
};

typedef VEC(const char *) word_vec;

/* Runs a command and reads its stdout. Its own words on stderr go where ours go. */
static struct error *run_and_read(const word_vec *words, struct buf *out)
{
	int fds[2], status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return error_errno(errno, "cannot make a pipe");
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return error_errno(errno, "cannot start %s", words->items[0]);
	}
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execv(words->items[0], (char *const *)words->items);
		_exit(127);
	}
	close(fds[1]);
	for (;;) {
		char bytes[4096];
		ssize_t n = read(fds[0], bytes, sizeof(bytes));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf_add(out, bytes, (size_t)n);
	}
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	if (WIFSIGNALED(status))
		return error_new(ERR_FAILED, "%s was ended by signal %d", words->items[0],
				 WTERMSIG(status));
	return error_new(ERR_FAILED, "%s failed with status %d", words->items[0],
			 WEXITSTATUS(status));
}

/* The program's words: PROGRAM --variant V --seconds S ... NULL. `seconds` is storage of the
 * caller's. */
static void push_program(const struct demo_run *r, const char *variant, const char *seconds,
			 word_vec *words)
{
	vec_push(words, r->program);
	vec_push(words, "--variant");
	vec_push(words, variant);
	vec_push(words, "--seconds");
	vec_push(words, seconds);
	if (r->size) {
		vec_push(words, "--size");
		vec_push(words, r->size);
	}
	if (r->threads) {
		vec_push(words, "--threads");
		vec_push(words, r->threads);
	}
	vec_push(words, NULL);
}

/* "metric VALUE UNIT" at the start of a line. */
static struct error *find_metric(const struct demo_run *r, struct buf *out, double *ret)
{
	const char *line = buf_str(out);

	for (; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "metric %lf", ret) == 1 && *ret > 0)
			return NULL;
	}
	return error_new(ERR_FORMAT, "%s printed no metric", r->program);
}

static struct error *measure(const struct demo_run *r, const char *variant, double seconds,
			     double *ret)
{
	CLEANUP(buf_deinit) struct buf out = { 0 };
	char text[32];
	word_vec words = { 0 };

	snprintf(text, sizeof(text), "%.3f", seconds);
	push_program(r, variant, text, &words);
	struct error *err = run_and_read(&words, &out);
	vec_deinit(&words);
	return err ? err : find_metric(r, &out, ret);
}

static struct error *record(const struct demo_run *r, const char *variant, double *ret)
{
	static const char *const endings[] = { "svg", "pb.gz", "cprof" };
	CLEANUP(buf_deinit) struct buf out = { 0 };
	char *files[ARRAY_SIZE(endings)], text[32];
	word_vec words = { 0 };

	vec_push(&words, r->self);
	vec_push(&words, "record");
	vec_push(&words, "-q");
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		files[i] =
			mem_printf("%s/%s-%s.%s", r->folder, r->entry->name, variant, endings[i]);
		vec_push(&words, "-o");
		vec_push(&words, files[i]);
	}
	vec_push(&words, "--");
	snprintf(text, sizeof(text), "%.3f", r->seconds);
	push_program(r, variant, text, &words);

	struct error *err = run_and_read(&words, &out);
	if (!err)
		err = find_metric(r, &out, ret);
	if (!err)
		printf("  %-10s %10.3f %s while recorded: %s, .pb.gz, .cprof\n", variant, *ret,
		       r->entry->unit, files[0]);
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		free(files[i]);
	vec_deinit(&words);
	return error_prefix(err, "recording %s %s", r->entry->name, variant);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare_doubles);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* How many of n sorted values to leave out on each side, so that the rest holds the median with 95
 * %: the largest k with P(at most k - 1 of n are on one side) <= 2.5 %. */
static size_t interval_margin(size_t n)
{
	double p = 1, sum = 0;
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		p /= 2;
	for (; k < n; k++) {
		sum += p;
		if (sum > 0.025)
			break;
		p = p * (double)(n - k) / (double)(k + 1);
	}
	return k ? k - 1 : 0;
}

static void print_ratio(const struct demo_run *r, double *base, double *opt, double *ratio,
			size_t n)
{
	double base_median = median(base, n), opt_median = median(opt, n), m = median(ratio, n);

	printf("  baseline   %10.3f %s\n  optimised  %10.3f %s\n", base_median, r->entry->unit,
	       opt_median, r->entry->unit);
	printf("  optimised / baseline: %.2f", m);
	if (n >= ROUNDS_FOR_INTERVAL) {
		size_t margin = interval_margin(n);
		printf(" [%.2f, %.2f]", ratio[margin], ratio[n - 1 - margin]);
	}
	printf(" (median of %zu interleaved rounds%s)\n", n,
	       n >= ROUNDS_FOR_INTERVAL ? ", 95 % interval"
					: "; too few for an interval: --rounds 7");
	if (n >= ROUNDS_FOR_INTERVAL && ratio[interval_margin(n)] <= 1 &&
	    ratio[n - 1 - interval_margin(n)] >= 1)
		printf("  the interval holds 1: no difference was shown\n");
}

/* Rounds of base-opt and opt-base in turn. The first one warms up and is dropped. */
static struct error *compare(const struct demo_run *r)
{
	const size_t n = r->rounds;
	double *base = mem_calloc(n, sizeof(*base)), *opt = mem_calloc(n, sizeof(*opt));
	double *ratio = mem_calloc(n, sizeof(*ratio)), ignored;
	const double seconds = MAX(r->seconds / 10, 0.1);
	struct error *err = NULL;

	for (size_t i = 0; i <= n && !err; i++) {
		bool warm_up = i == 0;
		double *b = warm_up ? &ignored : &base[i - 1],
		       *o = warm_up ? &ignored : &opt[i - 1];
		bool base_first = i % 2 == 0;

		err = measure(r, base_first ? "baseline" : "optimised", seconds,
			      base_first ? b : o);
		if (!err)
			err = measure(r, base_first ? "optimised" : "baseline", seconds,
				      base_first ? o : b);
		if (!err && !warm_up)
			ratio[i - 1] = opt[i - 1] / base[i - 1];
	}
	if (!err)
		print_ratio(r, base, opt, ratio, n);
	free(base);
	free(opt);
	free(ratio);
	return err;
}

/* The program stands beside cprof in the build folder, and in libexec where cprof is installed. */
static struct error *find_program(struct demo_run *r)
{
	static const char *const places[] = { "demos", "../libexec/cprof/demos" };
	char *slash = strrchr(r->self, '/');

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		free(r->program);
		r->program = mem_printf("%.*s/%s/%s", (int)(slash - r->self), r->self, places[i],
					r->entry->name);
		if (access(r->program, X_OK) == 0)
			return NULL;
	}
	return error_hint(error_new(ERR_NOT_FOUND, "the program of demo %s is not there: %s",
				    r->entry->name, r->program),
			  "`make` builds it beside cprof, `make install` installs it");
}

static struct error *run_demo(const struct demo_entry *entry, const struct demo_run *wanted)
{
	struct demo_run r = *wanted;
	char self[PATH_MAX];
	double ignored;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return error_errno(errno, "cannot read /proc/self/exe");
	self[n] = '\0';
	r.entry = entry;
	r.self = self;
	r.program = NULL;
	struct error *err = find_program(&r);
	if (!err) {
		printf("%s: %s\n", entry->name, entry->about);
		fflush(stdout);
		err = record(&r, "baseline", &ignored);
	}
	if (!err)
		err = record(&r, "optimised", &ignored);
	if (!err && r.rounds)
		err = compare(&r);
	free(r.program);
	return err;
}

static void print_list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(demos); i++)
		printf("  %-16s %s (%s)\n", demos[i].name, demos[i].about, demos[i].unit);
}

static struct error *find_demo(const char *name, const struct demo_entry **ret)
{
	const char *names[ARRAY_SIZE(demos)];

	for (size_t i = 0; i < ARRAY_SIZE(demos); i++) {
		names[i] = demos[i].name;
		if (strcmp(name, names[i]) == 0) {
			*ret = &demos[i];
			return NULL;
		}
	}
	struct error *err = error_new(ERR_USAGE, "there is no demo '%s'", name);
	const char *near = text_nearest(name, names, ARRAY_SIZE(names));
	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "`cprof demo list` lists them");
}

static struct error *check_folder(const char *folder)
{
	struct stat st;

	if (stat(folder, &st) != 0)
		return error_errno(errno, "--folder %s", folder);
	if (!S_ISDIR(st.st_mode))
		return error_new(ERR_USAGE, "--folder %s is no folder", folder);
	return NULL;
}

static struct error *demo(int argc, char **argv)
{
	struct demo_run r = { .folder = ".", .rounds = 7 };
	uint64_t seconds_ns = 3000000000;
	bool help = false;
	int first;
	const struct option_spec specs[] = {
		{ "seconds", 0, OPTION_DURATION, "TIME",
		  "length of each recording (3s); of each round a tenth", &seconds_ns, NULL },
		{ "rounds", 0, OPTION_UINT, "N",
		  "interleaved rounds of the comparison (7); 0: none", &r.rounds, NULL },
		{ "size", 0, OPTION_STRING, "BYTES", "size of the demo's data", &r.size, NULL },
		{ "threads", 0, OPTION_STRING, "N", "threads of the demo", &r.threads, NULL },
		{ "folder", 0, OPTION_STRING, "DIR", "where the files go (the current folder)",
		  &r.folder, NULL },
		{ "help", 'h', OPTION_FLAG, NULL, "show this help", &help, NULL },
	};
	const struct options o = { specs, ARRAY_SIZE(specs), false, NULL };

	TRY(options_parse(&o, argc, argv, &first));
	if (help) {
		puts("usage: cprof demo [list | NAME... | all] [OPTION]...\n\nRuns demo workloads: "
		     "records "
		     "their baseline and their optimised variant and compares the two.\n");
		options_print(&o, stdout);
		puts("\ndemos:");
		print_list();
		return NULL;
	}
	if (first == argc || (first + 1 == argc && strcmp(argv[first], "list") == 0)) {
		print_list();
		return NULL;
	}
	if (r.rounds > 10000)
		return error_new(ERR_USAGE, "--rounds %" PRIu64 " is too many", r.rounds);
	r.seconds = (double)seconds_ns / 1e9;
	TRY(check_folder(r.folder));

	bool all = first + 1 == argc && strcmp(argv[first], "all") == 0;
	size_t count = all ? ARRAY_SIZE(demos) : (size_t)(argc - first);
	const struct demo_entry *entry;
	for (size_t i = 0; i < count && !all; i++) /* a wrong name is said before anything runs */
		TRY(find_demo(argv[first + (int)i], &entry));
	for (size_t i = 0; i < count; i++) {
		entry = &demos[i];
		if (!all)
			TRY(find_demo(argv[first + (int)i], &entry));
		TRY(run_demo(entry, &r));
	}
	return NULL;
}

static int demo_command(int argc, char **argv)
{
	return command_finish(demo(argc, argv));
}

const struct command cmd_demo = {
	.name = "demo",
	.summary = "run demo workloads, baseline against optimised",
	.run = demo_command,
};
