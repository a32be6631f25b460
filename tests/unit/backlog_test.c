/* The queue between the thread that empties the kernel's rings and the drain. */
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "profiler/capture/ebpf/backlog.h"

#define RECORDS	  200000
#define LARGEST	  70000 /* more than a block */
#define LARGE_ONE 1000	/* one in so many */

/* Of any length, small ones mostly, and each known by its number. */
static size_t size_of(uint32_t n)
{
	uint32_t mixed = n * 2654435761u;

	return n % LARGE_ONE ? 8 + mixed % 600 : 8 + mixed % LARGEST;
}

static uint8_t byte_of(uint32_t n, size_t i)
{
	return (uint8_t)(n * 31 + i);
}

static void push(struct backlog *b, uint32_t n, uint8_t *scratch)
{
	size_t size = size_of(n);

	for (size_t i = 0; i < size; i++)
		scratch[i] = byte_of(n, i);
	backlog_push(b, scratch, size);
}

static void check(const void *record, size_t size, uint32_t n)
{
	const uint8_t *bytes = record;

	assert_int_equal(size, size_of(n));
	assert_int_equal((uintptr_t)record % 8, 0);
	assert_int_equal(bytes[0], byte_of(n, 0));
	assert_int_equal(bytes[size / 2], byte_of(n, size / 2));
	assert_int_equal(bytes[size - 1], byte_of(n, size - 1));
}

static void an_empty_one_has_nothing(void **state)
{
	_Atomic uint64_t held = 0;
	struct backlog b;
	size_t size;

	backlog_init(&b, &held);
	assert_null(backlog_peek(&b, &size));
	backlog_push(&b, "1234567", 8);
	assert_string_equal(backlog_peek(&b, &size), "1234567");
	assert_string_equal(backlog_peek(&b, &size), "1234567");
	backlog_pop(&b);
	assert_null(backlog_peek(&b, &size));
	backlog_deinit(&b);
	assert_int_equal(held, 0);
}

static void what_was_read_is_given_back(void **state)
{
	uint8_t *scratch = mem_alloc(LARGEST + 8);
	_Atomic uint64_t held = 0;
	uint64_t at_first, full;
	struct backlog b;
	size_t size;

	backlog_init(&b, &held);
	at_first = held;
	for (uint32_t n = 0; n < 2000; n++)
		push(&b, n, scratch);
	full = held;
	assert_in_range(full, 2000 * 100, 2000 * 800);
	for (uint32_t n = 0; n < 2000; n++) {
		const void *record = backlog_peek(&b, &size);

		assert_non_null(record);
		check(record, size, n);
		backlog_pop(&b);
	}
	assert_null(backlog_peek(&b, &size));
	assert_int_equal(held, at_first);
	for (uint32_t n = 0; n < 100; n++) /* some are left in it */
		push(&b, n, scratch);
	backlog_deinit(&b);
	assert_int_equal(held, 0);
	free(scratch);
}

static void *write_all(void *backlog)
{
	uint8_t *scratch = mem_alloc(LARGEST + 8);

	for (uint32_t n = 0; n < RECORDS; n++)
		push(backlog, n, scratch);
	free(scratch);
	return NULL;
}

static void two_threads_share_one(void **state)
{
	_Atomic uint64_t held = 0;
	struct backlog b;
	pthread_t writer;

	backlog_init(&b, &held);
	assert_int_equal(pthread_create(&writer, NULL, write_all, &b), 0);
	for (uint32_t n = 0; n < RECORDS;) {
		size_t size;
		const void *record = backlog_peek(&b, &size);

		if (!record)
			continue;
		check(record, size, n++);
		backlog_pop(&b);
	}
	pthread_join(writer, NULL);
	backlog_deinit(&b);
	assert_int_equal(held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_one_has_nothing),
		cmocka_unit_test(what_was_read_is_given_back),
		cmocka_unit_test(two_threads_share_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
