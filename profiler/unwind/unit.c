/*
 * Rows are made in the order of their addresses, so that a page is finished when the first row of a
 * later one comes: the writer holds one page, merges equal neighbours and stores it into the pool.
 * A unit's pages are its own. An FDE that reaches over the edge of a unit is run for both.
 */
#include "profiler/unwind/unit.h"

#include <elf.h>
#include <string.h>

#include "profiler/unwind/code.h"

#define UNIT_BYTES (1ull << UNWIND_UNIT_SHIFT)
#define PAGE_BYTES (1u << UNWIND_PAGE_SHIFT)
#define PAGE_MASK  (PAGE_BYTES - 1)

/* Up to this many bytes between two FDEs are padding, which has the rule in front of it. */
#define PADDING_BYTES 15

/* Code without entries is looked at as a whole; where that is too much, so far over the edges of
 * the unit. */
#define WHOLE_BYTES (1u << 20)
#define REACH_BYTES 16384

/* Where following instructions shows less than a part of so much code, it is no code that this is
 * for, and the rest is left alone: it takes a hundred times longer than entries do. */
#define TRIAL_BYTES (256u << 10)
#define SHOWN_PART  2

/* Of a symbol table, for each byte of code: nobody reads a large one for a few bytes. */
#define SYMBOL_BYTES 1024

struct writer {
	struct unwind_table *table;
	uint64_t low, high;
	uint64_t page; /* address of the page that is being written */
	uint32_t dir_word;
	uint64_t last_bits;
	uint16_t last_rule;
	uint32_t count;
	uint32_t rows[PAGE_BYTES]; /* offset | rule << 16 */
};

static void finish_page(struct writer *w)
{
	struct unwind_tables *t = w->table->tables;
	uint32_t word = UNWIND_PAGE_ONE_RULE | w->rows[0] >> 16;

	if (w->count > 1) {
		uint32_t at = pool_alloc(t, w->count + 1);
		if (at) {
			*pool_at(t, at) = w->count;
			memcpy(pool_at(t, at + 1), w->rows, w->count * sizeof(*w->rows));
			w->table->pool_words += w->count + 1;
			word = at;
		} else {
			word = UNWIND_PAGE_ONE_RULE | UNWIND_RULE_INVALID;
			t->pages_left_out++;
		}
	}
	w->table->rows += w->count;
	/* the kernel program may be reading: the rows stand before they can be found */
	__atomic_store_n(pool_at(t, w->dir_word), word, __ATOMIC_RELEASE);

	/* The rule that reaches into the next page. */
	w->page += PAGE_BYTES;
	w->dir_word++;
	w->rows[0] = (uint32_t)w->last_rule << 16;
	w->count = 1;
}

static void emit(void *context, uint64_t vaddr, uint64_t rule)
{
	struct writer *w = context;
	uint32_t offset;

	if (vaddr >= w->high)
		return;
	while (vaddr >= w->page + PAGE_BYTES)
		finish_page(w);
	if (rule == w->last_bits)
		return;
	w->last_bits = rule;

	uint16_t id = pool_rule_id(w->table->tables, rule);
	if (id == w->last_rule)
		return;
	w->last_rule = id;
	offset = vaddr > w->page ? (uint32_t)(vaddr - w->page) : 0;
	/* A row that starts where (or, in damaged tables, before) the last one does replaces it. */
	while (w->count && (w->rows[w->count - 1] & 0xffff) >= offset)
		w->count--;
	if (w->count && w->rows[w->count - 1] >> 16 == id)
		return;
	w->rows[w->count++] = offset | (uint32_t)id << 16;
}

static uint64_t rule_above_sp(int64_t offset)
{
	struct unwind_rule r = { .kind = UNWIND_RULE_REG, .base = 7, .offset = offset };

	return unwind_rule_pack(&r);
}

/* .init and .fini: no compiler wrote them, so no FDE covers them, but constructors may be called
 * from there (libcrypto's is). False where the section is not of the usual form. */
static bool emit_init_section(struct writer *w, const struct image_section *s, uint64_t end)
{
	size_t pushed, popped;

	if (!s->data || s->size > end - s->vaddr ||
	    !code_init_section(s->data, s->size, &pushed, &popped))
		return false;
	emit(w, s->vaddr, rule_above_sp(8));
	emit(w, s->vaddr + pushed, rule_above_sp(16));
	emit(w, s->vaddr + popped, rule_above_sp(8));
	emit(w, s->vaddr + s->size, UNWIND_RULE_INVALID);
	return true;
}

/* A function that keeps rbp on its stack, and nothing else. */
static void emit_framed(struct writer *w, uint64_t start, const struct code_match *m)
{
	struct unwind_rule framed = {
		.kind = UNWIND_RULE_REG,
		.base = 7,
		.offset = 16,
		.bp_kind = UNWIND_BP_AT_CFA,
		.bp_offset = -16,
	};

	emit(w, start + m->offset, rule_above_sp(8));
	emit(w, start + m->pushed, unwind_rule_pack(&framed));
	emit(w, start + m->popped, rule_above_sp(8));
}

/* main(), as the program's entry stub knows it. */
static uint64_t find_main(const struct image *img)
{
	uint64_t left = 0, entry = image_entry(img);
	const uint8_t *bytes = image_at_vaddr(img, entry, &left);
	size_t size = bytes ? code_entry_stub(bytes, left) : 0;

	return size ? code_main(bytes, size, entry) : 0;
}

struct functions {
	VEC(struct flow_function) all;
};

/* The functions that a symbol table names in [start, end). */
static void add_symbols(const struct image_section *s, uint64_t start, uint64_t end,
			struct functions *ret)
{
	for (size_t at = 0; s->data && at + sizeof(Elf64_Sym) <= s->size; at += sizeof(Elf64_Sym)) {
		Elf64_Sym symbol;

		memcpy(&symbol, s->data + at, sizeof(symbol));
		if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_value >= start &&
		    symbol.st_value < end)
			vec_push(&ret->all,
				 ((struct flow_function){ symbol.st_value, symbol.st_size }));
	}
}

/* NULL: it takes too long to be done at once. */
static struct flow *follow(struct unwind_table *table, struct flow_code *code)
{
	struct functions f = { 0 };
	const struct image_section *s;
	size_t n = image_sections(table->img, &s), left = code->size * SYMBOL_BYTES;
	struct flow *flow;

	vec_push(&f.all, ((struct flow_function){ find_main(table->img), 0 }));
	for (size_t i = 0; i < n; i++) {
		if ((s[i].type != SHT_SYMTAB && s[i].type != SHT_DYNSYM) || s[i].size > left)
			continue;
		left -= s[i].size;
		add_symbols(&s[i], code->vaddr, code->vaddr + code->size, &f);
	}
	code->known = f.all.items;
	code->known_count = f.all.count;
	flow = flow_create(code, table->follow_until_cpu_ns);
	if (flow) {
		table->followed_bytes += code->size;
		table->shown_bytes += flow_known_bytes(flow);
	} else {
		table->left_bare = true;
	}
	vec_deinit(&f.all);
	return flow;
}

/* Go has tables of its own, and functions that begin with a way out of them. */
static bool is_worth_following(const struct unwind_table *table)
{
	return !image_find_section(table->img, ".gopclntab") &&
	       !image_find_section(table->img, ".note.go.buildid") &&
	       (table->followed_bytes < TRIAL_BYTES ||
		table->shown_bytes >= table->followed_bytes / SHOWN_PART);
}

/* What follows from the instructions of code without entries; NULL where nothing would. That of a
 * whole piece is kept for the next unit. */
static struct flow *flow_of(struct unwind_table *table, const uint8_t *bytes, size_t size,
			    uint64_t start, bool is_whole)
{
	bool is_kept = is_whole && table->flow && table->flow_start == start;
	struct flow_code code = { bytes, size, start, .is_whole = is_whole };

	if (!is_kept && !is_worth_following(table))
		return NULL;
	if (!is_kept && !table->follow_until_cpu_ns) {
		table->left_bare = true;
		return NULL;
	}
	if (!is_whole)
		return follow(table, &code);
	if (!is_kept) {
		flow_destroy(table->flow);
		table->flow = follow(table, &code);
		table->flow_start = start;
		table->flow_end = start + size;
	}
	return table->flow;
}

/* The rows of code without entries: known by its bytes, or followed. */
static void emit_bare_code(struct writer *w, uint64_t start, uint64_t end)
{
	uint64_t entry = image_entry(w->table->img), left = 0;
	const uint8_t *bytes;
	struct code_match m;
	struct flow *flow;
	size_t stub = 0;
	bool is_whole;

	start = MAX(start, w->table->code_low);
	end = MIN(end, w->table->code_high);
	if (start >= end || start >= w->high || end <= w->low)
		return;
	is_whole = end - start <= WHOLE_BYTES;
	if (!is_whole) {
		start = MAX(start, w->low > REACH_BYTES ? w->low - REACH_BYTES : 0);
		end = MIN(end, w->high + REACH_BYTES);
	}
	bytes = image_at_vaddr(w->table->img, start, &left);
	if (!bytes)
		return;
	left = MIN(left, end - start);
	if (entry - start < left)
		stub = code_entry_stub(bytes + (entry - start), left - (entry - start));
	flow = flow_of(w->table, bytes, left, start, is_whole);
	for (size_t from = 0; from < left; from = m.offset + m.size) {
		bool found = code_find(bytes, left, from, &m);

		if (stub && entry >= start + from && (!found || entry - start < m.offset)) {
			m = (struct code_match){ .offset = entry - start,
						 .size = stub,
						 .rule = UNWIND_RULE_STOP };
			found = true;
		}
		if (flow)
			flow_emit(flow, start + from, start + (found ? m.offset : left), emit, w);
		if (!found)
			break;
		/* A handler returns to the first byte, and return addresses are looked up at the
		 * byte before. */
		if (m.rule == UNWIND_RULE_REG)
			emit_framed(w, start, &m);
		else
			emit(w, start + m.offset - (m.rule == UNWIND_RULE_SIGNAL), m.rule);
		emit(w, start + m.offset + m.size, UNWIND_RULE_INVALID);
	}
	if (!is_whole)
		flow_destroy(flow);
}

/*
 * glibc's clone() has no FDE between its system call and where the new thread goes its own way, for
 * the parent has a caller there and the thread has none. Which one it is, rax says.
 */
static void emit_clone(struct writer *w, uint64_t start)
{
	struct unwind_rule r = {
		.kind = UNWIND_RULE_REG, .base = 7, .offset = 8, .flags = UNWIND_RULE_CLONED
	};
	uint64_t left = 0;
	const uint8_t *bytes = image_at_vaddr(w->table->img, start, &left);

	if (bytes && left >= CODE_CLONE_BYTES && code_is_clone(bytes))
		emit(w, start + CODE_CLONE_SYSCALL, unwind_rule_pack(&r));
}

/* lld writes no entries for its PLT, and nobody does in static programs: the same that others
 * write. */
static bool emit_plt(struct writer *w, const struct image_section *s, uint64_t end)
{
	struct unwind_rule late = { .kind = UNWIND_RULE_PLT,
				    .base = 7,
				    .offset = (int64_t)CODE_PLT_PUSHED * 8 };
	bool is_late;

	if (!s->data || s->size > end - s->vaddr || !code_plt_section(s->data, s->size, &is_late) ||
	    (is_late && s->vaddr % CODE_PLT_BYTES))
		return false;
	emit(w, s->vaddr, rule_above_sp(is_late ? 16 : 8));
	if (is_late) {
		emit(w, s->vaddr + CODE_PLT_HEADER, rule_above_sp(24));
		emit(w, s->vaddr + CODE_PLT_BYTES, unwind_rule_pack(&late));
	}
	emit(w, s->vaddr + s->size, UNWIND_RULE_INVALID);
	return true;
}

/* A section whose code is known by its name and form. */
static bool emit_known_section(struct writer *w, const struct image_section *s, uint64_t end)
{
	if (!strcmp(s->name, ".init") || !strcmp(s->name, ".fini"))
		return emit_init_section(w, s, end);
	if (!strncmp(s->name, ".plt", 4) || !strcmp(s->name, ".iplt"))
		return emit_plt(w, s, end);
	return false;
}

/* The rows of what no FDE covers. Padding keeps the rule in front of it. */
static void emit_gap(struct writer *w, uint64_t start, uint64_t end)
{
	const struct image_section *sections;
	size_t n = image_sections(w->table->img, &sections);

	if (end <= start || end <= w->low)
		return;
	if (end - start == CODE_CLONE_BYTES)
		emit_clone(w, start);
	if (end - start <= PADDING_BYTES)
		return;
	emit(w, start, UNWIND_RULE_INVALID);
	for (size_t i = 0; i < n; i++) {
		const struct image_section *s = &sections[i];

		if (!(s->flags & SHF_EXECINSTR) || s->vaddr < start || s->vaddr >= end)
			continue;
		emit_bare_code(w, start, s->vaddr);
		start = s->vaddr;
		if (emit_known_section(w, s, end))
			start += s->size;
	}
	emit_bare_code(w, start, end);
}

/* The CIE's own state; NULL where it is damaged. */
static const struct cfa_state *initial_state(struct unwind_table *table, const struct eh_cie *cie)
{
	struct unit_cie *c = &table->cies[(cie->offset >> 2) % UNIT_CIES];

	if (!c->used || c->cie.offset != cie->offset) {
		c->cie = *cie;
		c->used = true;
		c->sound = cfa_run_cie(cie, &c->initial);
	}
	return c->sound ? &c->initial : NULL;
}

/* The rows of the FDE at an entry; returns the first address after it (`from` if it is unusable).
 */
static uint64_t emit_fde(struct writer *w, uint64_t offset, struct eh_cie *cie, uint64_t from)
{
	struct unwind_table *table = w->table;
	struct eh_fde fde;

	if (!eh_index_read(table->index, offset, cie, &fde) || fde.end <= from || fde.start < from)
		return from;
	emit_gap(w, from, fde.start);
	if (fde.end <= w->low)
		return fde.end;

	struct cfa_source source = { table->index, cie, initial_state(table, cie),
				     table->follow_bx };
	if (source.initial)
		cfa_run(&source, &fde, w->low, w->high, emit, w);
	else
		emit(w, fde.start, UNWIND_RULE_INVALID);
	return fde.end;
}

void unit_compile(struct unwind_table *table, uint64_t unit, uint64_t follow_until_cpu_ns)
{
	uint64_t first = MAX(unit << (UNWIND_UNIT_SHIFT - UNWIND_PAGE_SHIFT), table->first_page);
	uint64_t last = MIN((unit + 1) << (UNWIND_UNIT_SHIFT - UNWIND_PAGE_SHIFT),
			    table->first_page + table->page_count);
	struct writer w;
	struct eh_cie cie = { 0 };
	size_t count = table->index ? eh_index_count(table->index) : 0;

	table->follow_until_cpu_ns = follow_until_cpu_ns;
	table->left_bare = false;
	w.table = table;
	w.low = first << UNWIND_PAGE_SHIFT;
	w.high = last << UNWIND_PAGE_SHIFT;
	w.page = w.low;
	w.dir_word = table->dir + (uint32_t)(first - table->first_page);
	w.last_bits = UNWIND_RULE_INVALID;
	w.last_rule = UNWIND_RULE_INVALID;
	w.rows[0] = UNWIND_RULE_INVALID << 16;
	w.count = 1;

	/* From the entry in front of the unit, which may reach into it, to the one behind it, whose
	 * start says whether what lies between is padding. */
	size_t i = count ? eh_index_below(table->index, w.low) : 0;
	uint64_t from = 0;
	for (i = i ? i - 1 : 0; i < count; i++) {
		struct eh_entry e = eh_index_entry(table->index, i);

		if (e.start >= w.high) {
			emit_gap(&w, from, e.start);
			break;
		}
		from = emit_fde(&w, e.fde, &cie, from);
	}
	if (i == count)
		emit_gap(&w, from, UINT64_MAX);
	while (w.page < w.high)
		finish_page(&w);
	table->units_compiled += table->compiled[unit - table->first_unit] == UNIT_NOT_COMPILED;
	table->compiled[unit - table->first_unit] =
		table->left_bare ? UNIT_WITHOUT_BARE : UNIT_COMPILED;
}
