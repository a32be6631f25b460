#include "profiler/unwind/table.h"

#include <elf.h>

#include "base/cpu_time.h"
#include "profiler/unwind/unit.h"

/* A file without any entry: as much text as is followed by its instructions. Libraries of data
 * alone have an .init. */
#define BARE_PAGES 16

/* So much CPU time, in all, goes at once into code without entries, which walks wait for; what is
 * more waits until there is time. */
#define FOLLOW_AT_ONCE_NS 250000000ull

#define UNIT_PAGE_SHIFT (UNWIND_UNIT_SHIFT - UNWIND_PAGE_SHIFT)

/* The pages that the executable segments span; false where there are none or the file lies. */
static bool text_pages(const struct image *img, uint64_t *ret_first, uint64_t *ret_count)
{
	const struct image_segment *s;
	size_t n = image_segments(img, &s), size;
	uint64_t low = UINT64_MAX, high = 0, end;

	for (size_t i = 0; i < n; i++) {
		if (!(s[i].flags & PF_X) || s[i].filesz == 0)
			continue;
		if (__builtin_add_overflow(s[i].vaddr, s[i].filesz, &end))
			return false;
		low = MIN(low, s[i].vaddr);
		high = MAX(high, end);
	}
	if (low >= high)
		return false;
	*ret_first = low >> UNWIND_PAGE_SHIFT;
	*ret_count = ((high - 1) >> UNWIND_PAGE_SHIFT) - *ret_first + 1;
	/* Segments far apart would ask for a directory out of all proportion to the file. */
	image_bytes(img, &size);
	return *ret_count <= UNWIND_CHUNK_WORDS && *ret_count <= 1024 + (size >> 8);
}

/* Linkers that put all into one executable segment have the data in it too; the sections tell. */
static void find_code(struct unwind_table *table)
{
	const struct image_section *s;
	size_t n = image_sections(table->img, &s);

	table->code_low = UINT64_MAX;
	for (size_t i = 0; i < n; i++) {
		if (!(s[i].flags & SHF_EXECINSTR) || s[i].size > UINT64_MAX - s[i].vaddr)
			continue;
		table->code_low = MIN(table->code_low, s[i].vaddr);
		table->code_high = MAX(table->code_high, s[i].vaddr + s[i].size);
	}
	if (table->code_low < table->code_high)
		return;
	table->code_low = 0;
	table->code_high = UINT64_MAX;
}

struct error *unwind_table_create(struct unwind_tables *t, const struct image *img,
				  struct unwind_table **ret)
{
	struct unwind_table *table = mem_calloc(1, sizeof(*table));

	table->tables = t;
	table->img = img;
	vec_push(&t->tables, table);
	*ret = table;

	if (image_machine(img) != EM_X86_64 ||
	    !text_pages(img, &table->first_page, &table->page_count))
		return NULL;
	TRY(eh_index_create(img, &table->index));
	if (!table->index && table->page_count > BARE_PAGES)
		return NULL;

	table->dir = pool_alloc(t, (uint32_t)table->page_count);
	if (!table->dir) {
		eh_index_destroy(table->index);
		table->index = NULL;
		return error_new(ERR_FAILED, "%s: no room for its unwind tables", image_name(img));
	}
	table->follow_bx = table->index && cfa_uses_bx(table->index);
	find_code(table);
	table->pool_words = table->page_count;
	table->first_unit = table->first_page >> UNIT_PAGE_SHIFT;
	table->unit_count = ((table->first_page + table->page_count - 1) >> UNIT_PAGE_SHIFT) -
			    table->first_unit + 1;
	table->compiled = mem_calloc(table->unit_count, 1);
	return NULL;
}

void unwind_table_free(struct unwind_table *table)
{
	eh_index_destroy(table->index);
	free(table->compiled);
	free(table);
}

void unwind_table_describe(const struct unwind_table *table, struct unwind_mapping *m)
{
	uint64_t low = m->bias + (table->first_page << UNWIND_PAGE_SHIFT);
	uint64_t high = low + (table->page_count << UNWIND_PAGE_SHIFT);

	m->kind = UNWIND_MAP_NO_TABLE;
	m->page_dir = 0;
	if (!table->dir || (m->bias & ((1u << UNWIND_PAGE_SHIFT) - 1)) || high <= low ||
	    m->start >= high || m->end <= low)
		return;
	/* The step function trusts that every address of the mapping has a word in the directory.
	 */
	m->start = MAX(m->start, low);
	m->end = MIN(m->end, high);
	m->kind = UNWIND_MAP_TABLE;
	m->page_dir = table->dir - (uint32_t)table->first_page;
}

static enum unit_state state_of(const struct unwind_table *table, uint64_t unit)
{
	return unit - table->first_unit < table->unit_count
		       ? table->compiled[unit - table->first_unit]
		       : UNIT_COMPILED;
}

/* Following code takes long, and what it found takes memory: all units that it is of any use for
 * are compiled at once. */
static void use_up_flow(struct unwind_table *table)
{
	uint64_t first = table->flow_start >> UNWIND_UNIT_SHIFT;
	uint64_t last = (table->flow_end - 1) >> UNWIND_UNIT_SHIFT;

	for (uint64_t unit = first; unit <= last; unit++)
		if (state_of(table, unit) != UNIT_COMPILED)
			unit_compile(table, unit, UINT64_MAX);
	flow_destroy(table->flow);
	table->flow = NULL;
}

/* follow_ns: what may go into code without entries. */
static void compile(struct unwind_table *table, uint64_t unit, uint64_t follow_ns)
{
	struct unwind_tables *t = table->tables;
	uint64_t begun = thread_cpu_ns(), took, followed = table->followed_bytes;

	unit_compile(table, unit, follow_ns ? begun + follow_ns : 0);
	if (state_of(table, unit) == UNIT_WITHOUT_BARE)
		vec_push(&t->left, ((struct unit_left){ table, unit }));
	if (table->flow)
		use_up_flow(table);
	took = thread_cpu_ns() - begun;
	t->build_ns += took;
	if (table->followed_bytes > followed || table->left_bare)
		t->follow_ns += took;
}

void unwind_table_compile(struct unwind_table *table, uint64_t vaddr)
{
	uint64_t unit = vaddr >> UNWIND_UNIT_SHIFT;

	if (table->dir && state_of(table, unit) == UNIT_NOT_COMPILED)
		compile(table, unit,
			FOLLOW_AT_ONCE_NS - MIN(FOLLOW_AT_ONCE_NS, table->tables->follow_ns));
}

bool unwind_tables_follow(struct unwind_tables *t)
{
	struct unit_left next;

	vec_shed(&t->left, &t->left_taken);
	if (t->left_taken == t->left.count)
		return false;
	next = t->left.items[t->left_taken++];
	if (state_of(next.table, next.unit) == UNIT_WITHOUT_BARE)
		compile(next.table, next.unit, UINT64_MAX / 2);
	return true;
}

bool unwind_tables_have_left(const struct unwind_tables *t)
{
	return t->left_taken < t->left.count;
}

void unwind_tables_compile(struct unwind_tables *t, const struct unwind_mapping *m,
			   uint64_t address)
{
	uint64_t vaddr = address - m->bias;
	uint32_t dir = m->page_dir + (uint32_t)(vaddr >> UNWIND_PAGE_SHIFT);

	for (size_t i = 0; i < t->tables.count; i++)
		if (t->tables.items[i]->dir &&
		    dir - t->tables.items[i]->dir < t->tables.items[i]->page_count) {
			unwind_table_compile(t->tables.items[i], vaddr);
			return;
		}
}

uint64_t unwind_tables_build_ns(const struct unwind_tables *t)
{
	return t->build_ns;
}

uint64_t unwind_tables_left_out(const struct unwind_tables *t)
{
	return t->pages_left_out;
}

void unwind_table_compile_all(struct unwind_table *table)
{
	for (uint64_t i = 0; i < table->unit_count; i++)
		unwind_table_compile(table, (table->first_unit + i) << UNWIND_UNIT_SHIFT);
	while (unwind_tables_follow(table->tables))
		;
}

void unwind_table_stats(const struct unwind_table *table, struct unwind_table_stats *ret)
{
	uint64_t vaddr;

	*ret = (struct unwind_table_stats){
		.rows = table->rows,
		.pool_bytes = table->pool_words * sizeof(uint32_t),
		.rules = table->tables->rule_count,
		.units = (uint32_t)table->unit_count,
		.units_compiled = table->units_compiled,
	};
	if (table->index)
		eh_index_frame(table->index, &vaddr, &ret->eh_frame_bytes);
}
