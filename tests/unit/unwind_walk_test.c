/* Walks the stacks of real processes, stopped wherever they happen to be. */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "profiler/unwind/code.h"
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

/* Stops a task again and again and walks its stack each time: all must be whole. */
static void walk_task(pid_t pid, int stops)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct live_process p;
	int status, whole = 0, walked = 0;

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0)
		fail_msg("ptrace: %s", strerror(errno));
	live_init(&p, pid);
	for (int i = 0; i < stops; i++) {
		struct user_regs_struct u;
		struct unwind_regs regs;
		struct unwind_result r;

		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
			break;
		ptrace(PTRACE_GETREGS, pid, 0, &u);
		live_reload(&p);
		live_regs(&u, &regs);
		live_copy_stack(&p, u.rsp, LIVE_STACK_MAX);
		unwind_walk(p.tables, &p.space, &regs, &p.memory, false, frames, UNWIND_MAX_FRAMES,
			    &r);
		walked++;
		if (r.status == UNWIND_OK_STOP)
			whole++;
		else
			print_walk(&p, frames, &r);
		ptrace(PTRACE_CONT, pid, 0, 0);
		nanosleep(&(struct timespec){ 0, 2000000 }, NULL);
	}
	live_deinit(&p);
	assert_true(walked > 0);
	assert_int_equal(whole, walked);
}

static void walk_command(char *const argv[], int stops)
{
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
	walk_task(pid, stops);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_python(void **state)
{
	char *argv[] = { "python3", "-c",
			 "import re\nwhile True:\n"
			 " re.sub(r'(a|b)*c', lambda m: str(sorted(m.group(0))), 'abababc' * 50)",
			 NULL };
	walk_command(argv, 50);
}

static void test_sleep(void **state)
{
	char *argv[] = { "sleep", "100", NULL };
	walk_command(argv, 3);
}

static int compare_ints(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int tid_pipe[2];

static void *spin(void *argument)
{
	pid_t tid = gettid();

	if (write(tid_pipe[1], &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	for (volatile unsigned long n = 0;; n++)
		qsort(argument, 16, sizeof(int), compare_ints);
}

/* The bottom of a thread is in clone, not in _start. */
static void test_thread(void **state)
{
	pid_t pid, tid = 0;

	assert_int_equal(pipe(tid_pipe), 0);
	pid = fork();
	if (pid == 0) {
		static int numbers[16];
		pthread_t t;

		pthread_create(&t, NULL, spin, numbers);
		pause();
		_exit(0);
	}
	assert_int_equal(read(tid_pipe[0], &tid, sizeof(tid)), sizeof(tid));
	walk_task(tid, 20);
	kill(pid, SIGKILL);
	waitpid(tid, NULL, __WALL); /* ours since it was traced; the leader is only gone after it */
	waitpid(pid, NULL, 0);
	close(tid_pipe[0]);
	close(tid_pipe[1]);
}

/* Behind its system call, clone() has a caller in the parent, and none in the new thread, whose
 * stack has never been touched, or holds the address of what it is to call. */
static void test_clone(void **state)
{
	const uint8_t *code = dlsym(RTLD_DEFAULT, "clone");
	uint64_t caller = (uintptr_t)test_thread;
	uint64_t words[] = { caller, 0, 0 };
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct live_process p;
	struct unwind_result r;
	size_t at = 0;

	assert_non_null(code);
	while (at < 128 && !code_is_clone(code + at))
		at++;
	if (at == 128)
		skip(); /* another C library */
	live_init(&p, getpid());
	for (uint64_t ip = CODE_CLONE_SYSCALL; ip < CODE_CLONE_BYTES; ip++) {
		struct unwind_regs regs = { .ip = (uintptr_t)code + at + ip,
					    .gpr = { [UNWIND_REG_SP] = 0x7ffc0000 } };
		struct unwind_memory stack = { .bytes = (uint8_t *)words,
					       .base = 0x7ffc0000,
					       .size = sizeof(words) };

		unwind_walk(p.tables, &p.space, &regs, &stack, false, frames, UNWIND_MAX_FRAMES,
			    &r);
		assert_int_equal(r.status, UNWIND_OK_STOP);
		assert_int_equal(r.count, 1);
		regs.gpr[0] =
			(uint64_t)-38; /* ENOSYS: how it stands while the parent is in there */
		unwind_walk(p.tables, &p.space, &regs, &stack, false, frames, UNWIND_MAX_FRAMES,
			    &r);
		assert_true(r.count > 1);
		assert_int_equal(frames[1].ip, caller);
	}
	live_deinit(&p);
}

/* --- statuses of walks that cannot end well --- */

#define TEXT 0x10000
#define SP   0x7ffc0000

/* Walks from TEXT with this stack in a process of one mapping of this kind. */
static void walk_memory(uint32_t kind, const struct unwind_memory *stack, uint64_t bp, bool cut,
			struct unwind_frame *frames, struct unwind_result *r)
{
	struct unwind_tables *t = unwind_tables_create(NULL);
	struct unwind_mapping m = { .start = TEXT, .end = TEXT + 0x1000, .kind = kind };
	struct unwind_space space = { .mappings = &m, .count = 1 };
	struct unwind_regs regs = { .ip = TEXT + 8, .gpr = { [UNWIND_REG_SP] = stack->base } };

	regs.gpr[UNWIND_REG_BP] = bp;
	unwind_walk(t, &space, &regs, stack, cut, frames, UNWIND_MAX_FRAMES, r);
	unwind_tables_destroy(t);
}

static void walk_words(uint32_t kind, const uint64_t *words, size_t n, uint64_t bp, bool cut,
		       struct unwind_frame *frames, struct unwind_result *r)
{
	struct unwind_memory stack = { .bytes = (const uint8_t *)words, .base = SP, .size = n * 8 };

	walk_memory(kind, &stack, bp, cut, frames, r);
}

static void test_frame_pointer_chain(void **state)
{
	/* Two frames of run-time code; the outermost has a zero frame pointer. */
	const uint64_t words[] = { 0, 0, SP + 32, TEXT + 0x20, 0, TEXT + 0x30, 0, 0 };
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;

	walk_words(UNWIND_MAP_FP_JIT, words, 8, SP + 16, false, frames, &r);
	assert_int_equal(r.status, UNWIND_FP_ZERO);
	assert_int_equal(r.count, 3);
	assert_int_equal(frames[1].ip, TEXT + 0x20);
	assert_int_equal(frames[2].ip, TEXT + 0x30);
	assert_int_equal(frames[2].flags, UNWIND_FRAME_RETURN);

	walk_words(UNWIND_MAP_FP_JIT, words, 8, SP + 12, false, frames, &r);
	assert_int_equal(r.status, UNWIND_ANON_NO_FP);
	walk_words(UNWIND_MAP_NO_TABLE, words, 8, SP + 16, false, frames, &r);
	assert_int_equal(r.status, UNWIND_NO_TABLE);
	assert_int_equal(frames[2].flags, UNWIND_FRAME_RETURN | UNWIND_FRAME_GUESSED);
}

static void test_copy_that_is_short(void **state)
{
	const uint64_t words[] = { 0, 0, SP + 32, TEXT + 0x20 };
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;

	walk_words(UNWIND_MAP_FP_JIT, words, 4, SP + 16, true, frames, &r);
	assert_int_equal(r.status, UNWIND_COPY_SHORT);
	assert_int_equal(r.fault_address, SP + 32);
	assert_int_equal(r.count, 2);
	walk_words(UNWIND_MAP_FP_JIT, words, 4, SP + 16, false, frames, &r);
	assert_int_equal(r.status, UNWIND_EFAULT_FP);
}

/* A walk goes on over pages that are not there, and ends where it would read one. */
static void test_copy_with_a_hole(void **state)
{
	const uint64_t page = UNWIND_MEMORY_PAGE, base = SP + page - 16;
	static uint64_t words[(16 + 3 * UNWIND_MEMORY_PAGE) / 8];
	struct unwind_memory stack = { .bytes = (const uint8_t *)words,
				       .base = base,
				       .size = sizeof(words),
				       .has_holes = true,
				       .absent = { 1 << 2 } };
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;
	uint64_t *far = words + (16 + 2 * page) / 8;

	words[0] = base + 16 + 2 * page; /* from the first page into the fourth */
	words[1] = TEXT + 0x20;
	far[0] = 0;
	far[1] = TEXT + 0x30;
	walk_memory(UNWIND_MAP_FP_JIT, &stack, base, false, frames, &r);
	assert_int_equal(r.status, UNWIND_FP_ZERO);
	assert_int_equal(r.count, 3);

	stack.absent[0] = 1 << 3;
	walk_memory(UNWIND_MAP_FP_JIT, &stack, base, false, frames, &r);
	assert_int_equal(r.status, UNWIND_EFAULT_FP);
	assert_int_equal(r.fault_address, base + 16 + 2 * page);
	assert_int_equal(r.count, 2);
}

static void test_other_ends(void **state)
{
	struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;

	walk_words(UNWIND_MAP_UNKNOWN, NULL, 0, 0, false, frames, &r);
	assert_int_equal(r.status, UNWIND_DEFER);
	walk_words(UNWIND_MAP_UPROBES, NULL, 0, 0, false, frames, &r);
	assert_int_equal(r.status, UNWIND_UPROBE);
	assert_string_equal(unwind_status_name(UNWIND_UPROBE), "uprobe");
	assert_int_equal(unwind_status_class(UNWIND_OK_STOP), UNWIND_CLASS_WHOLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python),
		cmocka_unit_test(test_sleep),
		cmocka_unit_test(test_thread),
		cmocka_unit_test(test_clone),
		cmocka_unit_test(test_frame_pointer_chain),
		cmocka_unit_test(test_copy_that_is_short),
		cmocka_unit_test(test_copy_with_a_hole),
		cmocka_unit_test(test_other_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
