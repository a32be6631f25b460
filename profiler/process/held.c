#include "profiler/process/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "profiler/process/cgroup.h"

#define TEXT_MAX (1u << 20)

/* A file of /proc or of a control group, the caller's to free; NULL where it is not there. */
static char *text_of(const char *path)
{
	char *text = NULL;

	error_free(file_read_proc(path, TEXT_MAX, &text, NULL));
	return text;
}

static char *text_of_process(uint32_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	return text_of(path);
}

static bool is_stopped(uint32_t pid, struct buf *words)
{
	CLEANUP(mem_cleanup) char *status = text_of_process(pid, "status");
	const char *state = status ? strstr(status, "\nState:\t") : NULL;
	const char *tracer = status ? strstr(status, "\nTracerPid:\t") : NULL;

	if (state && state[8] == 'T') {
		buf_printf(words,
			   "process %u is stopped (SIGSTOP, or ctrl-Z): kill -CONT %u lets "
			   "it go on",
			   pid, pid);
		return true;
	}
	if (state && state[8] == 't') {
		buf_printf(words, "process %u is held by a debugger (process %ld)", pid,
			   tracer ? strtol(tracer + 12, NULL, 10) : 0);
		return true;
	}
	return false;
}

/* The process's group in a hierarchy: a line `0::/NAME`, or `7:freezer:/NAME` in the first version.
 */
static bool group_of(const char *lines, const char *controller, const char **ret, int *ret_len)
{
	for (const char *line = lines; line; line = strchr(line, '\n')) {
		const char *name, *group;

		line += *line == '\n';
		name = strchr(line, ':');
		group = name ? strchr(name + 1, ':') : NULL;
		if (!group)
			return false;
		if ((size_t)(group - name - 1) != strlen(controller) ||
		    strncmp(name + 1, controller, strlen(controller)) != 0)
			continue;
		*ret = group + 1;
		*ret_len = (int)strcspn(group + 1, "\n");
		return true;
	}
	return false;
}

static bool is_frozen_in(const struct proc_cgroup_mount *mount, const char *lines,
			 struct buf *words)
{
	const char *file = mount->controller ? "freezer.state" : "cgroup.events";
	const char *frozen = mount->controller ? "FROZEN" : "frozen 1";
	const char *group;
	int len;

	if (mount->controller && !strstr(mount->controller, "freezer"))
		return false;
	if (!group_of(lines, mount->controller ? "freezer" : "", &group, &len))
		return false;
	if (strcmp(mount->root, "/") != 0) { /* a part of the hierarchy is mounted */
		size_t n = strlen(mount->root);

		if (strncmp(group, mount->root, n) != 0)
			return false;
		group += n;
		len -= (int)n;
	}
	CLEANUP(mem_cleanup) char *folder = mem_printf("%s%.*s", mount->point, len, group);
	CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", folder, file);
	CLEANUP(mem_cleanup) char *state = text_of(path);

	if (!state || !strstr(state, frozen))
		return false;
	buf_printf(words, "%s >%s/%s", mount->controller ? "THAWED" : "0", folder,
		   mount->controller ? "freezer.state" : "cgroup.freeze");
	return true;
}

static bool is_frozen(uint32_t pid, struct buf *words)
{
	CLEANUP(mem_cleanup) char *lines = text_of_process(pid, "cgroup");
	CLEANUP(mem_cleanup) char *mountinfo = text_of("/proc/self/mountinfo");
	struct proc_cgroup_mounts mounts = { 0 };
	struct buf how = { 0 };
	bool found = false;

	if (!lines || !mountinfo)
		return false;
	proc_cgroup_mounts_parse(mountinfo, &mounts);
	for (size_t i = 0; i < mounts.items.count && !found; i++)
		found = is_frozen_in(&mounts.items.items[i], lines, &how);
	if (found)
		buf_printf(words,
			   "process %u is frozen with its control group: echo %s, there or in a "
			   "group above, lets it go on",
			   pid, buf_str(&how));
	buf_deinit(&how);
	proc_cgroup_mounts_deinit(&mounts);
	return found;
}

bool proc_is_held(uint32_t pid, struct buf *words)
{
	return is_stopped(pid, words) || is_frozen(pid, words);
}
