/* Names of programs built here in every way that moves symbols around. */
#include "tests/support/symbol_files.h"

#include <elf.h>

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

static bool is_folded(struct symbol_module *m, uint64_t address)
{
	struct symbol_result r;
	struct symbol_chain chain;

	symbol_result_init(&r);
	symbol_batch(m, &address, 1, &chain, &r);
	assert_int_equal(chain.count, 1);
	bool folded = r.frames.items[chain.first].is_folded;
	symbol_result_deinit(&r);
	return folded;
}

static void test_folded_by_lld(void **state)
{
	static const char text[] =
		"template<class T> struct S { __attribute__((noinline)) static int f(T *p); };\n"
		"template<class T> int S<T>::f(T *p) { return p ? int(*p) + 3 : 4; }\n"
		"extern \"C\" __attribute__((noinline)) int alike(int x) { return x * 77; }\n"
		"extern \"C\" __attribute__((noinline)) int equal(int x) { return x * 77; }\n"
		"extern \"C\" __attribute__((noinline)) int other(int x) { return x * 7; }\n"
		"int main(int c, char **) { unsigned u = c; return S<int>::f(&c) +\n"
		"S<unsigned>::f(&u) + alike(c) + equal(c) + other(c); }\n";

	write_file("icf.cc", text, sizeof(text) - 1);
	need(run("ls lld/ld.lld && clang++-14 -O1 -ffunction-sections -faddrsig -Blld "
		 "-fuse-ld=lld -Wl,--icf=all -o icf icf.cc"));
	struct symbol_module *m = open_module("icf");
	assert_true(is_folded(m, address_of("icf", "equal", NULL)));
	assert_true(is_folded(m, address_of("icf", "_ZN1SIjE1fEPj", NULL)));
	assert_string_equal(name_at(m, address_of("icf", "equal", NULL), NULL), "alike");
	assert_false(is_folded(m, address_of("icf", "other", NULL)));
	assert_false(is_folded(m, address_of("icf", "main", NULL)));
	symbol_module_close(m);
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

/* A static program calls the functions that it chooses at start (IFUNC) through stubs too. */
static void test_static_plt(void **state)
{
	char line[512], before[256] = "";
	unsigned long address, size;
	int named = 0;

	need(run("gcc -O1 -static -o static a.c"));
	struct symbol_module *m = open_module("static");
	CLEANUP(mem_cleanup)
	char *command = mem_printf(
		"cd %s && readelf -SW static | sed -n 's/.* \\.plt  *PROGBITS *//p'", dir);
	FILE *p = popen(command, "r");
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	assert_int_equal(sscanf(line, "%lx %*x %lx", &address, &size), 2);
	for (uint64_t at = address; at < address + size; at += 8) {
		const char *name = name_at(m, at, NULL);
		const char *plt = strstr(name, "@plt");
		assert_non_null(plt);
		assert_string_equal(plt, "@plt");
		named += strcmp(name, before) != 0;
		snprintf(before, sizeof(before), "%.255s", name);
	}
	assert_true(named > 4);
	symbol_module_close(m);
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

/* The file is cut short after it was opened: fewer names, no crash. */
static void test_truncated_while_open(void **state)
{
	need(run("gcc -O1 -static -o cut a.c"));
	uint64_t shown = address_of("cut", "shown", NULL);
	struct symbol_module *m = open_module("cut");
	assert_int_equal(truncate(in_dir("cut"), 4096), 0);
	assert_string_equal(name_at(m, shown, NULL), "");
	symbol_module_close(m);

	/* between reading the table and its names */
	need(run("gcc -O1 -static -o cut a.c"));
	m = open_module("cut");
	assert_string_equal(name_at(m, shown, NULL), "shown");
	assert_int_equal(truncate(in_dir("cut"), 4096), 0);
	name_at(m, shown, NULL);
	symbol_module_close(m);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_lld),
		cmocka_unit_test(test_end_of_function),
		cmocka_unit_test(test_assembler),
		cmocka_unit_test(test_plt),
		cmocka_unit_test(test_static_plt),
		cmocka_unit_test(test_folded_by_lld),
		cmocka_unit_test(test_stripped_aggregates_by_function),
		cmocka_unit_test(test_debuglink),
		cmocka_unit_test(test_debuglink_by_crc),
		cmocka_unit_test(test_debug_file_by_build_id),
		cmocka_unit_test(test_debug_file_lies_elsewhere),
		cmocka_unit_test(test_mini_debug_info),
		cmocka_unit_test(test_another_build_id),
		cmocka_unit_test(test_truncated_while_open),
		cmocka_unit_test(test_links_stay_in_the_root),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
