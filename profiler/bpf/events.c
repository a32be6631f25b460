/* The event of each CPU that runs the program, and what it counted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/bpf/bridge.h"
#include "profiler/perf/event.h"
#include "profiler/perf/explain.h"

static const char *event_name(const struct perf_event_attr *attr)
{
	for (const struct pev_kind *k = pev_kinds; k->name; k++) {
		if (k->type == attr->type && k->config == attr->config)
			return k->name;
	}
	return "the event";
}

/* Returns 0 or the errno: *ret_attaching says of what. */
static int open_event(struct kern_sampler *s, struct kern_cpu *c, bool *ret_attaching)
{
	int errnum;

	*ret_attaching = false;
	c->event = pev_open(&s->attr, -1, c->cpu, -1, 0);
	if (c->event < 0)
		return errno;
	*ret_attaching = true;
	if (ioctl(c->event, PERF_EVENT_IOC_SET_BPF, s->sample) == 0)
		return 0;
	errnum = errno;
	close(c->event);
	c->event = -1;
	return errnum;
}

static struct error *explain_event(const struct kern_sampler *s, int errnum, bool attaching)
{
	const char *name = event_name(&s->attr);

	if (attaching)
		return error_errno(errnum, "cannot run the sampling program at each %s", name);
	return pev_explain_open(
		errnum, &(struct pev_request){ .attr = &s->attr, .event = name, .tid = -1 });
}

/* How long a CPU was idle since the system started, those with I/O under way included; 0 where
 * /proc does not tell. */
static uint64_t idle_ns(int cpu)
{
	char name[16], *text = NULL, *line;
	unsigned long long idle = 0, iowait = 0;
	struct error *err = file_read_proc("/proc/stat", 1 << 20, &text, NULL);

	if (err) {
		error_free(err);
		return 0;
	}
	snprintf(name, sizeof(name), "\ncpu%d ", cpu);
	line = strstr(text, name);
	if (!line || sscanf(line + strlen(name), "%*u %*u %*u %llu %llu", &idle, &iowait) != 2)
		idle = iowait = 0;
	free(text);
	return (idle + iowait) * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

struct error *kern_sampler_start(struct kern_sampler *s, const struct perf_event_attr *attr)
{
	s->attr = (struct perf_event_attr){
		.size = sizeof(s->attr),
		.type = attr->type,
		.config = attr->config,
		.config1 = attr->config1,
		.config2 = attr->config2,
		.sample_period = attr->sample_period,
		.exclude_hv = attr->exclude_hv,
		.exclude_guest = attr->exclude_guest,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.disabled = 1,
	};
	for (size_t i = 0; i < s->cpus.count; i++) {
		struct kern_cpu *c = &s->cpus.items[i];
		bool attaching;
		int errnum = open_event(s, c, &attaching);

		if (errnum == ENODEV && !attaching) {
			c->went_offline = true;
		} else if (errnum) {
			kern_events_close(s);
			return explain_event(s, errnum, attaching);
		}
	}
	kern_sampler_resume(s);
	return NULL;
}

void kern_sampler_resume(struct kern_sampler *s)
{
	pthread_mutex_lock(&s->events_lock);
	s->state->sampling = 1;
	for (size_t i = 0; i < s->cpus.count && !s->started; i++)
		s->cpus.items[i].idle_since_ns = idle_ns(s->cpus.items[i].cpu);
	for (size_t i = 0; i < s->cpus.count; i++) {
		if (s->cpus.items[i].event >= 0)
			ioctl(s->cpus.items[i].event, PERF_EVENT_IOC_ENABLE, 0);
	}
	s->started = true;
	pthread_mutex_unlock(&s->events_lock);
}

/* While sampled, until now. */
static uint64_t idle_until_now(const struct kern_sampler *s, const struct kern_cpu *c)
{
	uint64_t now = s->started ? idle_ns(c->cpu) : 0;

	return c->idle_ns + (now > c->idle_since_ns ? now - c->idle_since_ns : 0);
}

void kern_sampler_stop(struct kern_sampler *s)
{
	pthread_mutex_lock(&s->events_lock);
	s->state->sampling = 0;
	for (size_t i = 0; i < s->cpus.count; i++) {
		if (s->cpus.items[i].event >= 0)
			ioctl(s->cpus.items[i].event, PERF_EVENT_IOC_DISABLE, 0);
	}
	for (size_t i = 0; i < s->cpus.count; i++)
		s->cpus.items[i].idle_ns = idle_until_now(s, &s->cpus.items[i]);
	s->started = false;
	pthread_mutex_unlock(&s->events_lock);
}

void kern_events_close(struct kern_sampler *s)
{
	for (size_t i = 0; i < s->cpus.count; i++) {
		if (s->cpus.items[i].event >= 0)
			close(s->cpus.items[i].event);
		s->cpus.items[i].event = -1;
	}
}

void kern_sampler_counts(struct kern_sampler *s, uint32_t ring, struct kern_cpu_counts *ret)
{
	const struct kern_cpu *c = &s->cpus.items[ring];
	uint64_t words[3] = { 0 };

	*ret = (struct kern_cpu_counts){ .cpu = c->cpu,
					 .count = c->count,
					 .enabled_ns = c->enabled_ns,
					 .running_ns = c->running_ns,
					 .idle_ns = idle_until_now(s, c),
					 .went_offline = c->went_offline,
					 .counters = s->counters[c->cpu] };
	if (c->event >= 0 && read(c->event, words, sizeof(words)) != (ssize_t)sizeof(words)) {
		ret->went_offline = true;
		return;
	}
	ret->count += words[0];
	ret->enabled_ns += words[1];
	ret->running_ns += words[2];
}

/* --- CPUs that come and go --- */

static bool contains(const int *cpus, uint32_t n, int cpu)
{
	for (uint32_t i = 0; i < n; i++) {
		if (cpus[i] == cpu)
			return true;
	}
	return false;
}

static struct kern_cpu *find_cpu(struct kern_sampler *s, int cpu)
{
	for (size_t i = 0; i < s->cpus.count; i++) {
		if (s->cpus.items[i].cpu == cpu)
			return &s->cpus.items[i];
	}
	return NULL;
}

/* What the event counted until then stays readable; it does not come back with its CPU. */
static void leave_cpu(struct kern_sampler *s, uint32_t ring)
{
	struct kern_cpu *c = &s->cpus.items[ring];
	struct kern_cpu_counts counts;

	kern_sampler_counts(s, ring, &counts);
	c->count = counts.count;
	c->enabled_ns = counts.enabled_ns;
	c->running_ns = counts.running_ns;
	c->went_offline = true;
	close(c->event);
	c->event = -1;
	c->enabled_seen_ns = 0;
}

/* False where it cannot be sampled now. */
static bool reach_cpu(struct kern_sampler *s, int cpu)
{
	struct kern_cpu *c = find_cpu(s, cpu);
	struct kern_inner inner;
	struct error *err;
	bool attaching;
	int errnum;

	if (!c) {
		err = kern_ring_add(s, cpu, &inner);
		if (err) {
			log_debug("bpf", "cpu %d: %s", cpu, error_message(err));
			error_free(err);
			return false;
		}
		kern_inner_put(&inner, 1);
		close(inner.map);
		log_debug("bpf", "cpu %d: its ring: %s", cpu, strerror(inner.errnum));
		c = vec_last(&s->cpus);
		c->idle_since_ns = idle_ns(cpu);
	}
	errnum = open_event(s, c, &attaching);
	log_debug("bpf", "cpu %d came: %s", cpu, strerror(errnum));
	if (errnum)
		return false;
	ioctl(c->event, PERF_EVENT_IOC_ENABLE, 0);
	return true;
}

/* A CPU that went and came back since the last look, as all but one do around a suspend, is online,
 * and its event is dead: it has not been enabled for any time since. */
static bool stands_still(struct kern_cpu *c)
{
	uint64_t words[3], before = c->enabled_seen_ns;

	if (read(c->event, words, sizeof(words)) != (ssize_t)sizeof(words))
		return false;
	c->enabled_seen_ns = words[1];
	return words[1] == before;
}

static void follow_cpus(struct kern_sampler *s, void (*came)(void *context, int cpu), void *context)
{
	int online[KERN_MAX_CPUS];
	uint32_t n = kern_cpus_online(online);

	for (uint32_t i = 0; i < s->cpus.count; i++) {
		struct kern_cpu *c = &s->cpus.items[i];

		if (c->event >= 0 && (!contains(online, n, c->cpu) || stands_still(c)))
			leave_cpu(s, i);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct kern_cpu *c = find_cpu(s, online[i]);

		if ((!c || c->event < 0) && (uint32_t)online[i] < s->possible &&
		    reach_cpu(s, online[i]))
			came(context, online[i]);
	}
}

void kern_sampler_follow_cpus(struct kern_sampler *s, void (*came)(void *context, int cpu),
			      void *context)
{
	pthread_mutex_lock(&s->events_lock);
	if (s->started)
		follow_cpus(s, came, context);
	pthread_mutex_unlock(&s->events_lock);
}
