#include "profiler/process/cpu_limit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/process/cgroup.h"

#define MOUNTINFO_MAX ((size_t)1 << 20)

/* Is one of the words between commas `cpu`? */
static bool has_cpu(const char *words)
{
	for (const char *at = words;; at++) {
		size_t n = strcspn(at, ",");

		if (n == 3 && memcmp(at, "cpu", 3) == 0)
			return true;
		at += n;
		if (!*at)
			return false;
	}
}

/* The group's own file, and those of the groups above it, up to the mount. */
static void add_files(struct proc_cpu_limits *l, const struct proc_cgroup_mount *m, char *group)
{
	size_t root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);

	if (strncmp(group, m->root, root) != 0)
		return;
	for (char *path = group + root;;) {
		char *file = mem_printf("%s%s/cpu.stat", m->point, path);

		if (access(file, R_OK) == 0)
			vec_push(&l->files, file);
		else
			free(file);

		char *slash = strrchr(path, '/');

		if (!slash)
			return;
		*slash = '\0';
	}
}

/* `N:CONTROLLERS:GROUP`, with no controllers for cgroup2. */
static void add_line(struct proc_cpu_limits *l, const struct proc_cgroup_mounts *mounts, char *line)
{
	char *controllers = strchr(line, ':');
	char *group = controllers ? strchr(controllers + 1, ':') : NULL;

	if (!group)
		return;
	*group++ = '\0';
	controllers++;
	if (strcmp(group, "/") == 0)
		group++;
	for (size_t i = 0; i < mounts->items.count; i++) {
		const struct proc_cgroup_mount *m = &mounts->items.items[i];
		bool is_it = *controllers ? m->controller && has_cpu(controllers) &&
						    has_cpu(m->controller)
					  : !m->controller;

		if (is_it) {
			add_files(l, m, group);
			return;
		}
	}
}

void proc_cpu_limits_init(struct proc_cpu_limits *l, uint32_t pid)
{
	CLEANUP(mem_cleanup) char *mountinfo = NULL;
	CLEANUP(mem_cleanup) char *groups = NULL;
	CLEANUP(mem_cleanup) char *path = mem_printf("/proc/%" PRIu32 "/cgroup", pid);
	CLEANUP(error_cleanup) struct error *err = NULL;
	struct proc_cgroup_mounts mounts = { 0 };
	char *rest, *line;

	*l = (struct proc_cpu_limits){ 0 };
	err = file_read_proc("/proc/self/mountinfo", MOUNTINFO_MAX, &mountinfo, NULL);
	if (!err)
		err = file_read_proc(path, 65536, &groups, NULL);
	if (err)
		return;
	proc_cgroup_mounts_parse(mountinfo, &mounts);
	rest = groups;
	while ((line = strsep(&rest, "\n")))
		add_line(l, &mounts, line);
	proc_cgroup_mounts_deinit(&mounts);
}

void proc_cpu_limits_deinit(struct proc_cpu_limits *l)
{
	for (size_t i = 0; i < l->files.count; i++)
		free(l->files.items[i]);
	vec_deinit(&l->files);
}

/* 0 where the file has no such line. */
static uint64_t number_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	unsigned long long v = 0;

	if (at)
		sscanf(at + strlen(key), " %llu", &v);
	return v;
}

void proc_cpu_limits_read(const struct proc_cpu_limits *l, struct proc_held_back *ret)
{
	*ret = (struct proc_held_back){ 0 };
	for (size_t i = 0; i < l->files.count; i++) {
		CLEANUP(mem_cleanup) char *text = NULL;
		struct error *err = file_read_proc(l->files.items[i], 8192, &text, NULL);

		if (err) {
			error_free(err); /* the group is gone */
			continue;
		}
		ret->times += number_of(text, "nr_throttled");
		ret->ns += number_of(text, "throttled_usec") * 1000 +
			   number_of(text, "throttled_time");
	}
}
