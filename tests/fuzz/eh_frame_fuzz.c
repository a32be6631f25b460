/*
 * Hostile .eh_frame_hdr and .eh_frame. The input is put into a minimal ELF file at HDR_AT, where
 * PT_GNU_EH_FRAME points; text is claimed at TEXT, three units of it. Whatever the entries say,
 * every page must end up with sorted rows of rules that exist.
 */
#include <assert.h>
#include <elf.h>
#include <stdlib.h>

#include "profiler/unwind/pool.h"
#include "profiler/unwind/unit.h"

#define HDR_AT	  0x1000
#define TEXT	  0x100000
#define TEXT_SIZE (3u << UNWIND_UNIT_SHIFT)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *make_elf(const uint8_t *data, size_t size)
{
	uint8_t *file = mem_calloc(1, HDR_AT + size);
	Elf64_Ehdr *e = (Elf64_Ehdr *)file;
	Elf64_Phdr *p = (Elf64_Phdr *)(file + sizeof(*e));

	memcpy(e->e_ident, ELFMAG, SELFMAG);
	e->e_ident[EI_CLASS] = ELFCLASS64;
	e->e_ident[EI_DATA] = ELFDATA2LSB;
	e->e_ident[EI_VERSION] = EV_CURRENT;
	e->e_type = ET_DYN;
	e->e_machine = EM_X86_64;
	e->e_version = EV_CURRENT;
	e->e_entry = TEXT;
	e->e_phoff = sizeof(*e);
	e->e_ehsize = sizeof(*e);
	e->e_phentsize = sizeof(*p);
	e->e_phnum = 3;
	p[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = PF_R,
			     .p_filesz = HDR_AT + size,
			     .p_memsz = HDR_AT + size };
	p[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = PF_R | PF_X,
			     .p_vaddr = TEXT,
			     .p_filesz = TEXT_SIZE,
			     .p_memsz = TEXT_SIZE };
	p[2] = (Elf64_Phdr){ .p_type = PT_GNU_EH_FRAME,
			     .p_offset = HDR_AT,
			     .p_vaddr = HDR_AT,
			     .p_filesz = size,
			     .p_memsz = size };
	memcpy(file + HDR_AT, data, size);
	return file;
}

static void check_page(const struct unwind_tables *t, uint32_t word)
{
	uint32_t count, before = 0;

	assert(word != 0);
	if (word & UNWIND_PAGE_ONE_RULE) {
		assert((word & ~UNWIND_PAGE_ONE_RULE) < t->rule_count);
		return;
	}
	count = pool_word(t, word);
	assert(count >= 2 && count <= 4096 && word + count < t->used);
	for (uint32_t i = 1; i <= count; i++) {
		uint32_t row = pool_word(t, word + i);
		assert(i == 1 ? (row & 0xffff) == 0 : (row & 0xffff) > before);
		assert(row >> 16 < t->rule_count);
		before = row & 0xffff;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *file = make_elf(data, size);
	struct image *img = NULL;
	struct error *err = image_open_memory(file, HDR_AT + size, "fuzz", &img);

	if (!err) {
		struct unwind_tables *t = unwind_tables_create(NULL);
		struct unwind_table *table;

		err = unwind_table_create(t, img, &table);
		unwind_table_compile_all(table);
		for (uint64_t i = 0; table->index && i < table->page_count; i++)
			check_page(t, pool_word(t, table->dir + (uint32_t)i));
		unwind_tables_destroy(t);
	}
	error_free(err);
	image_close(img);
	free(file);
	return 0;
}
