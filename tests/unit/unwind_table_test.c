/* The compiled tables of varied real files against libdw, and hand-written programs against the
 * rules that DWARF says they have. */
#include "profiler/unwind/code.h"
#include "tests/support/table_oracle.h"
#include "tests/unit/unit.h"

static void test_oracle(void **state)
{
	/* Assembly-heavy, C, C++, Rust or JavaScript's, large and small; with and without LTO, PLTs
	 * of both kinds. Every function of each is compared; absent ones are left out. */
	static const char *const paths[] = {
		"/lib/x86_64-linux-gnu/libc.so.6",
		"/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
		"/usr/lib/x86_64-linux-gnu/libgcrypt.so.20",
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/lib/x86_64-linux-gnu/libm.so.6",
		"/usr/lib/x86_64-linux-gnu/libLLVM-14.so.1",
		"/usr/lib/x86_64-linux-gnu/libx265.so.199",
		"/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus",
		"/usr/lib/llvm-14/bin/clang",
		"/usr/bin/python3",
		"/usr/bin/sqlite3",
		"/usr/bin/node",
		"/usr/bin/openssl",
	};
	unsigned int compared = 0;
	uint64_t rows = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct oracle_stats s = { 0 };

		if (access(paths[i], R_OK) != 0)
			continue;
		if (!oracle_file(paths[i], 1, &s))
			fail_msg("%s was not compared", paths[i]);
		if (s.differences)
			fail_msg("%s: %lu differences", paths[i], (unsigned long)s.differences);
		/* What no rule can say is 44 of 30 million rows on a machine with 3,000 files. */
		if (s.unsupported > 20)
			fail_msg("%s: %lu rows are not supported", paths[i],
				 (unsigned long)s.unsupported);
		assert_int_equal(s.unreadable, 0);
		compared++;
		rows += s.rows;
	}
	print_message("# %u files, %lu rows\n", compared, (unsigned long)rows);
	assert_true(compared >= 1 && rows > 1000);
}

/* --- programs written by hand --- */

struct row {
	uint64_t vaddr, rule;
};

struct rows {
	struct row items[32];
	size_t count;
};

static void collect(void *context, uint64_t vaddr, uint64_t rule)
{
	struct rows *rows = context;

	assert_true(rows->count < ARRAY_SIZE(rows->items));
	rows->items[rows->count++] = (struct row){ vaddr, rule };
}

/* Runs an FDE's program for [0x100, 0x200), after the usual CIE's: CFA = rsp + 8, return address
 * there. */
static void run_cfa(const uint8_t *program, size_t size, bool is_signal_frame, struct rows *rows)
{
	static const uint8_t usual[] = { 0x0c, 7, 8, 0x90, 1 };
	struct eh_cie cie = { .code_align = 1,
			      .data_align = -8,
			      .return_register = 16,
			      .is_signal_frame = is_signal_frame,
			      .instructions = cursor_make(usual, sizeof(usual)) };
	struct eh_fde fde = { 0x100, 0x200, cursor_make(program, size) };
	struct cfa_state initial;

	assert_true(cfa_run_cie(&cie, &initial));
	struct cfa_source source = { NULL, &cie, &initial, false };
	rows->count = 0;
	cfa_run(&source, &fde, 0, UINT64_MAX, collect, rows);
}

static uint64_t rule_reg(uint32_t base, int64_t offset, uint32_t bp_kind, int64_t bp_offset)
{
	struct unwind_rule r = { UNWIND_RULE_REG, base, bp_kind, 0, offset, bp_offset, 0 };

	return unwind_rule_pack(&r);
}

static void expect_rows(const struct rows *rows, const struct row *want, size_t n)
{
	for (size_t i = 0; i < MIN(rows->count, n); i++) {
		assert_int_equal(rows->items[i].vaddr, want[i].vaddr);
		assert_int_equal(rows->items[i].rule, want[i].rule);
	}
	assert_int_equal(rows->count, n);
}

#define EXPECT_ROWS(rows, ...)                                                                     \
	do {                                                                                       \
		const struct row want_[] = { __VA_ARGS__ };                                        \
		expect_rows(rows, want_, ARRAY_SIZE(want_));                                       \
	} while (0)

static void test_frame_pointer_prologue(void **state)
{
	static const uint8_t program[] = { 0x41, 0x0e, 16,   0x86, 2, /* push %rbp */
					   0x43, 0x0d, 6,	      /* mov %rsp,%rbp */
					   0x02, 0x30, 0x0c, 7,	   8, /* leave */
					   0,	 0 };
	struct rows rows;

	run_cfa(program, sizeof(program), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, rule_reg(7, 8, UNWIND_BP_SAME, 0) },
		    { 0x101, rule_reg(7, 16, UNWIND_BP_AT_CFA, -16) },
		    { 0x104, rule_reg(6, 16, UNWIND_BP_AT_CFA, -16) },
		    /* popped: its slot is below the stack pointer */
		    { 0x134, rule_reg(7, 8, UNWIND_BP_SAME, 0) });
}

static void test_remember_and_restore(void **state)
{
	static const uint8_t program[] = { 0x41, 0x0e, 16, 0x86, 2, 0x0a, /* remember */
					   0x41, 0x0e, 8,  0xc6,	  /* restore %rbp */
					   0x41, 0x0b,			  /* restore_state */
					   0x2e, 16,			  /* GNU_args_size */
					   0x41, 0x0e, 24 };
	struct rows rows;

	run_cfa(program, sizeof(program), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, rule_reg(7, 8, UNWIND_BP_SAME, 0) },
		    { 0x101, rule_reg(7, 16, UNWIND_BP_AT_CFA, -16) },
		    { 0x102, rule_reg(7, 8, UNWIND_BP_SAME, 0) },
		    { 0x103, rule_reg(7, 16, UNWIND_BP_AT_CFA, -16) },
		    { 0x104, rule_reg(7, 24, UNWIND_BP_AT_CFA, -16) });
}

static void test_expressions(void **state)
{
	static const uint8_t program[] = {
		/* *(rsp + 152) + 8, frame pointer at *(rbp) */
		0x0f, 6, 0x77, 0x98, 1, 0x06, 0x23, 8, 0x10, 6, 2, 0x76, 0,
		/* the PLT's, pushed from byte 11 on */
		0x41, 0x08, 6, 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22,
		/* *(rsp + 8 * r9 + 8) + 8 */
		0x41, 0x0f, 10, 0x77, 8, 0x79, 0, 0x38, 0x1e, 0x22, 0x06, 0x23, 8,
		/* something else: lit0 */
		0x41, 0x0f, 1, 0x30
	};
	const struct unwind_rule deref = { UNWIND_RULE_DEREF, 7, UNWIND_BP_AT_BP, 0, 152, 0, 8 };
	const struct unwind_rule plt = { UNWIND_RULE_PLT, 7, UNWIND_BP_SAME, 0, 88, 0, 0 };
	const struct unwind_rule index = { UNWIND_RULE_INDEX, 7, UNWIND_BP_SAME, 9, 8, 0, 8 };
	struct rows rows;

	run_cfa(program, sizeof(program), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, unwind_rule_pack(&deref) }, { 0x101, unwind_rule_pack(&plt) },
		    { 0x102, unwind_rule_pack(&index) }, { 0x103, UNWIND_RULE_UNSUP });
}

static void test_return_address(void **state)
{
	static const uint8_t program[] = {
		0x09, 16,   5,	   /* in %rdi */
		0x41, 0x11, 16, 2, /* offset_extended_sf: at CFA - 16 */
		0x41, 0x07, 16,	   /* undefined: the entry of a thread */
		0x41, 0x08, 16	   /* same: nonsense */
	};
	struct unwind_rule in_reg = { UNWIND_RULE_REG, 7, 0, UNWIND_RULE_RA_IN_REG | 5, 8, 0, 0 };
	struct unwind_rule below = { UNWIND_RULE_REG, 7, 0, 0, 8, 0, -8 };
	struct rows rows;

	run_cfa(program, sizeof(program), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, unwind_rule_pack(&in_reg) },
		    { 0x101, unwind_rule_pack(&below) }, { 0x102, UNWIND_RULE_STOP },
		    { 0x103, UNWIND_RULE_UNSUP });
}

static void test_signal_frame(void **state)
{
	static const uint8_t ucontext[] = {
		0x0f, 4, 0x77, 0xa0, 1, 0x06, 0x10, 16, 3, 0x77, 0xa8, 1
	};
	static const uint8_t plain[] = { 0x0e, 16 };
	struct unwind_rule interrupted = {
		UNWIND_RULE_REG, 7, 0, UNWIND_RULE_INTERRUPTED, 16, 0, 0
	};
	struct rows rows;

	run_cfa(ucontext, sizeof(ucontext), true, &rows);
	EXPECT_ROWS(&rows, { 0x100, UNWIND_RULE_SIGNAL });
	run_cfa(plain, sizeof(plain), true, &rows);
	EXPECT_ROWS(&rows, { 0x100, unwind_rule_pack(&interrupted) });
}

static void test_damaged_programs(void **state)
{
	static const uint8_t unknown[] = { 0x41, 0x0e, 16, 0x41, 0x3f, 0x0e, 24 };
	static const uint8_t cut[] = { 0x41, 0x0e, 16, 0x04, 1 };
	static const uint8_t unbalanced[] = { 0x41, 0x0b, 0x0e, 16 };
	static const uint8_t odd[] = { 0x0e, 12 };
	struct rows rows;

	run_cfa(unknown, sizeof(unknown), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, rule_reg(7, 8, 0, 0) }, { 0x101, rule_reg(7, 16, 0, 0) },
		    { 0x102, UNWIND_RULE_INVALID });
	run_cfa(cut, sizeof(cut), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, rule_reg(7, 8, 0, 0) }, { 0x101, UNWIND_RULE_INVALID });
	run_cfa(unbalanced, sizeof(unbalanced), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, rule_reg(7, 8, 0, 0) }, { 0x101, UNWIND_RULE_INVALID });
	run_cfa(odd, sizeof(odd), false, &rows);
	EXPECT_ROWS(&rows, { 0x100, UNWIND_RULE_UNSUP });
}

/* --- code without entries --- */

static void test_known_code(void **state)
{
	static const uint8_t crt1[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xed, 0x49, 0x89, 0xd1, 0x5e,
					0x48, 0x89, 0xe2, 0x48, 0x83, 0xe4, 0xf0, 0x50, 0x54, 0x45,
					0x31, 0xc0, 0x31, 0xc9, 0x48, 0x8d, 0x3d, 1,	2,    3,
					4,    0xff, 0x15, 1,	2,    3,    4,	  0xf4, 0x90 };
	static const uint8_t other[64] = { 0x55, 0x48, 0x89, 0xe5 };
	uint8_t text[64] = { 0 };
	static const uint8_t restore[] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };
	struct code_match m;

	assert_int_equal(code_entry_stub(crt1, sizeof(crt1)), sizeof(crt1) - 1);
	assert_int_equal(code_entry_stub(crt1, sizeof(crt1) - 2), 0); /* cut before its end */
	assert_int_equal(code_entry_stub(other, sizeof(other)), 0);
	assert_false(code_find(text, sizeof(text), 0, &m));
	memcpy(text + 20, restore, sizeof(restore));
	assert_true(code_find(text, sizeof(text), 0, &m));
	assert_int_equal(m.offset, 20);
	assert_int_equal(m.size, sizeof(restore));
	assert_int_equal(m.rule, UNWIND_RULE_SIGNAL);
	assert_false(code_find(text, sizeof(text), 21, &m));
}

/* gcc's crtstuff.c: two functions that keep nothing, and one that keeps rbp. */
static void test_destructors(void **state)
{
	static const uint8_t text[] = {
		/* 0: lea x(%rip),%rdi; lea y(%rip),%rax; cmp %rdi,%rax; je; ret; nop */
		0x90, 0x90, 0x48, 0x8d, 0x3d, 1, 2, 3, 4, 0x48, 0x8d, 0x05, 1, 2, 3, 4, 0x48, 0x39,
		0xf8, 0x74, 0x15, 0xc3, 0x90, 0x90,
		/* 24: endbr64; cmpb $0,x(%rip); jne 28 + 19; push %rbp; mov %rsp,%rbp; call */
		0xf3, 0x0f, 0x1e, 0xfa, 0x80, 0x3d, 1, 2, 3, 4, 0, 0x75, 0x15, 0x55, 0x48, 0x89,
		0xe5, 0xe8, 1, 2, 3, 4,
		/* 46: movb $1,x(%rip); pop %rbp; ret; nop; ret */
		0xc6, 0x05, 1, 2, 3, 4, 1, 0x5d, 0xc3, 0x0f, 0x1f, 0x00, 0xc3, 0x90
	};
	uint8_t changed[sizeof(text)];
	struct code_match m;

	assert_true(code_find(text, sizeof(text), 0, &m));
	assert_int_equal(m.rule, UNWIND_RULE_REG);
	assert_int_equal(m.offset, 2);
	assert_int_equal(m.pushed, 38);
	assert_int_equal(m.popped, 54);
	assert_int_equal(m.offset + m.size, 59);
	assert_true(code_find(text, sizeof(text), 10, &m)); /* the end of another entry */
	assert_int_equal(m.offset, 24);
	for (size_t n = 0; n < 59; n++)
		assert_false(code_find(text, n, 0, &m));
	for (size_t i = 28; i < 59; i++) {
		memcpy(changed, text, sizeof(text));
		changed[i] ^= 0x80;
		if (code_find(changed, sizeof(text), 0, &m)) /* where any byte will do */
			assert_int_equal(m.popped, 54);
	}
}

/* The entry of every dynamic linker and static program here is known: without it no stack of theirs
 * would be whole. */
static void test_entries_of_real_files(void **state)
{
	static const char *const paths[] = { "/lib64/ld-linux-x86-64.so.2", "/usr/bin/python3",
					     "/usr/lib/x86_64-linux-musl/libc.so" };
	unsigned int found = 0;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct unwind_tables *t = unwind_tables_create(NULL);
		struct unwind_table *table;
		struct image *img;

		if (access(paths[i], R_OK) != 0) {
			unwind_tables_destroy(t);
			continue;
		}
		assert_no_error(image_open(paths[i], &img));
		assert_no_error(unwind_table_create(t, img, &table));
		if (table->index) {
			unwind_table_compile(table, image_entry(img));
			assert_int_equal(oracle_lookup(table, image_entry(img) + 4),
					 UNWIND_RULE_STOP);
			found++;
		}
		unwind_tables_destroy(t);
		image_close(img);
	}
	assert_true(found > 0);
}

/* --- units --- */

/* Compiled one at a time and in any order, the units say what they say when compiled all at once.
 */
static void test_units_in_any_order(void **state)
{
	struct unwind_tables *a = unwind_tables_create(NULL), *b = unwind_tables_create(NULL);
	struct unwind_table *all, *one;
	struct image *img;

	assert_no_error(image_open("/lib/x86_64-linux-gnu/libc.so.6", &img));
	assert_no_error(unwind_table_create(a, img, &all));
	assert_no_error(unwind_table_create(b, img, &one));
	unwind_table_compile_all(all);
	for (uint64_t i = one->unit_count; i-- > 0;)
		unwind_table_compile(one, (one->first_unit + i) << UNWIND_UNIT_SHIFT);
	unwind_table_compile(one, UINT64_MAX); /* outside: nothing happens */
	for (uint64_t page = 0; page < all->page_count; page++)
		for (uint64_t at = 0; at < 4096; at += 13) {
			uint64_t vaddr = ((all->first_page + page) << UNWIND_PAGE_SHIFT) + at;
			assert_int_equal(oracle_lookup(all, vaddr), oracle_lookup(one, vaddr));
		}
	unwind_tables_destroy(a);
	unwind_tables_destroy(b);
	image_close(img);
}

/* A mapping is cut to the file's text, and one outside of it has no table. */
static void test_describe(void **state)
{
	struct unwind_tables *t = unwind_tables_create(NULL);
	struct unwind_table *table;
	struct image *img;
	struct unwind_mapping m = { .start = 0x7f0000000000,
				    .end = 0x7f1000000000,
				    .bias = 0x7f0000000000 };

	assert_no_error(image_open("/lib/x86_64-linux-gnu/libc.so.6", &img));
	assert_no_error(unwind_table_create(t, img, &table));
	unwind_table_describe(table, &m);
	assert_int_equal(m.kind, UNWIND_MAP_TABLE);
	assert_int_equal(m.start, m.bias + (table->first_page << UNWIND_PAGE_SHIFT));
	assert_int_equal(m.end, m.start + (table->page_count << UNWIND_PAGE_SHIFT));
	m = (struct unwind_mapping){ .start = 0x1000, .end = 0x2000, .bias = 0x7f0000000000 };
	unwind_table_describe(table, &m);
	assert_int_equal(m.kind, UNWIND_MAP_NO_TABLE);
	m = (struct unwind_mapping){ .start = 0x7f0000000000, .end = 0x7f1000000000, .bias = 0x10 };
	unwind_table_describe(table, &m);
	assert_int_equal(m.kind, UNWIND_MAP_NO_TABLE);
	unwind_tables_destroy(t);
	image_close(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),
		cmocka_unit_test(test_frame_pointer_prologue),
		cmocka_unit_test(test_remember_and_restore),
		cmocka_unit_test(test_expressions),
		cmocka_unit_test(test_return_address),
		cmocka_unit_test(test_signal_frame),
		cmocka_unit_test(test_damaged_programs),
		cmocka_unit_test(test_known_code),
		cmocka_unit_test(test_destructors),
		cmocka_unit_test(test_entries_of_real_files),
		cmocka_unit_test(test_units_in_any_order),
		cmocka_unit_test(test_describe),
	};

	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
