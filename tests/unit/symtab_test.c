/* Which symbol is at an address: the rules, on tables made here; kallsyms and perf maps as texts.
 */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "symbolizer/kallsyms.h"
#include "symbolizer/perf_map.h"
#include "symbolizer/symbolizer.h"
#include "symbolizer/symtab.h"

/* --- tables made here --- */

struct made {
	struct symtab t;
	struct buf names;
};

static void made_init(struct made *m)
{
	*m = (struct made){ 0 };
	buf_reserve(&m->names, 4096);
	buf_add_char(&m->names, '\0');
	symtab_add_strings(&m->t, m->names.data, 4096);
	memset(m->names.data, 0, 4096);
}

static void made_deinit(struct made *m)
{
	symtab_deinit(&m->t);
	buf_deinit(&m->names);
}

static void add(struct made *m, uint64_t start, uint64_t size, uint64_t limit,
		enum symbol_binding binding, const char *name)
{
	uint32_t at = (uint32_t)m->names.len;

	buf_add(&m->names, name, strlen(name) + 1);
	assert_true(m->names.len < 4096);
	symtab_add(&m->t, start, size, limit, binding, 0, at);
}

static const char *name_at(const struct made *m, uint64_t address)
{
	static char name[256];
	size_t near = 0, len;
	const struct symbol *s = symtab_find(&m->t, address, &near);

	if (!s)
		return NULL;
	const char *found = symtab_name(&m->t, s, &len);
	snprintf(name, sizeof(name), "%.*s%s", (int)len, found, s->is_folded ? " [icf]" : "");
	return name;
}

#define ASSERT_NAME(m, address, expected) assert_string_equal(name_at(m, address), expected)

static void test_covering(void **state)
{
	struct made m;

	made_init(&m);
	add(&m, 0x200, 0x10, 0, SYMBOL_GLOBAL, "second");
	add(&m, 0x100, 0x10, 0, SYMBOL_GLOBAL, "first");
	symtab_finish(&m.t);
	assert_null(name_at(&m, 0xff));
	ASSERT_NAME(&m, 0x100, "first");
	ASSERT_NAME(&m, 0x10f, "first");
	assert_null(name_at(&m, 0x110));
	ASSERT_NAME(&m, 0x20f, "second");
	assert_null(name_at(&m, 0x210));
	made_deinit(&m);
}

static void test_size_zero(void **state)
{
	struct made m;

	made_init(&m);
	add(&m, 0x100, 0, 0x1000, SYMBOL_GLOBAL, "to_the_next");
	add(&m, 0x200, 0x10, 0, SYMBOL_GLOBAL, "sized");
	add(&m, 0x208, 0, 0x1000, SYMBOL_LOCAL, "label_inside");
	add(&m, 0x300, 0, 0x320, SYMBOL_GLOBAL, "to_the_section");
	add(&m, 0x400, 0, 0x400, SYMBOL_GLOBAL, "dynamic");
	add(&m, UINT64_MAX - 1, 0, UINT64_MAX, SYMBOL_GLOBAL, "last_but_one");
	add(&m, UINT64_MAX, 0, UINT64_MAX, SYMBOL_GLOBAL, "no_end");
	symtab_finish(&m.t);
	ASSERT_NAME(&m, 0x1ff, "to_the_next");
	ASSERT_NAME(&m, 0x208, "sized");
	assert_null(name_at(&m, 0x210));
	ASSERT_NAME(&m, 0x31f, "to_the_section");
	assert_null(name_at(&m, 0x320));
	ASSERT_NAME(&m, 0x400, "dynamic");
	assert_null(name_at(&m, 0x401));
	ASSERT_NAME(&m, UINT64_MAX - 1, "last_but_one");
	assert_null(name_at(&m, UINT64_MAX));
	made_deinit(&m);
}

static void test_nesting(void **state)
{
	struct made m;

	made_init(&m);
	add(&m, 0x100, 0x100, 0, SYMBOL_GLOBAL, "outer");
	add(&m, 0x120, 0x10, 0, SYMBOL_LOCAL, "inner");
	add(&m, 0x140, 0x200, 0, SYMBOL_LOCAL, "overlapping");
	symtab_finish(&m.t);
	ASSERT_NAME(&m, 0x110, "outer");
	ASSERT_NAME(&m, 0x120, "inner");
	ASSERT_NAME(&m, 0x130, "outer");
	ASSERT_NAME(&m, 0x150, "overlapping");
	ASSERT_NAME(&m, 0x33f, "overlapping");
	assert_null(name_at(&m, 0x340));
	made_deinit(&m);
}

static void test_aliases(void **state)
{
	struct made m;

	made_init(&m);
	/* sized, then binding, then no odd prefix, then shorter, then bytes */
	add(&m, 0x100, 0, 0x200, SYMBOL_GLOBAL, "unsized");
	add(&m, 0x100, 0x10, 0, SYMBOL_LOCAL, "sized");
	add(&m, 0x200, 0x10, 0, SYMBOL_WEAK, "read");
	add(&m, 0x200, 0x10, 0, SYMBOL_GLOBAL, "__read");
	add(&m, 0x200, 0x10, 0, SYMBOL_LOCAL, "rd");
	add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "__stpcpy");
	add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "stpcpy_long");
	add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "stpcpyb");
	add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "stpcpya");
	/* a version is no part of a name */
	add(&m, 0x400, 0x10, 0, SYMBOL_GLOBAL, "memcpy@@GLIBC_2.14");
	symtab_finish(&m.t);
	ASSERT_NAME(&m, 0x100, "sized");
	ASSERT_NAME(&m, 0x200, "__read");
	ASSERT_NAME(&m, 0x300, "stpcpya");
	ASSERT_NAME(&m, 0x400, "memcpy");
	made_deinit(&m);
}

/* The answer must not depend on the order of the table. */
static void test_alias_order_is_fixed(void **state)
{
	static const char *const names[] = { "beta", "__alpha", "alpha", "gamma_long", "delta" };

	for (size_t first = 0; first < ARRAY_SIZE(names); first++) {
		struct made m;
		made_init(&m);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			add(&m, 0x100, 0x10, 0, SYMBOL_GLOBAL,
			    names[(first + i) % ARRAY_SIZE(names)]);
		symtab_finish(&m.t);
		ASSERT_NAME(&m, 0x100, "beta");
		made_deinit(&m);
	}
}

static void test_folded(void **state)
{
	for (int folds = 0; folds < 2; folds++) {
		struct made m;
		made_init(&m);
		m.t.linker_folds = folds;
		add(&m, 0x100, 0x10, 0, SYMBOL_WEAK, "_ZN1A1fEv");
		add(&m, 0x100, 0x10, 0, SYMBOL_WEAK, "_ZN1B1fEv");
		/* kinds of one constructor; two versions of one name */
		add(&m, 0x200, 0x10, 0, SYMBOL_WEAK, "_ZN1AC1Ev");
		add(&m, 0x200, 0x10, 0, SYMBOL_WEAK, "_ZN1AC2Ev");
		add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "_Z1fv");
		add(&m, 0x300, 0x10, 0, SYMBOL_GLOBAL, "_Z1fv@@V1");
		add(&m, 0x400, 0x10, 0, SYMBOL_WEAK, "read");
		add(&m, 0x400, 0x10, 0, SYMBOL_GLOBAL, "__read");
		add(&m, 0x500, 0x10, 0, SYMBOL_GLOBAL, "add_one");
		add(&m, 0x500, 0x10, 0, SYMBOL_GLOBAL, "increment");
		symtab_finish(&m.t);
		ASSERT_NAME(&m, 0x100, "_ZN1A1fEv [icf]");
		ASSERT_NAME(&m, 0x200, "_ZN1AC1Ev");
		ASSERT_NAME(&m, 0x300, "_Z1fv");
		ASSERT_NAME(&m, 0x400, "__read");
		ASSERT_NAME(&m, 0x500, folds ? "add_one [icf]" : "add_one");
		made_deinit(&m);
	}
}

/* Many symbols take the other way of sorting; both must agree with looking at each. */
static void test_many(void **state)
{
	enum { N = 20000 };
	struct symtab t = { 0 };
	uint64_t seed = 1, *starts = mem_alloc(N * sizeof(*starts));
	size_t near = 0;

	symtab_add_strings(&t, "\0x", 3);
	for (int i = 0; i < N; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		starts[i] = (seed >> 20 & 0xffffff) * 64;
		symtab_add(&t, starts[i], 32, 0, SYMBOL_GLOBAL, 0, 1);
	}
	symtab_finish(&t);
	for (size_t i = 1; i < t.symbols.count; i++)
		assert_true(t.symbols.items[i - 1].start < t.symbols.items[i].start);
	for (int i = 0; i < N; i++) {
		/* in any order, not only ascending */
		const struct symbol *s = symtab_find(&t, starts[i] + 31, &near);
		assert_non_null(s);
		assert_int_equal(s->start, starts[i]);
		assert_null(symtab_find(&t, starts[i] + 32, &near));
	}
	symtab_deinit(&t);
	free(starts);
}

/* --- kallsyms --- */

static void check_kernel(const struct symtab *t, uint64_t address, const char *expected)
{
	size_t near = 0, len;
	const struct symbol *s = symtab_find(t, address, &near);

	if (!expected) {
		assert_null(s);
		return;
	}
	assert_non_null(s);
	assert_string_equal(symtab_name(t, s, &len), expected);
}

static void test_kallsyms(void **state)
{
	char text[] = "0000000000000000 A fixed_percpu_data\n"
		      "ffffffff81000000 T _text\n"
		      "ffffffff81000100 t __pfx_do_one\n"
		      "ffffffff81000110 t do_one\n"
		      "ffffffff81000110 T do_one_alias\n"
		      "ffffffff81000150 t $x\n"
		      "ffffffff81000200 W weak_one\n"
		      "ffffffff81000300 D data\n"
		      "ffffffff81000400 d more_data\n"
		      "not a line\n"
		      "ffffffffc0000000 t init_one\t[ext4]\n"
		      "ffffffffc0000040 r table\t[ext4]\n"
		      "ffffffffc0100000 t bpf_prog_6deef7357e7b4530_sd\t[bpf]\n"
		      "ffffffff81000280 t half";
	struct symtab t = { 0 };

	assert_true(kallsyms_parse(text, sizeof(text) - 1, &t));
	check_kernel(&t, 0, NULL);
	check_kernel(&t, 0xffffffff81000000, "_text");
	check_kernel(&t, 0xffffffff810000ff, "_text");
	check_kernel(&t, 0xffffffff81000100, NULL); /* padding */
	check_kernel(&t, 0xffffffff81000110, "do_one_alias");
	check_kernel(&t, 0xffffffff81000210, "weak_one");
	check_kernel(&t, 0xffffffff81000290, "half");
	check_kernel(&t, 0xffffffff81000350, NULL);
	check_kernel(&t, 0xffffffffc0000010, "init_one");
	check_kernel(&t, 0xffffffffc0000041, NULL);
	check_kernel(&t, 0xffffffffc0100123, "bpf_prog_6deef7357e7b4530_sd");
	/* nothing is known of what lies far behind the last symbol */
	check_kernel(&t, 0xffffffffc0110000, NULL);
	symtab_deinit(&t);
}

static void test_kallsyms_hidden(void **state)
{
	char text[] = "0000000000000000 T _text\n0000000000000000 t do_one\n";
	struct symtab t = { 0 };

	assert_false(kallsyms_parse(text, sizeof(text) - 1, &t));
	symtab_deinit(&t);
}

/* The kernel that runs: each of its functions by its own line. */
static void test_running_kernel(void **state)
{
	struct symbol_module *m;
	struct error *err = symbol_module_kernel(&m);
	struct symbol_result result;
	char line[1024], name[512], type, before[512] = "";
	unsigned long address;
	uint64_t addresses[1];
	struct symbol_chain chain;
	int checked = 0, n = 0;

	if (err) {
		assert_non_null(error_hint_of(err));
		print_message("skipped: %s\n", error_message(err));
		error_free(err);
		skip();
	}
	symbol_result_init(&result);
	FILE *f = fopen("/proc/kallsyms", "r");
	assert_non_null(f);
	unsigned long last = 0;
	while (fgets(line, sizeof(line), f) && checked < 500) {
		if (sscanf(line, "%lx %c %511s", &address, &type, name) != 3)
			continue;
		/* Only those that are alone at their address have one right name. */
		bool is_alone = address != last && *before;
		if (is_alone && last && n++ % 50 == 0) {
			addresses[0] = last;
			symbol_batch(m, addresses, 1, &chain, &result);
			assert_int_equal(chain.count, 1);
			assert_int_equal(chain.start, last);
			const char *got =
				intern_get(&result.strings, result.frames.items[chain.first].name);
			assert_string_equal(got, before);
			checked++;
		}
		before[0] = '\0';
		if (address != last && strchr("tT", type) && strncmp(name, "__pfx_", 6) != 0 &&
		    name[0] != '.')
			snprintf(before, sizeof(before), "%s", name);
		last = address;
	}
	fclose(f);
	assert_true(checked > 100);
	symbol_result_deinit(&result);
	symbol_module_close(m);
}

/* --- perf maps --- */

static const char *map_name(struct symbol_module *m, uint64_t address, uint64_t *ret_start)
{
	static char name[256];
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

static void test_perf_map(void **state)
{
	static const char text[] = "7f0000001000 100 plain\n"
				   "0x7f0000002000 0x80 LazyCompile:~a b /x y.js:1\n"
				   "7F0000003000 100 crlf\r\n"
				   "7f0000004000 1000 old\n"
				   "7f0000004100 100 new\n"
				   "7f0000004180 800 newer\n"
				   "7f0000001000 zz bad size\n"
				   "nonsense\n"
				   "\n"
				   "1000 ffffffffffffffff everything\n"
				   "fffffffffffffff0 20 wraps\n"
				   "7f0000005000 0 empty\n"
				   "7f0000006000 10 \n"
				   "7f0000007000 100 half a li";
	struct symbol_module *m = perf_map_parse(mem_dup(text, sizeof(text) - 1), sizeof(text) - 1);
	uint64_t start;

	assert_string_equal(map_name(m, 0x7f0000001000, &start), "plain");
	assert_string_equal(map_name(m, 0x7f00000010ff, &start), "plain");
	assert_int_equal(start, 0x7f0000001000);
	assert_string_equal(map_name(m, 0x7f0000001100, &start), "");
	assert_int_equal(start, 0x7f0000001100);
	assert_string_equal(map_name(m, 0x7f0000002010, NULL), "LazyCompile:~a b /x y.js:1");
	assert_string_equal(map_name(m, 0x7f0000003000, NULL), "crlf");
	/* a later line holds where both cover */
	assert_string_equal(map_name(m, 0x7f0000004000, NULL), "old");
	assert_string_equal(map_name(m, 0x7f0000004100, NULL), "new");
	assert_string_equal(map_name(m, 0x7f0000004190, NULL), "newer");
	assert_string_equal(map_name(m, 0x7f0000004980, &start), "old");
	assert_int_equal(start, 0x7f0000004000);
	/* sizes nobody has, lines that are none, the one that is still written */
	assert_string_equal(map_name(m, 0x2000, NULL), "");
	assert_string_equal(map_name(m, 0xfffffffffffffff5, NULL), "");
	assert_string_equal(map_name(m, 0x7f0000005000, NULL), "");
	assert_string_equal(map_name(m, 0x7f0000006000, NULL), "");
	assert_string_equal(map_name(m, 0x7f0000007000, NULL), "");
	symbol_module_close(m);

	m = perf_map_parse(NULL, 0);
	assert_string_equal(map_name(m, 1, NULL), "");
	symbol_module_close(m);
}

/* Random overlapping lines against looking at each of them. */
static void test_perf_map_overlaps(void **state)
{
	enum { LINES = 300, SPAN = 2000 };
	uint64_t start[LINES], size[LINES], seed = 7, addresses[SPAN];
	struct symbol_chain chains[SPAN];
	struct buf text = { 0 };
	struct symbol_result r;

	for (int i = 0; i < LINES; i++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		start[i] = seed >> 40 & 0x7ff;
		size[i] = 1 + (seed >> 20 & 0x7f);
		buf_printf(&text, "%llx %llx f%d\n", (unsigned long long)start[i],
			   (unsigned long long)size[i], i);
	}
	struct symbol_module *m = perf_map_parse(text.data, text.len);
	for (int a = 0; a < SPAN; a++)
		addresses[a] = (uint64_t)a;
	symbol_result_init(&r);
	symbol_batch(m, addresses, SPAN, chains, &r);
	for (int a = 0; a < SPAN; a++) {
		int expected = -1;
		for (int i = 0; i < LINES; i++)
			if ((uint64_t)a - start[i] < size[i])
				expected = i;
		assert_int_equal(chains[a].count, expected >= 0);
		if (expected < 0)
			continue;
		char name[16];
		snprintf(name, sizeof(name), "f%d", expected);
		assert_string_equal(intern_get(&r.strings, r.frames.items[chains[a].first].name),
				    name);
		assert_int_equal(chains[a].start, start[expected]);
	}
	symbol_result_deinit(&r);
	symbol_module_close(m);
}

static void test_perf_map_file(void **state)
{
	uint32_t pid = (uint32_t)getpid(), uid = getuid();
	char *path = mem_printf("/tmp/perf-%u.map", pid);
	struct symbol_module *m = NULL;

	struct error *err = symbol_module_perf_map(pid, pid, "", uid, &m);
	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	error_free(err);

	FILE *f = fopen(path, "wx");
	assert_non_null(f);
	fprintf(f, "1000 10 jitted\n");
	fclose(f);
	assert_no_error(symbol_module_perf_map(pid, pid, "", uid, &m));
	assert_string_equal(map_name(m, 0x1008, NULL), "jitted");
	symbol_module_close(m);
	/* the process calls itself by another number in its own namespace: found here */
	assert_no_error(symbol_module_perf_map(pid, 1, "/proc/self/root", uid, &m));
	assert_string_equal(map_name(m, 0x1008, NULL), "jitted");
	symbol_module_close(m);

	err = symbol_module_perf_map(pid, pid, "", uid + 1, &m);
	assert_int_equal(error_code_of(err), ERR_PERMISSION);
	assert_non_null(strstr(error_message(err), path));
	error_free(err);
	unlink(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_covering),
		cmocka_unit_test(test_size_zero),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_alias_order_is_fixed),
		cmocka_unit_test(test_folded),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_kallsyms),
		cmocka_unit_test(test_kallsyms_hidden),
		cmocka_unit_test(test_running_kernel),
		cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_perf_map_overlaps),
		cmocka_unit_test(test_perf_map_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
