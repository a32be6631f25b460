#include "profiler/process/space.h"

#include <stdlib.h>
#include <string.h>

struct proc_space *proc_space_create(void)
{
	struct proc_space *s = mem_calloc(1, sizeof(*s));

	s->refs = 1;
	return s;
}

struct proc_space *proc_space_share(struct proc_space *s)
{
	s->refs++;
	return s;
}

void proc_space_release(struct proc_space *s)
{
	if (!s || --s->refs > 0)
		return;
	free(s->unwind);
	free(s->tables);
	free(s->mappings);
	free(s);
}

static void make_room(struct proc_space *s, uint32_t count)
{
	if (count <= s->capacity)
		return;
	s->capacity = MAX(count, s->capacity + s->capacity / 2 + 16);
	s->unwind = mem_realloc_array(s->unwind, s->capacity, sizeof(*s->unwind));
	s->tables = mem_realloc_array(s->tables, s->capacity, sizeof(struct unwind_table *));
	s->mappings = mem_realloc_array(s->mappings, s->capacity, sizeof(*s->mappings));
}

/* A space that the caller may change. */
static struct proc_space *make_own(struct proc_space **at)
{
	struct proc_space *old = *at, *s;

	if (old->refs == 1)
		return old;
	s = proc_space_create();
	make_room(s, old->count + 4);
	s->count = old->count;
	if (old->count) {
		memcpy(s->unwind, old->unwind, old->count * sizeof(*s->unwind));
		memcpy(s->tables, old->tables, old->count * sizeof(struct unwind_table *));
		memcpy(s->mappings, old->mappings, old->count * sizeof(*s->mappings));
	}
	proc_space_release(old);
	*at = s;
	return s;
}

/* Moves what follows `index` by `by` places. */
static void shift(struct proc_space *s, uint32_t index, int32_t by)
{
	uint32_t rest = s->count - index;
	uint32_t to = (uint32_t)((int32_t)index + by);

	if (by > 0)
		make_room(s, s->count + (uint32_t)by);
	memmove(s->unwind + to, s->unwind + index, rest * sizeof(*s->unwind));
	memmove(s->tables + to, s->tables + index, rest * sizeof(struct unwind_table *));
	memmove(s->mappings + to, s->mappings + index, rest * sizeof(*s->mappings));
	s->count = (uint32_t)((int32_t)s->count + by);
}

/* The first mapping that ends after the address. */
static uint32_t first_after(const struct proc_space *s, uint64_t address)
{
	uint32_t low = 0, high = s->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (s->unwind[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint32_t proc_space_find(const struct proc_space *s, uint64_t address)
{
	uint32_t i = first_after(s, address);

	return i < s->count && s->unwind[i].start <= address ? i : UINT32_MAX;
}

bool proc_space_overlaps(const struct proc_space *s, uint64_t start, uint64_t end)
{
	uint32_t i = first_after(s, start);

	return i < s->count && s->unwind[i].start < end;
}

/* Makes a hole [start, end); returns the index where a mapping of it belongs. Bias, table and page
 * directory of what is cut hold for the rest: they do not depend on where a mapping starts. */
static uint32_t make_hole(struct proc_space *s, uint64_t start, uint64_t end)
{
	uint32_t first = first_after(s, start), last;

	if (first < s->count && s->unwind[first].start < start) {
		if (s->unwind[first].end > end) { /* it lies around the hole: split in two */
			shift(s, first, 1);
			s->unwind[first] = s->unwind[first + 1];
			s->tables[first] = s->tables[first + 1];
			s->mappings[first] = s->mappings[first + 1];
		}
		s->unwind[first].end = start;
		first++;
	}
	last = first;
	while (last < s->count && s->unwind[last].end <= end)
		last++;
	if (last < s->count && s->unwind[last].start < end) {
		s->mappings[last].offset += end - s->unwind[last].start;
		s->unwind[last].start = end;
	}
	if (last > first)
		shift(s, last, -(int32_t)(last - first));
	return first;
}

/* Kind, bias and table, as far as the file is known. */
static void describe(struct proc_space *s, struct proc_files *files, uint32_t index)
{
	struct unwind_mapping *u = &s->unwind[index];
	struct proc_mapping *m = &s->mappings[index];
	const struct proc_file *file = proc_files_get(files, m->file);
	uint64_t vaddr;

	u->bias = 0;
	u->page_dir = 0;
	s->tables[index] = NULL;
	m->resolved = true;
	if (file->kind == RECORDING_FILE_JIT) {
		u->kind = UNWIND_MAP_FP_JIT;
	} else if (file->state == PROC_FILE_NEW) {
		u->kind = UNWIND_MAP_UNKNOWN;
		m->resolved = false;
	} else if (!strcmp(file->path, "[uprobes]")) {
		u->kind = UNWIND_MAP_UPROBES;
	} else {
		u->kind = UNWIND_MAP_NO_TABLE;
		if (file->state == PROC_FILE_OPEN &&
		    image_vaddr_of_offset(file->image, m->offset, &vaddr)) {
			u->bias = u->start - vaddr;
			if (file->table) {
				uint64_t start = u->start;
				s->tables[index] = file->table;
				unwind_table_describe(file->table, u); /* may cut u to the text */
				m->offset += u->start - start;
			}
		}
	}
}

void proc_space_insert(struct proc_space **at, struct proc_files *files, uint64_t start,
		       uint64_t end, uint64_t offset, uint32_t file, uint64_t time_ns)
{
	struct proc_space *s = make_own(at);
	uint32_t index = make_hole(s, start, end);

	shift(s, index, 1);
	s->unwind[index] = (struct unwind_mapping){ .start = start, .end = end };
	s->mappings[index] =
		(struct proc_mapping){ .offset = offset, .time_ns = time_ns, .file = file };
	describe(s, files, index);
}

void proc_space_resolve(struct proc_space *s, struct proc_files *files, uint32_t index,
			uint32_t pid)
{
	struct unwind_mapping *u = &s->unwind[index];
	struct proc_mapping *m = &s->mappings[index];

	if (m->resolved)
		return;
	m->file = proc_files_open(files, m->file, pid, u->start, u->end, m->time_ns);
	describe(s, files, index);
}

uint32_t proc_space_retain(struct proc_space **at, const struct proc_maps *now)
{
	struct proc_space *s = make_own(at);
	uint32_t kept = 0, gone;
	size_t next = 0; /* the first that ends behind the mapping's start: both are sorted */

	for (uint32_t i = 0; i < s->count; i++) {
		while (next < now->maps.count && now->maps.items[next].end <= s->unwind[i].start)
			next++;
		if (next == now->maps.count || now->maps.items[next].start >= s->unwind[i].end)
			continue;
		s->unwind[kept] = s->unwind[i];
		s->tables[kept] = s->tables[i];
		s->mappings[kept++] = s->mappings[i];
	}
	gone = s->count - kept;
	s->count = kept;
	return gone;
}
