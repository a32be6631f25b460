/* Who is sampled, and the slots. */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "profiler/bpf/bridge.h"
#include "profiler/bpf/explain.h"

#define POSITION(at) ((at) & (KERN_SLOTS - 1))
#define BUSY_TRIES   100 /* a bucket is held for a microsecond */

void kern_slots_init(struct kern_sampler *s)
{
	/* 0 belongs to nobody */
	for (uint32_t slot = 1; slot < KERN_SLOTS; slot++)
		s->free_slots[slot - 1] = slot;
	__atomic_store_n(&s->state->slots_given, KERN_SLOTS - 1, __ATOMIC_RELEASE);
}

void kern_sampler_free_slot(struct kern_sampler *s, uint32_t slot)
{
	uint32_t given = s->state->slots_given; /* written here alone */

	if (slot == 0 || slot >= KERN_SLOTS)
		return;
	s->slots[slot] = (struct kern_slot){ 0 };
	s->owners[slot] = (struct kern_owner){ 0 };
	s->free_slots[POSITION(given)] = slot;
	__atomic_store_n(&s->state->slots_given, given + 1, __ATOMIC_RELEASE);
}

uint32_t kern_slot_take(struct kern_sampler *s)
{
	uint32_t taken = __atomic_load_n(&s->state->slots_taken, __ATOMIC_ACQUIRE), slot;

	do {
		if (taken == s->state->slots_given)
			return 0;
		slot = (uint32_t)s->free_slots[POSITION(taken)];
	} while (!__atomic_compare_exchange_n(&s->state->slots_taken, &taken, taken + 1, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	s->taken_here[POSITION(taken) / 8] |= (uint8_t)(1u << POSITION(taken) % 8);
	return slot;
}

void kern_sampler_new_slots(struct kern_sampler *s,
			    void (*each)(void *context, uint32_t slot,
					 const struct kern_owner *owner),
			    void *context)
{
	uint32_t taken = __atomic_load_n(&s->state->slots_taken, __ATOMIC_ACQUIRE);

	for (; s->slots_seen != taken; s->slots_seen++) {
		uint32_t at = POSITION(s->slots_seen);
		uint32_t slot = (uint32_t)s->free_slots[at];
		struct kern_owner *owner = &s->owners[slot];

		if (s->taken_here[at / 8] >> at % 8 & 1) {
			s->taken_here[at / 8] &= (uint8_t) ~(1u << at % 8);
			continue;
		}
		/* taken this moment, on another CPU, and not filled in yet: the next call finds it
		 */
		if (!__atomic_load_n(&owner->time_ns, __ATOMIC_ACQUIRE))
			return;
		each(context, slot, owner);
	}
}

uint32_t kern_sampler_memory_of(const struct kern_sampler *s, uint32_t slot)
{
	return s->owners[slot].memory_of;
}

void kern_sampler_publish(struct kern_sampler *s, uint32_t slot, uint64_t maps)
{
	__atomic_store_n(&s->slots[slot].maps, maps, __ATOMIC_RELEASE);
}

uint64_t kern_sampler_maps(const struct kern_sampler *s, uint32_t slot)
{
	return __atomic_load_n(&s->slots[slot].maps, __ATOMIC_ACQUIRE);
}

/* --- the hashes --- */

/* The kernel refuses with EBUSY while its own program holds the bucket on this CPU. Returns 0 or
 * the errno. */
static int update(int map, uint32_t key, const void *value, uint64_t flags)
{
	int result = 0;

	for (int i = 0; i < BUSY_TRIES; i++) {
		result = bpf_map_update_elem(map, &key, value, flags);
		if (result != -EBUSY)
			break;
	}
	return result < 0 ? -result : 0;
}

static struct error *explain_full(const char *what, int errnum)
{
	struct error *err;

	if (errnum != E2BIG)
		return kern_explain(errnum, "telling the kernel program whom to sample", "");
	err = error_new(ERR_UNSUPPORTED, "too many %s at once for the kernel program", what);
	return error_hint(err, "sample fewer, or with the other backend: --backend=perf");
}

struct error *kern_sampler_add_process(struct kern_sampler *s, uint32_t tgid, uint64_t start_ticks,
				       bool armed, uint32_t *ret_slot)
{
	struct kern_process process = { .armed = armed, .start_ticks = start_ticks }, found;
	int errnum;

	process.slot = kern_slot_take(s);
	if (process.slot)
		s->owners[process.slot].tgid = tgid;
	errnum = update(s->processes, tgid, &process, BPF_NOEXIST);
	if (errnum == EEXIST) { /* forked by a target meanwhile: the kernel program knows it */
		kern_sampler_free_slot(s, process.slot);
		found.slot = 0;
		bpf_map_lookup_elem(s->processes, &tgid, &found); /* it may have ended since */
		*ret_slot = found.slot;
		return NULL;
	}
	if (errnum) {
		kern_sampler_free_slot(s, process.slot);
		return explain_full("processes", errnum);
	}
	*ret_slot = process.slot;
	return NULL;
}

struct error *kern_sampler_add_thread(struct kern_sampler *s, uint32_t tid)
{
	uint32_t one = 1;
	int errnum = update(s->threads, tid, &one, BPF_ANY);

	return errnum ? explain_full("threads", errnum) : NULL;
}
