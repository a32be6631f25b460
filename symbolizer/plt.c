#include "symbolizer/plt.h"

#include <elf.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/vec.h"

#define STUB_SIZE 16

struct slot { /* a GOT slot that a relocation fills with a function's address */
	uint64_t address;
	uint64_t addend;
	uint32_t symbol; /* number in .dynsym; 0: `addend` is a resolver's address */
};

struct plt {
	const struct image *img;
	bool slots_read;
	VEC(struct slot) slots; /* by address */
};

struct plt *plt_create(const struct image *img)
{
	struct plt *p = mem_calloc(1, sizeof(*p));

	p->img = img;
	return p;
}

void plt_destroy(struct plt *p)
{
	if (!p)
		return;
	vec_deinit(&p->slots);
	free(p);
}

static int compare_slots(const void *pa, const void *pb)
{
	const struct slot *a = pa, *b = pb;

	return a->address < b->address ? -1 : a->address > b->address;
}

static void read_relocations(struct plt *p, const char *section)
{
	const struct image_section *s = image_find_section(p->img, section);

	for (uint64_t at = 0; s && s->data && s->size - at >= sizeof(Elf64_Rela);
	     at += sizeof(Elf64_Rela)) {
		Elf64_Rela r;
		memcpy(&r, s->data + at, sizeof(r));
		uint32_t type = ELF64_R_TYPE(r.r_info);
		if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT &&
		    type != R_X86_64_IRELATIVE)
			continue;
		vec_push(&p->slots, (struct slot){ r.r_offset, (uint64_t)r.r_addend,
						   (uint32_t)ELF64_R_SYM(r.r_info) });
	}
}

static const struct slot *find_slot(struct plt *p, uint64_t address)
{
	struct slot key = { .address = address };

	if (!p->slots_read) {
		p->slots_read = true;
		read_relocations(p, ".rela.plt");
		read_relocations(p, ".rela.dyn");
		if (p->slots.count)
			qsort(p->slots.items, p->slots.count, sizeof(key), compare_slots);
	}
	if (p->slots.count == 0)
		return NULL;
	return bsearch(&key, p->slots.items, p->slots.count, sizeof(key), compare_slots);
}

/* The slot that the stub at `code` jumps through: [endbr64] [bnd] jmp *disp32(%rip). The lazy half
 * of an IBT stub pushes the number of its relocation in .rela.plt instead. */
static const struct slot *decode_stub(struct plt *p, const uint8_t *code, uint64_t vaddr)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	size_t at = memcmp(code, endbr64, sizeof(endbr64)) == 0 ? sizeof(endbr64) : 0;
	int32_t disp;
	Elf64_Rela r;

	if (code[at] == 0x68) {
		uint32_t number;
		const struct image_section *s = image_find_section(p->img, ".rela.plt");
		memcpy(&number, code + at + 1, sizeof(number));
		if (!s || !s->data || number >= s->size / sizeof(r))
			return NULL;
		memcpy(&r, s->data + number * sizeof(r), sizeof(r));
		return find_slot(p, r.r_offset);
	}
	if (code[at] == 0xf2)
		at++;
	if (code[at] != 0xff || code[at + 1] != 0x25)
		return NULL;
	memcpy(&disp, code + at + 2, sizeof(disp));
	return find_slot(p, vaddr + at + 6 + (uint64_t)(int64_t)disp);
}

static bool name_of_slot(const struct plt *p, const struct slot *slot, struct plt_stub *ret)
{
	const struct image_section *sections, *symbols = NULL;
	size_t n = image_sections(p->img, &sections);
	Elf64_Sym s;

	ret->name = NULL;
	ret->target = slot->addend;
	if (slot->symbol == 0)
		return slot->addend != 0;
	for (size_t i = 0; i < n && !symbols; i++)
		if (sections[i].type == SHT_DYNSYM)
			symbols = &sections[i];
	if (!symbols || !symbols->data || symbols->link >= n ||
	    slot->symbol >= symbols->size / sizeof(s))
		return false;
	const struct image_section *strings = &sections[symbols->link];
	memcpy(&s, symbols->data + slot->symbol * sizeof(s), sizeof(s));
	if (!strings->data || s.st_name >= strings->size)
		return false;
	ret->name = (const char *)strings->data + s.st_name;
	ret->name_len = strnlen(ret->name, MIN(strings->size - s.st_name, (uint64_t)65535));
	return ret->name_len > 0;
}

/* Stubs have 8 or 16 bytes; static programs do not say which. Those of 8 are a jump and two bytes
 * of padding. */
static uint64_t stub_size(const struct image_section *s)
{
	if (s->entsize == 8 || s->entsize == STUB_SIZE)
		return s->entsize;
	return s->size >= 8 && s->data[6] == 0x66 && s->data[7] == 0x90 ? 8 : STUB_SIZE;
}

bool plt_find(struct plt *p, uint64_t vaddr, struct plt_stub *ret)
{
	static const char *const names[] = { ".plt.sec", ".plt", ".plt.got", ".iplt" };

	if (image_machine(p->img) != EM_X86_64)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct image_section *s = image_find_section(p->img, names[i]);
		if (!s || !s->data || vaddr - s->vaddr >= s->size)
			continue;
		uint64_t size = stub_size(s), at = (vaddr - s->vaddr) / size * size;
		uint8_t code[STUB_SIZE] = { 0 };
		memcpy(code, s->data + at, MIN(size, s->size - at));
		const struct slot *slot = decode_stub(p, code, s->vaddr + at);
		ret->start = s->vaddr + at;
		return slot && name_of_slot(p, slot, ret);
	}
	return false;
}
