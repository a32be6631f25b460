/* ELF files of anybody: image, index of .eh_frame, symbol tables, PLT, MiniDebugInfo. */
#include <stdint.h>
#include <stdlib.h>

#include "symbolizer/debug_file.h"
#include "symbolizer/elf/eh_index.h"
#include "symbolizer/plt.h"
#include "symbolizer/symtab_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_index(const struct image *img, const uint64_t *addresses, size_t n)
{
	struct eh_index *index;
	uint64_t start, end;
	struct eh_entry e;

	error_free(eh_index_create(img, &index));
	if (!index)
		return;
	struct eh_range range = eh_index_fdes(index, 0, UINT64_MAX);
	struct eh_cie cie = { 0 };
	for (int i = 0; i < 4096 && eh_range_next(&range, &e); i++) {
		struct eh_fde fde;
		if (eh_index_read(index, e.fde, &cie, &fde) && fde.end < fde.start)
			abort();
	}
	for (size_t i = 0; i < n; i++)
		if (eh_index_function(index, addresses[i], &start, &end) &&
		    (addresses[i] < start || addresses[i] >= end))
			abort();
	eh_index_destroy(index);
}

static void read_names(const struct image *img, const uint64_t *addresses, size_t n)
{
	struct symtab t = { 0 };
	struct plt *plt = plt_create(img);
	struct plt_stub stub;
	size_t near = 0, len;

	symtab_add_image(&t, img, 0);
	symtab_finish(&t);
	for (size_t i = 1; i < t.symbols.count; i++)
		if (t.symbols.items[i - 1].start >= t.symbols.items[i].start)
			abort();
	for (size_t i = 0; i < n; i++) {
		const struct symbol *s = symtab_find(&t, addresses[i], &near);
		if (s && (addresses[i] < s->start || addresses[i] >= s->end))
			abort();
		if (s)
			symtab_name(&t, s, &len);
		plt_find(plt, addresses[i], &stub);
	}
	plt_destroy(plt);
	symtab_deinit(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t addresses[96] = { 0 }, vaddr, left;
	const struct image_segment *segments;
	struct image *img, *mini;
	void *mini_bytes;
	size_t n = 0;

	struct error *err = image_open_memory(data, size, "fuzz", &img);
	if (err) {
		error_free(err);
		return 0;
	}
	size_t n_segments = image_segments(img, &segments);
	for (size_t i = 0; i < n_segments && n + 6 < ARRAY_SIZE(addresses); i++) {
		addresses[n++] = segments[i].vaddr;
		addresses[n++] = segments[i].vaddr + 0x20;
		addresses[n++] = segments[i].vaddr + segments[i].memsz / 2;
		addresses[n++] = segments[i].vaddr + segments[i].memsz - 1;
		image_vaddr_of_offset(img, segments[i].offset + 1, &vaddr);
		const uint8_t *p = image_at_vaddr(img, segments[i].vaddr, &left);
		if (p && (p < data || left > size || p + left > data + size))
			abort();
	}
	addresses[n++] = image_entry(img);
	read_index(img, addresses, n);
	read_names(img, addresses, n);
	mini = debug_unpack_mini(img, &mini_bytes);
	if (mini)
		read_names(mini, addresses, n);
	image_close(mini);
	free(mini_bytes);
	image_close(img);
	return 0;
}
