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

static size_t match_stub(const struct stub *s, const uint8_t *bytes, size_t size)
{
	if (size < s->begin_size)
		return 0;
	for (size_t i = 0; i < s->begin_size; i++)
		if (s->begin[i] != ANY && s->begin[i] != bytes[i])
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

bool code_find(const uint8_t *bytes, size_t size, size_t from, struct code_match *ret)
{
	bool found = false;

	for (size_t i = 0; i < ARRAY_SIZE(sequences); i++) {
		const struct sequence *s = &sequences[i];
		const uint8_t *at = memmem(bytes + from, size - from, s->bytes, s->size);

		if (!at || (found && (size_t)(at - bytes) >= ret->offset))
			continue;
		*ret = (struct code_match){ (size_t)(at - bytes), s->size, s->rule };
		found = true;
	}
	return found;
}
