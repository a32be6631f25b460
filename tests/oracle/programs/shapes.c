/*
 * Code for the single-step oracle: the shapes of frames that compilers and assembly make. Between the two
 * breakpoints every instruction is stepped, and signals are thrown in. Built with many flags.
 */
#include <alloca.h>
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))
#define BREAKPOINT() __asm__ volatile("int3")

static volatile long sink = 3;
static volatile int handled;
static jmp_buf escape;

NOINLINE static long leaf(long a)
{
	return a * 31 + sink;
}

/* Needs every callee-saved register: pushes and pops of all of them. */
NOINLINE static long pushes(long a, long b, long c, long d, long e, long f)
{
	long x = leaf(a), y = leaf(b), z = leaf(c), u = leaf(d), v = leaf(e), w = leaf(f);

	return leaf(x + y) + leaf(z + u) + leaf(v + w) + x * y + z * u + v * w;
}

NOINLINE static long recurse(int depth)
{
	volatile long local[3] = { depth, depth + 1, depth + 2 };

	return depth == 0 ? leaf(local[1]) : recurse(depth - 1) + local[depth % 3];
}

NOINLINE static long dynamic(size_t n)
{
	char *p = alloca(n + sink);
	long sum = 0;

	memset(p, (int)n, n);
	for (size_t i = 0; i < n; i += 7)
		sum += leaf(p[i]);
	return sum;
}

NOINLINE static long variable(int n)
{
	long v[n];

	for (int i = 0; i < n; i++)
		v[i] = leaf(i);
	return v[n / 2];
}

NOINLINE static long big_frame(void)
{
	volatile char buffer[40000];

	buffer[0] = (char)sink;
	buffer[sizeof(buffer) - 1] = buffer[0];
	return leaf(buffer[sizeof(buffer) - 1]);
}

/* An aligned local beside a variable one: a frame that finds its caller through a saved pointer (DRAP). */
NOINLINE static long aligned(int n)
{
	__attribute__((aligned(64))) volatile double v[8] = { 1, 2, 3, 4, 5, 6, 7, (double)n };
	char *p = alloca((size_t)n);

	p[0] = 1;
	return leaf((long)v[n & 7] + p[0]);
}

NOINLINE static long many_arguments(long a, long b, long c, long d, long e, long f, long g, long h,
				    long i)
{
	return leaf(a + b + c + d) + leaf(e + f + g + h + i);
}

NOINLINE static long varargs(int n, ...)
{
	va_list ap;
	long sum = 0;

	va_start(ap, n);
	while (n-- > 0)
		sum += leaf(va_arg(ap, long));
	va_end(ap);
	return sum;
}

NOINLINE static long tail_target(long a)
{
	return leaf(a) ^ 5;
}

static long (*volatile indirect)(long) = tail_target;

NOINLINE static long tail(long a)
{
	if (a & 1)
		return tail_target(a + 1);
	return indirect(a);
}

/* The call is the last instruction of the function. */
NOINLINE __attribute__((noreturn)) static void leave(int value)
{
	leaf(value);
	longjmp(escape, value);
}

NOINLINE static void never_returns(int value)
{
	leaf(value);
	leave(value + 1);
}

NOINLINE static long jumps(void)
{
	if (setjmp(escape) == 0)
		never_returns(1);
	return leaf(7);
}

/* Calls through the PLT, the first of each through the dynamic linker; IFUNCs; the vDSO. */
NOINLINE static long library(void)
{
	char text[64];
	struct timespec now;
	long values[] = { 5, 3, 9, 1 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "%d %s %.3f", 42, "text", cbrt((double)sink));
	for (char *c = text; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return (long)strlen(text) + (long)(now.tv_sec & 1) + values[2] + (strchr(text, 'T') - text);
}

NOINLINE static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return x < y ? -1 : x > y;
}

NOINLINE static long callback(void)
{
	long v[] = { 5, 3, 9, 1, 8, 2 };

	qsort(v, 6, sizeof(v[0]), compare);
	return v[0];
}

static void on_signal(int number)
{
	handled += (int)leaf(number) & 1;
}

static void on_nested(int number)
{
	(void)number;
	raise(SIGUSR1);
	handled += (int)pushes(1, 2, 3, 4, 5, 6) & 1;
}

/* Written by hand, with the CFI that assembly in crypto libraries has: a register as the CFA, a saved
 * stack pointer in memory, and one indexed by a register. */
long asm_register_cfa(long), asm_deref_cfa(long), asm_index_cfa(long, long), asm_ra_in_register(long);
__asm__(".text\n"
	".type asm_register_cfa,@function\n"
	"asm_register_cfa:\n"
	"	.cfi_startproc\n"
	"	lea 8(%rsp),%r9\n"
	"	.cfi_def_cfa %r9,0\n"
	"	sub $0x98,%rsp\n"
	"	and $-64,%rsp\n"
	"	mov %rdi,(%rsp)\n"
	"	mov (%rsp),%rax\n"
	"	lea -8(%r9),%rsp\n"
	"	.cfi_def_cfa %rsp,8\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".type asm_deref_cfa,@function\n"
	"asm_deref_cfa:\n"
	"	.cfi_startproc\n"
	"	mov %rsp,%rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	push %rbx\n"
	"	.cfi_offset %rbx,-16\n"
	"	push %rbp\n"
	"	.cfi_offset %rbp,-24\n"
	"	sub $0x108,%rsp\n"
	"	and $-128,%rsp\n"
	"	mov %rax,0x80(%rsp)\n"
	/* CFA = *(rsp + 0x80) + 8 */
	"	.cfi_escape 0x0f,0x06,0x77,0x80,0x01,0x06,0x23,0x08\n"
	"	mov %rdi,%rbp\n"
	"	mov %rbp,%rdi\n"
	"	call asm_register_cfa\n"
	"	mov 0x80(%rsp),%rsi\n"
	"	.cfi_def_cfa %rsi,8\n"
	"	mov -16(%rsi),%rbp\n"
	"	.cfi_restore %rbp\n"
	"	mov -8(%rsi),%rbx\n"
	"	.cfi_restore %rbx\n"
	"	lea (%rsi),%rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	".type asm_index_cfa,@function\n"
	"asm_index_cfa:\n"
	"	.cfi_startproc\n"
	"	mov %rsp,%rax\n"
	"	.cfi_def_cfa_register %rax\n"
	"	mov %rsi,%r9\n"
	"	neg %rsi\n"
	"	lea -16(%rsp,%rsi,8),%rsp\n"
	"	neg %rsi\n"
	"	mov %rax,8(%rsp,%r9,8)\n"
	/* CFA = *(rsp + 8 + 8 * r9) + 8 */
	"	.cfi_escape 0x0f,0x0a,0x77,0x08,0x79,0x00,0x38,0x1e,0x22,0x06,0x23,0x08\n"
	"	mov %rdi,%rax\n"
	"	mov 8(%rsp,%r9,8),%rsi\n"
	"	.cfi_def_cfa %rsi,8\n"
	"	lea (%rsi),%rsp\n"
	"	.cfi_def_cfa_register %rsp\n"
	"	ret\n"
	"	.cfi_endproc\n"
	/* As vfork does it: the return address is kept in a register. */
	".type asm_ra_in_register,@function\n"
	"asm_ra_in_register:\n"
	"	.cfi_startproc\n"
	"	pop %rdx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	.cfi_register %rip,%rdx\n"
	"	lea 1(%rdi),%rax\n"
	"	push %rdx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	.cfi_offset %rip,-8\n"
	"	ret\n"
	"	.cfi_endproc\n");

NOINLINE static long all(int round)
{
	long sum = pushes(round, 2, 3, 4, 5, 6);

	sum += recurse(5) + dynamic(40) + variable(5) + big_frame() + aligned(round + 3);
	sum += many_arguments(1, 2, 3, 4, 5, 6, 7, 8, round) + varargs(3, 1L, 2L, 3L);
	sum += tail(round) + tail(round + 1) + jumps() + callback();
	sum += asm_register_cfa(round) + asm_deref_cfa(round) + asm_index_cfa(round, 5);
	sum += asm_ra_in_register(round);
	return sum + library();
}

int main(void)
{
	char stack[32768];
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction plain = { .sa_handler = on_signal };
	struct sigaction nested = { .sa_handler = on_nested, .sa_flags = SA_ONSTACK };

	sigaltstack(&alternative, NULL);
	sigaction(SIGUSR1, &plain, NULL);
	sigaction(SIGUSR2, &nested, NULL);
	BREAKPOINT();
	sink = all(1) & 0xff;
	raise(SIGUSR2);
	raise(SIGUSR1);
	sink = all(2) & 0xff;
	BREAKPOINT();
	return 0;
}
