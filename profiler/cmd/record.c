/*
 * `cprof record`: runs a command (or attaches), and leaves a recording, a flame graph and a pprof
 * file. This file is the order of things; what it asks for is in capture/ (sampling), analysis/
 * (names, the profile, the summary) and outputs.c (files).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/options.h"
#include "base/text.h"
#include "flamegraph/render/palette.h"
#include "profiler/analysis/health.h"
#include "profiler/analysis/profile_of.h"
#include "profiler/analysis/summary.h"
#include "profiler/capture/capture.h"
#include "profiler/capture/launch.h"
#include "profiler/cmd/command.h"
#include "profiler/cmd/input.h"
#include "profiler/cmd/outputs.h"
#include "profiler/cmd/record_habits.h"
#include "profiler/cmd/record_names.h"
#include "profiler/cmd/record_watch.h"
#include "profiler/cmd/show_picture.h"
#include "profiler/cmd/sudo_user.h"
#include "profiler/process/cgroup.h"
#include "profiler/process/find.h"
#include "profiler/process/held.h"
#include "profiler/process/namespace.h"

#define DEFAULT_HZ	 997
#define DEFAULT_ALL_HZ	 99 /* of -a */
#define MOST_STACK_BYTES 65536

struct record {
	/* as given */
	uint64_t frequency_hz; /* 0: not given */
	const char *event;
	VEC(const char *) output_paths;
	const char *to;
	const char *processes, *threads, *cgroup;
	bool all_cpus;
	const char *backend, *debug_stacks;
	uint64_t duration_ns, delay_ns, stack_bytes;
	const char *stdout_path, *control;
	bool quiet, wait_all, as_root, user_only, open;
	const char *names_word;
	enum name_style names;
	double min_complete; /* per cent; 0: no gate */
	struct write_options picture;

	/* as worked out */
	char **words; /* the command, or the timer of `-p PID -- sleep 10` */
	enum capture_target target;
	struct proc_ids ids;
	struct proc_cgroup group;
	struct outputs outputs;
	struct sudo_user sudo;
	bool has_sudo_user, for_sudo_user; /* is known; and the command and the files are theirs */
	int stdout_fd;
	struct launch timer;
	struct watch watch;
};

static struct error *add_output(void *target, const char *value)
{
	struct record *r = target;

	vec_push(&r->output_paths, value);
	return NULL;
}

static struct error *refuse_later(void *target, const char *value)
{
	(void)value;
	return error_hint(error_new(ERR_USAGE, "%s: not yet in this version", (const char *)target),
			  "cprof doctor says what can be recorded here");
}

static struct error *set_frequency(void *target, const char *value)
{
	TRY(error_hint(parse_u64(value, "--frequency", UINT64_MAX, target),
		       "997 is what there is without it, %d a sensible most", HEALTH_RATE_MAX));
	if (*(uint64_t *)target == 0)
		return error_new(ERR_USAGE, "--frequency: at least 1");
	return NULL;
}

static struct error *set_duration(void *target, const char *value)
{
	TRY(parse_duration_ns(value, "--duration", target));
	if (*(uint64_t *)target == 0)
		return error_hint(error_new(ERR_USAGE, "--duration: longer than 0"),
				  "without it, the recording ends with its target, or with ctrl-C");
	return NULL;
}

/* -1 as of perf: until --control says enable. */
static struct error *set_delay(void *target, const char *value)
{
	if (strcmp(value, "-1") != 0)
		return parse_duration_ns(value, "--delay", target);
	*(uint64_t *)target = CAPTURE_DELAY_ENDLESS;
	return NULL;
}

static struct error *set_backend(void *target, const char *value)
{
	static const char *const backends[] = { "perf", "ebpf" };
	const char *near;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (strcmp(value, backends[i]))
			continue;
		*(const char **)target = value;
		return NULL;
	}
	near = text_nearest(value, backends, ARRAY_SIZE(backends));

	struct error *err = error_new(ERR_USAGE, "--backend: there is no backend '%s'", value);

	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "perf or ebpf; without the option cprof chooses");
}

static struct error *set_min_complete(void *target, const char *value)
{
	double percent;

	TRY(parse_double(value, "--min-complete", &percent));
	if (percent > 100)
		return error_new(ERR_USAGE, "--min-complete: %s is more than 100 per cent", value);
	*(double *)target = percent;
	return NULL;
}

/* Parses the command line; with --help prints the options and sets *ret_help. */
static struct error *parse_command_line(struct record *r, int argc, char **argv, bool *ret_help)
{
	const struct option_spec specs[] = {
		{ "frequency", 'F', OPTION_CALL, "HZ",
		  "samples a second of CPU time (default 997; with -a 99)", &r->frequency_hz,
		  set_frequency },
		{ "event", 'e', OPTION_STRING, "EVENT", "what to sample by (default cpu-clock)",
		  &r->event, NULL },
		{ "output", 'o', OPTION_CALL, "FILE",
		  "a file to write, by extension; may be repeated ('-': stdout)", r, add_output },
		{ "to", 0, OPTION_STRING, "FORMAT", "the format of -o -", &r->to, NULL },
		{ "pid", 'p', OPTION_STRING, "PID|NAME,..", "attach to processes", &r->processes,
		  NULL },
		{ "tid", 't', OPTION_STRING, "TID,..", "attach to threads", &r->threads, NULL },
		{ "all-cpus", 'a', OPTION_FLAG, NULL, "record everything that runs on this machine",
		  &r->all_cpus, NULL },
		{ "cgroup", 0, OPTION_STRING, "PATH",
		  "record everything in a cgroup, and in those below it", &r->cgroup, NULL },
		{ "duration", 0, OPTION_CALL, "TIME", "stop recording after this long",
		  &r->duration_ns, set_duration },
		{ "delay", 0, OPTION_CALL, "TIME",
		  "start recording this long after the start; -1: when --control says enable",
		  &r->delay_ns, set_delay },
		{ "control", 0, OPTION_STRING, "fifo:CTL[,ACK]",
		  "read enable, disable, stop from a FIFO (or fd:N); answers go to ACK",
		  &r->control, NULL },
		{ "wait-all", 0, OPTION_FLAG, NULL,
		  "record until every process that the command started has ended", &r->wait_all,
		  NULL },
		{ "stdout", 0, OPTION_STRING, "FILE", "where the command's stdout goes",
		  &r->stdout_path, NULL },
		{ "user-only", 0, OPTION_FLAG, NULL, "leave out the kernel's frames", &r->user_only,
		  NULL },
		{ "stack-size", 0, OPTION_SIZE, "SIZE",
		  "of the perf backend: bytes of stack copied with a sample, 64K at most",
		  &r->stack_bytes, NULL },
		{ "backend", 0, OPTION_CALL, "NAME",
		  "perf or ebpf (default: ebpf where it may run)", &r->backend, set_backend },
		{ "names", 0, OPTION_STRING, "STYLE", "full, simple, raw or perl (default full)",
		  &r->names_word, NULL },
		{ "title", 0, OPTION_STRING, "TEXT", "title of the flame graph", &r->picture.title,
		  NULL },
		{ "colors", 0, OPTION_STRING, "PALETTE", "colours of the flame graph",
		  &r->picture.colors, NULL },
		{ "icicle", 0, OPTION_FLAG, NULL, "the root on top", &r->picture.icicle, NULL },
		{ "min-complete", 0, OPTION_CALL, "PERCENT",
		  "exit 1 when fewer of the stacks are complete", &r->min_complete,
		  set_min_complete },
		{ "open", 0, OPTION_FLAG, NULL, "show the flame graph when it is there", &r->open,
		  NULL },
		{ "as-root", 0, OPTION_FLAG, NULL, "under sudo: run the command as root",
		  &r->as_root, NULL },
		{ "debug-stacks", 0, OPTION_STRING, "FILE",
		  "for tests: registers and stack of every sample, as the kernel saw them",
		  &r->debug_stacks, NULL },
		{ "quiet", 'q', OPTION_FLAG, NULL, "no progress line, no summary", &r->quiet,
		  NULL },
		{ NULL, 'g', OPTION_CALL, NULL, NULL, NULL, record_accept_call_graph },
		{ "call-graph", 0, OPTION_CALL, "MODE", NULL, NULL, record_accept_call_graph },
		{ "freq", 0, OPTION_CALL, "HZ", NULL, &r->frequency_hz, set_frequency },
		{ "off-cpu", 0, OPTION_CALL, NULL, NULL, "--off-cpu", refuse_later },
		{ "wall", 0, OPTION_CALL, NULL, NULL, "--wall", refuse_later },
		{ "help", 'h', OPTION_FLAG, NULL, "this text", ret_help, NULL },
	};
	const struct options options = { specs, ARRAY_SIZE(specs), true, record_habits };
	int first;

	TRY(options_parse(&options, argc, argv, &first));
	if (*ret_help) {
		printf("usage: cprof record [OPTIONS] [--] COMMAND [ARG...]\n"
		       "       cprof record [OPTIONS] -p PID|NAME,.. | -a | --cgroup PATH\n"
		       "                    [-- COMMAND: for as long as this runs]\n\n");
		options_print(&options, stdout);
	}
	r->words = argv + first;
	return NULL;
}

/* --- what is to be recorded --- */

static struct error *parse_threads(struct record *r)
{
	char *list = mem_strdup(r->threads), *rest = list, *word;
	struct error *err = NULL;

	while (!err && (word = strsep(&rest, ","))) {
		uint64_t tid = 0;
		err = parse_u64(word, "--tid", INT32_MAX, &tid);
		if (!err && !tid) /* to the kernel it would be cprof itself */
			err = error_new(ERR_NOT_FOUND, "there is no thread 0");
		proc_ids_add(&r->ids, (uint32_t)tid);
	}
	free(list);
	return err;
}

/* All matches of every word of -p, listed. */
static struct error *find_processes(struct record *r)
{
	struct buf listed = { 0 };
	struct error *err = proc_find(r->processes, &r->ids, &listed);

	if (!err && !r->quiet && listed.len)
		fprintf(stderr, "cprof: recording %s\n", buf_str(&listed));
	buf_deinit(&listed);
	return err;
}

/* Which of the options that say what to record was given: one at the most. */
static struct error *choose_target(struct record *r)
{
	const struct {
		bool given;
		const char *option;
		enum capture_target target;
	} choices[] = {
		{ r->processes, "-p", CAPTURE_PROCESSES },
		{ r->threads, "-t", CAPTURE_THREADS },
		{ r->all_cpus, "-a", CAPTURE_ALL },
		{ r->cgroup, "--cgroup", CAPTURE_CGROUP },
	};
	const char *chosen = NULL;

	r->target = CAPTURE_COMMAND;
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		if (!choices[i].given)
			continue;
		if (chosen)
			return error_new(ERR_USAGE, "%s and %s do not go together", chosen,
					 choices[i].option);
		chosen = choices[i].option;
		r->target = choices[i].target;
	}
	if (!chosen && !*r->words)
		return error_hint(error_new(ERR_USAGE, "nothing to record"),
				  "cprof record ./app, or cprof record -p PID");
	if (chosen && r->wait_all)
		return error_hint(
			error_new(ERR_USAGE, "--wait-all and %s do not go together", chosen),
			"--wait-all waits for what a recorded command started");
	return NULL;
}

/* What the perf backend has no way to do, and was asked for by name. */
static struct error *check_backend(const struct record *r)
{
	const char *wish = r->target == CAPTURE_ALL	 ? "-a"
			   : r->target == CAPTURE_CGROUP ? "--cgroup"
			   : r->debug_stacks		 ? "--debug-stacks"
							 : NULL;

	if (r->backend && !strcmp(r->backend, "perf") && wish)
		return error_new(ERR_USAGE, "%s needs the ebpf backend, not --backend perf", wish);
	if (r->backend && !strcmp(r->backend, "ebpf") && r->stack_bytes)
		return error_hint(
			error_new(ERR_USAGE, "--stack-size goes with the perf backend only"),
			"the ebpf backend reads stacks where they are, to their end");
	return NULL;
}

static struct error *check_options(struct record *r)
{
	TRY(choose_target(r));
	TRY(check_backend(r));
	if (r->delay_ns == CAPTURE_DELAY_ENDLESS && !r->control)
		return error_hint(error_new(ERR_USAGE, "--delay -1 goes with --control"),
				  "--control fifo:PATH: recording begins when `enable` is written "
				  "there");
	if (r->stdout_path && !*r->words)
		return error_new(ERR_USAGE, "--stdout goes with a command");
	if (r->stack_bytes > MOST_STACK_BYTES)
		return error_hint(error_new(ERR_USAGE, "--stack-size: %llu bytes are too many",
					    (unsigned long long)r->stack_bytes),
				  "the kernel copies 64K of stack with a sample at the most");
	if (outputs_use_stdout(&r->outputs) && *r->words && !r->stdout_path)
		return error_hint(
			error_new(ERR_USAGE, "-o - would mix with what the command prints"),
			"--stdout FILE sends the command's stdout elsewhere");
	if (!r->frequency_hz)
		r->frequency_hz = r->all_cpus ? DEFAULT_ALL_HZ : DEFAULT_HZ;
	return NULL;
}

static struct error *find_target(struct record *r)
{
	switch (r->target) {
	case CAPTURE_COMMAND:
	case CAPTURE_ALL:
		return NULL;
	case CAPTURE_PROCESSES:
		return find_processes(r);
	case CAPTURE_THREADS:
		return parse_threads(r);
	case CAPTURE_CGROUP:
		return proc_cgroup_find(r->cgroup, &r->group);
	}
	return NULL;
}

/* A file that is new belongs to the user as all others do; what was there before stays as it is. */
static struct error *open_stdout(struct record *r)
{
	r->stdout_fd = -1;
	if (!r->stdout_path)
		return NULL;
	r->stdout_fd = open(r->stdout_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (r->stdout_fd >= 0)
		return sink_give_to_owner(r->stdout_fd, r->stdout_path);
	if (errno == EEXIST)
		r->stdout_fd = open(r->stdout_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (r->stdout_fd < 0)
		return error_errno(errno, "--stdout: cannot open %s", r->stdout_path);
	return NULL;
}

static struct error *become_careful(struct record *r)
{
	struct error *err = sudo_user_find(&r->sudo, &r->has_sudo_user);

	if (r->as_root) {
		error_free(err); /* then nothing is done as that user */
		return NULL;
	}
	r->for_sudo_user = r->has_sudo_user;
	if (err || !r->for_sudo_user)
		return err;
	sink_set_owner(r->sudo.uid, r->sudo.gid);
	if (!r->quiet && *r->words)
		fprintf(stderr, "cprof: the command runs as %s (--as-root: as root)\n",
			r->sudo.name);
	return NULL;
}

static void fill_command(const struct record *r, struct capture_command *ret)
{
	struct rlimit files;

	*ret = (struct capture_command){
		.argv = r->words, .stdout_fd = r->stdout_fd, .uid = -1, .gid = -1
	};
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		ret->open_files = files.rlim_cur;
	if (!r->for_sudo_user)
		return;
	ret->uid = r->sudo.uid;
	ret->gid = r->sudo.gid;
	ret->groups = r->sudo.groups;
	ret->group_count = r->sudo.group_count;
	ret->environment = r->sudo.environment;
}

/* What is recorded where it is no command, for titles. */
static char *name_of_target(const struct record *r)
{
	switch (r->target) {
	case CAPTURE_COMMAND:
		break;
	case CAPTURE_PROCESSES:
		return mem_printf("process%s %s", strchr(r->processes, ',') ? "es" : "",
				  r->processes);
	case CAPTURE_THREADS:
		return mem_printf("thread%s %s", strchr(r->threads, ',') ? "s" : "", r->threads);
	case CAPTURE_ALL:
		return mem_strdup(proc_in_pid_namespace()
					  ? "all CPUs, processes of this pid namespace"
					  : "all CPUs");
	case CAPTURE_CGROUP:
		return mem_printf("cgroup %s", r->group.name);
	}
	return NULL;
}

static struct error *start(struct record *r, struct capture **ret, int *ret_status)
{
	CLEANUP(mem_cleanup) char *name = name_of_target(r);
	/* `-p PID -- sleep 10`: the words are no target but a clock */
	bool is_timed = r->target != CAPTURE_COMMAND && *r->words;
	int ignored;
	struct capture_options options = {
		.path = r->outputs.recording,
		.frequency_hz = r->frequency_hz,
		.event = r->event,
		.target = r->target,
		.target_name = name,
		.ids = r->ids.items,
		.id_count = r->ids.count,
		.cgroup = r->group.folder,
		.delay_ns = r->delay_ns,
		.is_switched = r->control != NULL,
		.duration_ns = r->duration_ns,
		.wait_all = r->wait_all,
		.user_only = r->user_only,
		.stack_bytes = (uint32_t)MIN(r->stack_bytes, UINT32_MAX),
		.backend = r->backend,
		.debug_stacks = r->debug_stacks,
	};

	fill_command(r, &options.command);
	if (is_timed)
		TRY(launch_fork(&options.command, &r->timer, &ignored));
	TRY(capture_start(&options, ret, ret_status));
	if (!is_timed)
		return NULL;
	struct error *err = launch_go(&r->timer, &options.command, &ignored);
	if (err)
		unlink(r->outputs.recording); /* nothing is in it */
	return err;
}

/* Where nothing comes until somebody does something. */
static void say_held(const struct record *r)
{
	for (size_t i = 0; i < r->ids.count && !r->quiet && r->target == CAPTURE_PROCESSES; i++) {
		struct buf words = { 0 };

		if (proc_is_held(r->ids.items[i], &words))
			fprintf(stderr, "cprof: %s\n", buf_str(&words));
		buf_deinit(&words);
	}
}

static void say_fast(const struct record *r)
{
	if (!r->quiet && r->frequency_hz > HEALTH_RATE_MAX)
		fprintf(stderr,
			"cprof: -F %llu: so many samples slow the program down, or the whole "
			"machine; %d is a sensible most\n",
			(unsigned long long)r->frequency_hz, HEALTH_RATE_MAX);
}

static void say_empty(const struct record *r)
{
	if (!r->quiet && r->group.folder && proc_cgroup_is_empty(r->group.folder))
		fprintf(stderr, "cprof: no process is in the control group %s yet\n",
			r->group.name);
}

/* Where nothing but the user ends it. */
static void say_endless(const struct record *r)
{
	if (!r->quiet && (r->target == CAPTURE_ALL || r->target == CAPTURE_CGROUP) && !*r->words &&
	    !r->duration_ns)
		fprintf(stderr, "cprof: recording until ctrl-C\n");
}

/* --- the end: names, files, words --- */

/* Names what was hit, into the recording, which is whole after that. */
static struct error *complete_recording(struct capture *c, const volatile sig_atomic_t *stop)
{
	struct error *err = capture_finish(c);
	struct recording_writer *w = capture_take_writer(c);

	if (!w)
		return err;
	if (!err) /* a disk that is full takes no names either */
		record_embed_names(c, w, stop);
	struct error *closed = recording_close(w);
	if (err) {
		error_free(closed);
		return err;
	}
	return closed;
}

/* Of the terminal that the summary goes to; 0: it goes elsewhere. */
static unsigned int terminal_width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static struct error *write_files(struct record *r, const struct recording *recording)
{
	const struct analysis_options options = { .names = r->names };
	const struct format_notices notices = { r->quiet ? NULL : command_notice, NULL };
	struct profile profile;

	analysis_profile(recording, &options, &profile);
	struct error *err = outputs_write(&r->outputs, &profile, &r->picture, &notices);
	if (!r->quiet) {
		struct buf summary = { 0 };
		summary_print(recording, &profile, terminal_width(), &summary);
		fwrite(summary.data, 1, summary.len, stderr);
		buf_deinit(&summary);
	}
	profile_deinit(&profile);
	return err;
}

/* The flame graph; NULL: there is none. */
static const char *picture_of(const struct record *r)
{
	for (size_t i = 0; i < r->outputs.items.count; i++) {
		const struct output *o = &r->outputs.items.items[i];

		if (o->format && strcmp(o->format->name, "svg") == 0 && strcmp(o->path, "-") != 0)
			return o->path;
	}
	return NULL;
}

static void show(const struct record *r)
{
	const char *picture = picture_of(r);

	if (picture)
		show_picture(picture, r->has_sudo_user ? &r->sudo : NULL, r->quiet);
	else
		fprintf(stderr, "cprof: --open: no flame graph was written: -o FILE.svg does\n");
}

static void say_files(const struct record *r)
{
	const char *picture = picture_of(r);

	fputs("cprof: wrote", stderr);
	for (size_t i = 0; i < r->outputs.items.count; i++) {
		const struct output *o = &r->outputs.items.items[i];
		fprintf(stderr, "%s %s", i ? "," : "",
			strcmp(o->path, "-") ? o->path : "standard output");
	}
	fputc('\n', stderr);
	if (picture && !r->open)
		fprintf(stderr, "cprof: look at it with   xdg-open %s\n", picture);
	if (r->outputs.keep_recording)
		fprintf(stderr, "cprof: more of it with   cprof report %s  (--json: every count)\n",
			r->outputs.recording);
}

/* --min-complete: says so where the share of whole stacks is below it. */
static bool fails_gate(const struct record *r, const struct recording *recording)
{
	struct health health;
	struct buf percent = { 0 };

	health_of(recording, &health);
	uint64_t stacks = health.whole + health.cut;
	if (!stacks || 100.0 * (double)health.whole / (double)stacks >= r->min_complete)
		return false;
	health_add_percent(&percent, &health);
	fprintf(stderr, "cprof: %s of the stacks are complete, fewer than --min-complete %g\n",
		buf_str(&percent), r->min_complete);
	buf_deinit(&percent);
	return true;
}

/* The recording was written without an error: where it is not there any more, or is no recording,
 * that is somebody else's doing. */
static struct error *read_back(const char *path, struct file_bytes *bytes, struct recording *ret)
{
	struct error *err = file_map(path, bytes);

	if (!err)
		err = recording_read(bytes->data, bytes->size, ret);
	if (!err)
		return NULL;
	return error_hint(error_prefix(err, "reading %s back", path),
			  "was it removed, or changed, while it was written?");
}

/* Reads the finished recording back and makes the files from it. */
static struct error *write_results(struct record *r, bool *ret_gate_failed)
{
	CLEANUP(file_bytes_deinit) struct file_bytes bytes = { 0 };
	struct recording recording;

	TRY(read_back(r->outputs.recording, &bytes, &recording));
	struct error *err = write_files(r, &recording);
	if (!err && !r->quiet)
		say_files(r);
	if (!err && r->open)
		show(r);
	*ret_gate_failed = fails_gate(r, &recording);
	recording_deinit(&recording);
	return err;
}

static int status_of_command(struct capture *c)
{
	int status;

	if (!capture_command_pid(c) || !capture_command_status(c, true, &status))
		return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static struct error *prepare(struct record *r, int argc, char **argv, bool *ret_help)
{
	const struct palette *palette;

	TRY(parse_command_line(r, argc, argv, ret_help));
	if (*ret_help)
		return NULL;
	if (r->names_word)
		TRY(input_parse_names(r->names_word, &r->names));
	TRY(palette_find(r->picture.colors, &palette));
	TRY(outputs_plan(&r->outputs, r->output_paths.items, r->output_paths.count, r->to));
	TRY(check_options(r));
	TRY(find_target(r));
	TRY(become_careful(r));
	TRY(outputs_check(&r->outputs));
	TRY(open_stdout(r));
	return watch_init(&r->watch, r->control, r->quiet);
}

static struct error *hint_at_recording(struct error *err, const char *left)
{
	const char *hint = error_hint_of(err);
	CLEANUP(mem_cleanup) char *before = hint ? mem_printf("%s; ", hint) : mem_strdup("");

	return error_hint(err, "%sthe recording is left as %s", before, left);
}

/* From the first sample to the last file; *ret_status is the exit status where there is no error.
 */
static struct error *run_session(struct record *r, int *ret_status)
{
	struct capture *c = NULL;
	bool gate_failed = false;

	*ret_status = 1;
	say_fast(r);
	TRY(outputs_put_aside(&r->outputs));
	struct error *err = start(r, &c, ret_status);
	outputs_settle(&r->outputs, !err);
	if (err) {
		capture_destroy(c);
		return err;
	}
	say_held(r);
	command_keeps(r->outputs.recording);
	say_empty(r);
	say_endless(r);
	watch_run(&r->watch, c, &r->timer);
	capture_stop(c);
	err = complete_recording(c, watch_until_named(&r->watch));
	if (!err)
		err = write_results(r, &gate_failed);
	const char *left = outputs_finish(&r->outputs, err != NULL);
	command_keeps(NULL);

	/* --duration ends the recording, not the command: the files are there, now wait; unless the
	 * user had to ask twice. */
	watch_until_ended(&r->watch, c);
	*ret_status = r->watch.impatient ? 128 + SIGINT : status_of_command(c);
	capture_destroy(c);
	if (err || gate_failed)
		*ret_status = 1;
	return left ? hint_at_recording(err, left) : err;
}

static void record_deinit(struct record *r)
{
	outputs_deinit(&r->outputs);
	vec_deinit(&r->output_paths);
	launch_deinit(&r->timer);
	free(r->ids.items);
	free(r->group.folder);
	free(r->group.name);
	if (r->has_sudo_user)
		sudo_user_deinit(&r->sudo);
	if (r->stdout_fd >= 0)
		close(r->stdout_fd);
	watch_deinit(&r->watch);
}

static int run(int argc, char **argv)
{
	struct record r = { .stdout_fd = -1,
			    .timer = { .go = -1, .failed = -1, .pidfd = -1 },
			    .picture = { .type = -1 },
			    .watch = WATCH_INIT };
	bool help = false;
	int status = 0;

	struct error *err = prepare(&r, argc, argv, &help);
	if (err) {
		status = command_finish(err);
	} else if (!help) {
		err = run_session(&r, &status);
		if (err && error_code_of(err) == ERR_USAGE)
			status = 2;
		command_finish(err);
	}
	record_deinit(&r);
	return status;
}

const struct command cmd_record = {
	.name = "record",
	.summary = "run a command, or attach, and leave a flame graph and a pprof file",
	.run = run,
};
