/* profiler/process/cgroup: groups as people type them, on hand-made lists of mounts and on the
 * machine's own. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/process/cgroup.h"

static void mounts_of_a_hybrid_machine(void **state)
{
	static const char mountinfo[] =
		"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
		"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup "
		"rw,memory\n"
		"40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
		"41 31 0:38 /a\\040b /mnt/with\\040blank\\134 rw shared:1 master:2 - cgroup2 none "
		"rw\n"
		"broken\n"
		"42 31 0:39 / /cgroup2 rw -";
	struct proc_cgroup_mounts m;

	(void)state;
	proc_cgroup_mounts_parse(mountinfo, &m);
	assert_int_equal(m.items.count, 3);
	assert_string_equal(m.items.items[0].point, "/sys/fs/cgroup/memory");
	assert_string_equal(m.items.items[0].controller, "rw,memory");
	assert_string_equal(m.items.items[1].controller, "rw,xattr,name=systemd");
	assert_string_equal(m.items.items[2].point, "/mnt/with blank\\");
	assert_string_equal(m.items.items[2].root, "/a b");
	assert_null(m.items.items[2].controller);
	proc_cgroup_mounts_deinit(&m);
}

/* --- this machine's own --- */

struct tree {
	char *top;   /* the mount */
	char *group; /* "/cprof-test-PID": a group of ours */
	char *v1;    /* a mount of the first version, or NULL */
};

static int setup(void **state)
{
	struct tree *t = mem_calloc(1, sizeof(*t));
	struct proc_cgroup_mounts m = { 0 };
	char *text = NULL;

	*state = t;
	assert_no_error(file_read_proc("/proc/self/mountinfo", 1 << 20, &text, NULL));
	proc_cgroup_mounts_parse(text, &m);
	free(text);
	for (size_t i = 0; i < m.items.count; i++) {
		char **place = m.items.items[i].controller ? &t->v1 : &t->top;

		if (!*place)
			*place = mem_strdup(m.items.items[i].point);
	}
	proc_cgroup_mounts_deinit(&m);
	if (!t->top)
		return 0;
	t->group = mem_printf("/cprof-test-%d", getpid());

	CLEANUP(mem_cleanup) char *outer = mem_printf("%s%s", t->top, t->group);
	CLEANUP(mem_cleanup) char *inner = mem_printf("%s/inner", outer);

	if (mkdir(outer, 0755) != 0 || mkdir(inner, 0755) != 0) {
		free(t->group);
		t->group = NULL;
	}
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	if (t->group) {
		CLEANUP(mem_cleanup) char *outer = mem_printf("%s%s", t->top, t->group);
		CLEANUP(mem_cleanup) char *inner = mem_printf("%s/inner", outer);

		rmdir(inner);
		rmdir(outer);
	}
	free(t->group);
	free(t->top);
	free(t->v1);
	free(t);
	return 0;
}

static void skip_without_group(const struct tree *t)
{
	if (!t->group)
		skip_because("no cgroup2 mount where a group can be made");
}

static void check_found(const char *path, const char *name, uint64_t inode)
{
	struct proc_cgroup g;
	struct stat st;

	assert_no_error(proc_cgroup_find(path, &g));
	assert_string_equal(g.name, name);
	assert_int_equal(stat(g.folder, &st), 0);
	assert_int_equal(st.st_ino, inode);
	free(g.folder);
	free(g.name);
}

static void every_spelling_of_a_group(void **state)
{
	const struct tree *t = *state;
	struct stat st, top;

	skip_without_group(t);

	CLEANUP(mem_cleanup) char *inner = mem_printf("%s/inner", t->group);
	CLEANUP(mem_cleanup) char *full = mem_printf("%s%s/", t->top, inner);
	CLEANUP(mem_cleanup) char *line = mem_printf("0::%s", inner);
	CLEANUP(mem_cleanup) char *detour = mem_printf("%s/../%s", inner, "inner");
	char before[4096];

	assert_int_equal(stat(full, &st), 0);
	check_found(inner, inner, st.st_ino);
	check_found(inner + 1, inner, st.st_ino);
	check_found(full, inner, st.st_ino);
	check_found(line, inner, st.st_ino);
	check_found(detour, inner, st.st_ino);
	assert_int_equal(stat(t->top, &top), 0);
	check_found("/", "/", top.st_ino);
	check_found("0::/", "/", top.st_ino);
	check_found(t->top, "/", top.st_ino);

	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(full), 0);
	check_found(".", inner, st.st_ino);
	assert_int_equal(stat("..", &st), 0);
	check_found("..", t->group, st.st_ino);
	assert_int_equal(chdir(before), 0);
}

static void check_refused(const char *path, enum error_code code, const char *words)
{
	struct proc_cgroup g;
	struct error *err = proc_cgroup_find(path, &g);

	assert_non_null(err);
	if (!strstr(error_message(err), words))
		fail_msg("\"%s\" does not say \"%s\"", error_message(err), words);
	assert_int_equal(error_code_of(err), code);
	assert_non_null(error_hint_of(err));
	error_free(err);
}

static void what_is_no_group(void **state)
{
	const struct tree *t = *state;

	check_refused("", ERR_USAGE, "empty");
	check_refused("4:memory:/app", ERR_UNSUPPORTED, "cgroup v1");
	skip_without_group(t);

	CLEANUP(mem_cleanup) char *file = mem_printf("%s%s/cgroup.procs", t->top, t->group);

	check_refused(file, ERR_USAGE, "a file of a cgroup");
	check_refused("no-such-group", ERR_NOT_FOUND, "there is no cgroup no-such-group");
	check_refused("/no/such/group", ERR_NOT_FOUND, "there is no cgroup /no/such/group");
	check_refused("0::/no/such", ERR_NOT_FOUND, "there is no cgroup");
	check_refused("../../../tmp", ERR_NOT_FOUND, "there is no cgroup");
	check_refused("/tmp", ERR_NOT_FOUND, "there is no cgroup /tmp");
}

static void groups_of_the_first_version(void **state)
{
	const struct tree *t = *state;

	if (!t->v1)
		skip_because("no cgroup v1 is mounted here");
	check_refused(t->v1, ERR_UNSUPPORTED, "is a group of cgroup v1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mounts_of_a_hybrid_machine),
		cmocka_unit_test_setup_teardown(every_spelling_of_a_group, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_group, setup, teardown),
		cmocka_unit_test_setup_teardown(groups_of_the_first_version, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
