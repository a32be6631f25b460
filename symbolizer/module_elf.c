/*
 * Modules that are ELF files, and the vDSO, which is one in memory. The symbol table is read when
 * the first address is asked for; unwind tables and PLT when an address has no symbol.
 */
#include <elf.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "symbolizer/debug_file.h"
#include "symbolizer/elf/eh_index.h"
#include "symbolizer/module.h"
#include "symbolizer/plt.h"
#include "symbolizer/symtab_elf.h"

/* Code is aligned to this; what lies between a function's end and the next multiple of it is
 * padding, which belongs to the function before. */
#define CODE_ALIGN 16ULL

struct elf_module {
	struct symbol_module base;
	const struct image *img;
	struct image *own_img; /* the same where the module opened it; NULL: borrowed */
	struct image *debug;   /* separate debug file, or NULL */
	struct image *mini;    /* MiniDebugInfo, or NULL */
	void *mini_bytes;
	struct symtab symtab;
	bool symtab_read;
	struct plt *plt;
	struct eh_index *eh_index;
	bool eh_index_read;
};

static uint64_t first_load(const struct image *img)
{
	const struct image_segment *segments;

	return image_segments(img, &segments) ? segments[0].vaddr : 0;
}

/* How far the addresses of a file lie from those of the one that ran. */
static uint64_t shift_of(const struct elf_module *m, const struct image *other)
{
	const struct image_segment *segments;

	/* MiniDebugInfo often comes without program headers. */
	return image_segments(other, &segments) ? first_load(m->img) - first_load(other) : 0;
}

static void read_symtab(struct elf_module *m)
{
	if (m->symtab_read)
		return;
	m->symtab_read = true;
	symtab_add_image(&m->symtab, m->img, 0);
	if (m->debug)
		symtab_add_image(&m->symtab, m->debug, shift_of(m, m->debug));
	if (m->mini)
		symtab_add_image(&m->symtab, m->mini, shift_of(m, m->mini));
	symtab_finish(&m->symtab);
}

static bool unwind_entry_start(struct elf_module *m, uint64_t vaddr, uint64_t *ret_start)
{
	uint64_t end;

	if (!m->eh_index_read) {
		m->eh_index_read = true;
		/* Without an index there are no starts of functions, which is no error here. */
		error_free(eh_index_create(m->img, &m->eh_index));
	}
	return m->eh_index && eh_index_function(m->eh_index, vaddr, ret_start, &end);
}

static void set_symbol(struct elf_module *m, const struct symbol *s, struct symbol_chain *chains,
		       size_t i, struct symbol_result *result)
{
	size_t len;
	const char *name = symtab_name(&m->symtab, s, &len);

	chain_set(chains, i, result, s->start, name, len, s->is_folded);
}

static bool set_plt_stub(struct elf_module *m, uint64_t vaddr, struct symbol_chain *chains,
			 size_t i, struct symbol_result *result)
{
	CLEANUP(buf_deinit) struct buf name = { 0 };
	struct plt_stub stub;
	size_t near = 0;

	if (!m->plt)
		m->plt = plt_create(m->img);
	if (!plt_find(m->plt, vaddr, &stub))
		return false;
	if (!stub.name) {
		const struct symbol *s = symtab_find(&m->symtab, stub.target, &near);
		if (!s)
			return false;
		stub.name = symtab_name(&m->symtab, s, &stub.name_len);
	}
	buf_add(&name, stub.name, stub.name_len);
	buf_add_str(&name, "@plt");
	chain_set(chains, i, result, stub.start, name.data, name.len, false);
	return true;
}

/* The byte in front of a function, where nothing ends with a call: asked for is a return address
 * that nobody pushed by calling (makecontext() sets up the one of a coroutine's end). */
static bool set_function_behind(struct elf_module *m, uint64_t vaddr, struct symbol_chain *chains,
				size_t i, struct symbol_result *result)
{
	uint64_t start;
	size_t near = 0;
	const struct symbol *s = symtab_find(&m->symtab, vaddr + 1, &near);

	if (s && s->start == vaddr + 1) {
		set_symbol(m, s, chains, i, result);
		return true;
	}
	if (!unwind_entry_start(m, vaddr + 1, &start) || start != vaddr + 1)
		return false;
	chains[i].start = start;
	return true;
}

/* No symbol covers the address: a PLT stub, the symbol without a size at the start of its unwind
 * entry, or padding behind a function. */
static void name_by_other_means(struct elf_module *m, uint64_t vaddr, size_t *near,
				struct symbol_chain *chains, size_t i, struct symbol_result *result)
{
	uint64_t start;
	size_t at_start = 0;

	if (set_plt_stub(m, vaddr, chains, i, result))
		return;
	if (unwind_entry_start(m, vaddr, &start)) {
		const struct symbol *s = symtab_below(&m->symtab, start, &at_start);
		if (s && s->start == start)
			set_symbol(m, s, chains, i, result);
		else
			chains[i].start = start;
		return;
	}
	if (set_function_behind(m, vaddr, chains, i, result))
		return;
	const struct symbol *s = symtab_below(&m->symtab, vaddr, near);
	if (s && s->is_sized && (s->end & (CODE_ALIGN - 1)) &&
	    vaddr - s->end < CODE_ALIGN - (s->end & (CODE_ALIGN - 1)))
		set_symbol(m, s, chains, i, result);
}

static void elf_batch(struct symbol_module *base, const uint64_t *addresses, size_t n,
		      struct symbol_chain *chains, struct symbol_result *result)
{
	struct elf_module *m = (struct elf_module *)base;
	size_t near = 0;

	read_symtab(m);
	for (size_t i = 0; i < n; i++) {
		const struct symbol *s = symtab_find(&m->symtab, addresses[i], &near);
		if (s)
			set_symbol(m, s, chains, i, result);
		else
			name_by_other_means(m, addresses[i], &near, chains, i, result);
	}
}

static void elf_close(struct symbol_module *base)
{
	struct elf_module *m = (struct elf_module *)base;

	symtab_deinit(&m->symtab);
	plt_destroy(m->plt);
	eh_index_destroy(m->eh_index);
	image_close(m->mini);
	free(m->mini_bytes);
	image_close(m->debug);
	image_close(m->own_img);
	free(m);
}

static struct elf_module *elf_module_create(const struct image *img, struct image *take_img)
{
	struct elf_module *m = mem_calloc(1, sizeof(*m));

	m->base = (struct symbol_module){ .batch = elf_batch, .close = elf_close };
	m->img = img;
	m->own_img = take_img;
	return m;
}

/* A stripped file may have its symbols elsewhere. */
static void find_more_symbols(struct elf_module *m, const char *path, const char *const *roots)
{
	if (image_has_symtab(m->img))
		return;
	m->debug = debug_find_separate(m->img, path, roots);
	if (!m->debug)
		m->mini = debug_unpack_mini(m->img, &m->mini_bytes);
}

struct error *symbol_module_open(const char *path, const char *const *roots,
				 const struct build_id *expected, struct symbol_module **ret)
{
	struct image *img = NULL;
	struct error *err = debug_find_mapped(path, roots, expected, &img);

	if (err) {
		/* The file is gone or replaced; its debug file has all of its names. */
		img = debug_find_by_build_id(expected, roots);
		if (!img)
			return err;
		error_free(err);
	}
	struct elf_module *m = elf_module_create(img, img);
	find_more_symbols(m, path, roots);
	*ret = &m->base;
	return NULL;
}

struct symbol_module *symbol_module_of_image(const struct image *img, const char *path,
					     const char *const *roots)
{
	struct elf_module *m = elf_module_create(img, NULL);

	find_more_symbols(m, path, roots);
	return &m->base;
}

struct error *symbol_module_vdso(struct symbol_module **ret)
{
	const Elf64_Ehdr *header = (const void *)(uintptr_t)getauxval(AT_SYSINFO_EHDR);
	struct image *img;

	if (!header)
		return error_new(ERR_NOT_FOUND, "this process has no vDSO");
	/* The kernel's own image: its section headers are the last thing in it. */
	size_t size = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	TRY(image_open_memory(header, size, "[vdso]", &img));
	*ret = &elf_module_create(img, img)->base;
	return NULL;
}
