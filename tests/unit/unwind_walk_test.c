/* Walks the stacks of real processes, stopped wherever they happen to be. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/support/live_process.h"
#include "tests/unit/unit.h"

static void print_walk(const struct live_process *p, const struct unwind_frame *frames,
		       const struct unwind_result *r)
{
	print_message("status %s, fault %#lx\n", unwind_status_name(r->status),
		      (unsigned long)r->fault_address);
	for (uint32_t i = 0; i < r->count; i++) {
		uint32_t m = frames[i].mapping;
		uint32_t file = m == UINT32_MAX ? UINT32_MAX : p->mapping_files.items[m];
		print_message("  %#lx %s+%#lx\n", (unsigned long)frames[i].ip,
			      file == UINT32_MAX ? "?" : p->files.items[file].path,
			      m == UINT32_MAX
				      ? 0ul
				      : (unsigned long)(frames[i].ip - p->mappings.items[m].bias));
	}
}

/* Stops the command `stops` times, 2 ms of running apart, and walks each time. */
static void walk_command(char *const argv[], int stops, unsigned int max_frames)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct live_process p;
	int status, whole = 0, walked = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	nanosleep(&(struct timespec){ 0, 100000000 }, NULL);
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0)
		fail_msg("ptrace: %s", strerror(errno));
	live_init(&p, pid);
	for (int i = 0; i < stops; i++) {
		struct user_regs_struct u;
		struct unwind_regs regs;
		struct unwind_result r;

		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			break;
		ptrace(PTRACE_GETREGS, pid, 0, &u);
		live_reload(&p);
		live_regs(&u, &regs);
		live_copy_stack(&p, u.rsp, LIVE_STACK_MAX);
		unwind_walk(p.tables, &p.space, &regs, &p.memory, false, frames, max_frames, &r);
		walked++;
		if (r.status == UNWIND_OK_STOP)
			whole++;
		else
			print_walk(&p, frames, &r);
		ptrace(PTRACE_CONT, pid, 0, 0);
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	live_deinit(&p);
	assert_true(walked > 0);
	assert_int_equal(whole, walked);
}

static void test_python(void **state)
{
	char *argv[] = { "python3", "-c",
			 "import re\nwhile True:\n"
			 " re.sub(r'(a|b)*c', lambda m: str(sorted(m.group(0))), 'abababc' * 50)",
			 NULL };
	walk_command(argv, 50, UNWIND_MAX_FRAMES);
}

static void test_shell_in_syscall(void **state)
{
	char *argv[] = { "sleep", "100", NULL };
	walk_command(argv, 3, UNWIND_MAX_FRAMES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_shell_in_syscall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
