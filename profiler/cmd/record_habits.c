#include "profiler/cmd/record_habits.h"

#include <stdio.h>

#define NEEDED_NOT "perf's option, and not needed here"
#define NOT_THERE  "perf's option, and not in cprof: --help lists what is"

const struct option_foreign record_habits[] = {
	{ "-c --count --period", "samples are taken by time: -F HZ says how often" },
	{ "-D", "of perf, in milliseconds: --delay 500ms, and --delay -1 with --control" },
	{ "-C --cpu", "all CPUs are sampled; -p, -t and --cgroup say whose samples are kept" },
	{ "-u --uid",
	  "--cgroup user.slice/user-1000.slice records what a user runs; -p takes names" },
	{ "-i --no-inherit", "forks are followed always; -t TID leaves other threads out" },
	{ "-G", "--cgroup PATH" },
	{ "-v --verbose", "CPROF_DEBUG=all prints what cprof does" },
	{ "-m --mmap-pages --mmap-flush --no-buffering --aio --strict-freq -r --realtime",
	  "rings and threads are as they need to be" },
	{ "-s --stat -T --timestamp -P -R --raw-samples -n --no-samples -B --no-buildid -N "
	  "--no-buildid-cache --buildid-all --buildid-mmap --all-cgroups --namespaces --sample-cpu "
	  "--proc-map-timeout --per-thread --tail-synthesize --synth --threads --switch-events",
	  NEEDED_NOT },
	{ "--max-size --switch-output --overwrite --timestamp-filename",
	  "--duration bounds a recording, --control begins and ends one" },
	{ "-b --branch-any -j --branch-filter -d --data -W --weight -k --clockid -S --snapshot "
	  "--intr-regs --user-regs --phys-data -I --filter --exclude-perf --off-cpu-thresh "
	  "--kcore --running-time --all-kernel",
	  NOT_THERE },
	{ "--all-user", "--user-only leaves the kernel's frames out" },
	{ "-z --compression-level", "recordings are compressed always" },
	{ NULL, NULL },
};

struct error *record_accept_call_graph(void *target, const char *value)
{
	static bool said;

	(void)target, (void)value;
	if (!said)
		fprintf(stderr, "cprof: stacks are always taken: no call-graph option is needed\n");
	said = true;
	return NULL;
}
