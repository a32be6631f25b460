/* The reader of the kernel program's ring, on memory written by hand. */
#include "tests/unit/unit.h"

#include <linux/bpf.h>
#include <stdlib.h>

#include "base/mem.h"
#include "profiler/bpf/ring.h"
#include "profiler/unwind/status.h"

#define SIZE 4096

/* A ring and what its writer knows. The data stand there twice, as the kernel maps them. */
struct image {
	uint64_t reader_at, writer_at;
	uint8_t data[2 * SIZE];
	struct kern_reader reader;
};

static struct image *make(uint64_t start)
{
	struct image *im = mem_calloc(1, sizeof(*im));

	im->reader_at = im->writer_at = start;
	im->reader = (struct kern_reader){ .reader = &im->reader_at,
					   .writer = &im->writer_at,
					   .data = im->data,
					   .size = SIZE,
					   .tail = start,
					   .head = start };
	return im;
}

static void put_bytes(struct image *im, uint64_t at, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		im->data[(at + i) % SIZE] = im->data[(at + i) % SIZE + SIZE] =
			((const uint8_t *)bytes)[i];
}

/* A record as the kernel writes it; length may carry the flags, or be a lie. */
static void put(struct image *im, uint32_t length, const void *bytes, size_t n)
{
	uint32_t header[2] = { length, 0xffffffff };

	put_bytes(im, im->writer_at, header, sizeof(header));
	put_bytes(im, im->writer_at + sizeof(header), bytes, n);
	im->writer_at += (sizeof(header) + n + 7) & ~7ull;
}

struct sample {
	struct kern_sample s;
	uint64_t words[4];
};

static struct sample sample_of(uint64_t time_ns)
{
	return (struct sample){ .s = { .record = { .time_ns = time_ns, .kind = KERN_RECORD_SAMPLE },
				       .kernel_count = 1,
				       .user_count = 3 },
				.words = { time_ns, 2, 3, time_ns + 4 } };
}

static void put_sample(struct image *im, uint64_t time_ns)
{
	struct sample s = sample_of(time_ns);

	put(im, sizeof(s), &s, sizeof(s));
}

static const struct kern_record *next(struct image *im)
{
	size_t size;
	const struct kern_record *record = kern_reader_peek(&im->reader, &size);

	if (record)
		kern_reader_pop(&im->reader);
	return record;
}

static void records_come_in_order(void **state)
{
	struct image *im = make(0);
	size_t size = 0;

	assert_null(kern_reader_peek(&im->reader, &size));
	put_sample(im, 10);
	put_sample(im, 20);
	for (int i = 0; i < 2; i++) { /* looking takes nothing */
		assert_int_equal(kern_reader_peek(&im->reader, &size)->time_ns, 10);
		assert_int_equal(size, sizeof(struct sample));
	}
	assert_int_equal(im->reader_at, 0);
	kern_reader_pop(&im->reader);
	assert_int_equal(im->reader_at, im->writer_at / 2);
	put_sample(im, 30);
	assert_int_equal(next(im)->time_ns, 20);
	assert_int_equal(next(im)->time_ns, 30);
	assert_null(next(im));
	assert_int_equal(im->reader_at, im->writer_at);
	assert_int_equal(im->reader.damaged, 0);
	free(im);
}

static void a_record_lies_across_the_end(void **state)
{
	for (uint64_t before = 8; before <= sizeof(struct sample); before += 8) {
		struct image *im = make(3 * SIZE - before);
		struct sample expected = sample_of(before);
		size_t size;

		put_sample(im, before);
		put_sample(im, 7);
		const void *got = kern_reader_peek(&im->reader, &size);
		assert_non_null(got);
		assert_memory_equal(got, &expected, sizeof(expected));
		kern_reader_pop(&im->reader);
		assert_int_equal(next(im)->time_ns, 7);
		free(im);
	}
}

static void many_rounds(void **state)
{
	struct image *im = make(UINT64_MAX - 7 * SIZE + 1); /* the positions wrap as well */
	uint64_t written = 0, read = 0;

	while (read < 1000) {
		while (im->writer_at - im->reader_at + 200 < SIZE)
			put_sample(im, ++written);
		for (int i = 0; i < 5; i++)
			assert_int_equal(next(im)->time_ns, ++read);
	}
	assert_int_equal(im->reader.damaged, 0);
	free(im);
}

static void a_busy_record_is_waited_for(void **state)
{
	struct image *im = make(SIZE - 24);
	struct sample s = sample_of(5);

	put(im, sizeof(s) | BPF_RINGBUF_BUSY_BIT, &s, sizeof(s));
	put_sample(im, 6);
	assert_null(next(im));
	assert_null(next(im));
	uint32_t length = sizeof(s);
	put_bytes(im, SIZE - 24, &length, sizeof(length));
	assert_int_equal(next(im)->time_ns, 5);
	assert_int_equal(next(im)->time_ns, 6);
	free(im);
}

static void discarded_records_are_skipped(void **state)
{
	struct image *im = make(0);
	struct sample s = sample_of(5);

	for (int i = 0; i < 3; i++)
		put(im, sizeof(s) | BPF_RINGBUF_DISCARD_BIT, &s, sizeof(s));
	assert_null(next(im));
	assert_int_equal(im->reader_at, im->writer_at); /* their room is given back */
	put(im, 4 | BPF_RINGBUF_DISCARD_BIT, &s, 4);
	put_sample(im, 8);
	assert_int_equal(next(im)->time_ns, 8);
	assert_int_equal(im->reader.damaged, 0);
	free(im);
}

static void lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = { SIZE,	SIZE * 2,   0x3fffffff,
					    0x3ffffff8, 0xbfffffff, 0x7fffffff };

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		struct image *im = make(SIZE - 40);
		struct sample s = sample_of(1);

		put(im, lengths[i], &s, sizeof(s));
		assert_null(next(im));
		assert_int_equal(im->reader.damaged, 1);
		assert_int_equal(im->reader_at, im->writer_at); /* the rest is thrown away */
		put_sample(im, 2);
		assert_int_equal(next(im)->time_ns, 2);
		free(im);
	}
}

static void a_writer_that_lies(void **state)
{
	static const uint64_t steps[] = { SIZE + 8, UINT64_MAX - 16, 1ull << 40 };

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct image *im = make(0);

		im->writer_at = steps[i];
		assert_null(next(im));
		assert_int_equal(im->reader.damaged, 1);
		free(im);
	}

	struct image *im = make(0);
	put_sample(im, 1);
	im->writer_at += 3; /* positions are multiples of eight */
	assert_int_equal(next(im)->time_ns, 1);
	assert_null(next(im));
	free(im);
}

static void contents_that_lie(void **state)
{
	struct image *im = make(0);
	struct sample s = sample_of(1);
	struct kern_part part = { .record = { .kind = KERN_RECORD_PART }, .size = 8 };
	size_t fixed = offsetof(struct kern_part, bytes);

	put(im, 8, &s, 8);						     /* no head */
	put(im, sizeof(struct kern_record), &s, sizeof(struct kern_record)); /* half a sample */
	s.s.user_count = 4;						     /* a word too many */
	put(im, sizeof(s), &s, sizeof(s));
	s.s.user_count = 3;
	s.s.record.flags = KERN_SAMPLE_REGS; /* registers that are not there */
	put(im, sizeof(s), &s, sizeof(s));
	put(im, (uint32_t)fixed + 7, &part, fixed + 7);
	put(im, (uint32_t)fixed - 8, &part, fixed - 8);
	part.size = UINT32_MAX;
	put(im, (uint32_t)fixed + 64, &part, fixed + 64);
	s = sample_of(1);
	s.s.status = UNWIND_STATUS_COUNT;
	put(im, sizeof(s), &s, sizeof(s));
	struct kern_aside aside = { .record = { .kind = KERN_RECORD_LAST } };
	put(im, sizeof(aside) - 8, &aside, sizeof(aside) - 8);
	aside.record.kind = KERN_RECORD_LATER;
	put(im, sizeof(aside) - 8, &aside, sizeof(aside) - 8);
	part.record.kind = KERN_RECORD_ASIDE_PART;
	put(im, (uint32_t)fixed + 64, &part, fixed + 64);
	assert_null(next(im));
	assert_int_equal(im->reader.damaged, 11);
	assert_int_equal(im->reader_at, im->writer_at);

	part.size = 8;
	put(im, (uint32_t)fixed + 8, &part, fixed + 8);
	put(im, sizeof(aside), &aside, sizeof(aside));
	assert_int_equal(next(im)->kind, KERN_RECORD_ASIDE_PART);
	assert_int_equal(next(im)->kind, KERN_RECORD_LATER);
	assert_int_equal(im->reader.damaged, 11);
	free(im);
}

/* The words are there, but more of them than a walk has frames. */
static void more_frames_than_there_are(void **state)
{
	static const struct {
		uint16_t kernel, user;
		bool good;
	} counts[] = { { KERN_KERNEL_FRAMES, UNWIND_MAX_FRAMES, true },
		       { KERN_KERNEL_FRAMES + 1, 0, false },
		       { 0, UNWIND_MAX_FRAMES + 1, false } };
	size_t size = 1 << 17;
	uint64_t *data = mem_calloc(2, size);

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t words = (size_t)counts[i].kernel + counts[i].user, got;
		struct kern_sample *s = (struct kern_sample *)(data + 1);
		uint64_t reader_at = 0, writer_at = 8 + sizeof(*s) + 8 * words;
		struct kern_reader reader = { .reader = &reader_at,
					      .writer = &writer_at,
					      .data = (const uint8_t *)data,
					      .size = size };

		*(uint32_t *)data = (uint32_t)(sizeof(*s) + 8 * words);
		*s = (struct kern_sample){ .record = { .kind = KERN_RECORD_SAMPLE },
					   .kernel_count = counts[i].kernel,
					   .user_count = counts[i].user };
		assert_int_equal(kern_reader_peek(&reader, &got) != NULL, counts[i].good);
		assert_int_equal(reader.damaged, !counts[i].good);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_in_order),
		cmocka_unit_test(a_record_lies_across_the_end),
		cmocka_unit_test(many_rounds),
		cmocka_unit_test(a_busy_record_is_waited_for),
		cmocka_unit_test(discarded_records_are_skipped),
		cmocka_unit_test(lengths_that_lie),
		cmocka_unit_test(a_writer_that_lies),
		cmocka_unit_test(contents_that_lie),
		cmocka_unit_test(more_frames_than_there_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
