/* Slots as user space gives them out and sees them taken, on memory that no kernel shares; the
 * kernel program's side is played by the test. And the arithmetic of CPUs and rings. */
#include "tests/unit/unit.h"

#include <stdlib.h>

#include "base/mem.h"
#include "profiler/bpf/bridge.h"

static struct kern_sampler *make(void)
{
	struct kern_sampler *s = mem_calloc(1, sizeof(*s));

	s->slots = mem_calloc(KERN_SLOTS, sizeof(*s->slots));
	s->owners = mem_calloc(KERN_SLOTS, sizeof(*s->owners));
	s->free_slots = mem_calloc(KERN_SLOTS, sizeof(*s->free_slots));
	s->state = mem_calloc(1, sizeof(*s->state));
	kern_slots_init(s);
	return s;
}

static void drop(struct kern_sampler *s)
{
	free(s->slots);
	free(s->owners);
	free(s->free_slots);
	free(s->state);
	free(s);
}

/* What take_slot() of sampler.bpf.c does up to its last two stores. */
static uint32_t kernel_takes(struct kern_sampler *s)
{
	uint32_t taken = s->state->slots_taken;

	if (taken == s->state->slots_given)
		return 0;
	s->state->slots_taken++;
	return s->free_slots[taken % KERN_SLOTS];
}

static uint64_t now_ns;

static uint32_t kernel_gives(struct kern_sampler *s, uint32_t tgid)
{
	uint32_t slot = kernel_takes(s);

	if (slot) {
		s->slots[slot] = (struct kern_slot){ .maps = 1, .mm = 2 };
		s->owners[slot] = (struct kern_owner){ .tgid = tgid, .time_ns = ++now_ns };
	}
	return slot;
}

struct seen {
	uint32_t count, slots[16], tgids[16];
};

static void see(void *context, uint32_t slot, const struct kern_owner *owner)
{
	struct seen *seen = context;

	if (seen->count < ARRAY_SIZE(seen->slots)) {
		seen->slots[seen->count] = slot;
		seen->tgids[seen->count] = owner->tgid;
	}
	seen->count++;
}

static struct seen new_slots(struct kern_sampler *s)
{
	struct seen seen = { 0 };

	kern_sampler_new_slots(s, see, &seen);
	return seen;
}

static void the_kernels_slots_are_seen_once_and_in_order(void **state)
{
	struct kern_sampler *s = make();
	uint32_t first, second, own;
	struct seen seen;

	assert_int_equal(new_slots(s).count, 0);
	first = kernel_gives(s, 100);
	own = kern_slot_take(s);
	second = kernel_gives(s, 200);
	assert_true(first && second && own && first != second && first != own && own != second);
	seen = new_slots(s);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.slots[0], first);
	assert_int_equal(seen.tgids[0], 100);
	assert_int_equal(seen.slots[1], second);
	assert_int_equal(new_slots(s).count, 0);
	drop(s);
}

static void a_slot_that_is_being_filled_is_waited_for(void **state)
{
	struct kern_sampler *s = make();
	uint32_t slot = kernel_takes(s);
	struct seen seen;

	kernel_gives(s, 300); /* another CPU was faster */
	assert_int_equal(new_slots(s).count, 0);
	s->owners[slot] = (struct kern_owner){ .tgid = 299, .time_ns = 5 };
	seen = new_slots(s);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.tgids[0], 299);
	assert_int_equal(seen.tgids[1], 300);
	drop(s);
}

static void every_slot_but_the_first_is_given_out_once(void **state)
{
	struct kern_sampler *s = make();
	uint8_t *given = mem_calloc(KERN_SLOTS, 1);

	for (uint32_t i = 1; i < KERN_SLOTS; i++) {
		uint32_t slot = i % 3 ? kernel_gives(s, i) : kern_slot_take(s);

		assert_in_range(slot, 1, KERN_SLOTS - 1);
		assert_int_equal(given[slot]++, 0);
	}
	assert_int_equal(kern_slot_take(s), 0);
	assert_int_equal(kernel_gives(s, 1), 0);
	assert_int_equal(new_slots(s).count, (KERN_SLOTS - 1) - (KERN_SLOTS - 1) / 3);
	free(given);
	drop(s);
}

static void a_freed_slot_comes_again_and_is_empty(void **state)
{
	struct kern_sampler *s = make();

	while (kernel_gives(s, 7))
		;
	new_slots(s);
	kern_sampler_free_slot(s, 0); /* nobody's */
	kern_sampler_free_slot(s, KERN_SLOTS);
	assert_int_equal(kern_slot_take(s), 0);
	kern_sampler_free_slot(s, 4711);
	assert_int_equal(s->slots[4711].maps, 0);
	assert_int_equal(s->slots[4711].mm, 0);
	assert_int_equal(s->owners[4711].time_ns, 0);
	assert_int_equal(kern_slot_take(s), 4711);
	assert_int_equal(kern_slot_take(s), 0);

	/* freed by us before we saw that it was we who took it, and then taken by the kernel */
	kern_sampler_free_slot(s, 4711);
	assert_int_equal(kernel_gives(s, 8), 4711);
	struct seen seen = new_slots(s);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.tgids[0], 8);
	drop(s);
}

static void positions_go_round(void **state)
{
	struct kern_sampler *s = make();
	uint32_t seen = 0;

	/* right before 2^32 */
	s->state->slots_taken = s->slots_seen = 0u - KERN_SLOTS;
	s->state->slots_given = 0u - 1;
	for (uint32_t i = 0; i < 3 * KERN_SLOTS; i++) {
		uint32_t slot = i % 2 ? kernel_gives(s, i) : kern_slot_take(s);

		assert_int_not_equal(slot, 0);
		seen += new_slots(s).count;
		kern_sampler_free_slot(s, slot);
	}
	assert_int_equal(seen, 3 * KERN_SLOTS / 2);
	drop(s);
}

static void mappings_are_published_by_one_store(void **state)
{
	struct kern_sampler *s = make();

	kern_sampler_publish(s, 5, kern_maps_word(0x1234, 7));
	assert_int_equal(kern_sampler_maps(s, 5), 0x700001234);
	assert_int_equal(s->slots[5].maps, 0x700001234);
	assert_int_equal(s->slots[5].mm, 0);
	drop(s);
}

static void lists_of_cpus(void **state)
{
	int cpus[8];

	assert_int_equal(kern_cpu_list("0-1\n", cpus, 8), 2);
	assert_int_equal(cpus[1], 1);
	assert_int_equal(kern_cpu_list("0,2-4,7\n", cpus, 8), 5);
	assert_int_equal(cpus[3], 4);
	assert_int_equal(cpus[4], 7);
	assert_int_equal(kern_cpu_list("3", cpus, 8), 1);
	assert_int_equal(kern_cpu_list("0-63", cpus, 8), 8);
	assert_int_equal(kern_cpu_list("", cpus, 8), 0);
	assert_int_equal(kern_cpu_list("\n", cpus, 8), 0);
	assert_int_equal(kern_cpu_list("none", cpus, 8), 0);
	assert_int_equal(kern_cpu_list("5-2,-3", cpus, 8), 0);
	assert_int_equal(kern_cpu_list("99999999", cpus, 8), 0);
}

static void sizes_of_rings(void **state)
{
	assert_int_equal(kern_ring_bytes(1), 4 << 20);
	assert_int_equal(kern_ring_bytes(16), 4 << 20);
	assert_int_equal(kern_ring_bytes(17), 2 << 20);
	assert_int_equal(kern_ring_bytes(32), 2 << 20);
	assert_int_equal(kern_ring_bytes(33), 1 << 20);
	assert_int_equal(kern_ring_bytes(64), 1 << 20);
	assert_int_equal(kern_ring_bytes(65), 512 << 10);
	assert_int_equal(kern_ring_bytes(KERN_MAX_CPUS), 512 << 10);

	/* what a machine with room for 256 CPUs takes, however many it has */
	assert_in_range(kern_memory_needed(kern_ring_bytes(2), 2) >> 20, 32, 44);
	assert_in_range(kern_memory_needed(kern_ring_bytes(256), 256) >> 20, 200, 220);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_kernels_slots_are_seen_once_and_in_order),
		cmocka_unit_test(a_slot_that_is_being_filled_is_waited_for),
		cmocka_unit_test(every_slot_but_the_first_is_given_out_once),
		cmocka_unit_test(a_freed_slot_comes_again_and_is_empty),
		cmocka_unit_test(positions_go_round),
		cmocka_unit_test(mappings_are_published_by_one_store),
		cmocka_unit_test(lists_of_cpus),
		cmocka_unit_test(sizes_of_rings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
