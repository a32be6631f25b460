#include "symbolizer/symtab_elf.h"

#include <elf.h>

#include "base/cursor.h"

/* What one table of a hostile file may make us keep; Chromium has 1.5 million functions. */
#define SYMBOLS_MAX ((size_t)8 << 20)

/* Where symbols may lie: code. */
struct code_area {
	uint64_t start, end;
};

struct reader {
	struct symtab *out;
	const struct image *img;
	uint64_t shift;
	bool is_dynamic; /* .dynsym: a size of 0 says nothing about where the code ends */
	VEC(struct code_area) areas; /* by section number; empty ones are not code */
	struct code_area all;	     /* of a file without sections, whose numbers mean nothing */
};

/* --- names that are no functions --- */

/* Mapping symbols of ARM and RISC-V ($x, $d, $x.123 tell code from data), local labels, and
 * annobin's marks. */
static bool is_function_name(const char *name, size_t len)
{
	bool is_mapping_symbol = len >= 2 && name[0] == '$' && strchr("adtx", name[1]) &&
				 (len == 2 || name[2] == '.');

	return len > 0 && name[0] != '.' && !is_mapping_symbol;
}

/* --- one table --- */

static void add_symbol(struct reader *r, const Elf64_Sym *s, uint8_t strings)
{
	unsigned char type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info);
	const struct symtab_strings *names = &r->out->strings.items[strings];

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return;
	if (s->st_shndx == SHN_UNDEF || s->st_name == 0 || s->st_name >= names->size ||
	    (r->areas.count && s->st_shndx >= r->areas.count))
		return;
	const struct code_area *area = r->areas.count ? &r->areas.items[s->st_shndx] : &r->all;
	if (s->st_value < area->start || s->st_value >= area->end)
		return;
	/* The assembler and the linker give what is no function no type; so the names of those that
	 * have one, megabytes of them, need not be read. Three bytes tell. */
	const char *name = names->bytes + s->st_name;
	if (type == STT_NOTYPE &&
	    !is_function_name(name, strnlen(name, MIN(names->size - s->st_name, (size_t)3))))
		return;
	enum symbol_binding binding = bind == STB_LOCAL	 ? SYMBOL_LOCAL
				      : bind == STB_WEAK ? SYMBOL_WEAK
							 : SYMBOL_GLOBAL;
	uint64_t limit = r->is_dynamic ? s->st_value : area->end;
	symtab_add(r->out, s->st_value + r->shift, MIN(s->st_size, area->end - s->st_value),
		   limit + r->shift, binding, strings, s->st_name);
}

static void add_table(struct reader *r, const uint8_t *symbols, size_t count, const char *bytes,
		      size_t size)
{
	if (!symbols || !bytes || r->out->strings.count > UINT8_MAX)
		return;
	uint8_t strings = symtab_add_strings(r->out, bytes, size);
	for (size_t i = 1; i < MIN(count, SYMBOLS_MAX); i++) {
		Elf64_Sym s;
		memcpy(&s, symbols + i * sizeof(s), sizeof(s));
		add_symbol(r, &s, strings);
	}
}

static void add_section_table(struct reader *r, uint32_t type)
{
	const struct image_section *sections;
	size_t n = image_sections(r->img, &sections);

	for (size_t i = 0; i < n; i++) {
		const struct image_section *s = &sections[i];
		if (s->type != type || !s->data || s->link >= n)
			continue;
		const struct image_section *names = &sections[s->link];
		r->is_dynamic = type == SHT_DYNSYM;
		add_table(r, s->data, s->size / sizeof(Elf64_Sym), (const char *)names->data,
			  names->size);
		return;
	}
}

/* --- without section headers --- */

/* Symbols that a DT_GNU_HASH table reaches: one past the highest number. Each bucket has the number
 * of its first symbol; the last of a chain has the lowest bit set. */
static size_t gnu_hash_symbols(const uint8_t *bytes, uint64_t size)
{
	struct cursor c = cursor_make(bytes, size);
	uint32_t buckets = cursor_u32(&c), first = cursor_u32(&c), bloom = cursor_u32(&c);
	uint32_t highest = 0;

	cursor_skip(&c, 4 + 8ULL * bloom);
	struct cursor b = cursor_sub(&c, 4ULL * buckets);
	while (cursor_left(&b))
		highest = MAX(highest, cursor_u32(&b));
	if (!cursor_ok(&c) || highest < first)
		return 0;
	cursor_skip(&c, 4ULL * (highest - first));
	while (cursor_ok(&c) && !(cursor_u32(&c) & 1))
		highest++;
	return (size_t)highest + 1;
}

static void add_dynamic_table(struct reader *r)
{
	uint64_t vaddr, size, left, symbols_at = 0, strings_at = 0, strings_size = 0;
	uint64_t hash_at = 0, gnu_hash_at = 0;
	size_t count = 0;

	if (!image_dynamic(r->img, &vaddr, &size))
		return;
	const uint8_t *p = image_at_vaddr(r->img, vaddr, &left);
	struct cursor c = cursor_make(p, p ? MIN(size, left) : 0);
	while (cursor_left(&c) >= 16) {
		uint64_t tag = cursor_u64(&c), value = cursor_u64(&c);
		if (tag == DT_NULL)
			break;
		if (tag == DT_SYMTAB)
			symbols_at = value;
		else if (tag == DT_STRTAB)
			strings_at = value;
		else if (tag == DT_STRSZ)
			strings_size = value;
		else if (tag == DT_HASH)
			hash_at = value;
		else if (tag == DT_GNU_HASH)
			gnu_hash_at = value;
	}
	if (hash_at && (p = image_at_vaddr(r->img, hash_at, &left)) && left >= 8) {
		c = cursor_make(p + 4, 4);
		count = cursor_u32(&c);
	} else if (gnu_hash_at && (p = image_at_vaddr(r->img, gnu_hash_at, &left))) {
		count = gnu_hash_symbols(p, left);
	}
	const uint8_t *symbols = image_at_vaddr(r->img, symbols_at, &left);
	count = MIN(count, symbols ? left / sizeof(Elf64_Sym) : 0);
	const uint8_t *strings = image_at_vaddr(r->img, strings_at, &left);
	r->is_dynamic = true;
	add_table(r, symbols, count, (const char *)strings, strings ? MIN(strings_size, left) : 0);
}

/* --- a whole file --- */

static void find_areas(struct reader *r)
{
	const struct image_section *sections;
	const struct image_segment *segments;
	size_t n = image_sections(r->img, &sections), m = image_segments(r->img, &segments);

	for (size_t i = 0; n > 1 && i < n; i++) {
		const struct image_section *s = &sections[i];
		bool is_code = (s->flags & SHF_EXECINSTR) && s->size <= UINT64_MAX - s->vaddr;
		vec_push(&r->areas, is_code ? (struct code_area){ s->vaddr, s->vaddr + s->size }
					    : (struct code_area){ 0, 0 });
	}
	r->all = (struct code_area){ UINT64_MAX, 0 };
	for (size_t i = 0; i < m; i++) {
		const struct image_segment *s = &segments[i];
		if (!(s->flags & PF_X) || s->memsz > UINT64_MAX - s->vaddr)
			continue;
		r->all.start = MIN(r->all.start, s->vaddr);
		r->all.end = MAX(r->all.end, s->vaddr + s->memsz);
	}
}

/* GNU ld never folds; lld, mold and gold leave their names. */
static bool linker_may_fold(const struct image *img)
{
	static const char *const words[] = { "Linker: LLD", "mold ", "GNU gold" };
	const struct image_section *s = image_find_section(img, ".comment");

	if (image_find_section(img, ".note.gnu.gold-version"))
		return true;
	for (size_t i = 0; s && s->data && i < ARRAY_SIZE(words); i++)
		if (memmem(s->data, MIN(s->size, (uint64_t)65536), words[i], strlen(words[i])))
			return true;
	return false;
}

void symtab_add_image(struct symtab *t, const struct image *img, uint64_t shift)
{
	struct reader r = { .out = t, .img = img, .shift = shift };
	const struct image_section *sections;

	t->linker_folds |= linker_may_fold(img);
	find_areas(&r);
	if (image_sections(img, &sections) > 1) {
		add_section_table(&r, SHT_SYMTAB);
		add_section_table(&r, SHT_DYNSYM);
	} else {
		add_dynamic_table(&r);
	}
	vec_deinit(&r.areas);
}

bool image_has_symtab(const struct image *img)
{
	const struct image_section *sections;
	size_t n = image_sections(img, &sections);

	for (size_t i = 0; i < n; i++)
		if (sections[i].type == SHT_SYMTAB && sections[i].data &&
		    sections[i].size > sizeof(Elf64_Sym))
			return true;
	return false;
}
