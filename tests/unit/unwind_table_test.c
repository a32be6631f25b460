/* The compiled tables of varied real files against libdw, and hand-written programs against the
 * rules that DWARF says they have. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle),
	};

	elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
