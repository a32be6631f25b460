/*
 * The program: finds the subcommand and runs it. A new one is a file in cmd/, a declaration in
 * cmd/command.h and a line in the table below.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "profiler/cmd/command.h"

#define CPROF_VERSION "0.1.0"

static const struct command *const commands[] = {
	&cmd_record, &cmd_report, &cmd_flamegraph, &cmd_convert, &cmd_doctor, &cmd_demo,
};

/* What cprof will have and has not yet: to say so is better than "unknown command". */
static const char *const later[] = { "diff",  "annotate", "stat",  "symbolize", "list",
				     "serve", "top",	  "agent", "push" };

static void print_help(void)
{
	puts("usage: cprof COMMAND [OPTION]...\n\ncommands:");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
	puts("\n`cprof COMMAND --help` lists a command's options.\n`cprof --version` prints the "
	     "version.");
}

static struct error *unknown_command(const char *name)
{
	const char *names[ARRAY_SIZE(commands) + 1];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (strcmp(later[i], name) == 0)
			return error_hint(error_new(ERR_USAGE, "'%s' is not there yet", name),
					  "cprof --help lists what is");
	if (name[0] == '-')
		return error_hint(error_new(ERR_USAGE, "unknown option '%s'", name),
				  "cprof --help lists the commands");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		names[n++] = commands[i]->name;

	struct error *err = error_new(ERR_USAGE, "unknown command '%s'", name);
	const char *near = text_nearest(name, names, n);
	return near ? error_hint(err, "did you mean %s?", near)
		    : error_hint(err, "cprof --help lists the commands");
}

static int dispatch(int argc, char **argv)
{
	if (argc < 2)
		return command_finish(error_hint(error_new(ERR_USAGE, "no command given"),
						 "cprof --help lists the commands"));
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help();
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("cprof " CPROF_VERSION);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i]->name, argv[1]) == 0)
			return commands[i]->run(argc - 1, argv + 1);
	return command_finish(unknown_command(argv[1]));
}

/* A standard stream that is closed would be the next file that is opened: what is printed would end
 * up in it. It becomes one that cannot be written (or read) instead. */
static void reserve_standard_streams(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static void on_file_too_large(int signal)
{
	(void)signal;
}

/* With `ulimit -f` a write that goes beyond is to fail like any other, with words. It is a handler
 * and no SIG_IGN, so that what we exec has the default again. */
static void outlive_file_limit(void)
{
	struct sigaction action = { .sa_handler = on_file_too_large, .sa_flags = SA_RESTART }, old;

	if (sigaction(SIGXFSZ, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
		sigaction(SIGXFSZ, &action, NULL);
}

int main(int argc, char **argv)
{
	reserve_standard_streams();
	outlive_file_limit();
	mem_on_exhaustion(command_out_of_memory);
	int status = dispatch(argc, argv);

	/* A full disk or a closed pipe behind stdout is a failure like any other. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		int failed = command_finish(error_errno(errno, "cannot write standard output"));
		return status ? status : failed;
	}
	return status;
}
