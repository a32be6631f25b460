#include "profiler/cmd/record_watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/text.h"

#define PROGRESS_MS 200
#define TWICE_NS    2000000000ull
#define ONCE_NS	    100000000ull /* timeout(1) sends one to us, and one to our whole group */

static volatile sig_atomic_t interrupted;

static void block_watched(sigset_t *set)
{
	static const int watched[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD
	};

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		sigaddset(set, watched[i]);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static bool listen_to(struct watch *w, int fd)
{
	struct epoll_event event = { .events = EPOLLIN };

	return epoll_ctl(w->wake, EPOLL_CTL_ADD, fd, &event) == 0;
}

struct error *watch_init(struct watch *w, const char *control, bool quiet)
{
	sigset_t set;

	/* whoever started us may not care for its children: the status of ours would be lost */
	signal(SIGCHLD, SIG_DFL);
	/* blocked and never looked at: a pipe that nobody reads any more is an error of the write
	 */
	sigemptyset(&set);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, NULL);
	block_watched(&set);
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w->wake = epoll_create1(EPOLL_CLOEXEC);
	if (w->signals < 0 || w->wake < 0 || !listen_to(w, w->signals))
		return error_errno(errno, "cannot watch signals");
	if (control) {
		TRY(control_open(&w->control, control));
		if (!listen_to(w, w->control.commands))
			return error_errno(errno, "--control: cannot wait for %s", control);
	}
	w->show_progress = !quiet && isatty(STDERR_FILENO);
	return NULL;
}

static void show_progress(const struct capture *c)
{
	struct capture_counters n;
	struct buf line = { 0 };

	capture_counters(c, &n);
	buf_printf(&line, "\r\033[K[cprof] %.1f s  ", (double)n.elapsed_ns / 1e9);
	text_add_thousands(&line, n.samples);
	buf_add_str(&line, " samples");
	if (n.complete + n.cut)
		buf_printf(&line, "  complete %.1f %%",
			   100.0 * (double)n.complete / (double)(n.complete + n.cut));
	buf_add_str(&line, "  lost ");
	text_add_thousands(&line, n.lost);
	if (capture_is_off(c))
		buf_add_str(&line, "  off");
	else if (n.elapsed_ns)
		buf_printf(&line, "  cprof %.1f %% of a CPU",
			   100.0 * (double)n.cprof_cpu_ns / (double)n.elapsed_ns);
	fputs(buf_str(&line), stderr);
	fflush(stderr);
	buf_deinit(&line);
}

static void clear_progress(void)
{
	fputs("\r\033[K", stderr);
	fflush(stderr);
}

/* A signal that a process sent, not the terminal: the whole process group did not get it. */
static bool sent_to_us_alone(const struct signalfd_siginfo *s)
{
	return s->ssi_code <= 0;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* A second request to end, soon after the first? */
static bool asked_twice(struct watch *w)
{
	uint64_t now = now_ns();
	bool soon = w->asked_at_ns && now - w->asked_at_ns < TWICE_NS;

	if (w->asked_at_ns && now - w->asked_at_ns < ONCE_NS)
		return false;
	w->asked_at_ns = now;
	return soon;
}

/* Returns true when the recording is to end. */
static bool handle_signal(struct watch *w, const struct signalfd_siginfo *s, struct capture *c)
{
	bool asks_to_end = s->ssi_signo != SIGUSR1 && s->ssi_signo != SIGUSR2;
	pid_t command = capture_command_pid(c);
	int status;

	if (s->ssi_signo == SIGCHLD)
		return false;
	/* With --wait-all the command may have ended: its number may be anybody's by now. */
	if (!command || capture_command_status(c, false, &status))
		return asks_to_end;
	if (sent_to_us_alone(s))
		kill(command, (int)s->ssi_signo);
	if (!asks_to_end || !asked_twice(w))
		return false;
	w->impatient = true;
	fprintf(stderr, "\ncprof: the program goes on as process %d; the recording is over\n",
		(int)command);
	return true;
}

void watch_run(struct watch *w, struct capture *c, struct launch *timer)
{
	bool enough = launch_has_ended(timer, false);

	while (!enough) {
		switch (capture_wait(c, w->wake, w->show_progress ? PROGRESS_MS : -1)) {
		case CAPTURE_OVER:
			enough = true;
			break;
		case CAPTURE_READABLE: {
			struct signalfd_siginfo s;
			while (read(w->signals, &s, sizeof(s)) == (ssize_t)sizeof(s))
				enough |= handle_signal(w, &s, c);
			enough |= control_read(&w->control, c);
			enough |= launch_has_ended(timer, false);
			break;
		}
		case CAPTURE_RUNNING:
			break;
		}
		if (w->show_progress)
			show_progress(c);
	}
	if (w->show_progress)
		clear_progress();
}

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

const volatile sig_atomic_t *watch_until_named(struct watch *w)
{
	struct signalfd_siginfo pending;
	struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND };
	sigset_t set;

	/* What came before belongs to the program's end, not to the naming. */
	while (read(w->signals, &pending, sizeof(pending)) == (ssize_t)sizeof(pending))
		;
	sigaction(SIGINT, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGQUIT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return &interrupted;
}

void watch_until_ended(struct watch *w, struct capture *c)
{
	sigset_t set;
	int status;

	block_watched(&set);
	while (!w->impatient && capture_command_pid(c) &&
	       !capture_command_status(c, false, &status)) {
		struct pollfd fd = { w->signals, POLLIN, 0 };
		struct signalfd_siginfo s;

		poll(&fd, 1, -1);
		while (read(w->signals, &s, sizeof(s)) == (ssize_t)sizeof(s))
			handle_signal(w, &s, c);
	}
}

void watch_deinit(struct watch *w)
{
	control_close(&w->control);
	if (w->wake >= 0)
		close(w->wake);
	if (w->signals >= 0)
		close(w->signals);
	w->signals = w->wake = -1;
}
