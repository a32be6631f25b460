/*
 * Walking a user stack in the kernel: what step.h asks of its includer, and the loop around it. The
 * stack is read through a window, a copy of a piece of one page: a read of one word costs as much
 * as one of a page.
 */
#ifndef CPROF_BPF_WALK_BPF_H
#define CPROF_BPF_WALK_BPF_H

#include "profiler/bpf/maps.bpf.h"
#include "profiler/bpf/send.bpf.h"

#define WALK_TIME_MAX_NS 1500000ull /* with interrupts off */
#define WALK_CLOCK_EVERY 64	    /* frames, a power of two */

struct unwind_context {
	struct kern_scratch *k;
	const struct kern_chunk *maps; /* where the mappings are */
	__u64 started_ns;
};

static __always_inline __u32 unwind_mapping_count(const struct unwind_context *cx)
{
	return cx->k->map_count;
}

static __always_inline const struct unwind_mapping *
unwind_mapping_at(const struct unwind_context *cx, __u32 i)
{
	if (i >= cx->k->map_count)
		return 0;
	return &cx->maps->mappings[(cx->k->map_first + i) & (UNWIND_CHUNK_WORDS / 8 - 1)];
}

static __always_inline __u32 unwind_search_mapping(struct unwind_context *cx, __u64 address);

static __always_inline struct kern_chunk *chunk_at(__u32 offset)
{
	__u32 index = offset >> UNWIND_CHUNK_SHIFT, zero = 0;
	void *chunk = bpf_map_lookup_elem(&pool, &index);

	return chunk ? bpf_map_lookup_elem(chunk, &zero) : 0;
}

static __always_inline const __u32 *unwind_chunk(const struct unwind_context *cx, __u32 offset)
{
	struct kern_chunk *chunk = chunk_at(offset);

	return chunk ? chunk->words : 0;
}

static __always_inline __u64 unwind_rule_at(const struct unwind_context *cx, __u32 i)
{
	const __u64 *rule;

	i &= UNWIND_MAX_RULES - 1;
	rule = bpf_map_lookup_elem(&rules, &i);
	return rule ? *rule : UNWIND_RULE_INVALID;
}

static __always_inline struct kern_cached_rule *cache_line(const struct unwind_context *cx,
							   __u64 key)
{
	return &cx->k->rule_cache[key * 0x9e3779b97f4a7c15ull >> (64 - KERN_CACHE_SHIFT) &
				  (KERN_CACHED_RULES - 1)];
}

static __always_inline int unwind_cached_rule(const struct unwind_context *cx, __u64 key,
					      __u64 *ret)
{
	const struct kern_cached_rule *c = cache_line(cx, key);

	if (c->key != key)
		return 0;
	*ret = c->rule;
	return 1;
}

static __always_inline void unwind_cache_rule(const struct unwind_context *cx, __u64 key,
					      __u64 rule)
{
	struct kern_cached_rule *c = cache_line(cx, key);

	c->key = key;
	c->rule = rule;
}

/*
 * Moves the window to where an address is: from the stack pointer on where that is in the same
 * page, for what comes next lies above it. A window never reaches into another page, which may be
 * absent. Not static: the verifier looks at such a function once, and not once for each call.
 */
__attribute__((noinline)) int kern_move_window(__u64 address)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct kern_scratch *k = bpf_map_lookup_elem(&scratch, &cpu);
	__u64 page = address & ~(PAGE_BYTES - 1), base = page, sp, size;

	if (!k)
		return 0;
	sp = k->s.gpr[UNWIND_GPR_SP] & ~7ull;
	if (address < sp)
		base = address;
	else if (sp > page)
		base = sp;
	size = page + PAGE_BYTES - base;
	k->window_size = 0;
	if (size < 8 || size > PAGE_BYTES)
		return 0;
	if (bpf_probe_read_user(k->window, size, (void *)base))
		return 0;
	k->window_base = base;
	k->window_size = size;
	return 1;
}

static __always_inline int unwind_read(struct unwind_context *cx, struct unwind_state *s,
				       __u64 address, __u64 *ret)
{
	struct kern_scratch *k = cx->k;
	__u64 offset = address - k->window_base;

	if (address & 7) /* a word may lie across two pages */
		return !bpf_probe_read_user(ret, sizeof(*ret), (void *)address);
	if (offset + 8 > k->window_size || offset > PAGE_BYTES) {
		if (!kern_move_window(address))
			return 0;
		offset = address - k->window_base;
	}
	*ret = k->window[(offset >> 3) & (KERN_WINDOW_WORDS - 1)];
	return 1;
}

/* A process's own memory is there below the stack pointer, too: unwind_read() has read it. */
static __always_inline int unwind_read_below(struct unwind_context *cx, struct unwind_state *s,
					     __u64 address, __u64 *ret)
{
	return 0;
}

static __always_inline int unwind_code(struct unwind_context *cx, __u64 address, void *bytes,
				       __u32 size)
{
	return !bpf_probe_read_user(bytes, UNWIND_CODE_BYTES, (void *)address);
}

static __always_inline __u32 unwind_fault(struct unwind_context *cx, __u64 address, __u32 status)
{
	return status;
}

#include "profiler/unwind/step.h"

/* Not static: the verifier follows the bisection once, and not once for each state that it may be
 * begun in. */
__attribute__((noinline)) int kern_search_mapping(__u64 address)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct kern_scratch *k = bpf_map_lookup_elem(&scratch, &cpu);
	struct unwind_context cx = { .k = k };

	if (!k)
		return UNWIND_NO_MAPPING;
	cx.maps = chunk_at((__u32)k->maps);
	return cx.maps ? unwind_bisect_mappings(&cx, address) : UNWIND_NO_MAPPING;
}

static __always_inline __u32 unwind_search_mapping(struct unwind_context *cx, __u64 address)
{
	return kern_search_mapping(address);
}

/* One frame: stored, then left. Returns 1 at the end of the walk. */
static long walk_frame(__u32 i, struct unwind_context *cx)
{
	struct kern_scratch *k = cx->k;
	__u32 n = k->frames;
	__u64 frame = k->s.ip;
	int r;

	if (n >= UNWIND_MAX_FRAMES + KERN_KERNEL_FRAMES)
		return 1;
	if (k->s.is_return)
		frame |= KERN_FRAME_RETURN;
	if (k->s.is_guessed)
		frame |= KERN_FRAME_GUESSED;
	k->words[n] = frame;
	k->frames = n + 1;
	if (k->s.mapping == UNWIND_NO_MAPPING)
		return 1; /* it started nowhere: the status is set */
	if ((i & (WALK_CLOCK_EVERY - 1)) == WALK_CLOCK_EVERY - 1 &&
	    bpf_ktime_get_ns() - cx->started_ns > WALK_TIME_MAX_NS) {
		k->s.status = UNWIND_TIME;
		return 1;
	}
	r = unwind_step(cx, &k->s);
	if (r == UNWIND_STEP_COMPILE)
		k->s.status = UNWIND_DEFER;
	if (k->s.status == UNWIND_DEFER) /* what is wanted */
		k->s.fault_address = k->s.ip - k->s.is_return;
	return r != UNWIND_STEP_ON;
}

/* Ends that may come of what user space does not know yet; `settled` says that it looked. */
static __always_inline int may_be_news(__u32 status)
{
	return status == UNWIND_NOMAP_NOVMA || status == UNWIND_NOMAP_STALE ||
	       status == UNWIND_RA_NONEXEC || status == UNWIND_INVALID_ROW ||
	       status == UNWIND_ANON_NO_FP;
}

/* From k->out.regs outwards, with the mappings of k->maps; frames go behind the kernel's. The
 * status is in k->s.status; DEFER where user space has to do it. */
static __always_inline void walk_user(struct kern_scratch *k, __u64 started_ns)
{
	struct unwind_context cx = { .k = k, .started_ns = started_ns };
	__u32 offset = (__u32)k->maps;
	const struct kern_maps *header;

	k->s.status = UNWIND_DEFER;
	k->s.fault_address = 0;
	if (!offset)
		return;
	cx.maps = chunk_at(offset);
	if (!cx.maps)
		return;
	k->map_first = (offset & UNWIND_CHUNK_MASK) / 8;
	header = (const struct kern_maps *)&cx.maps
			 ->mappings[k->map_first & (UNWIND_CHUNK_WORDS / 8 - 1)];
	if (header->generation != k->maps >> 32)
		return;
	k->map_first++;
	k->map_count = header->count;
	k->settled = header->settled;
	k->window_size = 0;
	k->s.ip = k->out.regs[0];
	for (int i = 0; i < 16; i++)
		k->s.gpr[i] = k->out.regs[1 + i];
	k->s.is_return = k->s.is_guessed = k->s.any_guessed = 0;
	k->s.bp_lost = k->s.bx_lost = 0;
	k->s.status = UNWIND_TRUNC_DEPTH;
	unwind_start(&cx, &k->s);
	bpf_loop(UNWIND_MAX_FRAMES, walk_frame, &cx, 0);
	if (!k->settled && may_be_news(k->s.status))
		k->s.status = UNWIND_DEFER;
}

#endif
