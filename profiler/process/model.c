#include "profiler/process/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "profiler/process/find.h"
#include "profiler/process/maps.h"
#include "profiler/process/namespace.h"

#define NONE		   UINT32_MAX
#define CHECK_EVERY_MIN_NS 10000000ull
#define CHECK_EVERY_MAX_NS 1000000000ull
#define SHORT_NS	   50000000ull
#define LATE_NS		   2000000000ull /* no sample comes so long after a thread's end */

void proc_model_init(struct proc_model *m, struct unwind_tables *tables,
		     struct recording_writer *writer)
{
	*m = (struct proc_model){ .writer = writer };
	proc_roots_init(&m->roots);
	proc_files_init(&m->files, tables, writer);
}

void proc_model_deinit(struct proc_model *m)
{
	for (size_t i = 0; i < m->processes.count; i++) {
		proc_space_release(m->processes.items[i].space);
		map_deinit(&m->processes.items[i].recorded);
	}
	vec_deinit(&m->processes);
	vec_deinit(&m->threads);
	while (m->scans_taken < m->scans.count)
		proc_maps_deinit(&m->scans.items[m->scans_taken++].maps);
	vec_deinit(&m->scans);
	vec_deinit(&m->ended);
	vec_deinit(&m->free_processes);
	vec_deinit(&m->free_threads);
	map_deinit(&m->by_pid);
	map_deinit(&m->by_tid);
	proc_roots_deinit(&m->roots);
	proc_files_deinit(&m->files);
}

static void note_time(struct proc_model *m, uint64_t time_ns)
{
	proc_model_catch_up(m, time_ns);
	if (time_ns < m->latest_ns)
		m->stats.late++;
	else
		m->latest_ns = time_ns;
}

static uint32_t intern_name(struct proc_model *m, const char *name)
{
	return recording_add_string(m->writer, name, strlen(name));
}

/* --- processes and threads --- */

/* The process that a number is now. */
static uint32_t find_process(const struct proc_model *m, uint32_t pid)
{
	uint32_t index = map_find(&m->by_pid, pid);

	return index != NONE && m->processes.items[index].is_forgotten ? NONE : index;
}

/* The thread of that process. */
static uint32_t find_thread(const struct proc_model *m, uint32_t pid, uint32_t tid)
{
	uint32_t index = map_find(&m->by_tid, tid);
	const struct proc_process *p;

	if (index == NONE)
		return NONE;
	p = &m->processes.items[m->threads.items[index].process];
	return p->pid == pid && !p->is_forgotten ? index : NONE;
}

static void set_parent(struct proc_model *m, uint32_t process, uint32_t parent)
{
	struct proc_process *p = proc_process_at(m, process);

	if (p->parent != NONE)
		proc_process_at(m, p->parent)->children--;
	p->parent = parent;
	if (parent != NONE)
		proc_process_at(m, parent)->children++;
}

static uint32_t add_process(struct proc_model *m, uint32_t pid, uint32_t parent, uint64_t time_ns)
{
	uint32_t index;

	if (m->free_processes.count) {
		index = m->free_processes.items[--m->free_processes.count];
	} else {
		index = (uint32_t)m->processes.count;
		vec_push(&m->processes, (struct proc_process){ 0 });
	}
	*proc_process_at(m, index) = (struct proc_process){
		.pid = pid,
		.parent = NONE,
		.leader = NONE,
		.memory_next = index,
		.serial = ++m->last_serial,
		.epoch = ++m->last_epoch,
		.start_ns = time_ns,
		.check_every_ns = CHECK_EVERY_MIN_NS,
	};
	set_parent(m, index, parent);
	*map_at(&m->by_pid, pid) = index;
	return index;
}

static uint32_t add_thread(struct proc_model *m, uint32_t process, uint32_t tid, uint32_t comm,
			   uint64_t time_ns)
{
	struct proc_process *p = proc_process_at(m, process);
	uint32_t index;

	if (m->free_threads.count) {
		index = m->free_threads.items[--m->free_threads.count];
	} else {
		index = (uint32_t)m->threads.count;
		vec_push(&m->threads, (struct proc_thread){ 0 });
	}
	*proc_thread_at(m, index) = (struct proc_thread){
		.tid = tid,
		.process = process,
		.comm = comm,
		.comm_ns = time_ns,
	};
	*map_at(&m->by_tid, tid) = index;
	p->threads++;
	p->live_threads++;
	m->live_threads++;
	if (p->leader == NONE || tid == p->pid)
		p->leader = index;
	return index;
}

static uint32_t read_comm(struct proc_model *m, uint32_t pid, uint32_t tid)
{
	char path[64], *text;
	size_t len;
	uint32_t comm = 0;

	snprintf(path, sizeof(path), "/proc/%u/task/%u/comm", pid, tid);
	struct error *err = file_read_proc(path, 64, &text, &len);

	if (err) {
		error_free(err);
		return 0;
	}
	if (len && text[len - 1] == '\n')
		len--;
	comm = recording_add_string(m->writer, text, len);
	free(text);
	return comm;
}

/* Whether a path of /proc/PID/maps is that of a mapping known before: the file may have been
 * deleted since. */
static bool is_path_of(const char *now, const char *before)
{
	static const char deleted[] = " (deleted)";
	size_t n = strlen(before);

	return !strncmp(now, before, n) && (!now[n] || !strcmp(now + n, deleted));
}

static bool is_known_mapping(struct proc_model *m, const struct proc_space *s, uint32_t i,
			     const struct proc_map *map)
{
	return s->unwind[i].start == map->start && s->unwind[i].end == map->end &&
	       s->mappings[i].offset == map->offset &&
	       is_path_of(map->path, proc_files_get(&m->files, s->mappings[i].file)->path);
}

/* Brings a space to what /proc/PID/maps said: where nothing is known, or everywhere. True if that
 * changed anything. What is gone stays: samples of a moment ago may be in it, and whatever is
 * mapped there next replaces it. */
static bool apply_maps(struct proc_model *m, uint32_t process, const struct proc_maps *maps,
		       uint64_t time_ns, bool replaces)
{
	struct proc_process *p = proc_process_at(m, process);
	bool changed = false;

	if (!p->space)
		p->space = proc_space_create();
	for (size_t i = 0; i < maps->maps.count; i++) {
		const struct proc_map *map = &maps->maps.items[i];
		struct proc_file_key key = { .path = map->path,
					     .major = map->major,
					     .minor = map->minor,
					     .inode = map->inode,
					     .pid = p->pid };
		uint32_t found = proc_space_find(p->space, map->start);

		if (found != NONE && is_known_mapping(m, p->space, found, map))
			continue;
		if (!replaces && proc_space_overlaps(p->space, map->start, map->end))
			continue;
		proc_space_insert(&p->space, &m->files, map->start, map->end, map->offset,
				  proc_files_intern(&m->files, &key), time_ns);
		changed = true;
	}
	p->scan_ns = MAX(p->scan_ns, time_ns);
	if (changed)
		p->epoch = ++m->last_epoch;
	return changed;
}

/*
 * Reads /proc/PID/maps, which is of this moment, and not of the earlier one that the model has come
 * to: by now other code may be where some was then. So for the time being only what is not known at
 * all is taken from it. The rest follows when the model has come to this moment.
 */
static bool scan_maps(struct proc_model *m, uint32_t process, uint64_t time_ns)
{
	struct proc_scan scan = { .process = process,
				  .serial = proc_process_at(m, process)->serial,
				  .time_ns = proc_now() };
	struct error *err = proc_maps_read(proc_process_at(m, process)->pid, &scan.maps);
	if (err) {
		struct proc_process *p = proc_process_at(m, process);

		log_debug("process", "%s", error_message(err));
		m->stats.closed += error_code_of(err) == ERR_PERMISSION && !p->is_closed;
		p->is_closed |= error_code_of(err) == ERR_PERMISSION;
		error_free(err);
		return false;
	}
	vec_push(&m->scans, scan);
	return apply_maps(m, process, &scan.maps, time_ns, false);
}

void proc_model_catch_up(struct proc_model *m, uint64_t time_ns)
{
	while (m->scans_taken < m->scans.count &&
	       m->scans.items[m->scans_taken].time_ns <= time_ns) {
		struct proc_scan *scan = &m->scans.items[m->scans_taken++];
		struct proc_process *p = proc_process_at(m, scan->process);

		if (p->serial == scan->serial && p->live_threads)
			apply_maps(m, scan->process, &scan->maps, scan->time_ns, true);
		proc_maps_deinit(&scan->maps);
	}
	vec_shed(&m->scans, &m->scans_taken);
}

uint32_t proc_model_process(struct proc_model *m, uint32_t pid, uint64_t time_ns)
{
	uint32_t index = find_process(m, pid);

	if (index != NONE)
		return index;
	index = add_process(m, pid, NONE, time_ns);
	scan_maps(m, index, time_ns);
	return index;
}

uint32_t proc_model_find_thread(const struct proc_model *m, uint32_t tid)
{
	return map_find(&m->by_tid, tid); /* MAP_NONE is UINT32_MAX */
}

uint32_t proc_model_thread(struct proc_model *m, uint32_t pid, uint32_t tid, uint64_t time_ns)
{
	uint32_t index = find_thread(m, pid, tid), leader = NONE, process;

	m->asked_ns = time_ns;
	if (index != NONE)
		return index;
	process = proc_model_process(m, pid, time_ns);
	if (tid != pid && proc_process_at(m, process)->leader == NONE)
		leader = add_thread(m, process, pid, read_comm(m, pid, pid), time_ns);
	index = add_thread(m, process, tid, read_comm(m, pid, tid), time_ns);
	/* its end may have been told before anything was known of it */
	if (leader != NONE && proc_thread_has_ended(pid, pid))
		proc_model_end(m, leader);
	return index;
}

void proc_model_fork(struct proc_model *m, uint32_t pid, uint32_t ppid, uint32_t tid, uint32_t ptid,
		     uint64_t time_ns)
{
	uint32_t parent = proc_model_thread(m, ppid, ptid, time_ns);
	uint32_t comm = proc_thread_at(m, parent)->comm;
	uint32_t process = proc_thread_at(m, parent)->process;
	uint32_t known;

	note_time(m, time_ns);
	known = map_find(&m->by_pid, pid);
	if (pid != ppid && known != NONE && proc_process_at(m, known)->live_threads &&
	    proc_process_at(m, known)->scan_ns >= time_ns) {
		set_parent(m, known, process); /* the scan of /proc was faster */
		known = map_find(&m->by_tid, tid);
		if (known != NONE)
			proc_thread_at(m, known)->was_told = true;
		return;
	}
	if (pid != ppid) {
		uint32_t child = add_process(m, pid, process, time_ns);
		struct proc_process *p = proc_process_at(m, child);
		struct proc_process *from = proc_process_at(m, process);

		if (from->space)
			p->space = proc_space_share(from->space);
		p->identity_known = from->identity_known;
		p->uid = from->uid;
		p->root = from->root;
		if (from->ns_pid != from->pid)
			p->identity_known = false; /* it has a number of its own in there */
		process = child;
	}
	known = map_find(&m->by_tid, tid);
	if (known != NONE && pid == ppid && !proc_thread_at(m, known)->has_ended &&
	    proc_thread_at(m, known)->process == process) {
		proc_thread_at(m, known)->was_told = true;
		return;
	}
	proc_thread_at(m, add_thread(m, process, tid, comm, time_ns))->was_told = true;
}

void proc_model_exit(struct proc_model *m, uint32_t tid, uint64_t time_ns)
{
	uint32_t thread = map_find(&m->by_tid, tid);

	note_time(m, time_ns);
	if (thread != NONE)
		proc_model_end(m, thread);
}

static void mark_ended(struct proc_model *m, uint32_t thread)
{
	struct proc_thread *t = proc_thread_at(m, thread);

	t->has_ended = true;
	t->ended_ns = m->latest_ns;
	if (!t->is_queued)
		vec_push(&m->ended, thread);
	t->is_queued = true;
}

void proc_model_end(struct proc_model *m, uint32_t thread)
{
	struct proc_thread *t = proc_thread_at(m, thread);
	struct proc_process *p = proc_process_at(m, t->process);

	if (t->has_ended)
		return;
	mark_ended(m, thread);
	m->live_threads--;
	if (--p->live_threads > 0)
		return;
	proc_model_leave_memory(m, t->process);
	proc_space_release(p->space);
	p->space = NULL;
	map_deinit(&p->recorded); /* nothing of it is mapped any more */
	p->recorded = (struct map){ 0 };
}

void proc_model_forget(struct proc_model *m, uint32_t pid)
{
	uint32_t process = map_find(&m->by_pid, pid);

	if (process == NONE)
		return;
	for (uint32_t i = 0; proc_process_at(m, process)->live_threads; i++)
		if (proc_thread_at(m, i)->process == process)
			proc_model_end(m, i);
	proc_process_at(m, process)->is_forgotten = true;
}

/* An exec ends all threads but one, which gets the leader's number whatever its own was: the end of
 * that own number is never told, and the end of the leader's before it lives on. */
static void end_other_threads(struct proc_model *m, uint32_t thread)
{
	struct proc_thread *t = proc_thread_at(m, thread);
	struct proc_process *p = proc_process_at(m, t->process);

	if (p->live_threads == 1 && !t->has_ended)
		return;
	for (uint32_t i = 0; i < m->threads.count; i++)
		if (m->threads.items[i].process == t->process && !m->threads.items[i].has_ended)
			mark_ended(m, i);
	m->live_threads -= p->live_threads;
	t->has_ended = false;
	p->live_threads = 1;
	m->live_threads++;
	p->leader = thread;
}

static void exec_process(struct proc_model *m, uint32_t thread)
{
	struct proc_process *p = proc_process_at(m, proc_thread_at(m, thread)->process);

	end_other_threads(m, thread);
	proc_model_leave_memory(m, proc_thread_at(m, thread)->process);
	proc_space_release(p->space);
	p->space = proc_space_create();
	p->epoch = ++m->last_epoch;
	p->was_execed = true;
	p->identity_known =
		false; /* what runs another user's programs, or in another root, execs */
	p->was_recorded_unknown = p->id != 0;
	p->scan_ns = 0;
	p->jit_file = 0;
	map_deinit(&p->recorded);
	p->recorded = (struct map){ 0 };
}

static void record_comm(struct proc_model *m, const struct proc_thread *t)
{
	if (t->id && t->comm)
		recording_add_comm(m->writer, &(struct recording_comm){ .thread = t->id,
									.name = t->comm,
									.time_ns = t->comm_ns });
}

void proc_model_comm(struct proc_model *m, uint32_t pid, uint32_t tid, const char *name,
		     bool is_exec, uint64_t time_ns)
{
	uint32_t index = find_thread(m, pid, tid);
	struct proc_thread *t;

	note_time(m, time_ns);
	if (index == NONE && is_exec) {
		/* not scanned: /proc may show the program that comes after */
		uint32_t process = find_process(m, pid);

		if (process == NONE)
			process = add_process(m, pid, NONE, time_ns);
		index = add_thread(m, process, tid, 0, time_ns);
	} else {
		index = proc_model_thread(m, pid, tid, time_ns);
	}
	t = proc_thread_at(m, index);
	t->comm = intern_name(m, name);
	t->comm_ns = time_ns;
	record_comm(m, t);
	if (is_exec)
		exec_process(m, index);
}

void proc_model_map(struct proc_model *m, uint32_t pid, uint64_t start, uint64_t end,
		    uint64_t offset, const struct proc_file_key *file, uint64_t time_ns)
{
	uint32_t process = proc_model_process(m, pid, time_ns);
	struct proc_process *p = proc_process_at(m, process);

	note_time(m, time_ns);
	if (time_ns < p->scan_ns || end <= start)
		return;
	p->epoch = ++m->last_epoch;
	if (!p->space)
		p->space = proc_space_create();
	proc_space_insert(&p->space, &m->files, start, end, offset,
			  proc_files_intern(&m->files, file), time_ns);
}

/* --- letting go --- */

static void free_thread(struct proc_model *m, uint32_t thread)
{
	struct proc_thread *t = proc_thread_at(m, thread);

	if (map_find(&m->by_tid, t->tid) == thread)
		map_remove(&m->by_tid, t->tid);
	proc_process_at(m, t->process)->threads--;
	*t = (struct proc_thread){ .process = NONE, .has_ended = true };
	vec_push(&m->free_threads, thread);
}

static void free_process(struct proc_model *m, uint32_t process)
{
	struct proc_process *p = proc_process_at(m, process);

	if (map_find(&m->by_pid, p->pid) == process)
		map_remove(&m->by_pid, p->pid);
	proc_model_leave_memory(m, process);
	set_parent(m, process, NONE);
	map_deinit(&p->recorded);
	*p = (struct proc_process){
		.parent = NONE, .leader = NONE, .memory_next = process, .is_forgotten = true
	};
	vec_push(&m->free_processes, process);
}

void proc_model_shed(struct proc_model *m)
{
	/* those that have to stay go to the queue's end */
	for (size_t left = m->ended.count - m->ended_taken; left; left--) {
		uint32_t thread = m->ended.items[m->ended_taken];
		struct proc_thread *t = proc_thread_at(m, thread);
		struct proc_process *p = proc_process_at(m, t->process);

		if (t->has_ended && t->ended_ns + LATE_NS > m->latest_ns)
			break;
		m->ended_taken++;
		t->is_queued = false;
		if (!t->has_ended) /* it lives on: an exec */
			continue;
		if (p->leader != thread) {
			free_thread(m, thread);
		} else if (p->live_threads || p->threads > 1 || p->children) {
			/* its process is named by it, its children are the process's */
			t->is_queued = true;
			vec_push(&m->ended, thread);
		} else {
			uint32_t process = t->process;

			free_thread(m, thread);
			free_process(m, process);
		}
	}
	vec_shed(&m->ended, &m->ended_taken);
}

/* --- doubts --- */

bool proc_model_doubt(struct proc_model *m, uint32_t process, uint64_t time_ns)
{
	struct proc_process *p = proc_process_at(m, process);
	bool changed;

	if (time_ns < p->next_check_ns || p->live_threads == 0)
		return false;
	changed = scan_maps(m, process, time_ns);
	p = proc_process_at(m, process);
	m->stats.rescans++;
	p->check_every_ns =
		changed ? CHECK_EVERY_MIN_NS : MIN(2 * p->check_every_ns, CHECK_EVERY_MAX_NS);
	p->next_check_ns = time_ns + p->check_every_ns;
	return changed;
}

bool proc_model_prune(struct proc_model *m, uint32_t process)
{
	struct proc_process *p = proc_process_at(m, process);
	struct proc_maps now;
	struct error *err = p->space ? proc_maps_read(p->pid, &now) : NULL;
	uint32_t gone;

	if (err || !p->space) {
		error_free(err);
		return false;
	}
	gone = proc_space_retain(&p->space, &now);
	proc_maps_deinit(&now);
	if (gone)
		p->epoch = ++m->last_epoch;
	return gone > 0;
}

void proc_model_rescan_all(struct proc_model *m, uint64_t time_ns)
{
	for (uint32_t i = 0; i < m->processes.count; i++) {
		char path[32];

		if (!proc_process_at(m, i)->live_threads)
			continue;
		snprintf(path, sizeof(path), "/proc/%u", proc_process_at(m, i)->pid);
		if (access(path, F_OK) == 0)
			scan_maps(m, i, time_ns);
	}
}

/* --- walks --- */

static bool read_code(void *context, uint64_t address, void *bytes, uint32_t size)
{
	struct iovec to = { bytes, size }, from = { (void *)(uintptr_t)address, size };

	return process_vm_readv((pid_t)(uintptr_t)context, &to, 1, &from, 1, 0) == (ssize_t)size;
}

void proc_model_space(struct proc_model *m, uint32_t process, struct unwind_space *ret)
{
	const struct proc_process *p = proc_process_at(m, process);

	*ret = (struct unwind_space){ .read_code = read_code,
				      .context = (void *)(uintptr_t)p->pid };
	if (!p->space)
		return;
	ret->mappings = p->space->unwind;
	ret->tables = p->space->tables;
	ret->count = p->space->count;
}

/* --- the recording --- */

static uint32_t number_after(const char *text, const char *key, bool last)
{
	const char *at = strstr(text, key);
	uint32_t v = 0;

	if (!at)
		return 0;
	at += strlen(key);
	for (char *end; *at && *at != '\n'; at = end) {
		unsigned long n = strtoul(at, &end, 10);

		if (end == at)
			break;
		v = (uint32_t)n;
		if (!last)
			break;
	}
	return v;
}

/* Its user, its own number for itself, its root folder: as /proc says now, or as its parent's were.
 */
static void identify(struct proc_model *m, struct proc_process *p)
{
	char path[64], *status;
	struct error *err;
	const char *root;

	p->identity_known = true;
	if (!p->live_threads)
		return;
	snprintf(path, sizeof(path), "/proc/%u/status", p->pid);
	err = file_read_proc(path, 16384, &status, NULL);
	if (err) {
		error_free(err);
		return;
	}
	p->uid = number_after(status, "\nUid:", false);
	p->ns_pid = number_after(status, "\nNSpid:", true);
	free(status);
	root = proc_root_of(&m->roots, p->pid);
	p->root = root ? intern_name(m, root) : 0;
}

/* Its parent is in the recording, or unknown. */
static void record_process(struct proc_model *m, struct proc_process *p)
{
	p->id = recording_add_process(
		m->writer,
		&(struct recording_process){
			.pid = p->pid,
			.ns_pid = p->ns_pid == p->pid ? 0 : p->ns_pid,
			.parent = p->parent == NONE ? 0 : proc_process_at(m, p->parent)->id,
			.uid = p->uid,
			.start_ns = p->start_ns,
			.root = p->root,
		});
}

/* Reads who it is, if that is not known yet. A short program is not asked: it is taken for its
 * parent's kin, until it has run for a while. */
static void find_identity(struct proc_model *m, struct proc_process *p, bool insists)
{
	uint32_t uid = p->uid, ns_pid = p->ns_pid, root = p->root;

	bool is_short = p->parent != NONE && m->asked_ns < p->start_ns + SHORT_NS;

	if (p->identity_known || (is_short && !insists))
		return;
	identify(m, p);
	if (!p->id)
		return;
	p->was_recorded_unknown = false;
	if (p->uid == uid && p->root == root && (p->ns_pid == ns_pid || p->ns_pid == p->pid))
		return;
	/* once more, with what is known now */
	p->id = p->jit_file = 0;
	p->epoch = ++m->last_epoch;
	map_deinit(&p->recorded);
	p->recorded = (struct map){ 0 };
}

static uint32_t process_id(struct proc_model *m, uint32_t process)
{
	struct proc_process *p = proc_process_at(m, process);
	VEC(uint32_t) line = { 0 };

	if (!p->id || p->was_recorded_unknown)
		find_identity(m, p, false);
	/* No recursion: where each forks the next, a line of descent has any length. The limit is
	 * for a circle, which lost records and numbers that come back can make. */
	for (uint32_t i = process;
	     i != NONE && !proc_process_at(m, i)->id && line.count < m->processes.count;
	     i = proc_process_at(m, i)->parent)
		vec_push(&line, i);
	while (line.count) {
		p = proc_process_at(m, line.items[--line.count]);
		p->was_recorded_unknown = !p->identity_known;
		record_process(m, p);
	}
	vec_deinit(&line);
	return proc_process_at(m, process)->id;
}

uint32_t proc_model_thread_id(struct proc_model *m, uint32_t thread)
{
	struct proc_thread *t = proc_thread_at(m, thread);
	uint32_t process = process_id(m, t->process);

	if (!t->id || t->process_id != process) {
		t->process_id = process;
		t->id = recording_add_thread(
			m->writer, &(struct recording_thread){ .process = process, .tid = t->tid });
		record_comm(m, t);
	}
	return t->id;
}

uint32_t proc_model_comm_of(struct proc_model *m, uint32_t process)
{
	const struct proc_process *p = proc_process_at(m, process);

	return p->leader == NONE ? 0 : proc_thread_at(m, p->leader)->comm;
}

static uint32_t jit_file(struct proc_model *m, uint32_t process)
{
	/* its names are in a file of its user, called by its own number, in its root */
	find_identity(m, proc_process_at(m, process), true);

	uint32_t id = process_id(m, process);
	struct proc_process *p = proc_process_at(m, process);

	if (!p->jit_file)
		p->jit_file = recording_add_file(
			m->writer, &(struct recording_file){ .kind = RECORDING_FILE_JIT,
							     .path = intern_name(m, "[jit]"),
							     .process = id });
	return p->jit_file;
}

/* The file of addresses where nothing is mapped. */
static uint32_t nowhere(struct proc_model *m)
{
	struct proc_file_key key = { .path = "[unknown]" };
	uint32_t index = proc_files_intern(&m->files, &key);

	proc_files_get(&m->files, index)->kind = RECORDING_FILE_OTHER;
	return proc_files_id(&m->files, index);
}

static void record_mapping(struct proc_model *m, uint32_t process, uint32_t index, uint32_t file,
			   uint64_t bias)
{
	uint32_t id = process_id(m, process);
	struct proc_process *p = proc_process_at(m, process);
	const struct unwind_mapping *u = &p->space->unwind[index];
	const struct proc_mapping *mapping = &p->space->mappings[index];
	uint32_t *known = map_at(&p->recorded, u->start);

	if (*known == file)
		return;
	*known = file;
	recording_add_mapping(m->writer, &(struct recording_mapping){
						 .process = id,
						 .file = file,
						 .start = u->start,
						 .end = u->end,
						 .offset = mapping->offset,
						 .bias = bias,
						 .time_ns = mapping->time_ns,
					 });
}

void proc_model_place(struct proc_model *m, uint32_t process, uint32_t index, uint64_t ip,
		      uint32_t *ret_file, uint64_t *ret_address)
{
	struct proc_process *p = proc_process_at(m, process);
	const struct proc_file *file;
	uint64_t bias = 0;

	if (index == NONE || !p->space || index >= p->space->count) {
		*ret_file = nowhere(m);
		*ret_address = ip;
		return;
	}
	proc_space_resolve(p->space, &m->files, index, p->pid);
	file = proc_files_get(&m->files, p->space->mappings[index].file);
	if (file->kind == RECORDING_FILE_JIT) {
		*ret_file = jit_file(m, process);
	} else {
		if (file->kind == RECORDING_FILE_ELF || file->kind == RECORDING_FILE_VDSO)
			bias = p->space->unwind[index].bias;
		*ret_file = proc_files_id(&m->files, p->space->mappings[index].file);
	}
	*ret_address = ip - bias;
	record_mapping(m, process, index, *ret_file, bias);
}
