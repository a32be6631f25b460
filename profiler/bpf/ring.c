#include "profiler/bpf/ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "profiler/unwind/status.h"

#define LENGTH_BITS (BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)

int kern_reader_open(struct kern_reader *r, int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *reader, *writer;

	reader = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (reader == MAP_FAILED)
		return errno;
	writer = mmap(NULL, page + 2 * bytes, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (writer == MAP_FAILED) {
		int errnum = errno;

		munmap(reader, page);
		return errnum;
	}
	*r = (struct kern_reader){
		.reader = reader,
		.writer = writer,
		.data = (const uint8_t *)writer + page,
		.size = bytes,
	};
	return 0;
}

void kern_reader_close(struct kern_reader *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (r->reader) {
		munmap(r->reader, page);
		munmap((void *)r->writer, page + 2 * r->size);
	}
	*r = (struct kern_reader){ 0 };
}

/* Whether a record of n bytes holds what it says it does. */
static bool is_sane(const struct kern_record *record, size_t n)
{
	if (n < sizeof(*record))
		return false;
	if (record->kind == KERN_RECORD_SAMPLE) {
		const struct kern_sample *s = (const struct kern_sample *)record;

		if (n < sizeof(*s) || s->kernel_count > KERN_KERNEL_FRAMES ||
		    s->user_count > UNWIND_MAX_FRAMES || s->status >= UNWIND_STATUS_COUNT)
			return false;
		size_t words = (size_t)s->kernel_count + s->user_count;
		if (record->flags & KERN_SAMPLE_REGS)
			words += KERN_REGS;
		return words <= (n - sizeof(*s)) / sizeof(uint64_t);
	}
	if (record->kind == KERN_RECORD_LAST || record->kind == KERN_RECORD_LATER)
		return n >= sizeof(struct kern_aside);
	if (record->kind == KERN_RECORD_PART || record->kind == KERN_RECORD_ASIDE_PART) {
		const struct kern_part *p = (const struct kern_part *)record;
		size_t fixed = offsetof(struct kern_part, bytes);

		return n >= fixed && p->size <= KERN_PART_BYTES && p->size <= n - fixed;
	}
	return true; /* a kind that a later kernel program writes: nobody reads more of it */
}

static void advance(struct kern_reader *r, uint64_t bytes)
{
	r->tail += bytes;
	__atomic_store_n(r->reader, r->tail, __ATOMIC_RELEASE);
}

static uint64_t rounded(uint32_t length)
{
	return ((uint64_t)length + BPF_RINGBUF_HDR_SZ + 7) & ~7ull;
}

const struct kern_record *kern_reader_peek(struct kern_reader *r, size_t *ret_size)
{
	for (;;) {
		const uint8_t *at = r->data + (r->tail & (r->size - 1));
		const struct kern_record *record = (const void *)(at + BPF_RINGBUF_HDR_SZ);
		uint32_t flags, length;

		if (r->tail == r->head)
			r->head = __atomic_load_n(r->writer, __ATOMIC_ACQUIRE) & ~7ull;
		if (r->tail == r->head)
			return NULL;
		/* the record's bytes are there once it is not busy any more */
		flags = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
		length = flags & ~LENGTH_BITS;
		if (r->head - r->tail > r->size || rounded(length) > r->head - r->tail) {
			r->damaged++; /* never, unless the pages were scribbled on */
			advance(r, r->head - r->tail);
			return NULL;
		}
		if (flags & BPF_RINGBUF_BUSY_BIT)
			return NULL;
		r->taken = rounded(length);
		if (!(flags & BPF_RINGBUF_DISCARD_BIT)) {
			if (is_sane(record, length)) {
				*ret_size = length;
				return record;
			}
			r->damaged++;
		}
		kern_reader_pop(r);
	}
}

void kern_reader_pop(struct kern_reader *r)
{
	advance(r, r->taken);
	r->taken = 0;
}
