#include "profiler/capture/ebpf/backlog.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BLOCK_BYTES 32768u

struct backlog_block {
	_Atomic(struct backlog_block *) next; /* set when nothing more comes in this one */
	uint32_t size;
	atomic_uint used; /* what the reader may read */
	_Alignas(8) uint8_t bytes[];
};

/* In front of each record. */
struct frame {
	uint64_t size;
};

static size_t framed(size_t size)
{
	return sizeof(struct frame) + ((size + 7) & ~(size_t)7);
}

static struct backlog_block *new_block(struct backlog *b, size_t at_least)
{
	struct backlog_block *block = NULL;
	size_t size = MAX(at_least, (size_t)BLOCK_BYTES);

	if (size == BLOCK_BYTES)
		block = atomic_exchange(&b->spare, NULL);
	if (!block)
		block = mem_alloc(sizeof(*block) + size);
	atomic_init(&block->next, NULL);
	atomic_init(&block->used, 0);
	block->size = (uint32_t)size;
	atomic_fetch_add(b->held, size);
	return block;
}

static void give_back(struct backlog *b, struct backlog_block *block)
{
	atomic_fetch_sub(b->held, block->size);
	if (block->size == BLOCK_BYTES)
		block = atomic_exchange(&b->spare, block);
	free(block);
}

void backlog_init(struct backlog *b, _Atomic uint64_t *held)
{
	*b = (struct backlog){ .held = held };
	b->first = b->last = new_block(b, 0);
}

void backlog_deinit(struct backlog *b)
{
	struct backlog_block *next;

	for (struct backlog_block *block = b->first; block; block = next) {
		next = atomic_load(&block->next);
		atomic_fetch_sub(b->held, block->size);
		free(block);
	}
	free(atomic_load(&b->spare));
	*b = (struct backlog){ 0 };
}

void backlog_push(struct backlog *b, const void *bytes, size_t size)
{
	struct backlog_block *block = b->last;
	uint32_t used = atomic_load_explicit(&block->used, memory_order_relaxed);
	struct frame *frame;

	if (framed(size) > block->size - used) {
		struct backlog_block *next = new_block(b, framed(size));

		atomic_store_explicit(&block->next, next, memory_order_release);
		b->last = block = next;
		used = 0;
	}
	frame = (struct frame *)(block->bytes + used);
	frame->size = size;
	memcpy(frame + 1, bytes, size);
	atomic_store_explicit(&block->used, used + (uint32_t)framed(size), memory_order_release);
}

static const struct frame *oldest(const struct backlog *b)
{
	return (const struct frame *)(b->first->bytes + b->at);
}

const void *backlog_peek(struct backlog *b, size_t *ret_size)
{
	for (;;) {
		/* `next` first: what a block holds is final only once there is a next one */
		struct backlog_block *block = b->first;
		struct backlog_block *next =
			atomic_load_explicit(&block->next, memory_order_acquire);

		if (b->at < atomic_load_explicit(&block->used, memory_order_acquire)) {
			*ret_size = oldest(b)->size;
			return oldest(b) + 1;
		}
		if (!next)
			return NULL;
		b->first = next;
		b->at = 0;
		give_back(b, block);
	}
}

void backlog_pop(struct backlog *b)
{
	b->at += (uint32_t)framed(oldest(b)->size);
}
