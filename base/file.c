#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"

struct error *file_open_regular(const char *path, int *ret_fd)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_new(ERR_FORMAT, "%s is not a regular file", path);
	}
	*ret_fd = fd;
	return NULL;
}

struct error *file_map_fd(int fd, const char *name, struct file_bytes *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_errno(errno, "cannot stat %s", name);
	if (!S_ISREG(st.st_mode))
		return error_new(ERR_FORMAT, "%s is not a regular file", name);
	*ret = (struct file_bytes){ .size = (size_t)st.st_size, .mapped = true };
	if (!ret->size)
		return NULL;
	void *p = mmap(NULL, ret->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		*ret = (struct file_bytes){ 0 };
		return error_errno(errno, "cannot map %s", name);
	}
	ret->data = p;
	return NULL;
}

struct error *file_map(const char *path, struct file_bytes *ret)
{
	CLEANUP(fd_cleanup) int fd = -1;

	TRY(file_open_regular(path, &fd));
	return file_map_fd(fd, path, ret);
}

static struct error *read_stream(int fd, const char *name, uint64_t max, struct file_bytes *ret)
{
	struct buf b = { 0 };

	for (;;) {
		buf_reserve(&b, (size_t)1 << 16);
		ssize_t n = read(fd, b.data + b.len, b.capacity - b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			struct error *err = error_errno(errno, "cannot read %s", name);
			buf_deinit(&b);
			return err;
		}
		if (n == 0)
			break;
		b.len += (size_t)n;
		if (max && b.len > max) {
			buf_deinit(&b);
			return error_new(ERR_FORMAT, "%s is larger than %llu bytes", name,
					 (unsigned long long)max);
		}
	}
	*ret = (struct file_bytes){ (uint8_t *)b.data, b.len, false };
	return NULL;
}

struct error *file_read_input(const char *path, uint64_t max, struct file_bytes *ret)
{
	struct stat st;

	if (strcmp(path, "-") == 0) {
		if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
		    lseek(STDIN_FILENO, 0, SEEK_CUR) == 0 && (!max || (uint64_t)st.st_size <= max))
			return file_map_fd(STDIN_FILENO, "stdin", ret);
		return read_stream(STDIN_FILENO, "stdin", max, ret);
	}

	CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return error_errno(errno, "cannot stat %s", path);
	if (S_ISDIR(st.st_mode))
		return error_new(ERR_FORMAT, "%s is a directory", path);
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return read_stream(fd, path, max, ret);
	if (max && (uint64_t)st.st_size > max)
		return error_new(ERR_FORMAT, "%s is larger than %llu bytes", path,
				 (unsigned long long)max);
	return file_map_fd(fd, path, ret);
}

struct error *file_read_proc(const char *path, size_t max, char **ret_text, size_t *ret_len)
{
	struct buf b = { 0 };
	CLEANUP(fd_cleanup) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return error_errno(errno, "cannot open %s", path);
	while (b.len < max) {
		buf_reserve(&b, 4096);
		ssize_t n = read(fd, b.data + b.len, MIN(b.capacity - b.len, max - b.len));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			struct error *err = error_errno(errno, "cannot read %s", path);
			buf_deinit(&b);
			return err;
		}
		if (n == 0)
			break;
		b.len += (size_t)n;
	}
	if (ret_len)
		*ret_len = b.len;
	*ret_text = buf_take_str(&b);
	return NULL;
}

void file_bytes_deinit(struct file_bytes *b)
{
	if (b->mapped && b->data)
		munmap((void *)b->data, b->size);
	else if (!b->mapped)
		free((void *)b->data);
	*b = (struct file_bytes){ 0 };
}

bool fd_make_room(size_t need, uint64_t *ret_most)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || need <= limit.rlim_cur)
		return true;
	*ret_most = limit.rlim_max;
	if (need > limit.rlim_max)
		return false;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

void fd_cleanup(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

bool fd_write_all(int fd, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}
