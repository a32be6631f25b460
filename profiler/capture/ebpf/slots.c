/*
 * Slots: what the kernel program finds a process's mappings by. It gives them out itself, at forks
 * (with the parent's mappings) and execs (empty), and tells of that; the drain applies it in the
 * order of time, like everything else.
 */
#include <stdio.h>
#include <unistd.h>

#include "profiler/capture/ebpf/ebpf.h"

struct ebpf_process *ebpf_process_at(struct capture *c, uint32_t process)
{
	struct ebpf_state *e = ebpf_of(c);

	uint32_t serial = proc_process_at(&c->model, process)->serial;

	while (e->processes.count <= process)
		vec_push(&e->processes, ((struct ebpf_process){ 0 }));
	if (e->processes.items[process].serial != serial)
		e->processes.items[process] =
			(struct ebpf_process){ .serial = serial, .epoch = EBPF_NO_EPOCH };
	return &e->processes.items[process];
}

uint32_t ebpf_slot_of(const struct capture *c, uint32_t process)
{
	const struct proc_process *p = &c->model.processes.items[process];
	uint32_t slot = map_find(&ebpf_of(c)->slot_of_pid, p->pid);

	if (slot == MAP_NONE || map_find(&c->model.by_pid, p->pid) != process)
		return 0;
	return slot;
}

/* A fork has its parent's mappings, word for word, and if these were right, so are its. */
static bool are_parents(struct capture *c, uint32_t process, uint64_t maps)
{
	uint32_t parent = proc_process_at(&c->model, process)->parent;

	if (!maps || parent == UINT32_MAX)
		return false;

	const struct ebpf_process *from = ebpf_process_at(c, parent);

	return from->maps == maps && from->epoch == proc_process_at(&c->model, parent)->epoch;
}

void ebpf_join_memory(struct capture *c, uint32_t process)
{
	uint32_t slot = ebpf_slot_of(c, process), with, pid;

	pid = slot ? kern_sampler_memory_of(ebpf_of(c)->sampler, slot) : 0;
	if (!pid)
		return;
	with = map_find(&c->model.by_pid, pid);
	if (with == MAP_NONE || !proc_process_at(&c->model, with)->live_threads) {
		if (proc_has_ended(pid))
			return;
		/* nothing was told of it yet: what it maps is wanted from now on */
		with = proc_thread_at(&c->model,
				      proc_model_thread(&c->model, pid, pid, session_now()))
			       ->process;
	}
	proc_model_share_memory(&c->model, process, with);
}

void ebpf_give_slot(struct capture *c, uint32_t pid, uint32_t slot)
{
	struct ebpf_state *e = ebpf_of(c);
	uint32_t process = map_find(&c->model.by_pid, pid);

	if (map_find(&e->slot_of_pid, pid) == slot)
		return; /* it was found there before that was told */
	ebpf_take_slot(c, pid);
	*map_at(&e->slot_of_pid, pid) = slot;
	if (process == MAP_NONE)
		return; /* its first sample makes it known */
	ebpf_join_memory(c, process);

	uint64_t maps = kern_sampler_maps(e->sampler, slot);
	bool is_right = are_parents(c, process, maps);
	struct ebpf_process *p = ebpf_process_at(c, process);

	p->maps = maps;
	p->epoch = is_right ? proc_process_at(&c->model, process)->epoch : EBPF_NO_EPOCH;
	ebpf_touch_space(c, process);
}

void ebpf_take_slot(struct capture *c, uint32_t pid)
{
	struct ebpf_state *e = ebpf_of(c);
	uint32_t process = map_find(&c->model.by_pid, pid);
	uint32_t old = map_find(&e->slot_of_pid, pid);

	map_remove(&e->slot_of_pid, pid);
	if (process != MAP_NONE) {
		struct ebpf_process *p = ebpf_process_at(c, process);

		ebpf_retire_maps(c, process, p->maps);
		p->maps = 0;
		p->epoch = EBPF_NO_EPOCH;
	}
	if (old != MAP_NONE)
		ebpf_retire_slot(c, old);
}

void ebpf_take_slots_of_gone(struct capture *c)
{
	const struct map *slots = &ebpf_of(c)->slot_of_pid;
	VEC(uint32_t) gone = { 0 };

	for (uint32_t i = 0; slots->count && i <= slots->mask; i++) {
		char path[32];

		if (slots->slots[i].value == MAP_NONE)
			continue;
		snprintf(path, sizeof(path), "/proc/%u", (uint32_t)slots->slots[i].key);
		if (access(path, F_OK) != 0)
			vec_push(&gone, (uint32_t)slots->slots[i].key);
	}
	for (size_t i = 0; i < gone.count; i++)
		ebpf_take_slot(c, gone.items[i]);
	vec_deinit(&gone);
}

static void add_new_slot(void *context, uint32_t slot, const struct kern_owner *owner)
{
	struct ebpf_state *e = context;

	vec_push(&e->new_slots, (struct ebpf_new_slot){ .slot = slot,
							.pid = owner->tgid,
							.time_ns = owner->time_ns });
}

void ebpf_refresh_slots(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);

	vec_shed(&e->new_slots, &e->new_slots_taken);
	kern_sampler_new_slots(e->sampler, add_new_slot, e);
}
