#include "profiler/cmd/show_picture.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/vec.h"

/* A program and its words, the file among them; ended by NULL. */
struct opener {
	VEC(char *) words;
};

static void opener_deinit(struct opener *o)
{
	for (size_t i = 0; i < o->words.count; i++)
		free(o->words.items[i]);
	vec_deinit(&o->words);
}

static bool is_in_path(const char *name)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) == 0;
	for (const char *at = path ? path : "/bin:/usr/bin"; *at;) {
		int n = (int)strcspn(at, ":");
		CLEANUP(mem_cleanup) char *file = mem_printf("%.*s/%s", n, at, name);

		if (n && access(file, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

/* One of $BROWSER's: words between spaces, %s is the file, which is the last word otherwise. */
static bool take_browser(const char *spec, size_t n, const char *path, struct opener *ret)
{
	CLEANUP(mem_cleanup) char *copy = mem_strndup(spec, n);
	bool has_path = false;
	char *rest = copy, *word;

	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		bool is_path = strcmp(word, "%s") == 0;

		vec_push(&ret->words, mem_strdup(is_path ? path : word));
		has_path |= is_path;
	}
	if (ret->words.count && is_in_path(ret->words.items[0])) {
		if (!has_path)
			vec_push(&ret->words, mem_strdup(path));
		vec_push(&ret->words, NULL);
		return true;
	}
	opener_deinit(ret);
	*ret = (struct opener){ 0 };
	return false;
}

/* The first of $BROWSER that is there: a list between colons. */
static bool find_browser(const char *path, struct opener *ret)
{
	const char *at = getenv("BROWSER");

	while (at && *at) {
		size_t n = strcspn(at, ":");

		if (take_browser(at, n, path, ret))
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static bool has_display(void)
{
	const char *x = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

	return (x && *x) || (wayland && *wayland);
}

/* What opens files on a desktop. wslview brings them to a Windows that needs no display here. */
static bool find_desktop(const char *path, struct opener *ret)
{
	static const struct {
		const char *name, *verb;
		bool needs_display;
	} openers[] = { { "wslview", NULL, false },
			{ "xdg-open", NULL, true },
			{ "gio", "open", true },
			{ "open", NULL, true } };

	for (size_t i = 0; i < ARRAY_SIZE(openers); i++) {
		if ((openers[i].needs_display && !has_display()) || !is_in_path(openers[i].name))
			continue;
		vec_push(&ret->words, mem_strdup(openers[i].name));
		if (openers[i].verb)
			vec_push(&ret->words, mem_strdup(openers[i].verb));
		vec_push(&ret->words, mem_strdup(path));
		vec_push(&ret->words, NULL);
		return true;
	}
	return false;
}

/* sudo takes away what leads to the session of its user: where the socket is where it always is, it
 * is named again. */
static void find_session(uid_t uid)
{
	CLEANUP(mem_cleanup) char *folder = mem_printf("/run/user/%u", (unsigned int)uid);
	CLEANUP(mem_cleanup) char *wayland = mem_printf("%s/wayland-0", folder);
	CLEANUP(mem_cleanup) char *bus = mem_printf("%s/bus", folder);
	CLEANUP(mem_cleanup) char *address = mem_printf("unix:path=%s", bus);
	struct stat st;

	if (stat(folder, &st) != 0 || st.st_uid != uid)
		return;
	setenv("XDG_RUNTIME_DIR", folder, 1);
	if (stat(wayland, &st) == 0)
		setenv("WAYLAND_DISPLAY", "wayland-0", 0);
	if (stat(bus, &st) == 0)
		setenv("DBUS_SESSION_BUS_ADDRESS", address, 1);
}

static bool become(const struct sudo_user *user)
{
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	return !user || (setgroups(user->group_count, user->groups) == 0 &&
			 setgid(user->gid) == 0 && setuid(user->uid) == 0);
}

/* In a child of a child, in a session of its own: it outlives us, and nobody waits for it. */
NORETURN static void run_opener(char *const *words, int failed)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), errnum;
	sigset_t none;

	setsid();
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC); /* nothing that we were given */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(words[0], words);
	errnum = errno;
	if (write(failed, &errnum, sizeof(errnum)) < 0)
		_exit(1);
	_exit(1);
}

NORETURN static void run_child(const char *path, const struct sudo_user *user, int result)
{
	struct opener opener = { 0 };
	int errnum = 0;
	pid_t child;

	if (!become(user))
		errnum = errno;
	if (user) {
		clearenv();
		for (char **word = user->environment; word && *word; word++)
			putenv(*word);
		find_session(user->uid);
	}
	if (!errnum && !find_browser(path, &opener) && !find_desktop(path, &opener))
		errnum = has_display() ? ENOENT : ENODEV;
	child = errnum ? 1 : fork();
	if (child == 0)
		run_opener(opener.words.items, result);
	if (child < 0)
		errnum = errno;
	if (errnum && write(result, &errnum, sizeof(errnum)) < 0)
		_exit(1);
	_exit(0);
}

/* 0 where it was started; else ENODEV: there is no display; ENOENT: no program that opens files; or
 * what a system call said. */
static int start(const char *path, const struct sudo_user *user)
{
	int result[2], errnum = 0, status;

	if (pipe2(result, O_CLOEXEC) != 0)
		return errno;
	fflush(NULL);

	pid_t child = fork();

	if (child == 0)
		run_child(path, user, result[1]);
	if (child < 0)
		errnum = errno;
	close(result[1]);
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	/* the end of the pipe is that of the child of the child: its exec */
	while (child > 0 && read(result[0], &errnum, sizeof(errnum)) < 0 && errno == EINTR)
		;
	close(result[0]);
	return errnum;
}

void show_picture(const char *path, const struct sudo_user *user, bool quiet)
{
	CLEANUP(mem_cleanup) char *whole = realpath(path, NULL);
	CLEANUP(buf_deinit) struct buf shown = { 0 };
	int errnum = whole ? start(whole, user) : errno;

	text_add_printable(&shown, whole ? whole : path, strlen(whole ? whole : path));
	switch (errnum) {
	case 0:
		if (!quiet)
			fprintf(stderr, "cprof: opening %s\n", buf_str(&shown));
		return;
	case ENODEV:
		fprintf(stderr,
			"cprof: --open: there is no display here (DISPLAY and WAYLAND_DISPLAY are "
			"not "
			"set)\n       copy %s to where there is a browser, or set BROWSER\n",
			buf_str(&shown));
		return;
	case ENOENT:
		fprintf(stderr,
			"cprof: --open: nothing here opens files (neither $BROWSER nor xdg-open)\n"
			"       open %s in any browser\n",
			buf_str(&shown));
		return;
	}
	fprintf(stderr, "cprof: --open: cannot open %s: %s\n", buf_str(&shown), strerror(errnum));
}
