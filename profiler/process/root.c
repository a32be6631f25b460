#include "profiler/process/root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

/* Two descriptors each. */
#define KEPT_MAX 64

/* Fills the numbers of a root; false where it cannot be seen. */
static bool identify(const char *process, struct proc_root *ret)
{
	char path[48];
	struct stat st;

	*ret = (struct proc_root){ .namespace_fd = -1, .fd = -1 };
	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", process);
	if (stat(path, &st) != 0)
		return false;
	ret->mount_namespace = st.st_ino;
	snprintf(path, sizeof(path), "/proc/%s/root/.", process);
	if (stat(path, &st) != 0)
		return false;
	ret->device = st.st_dev;
	ret->inode = st.st_ino;
	return true;
}

void proc_roots_init(struct proc_roots *r)
{
	struct proc_root own;

	*r = (struct proc_roots){ 0 };
	if (!identify("self", &own))
		return;
	r->mount_namespace = own.mount_namespace;
	r->device = own.device;
	r->inode = own.inode;
}

void proc_roots_deinit(struct proc_roots *r)
{
	for (size_t i = 0; i < r->items.count; i++) {
		free(r->items.items[i].name);
		fd_cleanup(&r->items.items[i].namespace_fd);
		fd_cleanup(&r->items.items[i].fd);
	}
	vec_deinit(&r->items);
}

/* A folder of ours that is somebody's root: it stays when the process ends. */
static char *folder_of(const char *process)
{
	char path[48], target[PATH_MAX];
	struct stat there, here;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%s/root", process);
	n = readlink(path, target, sizeof(target) - 1);
	if (n <= 0 || stat(path, &there) != 0)
		return NULL;
	target[n] = '\0';
	if (stat(target, &here) != 0 || here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return NULL;
	return mem_strdup(target);
}

static void keep(const char *process, struct proc_root *root)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/%s/ns/mnt", process);
	root->namespace_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%s/root", process);
	root->fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	snprintf(root->path, sizeof(root->path), "/proc/self/fd/%d", root->fd);
}

const char *proc_root_of(struct proc_roots *r, uint32_t pid)
{
	struct proc_root root;
	char process[16];

	snprintf(process, sizeof(process), "%u", pid);
	if (!identify(process, &root))
		return NULL;
	if (root.mount_namespace == r->mount_namespace && root.device == r->device &&
	    root.inode == r->inode)
		return NULL;
	for (size_t i = 0; i < r->items.count; i++) {
		const struct proc_root *known = &r->items.items[i];

		if (known->mount_namespace == root.mount_namespace &&
		    known->device == root.device && known->inode == root.inode)
			return known->name;
	}
	if (root.mount_namespace == r->mount_namespace)
		root.name = folder_of(process);
	if (!root.name) {
		root.name = mem_printf("/proc/%u/root", pid);
		if (r->items.count < KEPT_MAX)
			keep(process, &root);
	}
	vec_push(&r->items, root);
	return root.name;
}

const char *proc_root_path(const struct proc_roots *r, const char *name)
{
	for (size_t i = 0; i < r->items.count; i++)
		if (r->items.items[i].fd >= 0 && !strcmp(r->items.items[i].name, name))
			return r->items.items[i].path;
	return name;
}
