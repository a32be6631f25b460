/* The profile and the call tree. */
#include "tests/unit/unit.h"

#include "base/buf.h"
#include "flamegraph/model/calltree.h"

static uint32_t push_name(struct profile *p, uint32_t stack, const char *name, enum frame_kind kind)
{
	return profile_push(p, stack, profile_name_location(p, profile_string(p, name), kind));
}

/* "a;b;c" as a stack of name locations. */
static uint32_t stack_of(struct profile *p, const char *names)
{
	uint32_t stack = 0;
	char *copy = mem_strdup(names), *save = NULL;

	for (char *s = strtok_r(copy, ";", &save); s; s = strtok_r(NULL, ";", &save))
		stack = push_name(p, stack, s, FRAME_USER);
	free(copy);
	return stack;
}

static void add(struct profile *p, const char *names, uint32_t labels, int64_t value)
{
	profile_add_sample(p, stack_of(p, names), labels, &value);
}

static uint32_t comm_labels(struct profile *p, const char *comm)
{
	struct profile_label l = { .key = profile_string(p, PROFILE_LABEL_COMM),
				   .str = profile_string(p, comm) };

	return profile_intern_labels(p, &l, 1);
}

/* The tree as "name self/total(children...)", so that a whole tree is one comparison. */
static void print_tree(const struct calltree *t, uint32_t node, struct buf *out)
{
	const struct calltree_node *n = &t->nodes.items[node];

	buf_printf(out, "%s %lld/%lld", calltree_name(t, node), (long long)n->self,
		   (long long)n->total);
	if (!n->first_child)
		return;
	buf_add_str(out, "(");
	for (uint32_t c = n->first_child; c; c = t->nodes.items[c].next_sibling) {
		assert_int_equal(t->nodes.items[c].parent, node);
		assert_true(c > node);
		print_tree(t, c, out);
		if (t->nodes.items[c].next_sibling)
			buf_add_str(out, ", ");
	}
	buf_add_str(out, ")");
}

static void assert_tree(const struct profile *p, struct calltree_options o, const char *expected)
{
	struct calltree t;
	struct buf out = { 0 };

	calltree_build(&t, p, &o);
	print_tree(&t, 0, &out);
	assert_string_equal(buf_str(&out), expected);
	buf_deinit(&out);
	calltree_deinit(&t);
}

static void types_are_found_as_typed(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	profile_add_type(&p, "offcpu", "nanoseconds");
	profile_add_type(&p, "LLC_load_misses", "count");
	assert_int_equal(profile_find_type(&p, "samples"), 0);
	assert_int_equal(profile_find_type(&p, "off-cpu"), 1);
	assert_int_equal(profile_find_type(&p, "LLC-load-misses"), 2);
	assert_int_equal(profile_find_type(&p, "LLC_load_misses"), 2);
	assert_int_equal(profile_find_type(&p, "sample"), -1);
	assert_int_equal(profile_find_type(&p, ""), -1);
	profile_deinit(&p);
}

static void equal_things_have_one_id(void **state)
{
	struct profile p;
	struct profile_label ab[2], ba[2];
	struct profile_function f = { .name = 7, .file = 3, .start_line = 12 };

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	uint32_t first = profile_intern_function(&p, &f);
	assert_int_equal(profile_intern_function(&p, &f), first);
	f.start_line = 13;
	assert_int_not_equal(profile_intern_function(&p, &f), first);

	ab[0] = (struct profile_label){ .key = profile_string(&p, "b"), .num = 4 };
	ab[1] = (struct profile_label){ .key = profile_string(&p, "a"),
					.str = profile_string(&p, "x") };
	ba[0] = ab[1];
	ba[1] = ab[0];
	uint32_t set = profile_intern_labels(&p, ab, 2);
	assert_int_equal(profile_intern_labels(&p, ba, 2), set);
	assert_int_equal(profile_intern_labels(&p, NULL, 0), 0);
	assert_string_equal(profile_text(&p, p.labels.items[p.label_sets.items[set].first].key),
			    "a");
	assert_int_equal(profile_find_label(&p, set, "b")->num, 4);
	assert_null(profile_find_label(&p, set, "c"));
	assert_null(profile_find_label(&p, 0, "a"));

	assert_int_equal(stack_of(&p, "main;f"), stack_of(&p, "main;f"));
	uint32_t kernel = push_name(&p, stack_of(&p, "main"), "f", FRAME_KERNEL);
	assert_int_not_equal(kernel, stack_of(&p, "main;f"));
	profile_deinit(&p);
}

static void samples_of_one_stack_are_summed(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	add(&p, "a;b", 0, 1);
	add(&p, "a;b", 0, 2);
	add(&p, "a;b", comm_labels(&p, "x"), 4);
	assert_int_equal(p.samples.count, 2);
	assert_int_equal(profile_total(&p, 0), 7);
	add(&p, "a;b", 0, INT64_MAX);
	assert_true(profile_total(&p, 0) == INT64_MAX);
	profile_deinit(&p);
}

static void children_are_sorted_and_totals_add_up(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	add(&p, "main;b", 0, 1);
	add(&p, "main;ab", 0, 2);
	add(&p, "main", 0, 3);
	add(&p, "main;a;x", 0, 4);
	add(&p, "main;\xff", 0, 5);
	add(&p, "gone;x", 0, 0);
	assert_tree(&p, (struct calltree_options){ 0 },
		    " 0/15(main 3/15(a 0/4(x 4/4), ab 2/2, b 1/1, \xff 5/5))");
	assert_tree(&p, (struct calltree_options){ .reverse = true },
		    " 0/15(ab 0/2(main 2/2), b 0/1(main 1/1), main 3/3, x 0/4(a 0/4(main 4/4)), "
		    "\xff 0/5(main 5/5))");
	profile_deinit(&p);
}

static void the_process_is_the_root(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	uint32_t x = comm_labels(&p, "x"), y = comm_labels(&p, "y");
	add(&p, "main;f", y, 1);
	add(&p, "main;f", x, 2);
	add(&p, "main", y, 4);
	assert_tree(&p, (struct calltree_options){ 0 },
		    " 0/7(x 0/2(main 0/2(f 2/2)), y 0/5(main 4/5(f 1/1)))");
	assert_tree(&p, (struct calltree_options){ .root = CALLTREE_ROOT_NONE },
		    " 0/7(main 4/7(f 3/3))");
	assert_tree(&p, (struct calltree_options){ .root = CALLTREE_ROOT_PID },
		    " 0/7(x-? 0/2(main 0/2(f 2/2)), y-? 0/5(main 4/5(f 1/1)))");
	assert_tree(&p, (struct calltree_options){ .reverse = true },
		    " 0/7(f 0/3(main 0/3(x 2/2, y 1/1)), main 0/4(y 4/4))");

	/* A sample without a process whose stack starts with the name of one. */
	add(&p, "x;main", 0, 8);
	assert_tree(&p, (struct calltree_options){ 0 },
		    " 0/15(x 0/10(main 8/10(f 2/2)), y 0/5(main 4/5(f 1/1)))");
	profile_deinit(&p);
}

static void threads_stand_below_the_process(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	struct profile_label l[3] = {
		{ .key = profile_string(&p, "comm"), .str = profile_string(&p, "app") },
		{ .key = profile_string(&p, "thread"), .str = profile_string(&p, "worker") },
		{ .key = profile_string(&p, "tid"), .num = 12, .unit = profile_string(&p, "id") },
	};
	add(&p, "f", profile_intern_labels(&p, l, 3), 1);
	assert_tree(&p, (struct calltree_options){ .root = CALLTREE_ROOT_THREAD },
		    " 0/1(app 0/1(worker-12 0/1(f 1/1)))");
	profile_deinit(&p);
}

static void inlined_lines_are_frames(void **state)
{
	struct profile p;
	struct profile_line lines[2] = { 0 };
	struct profile_function f = { 0 };
	struct calltree t;
	int64_t one = 1;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	f.name = profile_string(&p, "inner");
	lines[0].function = profile_intern_function(&p, &f);
	f.name = profile_string(&p, "outer");
	lines[1].function = profile_intern_function(&p, &f);
	/* Two addresses of one function: one node. */
	for (uint64_t address = 1; address <= 2; address++) {
		struct profile_location l = { .address = address };
		uint32_t location = profile_add_location(&p, &l, lines, 2);
		profile_add_sample(&p, profile_push(&p, stack_of(&p, "main"), location), 0, &one);
	}
	assert_tree(&p, (struct calltree_options){ 0 }, " 0/2(main 0/2(outer 0/2(inner 2/2)))");
	assert_tree(&p, (struct calltree_options){ .reverse = true },
		    " 0/2(inner 0/2(outer 0/2(main 2/2)))");

	calltree_build(&t, &p, &(struct calltree_options){ 0 });
	assert_false(t.nodes.items[2].inlined);
	assert_true(t.nodes.items[3].inlined);
	assert_int_equal(t.max_depth, 3);
	calltree_deinit(&t);
	profile_deinit(&p);
}

static void deep_stacks_keep_their_depth(void **state)
{
	struct profile p;
	struct calltree t;
	uint32_t stack = 0;
	int64_t one = 1;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	for (int i = 0; i < 100000; i++)
		stack = push_name(&p, stack, i % 2 ? "odd" : "even", FRAME_USER);
	profile_add_sample(&p, stack, 0, &one);
	for (int reverse = 0; reverse < 2; reverse++) {
		calltree_build(&t, &p, &(struct calltree_options){ .reverse = reverse });
		assert_int_equal(t.max_depth, 100000);
		assert_int_equal(vec_last(&t.nodes)->depth, 100000);
		assert_int_equal(t.nodes.items[0].total, 1);
		calltree_deinit(&t);
	}
	profile_deinit(&p);
}

static void an_empty_profile_has_a_root(void **state)
{
	struct profile p;

	profile_init(&p);
	profile_add_type(&p, "samples", "count");
	assert_tree(&p, (struct calltree_options){ 0 }, " 0/0");
	/* A sample with an empty stack is the root's own. */
	add(&p, "", 0, 3);
	assert_tree(&p, (struct calltree_options){ 0 }, " 3/3");
	profile_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(types_are_found_as_typed),
		cmocka_unit_test(equal_things_have_one_id),
		cmocka_unit_test(samples_of_one_stack_are_summed),
		cmocka_unit_test(children_are_sorted_and_totals_add_up),
		cmocka_unit_test(the_process_is_the_root),
		cmocka_unit_test(threads_stand_below_the_process),
		cmocka_unit_test(inlined_lines_are_frames),
		cmocka_unit_test(deep_stacks_keep_their_depth),
		cmocka_unit_test(an_empty_profile_has_a_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
