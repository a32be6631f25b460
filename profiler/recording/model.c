/* The models of format.h: predictions that writer and reader make alike. */
#include "profiler/recording/format.h"

#include <stdlib.h>

#include "base/mem.h"

static struct path_list *path_list_of(struct path_model *m, uint32_t outer)
{
	if (outer >= m->lists.count) {
		size_t more = (size_t)outer + 1 - m->lists.count;
		vec_reserve(&m->lists, more);
		memset(m->lists.items + m->lists.count, 0, more * sizeof(*m->lists.items));
		m->lists.count += more;
	}
	if (!m->lists.items[outer])
		m->lists.items[outer] = mem_calloc(1, sizeof(struct path_list));
	return m->lists.items[outer];
}

/* Moves or adds the location to the front; `at` is its present place, the count where it has none.
 */
static void to_front(struct path_model *m, struct path_list *l, uint32_t at, uint32_t location)
{
	if (at == l->count) {
		if (l->count < PATH_LIST)
			l->count++;
		else
			at--;
	}
	memmove(l->items + 1, l->items, at * sizeof(*l->items));
	l->items[0] = location;
	m->highest = MAX(m->highest, location);
}

uint32_t path_model_rank(struct path_model *m, uint32_t outer, uint32_t location)
{
	struct path_list *l = path_list_of(m, outer);
	uint32_t at = 0;

	while (at < l->count && l->items[at] != location)
		at++;

	uint32_t rank = at < l->count		     ? at + PATH_RANK_LIST
			: location == m->highest + 1 ? PATH_RANK_NEXT
						     : PATH_RANK_EXPLICIT;
	to_front(m, l, at, location);
	return rank;
}

uint32_t path_model_location(struct path_model *m, uint32_t outer, uint64_t rank,
			     uint32_t explicit_location)
{
	struct path_list *l = path_list_of(m, outer);

	if (rank >= PATH_RANK_LIST) {
		if (rank - PATH_RANK_LIST >= l->count)
			return 0;
		uint32_t at = (uint32_t)(rank - PATH_RANK_LIST);
		uint32_t location = l->items[at];
		to_front(m, l, at, location);
		return location;
	}

	uint32_t location = rank == PATH_RANK_NEXT ? m->highest + 1 : explicit_location;
	to_front(m, l, l->count, location);
	return location;
}

void path_model_deinit(struct path_model *m)
{
	for (size_t i = 0; i < m->lists.count; i++)
		free(m->lists.items[i]);
	vec_deinit(&m->lists);
}

uint64_t *address_model_at(struct address_model *m, uint32_t file)
{
	while (m->last.count <= file)
		vec_push(&m->last, 0);
	return &m->last.items[file];
}

static struct sample_model_cpu *cpu_of(struct sample_model *m, uint16_t cpu)
{
	while (m->cpus.count <= cpu)
		vec_push(&m->cpus, (struct sample_model_cpu){ 0 });
	struct sample_model_cpu *c = &m->cpus.items[cpu];
	if (c->chunk != m->chunk)
		*c = (struct sample_model_cpu){ .chunk = m->chunk };
	return c;
}

static struct sample_model_thread *thread_of(struct sample_model *m, uint32_t thread)
{
	while (m->threads.count <= thread)
		vec_push(&m->threads, (struct sample_model_thread){ 0 });
	struct sample_model_thread *t = &m->threads.items[thread];
	if (t->chunk != m->chunk)
		*t = (struct sample_model_thread){ .chunk = m->chunk };
	return t;
}

/* The first sample of a CPU in a chunk is told from the sample before it. */
uint64_t sample_model_time(struct sample_model *m, uint16_t cpu)
{
	uint64_t next = cpu_of(m, cpu)->next_time;

	return next ? next : m->last.time_ns;
}

uint32_t sample_model_comm(struct sample_model *m, uint32_t thread)
{
	return thread_of(m, thread)->comm;
}

void sample_model_add(struct sample_model *m, const struct recording_sample *s, uint64_t period)
{
	cpu_of(m, s->cpu)->next_time = s->time_ns + period;
	thread_of(m, s->thread)->comm = s->comm;
	m->last = *s;
}

/* Nothing is emptied: a recording may have many threads, and chunks with few samples. */
void sample_model_begin_chunk(struct sample_model *m)
{
	m->chunk++;
	m->last = (struct recording_sample){ 0 };
}

void sample_model_deinit(struct sample_model *m)
{
	vec_deinit(&m->cpus);
	vec_deinit(&m->threads);
}
