/*
 * A folder in /tmp with programs that a test builds there, and what cprof and nm say of them.
 * Included by the tests of names only: each has its own folder.
 */
#ifndef CPROF_TESTS_SYMBOL_FILES_H
#define CPROF_TESTS_SYMBOL_FILES_H

#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "symbolizer/elf/image.h"
#include "symbolizer/symbolizer.h"

static const struct build_id any_id UNUSED;
static const char *const here[] = { "", NULL };
static char dir[] = "/tmp/cprof-symbols-XXXXXX";

/* --- helpers --- */

/* Runs a shell command in the test's folder; false where it fails. */
static inline bool run(const char *fmt, ...) PRINTF_LIKE(1, 2);
static inline bool run(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	CLEANUP(mem_cleanup) char *command = mem_vprintf(fmt, args);
	va_end(args);
	CLEANUP(mem_cleanup) char *whole = mem_printf("cd %s && { %s; } >log 2>&1", dir, command);
	return system(whole) == 0;
}

static inline void need(bool ok)
{
	if (!ok) {
		print_message("skipped: a tool that this needs is not here or too old\n");
		skip();
	}
}

/* A file of the test's folder. */
static inline const char *in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static inline void write_file(const char *name, const void *bytes, size_t size)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* The name that a module has for an address ("" for none), and where the function starts. */
static inline const char *name_at(struct symbol_module *m, uint64_t address, uint64_t *ret_start)
{
	static char name[4096];
	struct symbol_result r;
	struct symbol_chain chain;

	symbol_result_init(&r);
	symbol_batch(m, &address, 1, &chain, &r);
	name[0] = '\0';
	if (chain.count)
		snprintf(name, sizeof(name), "%s",
			 intern_get(&r.strings, r.frames.items[chain.first].name));
	if (ret_start)
		*ret_start = chain.start;
	symbol_result_deinit(&r);
	return name;
}

static inline struct symbol_module *open_module(const char *file)
{
	struct symbol_module *m = NULL;

	assert_no_error(symbol_module_open(in_dir(file), here, &any_id, &m));
	return m;
}

/* Address and size of a symbol, by nm. */
static inline uint64_t address_of(const char *file, const char *symbol, uint64_t *ret_size)
{
	char line[512];
	unsigned long address = 0, size = 0;
	CLEANUP(mem_cleanup)
	char *command = mem_printf("cd %s && nm -S --defined-only %s | grep -E ' [a-zA-Z] %s$'",
				   dir, file, symbol);
	FILE *p = popen(command, "r");

	assert_non_null(p);
	if (!fgets(line, sizeof(line), p) || sscanf(line, "%lx %lx", &address, &size) < 1)
		fail_msg("nm knows no %s in %s", symbol, file);
	pclose(p);
	if (ret_size)
		*ret_size = size;
	return address;
}

static const char source[] =
	"#include <stdio.h>\n#include <stdlib.h>\n"
	"volatile int sink;\n"
	"__attribute__((noinline)) static int hidden(int x) { return x * 3 + sink; }\n"
	"__attribute__((noinline)) int shown(int x) { puts(\"x\"); return hidden(x) + 1; }\n"
	"__attribute__((noinline,noreturn)) static void leave(int x) { sink = x; exit(x); }\n"
	"int main(int c, char **v) { if (c > 5) leave(c); return shown(c) + atoi(v[0]); }\n";

static inline int set_up(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	write_file("a.c", source, sizeof(source) - 1);
	return 0;
}

static inline int tear_down(void **state)
{
	CLEANUP(mem_cleanup) char *command = mem_printf("rm -rf %s", dir);

	return system(command);
}

#endif
