/* The memory of the tables: chunks of the pool, which the kernel program reads while they are
 * filled by plain stores. */
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "profiler/bpf/bridge.h"
#include "profiler/process/memory.h"

#define CHUNK_BYTES (sizeof(uint32_t) << UNWIND_CHUNK_SHIFT)

/* What a chunk has to leave of the memory: over a limit the kernel refuses a map, but kills cprof
 * for memory of its own. */
#define LEAVE_BYTES (8u << 20)

int kern_chunk_make(struct kern_sampler *s, struct kern_inner *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	uint32_t index = s->chunk_count;
	int map, errnum;
	void *at;

	if (index >= UNWIND_MAX_CHUNKS)
		return ENOSPC;
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "chunk", sizeof(uint32_t), CHUNK_BYTES, 1,
			     &options);
	if (map < 0)
		return -map;
	at = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (at == MAP_FAILED) {
		errnum = errno;
		close(map);
		return errnum;
	}
	s->facts.map_bytes += kern_map_bytes(map);
	s->chunks[s->chunk_count++] = at;
	*ret = (struct kern_inner){ .outer = s->pool, .map = map, .index = index };
	return 0;
}

uint32_t *kern_sampler_add_chunk(void *sampler, uint32_t index)
{
	struct kern_sampler *s = sampler;
	struct kern_inner inner;
	int errnum;

	if (index < s->chunk_count)
		return s->chunks[index];
	errnum = proc_memory_left() < CHUNK_BYTES + LEAVE_BYTES ? ENOMEM
								: kern_chunk_make(s, &inner);
	if (!errnum) {
		kern_inner_put(&inner, 1);
		close(inner.map);
		errnum = inner.errnum;
		if (errnum) {
			s->chunk_count--;
			munmap(s->chunks[s->chunk_count], CHUNK_BYTES);
		}
	}
	log_debug("bpf", "chunk %u of the pool: %s", index, strerror(errnum));
	return errnum ? NULL : s->chunks[index];
}

void kern_chunks_close(struct kern_sampler *s)
{
	for (uint32_t i = 0; i < s->chunk_count; i++)
		munmap(s->chunks[i], CHUNK_BYTES);
	if (s->first_chunk >= 0)
		close(s->first_chunk);
}

uint64_t *kern_sampler_rules(struct kern_sampler *s)
{
	return s->rules_memory.at;
}

bool kern_sampler_wait_for_readers(struct kern_sampler *s)
{
	struct kern_inner again = { .outer = s->pool, .map = s->first_chunk };

	/* synchronize_rcu(), which is what an event's program runs under. Refused on kernels that
	 * were started with nohz_full, and by filters. */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) == 0)
		return true;
	kern_inner_put(&again, 1);
	return again.errnum == 0;
}
