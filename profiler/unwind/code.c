#include "profiler/unwind/code.h"

#include <string.h>

#include "base/compiler.h"
#include "profiler/unwind/layout.h"

#define ANY 0x100 /* in a pattern: any byte */

/* An entry stub: how it begins, and the bytes that it ends with, at most `reach` from its start. */
struct stub {
	uint16_t begin[24];
	uint8_t begin_size;
	uint8_t end[3], end_size;
	uint8_t reach;
};

static const struct stub stubs[] = {
	/* glibc's ld.so: mov %rsp,%rdi; call _dl_start; mov %rax,%r12 ... jmp *%r12 */
	{ { 0x48, 0x89, 0xe7, 0xe8, ANY, ANY, ANY, ANY, 0x49, 0x89, 0xc4 },
	  11,
	  { 0x41, 0xff, 0xe4 },
	  3,
	  160 },
	/* glibc's crt1.o: xor %ebp,%ebp; mov %rdx,%r9; pop %rsi; mov %rsp,%rdx; and $-16,%rsp;
	 * push %rax; push %rsp ... hlt */
	{ { 0x31, 0xed, 0x49, 0x89, 0xd1, 0x5e, 0x48, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xf0, 0x50,
	    0x54 },
	  15,
	  { 0xf4 },
	  1,
	  64 },
	/* musl's crt1.o and dynamic linker: xor %rbp,%rbp; mov %rsp,%rdi; lea _DYNAMIC(%rip),%rsi;
	 * and $-16,%rsp; call */
	{ { 0x48, 0x31, 0xed, 0x48, 0x89, 0xe7, 0x48, 0x8d, 0x35, ANY, ANY,
	    ANY,  ANY,	0x48, 0x83, 0xe4, 0xf0, 0xe8, ANY,  ANY,  ANY, ANY },
	  22,
	  { 0 },
	  0,
	  22 },
};

static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

static bool matches(const uint8_t *bytes, size_t size, const uint16_t *pattern, size_t n)
{
	if (size < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (pattern[i] != ANY && pattern[i] != bytes[i])
			return false;
	return true;
}

static size_t match_stub(const struct stub *s, const uint8_t *bytes, size_t size)
{
	if (!matches(bytes, size, s->begin, s->begin_size))
		return 0;
	if (!s->end_size)
		return s->begin_size;

	const uint8_t *end = memmem(bytes + s->begin_size, MIN(size, s->reach) - s->begin_size,
				    s->end, s->end_size);
	return end ? (size_t)(end - bytes) + s->end_size : 0;
}

size_t code_entry_stub(const uint8_t *bytes, size_t size)
{
	size_t skip = 0;

	if (size >= sizeof(endbr64) && memcmp(bytes, endbr64, sizeof(endbr64)) == 0)
		skip = sizeof(endbr64);
	for (size_t i = 0; i < ARRAY_SIZE(stubs); i++) {
		size_t n = match_stub(&stubs[i], bytes + skip, size - skip);
		if (n)
			return skip + n;
	}
	return 0;
}

uint64_t code_main(const uint8_t *stub, size_t size, uint64_t vaddr)
{
	static const uint16_t lea[] = { 0x48, 0x8d, 0x3d, ANY, ANY, ANY, ANY }; /* x(%rip),%rdi */
	static const uint16_t mov[] = { 0x48, 0xc7, 0xc7, ANY, ANY, ANY, ANY }; /* $x,%rdi */
	int32_t value;

	for (size_t at = 0; at + sizeof(value) + 3 <= size; at++) {
		bool is_lea = matches(stub + at, size - at, lea, ARRAY_SIZE(lea));

		if (!is_lea && !matches(stub + at, size - at, mov, ARRAY_SIZE(mov)))
			continue;
		memcpy(&value, stub + at + 3, sizeof(value));
		return is_lea ? vaddr + at + ARRAY_SIZE(lea) + (uint64_t)(int64_t)value
			      : (uint64_t)(int64_t)value;
	}
	return 0;
}

bool code_init_section(const uint8_t *bytes, size_t size, size_t *ret_pushed, size_t *ret_popped)
{
	static const uint8_t sub[] = { 0x48, 0x83, 0xec, 0x08 };
	static const uint8_t add_ret[] = { 0x48, 0x83, 0xc4, 0x08, 0xc3 };
	size_t skip = 0;

	if (size >= sizeof(endbr64) && memcmp(bytes, endbr64, sizeof(endbr64)) == 0)
		skip = sizeof(endbr64);
	if (size < skip + sizeof(sub) + sizeof(add_ret) ||
	    memcmp(bytes + skip, sub, sizeof(sub)) != 0 ||
	    memcmp(bytes + size - sizeof(add_ret), add_ret, sizeof(add_ret)) != 0)
		return false;
	*ret_pushed = skip + sizeof(sub);
	*ret_popped = size - 1;
	return true;
}

bool code_is_clone(const uint8_t *bytes)
{
	/* syscall; test %rax,%rax; jl error; je child; ret */
	static const uint16_t clone[] = {
		0x0f, 0x05, 0x48, 0x85, 0xc0, 0x7c, ANY, 0x74, 0x01, 0xc3
	};

	return matches(bytes, CODE_CLONE_BYTES, clone, ARRAY_SIZE(clone));
}

bool code_plt_section(const uint8_t *bytes, size_t size, bool *ret_late)
{
	/* push x(%rip); jmp *y(%rip); nop */
	static const uint16_t header[] = { 0xff, 0x35, ANY, ANY, ANY,  ANY,  0xff, 0x25,
					   ANY,	 ANY,  ANY, ANY, 0x0f, 0x1f, 0x40, 0x00 };
	/* jmp *x(%rip); push $n; jmp header */
	static const uint16_t late[] = { 0xff, 0x25, ANY, ANY,	ANY, ANY, 0x68, ANY,
					 ANY,  ANY,  ANY, 0xe9, ANY, ANY, ANY,	ANY };
	static const uint16_t bound[] = { 0xff, 0x25, ANY, ANY, ANY, ANY };
	bool is_late = matches(bytes, size, header, ARRAY_SIZE(header));
	size_t at = is_late ? CODE_PLT_BYTES : 0;

	for (; at + ARRAY_SIZE(bound) <= size; at += is_late ? CODE_PLT_BYTES : 8) {
		size_t skip =
			size - at > sizeof(endbr64) && !memcmp(bytes + at, endbr64, sizeof(endbr64))
				? sizeof(endbr64)
				: 0;

		if (is_late && !matches(bytes + at, size - at, late, ARRAY_SIZE(late)))
			return false;
		if (!is_late &&
		    !matches(bytes + at + skip, size - at - skip, bound, ARRAY_SIZE(bound)))
			return false;
		if (skip) /* these are 16 bytes long */
			at += 8;
	}
	*ret_late = is_late;
	return size > 0;
}

static const struct sequence {
	uint8_t bytes[16];
	uint8_t size, rule;
} sequences[] = {
	/* __restore_rt of glibc and musl: mov $15,%rax; syscall */
	{ { 0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05 }, 9, UNWIND_RULE_SIGNAL },
	/* musl's clone, in the new thread: xor %ebp,%ebp; pop %rdi; call *%r9; mov %eax,%edi;
	 * xor %eax,%eax; mov $60,%al; syscall; hlt */
	{ { 0x31, 0xed, 0x5f, 0x41, 0xff, 0xd1, 0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05,
	    0xf4 },
	  15,
	  UNWIND_RULE_STOP },
};

/* deregister_tm_clones, position-independent or not, which calls nothing and keeps nothing: as the
 * function behind it, register_tm_clones. */
static const uint16_t clones[][16] = {
	/* lea x(%rip),%rdi; lea y(%rip),%rax; cmp */
	{ 0x48, 0x8d, 0x3d, ANY, ANY, ANY, ANY, 0x48, 0x8d, 0x05, ANY, ANY, ANY, ANY, 0x48, 0x39 },
	/* mov $x,%eax; cmp $y,%rax; je */
	{ 0xb8, ANY, ANY, ANY, ANY, 0x48, 0x3d, ANY, ANY, ANY, ANY, 0x74, ANY, ANY, ANY, ANY },
};

#define CLONES_REACH 128

/* Where these two begin, in front of `end`; `end` where they are not there. */
static size_t find_clones(const uint8_t *bytes, size_t end, size_t from)
{
	for (size_t at = end; at-- > from && end - at <= CLONES_REACH;)
		for (size_t i = 0; i < ARRAY_SIZE(clones); i++)
			if (matches(bytes + at, end - at, clones[i], ARRAY_SIZE(clones[i])))
				return at;
	return end;
}

/* __do_global_dtors_aux of gcc's crtstuff.c: cmpb $0,done(%rip); jne; push %rbp ... movb
 * $1,done(%rip); pop %rbp; ret ... ret. The jump leads to the second return. */
static bool match_destructors(const uint8_t *bytes, size_t size, size_t at, struct code_match *ret)
{
	static const uint16_t begin[] = { 0x80, 0x3d, ANY, ANY, ANY, ANY, 0x00, 0x75, ANY, 0x55 };
	static const uint16_t end[] = { 0xc6, 0x05, ANY, ANY, ANY, ANY, 0x01, 0x5d, 0xc3 };
	size_t last;

	if (!matches(bytes + at, size - at, begin, ARRAY_SIZE(begin)))
		return false;
	last = at + 9 + bytes[at + 8];
	if (bytes[at + 8] >= 0x80 || last >= size || bytes[last] != 0xc3)
		return false;
	for (size_t i = at + ARRAY_SIZE(begin); i + ARRAY_SIZE(end) <= last + 1; i++) {
		if (!matches(bytes + i, last + 1 - i, end, ARRAY_SIZE(end)))
			continue;
		*ret = (struct code_match){
			.offset = at,
			.size = last + 1 - at,
			.rule = UNWIND_RULE_REG,
			.pushed = at + ARRAY_SIZE(begin),
			.popped = i + ARRAY_SIZE(end) - 1,
		};
		return true;
	}
	return false;
}

static bool find_destructors(const uint8_t *bytes, size_t size, size_t from, struct code_match *ret)
{
	for (size_t at = from; at < size; at++) {
		const uint8_t *next = memchr(bytes + at, 0x80, size - at);
		size_t end, start;

		if (!next)
			return false;
		at = (size_t)(next - bytes);
		if (!match_destructors(bytes, size, at, ret))
			continue;
		start = at;
		if (start >= from + sizeof(endbr64) &&
		    memcmp(bytes + start - sizeof(endbr64), endbr64, sizeof(endbr64)) == 0)
			start -= sizeof(endbr64);
		end = ret->offset + ret->size;
		ret->offset = find_clones(bytes, start, from);
		ret->size = end - ret->offset;
		return true;
	}
	return false;
}

bool code_find(const uint8_t *bytes, size_t size, size_t from, struct code_match *ret)
{
	bool found = find_destructors(bytes, size, from, ret);

	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
		const struct sequence *s = &sequences[i];
		const uint8_t *at = memmem(bytes + from, size - from, s->bytes, s->size);

		if (!at || (found && (size_t)(at - bytes) >= ret->offset))
			continue;
		*ret = (struct code_match){ .offset = (size_t)(at - bytes),
					    .size = s->size,
					    .rule = s->rule };
		found = true;
	}
	return found;
}
