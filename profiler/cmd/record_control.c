#include "profiler/cmd/record_control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"

#define FORMS "fifo:COMMANDS[,ANSWERS] names FIFOs (mkfifo), fd:N[,N] open descriptors"

/* Open for reading and writing, so that there always is a writer, or reader: nothing waits for one,
 * and the end of the last one is no end. */
static struct error *open_fifo(const char *path, int *ret)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return error_hint(error_errno(errno, "--control: cannot open %s", path),
				  errno == ENOENT ? "mkfifo %s makes it" : "is %s a FIFO of yours?",
				  path);
	if (fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode)) {
		*ret = fd;
		return NULL;
	}
	close(fd);
	return error_hint(error_new(ERR_USAGE, "--control: %s is no FIFO", path),
			  "mkfifo makes one");
}

static struct error *take_descriptor(const char *word, int *ret)
{
	struct stat st;
	uint64_t fd;

	TRY(parse_u64(word, "--control fd:", INT32_MAX, &fd));
	if (fd <= STDERR_FILENO)
		return error_new(ERR_USAGE,
				 "--control fd:%s: the standard streams are the program's", word);
	if (fstat((int)fd, &st) != 0)
		return error_errno(errno, "--control fd:%s", word);
	if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))
		return error_hint(error_new(ERR_USAGE,
					    "--control fd:%s is no pipe or socket, but a file",
					    word),
				  FORMS);
	fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	*ret = (int)fd;
	return NULL;
}

struct error *control_open(struct control *c, const char *spec)
{
	struct error *(*open_one)(const char *word, int *ret);
	const char *words = strchr(spec, ':');

	if (words && strncmp(spec, "fifo:", 5) == 0)
		open_one = open_fifo;
	else if (words && strncmp(spec, "fd:", 3) == 0)
		open_one = take_descriptor;
	else
		return error_hint(error_new(ERR_USAGE, "--control: '%s' is not understood", spec),
				  FORMS);

	size_t n = strcspn(++words, ",");
	CLEANUP(mem_cleanup) char *commands = mem_strndup(words, n);

	TRY(open_one(commands, &c->commands));
	if (!words[n])
		return NULL;
	TRY(open_one(words + n + 1, &c->answers));
	if (c->answers == c->commands) { /* a socket: each is closed on its own */
		c->answers = fcntl(c->commands, F_DUPFD_CLOEXEC, 0);
		if (c->answers < 0)
			return error_errno(errno, "--control");
	}
	return NULL;
}

static bool is_ready(int fd, short what)
{
	struct pollfd p = { fd, what, 0 };

	return poll(&p, 1, 0) > 0;
}

/* Where nobody reads, the answer is let go of. */
static void answer(const struct control *c, const char *text)
{
	if (c->answers >= 0 && is_ready(c->answers, POLLOUT) &&
	    write(c->answers, text, strlen(text)) < 0)
		fprintf(stderr, "cprof: --control: cannot answer: %s\n", strerror(errno));
}

/* True where the words are a command, which is done then. */
static bool obey(const struct control *c, const char *command, struct capture *capture,
		 bool *ret_stop)
{
	bool is_stop = strcmp(command, "stop") == 0;

	if (strcmp(command, "enable") == 0)
		capture_switch(capture, true);
	else if (is_stop || strcmp(command, "disable") == 0)
		capture_switch(capture, false);
	else if (strcmp(command, "ping") != 0)
		return false;
	*ret_stop |= is_stop;
	answer(c, "ack\n");
	return true;
}

static void refuse(const struct control *c, const char *command)
{
	static const char *const commands[] = { "enable", "disable", "stop", "ping" };
	CLEANUP(buf_deinit) struct buf said = { 0 };
	const char *near = text_nearest(command, commands, ARRAY_SIZE(commands));

	buf_add_str(&said, "error: there is no command '");
	text_add_printable(&said, command, strlen(command));
	if (near)
		buf_printf(&said, "', did you mean %s?\n", near);
	else
		buf_add_str(&said, "', but enable, disable, stop and ping\n");
	fprintf(stderr, "cprof: --control: %s", buf_str(&said) + strlen("error: "));
	answer(c, buf_str(&said));
}

/* The line so far, without the spaces around it. */
static const char *words_of(struct control *c)
{
	size_t n = MIN(c->len, sizeof(c->line) - 1);

	while (n && strchr(" \t\r", c->line[n - 1]))
		n--;
	c->line[n] = '\0';
	return c->line + strspn(c->line, " \t");
}

static void end_line(struct control *c, struct capture *capture, bool *ret_stop)
{
	const char *command = words_of(c);

	if (*command && !obey(c, command, capture, ret_stop))
		refuse(c, command);
	c->len = 0;
}

bool control_read(struct control *c, struct capture *capture)
{
	char bytes[256];
	bool stop = false;
	ssize_t n;

	if (c->commands < 0 || !is_ready(c->commands, POLLIN))
		return false;
	n = read(c->commands, bytes, sizeof(bytes));
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(c->commands);
		c->commands = -1;
		return false;
	}
	for (ssize_t i = 0; i < n && !stop; i++) {
		if (bytes[i] == '\n' || bytes[i] == '\0')
			end_line(c, capture, &stop);
		else if (c->len++ < sizeof(c->line) - 1)
			c->line[c->len - 1] = bytes[i];
	}
	/* `printf enable` has no end of line, and is meant all the same */
	if (c->len && !stop && !is_ready(c->commands, POLLIN) &&
	    obey(c, words_of(c), capture, &stop))
		c->len = 0;
	return stop;
}

void control_close(struct control *c)
{
	if (c->commands >= 0)
		close(c->commands);
	if (c->answers >= 0)
		close(c->answers);
	c->commands = c->answers = -1;
}
