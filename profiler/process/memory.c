#include "profiler/process/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define FILE_MAX 65536
#define NO_LIMIT (UINT64_C(1) << 60) /* version 1 says so by a number near 2^63 */

static char *read_text(const char *folder, const char *name)
{
	CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", folder, name);
	char *text;
	struct error *err = file_read_proc(path, FILE_MAX, &text, NULL);

	if (!err)
		return text;
	error_free(err);
	return NULL;
}

/* The number a file holds; UINT64_MAX where there is no such file, or it says `max`. */
static uint64_t read_number(const char *folder, const char *name)
{
	CLEANUP(mem_cleanup) char *text = read_text(folder, name);
	uint64_t value;

	return text && sscanf(text, "%" SCNu64, &value) == 1 ? value : UINT64_MAX;
}

/* The number that follows a name at the start of a line; 0 where there is none. */
static uint64_t number_after(const char *text, const char *name)
{
	size_t n = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && strchr(" :", line[n]) && line[n])
			return strtoull(line + n + 1, NULL, 10);
	}
	return 0;
}

static uint64_t left_in_group(const char *folder, bool is_version_1)
{
	uint64_t limit, used;

	limit = read_number(folder, is_version_1 ? "memory.limit_in_bytes" : "memory.max");
	used = read_number(folder, is_version_1 ? "memory.usage_in_bytes" : "memory.current");
	if (limit >= NO_LIMIT || used == UINT64_MAX)
		return UINT64_MAX;

	CLEANUP(mem_cleanup) char *stat = read_text(folder, "memory.stat");
	uint64_t cached =
		number_after(stat, is_version_1 ? "total_inactive_file" : "inactive_file") +
		number_after(stat, is_version_1 ? "total_active_file" : "active_file");

	used -= MIN(used, cached);
	return limit - MIN(limit, used);
}

/* Whether a list with commas holds the word. */
static bool has_word(const char *list, size_t n, const char *word)
{
	size_t len = strlen(word);

	for (size_t at = 0; at < n;) {
		size_t end = at;

		while (end < n && list[end] != ',')
			end++;
		if (end - at == len && memcmp(list + at, word, len) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

/* The path of the process's group, from a line `7:memory:/PATH`, or `0::/PATH` in version 2. The
 * caller frees it; NULL where there is none. */
static char *own_path(const char *own, bool is_version_1)
{
	for (const char *line = own; line && *line;) {
		const char *end = line + strcspn(line, "\n"), *names = strchr(line, ':'), *path;

		path = names ? strchr(names + 1, ':') : NULL;
		if (path && path < end) {
			size_t n = (size_t)(path - names) - 1;

			if (is_version_1 ? has_word(names + 1, n, "memory") : n == 0)
				return mem_strndup(path + 1, (size_t)(end - path) - 1);
		}
		line = *end ? end + 1 : NULL;
	}
	return NULL;
}

/* What of a group's path stands behind the group that a mount shows; "" where the mount is not
 * above it: a container's shows a part of the tree, and what lies elsewhere cannot be seen. */
static const char *below(const char *path, const char *root)
{
	size_t n = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, n) != 0 || path[n] != '/' || strstr(path, "/.."))
		return "";
	return path[n + 1] ? path + n : "";
}

/* The smallest of a group and those around it. */
static uint64_t left_under(const struct proc_cgroup_mount *m, const char *own)
{
	bool is_version_1 = m->controller != NULL;
	CLEANUP(mem_cleanup) char *path = own_path(own, is_version_1);
	uint64_t left = UINT64_MAX;
	char *folder;

	if (!path)
		return left;
	folder = mem_printf("%s%s", m->point, below(path, m->root));
	for (;;) {
		left = MIN(left, left_in_group(folder, is_version_1));
		if (strlen(folder) <= strlen(m->point))
			break;
		*strrchr(folder, '/') = '\0';
	}
	free(folder);
	return left;
}

uint64_t proc_memory_left_in_groups(const char *own, const struct proc_cgroup_mounts *mounts)
{
	uint64_t left = UINT64_MAX;

	for (size_t i = 0; i < mounts->items.count; i++) {
		const struct proc_cgroup_mount *m = &mounts->items.items[i];

		if (!m->controller || has_word(m->controller, strlen(m->controller), "memory"))
			left = MIN(left, left_under(m, own));
	}
	return left;
}

uint64_t proc_memory_left(void)
{
	CLEANUP(mem_cleanup) char *meminfo = read_text("/proc", "meminfo");
	CLEANUP(mem_cleanup) char *own = read_text("/proc/self", "cgroup");
	CLEANUP(mem_cleanup) char *mountinfo = NULL;
	uint64_t available = meminfo ? number_after(meminfo, "MemAvailable") * 1024 : 0;
	uint64_t left = available ? available : UINT64_MAX;
	struct error *err;

	err = file_read_proc("/proc/self/mountinfo", 16u << 20, &mountinfo, NULL);
	if (err) {
		error_free(err);
	} else if (own) {
		struct proc_cgroup_mounts mounts;

		proc_cgroup_mounts_parse(mountinfo, &mounts);
		left = MIN(left, proc_memory_left_in_groups(own, &mounts));
		proc_cgroup_mounts_deinit(&mounts);
	}
	return left;
}
