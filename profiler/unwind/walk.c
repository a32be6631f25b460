#include "profiler/unwind/walk.h"

#include <string.h>

#include "profiler/unwind/pool.h"

/* What step.h asks of its includer: the process's mappings and a copy of its stack. */
struct unwind_context {
	struct unwind_tables *tables;
	const struct unwind_space *space;
	const struct unwind_memory *stack;
	bool copy_is_cut;
};

struct unwind_state;

static inline __u32 unwind_mapping_count(const struct unwind_context *cx)
{
	return cx->space->count;
}

static inline const struct unwind_mapping *unwind_mapping_at(const struct unwind_context *cx,
							     __u32 i)
{
	return i < cx->space->count ? &cx->space->mappings[i] : NULL;
}

static inline __u32 unwind_search_mapping(struct unwind_context *cx, __u64 address);

static inline const __u32 *unwind_chunk(const struct unwind_context *cx, __u32 offset)
{
	return offset < cx->tables->used ? cx->tables->chunks[offset >> UNWIND_CHUNK_SHIFT] : NULL;
}

static inline __u64 unwind_rule_at(const struct unwind_context *cx, __u32 i)
{
	return cx->tables->rules[i & (UNWIND_MAX_RULES - 1)];
}

/* No cache: a walk on the host is rare, and its tables are warm. */
static inline bool unwind_cached_rule(const struct unwind_context *cx, __u64 key, __u64 *ret)
{
	return false;
}

static inline void unwind_cache_rule(const struct unwind_context *cx, __u64 key, __u64 rule)
{
}

static inline bool is_absent(const struct unwind_memory *copy, __u64 address)
{
	__u64 page = address / UNWIND_MEMORY_PAGE - copy->base / UNWIND_MEMORY_PAGE;

	return page < UNWIND_MEMORY_HOLES && (copy->absent[page / 64] >> page % 64 & 1);
}

static inline bool unwind_read(const struct unwind_context *cx, const struct unwind_state *s,
			       __u64 address, __u64 *ret)
{
	__u64 offset = address - cx->stack->base;

	if (cx->stack->size < sizeof(*ret) || offset > cx->stack->size - sizeof(*ret))
		return false;
	if (cx->stack->has_holes &&
	    (is_absent(cx->stack, address) || is_absent(cx->stack, address + sizeof(*ret) - 1)))
		return false;
	memcpy(ret, cx->stack->bytes + offset, sizeof(*ret));
	return true;
}

#define RED_ZONE_SEARCH_BYTES 4096
#define FAR_BYTES	      4096

/*
 * The AVX2 code for SHA-256 and SHA-512 in OpenSSL keeps the stack pointer of its entry in the word
 * below the stack pointer, which a copy that starts there does not have. It moves the stack pointer
 * down as it goes and leaves a copy of the word behind each time, up to the first one; what lies
 * between is message schedule. So the first word above that is an address of this stack, further
 * out, at which a return address into code is stored, is that word.
 */
static inline bool unwind_read_below(struct unwind_context *cx, const struct unwind_state *s,
				     __u64 address, __u64 *ret);

static inline bool unwind_code(const struct unwind_context *cx, __u64 address, void *bytes,
			       __u32 size)
{
	return cx->space->read_code &&
	       cx->space->read_code(cx->space->context, address, bytes, size);
}

static inline enum unwind_status unwind_fault(const struct unwind_context *cx, __u64 address,
					      enum unwind_status status)
{
	const struct unwind_memory *copy = cx->stack;
	bool beyond = address >= copy->base && address - copy->base + sizeof(__u64) > copy->size;

	if (copy->is_raw)
		return status;
	if (beyond && cx->copy_is_cut)
		return UNWIND_COPY_SHORT;
	/* The copy ends where its stack does, and this is not near it. */
	if (copy->size && (address < copy->base ? copy->base - address > FAR_BYTES
						: address - copy->base > copy->size + FAR_BYTES))
		return UNWIND_OTHER_STACK;
	return status;
}

#include "profiler/unwind/step.h"

static inline __u32 unwind_search_mapping(struct unwind_context *cx, __u64 address)
{
	return unwind_bisect_mappings(cx, address);
}

static inline bool unwind_read_below(struct unwind_context *cx, const struct unwind_state *s,
				     __u64 address, __u64 *ret)
{
	__u64 sp = s->gpr[UNWIND_GPR_SP], word, ra;

	if (!s->is_live || address != sp - 8 || address >= cx->stack->base)
		return false;
	for (__u64 at = sp; at < sp + RED_ZONE_SEARCH_BYTES; at += 8) {
		if (!unwind_read(cx, s, at, &word))
			return false;
		if (word > at && word < at + RED_ZONE_SEARCH_BYTES && (word & 7) == 0 &&
		    unwind_read(cx, s, word, &ra) &&
		    unwind_find_mapping(cx, ra - 1, s->mapping) != UNWIND_NO_MAPPING) {
			*ret = word;
			return true;
		}
	}
	return false;
}

_Static_assert(UNWIND_GPR_BP == UNWIND_REG_BP && UNWIND_GPR_SP == UNWIND_REG_SP, "one numbering");

/* Compiles the unit of the address that the state looks up. False where that does not help. */
static bool compile_unit(struct unwind_context *cx, const struct unwind_state *s)
{
	const struct unwind_mapping *m = &cx->space->mappings[s->mapping];
	struct unwind_table *table = cx->space->tables ? cx->space->tables[s->mapping] : NULL;
	uint64_t vaddr = s->ip - s->is_return - m->bias;
	__u64 ignored;

	if (!table)
		return false;
	unwind_table_compile(table, vaddr);
	return unwind_find_rule(cx, m, vaddr, &ignored);
}

static void store_frame(const struct unwind_state *s, struct unwind_frame *frame)
{
	*frame = (struct unwind_frame){
		.ip = s->ip,
		.mapping = s->mapping,
		.flags = (s->is_return ? UNWIND_FRAME_RETURN : 0) |
			 (s->is_guessed ? UNWIND_FRAME_GUESSED : 0),
	};
}

void unwind_walk(struct unwind_tables *t, const struct unwind_space *space,
		 const struct unwind_regs *regs, const struct unwind_memory *stack,
		 bool copy_is_cut, struct unwind_frame *frames, uint32_t max_frames,
		 struct unwind_result *ret)
{
	struct unwind_context cx = { t, space, stack, copy_is_cut };
	struct unwind_state s = { .ip = regs->ip };
	uint32_t n = 0;
	int r;

	memcpy(s.gpr, regs->gpr, sizeof(s.gpr));
	max_frames = MIN(max_frames, UNWIND_MAX_FRAMES);
	r = unwind_start(&cx, &s);
	while (n < max_frames) {
		store_frame(&s, &frames[n++]);
		if (r == UNWIND_STEP_END)
			break;
		r = unwind_step(&cx, &s);
		if (r == UNWIND_STEP_COMPILE)
			r = compile_unit(&cx, &s) ? unwind_step(&cx, &s)
						  : unwind_end(&s, UNWIND_NO_TABLE);
		if (r == UNWIND_STEP_END)
			break;
	}
	*ret = (struct unwind_result){
		.status = r == UNWIND_STEP_END ? (enum unwind_status)s.status : UNWIND_TRUNC_DEPTH,
		.count = n,
		.fault_address = s.fault_address,
	};
}
