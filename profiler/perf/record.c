#include "profiler/perf/record.h"

#include <string.h>

#include "base/cursor.h"

/* What every sample_type of ours has; the layout below relies on their order in the kernel's
 * perf_output_sample(). */
#define SAMPLE_TYPES                                                                               \
	(PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME |            \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD)

/* sample_id: what follows every record but samples (sample_id_all): pid, tid; time; cpu; id. */
#define TRAILER_SIZE 32

#define SAMPLE_TIME_AT (8 + 8 + 8 + 8) /* header, identifier, ip, pid and tid */

static uint64_t word_at(const void *bytes, size_t at)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)bytes + at, sizeof(v));
	return v;
}

uint64_t pev_record_time(const void *bytes, size_t size, const struct pev_format *format)
{
	struct perf_event_header header;

	if (size < sizeof(header))
		return UINT64_MAX;
	memcpy(&header, bytes, sizeof(header));
	if (header.type == PERF_RECORD_SAMPLE)
		return size < SAMPLE_TIME_AT + 8 ? UINT64_MAX : word_at(bytes, SAMPLE_TIME_AT);
	if (size < sizeof(header) + TRAILER_SIZE)
		return UINT64_MAX;
	return word_at(bytes, size - TRAILER_SIZE + 8);
}

static void parse_sample(struct cursor *c, const struct pev_format *format, struct pev_record *r)
{
	struct pev_sample *s = &r->sample;

	*s = (struct pev_sample){ 0 };
	s->id = cursor_u64(c);
	s->ip = cursor_u64(c);
	r->pid = cursor_u32(c);
	r->tid = cursor_u32(c);
	r->time = cursor_u64(c);
	r->cpu = cursor_u32(c);
	cursor_skip(c, 4);
	s->period = cursor_u64(c);
	if (format->sample_type & PERF_SAMPLE_READ) {
		s->count = cursor_u64(c);
		cursor_skip(c, 8 * (uint64_t)__builtin_popcountll(format->read_format));
	}
	if (format->sample_type & PERF_SAMPLE_CALLCHAIN) {
		s->callchain_count = cursor_u64(c);
		if (s->callchain_count > cursor_left(c) / 8)
			c->failed = true;
		s->callchain = cursor_bytes(c, s->callchain_count * 8);
	}
	if (format->sample_type & PERF_SAMPLE_REGS_USER) {
		s->abi = cursor_u64(c);
		if (s->abi != PERF_SAMPLE_REGS_ABI_NONE)
			s->regs = cursor_bytes(
				c, 8 * (uint64_t)__builtin_popcountll(format->regs_mask));
	}
	if (format->sample_type & PERF_SAMPLE_STACK_USER) {
		s->stack_room = cursor_u64(c);
		s->stack = cursor_bytes(c, s->stack_room);
		if (s->stack_room)
			s->stack_size = cursor_u64(c);
		if (s->stack_size > s->stack_room)
			c->failed = true;
	}
}

static void parse_mmap(struct cursor *c, bool is_mmap2, uint16_t misc, struct pev_record *r)
{
	struct pev_mmap *m = &r->mmap;

	*m = (struct pev_mmap){ 0 };
	r->pid = cursor_u32(c);
	r->tid = cursor_u32(c);
	m->start = cursor_u64(c);
	m->size = cursor_u64(c);
	m->offset = cursor_u64(c);
	if (is_mmap2 && (misc & PERF_RECORD_MISC_MMAP_BUILD_ID)) {
		uint8_t size = cursor_u8(c);

		cursor_skip(c, 3);
		const uint8_t *bytes = cursor_bytes(c, BUILD_ID_MAX);

		if (size > BUILD_ID_MAX)
			c->failed = true;
		if (!c->failed) {
			m->build_id.size = size;
			memcpy(m->build_id.bytes, bytes, size);
		}
	} else if (is_mmap2) {
		m->major = cursor_u32(c);
		m->minor = cursor_u32(c);
		m->inode = cursor_u64(c);
		m->generation = cursor_u64(c);
	}
	if (is_mmap2)
		cursor_skip(c, 8); /* protection and flags: only what may be executed is told */
	m->path = cursor_str(c);
	if (m->start + m->size < m->start)
		c->failed = true;
}

static void parse_task(struct cursor *c, struct pev_record *r)
{
	r->pid = cursor_u32(c);
	r->task.ppid = cursor_u32(c);
	r->tid = cursor_u32(c);
	r->task.ptid = cursor_u32(c);
}

static void parse_throttle(struct cursor *c, struct pev_record *r)
{
	cursor_skip(c, 16); /* time, which the trailer has too; the event's id */
	r->stream = cursor_u64(c);
}

/* The body of any record that has the trailer. */
static void parse_side_band(struct cursor *c, const struct perf_event_header *header,
			    const struct pev_format *format, struct pev_record *r)
{
	switch (header->type) {
	case PERF_RECORD_MMAP:
	case PERF_RECORD_MMAP2:
		r->kind = PEV_RECORD_MMAP;
		parse_mmap(c, header->type == PERF_RECORD_MMAP2, header->misc, r);
		break;
	case PERF_RECORD_COMM:
		r->kind = PEV_RECORD_COMM;
		r->pid = cursor_u32(c);
		r->tid = cursor_u32(c);
		r->comm.name = cursor_str(c);
		r->comm.is_exec = header->misc & PERF_RECORD_MISC_COMM_EXEC;
		break;
	case PERF_RECORD_FORK:
	case PERF_RECORD_EXIT:
		r->kind = header->type == PERF_RECORD_FORK ? PEV_RECORD_FORK : PEV_RECORD_EXIT;
		parse_task(c, r);
		break;
	case PERF_RECORD_LOST:
		r->kind = PEV_RECORD_LOST;
		cursor_skip(c, 8);
		r->lost = cursor_u64(c);
		break;
	case PERF_RECORD_LOST_SAMPLES:
		r->kind = PEV_RECORD_LOST_SAMPLES;
		r->lost = cursor_u64(c);
		break;
	case PERF_RECORD_THROTTLE:
	case PERF_RECORD_UNTHROTTLE:
		r->kind = header->type == PERF_RECORD_THROTTLE ? PEV_RECORD_THROTTLE
							       : PEV_RECORD_UNTHROTTLE;
		parse_throttle(c, r);
		break;
	case PERF_RECORD_READ:
		r->kind = PEV_RECORD_READ;
		r->pid = cursor_u32(c);
		r->tid = cursor_u32(c);
		r->count = cursor_u64(c);
		break;
	default:
		r->kind = PEV_RECORD_OTHER;
		break;
	}
}

void pev_record_parse(const void *bytes, size_t size, const struct pev_format *format,
		      struct pev_record *ret)
{
	struct cursor c = cursor_make(bytes, size);
	struct perf_event_header header;
	const void *head = cursor_bytes(&c, sizeof(header));

	memset(ret, 0, sizeof(*ret));
	ret->kind = PEV_RECORD_DAMAGED;
	if (!head || (format->sample_type & SAMPLE_TYPES) != SAMPLE_TYPES)
		return;
	memcpy(&header, head, sizeof(header));
	if (header.type == PERF_RECORD_SAMPLE) {
		ret->kind = PEV_RECORD_SAMPLE;
		ret->in_kernel =
			(header.misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL;
		parse_sample(&c, format, ret);
	} else if (cursor_left(&c) < TRAILER_SIZE) {
		return;
	} else {
		struct cursor body = cursor_sub(&c, cursor_left(&c) - TRAILER_SIZE);

		ret->pid = cursor_u32(&c);
		ret->tid = cursor_u32(&c);
		ret->time = cursor_u64(&c);
		ret->cpu = cursor_u32(&c);
		parse_side_band(&body, &header, format, ret);
		c.failed |= body.failed;
	}
	if (c.failed)
		ret->kind = PEV_RECORD_DAMAGED;
}
