/* profiler/process: how much memory the control groups leave, from files as kernels write them. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "profiler/process/memory.h"

static char top[] = "/tmp/cprof-memory-XXXXXX";

static void write_file(const char *folder, const char *name, const char *text)
{
	char *path = mem_printf("%s/%s/%s", top, folder, name), *slash;

	for (char *at = path + strlen(top) + 1; (slash = strchr(at, '/')); at = slash + 1) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	FILE *out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	free(path);
}

static uint64_t left(const char *own, const char *root, const char *folder, const char *controller)
{
	struct proc_cgroup_mounts mounts = { 0 };
	uint64_t bytes;

	vec_push(&mounts.items, (struct proc_cgroup_mount){
					.point = mem_printf("%s/%s", top, folder),
					.root = mem_strdup(root),
					.controller = controller ? mem_strdup(controller) : NULL,
				});
	bytes = proc_memory_left_in_groups(own, &mounts);
	proc_cgroup_mounts_deinit(&mounts);
	return bytes;
}

static int set_up(void **state)
{
	if (!mkdtemp(top))
		return -1;
	/* version 2: the root has no files */
	write_file("v2/app", "memory.max", "max\n");
	write_file("v2/app", "memory.current", "500\n");
	write_file("v2/app/unit", "memory.max", "1000\n");
	write_file("v2/app/unit", "memory.current", "900\n");
	write_file("v2/app/unit", "memory.stat",
		   "anon 500\nfile 400\ninactive_file 100\nactive_file 250\n");
	write_file("v2/app/unit/inner", "memory.max", "400\n");
	write_file("v2/app/unit/inner", "memory.current", "150\n");
	write_file("v2/full", "memory.max", "1000\n");
	write_file("v2/full", "memory.current", "1010\n");
	/* version 1: no limit is a number */
	write_file("v1", "memory.limit_in_bytes", "9223372036854771712\n");
	write_file("v1", "memory.usage_in_bytes", "123456\n");
	write_file("v1/box", "memory.limit_in_bytes", "5000\n");
	write_file("v1/box", "memory.usage_in_bytes", "3000\n");
	write_file(
		"v1/box", "memory.stat",
		"inactive_file 7\nactive_file 7\ntotal_inactive_file 400\ntotal_active_file 600\n");
	return 0;
}

static int tear_down(void **state)
{
	char *command = mem_printf("rm -r '%s'", top);
	int status = system(command);

	free(command);
	return status;
}

static void the_tightest_group_above_counts(void **state)
{
	assert_int_equal(left("0::/app/unit\n", "/", "v2", NULL), 450);
	assert_int_equal(left("0::/app/unit/inner\n", "/", "v2", NULL), 250);
	assert_int_equal(left("0::/app/unit/deeper/still\n", "/", "v2", NULL), 450);
	assert_true(left("0::/app\n", "/", "v2", NULL) == UINT64_MAX);
	assert_true(left("0::/\n", "/", "v2", NULL) == UINT64_MAX);
	assert_int_equal(left("0::/full", "/", "v2", NULL), 0);
}

static void version_1_has_a_controller(void **state)
{
	const char *own = "9:name=systemd:/x\n7:cpu,memory:/box\n0::/app/unit\n";

	assert_int_equal(left(own, "/", "v1", "rw,memory"), 3000);
	assert_true(left(own, "/", "v1", "rw,cpuset") == UINT64_MAX);
	assert_true(left("7:memory:/", "/", "v1", "rw,memory") == UINT64_MAX);
	assert_true(left("7:memory2:/box", "/", "v1", "rw,memory") == UINT64_MAX);
}

static void a_container_sees_a_part_of_the_tree(void **state)
{
	/* the mount's root is the container's group, known by its path in the whole tree */
	assert_int_equal(left("0::/docker/1/inner", "/docker/1", "v2/app/unit", NULL), 250);
	assert_int_equal(left("0::/docker/1", "/docker/1", "v2/app/unit", NULL), 450);
	/* by another namespace's path, or from outside of the mount */
	assert_int_equal(left("0::/", "/docker/1", "v2/app/unit", NULL), 450);
	assert_int_equal(left("0::/docker/12", "/docker/1", "v2/app/unit", NULL), 450);
	assert_int_equal(left("0::/../../full", "/", "v2/app/unit", NULL), 450);
}

static void nonsense_is_no_limit(void **state)
{
	static const char *const texts[] = { "",    "\n",   "0",      "0:",
					     "0::", "::::", "memory", "7:memory" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		left(texts[i], "/", "v1", "rw,memory");
		assert_true(left(texts[i], "/", "v2", NULL) == UINT64_MAX);
	}
	assert_true(left("0::/app/unit", "/", "nowhere", NULL) == UINT64_MAX);
	assert_in_range(proc_memory_left(), 1 << 20, UINT64_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tightest_group_above_counts),
		cmocka_unit_test(version_1_has_a_controller),
		cmocka_unit_test(a_container_sees_a_part_of_the_tree),
		cmocka_unit_test(nonsense_is_no_limit),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
