/* Names of the libraries of this machine against what nm and llvm-symbolizer say. */
#include "tests/support/symbol_files.h"

#include <dlfcn.h>
#include <elf.h>
#include <gnu/libc-version.h>

struct nm_symbol {
	uint64_t start, end;
	char *name;
};

struct nm_table {
	VEC(struct nm_symbol) symbols;
};

static bool read_nm(struct nm_table *t, const char *path, const char *flags)
{
	char line[8192], name[8000], type;
	unsigned long start, size;
	CLEANUP(mem_cleanup)
	char *command = mem_printf("nm -S --defined-only %s %s 2>/dev/null", flags, path);
	FILE *p = popen(command, "r");

	while (p && fgets(line, sizeof(line), p)) {
		if (sscanf(line, "%lx %lx %c %7999s", &start, &size, &type, name) != 4 ||
		    !strchr("tTwWi", type) || !size)
			continue;
		name[strcspn(name, "@")] = '\0';
		vec_push(&t->symbols, (struct nm_symbol){ start, start + size, mem_strdup(name) });
	}
	if (p)
		pclose(p);
	return t->symbols.count > 0;
}

/* What a module says of an address must be a name that nm has for a function there, and of those
 * that cover it one that starts last. */
static void check_against_nm(const struct nm_table *t, uint64_t address, const char *name,
			     uint64_t start)
{
	uint64_t last = 0;
	bool found = false;

	for (size_t i = 0; i < t->symbols.count; i++) {
		const struct nm_symbol *s = &t->symbols.items[i];
		if (address < s->start || address >= s->end)
			continue;
		last = MAX(last, s->start);
		found |= s->start == start && strcmp(s->name, name) == 0;
	}
	if (!found || last != start)
		fail_msg("%#lx: %s at %#lx, nm's last begins at %#lx", (unsigned long)address, name,
			 (unsigned long)start, (unsigned long)last);
}

static int compare_u64(const void *pa, const void *pb)
{
	const uint64_t *a = pa, *b = pb;

	return *a < *b ? -1 : *a > *b;
}

static int check_library(const char *path)
{
	enum { N = 900 };
	struct nm_table t = { 0 };
	struct symbol_module *m;
	struct symbol_result r;
	uint64_t addresses[N];
	struct symbol_chain chains[N];
	size_t n = 0;

	if (access(path, R_OK) != 0)
		return 0;
	if (!read_nm(&t, path, "") && !read_nm(&t, path, "-D"))
		return 0;
	for (size_t i = 0; i < N; i++) {
		const struct nm_symbol *s = &t.symbols.items[i * t.symbols.count / N];
		addresses[i] = i % 3 == 0   ? s->start
			       : i % 3 == 1 ? s->start + (s->end - s->start) / 2
					    : s->end - 1;
	}
	qsort(addresses, N, sizeof(*addresses), compare_u64);
	for (size_t i = 0; i < N; i++)
		if (n == 0 || addresses[n - 1] != addresses[i])
			addresses[n++] = addresses[i];
	assert_no_error(symbol_module_open(path, here, &any_id, &m));
	symbol_result_init(&r);
	symbol_batch(m, addresses, n, chains, &r);
	for (size_t i = 0; i < n; i++) {
		if (chains[i].count != 1)
			fail_msg("%s: no name for %#lx", path, (unsigned long)addresses[i]);
		check_against_nm(&t, addresses[i],
				 intern_get(&r.strings, r.frames.items[chains[i].first].name),
				 chains[i].start);
	}
	symbol_result_deinit(&r);
	symbol_module_close(m);
	for (size_t i = 0; i < t.symbols.count; i++)
		free(t.symbols.items[i].name);
	vec_deinit(&t.symbols);
	print_message("%s: %zu addresses\n", path, n);
	return 1;
}

static void test_libraries_against_nm(void **state)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/libc.so.6",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
		"/usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
		"/usr/bin/python3",
		"/usr/bin/node",
		"/usr/lib/x86_64-linux-gnu/libnode.so.108",
	};
	int checked = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		checked += check_library(paths[i]);
	assert_true(checked >= 1);
	/* with .symtab, IFUNCs and hand-written code */
	char path[512];
	snprintf(path, sizeof(path), "%s", in_dir("static"));
	need(run("gcc -O1 -static -o static a.c"));
	assert_int_equal(check_library(path), 1);
}

/* Rust: also a static archive of other people's code, with v0 and legacy names. */
static void test_rust_program_against_nm(void **state)
{
	static const char text[] = "use std::collections::HashMap;\n"
				   "fn main() { let mut m = HashMap::new();\n"
				   "for i in 0..9 { m.insert(i, format!(\"{}\", i)); }\n"
				   "println!(\"{:?}\", m); }\n";

	write_file("r.rs", text, sizeof(text) - 1);
	need(run("PATH=$PATH:$HOME/.cargo/bin rustc -O -o r r.rs"));
	char path[512];
	snprintf(path, sizeof(path), "%s", in_dir("r"));
	assert_int_equal(check_library(path), 1);
}

/* The last byte of up to 900 functions of a file. Both take the symbol table's name, but may take
 * different ones of those that a function has. */
static int check_against_llvm(const char *path)
{
	enum { N = 900 };
	char line[8192];
	struct nm_table t = { 0 };
	struct symbol_module *m;
	size_t checked = 0;

	if (access(path, R_OK) != 0 || (!read_nm(&t, path, "") && !read_nm(&t, path, "-D")))
		return 0;
	size_t n = MIN(t.symbols.count, (size_t)N);
	CLEANUP(mem_cleanup) char *list = mem_printf("%s/addresses", dir);
	FILE *f = fopen(list, "w");
	for (size_t k = 0; k < n; k++)
		fprintf(f, "%#lx\n",
			(unsigned long)t.symbols.items[k * t.symbols.count / n].end - 1);
	fclose(f);
	CLEANUP(mem_cleanup)
	char *command = mem_printf("llvm-symbolizer-14 --no-inlines --no-demangle -p --obj=%s <%s",
				   path, list);
	assert_no_error(symbol_module_open(path, here, &any_id, &m));
	FILE *p = popen(command, "r");
	while (fgets(line, sizeof(line), p)) {
		if (*line == '\n')
			continue;
		line[strcspn(line, " @\n")] = '\0';
		uint64_t start, at = t.symbols.items[checked * t.symbols.count / n].end - 1;
		const char *got = name_at(m, at, &start);
		bool is_alias = strcmp(got, line) == 0;
		for (size_t k = 0; k < t.symbols.count && !is_alias; k++)
			is_alias = t.symbols.items[k].start == start &&
				   strcmp(t.symbols.items[k].name, line) == 0;
		if (!is_alias)
			fail_msg("%s %#lx: %s, llvm-symbolizer: %s", path, (unsigned long)at, got,
				 line);
		checked++;
	}
	pclose(p);
	assert_int_equal(checked, n);
	symbol_module_close(m);
	for (size_t k = 0; k < t.symbols.count; k++)
		free(t.symbols.items[k].name);
	vec_deinit(&t.symbols);
	print_message("%s: %zu addresses\n", path, checked);
	return (int)checked;
}

static void test_against_llvm_symbolizer(void **state)
{
	char exe[4096];
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	need(run("command -v llvm-symbolizer-14"));
	assert_true(len > 0);
	exe[len] = '\0';
	assert_true(check_against_llvm(exe) > 100);
	check_against_llvm("/usr/lib/x86_64-linux-gnu/libcrypto.so.3");
	check_against_llvm("/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1");
	check_against_llvm("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
}

/* Without section headers the dynamic symbols are found through PT_DYNAMIC: same names. */
static void test_no_sections(void **state)
{
	Dl_info info;
	struct file_bytes f;
	struct symbol_module *whole, *bare;

	assert_true(dladdr((void *)(uintptr_t)&gnu_get_libc_version, &info));
	assert_no_error(file_map(info.dli_fname, &f));
	uint8_t *bytes = mem_dup(f.data, f.size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)bytes;
	e->e_shoff = 0;
	e->e_shnum = e->e_shstrndx = 0;
	write_file("bare.so", bytes, f.size);
	free(bytes);
	file_bytes_deinit(&f);
	need(run("strip -o stripped.so %s && objcopy -R .gnu_debuglink -R .gnu_debugdata "
		 "stripped.so; echo",
		 info.dli_fname));
	bare = open_module("bare.so");
	whole = open_module("stripped.so");
	struct nm_table t = { 0 };
	assert_true(read_nm(&t, in_dir("stripped.so"), "-D"));
	int named = 0;
	for (size_t i = 0; i < t.symbols.count; i++) {
		uint64_t a, b;
		CLEANUP(mem_cleanup)
		char *x = mem_strdup(name_at(bare, t.symbols.items[i].start + 1, &a));
		const char *y = name_at(whole, t.symbols.items[i].start + 1, &b);
		/* .dynsym has data too, which without sections cannot be told from code */
		if (*y) {
			assert_string_equal(x, y);
			assert_int_equal(a, b);
			named++;
		}
		free(t.symbols.items[i].name);
	}
	assert_true(named > 1000);
	vec_deinit(&t.symbols);
	symbol_module_close(bare);
	symbol_module_close(whole);
}

static void test_vdso(void **state)
{
	struct symbol_module *m;
	bool found = false;
	struct error *err = symbol_module_vdso(&m);

	if (err) {
		print_message("skipped: %s\n", error_message(err));
		error_free(err);
		skip();
	}
	for (uint64_t at = 0; at < 0x4000; at += 16)
		found |= strstr(name_at(m, at, NULL), "clock_gettime") != NULL;
	assert_true(found);
	symbol_module_close(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libraries_against_nm),
		cmocka_unit_test(test_rust_program_against_nm),
		cmocka_unit_test(test_against_llvm_symbolizer),
		cmocka_unit_test(test_no_sections),
		cmocka_unit_test(test_vdso),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
