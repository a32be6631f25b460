/* What is done to the kernel program's object by way of libbpf, whatever is built on it. */
#include <bpf/bpf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/bpf/bridge.h"

/* --- words --- */

static char last_words[256];

void kern_object_forget_words(void)
{
	last_words[0] = '\0';
}

const char *kern_object_words(void)
{
	return last_words;
}

/* A line of the verifier's log that tells something: not the code that it shows, not its sums. */
static bool is_telling(const char *line, size_t n)
{
	return n > 0 && !isspace(line[0]) && strncmp(line, "processed ", 10) != 0 &&
	       strncmp(line, "-- ", 3) != 0;
}

static void take_line(const char *line, size_t n, bool is_verifier)
{
	log_debug("bpf", "%.*s", (int)n, line);
	if (is_verifier && is_telling(line, n))
		snprintf(last_words, sizeof(last_words), "%.*s", (int)n, line);
}

static int take_words(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char *text;
	bool is_verifier;

	if (level != LIBBPF_WARN && !log_enabled("bpf"))
		return 0;
	text = mem_vprintf(fmt, args);
	is_verifier = strstr(text, "BEGIN PROG LOAD LOG") != NULL;
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");

		/* the first line has libbpf's own words in front */
		take_line(line, n, is_verifier && line != text);
		line += n + (line[n] == '\n');
	}
	free(text);
	return 0;
}

void kern_object_take_words(void)
{
	libbpf_set_print(take_words);
}

/* --- sizes --- */

static struct error *set_entries(struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	int result = map ? bpf_map__set_max_entries(map, entries) : -ENOENT;

	if (result < 0)
		return error_errno(-result, "the size of the kernel program's map %s", name);
	return NULL;
}

/* A map that is not made. Whatever uses it must be dead for the verifier. */
static struct error *leave_out(struct bpf_object *object, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	int result = map ? bpf_map__set_autocreate(map, false) : -ENOENT;

	if (result < 0)
		return error_errno(-result, "leaving out the kernel program's map %s", name);
	return NULL;
}

struct error *kern_object_size(struct bpf_object *object, uint32_t cpus, enum kern_target target,
			       bool in_pid_namespace)
{
	static const char *const by_cpu[] = { "counters", "rings", "scratch" };

	for (size_t i = 0; i < ARRAY_SIZE(by_cpu); i++)
		TRY(set_entries(object, by_cpu[i], cpus));
	TRY(set_entries(object, "desks", 2 * cpus));
	if (target != KERN_TARGET_THREADS)
		TRY(set_entries(object, "threads", 1));
	if (target != KERN_TARGET_CGROUP)
		TRY(leave_out(object, "cgroup"));
	if (!in_pid_namespace)
		TRY(set_entries(object, "numbers", 1));
	return NULL;
}

uint64_t kern_map_bytes(int map)
{
	char path[64], *text, *at;
	uint64_t bytes = 0;
	struct error *err;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	err = file_read_proc(path, 4096, &text, NULL);
	if (err) {
		error_free(err);
		return 0;
	}
	at = strstr(text, "\nmemlock:");
	if (at)
		bytes = strtoull(at + strlen("\nmemlock:"), NULL, 10);
	free(text);
	return bytes;
}
