#include "profiler/process/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define MOUNTINFO_MAX (16u << 20)

/* --- the mounts --- */

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* mountinfo writes blanks, newlines and backslashes as \ooo. */
static char *unescape(const char *s, size_t n)
{
	char *text = mem_strndup(s, n), *to = text;

	for (const char *at = text; *at; at++) {
		if (*at == '\\' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
			*to++ = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
	return text;
}

struct word {
	const char *text;
	size_t len;
};

/* The next word of a line; an empty one at its end. */
static struct word next_word(const char **at)
{
	*at += strspn(*at, " ");

	struct word w = { *at, strcspn(*at, " \n") };

	*at += w.len;
	return w;
}

static bool word_is(struct word w, const char *s)
{
	return strlen(s) == w.len && memcmp(w.text, s, w.len) == 0;
}

/* `31 23 0:28 ROOT POINT OPTIONS [TAG...] - TYPE SOURCE SUPER_OPTIONS` */
static bool parse_mount(const char *line, struct proc_cgroup_mount *ret)
{
	struct word root, point, tag, type;

	for (int i = 0; i < 3; i++)
		next_word(&line);
	root = next_word(&line);
	point = next_word(&line);
	do
		tag = next_word(&line);
	while (tag.len && !word_is(tag, "-"));
	type = next_word(&line);
	if (!word_is(type, "cgroup") && !word_is(type, "cgroup2"))
		return false;
	next_word(&line);

	struct word options = next_word(&line);

	*ret = (struct proc_cgroup_mount){
		.point = unescape(point.text, point.len),
		.root = unescape(root.text, root.len),
		.controller = word_is(type, "cgroup") ? unescape(options.text, options.len) : NULL,
	};
	return true;
}

void proc_cgroup_mounts_parse(const char *mountinfo, struct proc_cgroup_mounts *ret)
{
	*ret = (struct proc_cgroup_mounts){ 0 };
	for (const char *line = mountinfo; line && *line;) {
		struct proc_cgroup_mount m;
		const char *end = strchr(line, '\n');

		if (parse_mount(line, &m))
			vec_push(&ret->items, m);
		line = end ? end + 1 : NULL;
	}
}

void proc_cgroup_mounts_deinit(struct proc_cgroup_mounts *m)
{
	for (size_t i = 0; i < m->items.count; i++) {
		free(m->items.items[i].point);
		free(m->items.items[i].root);
		free(m->items.items[i].controller);
	}
	vec_deinit(&m->items);
}

static struct error *read_mounts(struct proc_cgroup_mounts *ret)
{
	CLEANUP(mem_cleanup) char *text = NULL;

	TRY(file_read_proc("/proc/self/mountinfo", MOUNTINFO_MAX, &text, NULL));
	proc_cgroup_mounts_parse(text, ret);
	return NULL;
}

static struct error *no_mount(void)
{
	return error_hint(error_new(ERR_UNSUPPORTED,
				    "no cgroup2 file system is mounted here, and only its groups "
				    "can be recorded"),
			  "as root: mkdir -p /run/cgroup2 && mount -t cgroup2 none /run/cgroup2");
}

static const struct proc_cgroup_mount *find_cgroup2(const struct proc_cgroup_mounts *mounts)
{
	for (size_t i = 0; i < mounts->items.count; i++)
		if (!mounts->items.items[i].controller)
			return &mounts->items.items[i];
	return NULL;
}

/* --- from a path to a group --- */

/* What of a path stands behind a folder that it starts with; NULL where it does not. */
static const char *below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	if (strncmp(path, folder, n) != 0 || (path[n] && path[n] != '/'))
		return NULL;
	return path + n;
}

/* The words of its options that say which hierarchy of the first version it is. */
static char *name_of_v1(const struct proc_cgroup_mount *m)
{
	const char *at = m->controller;

	for (;;) {
		size_t n = strcspn(at, ",");
		bool said = n == 2 && (!memcmp(at, "rw", 2) || !memcmp(at, "ro", 2));

		if (!said)
			return !strncmp(at, "name=", 5) ? mem_strndup(at + 5, n - 5)
							: mem_strndup(at, strlen(at));
		if (!at[n])
			return mem_strdup("v1");
		at += n + 1;
	}
}

static struct error *refuse_v1(const char *path, const struct proc_cgroup_mount *m)
{
	CLEANUP(mem_cleanup) char *name = name_of_v1(m);

	return error_hint(error_new(ERR_UNSUPPORTED,
				    "%s is a group of cgroup v1 (%s): only those of cgroup2 can be "
				    "recorded",
				    path, name),
			  "the cgroup2 group of a process is the line of /proc/PID/cgroup that "
			  "begins with 0::");
}

/* A line of /proc/PID/cgroup of a hierarchy of the first version: `4:memory:/app`. */
static bool is_v1_line(const char *path)
{
	size_t digits = strspn(path, "0123456789");

	return digits && path[digits] == ':' && strchr(path + digits + 1, ':');
}

static struct error *not_found(const char *path, const struct proc_cgroup_mounts *mounts,
			       const struct proc_cgroup_mount *mount)
{
	struct stat st;

	for (size_t i = 0; i < mounts->items.count; i++) {
		const struct proc_cgroup_mount *m = &mounts->items.items[i];
		CLEANUP(mem_cleanup) char *there = mem_printf("%s/%s", m->point, path);

		if (m->controller && stat(there, &st) == 0 && S_ISDIR(st.st_mode))
			return refuse_v1(path, m);
	}
	return error_hint(
		error_new(ERR_NOT_FOUND, "there is no cgroup %s below %s", path, mount->point),
		"the group of a process is the line of /proc/PID/cgroup that begins with "
		"0::");
}

/* The group of a folder of a mount; rest is what stands behind the mount. */
static struct error *describe(const char *path, const char *rest,
			      const struct proc_cgroup_mounts *mounts,
			      const struct proc_cgroup_mount *m, struct proc_cgroup *ret)
{
	CLEANUP(mem_cleanup) char *folder = mem_printf("%s/%s", m->point, rest);
	CLEANUP(mem_cleanup) char *real = realpath(folder, NULL);
	struct stat st;

	if (!real && (errno == ENOENT || errno == ENOTDIR))
		return not_found(path, mounts, m);
	if (!real || stat(real, &st) != 0)
		return error_errno(errno, "--cgroup %s", path);
	rest = below(real, m->point);
	if (!rest) /* it has .. in it */
		return not_found(path, mounts, m);
	if (!S_ISDIR(st.st_mode))
		return error_hint(error_new(ERR_USAGE, "%s is a file of a cgroup, not one", path),
				  "give the folder that it is in");

	bool is_root = strcmp(m->root, "/") == 0;

	ret->name = mem_printf("%s%s", is_root ? "" : m->root, *rest || !is_root ? rest : "/");
	ret->folder = real;
	real = NULL;
	return NULL;
}

/* The mount that a folder is in, and what stands behind it. */
static const struct proc_cgroup_mount *mount_of(const struct proc_cgroup_mounts *mounts,
						const char *folder, const char **ret_rest)
{
	const struct proc_cgroup_mount *found = NULL;

	for (size_t i = 0; i < mounts->items.count; i++) {
		const struct proc_cgroup_mount *m = &mounts->items.items[i];
		const char *rest = below(folder, m->point);

		if (!rest || (found && strlen(found->point) > strlen(m->point)))
			continue;
		found = m;
		*ret_rest = rest;
	}
	return found;
}

static struct error *find(const char *path, const struct proc_cgroup_mounts *mounts,
			  struct proc_cgroup *ret)
{
	bool is_path = *path == '/' || *path == '.';
	CLEANUP(mem_cleanup) char *real = is_path ? realpath(path, NULL) : NULL;
	const struct proc_cgroup_mount *m;
	const char *rest;

	if (!*path)
		return error_hint(error_new(ERR_USAGE, "--cgroup: the path is empty"),
				  "/ is the root group, with all processes in it");
	if (is_v1_line(path) && strncmp(path, "0::", 3) != 0)
		return error_hint(error_new(ERR_UNSUPPORTED,
					    "%s is a group of cgroup v1: only those of cgroup2 can "
					    "be recorded",
					    path),
				  "take the line of /proc/PID/cgroup that begins with 0::");
	m = mount_of(mounts, real ? real : path, &rest);
	if (m && m->controller)
		return refuse_v1(path, m);
	if (m)
		return describe(path, rest, mounts, m, ret);
	m = find_cgroup2(mounts);
	rest = strncmp(path, "0::", 3) == 0 ? path + 3 : path;
	return m ? describe(path, rest, mounts, m, ret) : no_mount();
}

struct error *proc_cgroup_find(const char *path, struct proc_cgroup *ret)
{
	struct proc_cgroup_mounts mounts;

	TRY(read_mounts(&mounts));
	struct error *err = find(path, &mounts, ret);
	proc_cgroup_mounts_deinit(&mounts);
	return err;
}

bool proc_cgroup_is_empty(const char *folder)
{
	CLEANUP(mem_cleanup) char *path = mem_printf("%s/cgroup.events", folder);
	CLEANUP(mem_cleanup) char *text = NULL;
	CLEANUP(error_cleanup) struct error *err = file_read_proc(path, 4096, &text, NULL);

	return !err && strstr(text, "populated 0") != NULL; /* the root has no such file */
}

struct error *proc_cgroup_check(void)
{
	struct proc_cgroup root = { 0 };
	struct error *err = proc_cgroup_find("/", &root);

	free(root.name);
	free(root.folder);
	return err;
}
