/*
 * Names of real files: programs built here in every way that moves symbols around, and the
 * libraries of this machine against what nm and llvm-symbolizer say.
 */
#include "tests/unit/unit.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "symbolizer/elf/eh_index.h"
#include "symbolizer/symbolizer.h"

static const struct build_id any_id;
static const char *const here[] = { "", NULL };
static char dir[] = "/tmp/cprof-symbols-XXXXXX";

/* --- helpers --- */

/* Runs a shell command in the test's folder; false where it fails. */
static bool run(const char *fmt, ...) PRINTF_LIKE(1, 2);
static bool run(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	CLEANUP(mem_cleanup) char *command = mem_vprintf(fmt, args);
	va_end(args);
	CLEANUP(mem_cleanup) char *whole = mem_printf("cd %s && { %s; } >log 2>&1", dir, command);
	return system(whole) == 0;
}

static void need(bool ok)
{
	if (!ok) {
		print_message("skipped: a tool that this needs is not here or too old\n");
		skip();
	}
}

/* A file of the test's folder. */
static const char *in_dir(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
	FILE *f = fopen(in_dir(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* The name that a module has for an address ("" for none), and where the function starts. */
static const char *name_at(struct symbol_module *m, uint64_t address, uint64_t *ret_start)
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

static struct symbol_module *open_module(const char *file)
{
	struct symbol_module *m = NULL;

	assert_no_error(symbol_module_open(in_dir(file), here, &any_id, &m));
	return m;
}

/* Address and size of a symbol, by nm. */
static uint64_t address_of(const char *file, const char *symbol, uint64_t *ret_size)
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

static int set_up(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	write_file("a.c", source, sizeof(source) - 1);
	return 0;
}

static int tear_down(void **state)
{
	CLEANUP(mem_cleanup) char *command = mem_printf("rm -rf %s", dir);

	return system(command);
}

/* --- one program, linked in many ways --- */

static void check_program(const char *file, const char *flags)
{
	uint64_t size, start, shown;

	need(run("gcc -O1 -g0 %s -o %s a.c", flags, file));
	struct symbol_module *m = open_module(file);
	shown = address_of(file, "shown", &size);
	assert_true(size > 8);
	assert_string_equal(name_at(m, shown, &start), "shown");
	assert_string_equal(name_at(m, shown + size - 1, &start), "shown");
	assert_int_equal(start, shown);
	assert_string_equal(name_at(m, address_of(file, "hidden", NULL) + 1, &start), "hidden");
	/* _start has an end, and _init none beyond its section */
	assert_string_equal(name_at(m, address_of(file, "_start", NULL) + 4, NULL), "_start");
	assert_string_equal(name_at(m, address_of(file, "_init", NULL), NULL), "_init");
	symbol_module_close(m);
}

static void test_layouts(void **state)
{
	check_program("pie", "-pie -fPIE");
	check_program("no_pie", "-no-pie");
	check_program("separate", "-Wl,-z,separate-code");
	check_program("together", "-Wl,-z,noseparate-code");
	check_program("static", "-static");
	check_program("far", "-no-pie -Wl,-Ttext-segment=0x7000000");
}

/* lld, where there is one (rustc brings it): addresses run ahead of file offsets. */
static void test_lld(void **state)
{
	need(run("ld=$(command -v ld.lld || ls $HOME/.rustup/toolchains/*/lib/rustlib/*/bin/"
		 "gcc-ld/ld.lld) && mkdir -p lld && ln -sf $(echo $ld | cut -d' ' -f1) lld/ld.lld "
		 "&& "
		 "gcc -Blld -fuse-ld=lld -O1 -o try_lld a.c"));
	check_program("lld_linked", "-Blld -fuse-ld=lld");
}

/* Return addresses are looked up one byte back by the caller: the call of a function that does not
 * return may be the last instruction. */
static void test_end_of_function(void **state)
{
	uint64_t size, start;

	need(run("gcc -O1 -o ends a.c"));
	struct symbol_module *m = open_module("ends");
	uint64_t leave = address_of("ends", "leave", &size);
	assert_string_equal(name_at(m, leave + size - 1, &start), "leave");
	assert_int_equal(start, leave);
	assert_string_not_equal(name_at(m, leave + size + 16, NULL), "leave");
	symbol_module_close(m);
}

/* Hand-written code: no size, nested, local labels, padding. */
static void test_assembler(void **state)
{
	static const char text[] = ".text\n"
				   ".globl sized\n.type sized,@function\n.balign 16\n"
				   "sized: nop\nlabel: nop\nnop\n.size sized,.-sized\n"
				   ".balign 16\n"
				   ".globl unsized\n.type unsized,@function\nunsized: .skip 40\n"
				   "untyped: .skip 8\n"
				   ".globl data_in_text\n.type data_in_text,@object\n"
				   "data_in_text: .quad 1\n.size data_in_text,8\n"
				   ".section .other,\"ax\"\n.globl alone\nalone: ret\n";
	uint64_t start, at;

	write_file("asm.s", text, sizeof(text) - 1);
	need(run("gcc -nostdlib -shared -o asm.so asm.s"));
	struct symbol_module *m = open_module("asm.so");
	at = address_of("asm.so", "sized", NULL);
	assert_string_equal(name_at(m, at + 1, &start), "sized");
	assert_int_equal(start, at);
	assert_string_equal(name_at(m, at + 8, &start), "sized"); /* padding */
	at = address_of("asm.so", "unsized", NULL);
	assert_string_equal(name_at(m, at + 39, NULL), "unsized");
	assert_string_equal(name_at(m, at + 40, NULL), "untyped");
	at = address_of("asm.so", "alone", NULL);
	assert_string_equal(name_at(m, at, NULL), "alone");
	assert_string_equal(name_at(m, at + 1, NULL), ""); /* the section ends */
	symbol_module_close(m);
}

/* --- the PLT, against objdump --- */

static void check_plt(const char *flags, int at_least)
{
	char line[512], name[256];
	unsigned long address;
	int checked = 0;

	need(run("gcc -O1 %s -o plt a.c", flags));
	struct symbol_module *m = open_module("plt");
	CLEANUP(mem_cleanup)
	char *command = mem_printf("cd %s && objdump -d plt | grep -E '^[0-9a-f]+ <.*@plt>:'", dir);
	FILE *p = popen(command, "r");
	while (fgets(line, sizeof(line), p)) {
		assert_int_equal(sscanf(line, "%lx <%255[^>]>", &address, name), 2);
		uint64_t start;
		assert_string_equal(name_at(m, address + 3, &start), name);
		assert_int_equal(start, address);
		checked++;
	}
	pclose(p);
	assert_true(checked >= at_least);
	symbol_module_close(m);
}

static void test_plt(void **state)
{
	check_plt("-Wl,-z,lazy", 3);
	check_plt("-Wl,-z,now", 3);
	check_plt("-fcf-protection=full -Wl,-z,ibtplt,-z,lazy", 3);
	check_plt("-no-pie", 3);
}

/* --- files without their names --- */

static void test_stripped_aggregates_by_function(void **state)
{
	uint64_t size, start;

	need(run("gcc -O1 -Wl,--build-id -o whole a.c && strip -o bare whole"));
	struct symbol_module *m = open_module("bare");
	uint64_t hidden = address_of("whole", "hidden", &size);
	for (uint64_t i = 0; i < size; i++) {
		assert_string_equal(name_at(m, hidden + i, &start), "");
		assert_int_equal(start, hidden);
	}
	/* not even code */
	assert_string_equal(name_at(m, 0x10000000, &start), "");
	assert_int_equal(start, 0x10000000);
	symbol_module_close(m);
}

static void check_found(const char *file, const char *whole, bool found)
{
	struct symbol_module *m = open_module(file);
	uint64_t hidden = address_of(whole, "hidden", NULL), start;

	assert_string_equal(name_at(m, hidden + 2, &start), found ? "hidden" : "");
	assert_int_equal(start, hidden);
	symbol_module_close(m);
}

static void test_debuglink(void **state)
{
	need(run(
		"gcc -O1 -Wl,--build-id -o whole a.c && objcopy --only-keep-debug whole d.debug && "
		"strip -o linked whole && objcopy --add-gnu-debuglink=d.debug linked"));
	check_found("linked", "whole", true);
	/* in .debug beside it */
	need(run("mkdir -p .debug && mv d.debug .debug/"));
	check_found("linked", "whole", true);
	/* another build's file under that name is refused */
	need(run("gcc -O2 -DX=1 -Wl,--build-id=0x1234567890abcdef -o other a.c && "
		 "objcopy --only-keep-debug other .debug/d.debug"));
	check_found("linked", "whole", false);
	need(run("rm -r .debug"));
}

static void test_debuglink_by_crc(void **state)
{
	need(run("gcc -O1 -Wl,--build-id=none -o whole a.c && "
		 "objcopy --only-keep-debug whole d.debug && "
		 "strip -o linked whole && objcopy --add-gnu-debuglink=d.debug linked"));
	check_found("linked", "whole", true);
	need(run("printf x >>d.debug"));
	check_found("linked", "whole", false);
	need(run("rm d.debug"));
	check_found("linked", "whole", false);
}

static void test_debug_file_by_build_id(void **state)
{
	struct symbol_module *m;
	struct image *img;
	char root[512];

	need(run("gcc -O1 -Wl,--build-id=0xabcdef0123456789 -o whole a.c && strip -o bare whole && "
		 "mkdir -p root/usr/lib/debug/.build-id/ab root/bin && "
		 "objcopy --only-keep-debug whole "
		 "root/usr/lib/debug/.build-id/ab/cdef0123456789.debug && mv bare root/bin/bare"));
	snprintf(root, sizeof(root), "%s", in_dir("root"));
	const char *const roots[] = { root, "", NULL };
	assert_no_error(symbol_module_open("/bin/bare", roots, &any_id, &m));
	uint64_t hidden = address_of("whole", "hidden", NULL);
	assert_string_equal(name_at(m, hidden, NULL), "hidden");
	symbol_module_close(m);

	/* The program was deleted: its debug file has the names. */
	assert_no_error(image_open(in_dir("root/bin/bare"), &img));
	struct build_id id = *image_build_id(img);
	image_close(img);
	need(run("rm root/bin/bare"));
	assert_no_error(symbol_module_open("/bin/bare", roots, &id, &m));
	assert_string_equal(name_at(m, hidden, NULL), "hidden");
	symbol_module_close(m);
}

/* A debug file that was made before prelink moved the program. */
static void test_debug_file_lies_elsewhere(void **state)
{
	enum { SHIFT = 0x40000000 };
	struct file_bytes f;

	need(run(
		"gcc -O1 -Wl,--build-id -o whole a.c && objcopy --only-keep-debug whole d.debug && "
		"strip -o linked whole && objcopy --add-gnu-debuglink=d.debug linked"));
	assert_no_error(file_map(in_dir("d.debug"), &f));
	uint8_t *bytes = mem_dup(f.data, f.size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)bytes;
	Elf64_Phdr *p = (Elf64_Phdr *)(bytes + e->e_phoff);
	Elf64_Shdr *s = (Elf64_Shdr *)(bytes + e->e_shoff);
	for (int i = 0; i < e->e_phnum; i++)
		p[i].p_vaddr += SHIFT;
	for (int i = 0; i < e->e_shnum; i++) {
		s[i].sh_addr += s[i].sh_flags & SHF_ALLOC ? SHIFT : 0;
		Elf64_Sym *symbols = (Elf64_Sym *)(bytes + s[i].sh_offset);
		for (uint64_t k = 1; s[i].sh_type == SHT_SYMTAB && k < s[i].sh_size / 24; k++)
			symbols[k].st_value += symbols[k].st_value ? SHIFT : 0;
	}
	write_file("d.debug", bytes, f.size);
	free(bytes);
	file_bytes_deinit(&f);
	check_found("linked", "whole", true);
	need(run("rm d.debug"));
}

static void test_mini_debug_info(void **state)
{
	need(run("gcc -O1 -Wl,--build-id -o whole a.c && "
		 "strip -s -w -K 'hidden' -o mini whole && objcopy --remove-section=.dynsym mini; "
		 "xz -kf mini && strip -o packed whole && "
		 "objcopy --add-section .gnu_debugdata=mini.xz packed"));
	check_found("packed", "whole", true);
	/* cut in the middle: as if it were not there */
	need(run("head -c 300 mini.xz >half.xz && strip -o packed whole && "
		 "objcopy --add-section .gnu_debugdata=half.xz packed"));
	check_found("packed", "whole", false);
}

static void test_another_build_id(void **state)
{
	struct build_id other = { .size = 20, .bytes = { 1, 2, 3 } };
	struct symbol_module *m = NULL;

	need(run("gcc -O1 -Wl,--build-id -o whole a.c"));
	struct error *err = symbol_module_open(in_dir("whole"), here, &other, &m);
	assert_non_null(err);
	assert_non_null(strstr(error_message(err), "another build id than the one that ran"));
	assert_null(m);
	error_free(err);
	err = symbol_module_open("/nowhere/x", here, &any_id, &m);
	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	error_free(err);
}

/* A link in a container's root leads to the container's file, not to ours. */
static void test_links_stay_in_the_root(void **state)
{
	struct symbol_module *m = NULL;
	char root[512];

	need(run(
		"gcc -O1 -o whole a.c && mkdir -p jail/bin jail/tmp && cp whole jail/bin/real && "
		"ln -sf /bin/real jail/bin/link && ln -sf ../../../../../../bin/sh jail/bin/out && "
		"mkfifo jail/bin/fifo"));
	snprintf(root, sizeof(root), "%s", in_dir("jail"));
	const char *const roots[] = { root, NULL };
	assert_no_error(symbol_module_open("/bin/link", roots, &any_id, &m));
	assert_string_equal(name_at(m, address_of("whole", "shown", NULL), NULL), "shown");
	symbol_module_close(m);
	struct error *err = symbol_module_open("/bin/out", roots, &any_id, &m);
	assert_non_null(err);
	error_free(err);
	err = symbol_module_open("/bin/fifo", roots, &any_id, &m);
	assert_non_null(err);
	error_free(err);
}

/* --- libraries of this machine --- */

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
	assert_int_equal(check_library(in_dir("r")), 1);
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
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_lld),
		cmocka_unit_test(test_end_of_function),
		cmocka_unit_test(test_assembler),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_stripped_aggregates_by_function),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_debuglink_by_crc),
		cmocka_unit_test(test_debug_file_by_build_id),
		cmocka_unit_test(test_debug_file_lies_elsewhere),
		cmocka_unit_test(test_mini_debug_info),
		cmocka_unit_test(test_another_build_id),
		cmocka_unit_test(test_links_stay_in_the_root),
		cmocka_unit_test(test_libraries_against_nm),
		cmocka_unit_test(test_rust_program_against_nm),
		cmocka_unit_test(test_against_llvm_symbolizer),
		cmocka_unit_test(test_no_sections),
		cmocka_unit_test(test_vdso),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
