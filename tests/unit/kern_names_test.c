/* Names of kernel addresses: what the kernel writes, and what it says beside /proc/kallsyms. */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "profiler/bpf/names.h"

static void a_name_comes_apart(void **state)
{
	uint64_t start;
	size_t len;

	assert_true(kern_name_parse("do_idle+0x10/0x80", 0xffffffff81000010, &start, &len));
	assert_int_equal(start, 0xffffffff81000000);
	assert_int_equal(len, strlen("do_idle"));
	assert_true(kern_name_parse("ext4_sync+0x0/0x8 [ext4]", 0xffffffffc0000000, &start, &len));
	assert_int_equal(start, 0xffffffffc0000000);
	assert_int_equal(len, strlen("ext4_sync"));
}

static void what_is_no_name_is_none(void **state)
{
	static const char *const none[] = {
		"", "0xffffffff81000010", "+0x10/0x80", "a+b", "a+0x10", "a+0x", "a+0x20/0x80"
	};
	uint64_t start;
	size_t len;

	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		assert_false(kern_name_parse(none[i], 0x10, &start, &len));
}

struct symbol {
	uint64_t address;
	char name[128];
};

/* Every so-manyth function of /proc/kallsyms. */
struct symbols {
	struct symbol *items;
	size_t count, capacity;
};

static void read_functions(struct symbols *ret)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[1024];
	unsigned int n = 0;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		struct symbol s;
		unsigned long long address;
		char type;

		if (sscanf(line, "%llx %c %127s", &address, &type, s.name) != 3 || !address ||
		    !strchr("tT", type) || strncmp(s.name, "__pfx_", 6) == 0)
			continue;
		s.address = address;
		if (n++ % 61 == 0)
			vec_push(ret, s);
	}
	fclose(f);
}

struct answers {
	struct symbols *symbols;
	size_t named, same;
};

static void take(void *context, size_t i, uint64_t start, const char *name, size_t len)
{
	struct answers *a = context;
	const struct symbol *s = &a->symbols->items[i];

	a->named++;
	assert_int_equal(start, s->address);
	a->same += strlen(s->name) == len && memcmp(s->name, name, len) == 0;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *l = a, *r = b;

	return (l->address > r->address) - (l->address < r->address);
}

static void the_kernel_says_what_its_list_says(void **state)
{
	struct symbols symbols = { 0 };
	struct answers answers = { .symbols = &symbols };
	struct kern_namer *namer;
	struct error *err = kern_namer_open(&namer);
	uint64_t *addresses;

	if (err) {
		print_message("%s\n", error_message(err));
		error_free(err);
		skip();
	}
	read_functions(&symbols);
	if (symbols.count < 100) {
		print_message("/proc/kallsyms shows no addresses\n");
		kern_namer_close(namer);
		free(symbols.items);
		skip();
	}
	qsort(symbols.items, symbols.count, sizeof(*symbols.items), by_address);
	addresses = calloc(symbols.count, sizeof(*addresses));
	for (size_t i = 0; i < symbols.count; i++)
		addresses[i] = symbols.items[i].address;
	assert_no_error(kern_namer_ask(namer, addresses, symbols.count, take, &answers));
	/* several names of one address: each says another of them */
	assert_in_range(answers.named, symbols.count * 99 / 100, symbols.count);
	assert_in_range(answers.same, symbols.count * 90 / 100, symbols.count);
	free(addresses);
	free(symbols.items);
	kern_namer_close(namer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_comes_apart),
		cmocka_unit_test(what_is_no_name_is_none),
		cmocka_unit_test(the_kernel_says_what_its_list_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
