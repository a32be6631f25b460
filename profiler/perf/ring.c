#include "profiler/perf/ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

#define RECORD_MAX 65536 /* header.size has 16 bits */

int pev_ring_open(struct pev_ring *r, int fd, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		return errno;
	*r = (struct pev_ring){
		.page = at,
		.data = (const uint8_t *)at + page,
		.size = bytes,
		.scratch = mem_alloc(RECORD_MAX),
	};
	return 0;
}

void pev_ring_close(struct pev_ring *r)
{
	if (r->page)
		munmap(r->page, r->size + (size_t)sysconf(_SC_PAGESIZE));
	free(r->scratch);
	*r = (struct pev_ring){ 0 };
}

void pev_ring_refresh(struct pev_ring *r)
{
	r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	if (r->head - r->tail > r->size) { /* never, unless the page was scribbled on */
		r->damaged++;
		r->tail = r->head;
	}
}

const struct perf_event_header *pev_ring_peek(struct pev_ring *r, size_t *ret_size)
{
	uint64_t used = r->head - r->tail;
	uint64_t at = r->tail & (r->size - 1);
	uint64_t to_end = r->size - at;
	struct perf_event_header header;

	if (used == 0)
		return NULL;
	/* records are multiples of eight bytes: a header never wraps */
	if (used < sizeof(header) || to_end < sizeof(header))
		goto damaged;
	memcpy(&header, r->data + at, sizeof(header));
	if (header.size < sizeof(header) || header.size > used || header.size % 8)
		goto damaged;
	*ret_size = header.size;
	if (header.size <= to_end)
		return (const struct perf_event_header *)(r->data + at);
	memcpy(r->scratch, r->data + at, to_end);
	memcpy(r->scratch + to_end, r->data, header.size - to_end);
	return (const struct perf_event_header *)r->scratch;
damaged:
	r->damaged++;
	r->tail = r->head;
	return NULL;
}

void pev_ring_pop(struct pev_ring *r, size_t size)
{
	r->tail += size;
}

void pev_ring_release(struct pev_ring *r)
{
	__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE);
}
