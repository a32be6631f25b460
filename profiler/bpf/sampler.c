#include "profiler/bpf/sampler.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cpu_time.h"
#include "base/file.h"
#include "base/log.h"
#include "profiler/bpf/bridge.h"
#include "profiler/bpf/explain.h"
#include "profiler/bpf/freeze.h"
#include "profiler/process/memory.h"
#include "profiler/process/namespace.h"

#define IN_FLIGHT_MAX (64u << 20)
#define WAKE_PART     4 /* a ring that holds more than this part of its size wakes the intake */

/* What loading takes: the kernel's description of its types, the verifier's states, the maps but
 * for those of each CPU; and what cprof needs beside. */
#define LOADING_BYTES (32u << 20)

/* Descriptors: of maps, programs and links; of a CPU, for its ring while it is made, its event, and
 * the session's own. */
#define LOADING_FILES 48
#define CPU_FILES     4

#define LEARN_NAMESPACE "learn_namespace"

/* --- the programs --- */

#ifdef __x86_64__
#include "profiler/bpf/sampler.skel.h"

static struct error *open_programs(struct kern_sampler *s, const struct kern_options *o)
{
	struct sampler_bpf *p = sampler_bpf__open();

	if (!p)
		return kern_explain(errno, "reading the sampling program", "");
	s->programs = p;
	s->object = p->obj;
	p->rodata->target = o->target;
	p->rodata->user_only = o->user_only;
	p->rodata->debug_stacks = o->debug_stacks;
	p->rodata->wake_bytes = s->ring_bytes / WAKE_PART;
	p->rodata->in_pid_namespace = s->in_pid_namespace;
	return NULL;
}

static int load_programs(struct kern_sampler *s)
{
	return -sampler_bpf__load(s->programs);
}

static void destroy_programs(struct kern_sampler *s)
{
	sampler_bpf__destroy(s->programs);
}
#else
static struct error *not_here(void)
{
	return error_new(ERR_UNSUPPORTED, "unwinding in the kernel: not on this architecture yet");
}

static struct error *open_programs(struct kern_sampler *s, const struct kern_options *o)
{
	return not_here();
}

static int load_programs(struct kern_sampler *s)
{
	return ENOSYS;
}

static void destroy_programs(struct kern_sampler *s)
{
}
#endif

static bool info_of(int program, struct bpf_prog_info *ret)
{
	uint32_t size = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(program, ret, &size) == 0;
}

static bool is_called(const struct bpf_program *p, const char *name)
{
	return strcmp(bpf_program__name(p), name) == 0;
}

/* The sampling program, or the one that only counts, alone; some are for namespaces. */
static void choose_programs(struct kern_sampler *s, bool count_only)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, s->object)
	{
		bool counts = is_called(p, "count_only");
		bool translates = is_called(p, LEARN_NAMESPACE) || is_called(p, "keep_last_number");

		bpf_program__set_autoload(p, counts == count_only &&
						     (!translates || s->in_pid_namespace));
	}
}

/* Before this, nobody is in it. */
static struct error *choose_cgroup(struct kern_sampler *s, const char *folder)
{
	int map = bpf_object__find_map_fd_by_name(s->object, "cgroup");
	CLEANUP(fd_cleanup) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t zero = 0;

	if (fd < 0)
		return error_errno(errno, "cannot open the cgroup %s", folder);
	if (bpf_map_update_elem(map, &zero, &fd, BPF_ANY) < 0)
		return error_errno(errno, "telling the kernel program of the cgroup %s", folder);
	return NULL;
}

/* Before this, nobody has a number. */
static struct error *learn_namespace(struct kern_sampler *s)
{
	struct bpf_program *p = bpf_object__find_program_by_name(s->object, LEARN_NAMESPACE);
	LIBBPF_OPTS(bpf_test_run_opts, options);
	int result;

	if (!bpf_program__autoload(p))
		return NULL;
	result = bpf_prog_test_run_opts(bpf_program__fd(p), &options);
	if (result < 0)
		return kern_explain(-result, "finding cprof's pid namespace in the kernel", "");
	return NULL;
}

static struct error *attach_program(struct kern_sampler *s, struct bpf_program *p)
{
	struct bpf_prog_info info;

	if (info_of(bpf_program__fd(p), &info))
		s->facts.verified_instructions += info.verified_insns;
	if (bpf_program__type(p) == BPF_PROG_TYPE_PERF_EVENT) {
		s->sample = bpf_program__fd(p);
		return NULL;
	}
	if (bpf_program__type(p) == BPF_PROG_TYPE_SYSCALL)
		return NULL;
	struct bpf_link *link = bpf_program__attach_trace(p);
	if (!link)
		return kern_explain(errno, "following forks and execs in the kernel", "");
	s->links[s->link_count++] = link;
	return NULL;
}

static struct error *load_object(struct kern_sampler *s, const struct kern_options *o)
{
	struct bpf_program *p;
	struct bpf_map *m;
	int errnum;

	TRY(open_programs(s, o));
	TRY(kern_object_size(s->object, s->possible, o->target, s->in_pid_namespace));
	choose_programs(s, o->count_only);
	errnum = load_programs(s);
	if (errnum)
		return kern_explain(errnum, "loading the sampling program", kern_object_words());
	TRY(learn_namespace(s));
	if (o->target == KERN_TARGET_CGROUP)
		TRY(choose_cgroup(s, o->cgroup));
	bpf_object__for_each_map(m, s->object) s->facts.map_bytes += kern_map_bytes(bpf_map__fd(m));
	bpf_object__for_each_program(p, s->object)
	{
		if (bpf_program__autoload(p) && s->link_count < ARRAY_SIZE(s->links))
			TRY(attach_program(s, p));
	}
	return NULL;
}

/* --- memory --- */

static struct error *share(struct kern_sampler *s, const char *name, struct kern_shared *ret)
{
	struct bpf_map *map = bpf_object__find_map_by_name(s->object, name);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes;
	void *at;

	bytes = (bpf_map__value_size(map) + 7ul) / 8 * 8 * bpf_map__max_entries(map);
	bytes = (bytes + page - 1) / page * page;
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (at == MAP_FAILED)
		return error_errno(errno, "mapping the kernel program's %s", name);
	*ret = (struct kern_shared){ .at = at, .bytes = bytes };
	return NULL;
}

static void unmap(struct kern_shared *m)
{
	if (m->at)
		munmap(m->at, m->bytes);
}

static struct error *share_memory(struct kern_sampler *s, const struct kern_options *o)
{
	TRY(share(s, "slots", &s->slots_memory));
	TRY(share(s, "owners", &s->owners_memory));
	TRY(share(s, "free_slots", &s->free_memory));
	TRY(share(s, "state", &s->state_memory));
	TRY(share(s, "counters", &s->counters_memory));
	TRY(share(s, "rules", &s->rules_memory));
	s->slots = s->slots_memory.at;
	s->owners = s->owners_memory.at;
	s->free_slots = s->free_memory.at;
	s->state = s->state_memory.at;
	s->counters = s->counters_memory.at;
	s->pool = bpf_object__find_map_fd_by_name(s->object, "pool");
	s->rings = bpf_object__find_map_fd_by_name(s->object, "rings");
	s->processes = bpf_object__find_map_fd_by_name(s->object, "processes");
	s->threads = bpf_object__find_map_fd_by_name(s->object, "threads");
	s->state->in_flight_max = o->in_flight_max ? o->in_flight_max : IN_FLIGHT_MAX;
	return NULL;
}

/* The rings, and the pool's first chunk: it is needed at once, and waiting for all is no longer
 * than waiting for one. */
static struct error *add_inner_maps(struct kern_sampler *s)
{
	int online[KERN_MAX_CPUS], errnum;
	struct kern_inner inner[KERN_MAX_CPUS + 1];
	uint32_t cpus = kern_cpus_online(online), n = 0;
	struct error *err = NULL;

	for (uint32_t i = 0; !err && i < cpus; i++) {
		err = kern_ring_add(s, online[i], &inner[n]);
		n += !err;
	}
	if (!err) {
		errnum = kern_chunk_make(s, &inner[n]);
		if (errnum)
			err = kern_explain(errnum, "making memory for unwind tables", "");
		else
			s->first_chunk = fcntl(inner[n++].map, F_DUPFD_CLOEXEC, 0);
	}
	if (!err)
		kern_inner_put(inner, n);
	for (uint32_t i = 0; i < n; i++) {
		close(inner[i].map);
		if (!err && inner[i].errnum)
			err = kern_explain(inner[i].errnum, "giving the kernel program a map", "");
	}
	return err;
}

/* --- the sampler --- */

/* Room for the descriptors: the soft limit may be raised to the hard one. Without room libbpf
 * leaves maps out, and what it says is a riddle. */
static struct error *check_files(uint32_t cpus)
{
	size_t need = LOADING_FILES + (size_t)CPU_FILES * cpus;
	uint64_t most;
	int lowest = fcntl(0, F_DUPFD_CLOEXEC, 0); /* about as many as are open */

	if (lowest >= 0) {
		close(lowest);
		need += (size_t)lowest;
	}
	return fd_make_room(need, &most) ? NULL
					 : kern_explain(EMFILE, "loading the sampling program", "");
}

uint64_t kern_memory_needed(uint32_t ring_bytes, uint32_t cpus)
{
	return LOADING_BYTES + (uint64_t)cpus * (ring_bytes + KERN_CPU_BYTES);
}

/* Over a control group's limit maps are refused, but the memory for loading them is not: the kernel
 * would kill cprof. */
static struct error *check_memory(uint32_t ring_bytes, uint32_t cpus)
{
	uint64_t left = proc_memory_left(), needed = kern_memory_needed(ring_bytes, cpus);

	log_debug("bpf", "%" PRIu64 " KiB of memory left, %" PRIu64 " KiB needed", left / 1024,
		  needed / 1024);
	return left < needed ? kern_explain_memory(left, needed) : NULL;
}

static struct error *load(struct kern_sampler *s, const struct kern_options *o)
{
	uint64_t started_ns = thread_cpu_ns();

	s->possible = kern_cpus_possible();
	s->in_pid_namespace = proc_in_pid_namespace();
	s->ring_bytes = o->ring_bytes ? o->ring_bytes : kern_ring_bytes(s->possible);
	if (!o->may_freeze && kern_may_freeze())
		return kern_explain_freeze();
	kern_object_take_words();
	kern_object_forget_words();
	TRY(check_memory(s->ring_bytes, s->possible));
	TRY(check_files(s->possible));
	TRY(load_object(s, o));
	s->facts.load_cpu_ns = thread_cpu_ns() - started_ns;
	TRY(share_memory(s, o));
	s->wake = epoll_create1(EPOLL_CLOEXEC);
	if (s->wake < 0)
		return error_errno(errno, "cannot wait for rings");
	TRY(add_inner_maps(s));
	kern_slots_init(s);
	return NULL;
}

struct error *kern_sampler_load(const struct kern_options *options, struct kern_sampler **ret)
{
	struct kern_sampler *s = mem_calloc(1, sizeof(*s));
	struct rlimit limit;
	bool limit_known = getrlimit(RLIMIT_MEMLOCK, &limit) == 0;
	struct error *err;

	s->first_chunk = s->wake = -1;
	pthread_mutex_init(&s->events_lock, NULL);
	err = load(s, options);
	if (err) {
		kern_sampler_destroy(s);
		/* libbpf lifts the limit where the kernel charges maps to it (before Linux 5.11) or
		 * where it cannot tell: it is the command's too, and the other backend's. */
		if (limit_known)
			setrlimit(RLIMIT_MEMLOCK, &limit);
		return err;
	}
	*ret = s;
	return NULL;
}

void kern_sampler_destroy(struct kern_sampler *s)
{
	if (!s)
		return;
	kern_events_close(s);
	for (uint32_t i = 0; i < s->link_count; i++)
		bpf_link__destroy(s->links[i]);
	kern_rings_close(s);
	fd_cleanup(&s->wake);
	kern_chunks_close(s);
	unmap(&s->slots_memory);
	unmap(&s->owners_memory);
	unmap(&s->free_memory);
	unmap(&s->state_memory);
	unmap(&s->counters_memory);
	unmap(&s->rules_memory);
	destroy_programs(s);
	pthread_mutex_destroy(&s->events_lock);
	free(s);
}

void kern_sampler_facts(struct kern_sampler *s, struct kern_facts *ret)
{
	struct bpf_prog_info info;

	*ret = s->facts;
	if (info_of(s->sample, &info)) {
		ret->run_ns = info.run_time_ns;
		ret->run_count = info.run_cnt;
	}
}

struct error *kern_probe(void)
{
	struct rlimit limit;
	bool limit_known = getrlimit(RLIMIT_MEMLOCK, &limit) == 0;
	uint32_t cpus = kern_cpus_possible();
	struct kern_limits l;

#ifndef __x86_64__
	return not_here();
#endif
	kern_object_take_words();
	kern_limits_read(&l, true);
	if (limit_known) /* libbpf may have lifted it: see kern_sampler_load() */
		setrlimit(RLIMIT_MEMLOCK, &limit);
	TRY(kern_explain_limits(&l));
	return check_memory(kern_ring_bytes(cpus), cpus);
}
