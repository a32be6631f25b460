#include "profiler/process/find.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

/* The inode of the first time namespace: PROC_TIME_INIT_INO of the kernel. */
#define FIRST_TIME_NAMESPACE 0xeffffffaul

bool proc_ids_add(struct proc_ids *ids, uint32_t id)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->items[i] == id)
			return false;
	vec_push(ids, id);
	return true;
}

/* The next entry of a folder of /proc whose name is a number; 0 at the end. */
static uint32_t next_number(DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]))
			return (uint32_t)strtoul(entry->d_name, NULL, 10);
	return 0;
}

static bool has_name(uint32_t pid, const char *name)
{
	char path[64], target[PATH_MAX], *comm;
	struct error *err;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		static const char deleted[] = " (deleted)";
		char *base;

		target[n] = '\0';
		if ((size_t)n > strlen(deleted) && !strcmp(target + n - strlen(deleted), deleted))
			target[(size_t)n - strlen(deleted)] = '\0';
		base = strrchr(target, '/');
		if (!strcmp(base ? base + 1 : target, name))
			return true;
	}
	snprintf(path, sizeof(path), "/proc/%u/comm", pid);
	err = file_read_proc(path, 64, &comm, NULL);
	if (err) {
		error_free(err);
		return false;
	}
	comm[strcspn(comm, "\n")] = '\0';
	bool same = !strcmp(comm, name);

	free(comm);
	return same;
}

static struct error *find_name(const char *name, struct proc_ids *ids, struct buf *listed)
{
	DIR *dir = opendir("/proc");
	size_t found = 0;
	uint32_t pid;

	if (!dir)
		return error_errno(errno, "cannot list /proc");
	while ((pid = next_number(dir))) {
		if (pid == (uint32_t)getpid() || !has_name(pid, name))
			continue;
		proc_ids_add(ids, pid);
		if (!found++) {
			if (listed->len)
				buf_add_char(listed, '\n');
			text_add_printable(listed, name, strlen(name));
		}
		buf_printf(listed, found == 1 ? ": %u" : ", %u", pid);
	}
	closedir(dir);
	if (!found)
		return error_hint(
			error_new(ERR_NOT_FOUND, "no process is called `%s`", name),
			"a name is a process's whole name (its comm) or its program's file "
			"name; a number is a process id");
	return NULL;
}

static struct error *find_number(const char *word, struct proc_ids *ids)
{
	uint64_t pid;
	char path[64];

	TRY(parse_u64(word, "-p", INT_MAX, &pid));
	snprintf(path, sizeof(path), "/proc/%u", (uint32_t)pid);
	if (pid == 0 || access(path, F_OK) != 0)
		return error_hint(error_new(ERR_NOT_FOUND, "there is no process %s", word),
				  "has it ended? A name does as well: -p nginx");
	proc_ids_add(ids, (uint32_t)pid);
	return NULL;
}

struct error *proc_find(const char *list, struct proc_ids *ids, struct buf *listed)
{
	for (const char *at = list;;) {
		size_t n = strcspn(at, ",");
		CLEANUP(mem_cleanup) char *word = mem_strndup(at, n);

		if (!n)
			return error_new(ERR_USAGE, "`%s` has an empty name or number in it", list);
		if (strspn(word, "0123456789") == n)
			TRY(find_number(word, ids));
		else
			TRY(find_name(word, ids, listed));
		if (!at[n])
			return NULL;
		at += n + 1;
	}
}

bool proc_threads(uint32_t pid, struct proc_ids *tids)
{
	char path[64];
	uint32_t tid;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	dir = opendir(path);
	if (!dir)
		return false;
	while ((tid = next_number(dir)))
		vec_push(tids, tid);
	closedir(dir);
	return true;
}

/* State and start time from a `stat` file of /proc; state X where it is gone. */
static void read_stat(const char *path, char *ret_state, uint64_t *ret_start)
{
	unsigned long long start = 0;
	char state = 'X', *text = NULL;
	struct error *err = file_read_proc(path, 1024, &text, NULL);
	const char *end = err ? NULL : strrchr(text, ')'); /* a name may have anything in it */

	/* the third field, and the 22nd */
	if (end)
		sscanf(end,
		       ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
		       "%*s %llu",
		       &state, &start);
	error_free(err);
	free(text);
	*ret_state = state;
	*ret_start = start;
}

static bool is_end(char state)
{
	return state == 'Z' || state == 'X';
}

bool proc_has_ended(uint32_t pid)
{
	struct proc_ids tids = { 0 };
	char path[64], state;
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	read_stat(path, &state, &start);
	/* a process whose first thread has ended may have others that run */
	bool lives = !is_end(state) || (proc_threads(pid, &tids) && tids.count > 1);

	vec_deinit(&tids);
	return !lives;
}

bool proc_thread_has_ended(uint32_t pid, uint32_t tid)
{
	char path[64], state;
	uint64_t start;

	snprintf(path, sizeof(path), "/proc/%u/task/%u/stat", pid, tid);
	read_stat(path, &state, &start);
	return is_end(state);
}

uint64_t proc_start_ticks(uint32_t pid)
{
	struct stat ns;
	char path[64], state;
	uint64_t start;

	if (stat("/proc/self/ns/time", &ns) == 0 && ns.st_ino != FIRST_TIME_NAMESPACE)
		return 0;
	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	read_stat(path, &state, &start);
	return start;
}

/* A number in /proc/PID/status. */
static uint32_t status_number(uint32_t pid, const char *key)
{
	char path[64], *text, *at;
	uint32_t v = 0;

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	struct error *err = file_read_proc(path, 16384, &text, NULL);

	if (err) {
		error_free(err);
		return 0;
	}
	at = strstr(text, key);
	if (at)
		v = (uint32_t)strtoul(at + strlen(key), NULL, 10);
	free(text);
	return v;
}

uint32_t proc_of_thread(uint32_t tid)
{
	return status_number(tid, "\nTgid:");
}

void proc_descendants(struct proc_ids *pids)
{
	bool grew = true;

	/* a child has mostly the higher number, so one pass finds all but the rarest */
	while (grew) {
		DIR *dir = opendir("/proc");
		uint32_t pid;

		grew = false;
		if (!dir)
			return;
		while ((pid = next_number(dir))) {
			uint32_t parent = status_number(pid, "\nPPid:");

			for (size_t i = 0; i < pids->count; i++)
				if (parent && pids->items[i] == parent &&
				    pid != (uint32_t)getpid()) {
					grew |= proc_ids_add(pids, pid);
					break;
				}
		}
		closedir(dir);
	}
}
