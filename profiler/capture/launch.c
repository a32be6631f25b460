#include "profiler/capture/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

/* The kernel looks at no more of a script's first line. */
#define SCRIPT_LINE_MAX 256

/* PATH of the environment that the command gets. */
static const char *path_of(const struct capture_command *command)
{
	for (char *const *e = command->environment; e && *e; e++)
		if (!strncmp(*e, "PATH=", 5))
			return *e + 5;
	const char *path = command->environment ? NULL : getenv("PATH");

	return path ? path : "/bin:/usr/bin";
}

static bool is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

/* The file of a command, the caller's to free; NULL where there is none. One that is there but not
 * executable is taken only where no other is. */
static char *find_command(const struct capture_command *command)
{
	const char *name = command->argv[0];
	char *second = NULL;

	if (strchr(name, '/'))
		return is_file(name) ? mem_strdup(name) : NULL;
	for (const char *at = path_of(command);;) {
		int n = (int)strcspn(at, ":");
		char *path = mem_printf("%.*s%s%s", n, at, n ? "/" : "./", name);

		if (is_file(path) && access(path, X_OK) == 0) {
			free(second);
			return path;
		}
		if (is_file(path) && !second)
			second = path;
		else
			free(path);
		if (!at[n])
			return second;
		at += n + 1;
	}
}

static struct error *cannot_run(const char *name, int errnum, int *ret_exit_status)
{
	*ret_exit_status = errnum == ENOENT ? 127 : 126;
	if (errnum == ENOEXEC)
		return error_hint(error_new(ERR_FAILED,
					    "cannot run %s: it is neither a program nor a "
					    "script that says what runs it",
					    name),
				  "a script's first line names its interpreter: #!/bin/sh");
	return error_errno(errnum, "cannot run %s", name);
}

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What a script's first line says that runs it; false where the file is no script. */
static bool interpreter_of(const char *path, struct buf *ret)
{
	char line[SCRIPT_LINE_MAX + 1] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, SCRIPT_LINE_MAX);

	if (fd >= 0)
		close(fd);
	if (n < 3 || line[0] != '#' || line[1] != '!')
		return false;
	const char *word = line + 2 + strspn(line + 2, " \t");

	text_add_printable(ret, word, strcspn(word, " \t\n"));
	return ret->len > 0;
}

/* The file is there, but not what runs it. */
static struct error *no_interpreter(const struct capture_command *command)
{
	CLEANUP(mem_cleanup) char *path = find_command(command);
	CLEANUP(buf_deinit) struct buf interpreter = { 0 };

	if (path && interpreter_of(path, &interpreter))
		return error_hint(error_new(ERR_FAILED,
					    "cannot run %s: there is no %s, which its "
					    "first line names as its interpreter",
					    command->argv[0], buf_str(&interpreter)),
				  "is the line right, and does it end without a carriage return "
				  "(\\r)?");
	return error_hint(
		error_new(ERR_FAILED, "cannot run %s: what runs it is not there", command->argv[0]),
		"its dynamic linker is missing: `file %s` names it", command->argv[0]);
}

static bool become_user(const struct capture_command *command)
{
	if (command->uid >= 0 && setgroups(command->group_count, command->groups) != 0)
		return false;
	if (command->gid >= 0 && setgid((gid_t)command->gid) != 0)
		return false;
	return command->uid < 0 || setuid((uid_t)command->uid) == 0;
}

/* Programs that use select() count on a soft limit of 1,024. */
static void limit_files(const struct capture_command *command)
{
	struct rlimit limit;

	if (!command->open_files || getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	limit.rlim_cur = command->open_files;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* In the child; never returns. Between fork and exec: only what is safe there. */
NORETURN static void run_child(const struct capture_command *command, const char *path, int go,
			       int failed)
{
	extern char **environ;
	sigset_t none;
	char byte;
	int errnum;

	/* privileges that cprof got by ambient capabilities are not for the command */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	limit_files(command);
	if (command->stdout_fd >= 0 && dup2(command->stdout_fd, STDOUT_FILENO) < 0)
		goto failed;
	if (!become_user(command))
		goto failed;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(go, &byte, 1) != 1)
		_exit(1); /* cprof gave up, or was killed */
	execve(path, command->argv, command->environment ? (char **)command->environment : environ);
failed:
	errnum = errno;
	if (write(failed, &errnum, sizeof(errnum)) < 0)
		_exit(1);
	_exit(errnum == ENOENT ? 127 : 126);
}

static struct error *cannot_fork(int errnum)
{
	struct error *err = error_errno(errnum, "cannot start a process");

	if (errnum == EAGAIN)
		return error_hint(err, "there are as many as this user, or this control group, may "
				       "have: `ulimit -u`, pids.max");
	return err;
}

struct error *launch_fork(const struct capture_command *command, struct launch *ret,
			  int *ret_exit_status)
{
	CLEANUP(mem_cleanup) char *path = find_command(command);
	int go[2], failed[2];

	*ret = (struct launch){ .go = -1, .failed = -1, .pidfd = -1 };
	if (!path && strchr(command->argv[0], '/') && is_folder(command->argv[0]))
		return cannot_run(command->argv[0], EISDIR, ret_exit_status);
	if (!path)
		return error_hint(cannot_run(command->argv[0], ENOENT, ret_exit_status),
				  strchr(command->argv[0], '/') ? "is the path right?"
								: "is it in PATH?");
	if (pipe2(go, O_CLOEXEC) != 0)
		return error_errno(errno, "cannot make a pipe");
	if (pipe2(failed, O_CLOEXEC) != 0) {
		struct error *err = error_errno(errno, "cannot make a pipe");

		close(go[0]);
		close(go[1]);
		return err;
	}
	fflush(NULL);
	ret->pid = fork();
	if (ret->pid == 0) {
		close(go[1]);
		close(failed[0]);
		run_child(command, path, go[0], failed[1]);
	}
	int errnum = errno;

	close(go[0]);
	close(failed[1]);
	ret->go = go[1];
	ret->failed = failed[0];
	if (ret->pid < 0) {
		ret->pid = 0;
		launch_deinit(ret);
		return cannot_fork(errnum);
	}
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	if (ret->pidfd >= 0)
		fcntl(ret->pidfd, F_SETFD, FD_CLOEXEC);
	return NULL;
}

struct error *launch_go(struct launch *l, const struct capture_command *command,
			int *ret_exit_status)
{
	int errnum = 0;
	ssize_t n;

	if (!fd_write_all(l->go, "g", 1))
		return error_errno(errno, "cannot start %s", command->argv[0]);
	close(l->go);
	l->go = -1;
	do
		n = read(l->failed, &errnum, sizeof(errnum));
	while (n < 0 && errno == EINTR);
	if (n != sizeof(errnum))
		return NULL;
	launch_has_ended(l, true);
	if (errnum == ENOENT) { /* it was found before */
		*ret_exit_status = 127;
		return no_interpreter(command);
	}
	return cannot_run(command->argv[0], errnum, ret_exit_status);
}

static uint64_t time_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000000ull + (uint64_t)t->tv_usec * 1000;
}

bool launch_has_ended(struct launch *l, bool block)
{
	struct rusage usage;
	pid_t got;

	if (l->has_ended || l->pid <= 0)
		return l->has_ended;
	do
		got = wait4(l->pid, &l->status, block ? 0 : WNOHANG, &usage);
	while (got < 0 && errno == EINTR);
	if (got == l->pid) {
		l->user_ns = time_ns(&usage.ru_utime);
		l->system_ns = time_ns(&usage.ru_stime);
	}
	/* somebody else has reaped it where got is negative */
	l->has_ended = got == l->pid || got < 0;
	return l->has_ended;
}

void launch_deinit(struct launch *l)
{
	bool was_held = l->go >= 0;

	fd_cleanup(&l->go);
	fd_cleanup(&l->failed);
	l->go = l->failed = -1;
	if (was_held)
		launch_has_ended(l, true);
	fd_cleanup(&l->pidfd);
	l->pidfd = -1;
}
