#include "symbolizer/root_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static int open_in_root(int root_fd, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

struct error *root_file_open(const char *root, const char *path, int *ret_fd)
{
	struct stat st;

	if (!*root)
		return file_open_regular(path, ret_fd);
	CLEANUP(fd_cleanup) int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		return error_errno(errno, "cannot open %s", root);
	CLEANUP(fd_cleanup) int fd = open_in_root(root_fd, path);
	if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
		/* A kernel before 5.6, or a filter that knows no openat2: then without links at the
		 * end of the path, and the caller's check of identity must do for the rest. */
		CLEANUP(mem_cleanup) char *whole = mem_printf("%s/%s", root, path);
		fd = open(whole, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW);
	}
	if (fd < 0)
		return error_errno(errno, "cannot open %s%s", root, path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return error_new(ERR_FORMAT, "%s%s is not a regular file", root, path);
	*ret_fd = fd;
	fd = -1;
	return NULL;
}
