/* profiler/process/: what is mapped where and when, for hand-made histories and for real processes.
 */
#include "tests/unit/unit.h"

#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "profiler/process/find.h"
#include "profiler/process/maps.h"
#include "profiler/process/model.h"

struct fixture {
	char path[64];
	struct recording_writer *writer;
	struct unwind_tables *tables;
	struct proc_model model;
};

static int setup(void **state)
{
	struct fixture *f = mem_calloc(1, sizeof(*f));
	struct recording_info info = { .backend = "perf", .start_ns = 1, .start_wall_ns = 1 };

	snprintf(f->path, sizeof(f->path), "/tmp/cprof-process-%d.cprof", getpid());
	assert_no_error(recording_create(f->path, &info, &f->writer));
	f->tables = unwind_tables_create(NULL);
	proc_model_init(&f->model, f->tables, f->writer);
	*state = f;
	return 0;
}

/* Closes the recording and reads it. */
static void finish(struct fixture *f, struct recording *ret)
{
	struct file_bytes bytes;

	assert_no_error(recording_close(f->writer));
	f->writer = NULL;
	assert_no_error(file_map(f->path, &bytes));
	assert_no_error(recording_read(bytes.data, bytes.size, ret));
	file_bytes_deinit(&bytes);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unwind_tables_destroy(f->tables);
	proc_model_deinit(&f->model);
	if (f->writer)
		error_free(recording_close(f->writer));
	unlink(f->path);
	free(f);
	return 0;
}

/* --- files --- */

/* Its build id is found when it is opened, and told by no mapping. */
static void the_vdso_is_one_file(void **state)
{
	struct fixture *f = *state;
	struct proc_file_key key = { .path = "[vdso]" };
	uint32_t pid = (uint32_t)getpid(), first, second;

	first = proc_files_intern(&f->model.files, &key);
	assert_int_equal(proc_files_open(&f->model.files, first, pid, 0, 4096, 1), first);
	assert_int_equal(proc_files_get(&f->model.files, first)->state, PROC_FILE_OPEN);
	second = proc_files_intern(&f->model.files, &key);
	assert_int_equal(second, first);
}

/* --- /proc/PID/maps --- */

static void maps_lines(void **state)
{
	struct proc_map m;
	char plain[] = "55d0c0a00000-55d0c0a2b000 r-xp 00002000 fe:01 1049131      /usr/bin/a b;c";
	char deleted[] = "7f00-7f01000 r-xs 00000000 00:01 7   /memfd:x\\012y (deleted)";
	char anon[] = "7ffd5000-7ffd6000 rwxp 00000000 00:00 0 ";
	char high[] = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]";
	char *bad[] = { (char[]){ "" },
			(char[]){ "zz-1000 r-xp 0 0:0 0" },
			(char[]){ "2000-1000 r-xp 0 0:0 0" },
			(char[]){ "1000-2000 r-xp" },
			(char[]){ "11111111111111111-2 r-xp 0 0:0 0" },
			(char[]){ "1000-2000 r-xp 0 0:0 x" } };

	assert_true(proc_map_parse(plain, &m));
	assert_int_equal(m.start, 0x55d0c0a00000);
	assert_int_equal(m.end, 0x55d0c0a2b000);
	assert_int_equal(m.offset, 0x2000);
	assert_int_equal(m.major, 0xfe);
	assert_int_equal(m.inode, 1049131);
	assert_true(m.exec);
	assert_string_equal(m.path, "/usr/bin/a b;c");
	assert_true(proc_map_parse(deleted, &m));
	assert_string_equal(m.path, "/memfd:x\\012y (deleted)");
	assert_true(proc_map_parse(anon, &m));
	assert_string_equal(m.path, "");
	assert_true(proc_map_parse(high, &m));
	assert_string_equal(m.path, "[vsyscall]");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(proc_map_parse(bad[i], &m));
}

/* --- spaces --- */

#define PAGES 64
#define PAGE  4096ull

static void check_space(const struct proc_space *s, const uint32_t *pages)
{
	for (uint32_t page = 0; page < PAGES; page++) {
		for (uint64_t at = page * PAGE; at < (page + 1) * PAGE; at += PAGE - 1) {
			uint32_t i = proc_space_find(s, at);

			assert_int_equal(i == UINT32_MAX ? 0 : s->mappings[i].time_ns, pages[page]);
			/* what was cut keeps to its file: page n shows offset n of its mapping */
			if (i != UINT32_MAX)
				assert_int_equal(at - s->unwind[i].start + s->mappings[i].offset,
						 at);
		}
	}
	for (uint32_t i = 0; i < s->count; i++) {
		assert_true(s->unwind[i].start < s->unwind[i].end);
		assert_true(i == 0 || s->unwind[i - 1].end <= s->unwind[i].start);
	}
}

/* Random mappings over each other, beside a table of pages that says what is right. */
static void spaces_replace_what_they_cover(void **state)
{
	struct fixture *f = *state;
	struct proc_file_key key = { .path = "/nowhere" };
	uint32_t file = proc_files_intern(&f->model.files, &key);
	uint64_t seed = 1;

	for (int round = 0; round < 50; round++) {
		struct proc_space *s = proc_space_create(), *before = NULL;
		uint32_t pages[PAGES] = { 0 }, pages_before[PAGES] = { 0 };

		for (uint32_t step = 1; step <= 60; step++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;

			uint32_t first = (seed >> 33) % PAGES;
			uint32_t n = 1 + (seed >> 48) % MIN(PAGES - first, 12);

			if (step == 30) { /* a fork: the child sees no more changes */
				before = proc_space_share(s);
				memcpy(pages_before, pages, sizeof(pages));
			}
			proc_space_insert(&s, &f->model.files, first * PAGE, (first + n) * PAGE,
					  first * PAGE, file, step);
			for (uint32_t i = first; i < first + n; i++)
				pages[i] = step;
			check_space(s, pages);
		}
		check_space(before, pages_before);
		proc_space_release(before);
		proc_space_release(s);
	}
}

/* --- histories --- */

#define TEXT 0x7f0000000000ull

static struct proc_file_key lib(const char *path, uint8_t id)
{
	return (struct proc_file_key){ .path = path, .build_id = { 20, { id, 1, 2, 3 } } };
}

static void map_lib(struct fixture *f, uint32_t pid, uint64_t start, const char *path, uint8_t id,
		    uint64_t time)
{
	struct proc_file_key key = lib(path, id);

	proc_model_map(&f->model, pid, start, start + 0x10000, 0, &key, time);
}

/* A process of which all is told, numbered beyond what the kernel gives out. */
#define PID 5000000u

static void start_process(struct fixture *f, uint32_t pid, const char *name)
{
	proc_model_comm(&f->model, pid, pid, name, true, 100);
	map_lib(f, pid, TEXT, "/lib/one", 1, 101);
}

static const char *mapped_at(struct fixture *f, uint32_t pid, uint64_t address)
{
	uint32_t process = map_find(&f->model.by_pid, pid), i;
	const struct proc_process *p = proc_process_at(&f->model, process);

	if (!p->space)
		return "no memory";
	i = proc_space_find(p->space, address);
	return i == UINT32_MAX ? "nothing"
			       : proc_files_get(&f->model.files, p->space->mappings[i].file)->path;
}

static void forks_part_ways(void **state)
{
	struct fixture *f = *state;

	start_process(f, PID, "parent");
	proc_model_fork(&f->model, PID + 1, PID, PID + 1, PID, 200);
	assert_string_equal(mapped_at(f, PID + 1, TEXT), "/lib/one");
	/* different plug-ins at one address */
	map_lib(f, PID, TEXT + 0x20000, "/lib/of-parent", 2, 300);
	map_lib(f, PID + 1, TEXT + 0x20000, "/lib/of-child", 3, 301);
	assert_string_equal(mapped_at(f, PID, TEXT + 0x20000), "/lib/of-parent");
	assert_string_equal(mapped_at(f, PID + 1, TEXT + 0x20000), "/lib/of-child");
	assert_string_equal(mapped_at(f, PID, TEXT), "/lib/one");

	proc_model_comm(&f->model, PID + 1, PID + 1, "new", true, 400);
	assert_string_equal(mapped_at(f, PID + 1, TEXT), "nothing");
	assert_string_equal(mapped_at(f, PID, TEXT), "/lib/one");
}

static void what_may_not_be_read_is_counted(void **state)
{
	struct fixture *f = *state;
	pid_t parent = getpid(), child;
	int status;

	if (geteuid() != 0)
		skip_because("needs root to become somebody else\n");
	child = fork();
	if (child == 0) { /* without capabilities */
		if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
			_exit(2);
		proc_model_thread(&f->model, (uint32_t)parent, (uint32_t)parent, 100);
		proc_model_rescan_all(&f->model, 200);
		_exit(f->model.stats.closed == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	proc_model_thread(&f->model, (uint32_t)parent, (uint32_t)parent, 100);
	assert_int_equal(f->model.stats.closed, 0);
}

static void processes_end_with_their_last_thread(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;

	start_process(f, PID, "main");
	proc_model_fork(m, PID, PID, PID + 7, PID, 200);
	assert_int_equal(m->live_threads, 2);
	proc_model_exit(m, PID, 300); /* pthread_exit in main */
	assert_string_equal(mapped_at(f, PID, TEXT), "/lib/one");
	proc_model_exit(m, PID + 7, 400);
	assert_int_equal(m->live_threads, 0);
	assert_string_equal(mapped_at(f, PID, TEXT), "no memory");
	proc_model_exit(m, PID + 7, 401); /* told twice: nothing happens */
	assert_int_equal(m->live_threads, 0);
}

/* The thread gets the leader's number; neither its own end nor the leader's is told again. */
static void an_exec_in_a_thread_leaves_that_one(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;

	start_process(f, PID, "main");
	proc_model_fork(m, PID, PID, PID + 7, PID, 200);
	proc_model_fork(m, PID, PID, PID + 8, PID, 200);
	proc_model_exit(m, PID + 8, 300);
	proc_model_exit(m, PID, 301);
	proc_model_comm(m, PID, PID, "new", true, 302);
	assert_int_equal(m->live_threads, 1);
	proc_model_exit(m, PID + 7, 303); /* whoever has looked for it: it is no more */
	assert_int_equal(m->live_threads, 1);
	proc_model_exit(m, PID, 400);
	assert_int_equal(m->live_threads, 0);
	assert_string_equal(mapped_at(f, PID, TEXT), "no memory");
}

static void numbers_come_back(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;

	start_process(f, PID, "shell");
	proc_model_fork(m, PID + 1, PID, PID + 1, PID, 200);
	proc_model_comm(m, PID + 1, PID + 1, "first", true, 210);

	uint32_t first = proc_model_thread(m, PID + 1, PID + 1, 220);

	proc_model_exit(m, PID + 1, 230);
	proc_model_fork(m, PID + 1, PID, PID + 1, PID, 300);

	uint32_t second = proc_model_thread(m, PID + 1, PID + 1, 310);

	assert_int_not_equal(first, second);
	assert_int_not_equal(proc_thread_at(m, first)->process, proc_thread_at(m, second)->process);
	assert_string_equal(mapped_at(f, PID + 1, TEXT), "/lib/one");
}

/* Short processes, and threads, for ever: as many are known as may still have samples. */
static void what_ended_is_let_go_of(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	uint32_t process, serial = 0, epoch = 0;

	start_process(f, PID, "shell");
	for (uint64_t i = 1; i < 2000; i++) {
		uint64_t now = i * 100000000;
		uint32_t pid = PID + 1 + (uint32_t)i % 1000;

		proc_model_fork(m, pid, PID, pid, PID, now);
		proc_model_comm(m, pid, pid, "short", true, now + 1);
		proc_model_fork(m, pid, pid, pid + 5000, pid, now + 2);
		process = proc_thread_at(m, proc_model_thread(m, pid, pid, now + 3))->process;
		assert_true(proc_process_at(m, process)->serial > serial);
		assert_true(proc_process_at(m, process)->epoch > epoch);
		serial = proc_process_at(m, process)->serial;
		epoch = proc_process_at(m, process)->epoch;
		proc_model_exit(m, pid, now + 4);
		proc_model_exit(m, pid + 5000, now + 5);
		proc_model_shed(m);
		/* a sample that came late */
		assert_int_equal(proc_thread_at(m, proc_model_find_thread(m, pid))->process,
				 process);
	}
	assert_true(m->processes.count < 100);
	assert_true(m->threads.count < 200);
	assert_true(m->by_pid.count < 100 && m->by_tid.count < 200);
	assert_int_equal(m->live_threads, 1);
	assert_string_equal(mapped_at(f, PID, TEXT), "/lib/one");
}

/* Children are told by their parents, and a process by its first thread, as long as they live. */
static void what_others_need_is_kept(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	uint64_t late = 100000000000;
	uint32_t parent, child;

	start_process(f, PID, "parent");
	proc_model_fork(m, PID, PID, PID + 7, PID, 200);
	proc_model_fork(m, PID + 1, PID, PID + 1, PID, 201);
	parent = proc_model_process(m, PID, 202);
	child = proc_model_process(m, PID + 1, 202);
	proc_model_exit(m, PID, 300);
	proc_model_fork(m, PID + 2, PID + 1, PID + 2, PID + 1, late); /* time passes */
	proc_model_shed(m);
	assert_int_equal(proc_process_at(m, parent)->pid, PID);
	assert_int_equal(proc_model_comm_of(m, parent), proc_model_comm_of(m, child));
	proc_model_exit(m, PID + 7, late + 1); /* now the parent has ended */
	proc_model_fork(m, PID + 3, PID + 1, PID + 3, PID + 1, 2 * late);
	proc_model_shed(m);
	assert_int_equal(proc_process_at(m, child)->parent, parent);
	assert_int_equal(proc_process_at(m, parent)->pid, PID);
	proc_model_exit(m, PID + 1, 2 * late + 1);
	proc_model_exit(m, PID + 2, 2 * late + 2);
	proc_model_exit(m, PID + 3, 2 * late + 3);
	start_process(f, PID + 4, "later");
	proc_model_fork(m, PID + 5, PID + 4, PID + 5, PID + 4, 4 * late);
	for (int i = 0; i < 3; i++)
		proc_model_shed(m);
	assert_int_equal(map_find(&m->by_pid, PID), MAP_NONE);
	assert_int_equal(map_find(&m->by_pid, PID + 1), MAP_NONE);
}

/* Who a short program is, is not asked; who one is that lives on, is. */
static void identity_is_that_of_the_parent_at_first(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	const uint64_t start = 1000000000, late = start + 500000000;
	const struct recording *r = recording_written(f->writer);
	uint32_t own = (uint32_t)getpid(), first, second, thread;

	start_process(f, PID, "parent");
	proc_process_at(m, proc_model_process(m, PID, 1))->uid = 4711;
	proc_process_at(m, proc_model_process(m, PID, 1))->identity_known = true;
	proc_model_fork(m, own, PID, own, PID, start);
	proc_model_comm(m, own, own, "short", true, start + 1);
	thread = proc_model_thread(m, own, own, start + 2);
	first = proc_model_thread_id(m, thread);
	assert_int_equal(vec_last(&r->processes)->pid, own);
	assert_int_equal(vec_last(&r->processes)->uid, 4711);
	proc_model_thread(m, own, own, start + 3);
	assert_int_equal(proc_model_thread_id(m, thread), first);

	proc_model_thread(m, own, own, late);
	second = proc_model_thread_id(m, thread);
	assert_int_not_equal(first, second);
	assert_int_equal(vec_last(&r->processes)->pid, own);
	assert_int_equal(vec_last(&r->processes)->uid, getuid());
	proc_model_thread(m, own, own, late + 1);
	assert_int_equal(proc_model_thread_id(m, thread), second);
}

/* What nobody tells of is found by its first sample: not as the one that had the number before. */
static void numbers_that_come_back_untold(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;

	start_process(f, PID, "first");
	proc_model_fork(m, PID, PID, PID + 7, PID, 200);

	uint32_t first = proc_model_thread(m, PID, PID, 210);

	proc_model_forget(m, PID);
	proc_model_forget(m, PID + 1); /* nothing is known of it */
	assert_int_equal(m->live_threads, 0);

	uint32_t second = proc_model_thread(m, PID, PID, 300);

	assert_int_not_equal(first, second);
	assert_int_not_equal(proc_thread_at(m, first)->process, proc_thread_at(m, second)->process);
	assert_int_equal(proc_model_thread(m, PID, PID, 310), second);
	assert_int_equal(m->live_threads, 1);
}

static void a_lost_end_is_not_that_of_the_next_one_of_its_number(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;

	start_process(f, PID, "main");
	proc_model_fork(m, PID, PID, PID + 7, PID, 200);
	uint32_t first = proc_model_find_thread(m, PID + 7);

	start_process(f, PID + 1, "other");
	proc_model_fork(m, PID + 1, PID + 1, PID + 7, PID + 1, 300);
	uint32_t second = proc_model_find_thread(m, PID + 7);

	assert_int_not_equal(first, second);
	proc_model_end(m, first);
	assert_true(proc_thread_at(m, first)->has_ended);
	assert_false(proc_thread_at(m, second)->has_ended);
	assert_int_equal(m->live_threads, 3);
}

static void names_have_a_history(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	struct recording r;

	start_process(f, PID, "before");
	proc_model_fork(m, PID, PID, PID + 1, PID, 200);

	uint32_t worker = proc_model_thread(m, PID, PID + 1, 250);
	uint32_t process = proc_thread_at(m, worker)->process;
	uint32_t id = proc_model_thread_id(m, worker);
	uint32_t before = proc_model_comm_of(m, process);

	proc_model_comm(m, PID, PID + 1, "worker", false, 300);
	assert_int_equal(proc_model_comm_of(m, process), before); /* the leader's name counts */
	proc_model_comm(m, PID, PID, "after", false, 400);
	uint32_t after = proc_model_comm_of(m, process);

	finish(f, &r);
	assert_string_equal(intern_get(&r.strings, before), "before");
	assert_string_equal(intern_get(&r.strings, after), "after");
	assert_int_equal(r.comms.count, 2);
	assert_int_equal(r.comms.items[0].thread, id);
	assert_string_equal(intern_get(&r.strings, r.comms.items[0].name), "before");
	assert_string_equal(intern_get(&r.strings, r.comms.items[1].name), "worker");
	assert_int_equal(r.comms.items[1].time_ns, 300);
	recording_deinit(&r);
}

static void late_news_of_scanned_processes(void **state)
{
	struct fixture *f = *state;
	uint32_t me = (uint32_t)getpid();
	uint32_t thread = proc_model_thread(&f->model, me, me, 1000);
	uint32_t process = proc_thread_at(&f->model, thread)->process;
	uint64_t here = (uint64_t)(uintptr_t)&late_news_of_scanned_processes;
	const char *now = mapped_at(f, me, here);

	assert_true(proc_process_at(&f->model, process)->space->count > 1);
	/* from before /proc was read: what was there then is gone */
	map_lib(f, me, here & ~0xfffull, "/lib/old", 9, 999);
	assert_string_equal(mapped_at(f, me, here), now);
	map_lib(f, me, here & ~0xfffull, "/lib/new", 8, 1001);
	assert_string_equal(mapped_at(f, me, here), "/lib/new");
	/* a doubt puts it right, once in a while: from the moment on at which /proc was read, for
	 * what it says was perhaps not yet so at the time of the doubt */
	assert_false(proc_model_doubt(&f->model, process, 2000));
	assert_int_equal(f->model.stats.rescans, 1);
	proc_model_catch_up(&f->model, 2001);
	assert_string_equal(mapped_at(f, me, here), "/lib/new");
	assert_false(proc_model_doubt(&f->model, process, 2002));
	assert_int_equal(f->model.stats.rescans, 1);
	proc_model_catch_up(&f->model, UINT64_MAX);
	assert_string_equal(mapped_at(f, me, here), now);
}

static void memory_of_two_processes(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	uint32_t first, second;

	proc_model_comm(m, PID, PID, "first", true, 100);
	map_lib(f, PID, TEXT, "/lib/old", 9, 101);
	proc_model_fork(m, PID + 1, PID, PID + 1, PID, 102);
	map_lib(f, PID, TEXT, "/lib/new", 8, 103);
	first = map_find(&m->by_pid, PID);
	second = map_find(&m->by_pid, PID + 1);
	assert_string_equal(mapped_at(f, PID + 1, TEXT), "/lib/old");
	proc_model_share_memory(m, second, first);
	proc_model_share_memory(m, second, first);
	assert_string_equal(mapped_at(f, PID + 1, TEXT), "/lib/new");
	assert_int_equal(proc_process_at(m, first)->memory_next, second);
	assert_int_equal(proc_process_at(m, second)->memory_next, first);
	proc_model_comm(m, PID + 1, PID + 1, "second", true, 104);
	assert_int_equal(proc_process_at(m, first)->memory_next, first);
	assert_int_equal(proc_process_at(m, second)->memory_next, second);
	assert_int_equal(proc_process_at(m, second)->space->count, 0);
	assert_string_equal(mapped_at(f, PID, TEXT), "/lib/new");
}

/* --- places --- */

static int first_bias(struct dl_phdr_info *info, size_t size, void *bias)
{
	*(uint64_t *)bias = info->dlpi_addr;
	return 1;
}

static void places_are_addresses_of_the_file(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	struct timespec now; /* a file is that of a mapping if it has not changed since */
	uint32_t process, file, again;
	uint64_t here = (uint64_t)(uintptr_t)&places_are_addresses_of_the_file, bias, address;
	struct recording r;

	clock_gettime(CLOCK_MONOTONIC, &now);
	process = proc_model_process(m, (uint32_t)getpid(),
				     (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
	dl_iterate_phdr(first_bias, &bias);

	uint32_t i = proc_space_find(proc_process_at(m, process)->space, here);

	assert_int_not_equal(i, UINT32_MAX);
	proc_model_place(m, process, i, here, &file, &address);
	assert_int_equal(address, here - bias);
	assert_int_equal(proc_process_at(m, process)->space->unwind[i].kind, UNWIND_MAP_TABLE);

	/* another process, whose kernel told of the same file by its build id only */
	uint32_t own = proc_process_at(m, process)->space->mappings[i].file;
	struct proc_file_key key = { .path = "/another/name",
				     .build_id = proc_files_get(&m->files, own)->build_id };

	if (image_has_build_id(proc_files_get(&m->files, own)->image)) {
		proc_model_comm(m, PID, PID, "other", true, 100);
		proc_model_map(m, PID, TEXT, TEXT + 0x1000,
			       proc_process_at(m, process)->space->mappings[i].offset, &key, 101);

		uint32_t other = map_find(&m->by_pid, PID);

		proc_model_place(m, other, 0, TEXT + 8, &again, &address);
		assert_int_equal(again, file);
	}
	/* where nothing is mapped */
	proc_model_place(m, process, UINT32_MAX, 0x1234, &again, &address);
	assert_int_not_equal(again, file);
	assert_int_equal(address, 0x1234);
	finish(f, &r);
	assert_int_equal(r.files.items[file].kind, RECORDING_FILE_ELF);
	assert_int_equal(r.files.items[again].kind, RECORDING_FILE_OTHER);
	recording_deinit(&r);
}

/* The file under the mapped one's path is another: it must not be used. */
static void exchanged_files_are_not_used(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	struct proc_file_key key = lib("/proc/self/exe", 77);
	uint32_t process, file;
	uint64_t address;
	struct recording r;

	proc_model_comm(m, PID, PID, "x", true, 100);
	proc_model_map(m, PID, TEXT, TEXT + 0x10000, 0, &key, 101);
	process = map_find(&m->by_pid, PID);
	proc_model_place(m, process, 0, TEXT + 0x10, &file, &address);
	assert_int_equal(proc_process_at(m, process)->space->unwind[0].kind, UNWIND_MAP_NO_TABLE);
	assert_int_equal(address, TEXT + 0x10);
	finish(f, &r);
	assert_int_equal(r.files.items[file].kind, RECORDING_FILE_OTHER);
	assert_int_equal(r.diagnostics.count, 1);
	assert_non_null(
		strstr(intern_get(&r.strings, r.diagnostics.items[0].text), "/proc/self/exe"));
	recording_deinit(&r);
}

static void code_made_at_run_time(void **state)
{
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t process, file, i;
	uint64_t address, at = (uint64_t)(uintptr_t)page;
	struct unwind_space space;
	uint8_t code[4];

	assert_ptr_not_equal(page, MAP_FAILED);
	memcpy(page, "\x55\x90\x90\xc3", 4);
	process = proc_model_process(m, (uint32_t)getpid(), 1000);
	i = proc_space_find(proc_process_at(m, process)->space, at);
	assert_int_not_equal(i, UINT32_MAX);
	proc_model_space(m, process, &space);
	assert_int_equal(space.mappings[i].kind, UNWIND_MAP_FP_JIT);
	assert_true(space.read_code(space.context, at, code, sizeof(code)));
	assert_memory_equal(code, "\x55\x90\x90\xc3", 4);
	proc_model_place(m, process, i, at + 1, &file, &address);
	assert_int_equal(address, at + 1);
	munmap(page, 4096);
	/* gone from the process: the answer is no, not a crash */
	assert_false(space.read_code(space.context, at, code, sizeof(code)));
}

/* --- finding --- */

/* That they are gone is never told. */
static void unmapped_code_is_let_go_of(void **state)
{
	enum { COUNT = 200 };
	struct fixture *f = *state;
	struct proc_model *m = &f->model;
	void *pages[COUNT];
	uint32_t process, before, kept, epoch;

	for (int i = 0; i < COUNT; i++) {
		pages[i] = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(pages[i], MAP_FAILED);
		assert_int_equal(mprotect(pages[i], 4096, PROT_READ | PROT_EXEC), 0);
	}
	process = proc_model_process(m, (uint32_t)getpid(), 1000);
	before = proc_process_at(m, process)->space->count;
	assert_true(before >= COUNT);
	assert_false(proc_model_prune(m, process));
	for (int i = 0; i < COUNT; i++)
		if (i % 4)
			munmap(pages[i], 8192);
	epoch = proc_process_at(m, process)->epoch;
	assert_true(proc_model_prune(m, process));
	kept = proc_process_at(m, process)->space->count;
	assert_int_equal(before - kept, COUNT - COUNT / 4);
	assert_int_not_equal(proc_process_at(m, process)->epoch, epoch);
	for (int i = 0; i < COUNT; i++) {
		uint32_t found = proc_space_find(proc_process_at(m, process)->space,
						 (uint64_t)(uintptr_t)pages[i]);

		assert_int_equal(found == UINT32_MAX, i % 4 != 0);
		if (i % 4 == 0)
			munmap(pages[i], 8192);
	}
}

static void targets_by_name_and_number(void **state)
{
	struct proc_ids ids = { 0 }, family = { 0 };
	struct buf listed = { 0 };
	char number[16];
	struct error *err;
	pid_t child = fork();

	if (child == 0) {
		execlp("sleep", "sleep", "100", NULL);
		_exit(1);
	}
	/* until it is a sleep */
	for (int i = 0; i < 2000 && !ids.count; i++) {
		err = proc_find("sleep", &ids, &listed);
		error_free(err);
		usleep(1000);
		bool is_ours = false;

		for (size_t k = 0; k < ids.count; k++)
			is_ours |= ids.items[k] == (uint32_t)child;
		if (!is_ours)
			ids.count = 0;
	}
	assert_true(ids.count > 0);
	assert_non_null(strstr(buf_str(&listed), "sleep: "));
	ids.count = 0;
	snprintf(number, sizeof(number), "%d", child);
	assert_no_error(proc_find(number, &ids, &listed));
	assert_int_equal(ids.count, 1);
	assert_int_equal(ids.items[0], child);

	err = proc_find("no-such-program-at-all", &ids, &listed);
	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	error_free(err);
	err = proc_find("0", &ids, &listed);
	assert_non_null(err);
	error_free(err);
	err = proc_find("1,,2", &ids, &listed);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	error_free(err);

	assert_int_equal(proc_of_thread((uint32_t)child), child);
	proc_ids_add(&family, (uint32_t)getppid());
	proc_descendants(&family);
	bool has_child = false;

	for (size_t i = 0; i < family.count; i++)
		has_child |= family.items[i] == (uint32_t)child;
	/* cprof itself, and through it the child, is no target */
	assert_false(has_child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	vec_deinit(&ids);
	vec_deinit(&family);
	buf_deinit(&listed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_vdso_is_one_file, setup, teardown),
		cmocka_unit_test(maps_lines),
		cmocka_unit_test_setup_teardown(spaces_replace_what_they_cover, setup, teardown),
		cmocka_unit_test_setup_teardown(forks_part_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(what_may_not_be_read_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(processes_end_with_their_last_thread, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_exec_in_a_thread_leaves_that_one, setup,
						teardown),
		cmocka_unit_test_setup_teardown(numbers_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_ended_is_let_go_of, setup, teardown),
		cmocka_unit_test_setup_teardown(what_others_need_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(identity_is_that_of_the_parent_at_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(numbers_that_come_back_untold, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_lost_end_is_not_that_of_the_next_one_of_its_number, setup, teardown),
		cmocka_unit_test_setup_teardown(names_have_a_history, setup, teardown),
		cmocka_unit_test_setup_teardown(late_news_of_scanned_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_of_two_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(places_are_addresses_of_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(exchanged_files_are_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(code_made_at_run_time, setup, teardown),
		cmocka_unit_test_setup_teardown(unmapped_code_is_let_go_of, setup, teardown),
		cmocka_unit_test(targets_by_name_and_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
