/* Code without unwind entries: what is found by following instructions, against what compilers say
 * in the entries that the same code has, and small pieces of code written by hand. */
#include "profiler/unwind/flow.h"
#include "tests/support/table_oracle.h"
#include "tests/unit/unit.h"

#define COMPARE_EVERY 8 /* bytes */

struct row {
	uint64_t vaddr, rule;
};

struct rows {
	VEC(struct row) items;
};

static void add_row(void *context, uint64_t vaddr, uint64_t rule)
{
	vec_push(&((struct rows *)context)->items, ((struct row){ vaddr, rule }));
}

/* --- against entries --- */

struct compared {
	uint64_t rows, differ, bytes, known_bytes;
};

/* False: they give two callers for one address. What the entries do not say is not compared, and
 * neither is rbp where they leave it restored too late: gcc does so in every epilogue. */
static bool agree(uint64_t followed, uint64_t entry)
{
	struct unwind_rule a = unwind_rule_unpack(followed), b = unwind_rule_unpack(entry);

	if (b.kind != UNWIND_RULE_REG || a.base != b.base)
		return true;
	if (a.offset != b.offset)
		return false;
	return a.bp_kind != UNWIND_BP_AT_CFA || b.bp_kind != UNWIND_BP_AT_CFA ||
	       a.bp_offset == b.bp_offset;
}

static void compare_at(struct unwind_table *table, uint64_t vaddr, uint64_t rule,
		       struct compared *c)
{
	uint64_t entry = oracle_lookup(table, vaddr);

	if ((entry & UNWIND_RULE_KIND) == UNWIND_RULE_INVALID)
		return;
	c->rows++;
	if (agree(rule, entry))
		return;
	if (c->differ++ < 20)
		print_message("# %#lx: followed %#lx, entry %#lx\n", (unsigned long)vaddr,
			      (unsigned long)rule, (unsigned long)entry);
}

static void compare_section(struct unwind_table *table, const struct image_section *s,
			    struct compared *c)
{
	struct flow *f = flow_create(
		&(struct flow_code){ s->data, s->size, s->vaddr, .is_whole = true }, UINT64_MAX);
	struct rows rows = { 0 };

	flow_emit(f, s->vaddr, s->vaddr + s->size, add_row, &rows);
	c->bytes += s->size;
	for (size_t i = 0; i < rows.items.count; i++) {
		const struct row *r = &rows.items.items[i];
		uint64_t end = i + 1 < rows.items.count ? r[1].vaddr : s->vaddr + s->size;

		if (r->rule == UNWIND_RULE_INVALID)
			continue;
		c->known_bytes += end - r->vaddr;
		for (uint64_t at = r->vaddr; at < end; at += COMPARE_EVERY)
			compare_at(table, at, r->rule, c);
	}
	vec_deinit(&rows.items);
	flow_destroy(f);
}

static bool compare_file(const char *path, struct compared *c)
{
	struct unwind_tables *tables = unwind_tables_create(NULL);
	const struct image_section *sections;
	struct unwind_table *table;
	struct image *img;
	struct error *err = image_open(path, &img);

	if (err) {
		error_free(err);
		unwind_tables_destroy(tables);
		return false;
	}
	error_free(unwind_table_create(tables, img, &table));
	unwind_table_compile_all(table);
	for (size_t i = 0, n = image_sections(img, &sections); i < n; i++)
		if (!strncmp(sections[i].name, ".text", 5) && sections[i].data)
			compare_section(table, &sections[i], c);
	unwind_tables_destroy(tables);
	image_close(img);
	return true;
}

/* C, whose compilers' entries are right to the last instruction: not glibc's assembly, nor where
 * data lies between functions. */
static void test_entries(void **state)
{
	static const char *const paths[] = {
		"/lib64/ld-linux-x86-64.so.2",
		"/usr/lib/x86_64-linux-gnu/libm.so.6",
		"/usr/bin/bash",
		"/usr/bin/sqlite3",
		"/usr/bin/git",
	};
	struct compared all = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct compared c = { 0 };

		if (!compare_file(paths[i], &c))
			continue;
		print_message("# %s: %lu compared, %lu differ, %lu of %lu bytes known\n", paths[i],
			      (unsigned long)c.rows, (unsigned long)c.differ,
			      (unsigned long)c.known_bytes, (unsigned long)c.bytes);
		assert_int_equal(c.differ, 0);
		assert_true(c.known_bytes > c.bytes / 2);
		all.rows += c.rows;
	}
	assert_true(all.rows > 1000);
}

/* --- by hand --- */

/* The rows of a few bytes, at 0x1000. */
static void expect(const uint8_t *bytes, size_t size, const struct row *rows, size_t count)
{
	struct flow *f = flow_create(&(struct flow_code){ bytes, size, 0x1000, .is_whole = true },
				     UINT64_MAX);
	struct rows got = { 0 };

	flow_emit(f, 0x1000, 0x1000 + size, add_row, &got);
	for (size_t i = 0; i < count; i++) {
		uint64_t rule = UNWIND_RULE_INVALID;

		for (size_t n = 0; n < got.items.count; n++)
			if (got.items.items[n].vaddr <= rows[i].vaddr)
				rule = got.items.items[n].rule;
		if (rule != rows[i].rule)
			fail_msg("at %#lx: %#lx, not %#lx", (unsigned long)rows[i].vaddr,
				 (unsigned long)rule, (unsigned long)rows[i].rule);
	}
	vec_deinit(&got.items);
	flow_destroy(f);
}

static uint64_t above(uint32_t base, int64_t offset, int64_t bp_at)
{
	struct unwind_rule r = { .kind = UNWIND_RULE_REG, .base = base, .offset = offset };

	r.bp_kind = bp_at ? UNWIND_BP_AT_CFA : UNWIND_BP_SAME;
	r.bp_offset = bp_at;
	return unwind_rule_pack(&r);
}

#define EXPECT(bytes, rows) expect(bytes, sizeof(bytes), rows, ARRAY_SIZE(rows))

/* push %rax; call; pop %rcx; ret: main of a Rust program that aborts on panics */
static void test_pushed(void **state)
{
	static const uint8_t bytes[] = { 0x50, 0xe8, 0x00, 0x10, 0x00, 0x00, 0x59, 0xc3 };
	const struct row rows[] = { { 0x1000, above(7, 8, 0) },
				    { 0x1001, above(7, 16, 0) },
				    { 0x1006, above(7, 16, 0) },
				    { 0x1007, above(7, 8, 0) } };

	EXPECT(bytes, rows);
}

/* push %rbp; mov %rsp,%rbp; and $-64,%rsp; mov %rbp,%rsp; pop %rbp; ret */
static void test_realigned(void **state)
{
	static const uint8_t bytes[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4,
					 0xc0, 0x48, 0x89, 0xec, 0x5d, 0xc3 };
	const struct row rows[] = { { 0x1001, above(7, 16, -16) },
				    { 0x1004, above(7, 16, -16) },
				    { 0x1008, above(6, 16, -16) },
				    { 0x100b, above(7, 16, -16) },
				    { 0x100c, above(7, 8, 0) } };

	EXPECT(bytes, rows);
}

/* sub $24,%rsp; jmp *%rax; and a case of it: add $24,%rsp; ret. The first alone proves nothing. */
static void test_case(void **state)
{
	static const uint8_t bytes[] = { 0x48, 0x83, 0xec, 0x18, 0x85, 0xff, 0x74, 0x02,
					 0xff, 0xe0, 0x48, 0x83, 0xc4, 0x18, 0xc3, 0xcc,
					 0x31, 0xc0, 0x48, 0x83, 0xc4, 0x18, 0xc3 };
	const struct row rows[] = { { 0x1008, above(7, 32, 0) },
				    { 0x100e, above(7, 8, 0) },
				    { 0x1010, above(7, 32, 0) },
				    { 0x1016, above(7, 8, 0) } };

	EXPECT(bytes, rows);
}

/* What cannot be a function from its first byte on has no rows. */
static void test_refused(void **state)
{
	static const uint8_t unbalanced[] = { 0x50, 0x31, 0xc0, 0xc3 }; /* push; ...; ret */
	static const uint8_t returns_elsewhere[] = { 0x48, 0x89, 0x04, 0x24,
						     0xc3 }; /* over its own */
	static const uint8_t own_address[] = { 0xe8, 0x00, 0x00, 0x00, 0x00, 0x58, 0xc3 };
	static const uint8_t other_stack[] = { 0x48, 0x89, 0xfc, 0xc3 }; /* mov %rdi,%rsp */
	static const uint8_t keeps_bp[] = { 0x48, 0x31, 0xed, 0xc3 };	 /* xor %rbp,%rbp */
	static const uint8_t tail[] = { 0x31, 0xc0, 0xe9, 0x00, 0x10, 0x00, 0x00 };
	const struct row none[] = { { 0x1000, UNWIND_RULE_INVALID },
				    { 0x1001, UNWIND_RULE_INVALID },
				    { 0x1002, UNWIND_RULE_INVALID } };

	EXPECT(unbalanced, none);
	EXPECT(returns_elsewhere, none);
	EXPECT(own_address, none);
	EXPECT(other_stack, none);
	EXPECT(keeps_bp, none);
	EXPECT(tail, none);
}

/* A call that does not come back, with the next function right behind it: that is not a part of the
 * first. sub $8,%rsp; call; then push %rbx; ...; pop %rbx; ret */
static void test_never_comes_back(void **state)
{
	static const uint8_t bytes[] = { 0x85, 0xff, 0x75, 0x01, 0xc3, 0x48, 0x83, 0xec,
					 0x08, 0xe8, 0x00, 0x10, 0x00, 0x00, 0x53, 0x31,
					 0xdb, 0x5b, 0xc3, 0xe8, 0xf6, 0xff, 0xff, 0xff };
	const struct row rows[] = { { 0x1009, above(7, 16, 0) },
				    { 0x100e, above(7, 8, 0) },
				    { 0x100f, above(7, 16, 0) } };

	EXPECT(bytes, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),	  cmocka_unit_test(test_pushed),
		cmocka_unit_test(test_realigned), cmocka_unit_test(test_case),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_never_comes_back),
	};

	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
