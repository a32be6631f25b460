/*
 * Mappings for the kernel program: the array of a process's space, copied into the pool and found
 * through the word in its slot. What is published never changes; when the space does, the next
 * array is published and the one before is retired. Its memory is given out again when nothing can
 * read it any more:
 *
 *	the owner's slot holds another word
 *	wait for readers	a fork that had read the old word has stored it in its child's slot
 *	look at all slots	what one holds, or held since, waits for another time
 *	wait for readers	a sample that had read the word from such a slot has ended
 *	drain up to there	no sample in the rings was walked with it
 *
 * Slots take the same way. The generation in an array's head and in the word tells, all the same,
 * when memory is another array's by now.
 */
#include <string.h>

#include "base/cpu_time.h"
#include "profiler/capture/ebpf/ebpf.h"
#include "profiler/unwind/pool.h"

#define ORDER_MIN	 7 /* 15 mappings */
#define WORDS_EACH	 (sizeof(struct unwind_mapping) / sizeof(uint32_t))
#define RECLAIM_EVERY_NS 2000000000ull /* each time, all slots are looked at */
#define PRUNE_FROM	 512	       /* mappings */
#define PRUNE_EVERY_NS	 100000000ull
#define CALM_NS		 500000000ull
#define RECLAIM_AT_ONCE	 2048 /* arrays and slots */

_Static_assert((UNWIND_MAX_MAPPINGS + 1) * WORDS_EACH <= 1u << (EBPF_ORDERS - 1),
	       "an array has an order");

static struct ebpf_array *array_at(struct ebpf_spaces *s, uint32_t index)
{
	return &s->arrays.items[index];
}

static struct kern_maps *maps_at(struct capture *c, uint32_t offset)
{
	return (struct kern_maps *)pool_at(c->tables, offset);
}

/* The array that a word leads to; MAP_NONE where its memory is another one's by now. */
static uint32_t find_array(struct ebpf_spaces *s, uint64_t maps)
{
	uint32_t index = maps ? map_find(&s->by_offset, (uint32_t)maps) : MAP_NONE;

	if (index == MAP_NONE || array_at(s, index)->generation != maps >> 32 ||
	    array_at(s, index)->state == EBPF_ARRAY_FREE)
		return MAP_NONE;
	return index;
}

const struct kern_maps *ebpf_maps_of(struct capture *c, uint64_t maps)
{
	if (find_array(&ebpf_of(c)->spaces, maps) == MAP_NONE)
		return NULL;
	return maps_at(c, (uint32_t)maps);
}

void ebpf_settle_maps(struct capture *c, uint64_t maps)
{
	if (find_array(&ebpf_of(c)->spaces, maps) != MAP_NONE)
		__atomic_store_n(&maps_at(c, (uint32_t)maps)->settled, 1, __ATOMIC_RELAXED);
}

/* --- publishing --- */

/* The kernel program cannot ask for a file: all that are mapped are opened. */
static void open_files(struct capture *c, uint32_t process)
{
	struct proc_process *p = proc_process_at(&c->model, process);
	uint64_t begun = 0;

	for (uint32_t i = 0; p->space && i < p->space->count; i++) {
		if (p->space->mappings[i].resolved)
			continue;
		if (!begun)
			begun = thread_cpu_ns();
		proc_space_resolve(p->space, &c->model.files, i, p->pid);
	}
	if (begun)
		ebpf_of(c)->spaces.open_ns += thread_cpu_ns() - begun;
}

void ebpf_touch_space(struct capture *c, uint32_t process)
{
	struct ebpf_process *p = ebpf_process_at(c, process);

	if (!p->is_sampled || p->is_queued ||
	    p->epoch == proc_process_at(&c->model, process)->epoch)
		return;
	p->is_queued = true;
	vec_push(&ebpf_of(c)->spaces.queue, process);
}

void ebpf_want_space(struct capture *c, uint32_t process)
{
	struct ebpf_process *p = ebpf_process_at(c, process);

	if (!p->is_sampled)
		ebpf_join_memory(c, process);
	p = ebpf_process_at(c, process);
	p->is_sampled = true;
	open_files(c, process);
	ebpf_touch_space(c, process);
}

/*
 * Libraries that come and go at the same address: until the record of a new one has been read, the
 * kernel program walks with the table of the one before, and the stack is of no use. For a process
 * that does so, nothing is published until it has left that off for a while: its samples are walked
 * here, each with what was mapped at its time.
 */
void ebpf_replace_code(struct capture *c, uint32_t process, const struct pev_record *r)
{
	const struct proc_space *space = proc_process_at(&c->model, process)->space;
	uint64_t start = r->mmap.start, end = start + r->mmap.size;
	struct proc_file_key key = session_file_of(r);
	uint32_t file = proc_files_intern(&c->model.files, &key);

	for (uint32_t i = 0; space && i < space->count; i++) {
		const struct unwind_mapping *m = &space->unwind[i];
		const struct proc_mapping *mapping = &space->mappings[i];
		bool is_same = mapping->file == file &&
			       m->start - mapping->offset == start - r->mmap.offset;

		if (m->end > start && m->start < end && m->kind == UNWIND_MAP_TABLE && !is_same)
			ebpf_process_at(c, process)->calm_ns = r->time + CALM_NS;
	}
}

static uint32_t order_of(uint32_t count)
{
	uint32_t words = (count + 1) * (uint32_t)WORDS_EACH, order = ORDER_MIN;

	while (1u << order < words)
		order++;
	return order;
}

/* MAP_NONE: there is no memory. */
static uint32_t new_array(struct capture *c, uint32_t count)
{
	struct ebpf_spaces *s = &ebpf_of(c)->spaces;
	uint32_t order = order_of(count), index, offset;

	if (s->free_arrays[order].count)
		return s->free_arrays[order].items[--s->free_arrays[order].count];
	offset = pool_alloc_aligned(c->tables, 1u << order, (uint32_t)WORDS_EACH);
	if (!offset)
		return MAP_NONE;
	index = (uint32_t)s->arrays.count;
	vec_push(&s->arrays, (struct ebpf_array){ .offset = offset, .order = order });
	*map_at(&s->by_offset, offset) = index;
	return index;
}

/* A copy of the space's mappings; 0: there is no room for them. */
static uint64_t make_maps(struct capture *c, uint32_t process)
{
	const struct proc_space *space = proc_process_at(&c->model, process)->space;
	struct ebpf_spaces *s = &ebpf_of(c)->spaces;
	uint32_t index = new_array(c, space->count);

	if (index == MAP_NONE)
		return 0;

	struct ebpf_array *a = array_at(s, index);
	struct kern_maps *head = maps_at(c, a->offset);

	a->process = process;
	a->generation = ++s->generation;
	a->state = EBPF_ARRAY_PUBLISHED;
	*head = (struct kern_maps){ .generation = a->generation, .count = space->count };
	memcpy(head + 1, space->unwind, space->count * sizeof(*space->unwind));
	return kern_maps_word(a->offset, a->generation);
}

/* Another word for a slot. A fork may have read the one before, and not stored it in its child's
 * slot yet: the next look must not miss that array. */
static void replace_maps(struct ebpf_state *e, uint32_t slot, uint64_t maps)
{
	uint32_t index = find_array(&e->spaces, kern_sampler_maps(e->sampler, slot));

	if (index != MAP_NONE)
		array_at(&e->spaces, index)->held = e->spaces.looks + 1;
	kern_sampler_publish(e->sampler, slot, maps);
}

/* Run-time compilers map code here and there, and nobody tells of what they unmap. */
static void prune(struct capture *c, uint32_t process)
{
	struct ebpf_process *known = ebpf_process_at(c, process);
	uint64_t now = session_now();
	uint32_t count = proc_process_at(&c->model, process)->space->count;

	if (count <= MAX(2 * known->pruned_count, PRUNE_FROM) ||
	    now - known->pruned_ns < PRUNE_EVERY_NS)
		return;
	proc_model_prune(&c->model, process);
	known->pruned_ns = now;
	known->pruned_count = proc_process_at(&c->model, process)->space->count;
}

static void publish(struct capture *c, uint32_t process)
{
	struct ebpf_state *e = ebpf_of(c);
	struct proc_process *p = proc_process_at(&c->model, process);
	struct ebpf_process *known = ebpf_process_at(c, process);
	uint32_t slot = ebpf_slot_of(c, process);
	uint64_t old = known->maps;

	known->is_queued = false;
	if (old && known->calm_ns > e->until_ns) {
		known->maps = 0;
		known->epoch = EBPF_NO_EPOCH;
		replace_maps(e, slot, 0);
		ebpf_retire_maps(c, process, old);
		return;
	}
	if (known->calm_ns > e->until_ns || !slot || !p->space || known->epoch == p->epoch)
		return;
	prune(c, process);
	open_files(c, process);
	if (p->space->count > UNWIND_MAX_MAPPINGS) {
		e->spaces.too_many += !known->was_too_large;
		known->was_too_large = true;
		known->maps = 0; /* its samples are deferred */
	} else {
		known->maps = make_maps(c, process);
	}
	known->epoch = p->epoch;
	e->spaces.published++;
	replace_maps(e, slot, known->maps);
	ebpf_retire_maps(c, process, old);
}

void ebpf_publish_spaces(struct capture *c)
{
	struct ebpf_spaces *s = &ebpf_of(c)->spaces;

	for (size_t i = 0; i < s->queue.count; i++)
		publish(c, s->queue.items[i]);
	s->queue.count = 0;
}

/* --- taking back --- */

void ebpf_retire_maps(struct capture *c, uint32_t process, uint64_t maps)
{
	struct ebpf_spaces *s = &ebpf_of(c)->spaces;
	uint32_t index = find_array(s, maps);
	struct ebpf_array *a = index == MAP_NONE ? NULL : array_at(s, index);

	if (!a || a->state != EBPF_ARRAY_PUBLISHED || a->process != process)
		return; /* a fork's: it is retired where it is published */
	a->state = EBPF_ARRAY_RETIRED;
	vec_push(&s->retired, index);
}

void ebpf_retire_slot(struct capture *c, uint32_t slot)
{
	replace_maps(ebpf_of(c), slot, 0);
	vec_push(&ebpf_of(c)->spaces.retired_slots, slot);
}

/* What is retired by now is on its way; what comes later waits for the next time. */
static void begin_batch(struct ebpf_spaces *s)
{
	for (size_t i = 0; i < s->retired.count; i++) {
		array_at(s, s->retired.items[i])->held = 0; /* the wait is for these forks */
		vec_push(&s->batch, s->retired.items[i]);
	}
	for (size_t i = 0; i < s->retired_slots.count; i++)
		vec_push(&s->batch_slots, s->retired_slots.items[i]);
	s->retired.count = s->retired_slots.count = 0;
}

/* Those that a slot holds wait for another time. */
static void keep_held(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);
	struct ebpf_spaces *s = &e->spaces;
	size_t kept = 0;

	s->looks++;
	for (uint32_t slot = 1; slot < KERN_SLOTS; slot++) {
		uint32_t index = find_array(s, kern_sampler_maps(e->sampler, slot));

		if (index != MAP_NONE)
			array_at(s, index)->held = s->looks;
	}
	for (size_t i = 0; i < s->batch.count; i++) {
		if (array_at(s, s->batch.items[i])->held == s->looks)
			vec_push(&s->retired, s->batch.items[i]);
		else
			s->batch.items[kept++] = s->batch.items[i];
	}
	s->batch.count = kept;
}

static void free_batch(struct capture *c)
{
	struct ebpf_state *e = ebpf_of(c);
	struct ebpf_spaces *s = &e->spaces;

	for (size_t i = 0; i < s->batch.count; i++) {
		struct ebpf_array *a = array_at(s, s->batch.items[i]);

		a->state = EBPF_ARRAY_FREE;
		vec_push(&s->free_arrays[a->order], s->batch.items[i]);
	}
	for (size_t i = 0; i < s->batch_slots.count; i++)
		kern_sampler_free_slot(e->sampler, s->batch_slots.items[i]);
	s->batch.count = s->batch_slots.count = 0;
}

void ebpf_reclaim(struct capture *c, uint64_t now_ns)
{
	struct ebpf_state *e = ebpf_of(c);
	struct ebpf_spaces *s = &e->spaces;
	size_t retired = s->retired.count + s->retired_slots.count;

	switch (s->reclaim) {
	case EBPF_RECLAIM_IDLE:
		if (!retired ||
		    (retired < RECLAIM_AT_ONCE && now_ns - s->begun_ns < RECLAIM_EVERY_NS))
			return;
		if (!s->waiter)
			s->waiter = ebpf_waiter_create(e->sampler);
		if (!s->waiter)
			return; /* nothing is given back */
		s->begun_ns = now_ns;
		begin_batch(s);
		ebpf_waiter_start(s->waiter);
		s->reclaim = EBPF_RECLAIM_FIRST_WAIT;
		return;
	case EBPF_RECLAIM_FIRST_WAIT:
		if (!ebpf_waiter_is_done(s->waiter))
			return;
		keep_held(c);
		ebpf_waiter_start(s->waiter);
		s->reclaim = EBPF_RECLAIM_SECOND_WAIT;
		return;
	case EBPF_RECLAIM_SECOND_WAIT:
		if (!ebpf_waiter_is_done(s->waiter))
			return;
		s->waited_ns = now_ns;
		s->reclaim = EBPF_RECLAIM_DRAIN;
		return;
	case EBPF_RECLAIM_DRAIN:
		if (e->drained_ns <= s->waited_ns)
			return;
		free_batch(c);
		s->reclaim = EBPF_RECLAIM_IDLE;
		return;
	}
}

void ebpf_spaces_deinit(struct ebpf_spaces *s)
{
	ebpf_waiter_destroy(s->waiter);
	for (size_t i = 0; i < EBPF_ORDERS; i++)
		vec_deinit(&s->free_arrays[i]);
	vec_deinit(&s->arrays);
	map_deinit(&s->by_offset);
	vec_deinit(&s->queue);
	vec_deinit(&s->retired);
	vec_deinit(&s->retired_slots);
	vec_deinit(&s->batch);
	vec_deinit(&s->batch_slots);
}
