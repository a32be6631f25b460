#include "profiler/unwind/flow.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/cpu_time.h"
#include "base/mem.h"
#include "base/vec.h"
#include "profiler/unwind/insn.h"
#include "profiler/unwind/layout.h"

#define ENTRY_DEPTH  8	/* the return address */
#define PADDING_MAX  64 /* bytes */
#define STACK_ALIGN  16
#define NESTED_MAX   1000 /* calls in a row in one function */
#define SWITCHES     16	  /* that are remembered */
#define INT3	     0xcc
#define STEPS_A_BYTE 2	  /* of work, after which the rest is given up, whatever the bytes are */
#define CLOCK_EVERY  1024 /* instructions, a power of two */

enum flags {
	FLOW_KNOWN = 1,	  /* an instruction starts here, and the state in front of it is known */
	FLOW_ENTRY = 2,	  /* it is called, or its address is taken */
	FLOW_BEGIN = 4,	  /* behind padding, or where nothing comes to: may be a function's start */
	FLOW_PADDED = 8,  /* padding */
	FLOW_TARGET = 16, /* a jump leads there */
	FLOW_INSIDE = 32, /* in a function, and not its start */
};

struct flow_row {
	uint32_t offset;
	uint64_t rule;
};

struct flow {
	uint64_t vaddr;
	VEC(struct flow_row) rows; /* neighbours differ; INVALID before the first */
};

struct analysis {
	const uint8_t *bytes;
	size_t size;
	bool is_whole; /* there is no more of it elsewhere */
	uint8_t *flags;
	struct insn_state *states;
	struct insn_state switches[SWITCHES]; /* at the last jumps to addresses not known */
	uint32_t switch_count;
	VEC(uint32_t) known; /* offsets, in the order in which they came to be ... */
	uint32_t *when;	     /* ... and where each stands in there */
	uint32_t last;	     /* proof of the last function */
	size_t function;     /* what stands before is of other functions, and proved */
	uint64_t steps_left, until_cpu_ns;
	bool is_late; /* and given up */
};

/* What following a piece of code has shown. */
enum proof {
	FLOW_CONTRADICTS = 1, /* it is not reached in this state; nothing else is said then */
	FLOW_RETURNS = 2,     /* it comes to a `ret`, or into a function that does */
	FLOW_JOINS = 4,	      /* it comes to what was known before, in the same state */
	FLOW_SWITCHES = 8,    /* it jumps to addresses that are not known ... */
	FLOW_LEAVES = 16,     /* ... or does so as it was entered, for good */
	FLOW_MOVES = 32,      /* the stack pointer or rbp moves */
	FLOW_ESCAPES = 64,    /* it jumps to code elsewhere */
	FLOW_BRANCHES = 128,  /* it is more than a straight line */
};

static bool is_same(const struct insn_state *a, const struct insn_state *b)
{
	return a->depth == b->depth && a->frame == b->frame && a->slot == b->slot &&
	       a->lost == b->lost;
}

static const struct insn_state entry_state = { .depth = ENTRY_DEPTH };

/* --- what is where --- */

static void look_at_clock(struct analysis *a, uint64_t instructions)
{
	if (instructions % CLOCK_EVERY || thread_cpu_ns() < a->until_cpu_ns)
		return;
	a->is_late = true;
	a->steps_left = 0;
}

static void mark(struct analysis *a, int64_t at, uint8_t flags)
{
	if (at >= 0 && (uint64_t)at < a->size)
		a->flags[at] |= flags;
}

static void mark_known(struct analysis *a, const struct flow_function *f, uint64_t vaddr)
{
	if (f->vaddr < vaddr || f->vaddr - vaddr >= a->size)
		return;
	size_t at = f->vaddr - vaddr, size = MIN(f->size, a->size - at);

	a->flags[at] |= FLOW_ENTRY;
	if (size <= 1)
		return;
	a->when[at + 1]++; /* ends less beginnings, so far: unsigned, and right as a sum */
	a->when[at + size]--;
}

/* Symbols may lie over each other: each byte is marked once. */
static void mark_inside(struct analysis *a)
{
	uint32_t inside = 0;

	for (size_t at = 0; at < a->size; at++) {
		inside += a->when[at];
		if (inside)
			a->flags[at] |= FLOW_INSIDE;
	}
	memset(a->when, 0, (a->size + 1) * sizeof(*a->when));
}

/* One instruction after the other: where functions may start. */
static void scan(struct analysis *a)
{
	uint64_t instructions = 0;
	bool may_begin = true;

	for (size_t at = 0; at < a->size && !a->is_late;) {
		struct insn i;

		look_at_clock(a, instructions++);
		if (may_begin)
			a->flags[at] |= FLOW_BEGIN;
		if (!a->bytes[at] || a->bytes[at] == INT3) { /* linkers' padding */
			a->flags[at++] |= FLOW_PADDED;
			may_begin = true;
			continue;
		}
		if (!insn_read(a->bytes + at, a->size - at, &i, NULL)) {
			at++;
			may_begin = false;
			continue;
		}
		if (i.kind == INSN_NOTHING)
			a->flags[at] |= FLOW_PADDED;
		if (i.kind == INSN_CALL && i.has_target)
			mark(a, (int64_t)at + i.target, FLOW_ENTRY);
		if (i.kind == INSN_BRANCH || i.kind == INSN_JUMP)
			mark(a, (int64_t)at + i.target, FLOW_TARGET);
		if (i.has_address)
			mark(a, (int64_t)at + i.address, FLOW_ENTRY);
		may_begin = i.kind != INSN_NEXT && i.kind != INSN_CALL && i.kind != INSN_BRANCH;
		at += i.size;
	}
}

/* --- following --- */

struct edge {
	int64_t at;
	struct insn_state state;
};

/* What is followed at once: all that is reached without relying on a call to come back. */
struct stretch {
	size_t first;	/* of it in flow.known */
	uint32_t joins; /* the oldest that it comes to; UINT32_MAX: none */
	uint32_t proof;
	VEC(struct edge) edges, behind_calls;
};

static void forget(struct analysis *a, size_t first)
{
	while (a->known.count > first)
		a->flags[a->known.items[--a->known.count]] &= (uint8_t)~FLOW_KNOWN;
}

/* Comes to an instruction that is known. False: in another state. */
static bool join(const struct analysis *a, struct stretch *s, const struct edge *e)
{
	if (!is_same(&a->states[e->at], &e->state))
		return false;
	s->joins = MIN(s->joins, a->when[e->at]);
	if (a->when[e->at] < a->function)
		s->proof |= FLOW_RETURNS;
	return true;
}

static void leave(struct analysis *a, struct stretch *s, const struct edge *from,
		  const struct insn *i, const struct insn_state *state)
{
	struct edge next = { from->at + (int64_t)i->size, *state };
	struct edge target = { from->at + i->target, *state };

	switch (i->kind) {
	case INSN_CALL:
		vec_push(&s->behind_calls, next);
		/* compilers keep the stack aligned; to call the next instruction is to ask for
		 * one's own address */
		if (state->depth % STACK_ALIGN || (i->has_target && target.at == next.at))
			s->proof |= FLOW_CONTRADICTS;
		break;
	case INSN_BRANCH:
	case INSN_JUMP:
		s->proof |= FLOW_BRANCHES;
		vec_push(&s->edges, target);
		if (i->kind == INSN_JUMP)
			break;
		/* fall through */
	case INSN_NEXT:
	case INSN_NOTHING:
		vec_push(&s->edges, next);
		break;
	case INSN_RETURN:
		s->proof |= FLOW_RETURNS;
		break;
	case INSN_SWITCH:
		if (is_same(state, &entry_state)) {
			s->proof |= FLOW_LEAVES;
			break;
		}
		s->proof |= FLOW_SWITCHES;
		a->switches[a->switch_count++ % SWITCHES] = *state;
		break;
	case INSN_END:
		break;
	}
}

static void follow_edge(struct analysis *a, struct stretch *s, const struct edge *e)
{
	struct insn_state state = e->state;
	uint32_t at = (uint32_t)e->at;
	struct insn i;

	if (e->at < 0 || (uint64_t)e->at >= a->size) {
		s->proof |= FLOW_ESCAPES;
		return;
	}
	if (a->flags[at] & FLOW_KNOWN) {
		if (!join(a, s, e))
			s->proof |= FLOW_CONTRADICTS;
		return;
	}
	if (!a->steps_left || !insn_read(a->bytes + at, a->size - at, &i, &state)) {
		s->proof |= FLOW_CONTRADICTS;
		return;
	}
	look_at_clock(a, --a->steps_left);
	a->flags[at] |= FLOW_KNOWN;
	a->states[at] = e->state;
	a->when[at] = (uint32_t)a->known.count;
	vec_push(&a->known, at);
	if (!is_same(&state, &e->state))
		s->proof |= FLOW_MOVES;
	leave(a, s, e, &i, &state);
}

static uint32_t follow(struct analysis *a, const struct edge *start, uint32_t nested,
		       uint32_t *joins);

/* Behind padding; loops are aligned by it, too. */
static int64_t skip_padding(const struct analysis *a, int64_t at)
{
	struct insn i;

	int64_t end = at + PADDING_MAX;

	while (at < end && (uint64_t)at < a->size && a->flags[at] & FLOW_PADDED &&
	       insn_read(a->bytes + at, a->size - (size_t)at, &i, NULL) && i.kind == INSN_NOTHING)
		at += (int64_t)i.size;
	return at;
}

/* What follows a call, if it comes back: FLOW_CONTRADICTS where it does not, or what was followed
 * so far is wrong. */
static uint32_t follow_call(struct analysis *a, struct stretch *s, const struct edge *e,
			    uint32_t nested)
{
	struct edge next = { skip_padding(a, e->at), e->state };
	size_t first = a->known.count;
	uint32_t proof, joins;

	if ((uint64_t)next.at >= a->size || a->flags[next.at] & (FLOW_ENTRY | FLOW_PADDED))
		return 0; /* another function: it does not come back */
	if (a->flags[next.at] & FLOW_KNOWN) {
		join(a, s, &next); /* in another state: it is reached otherwise */
		return 0;
	}
	proof = follow(a, e, nested + 1, &joins);
	if (proof & (FLOW_RETURNS | FLOW_JOINS)) {
		s->joins = MIN(s->joins, joins);
		return proof;
	}
	if (a->flags[next.at] & FLOW_INSIDE)
		return proof;
	if (proof & FLOW_CONTRADICTS)
		return next.at == e->at ? proof : 0; /* padding speaks for another function */
	/* It never returns. Is it another function? That would begin by aligning the stack, or is
	 * the far end of one, and jumped to. */
	if (next.at != e->at || !a->is_whole || a->flags[e->at] & FLOW_TARGET ||
	    proof & (FLOW_MOVES | FLOW_ESCAPES | FLOW_BRANCHES)) {
		forget(a, first);
		return 0;
	}
	return proof;
}

/* Follows from an instruction in a state. What it found is kept but for contradictions. */
static uint32_t follow(struct analysis *a, const struct edge *start, uint32_t nested,
		       uint32_t *joins)
{
	struct stretch s = { .first = a->known.count, .joins = UINT32_MAX };
	uint32_t calls = nested >= NESTED_MAX ? FLOW_CONTRADICTS : 0;

	vec_push(&s.edges, *start);
	while (s.edges.count && !(s.proof & FLOW_CONTRADICTS)) {
		struct edge e = s.edges.items[--s.edges.count];

		follow_edge(a, &s, &e);
	}
	for (size_t i = 0; i < s.behind_calls.count && !(s.proof & FLOW_CONTRADICTS); i++)
		calls |= follow_call(a, &s, &s.behind_calls.items[i], nested);
	vec_deinit(&s.edges);
	vec_deinit(&s.behind_calls);
	s.proof |= calls & ~(uint32_t)(FLOW_CONTRADICTS | FLOW_JOINS);
	if (s.joins < s.first)
		s.proof |= FLOW_JOINS;
	/* one of its calls may not come back; or this is not what follows the call before */
	if (calls & FLOW_CONTRADICTS && !(s.proof & (FLOW_RETURNS | FLOW_JOINS)))
		s.proof |= FLOW_CONTRADICTS;
	*joins = s.joins;
	if (!(s.proof & FLOW_CONTRADICTS))
		return s.proof;
	forget(a, s.first);
	return FLOW_CONTRADICTS;
}

/*
 * What never returns (it calls exit(), mostly), or jumps to where a pointer says, is a function if
 * its address is used. But so is that of a place in the middle of one that is jumped to through a
 * table.
 */
static bool is_function(const struct analysis *a, uint32_t at, uint32_t proof)
{
	if (proof & FLOW_RETURNS)
		return true;
	if (!(a->flags[at] & FLOW_ENTRY) || proof & FLOW_SWITCHES)
		return false;
	return !(proof & FLOW_LEAVES) || !(a->last & FLOW_SWITCHES);
}

/* A function that starts here; false where none does. */
static bool follow_function(struct analysis *a, uint32_t at)
{
	const struct edge start = { at, entry_state };
	uint32_t joins, proof = follow(a, &start, 0, &joins);

	if (!is_function(a, at, proof))
		forget(a, a->function);
	if (a->known.count == a->function)
		return false;
	a->last = proof;
	return true;
}

/* Where a jump through a table leads to, perhaps: in the state of one that was met. A state that is
 * not this place's does not come to a `ret`. */
static void follow_case(struct analysis *a, uint32_t at)
{
	uint32_t count = MIN(a->switch_count, SWITCHES);

	for (uint32_t i = 0; i < count && a->known.count == a->function; i++) {
		const struct edge start = { at, a->switches[i] };
		uint32_t joins, proof = follow(a, &start, 0, &joins);

		if (!(proof & FLOW_RETURNS))
			forget(a, a->function);
	}
}

static void follow_all(struct analysis *a)
{
	for (uint32_t at = 0; at < a->size; at++) {
		if (!(a->flags[at] & (FLOW_ENTRY | FLOW_BEGIN)) ||
		    a->flags[at] & (FLOW_KNOWN | FLOW_PADDED))
			continue;
		if (!follow_function(a, at))
			follow_case(a, at);
		a->function = a->known.count;
	}
}

/* --- rows --- */

static uint64_t rule_of(const struct insn_state *s)
{
	struct unwind_rule r = {
		.kind = UNWIND_RULE_REG,
		.base = s->depth ? 7 : 6,
		.offset = s->depth ? s->depth : s->frame,
		.bp_kind = s->slot   ? UNWIND_BP_AT_CFA
			   : s->lost ? UNWIND_BP_UNKNOWN
				     : UNWIND_BP_SAME,
		.bp_offset = -s->slot,
	};
	uint64_t packed = unwind_rule_pack(&r);
	struct unwind_rule back = unwind_rule_unpack(packed);

	/* not a multiple of eight, or too large */
	if (back.offset != r.offset || back.bp_offset != r.bp_offset)
		return UNWIND_RULE_INVALID;
	return packed;
}

static void add_row(struct flow *f, size_t offset, uint64_t rule)
{
	uint64_t last = f->rows.count ? vec_last(&f->rows)->rule : UNWIND_RULE_INVALID;

	if (rule != last)
		vec_push(&f->rows, ((struct flow_row){ (uint32_t)offset, rule }));
}

static void make_rows(struct flow *f, const struct analysis *a)
{
	size_t end = 0;

	for (size_t at = 0; at < a->size; at++) {
		struct insn i;

		if (!(a->flags[at] & FLOW_KNOWN)) {
			if (at >= end)
				add_row(f, at, UNWIND_RULE_INVALID);
			continue;
		}
		add_row(f, at, rule_of(&a->states[at]));
		if (insn_read(a->bytes + at, a->size - at, &i, NULL))
			end = at + i.size;
	}
	add_row(f, a->size, UNWIND_RULE_INVALID);
}

struct flow *flow_create(const struct flow_code *code, uint64_t until_cpu_ns)
{
	struct analysis a = { .bytes = code->bytes,
			      .size = code->size,
			      .is_whole = code->is_whole,
			      .until_cpu_ns = until_cpu_ns };
	struct flow *f = mem_calloc(1, sizeof(*f));

	f->vaddr = code->vaddr;
	a.flags = mem_calloc(a.size, 1);
	a.states = mem_calloc(a.size, sizeof(*a.states));
	a.when = mem_calloc(a.size + 1, sizeof(*a.when));
	a.steps_left = (uint64_t)a.size * STEPS_A_BYTE;
	scan(&a);
	for (size_t i = 0; i < code->known_count; i++)
		mark_known(&a, &code->known[i], code->vaddr);
	mark_inside(&a);
	if (!a.is_late)
		follow_all(&a);
	if (!a.is_late)
		make_rows(f, &a);
	free(a.flags);
	free(a.states);
	free(a.when);
	vec_deinit(&a.known);
	if (!a.is_late)
		return f;
	flow_destroy(f);
	return NULL;
}

size_t flow_known_bytes(const struct flow *f)
{
	size_t known = 0;

	for (size_t i = 1; i < f->rows.count; i++)
		if (f->rows.items[i - 1].rule != UNWIND_RULE_INVALID)
			known += f->rows.items[i].offset - f->rows.items[i - 1].offset;
	return known;
}

void flow_destroy(struct flow *f)
{
	if (!f)
		return;
	vec_deinit(&f->rows);
	free(f);
}

void flow_emit(const struct flow *f, uint64_t from, uint64_t to,
	       void (*emit)(void *context, uint64_t vaddr, uint64_t rule), void *context)
{
	uint64_t rule = UNWIND_RULE_INVALID;
	size_t i = 0;

	while (i < f->rows.count && f->vaddr + f->rows.items[i].offset <= from)
		rule = f->rows.items[i++].rule;
	emit(context, from, rule);
	for (; i < f->rows.count && f->vaddr + f->rows.items[i].offset < to; i++)
		emit(context, f->vaddr + f->rows.items[i].offset, f->rows.items[i].rule);
}
