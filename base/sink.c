#include "base/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/mem.h"

#define BUFFER_BYTES ((size_t)256 << 10)

struct sink {
	struct error *(*write)(struct sink *s, const void *bytes, size_t n);
	struct error *(*finish)(struct sink *s); /* the last bytes are written, make it last */
	void (*release)(
		struct sink *s); /* frees what the kind owns; after finish or instead of it */
	struct error *error;
	struct buf pending;

	int fd;
	char *path, *temporary; /* temporary is NULL where nothing is to be renamed */
	struct buf *target;
	struct sink *below;
	z_stream gzip;
};

static uid_t owner_uid = (uid_t)-1;
static gid_t owner_gid = (gid_t)-1;

void sink_set_owner(uid_t uid, gid_t gid)
{
	owner_uid = uid;
	owner_gid = gid;
}

struct error *sink_give_to_owner(int fd, const char *path)
{
	if (owner_uid != (uid_t)-1 && fchown(fd, owner_uid, owner_gid) < 0 && errno != EPERM)
		return error_errno(errno, "cannot give %s to its user", path);
	return NULL;
}

/* With another user's files in an untrusted folder no link is followed. */
static bool writing_for_another(void)
{
	return owner_uid != (uid_t)-1;
}

static void flush_pending(struct sink *s)
{
	if (!s->error && s->pending.len)
		s->error = s->write(s, s->pending.data, s->pending.len);
	buf_clear(&s->pending);
}

void sink_write(struct sink *s, const void *bytes, size_t n)
{
	if (s->pending.len + n >= BUFFER_BYTES)
		flush_pending(s);
	if (n >= BUFFER_BYTES) {
		if (!s->error)
			s->error = s->write(s, bytes, n);
		return;
	}
	buf_add(&s->pending, bytes, n);
}

void sink_printf(struct sink *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	char *text = mem_vprintf(fmt, args);
	va_end(args);
	sink_write(s, text, strlen(text));
	free(text);
}

bool sink_failed(const struct sink *s)
{
	return s->error || (s->below && sink_failed(s->below));
}

static void sink_free(struct sink *s)
{
	s->release(s);
	error_free(s->error);
	buf_deinit(&s->pending);
	free(s);
}

struct error *sink_close(struct sink *s)
{
	flush_pending(s);
	if (!s->error)
		s->error = s->finish(s);

	struct error *err = s->error;
	s->error = NULL;
	sink_free(s);
	return err;
}

void sink_abort(struct sink *s)
{
	if (s)
		sink_free(s);
}

/* --- a file or stdout --- */

/* Of errno, with what can be done about it. */
static struct error *write_error(const char *path)
{
	struct error *err = error_errno(errno, "cannot write %s", path);

	switch (error_errno_of(err)) {
	case ENOSPC:
	case EDQUOT:
		return error_hint(err, "make room, or write it to another disk (-o)");
	case EFBIG:
		return error_hint(err, "`ulimit -f` limits the size of files");
	}
	return err;
}

static struct error *file_write(struct sink *s, const void *bytes, size_t n)
{
	if (!fd_write_all(s->fd, bytes, n))
		return write_error(s->path);
	return NULL;
}

static struct error *file_finish(struct sink *s)
{
	int fd = s->fd;

	if (fd == STDOUT_FILENO)
		return NULL;
	s->fd = -1;
	if (close(fd) < 0)
		return write_error(s->path);
	if (!s->temporary)
		return NULL;
	if (rename(s->temporary, s->path) < 0)
		return error_errno(errno, "cannot rename %s to %s", s->temporary, s->path);
	free(s->temporary);
	s->temporary = NULL;
	return NULL;
}

static void file_release(struct sink *s)
{
	if (s->fd >= 0 && s->fd != STDOUT_FILENO)
		close(s->fd);
	if (s->temporary)
		unlink(s->temporary);
	free(s->temporary);
	free(s->path);
}

/* A new file beside `path` that nobody else has open. */
static struct error *create_temporary(const char *path, char **ret_name, int *ret_fd)
{
	for (unsigned int try = 0; try < 100; try++) {
		char *name = mem_printf("%s.tmp-%d-%u", path, (int)getpid(), try);
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
		if (fd >= 0) {
			struct error *err = sink_give_to_owner(fd, name);
			if (err) {
				close(fd);
				unlink(name);
				free(name);
				return err;
			}
			*ret_name = name;
			*ret_fd = fd;
			return NULL;
		}
		free(name);
		if (errno != EEXIST)
			return error_hint(error_errno(errno, "cannot create %s", path),
					  "-o FILE names another place");
	}
	return error_new(ERR_FAILED, "cannot create a temporary file beside %s", path);
}

struct error *sink_open(const char *path, struct sink **ret)
{
	char *temporary = NULL;
	struct stat st;
	int fd = -1;

	if (strcmp(path, "-") == 0) {
		fd = STDOUT_FILENO;
		path = "standard output";
	} else if ((writing_for_another() ? lstat : stat)(path, &st) == 0 && !S_ISREG(st.st_mode) &&
		   !S_ISLNK(st.st_mode)) {
		if (S_ISDIR(st.st_mode))
			return error_errno(EISDIR, "cannot write %s", path);
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY |
					(writing_for_another() ? O_NOFOLLOW : 0));
		if (fd < 0)
			return error_errno(errno, "cannot open %s", path);
	} else {
		TRY(create_temporary(path, &temporary, &fd));
	}

	struct sink *s = mem_alloc(sizeof(*s));
	*s = (struct sink){ .write = file_write,
			    .finish = file_finish,
			    .release = file_release,
			    .fd = fd,
			    .path = mem_strdup(path),
			    .temporary = temporary };
	*ret = s;
	return NULL;
}

/* --- memory --- */

static struct error *memory_write(struct sink *s, const void *bytes, size_t n)
{
	buf_add(s->target, bytes, n);
	return NULL;
}

static struct error *memory_finish(struct sink *s)
{
	(void)s;
	return NULL;
}

static void memory_release(struct sink *s)
{
	(void)s;
}

struct sink *sink_to_buf(struct buf *b)
{
	struct sink *s = mem_alloc(sizeof(*s));

	*s = (struct sink){ .write = memory_write,
			    .finish = memory_finish,
			    .release = memory_release,
			    .fd = -1,
			    .target = b };
	return s;
}

/* --- gzip --- */

static struct error *gzip_run(struct sink *s, const void *bytes, size_t n, int flush)
{
	unsigned char out[16384];

	s->gzip.next_in = (Bytef *)bytes;
	s->gzip.avail_in = (uInt)n;
	do {
		s->gzip.next_out = out;
		s->gzip.avail_out = sizeof(out);
		if (deflate(&s->gzip, flush) == Z_STREAM_ERROR)
			return error_new(ERR_FAILED, "zlib cannot compress");
		sink_write(s->below, out, sizeof(out) - s->gzip.avail_out);
	} while (s->gzip.avail_out == 0);
	return NULL;
}

static struct error *gzip_write(struct sink *s, const void *bytes, size_t n)
{
	const char *p = bytes;

	while (n) {
		size_t part = MIN(n, (size_t)1 << 30);
		TRY(gzip_run(s, p, part, Z_NO_FLUSH));
		p += part;
		n -= part;
	}
	return NULL;
}

static struct error *gzip_finish(struct sink *s)
{
	TRY(gzip_run(s, NULL, 0, Z_FINISH));
	struct sink *below = s->below;
	s->below = NULL;
	return sink_close(below);
}

static void gzip_release(struct sink *s)
{
	deflateEnd(&s->gzip);
	sink_abort(s->below);
}

struct sink *sink_gzip(struct sink *take_below, int level)
{
	struct sink *s = mem_alloc(sizeof(*s));

	*s = (struct sink){ .write = gzip_write,
			    .finish = gzip_finish,
			    .release = gzip_release,
			    .fd = -1,
			    .below = take_below };
	/* 16 + 15 asks zlib for a gzip header around the largest window. */
	if (deflateInit2(&s->gzip, level, Z_DEFLATED, 16 + 15, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		s->error = error_new(ERR_FAILED, "zlib cannot start");
	return s;
}
