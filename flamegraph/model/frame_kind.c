#include "flamegraph/model/frame_kind.h"

#include <string.h>

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool ends_in(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

static bool is_jit_file(const char *file)
{
	if (starts_with(file, "/tmp/perf-"))
		return ends_in(file, ".map");
	if (starts_with(file, "/tmp/jitted-"))
		return ends_in(file, ".so");
	return strcmp(file, "[anon]") == 0 || strcmp(file, "[jit]") == 0 ||
	       starts_with(file, "//anon") || starts_with(file, "/memfd:");
}

static bool is_kernel_file(const char *file)
{
	static const char *const of_users[] = { "[unknown]", "[vdso",  "[vsyscall]",
						"[heap]",    "[stack", "[uprobes]" };
	const char *slash = strrchr(file, '/');
	const char *name = slash ? slash + 1 : file;

	if (file[0] == '[') {
		for (size_t i = 0; i < ARRAY_SIZE(of_users); i++)
			if (starts_with(file, of_users[i]))
				return false;
		return true;
	}
	return strcmp(name, "vmlinux") == 0 || starts_with(name, "vmlinux-") ||
	       ends_in(name, ".ko") || ends_in(name, ".ko.xz") || ends_in(name, ".ko.zst") ||
	       ends_in(name, ".ko.gz");
}

enum frame_kind frame_kind_of_file(const char *file)
{
	if (is_jit_file(file))
		return FRAME_JIT;
	return is_kernel_file(file) ? FRAME_KERNEL : FRAME_USER;
}

bool frame_is_sentinel(const char *name, size_t len)
{
	static const char *const names[] = { "-", "--", "[guessed]", "[kernel, not visible]" };
	static const char truncated[] = "[truncated: ";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (len == strlen(names[i]) && memcmp(name, names[i], len) == 0)
			return true;
	return len >= strlen(truncated) && memcmp(name, truncated, strlen(truncated)) == 0;
}
