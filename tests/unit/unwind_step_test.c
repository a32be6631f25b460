/*
 * The strongest proof of the unwinder: programs are run one instruction at a time, a shadow stack
 * is kept by watching what calls, returns and signals do, and after every single instruction a walk
 * from the registers and a copy of the stack must give exactly the shadow stack's frames, to the
 * entry.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/support/live_process.h"
#include "tests/unit/unit.h"

#define MAX_STEPS	 400000
#define SIGNAL_EVERY	 137
#define MAX_MISMATCHES	 3
#define STACK_COPY_BYTES (192u << 10)

struct shadow {
	uint64_t ip;   /* where the frame goes on */
	uint64_t slot; /* where the stack pointer is while the address is not yet consumed */
	bool is_return;
	bool popped; /* the address has been taken into a register: vfork does that */
};

struct stepper {
	pid_t pid;
	struct live_process live;
	VEC(struct shadow) frames; /* outermost first; without the innermost one */
	uint64_t lowest; /* where copies of the stack begin while a handler runs elsewhere */
	unsigned int handlers;
	bool has_handlers; /* the program takes signals at any time */
	unsigned long steps, mismatches, cut, rewritten, signals;
	struct user_regs_struct regs, before;
	uint8_t code[16]; /* of the instruction that is stepped */
	const char *what;
};

/* Is it a call (not: a jump or a push)? Prefixes are skipped. */
static bool is_call(const uint8_t *code)
{
	int i = 0;

	while (i < 12 &&
	       (code[i] == 0xf2 || code[i] == 0xf3 || code[i] == 0x3e || code[i] == 0x2e ||
		code[i] == 0x66 || code[i] == 0x67 || (code[i] & 0xf0) == 0x40))
		i++;
	return code[i] == 0xe8 || (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 2);
}

/* ret, or a jump to where a register says. */
static bool is_leaving(const uint8_t *code)
{
	int i = code[0] == 0x3e || code[0] == 0xf2 || code[0] == 0xf3 || (code[0] & 0xf0) == 0x40;

	return code[i] == 0xc3 || code[i] == 0xc2 ||
	       (code[i] == 0xff && (code[i + 1] >> 3 & 7) == 4);
}

static bool is_pop(const uint8_t *code)
{
	return (code[code[0] == 0x41] & 0xf8) == 0x58;
}

static uint64_t read_word(struct stepper *s, uint64_t address)
{
	uint64_t v = 0;

	live_read(s->pid, address, &v, sizeof(v));
	return v;
}

static void walk(struct stepper *s, struct unwind_frame *frames, struct unwind_result *r)
{
	struct unwind_regs regs;
	uint64_t base = s->regs.rsp;

	if (s->handlers && s->lowest < base)
		base = s->lowest;
	live_copy_stack(&s->live, base, STACK_COPY_BYTES);
	live_regs(&s->regs, &regs);
	unwind_walk(s->live.tables, &s->live.space, &regs, &s->live.memory, false, frames,
		    UNWIND_MAX_FRAMES, r);
}

/* The frames that are there at the first breakpoint: everything else is measured from them. */
static void take_base(struct stepper *s)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;

	walk(s, frames, &r);
	if (r.status != UNWIND_OK_STOP || r.count < 3 || r.count > 8)
		fail_msg("%s: at the breakpoint: %s, %u frames", s->what,
			 unwind_status_name(r.status), r.count);
	for (uint32_t i = r.count - 1; i > 0; i--)
		vec_push(&s->frames, (struct shadow){ frames[i].ip, UINT64_MAX, true, false });
}

static void report(struct stepper *s, const struct unwind_frame *frames,
		   const struct unwind_result *r)
{
	size_t n = s->frames.count;

	print_message("%s: step %lu at %#llx: %s, %u frames, want %zu; code", s->what, s->steps,
		      s->regs.rip, unwind_status_name(r->status), r->count, n + 1);
	for (int i = 0; i < 8; i++)
		print_message(" %02x", s->code[i]);
	print_message("\n");
	for (size_t i = 0; i < r->count || i <= n; i++) {
		uint64_t want = i == 0 ? s->regs.rip : i <= n ? s->frames.items[n - i].ip : 0;
		uint32_t m = i < r->count ? frames[i].mapping : UINT32_MAX;
		uint32_t file = m == UINT32_MAX ? UINT32_MAX : s->live.mapping_files.items[m];

		print_message("  %#14lx want %#14lx  %s+%#lx\n",
			      i < r->count ? (unsigned long)frames[i].ip : 0ul, (unsigned long)want,
			      file == UINT32_MAX ? "?" : s->live.files.items[file].path,
			      m == UINT32_MAX ? 0ul
					      : (unsigned long)(frames[i].ip -
								s->live.mappings.items[m].bias));
	}
}

/* The last few instructions of longjmp are between two stacks, and their entry says so with a
 * register for each of the three that count. The walk ends there and names the reason: no false
 * frame. */
static bool in_longjmp(const struct unwind_result *r, size_t want)
{
	return r->status == UNWIND_UNSUP_EXPR && r->count < want;
}

/* True while the program itself has replaced a return address on its stack, and not yet returned
 * through it: libgcc does so before it jumps to an exception's handler. */
static bool is_rewritten(struct stepper *s)
{
	for (size_t i = 0; i < s->frames.count; i++) {
		const struct shadow *f = &s->frames.items[i];

		if (f->is_return && f->slot != UINT64_MAX && f->slot >= s->regs.rsp &&
		    read_word(s, f->slot) != f->ip)
			return true;
	}
	return false;
}

/* libgcc, before it jumps to an exception's handler, replaces the registers that its own frame has
 * saved one by one by those of the handler's frame: meanwhile the stack is neither. */
static bool in_libgcc(struct stepper *s, const struct unwind_frame *f)
{
	uint32_t file =
		f->mapping == UINT32_MAX ? UINT32_MAX : s->live.mapping_files.items[f->mapping];

	return file != UINT32_MAX && strstr(s->live.files.items[file].path, "libgcc_s");
}

static void compare(struct stepper *s)
{
	static struct unwind_frame frames[UNWIND_MAX_FRAMES];
	struct unwind_result r;
	size_t n = s->frames.count;
	bool same;

	if (is_rewritten(s)) {
		s->rewritten++;
		return;
	}
	walk(s, frames, &r);
	same = r.status == UNWIND_OK_STOP && r.count == n + 1;
	if (in_longjmp(&r, n)) {
		same = true;
		n = r.count - 1;
		s->cut++;
	}
	for (size_t i = 0; same && i < n; i++) {
		const struct shadow *want = &s->frames.items[s->frames.count - 1 - i];
		same = frames[i + 1].ip == want->ip &&
		       !!(frames[i + 1].flags & UNWIND_FRAME_RETURN) == want->is_return;
	}
	if (!same && in_libgcc(s, &frames[0]))
		s->rewritten++;
	else if (!same && s->mismatches++ < MAX_MISMATCHES)
		report(s, frames, &r);
}

/* Brings the shadow stack up to date with the instruction that was just run. */
static void follow(struct stepper *s)
{
	uint64_t sp = s->regs.rsp;

	if (s->handlers) {
		/* Back from a handler: the frame below it goes on where it was interrupted. */
		size_t n = s->frames.count;
		for (size_t i = n; i-- > 0;) {
			struct shadow *f = &s->frames.items[i];
			if (f->is_return)
				continue;
			if (f->ip == s->regs.rip && f->slot == sp && s->code[0] == 0x0f &&
			    s->code[1] == 0x05) {
				s->frames.count = i;
				s->handlers--;
			}
			break;
		}
	}
	/* Frames of this stack whose slot the stack pointer has passed are gone: returned from,
	 * jumped over. Those outside of the innermost handler wait. */
	while (s->frames.count && vec_last(&s->frames)->is_return &&
	       vec_last(&s->frames)->slot < sp) {
		struct shadow *f = vec_last(&s->frames);

		if (f->slot + 8 == sp && is_pop(s->code))
			f->popped = true;
		if (f->popped && f->slot + 8 == sp && !is_leaving(s->code))
			break;
		s->frames.count--;
	}
	if (is_call(s->code) && sp == s->before.rsp - 8)
		vec_push(&s->frames, (struct shadow){ read_word(s, sp), sp, true, false });
}

/* The kernel has set up a handler's frame. */
static void enter_handler(struct stepper *s, uint64_t ip, uint64_t sp)
{
	vec_push(&s->frames, (struct shadow){ ip, sp, false, false });
	vec_push(&s->frames,
		 (struct shadow){ read_word(s, s->regs.rsp), s->regs.rsp, true, false });
	if (!s->handlers || sp < s->lowest)
		s->lowest = sp;
	s->handlers++;
	s->signals++;
}

static int wait_stop(struct stepper *s)
{
	int status;

	if (waitpid(s->pid, &status, 0) != s->pid || !WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_GETREGS, s->pid, 0, &s->regs);
	return WSTOPSIG(status);
}

static bool at_breakpoint(struct stepper *s)
{
	uint8_t byte = 0;

	live_read(s->pid, s->regs.rip, &byte, 1);
	return byte == 0xcc;
}

static void step_all(struct stepper *s)
{
	int pending = 0;

	take_base(s);
	for (s->steps = 0; s->steps < MAX_STEPS; s->steps++) {
		bool in_syscall;

		s->before = s->regs;
		live_read(s->pid, s->regs.rip, s->code, sizeof(s->code));
		if (s->code[0] == 0xcc)
			return;
		in_syscall = s->code[0] == 0x0f && s->code[1] == 0x05;
		if (!pending && s->has_handlers && !s->handlers &&
		    s->steps % SIGNAL_EVERY == SIGNAL_EVERY - 1)
			pending = s->steps & 1 ? SIGUSR1 : SIGUSR2;
		ptrace(PTRACE_SINGLESTEP, s->pid, 0, pending);
		int signal = wait_stop(s);
		if (signal < 0)
			fail_msg("%s: ended after %lu steps", s->what, s->steps);
		if (pending) {
			enter_handler(s, s->before.rip, s->before.rsp);
			pending = 0;
		} else if (signal != SIGTRAP) {
			pending = signal; /* raised by the program: delivered with the next step */
			follow(s);
			continue;
		} else {
			follow(s);
		}
		if (in_syscall)
			live_reload(&s->live); /* it may have mapped something */
		compare(s);
	}
	fail_msg("%s: did not come to its end", s->what);
}

static void run_program(const char *path, const char *what)
{
	struct stepper s = {
		.what = what,
		.has_handlers = strstr(what, "shapes.c") != NULL,
	};

	s.pid = fork();
	if (s.pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execl(path, path, NULL);
		_exit(127);
	}
	if (wait_stop(&s) != SIGTRAP)
		fail_msg("%s: cannot be run", path);
	ptrace(PTRACE_CONT, s.pid, 0, 0);
	if (wait_stop(&s) != SIGTRAP)
		fail_msg("%s: no breakpoint", path);
	live_init(&s.live, s.pid);
	step_all(&s);
	assert_true(at_breakpoint(&s));
	kill(s.pid, SIGKILL);
	waitpid(s.pid, NULL, 0);
	print_message(
		"# %s: %lu instructions, %lu signals, %lu mismatches, %lu cut, %lu rewritten\n",
		what, s.steps, s.signals, s.mismatches, s.cut, s.rewritten);
	live_deinit(&s.live);
	vec_deinit(&s.frames);
	assert_int_equal(s.mismatches, 0);
	assert_true(s.steps > 1000);
	assert_true(s.cut <= s.steps / 100);
	assert_true(s.rewritten <= s.steps / 50);
}

/* Builds a program with a compiler and flags, and steps through it; nothing where there is no such
 * compiler. */
static void build_and_run(const char *compiler, const char *flags, const char *source)
{
	const char *tmp = getenv("CPROF_TEST_TMP");
	char folder[] = "/tmp/cprof-step-XXXXXX", path[4096], command[8192], what[512];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", compiler);
	if (system(command) != 0)
		return;
	if (!tmp)
		tmp = mkdtemp(folder);
	assert_non_null(tmp);
	snprintf(path, sizeof(path), "%s/program", tmp);
	snprintf(what, sizeof(what), "%s %s %s", compiler, flags, strrchr(source, '/') + 1);
	snprintf(command, sizeof(command), "%s %s -w -o %s tests/oracle/programs/%s -lm", compiler,
		 flags, path, strrchr(source, '/') + 1);
	if (system(command) != 0)
		fail_msg("%s", command);
	run_program(path, what);
	unlink(path);
	if (tmp == folder)
		rmdir(folder);
}

/* The rest of the variants takes minutes: `make oracle`. */
static bool run_all(void)
{
	return getenv("CPROF_STEP_ALL") != NULL;
}

static void test_gcc(void **state)
{
	build_and_run("gcc", "-O0", "/shapes.c");
	build_and_run("gcc", "-O2", "/shapes.c");
	build_and_run("gcc", "-O3 -march=x86-64-v3 -mstackrealign", "/shapes.c");
	if (!run_all())
		return;
	build_and_run("gcc", "-O1 -fcf-protection -Wl,-z,ibt -Wl,-z,lazy", "/shapes.c");
	build_and_run("gcc", "-Os -fno-plt", "/shapes.c");
	build_and_run("gcc", "-O2 -fno-omit-frame-pointer -mstackrealign", "/shapes.c");
	build_and_run("gcc", "-O2 -static -flto -mno-red-zone", "/shapes.c");
	build_and_run("gcc", "-O3 -mavx2 -mstackrealign -static-pie", "/shapes.c");
}

static void test_clang(void **state)
{
	build_and_run("clang", "-O2", "/shapes.c");
	if (!run_all())
		return;
	build_and_run("clang", "-O0", "/shapes.c");
	build_and_run("clang", "-O1 -fomit-frame-pointer", "/shapes.c");
	build_and_run("clang", "-O3 -march=x86-64-v3 -mstackrealign", "/shapes.c");
}

static void test_exceptions(void **state)
{
	build_and_run("g++", "-O2", "/throw.cc");
	if (!run_all())
		return;
	build_and_run("g++", "-O0", "/throw.cc");
	build_and_run("clang++", "-O2", "/throw.cc");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gcc),
		cmocka_unit_test(test_clang),
		cmocka_unit_test(test_exceptions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
