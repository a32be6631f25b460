/* profiler/perf/: records taken apart, rings read around their end. On bytes made here, and on what
 * this kernel says of the test itself. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "profiler/perf/event.h"
#include "profiler/perf/record.h"
#include "profiler/perf/ring.h"

static const struct pev_format format = {
	.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
		       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ |
		       PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
	.read_format =
		PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID,
	.regs_mask = 7,
};

static void add32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void add64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void begin(struct buf *b, uint32_t type, uint16_t misc)
{
	struct perf_event_header h = { .type = type, .misc = misc };

	buf_clear(b);
	buf_add(b, &h, sizeof(h));
}

static void end(struct buf *b)
{
	struct perf_event_header *h = (struct perf_event_header *)b->data;

	h->size = (uint16_t)b->len;
}

/* Records but samples end in pid, tid, time, cpu, id. */
static void trailer(struct buf *b, uint64_t time)
{
	add32(b, 11);
	add32(b, 12);
	add64(b, time);
	add32(b, 3);
	add32(b, 0);
	add64(b, 99);
	end(b);
}

static void make_sample(struct buf *b, uint64_t abi, uint64_t stack, uint64_t copied)
{
	begin(b, PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
	add64(b, 99);
	add64(b, 0xffffffff81000000);
	add32(b, 11);
	add32(b, 12);
	add64(b, 1000);
	add32(b, 3);
	add32(b, 0);
	add64(b, 500);
	add64(b, 7777); /* count, enabled, running, id */
	add64(b, 1);
	add64(b, 2);
	add64(b, 99);
	add64(b, 2); /* call chain */
	add64(b, (uint64_t)PERF_CONTEXT_KERNEL);
	add64(b, 0xffffffff81000000);
	add64(b, abi);
	for (int i = 0; abi && i < 3; i++)
		add64(b, 0x100 + (uint64_t)i);
	add64(b, stack);
	for (uint64_t i = 0; i < stack; i++)
		buf_add_char(b, (char)i);
	if (stack)
		add64(b, copied);
	end(b);
}

static void samples(void **state)
{
	struct buf b = { 0 };
	struct pev_record r;
	uint64_t reg;

	make_sample(&b, PERF_SAMPLE_REGS_ABI_64, 64, 40);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_SAMPLE);
	assert_true(r.in_kernel);
	assert_int_equal(r.pid, 11);
	assert_int_equal(r.tid, 12);
	assert_int_equal(r.time, 1000);
	assert_int_equal(r.cpu, 3);
	assert_int_equal(r.sample.period, 500);
	assert_int_equal(r.sample.count, 7777);
	assert_int_equal(r.sample.callchain_count, 2);
	memcpy(&reg, r.sample.regs + 16, sizeof(reg));
	assert_int_equal(reg, 0x102);
	assert_int_equal(r.sample.stack_room, 64);
	assert_int_equal(r.sample.stack_size, 40);
	assert_int_equal(r.sample.stack[5], 5);
	assert_int_equal(pev_record_time(b.data, b.len, &format), 1000);

	make_sample(&b, PERF_SAMPLE_REGS_ABI_NONE, 0, 0);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_SAMPLE);
	assert_null(r.sample.regs);
	assert_int_equal(r.sample.stack_size, 0);

	/* more copied than there was room for */
	make_sample(&b, PERF_SAMPLE_REGS_ABI_64, 64, 65);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_DAMAGED);
	buf_deinit(&b);
}

static void side_band(void **state)
{
	struct buf b = { 0 };
	struct pev_record r;

	begin(&b, PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_BUILD_ID);
	add32(&b, 21);
	add32(&b, 22);
	add64(&b, 0x1000);
	add64(&b, 0x2000);
	add64(&b, 0x3000);
	add32(&b, 4); /* size of the build id */
	add64(&b, 0x1122334455667788);
	add64(&b, 0);
	add32(&b, 0);
	add32(&b, 5);
	add32(&b, 0);
	buf_add(&b, "/a;\n\xff\0\0", 8);
	trailer(&b, 2000);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_MMAP);
	assert_int_equal(r.pid, 21);
	assert_int_equal(r.time, 2000);
	assert_int_equal(r.mmap.offset, 0x3000);
	assert_int_equal(r.mmap.build_id.size, 4);
	assert_memory_equal(r.mmap.build_id.bytes, "\x88\x77\x66\x55", 4);
	assert_string_equal(r.mmap.path, "/a;\n\xff");
	assert_int_equal(pev_record_time(b.data, b.len, &format), 2000);

	begin(&b, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);
	add32(&b, 21);
	add32(&b, 22);
	buf_add(&b, "name\0\0\0", 8);
	trailer(&b, 2001);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_COMM);
	assert_true(r.comm.is_exec);
	assert_string_equal(r.comm.name, "name");

	begin(&b, PERF_RECORD_FORK, 0);
	add32(&b, 1);
	add32(&b, 2);
	add32(&b, 3);
	add32(&b, 4);
	add64(&b, 5);
	trailer(&b, 2002);
	pev_record_parse(b.data, b.len, &format, &r);
	assert_int_equal(r.kind, PEV_RECORD_FORK);
	assert_int_equal(r.pid, 1);
	assert_int_equal(r.task.ppid, 2);
	assert_int_equal(r.tid, 3);
	assert_int_equal(r.task.ptid, 4);
	buf_deinit(&b);
}

/* Every record cut at every length, in a block of its own so that the sanitizer sees a read past
 * it. */
static void cut_records(void **state)
{
	struct buf b = { 0 };

	make_sample(&b, PERF_SAMPLE_REGS_ABI_64, 64, 40);
	for (size_t n = 0; n < b.len; n++) {
		void *cut = mem_dup(b.data, n);
		struct pev_record r;

		pev_record_parse(cut, n, &format, &r);
		assert_int_equal(r.kind, PEV_RECORD_DAMAGED);
		(void)pev_record_time(cut, n, &format);
		free(cut);
	}
	buf_deinit(&b);
}

/* --- rings --- */

#define RING 4096

struct fake_ring {
	struct perf_event_mmap_page page;
	uint8_t data[RING];
	struct pev_ring ring;
	uint8_t scratch[65536];
};

static void fake_init(struct fake_ring *f, uint64_t at)
{
	memset(f, 0, sizeof(*f));
	f->ring = (struct pev_ring){
		.page = &f->page, .data = f->data, .size = RING, .scratch = f->scratch, .tail = at
	};
	f->page.data_head = at;
}

static void fake_write(struct fake_ring *f, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f->data[(f->page.data_head + i) % RING] = ((const uint8_t *)bytes)[i];
	f->page.data_head += n;
}

/* The same records come out, wherever in the ring they start. */
static void rings_wrap(void **state)
{
	struct fake_ring *f = mem_alloc(sizeof(*f));
	struct buf b = { 0 };

	make_sample(&b, PERF_SAMPLE_REGS_ABI_64, 64, 40);
	for (uint64_t at = 0; at < RING; at += 8) {
		size_t size, n = 0;

		fake_init(f, at + (1ull << 40));
		for (int i = 0; i < 5; i++)
			fake_write(f, b.data, b.len);
		pev_ring_refresh(&f->ring);
		for (const void *r; (r = pev_ring_peek(&f->ring, &size)); n++) {
			assert_int_equal(size, b.len);
			assert_memory_equal(r, b.data, b.len);
			pev_ring_pop(&f->ring, size);
		}
		pev_ring_release(&f->ring);
		assert_int_equal(n, 5);
		assert_int_equal(f->page.data_tail, f->page.data_head);
		assert_int_equal(f->ring.damaged, 0);
	}
	buf_deinit(&b);
	free(f);
}

static void rings_survive_nonsense(void **state)
{
	static const uint16_t sizes[] = { 0, 4, 7, 9, 4096, 65528 };
	struct fake_ring *f = mem_alloc(sizeof(*f));

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct perf_event_header h = { .type = PERF_RECORD_SAMPLE, .size = sizes[i] };
		uint8_t filler[56] = { 0 };
		size_t size;

		fake_init(f, 8);
		fake_write(f, &h, sizeof(h));
		fake_write(f, filler, sizeof(filler));
		pev_ring_refresh(&f->ring);
		assert_null(pev_ring_peek(&f->ring, &size));
		assert_int_equal(f->ring.damaged, 1);
		assert_int_equal(pev_ring_used(&f->ring), 0);
	}
	fake_init(f, 0);
	f->page.data_head = 3 * RING; /* more than fits */
	pev_ring_refresh(&f->ring);
	assert_int_equal(f->ring.damaged, 1);
	free(f);
}

/* --- events --- */

static void event_names(void **state)
{
	const struct pev_kind *kind;
	struct error *err;

	assert_no_error(pev_find_kind("cpu-clock", &kind));
	assert_true(kind->is_clock);
	err = pev_find_kind("cpu-clok", &kind);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	assert_non_null(strstr(error_hint_of(err), "cpu-clock"));
	error_free(err);
}

/* What this kernel writes about the test itself: samples with registers, in the order of time, and
 * the mapping of a page of code. */
static void this_kernel(void **state)
{
	const struct pev_kind *kind;
	struct pev_sampling s;
	struct pev_ring ring;
	struct pev_count count;
	struct error *err;
	size_t size, samples = 0, maps = 0;

	assert_no_error(pev_find_kind("cpu-clock", &kind));
	err = pev_sampling_probe(kind, 1000000, 8192, false, &s);
	if (err) {
		print_message("skipped: %s\n", error_message(err));
		error_free(err);
		skip();
	}
	s.attr.inherit = 0;
	s.attr.sample_type &= ~(uint64_t)PERF_SAMPLE_READ;

	struct pev_format own = { s.attr.sample_type, s.attr.read_format, s.attr.sample_regs_user };
	int fd = pev_open(&s.attr, 0, -1, -1, 0);

	assert_true(fd >= 0);
	if (pev_ring_open(&ring, fd, 1 << 18) != 0)
		skip();
	s.attr.disabled = 0;
	assert_int_equal(ioctl(fd, PERF_EVENT_IOC_ENABLE, 0), 0);

	void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	do
		for (volatile int i = 0; i < 100000; i++)
			;
	while (pev_read(fd, &s, &count) && count.value < 20000000);
	ioctl(fd, PERF_EVENT_IOC_DISABLE, 0);
	assert_true(pev_read(fd, &s, &count));

	pev_ring_refresh(&ring);
	for (const void *bytes; (bytes = pev_ring_peek(&ring, &size));) {
		struct pev_record r;

		pev_record_parse(bytes, size, &own, &r);
		assert_int_not_equal(r.kind, PEV_RECORD_DAMAGED);
		assert_int_equal(r.time, pev_record_time(bytes, size, &own));
		if (r.kind == PEV_RECORD_SAMPLE) {
			assert_int_equal(r.tid, gettid());
			assert_non_null(r.sample.regs);
			assert_int_equal(r.sample.period, 1000000);
			samples++;
		}
		maps += r.kind == PEV_RECORD_MMAP && r.mmap.start == (uint64_t)(uintptr_t)code;
		pev_ring_pop(&ring, size);
	}
	/* ticks that came late stand for several; none stands for less than a period */
	assert_true(samples >= 1);
	assert_true(s.sees_kernel ? samples <= count.value / 1000000 : true);
	assert_int_equal(maps, 1);
	munmap(code, 4096);
	pev_ring_close(&ring);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples),
		cmocka_unit_test(side_band),
		cmocka_unit_test(cut_records),
		cmocka_unit_test(rings_wrap),
		cmocka_unit_test(rings_survive_nonsense),
		cmocka_unit_test(event_names),
		cmocka_unit_test(this_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
