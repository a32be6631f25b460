#include "symbolizer/elf/eh_index.h"

#include <elf.h>
#include <stdlib.h>

#include "base/vec.h"

/* DW_EH_PE_*: how .eh_frame writes a pointer (Linux Standard Base, "DWARF extensions"). */
enum {
	PE_ABSPTR = 0x00,
	PE_ULEB128 = 0x01,
	PE_UDATA2 = 0x02,
	PE_UDATA4 = 0x03,
	PE_UDATA8 = 0x04,
	PE_SLEB128 = 0x09,
	PE_SDATA2 = 0x0a,
	PE_SDATA4 = 0x0b,
	PE_SDATA8 = 0x0c,
	PE_FORMAT = 0x0f,
	PE_PCREL = 0x10,
	PE_DATAREL = 0x30,
	PE_RELATIVE = 0x70,
	PE_INDIRECT = 0x80,
	PE_OMIT = 0xff,
};

/* What linkers write: start and FDE, both relative to .eh_frame_hdr. */
#define HDR_TABLE_ENCODING (PE_DATAREL | PE_SDATA4)
#define HDR_ENTRY_SIZE	   8

struct eh_index {
	const uint8_t *frame;
	uint64_t frame_vaddr, frame_size;
	bool has_section; /* frame_size is exact */

	const uint8_t *table; /* .eh_frame_hdr's; NULL: use `entries` */
	uint64_t hdr_vaddr;
	struct eh_entry *entries;
	size_t count;
};

/* Reads a pointer at the cursor, whose bytes begin at virtual address `base`. `data` is what
 * DW_EH_PE_datarel is relative to. */
static bool read_pointer(struct cursor *c, uint8_t encoding, const uint8_t *bytes, uint64_t base,
			 uint64_t data, uint64_t *ret)
{
	uint64_t at = base + (uint64_t)(c->at - bytes), v;

	switch (encoding & PE_FORMAT) {
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		v = cursor_u64(c);
		break;
	case PE_ULEB128:
		v = cursor_uleb(c);
		break;
	case PE_SLEB128:
		v = (uint64_t)cursor_sleb(c);
		break;
	case PE_UDATA2:
		v = cursor_u16(c);
		break;
	case PE_SDATA2:
		v = (uint64_t)(int16_t)cursor_u16(c);
		break;
	case PE_UDATA4:
		v = cursor_u32(c);
		break;
	case PE_SDATA4:
		v = (uint64_t)(int32_t)cursor_u32(c);
		break;
	default:
		return false;
	}
	switch (encoding & PE_RELATIVE) {
	case 0:
		break;
	case PE_PCREL:
		v += at;
		break;
	case PE_DATAREL:
		v += data;
		break;
	default:
		return false;
	}
	*ret = v;
	return cursor_ok(c) && !(encoding & PE_INDIRECT);
}

/* --- CIE and FDE --- */

/* Opens the entry at an offset: a cursor over what follows its length, which `ret_id_offset` tells
 * the position of. False at the terminator (length 0), on damage, and at the end. */
static bool open_entry(const struct eh_index *x, uint64_t offset, struct cursor *ret, bool *ret_64,
		       uint64_t *ret_next)
{
	if (offset >= x->frame_size)
		return false;
	struct cursor c = cursor_make(x->frame + offset, x->frame_size - offset);
	uint64_t length = cursor_u32(&c);

	*ret_64 = length == UINT32_MAX;
	if (*ret_64)
		length = cursor_u64(&c);
	*ret = cursor_sub(&c, length);
	*ret_next = (uint64_t)(c.at - x->frame);
	return length != 0 && cursor_ok(ret);
}

/* The augmentation's letters say what its data hold. Without the leading 'z' nothing can be
 * skipped. */
static bool read_augmentation(const struct eh_index *x, struct cursor *c, const char *letters,
			      struct eh_cie *cie)
{
	if (!*letters)
		return true;
	if (*letters != 'z')
		return false;
	cie->has_augmentation_data = true;
	struct cursor data = cursor_sub(c, cursor_uleb(c));
	uint64_t personality;

	for (letters++; *letters; letters++) {
		switch (*letters) {
		case 'R':
			cie->pointer_encoding = cursor_u8(&data);
			break;
		case 'L':
			cursor_skip(&data, 1);
			break;
		case 'S':
			cie->is_signal_frame = true;
			break;
		case 'B': /* aarch64: return addresses are signed with the B key */
			break;
		case 'P': {
			uint8_t encoding = cursor_u8(&data);
			/* Its value is of no interest, and most are indirect. */
			if (encoding != PE_OMIT &&
			    !read_pointer(&data, encoding & ~PE_INDIRECT, x->frame, x->frame_vaddr,
					  0, &personality))
				return false;
			break;
		}
		default: /* what follows is unknown, and the data's size is known: done */
			return cursor_ok(&data);
		}
	}
	return cursor_ok(&data);
}

static bool read_cie(const struct eh_index *x, uint64_t offset, struct eh_cie *ret)
{
	struct eh_cie cie = { .offset = offset };
	struct cursor c;
	bool is_64;
	uint64_t next;

	if (!open_entry(x, offset, &c, &is_64, &next) || (is_64 ? cursor_u64(&c) : cursor_u32(&c)))
		return false;
	uint8_t version = cursor_u8(&c);
	const char *letters = cursor_str(&c);
	if (!letters || (version != 1 && version != 3))
		return false;
	cie.code_align = cursor_uleb(&c);
	cie.data_align = cursor_sleb(&c);
	cie.return_register = version == 1 ? cursor_u8(&c) : cursor_uleb(&c);
	if (!read_augmentation(x, &c, letters, &cie) || !cursor_ok(&c))
		return false;
	cie.instructions = c;
	*ret = cie;
	return true;
}

bool eh_index_read(const struct eh_index *x, uint64_t offset, struct eh_cie *cie,
		   struct eh_fde *ret)
{
	struct cursor c;
	bool is_64;
	uint64_t next, size;

	if (!open_entry(x, offset, &c, &is_64, &next))
		return false;
	uint64_t id_at = (uint64_t)(c.at - x->frame);
	uint64_t back = is_64 ? cursor_u64(&c) : cursor_u32(&c);
	if (back == 0 || back > id_at) /* a CIE, or one before the section */
		return false;
	if ((!cie->instructions.at || cie->offset != id_at - back) &&
	    !read_cie(x, id_at - back, cie))
		return false;
	if (!read_pointer(&c, cie->pointer_encoding, x->frame, x->frame_vaddr, 0, &ret->start) ||
	    !read_pointer(&c, cie->pointer_encoding & PE_FORMAT, x->frame, 0, 0, &size))
		return false;
	if (cie->has_augmentation_data)
		cursor_skip(&c, cursor_uleb(&c));
	if (!cursor_ok(&c) || size > UINT64_MAX - ret->start)
		return false;
	ret->end = ret->start + size;
	ret->instructions = c;
	return true;
}

bool eh_index_pointer(const struct eh_index *x, struct cursor *c, uint8_t encoding, uint64_t *ret)
{
	return read_pointer(c, encoding, x->frame, x->frame_vaddr, 0, ret);
}

/* --- creation --- */

/* Takes .eh_frame_hdr's table if it is sorted and every FDE lies in .eh_frame. */
static bool use_hdr_table(struct eh_index *x, struct cursor c, const uint8_t *hdr)
{
	uint64_t count, frame;
	uint8_t version = cursor_u8(&c), frame_encoding = cursor_u8(&c);
	uint8_t count_encoding = cursor_u8(&c), table_encoding = cursor_u8(&c);

	if (version != 1 || table_encoding != HDR_TABLE_ENCODING || count_encoding == PE_OMIT ||
	    !read_pointer(&c, frame_encoding, hdr, x->hdr_vaddr, x->hdr_vaddr, &frame) ||
	    !read_pointer(&c, count_encoding, hdr, x->hdr_vaddr, x->hdr_vaddr, &count) ||
	    count == 0 || count > cursor_left(&c) / HDR_ENTRY_SIZE)
		return false;
	x->table = c.at;
	x->count = count;
	uint64_t before = 0;
	for (size_t i = 0; i < count; i++) {
		struct eh_entry e = eh_index_entry(x, i);
		if (e.start < before || e.fde >= x->frame_size) {
			x->table = NULL;
			x->count = 0;
			return false;
		}
		before = e.start;
	}
	return true;
}

static int compare_entries(const void *pa, const void *pb)
{
	const struct eh_entry *a = pa, *b = pb;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->fde < b->fde ? -1 : a->fde > b->fde;
}

/* Reads .eh_frame from end to end. A damaged entry is left out as long as its length can be
 * believed; a terminator is skipped, since crtend's may stand in the middle of what was linked. */
static void scan_frame(struct eh_index *x)
{
	VEC(struct eh_entry) entries = { 0 };
	struct eh_cie cie = { 0 };
	struct eh_fde fde;
	struct cursor c;
	uint64_t next;
	bool is_64;

	for (uint64_t at = 0; at < x->frame_size; at = next) {
		c = cursor_make(x->frame + at, x->frame_size - at);
		if (cursor_u32(&c) == 0 && cursor_ok(&c) && x->has_section) {
			next = at + 4;
			continue;
		}
		if (!open_entry(x, at, &c, &is_64, &next))
			break;
		if (eh_index_read(x, at, &cie, &fde) && fde.end > fde.start)
			vec_push(&entries, (struct eh_entry){ fde.start, at });
	}
	if (entries.count)
		qsort(entries.items, entries.count, sizeof(*entries.items), compare_entries);
	x->entries = entries.items;
	x->count = entries.count;
}

/* .eh_frame by its section header, else by .eh_frame_hdr's pointer to it. */
static bool find_frame(const struct image *img, struct eh_index *x, const uint8_t *hdr,
		       uint64_t hdr_size)
{
	const struct image_section *s = image_find_section(img, ".eh_frame");

	if (s && s->data && s->size && s->vaddr) {
		x->frame = s->data;
		x->frame_vaddr = s->vaddr;
		x->frame_size = s->size;
		x->has_section = true;
		return true;
	}
	struct cursor c = cursor_make(hdr, hdr ? hdr_size : 0);
	uint8_t version = cursor_u8(&c), encoding = cursor_u8(&c);
	cursor_skip(&c, 2);
	if (version != 1 ||
	    !read_pointer(&c, encoding, hdr, x->hdr_vaddr, x->hdr_vaddr, &x->frame_vaddr))
		return false;
	x->frame = image_at_vaddr(img, x->frame_vaddr, &x->frame_size);
	return x->frame != NULL;
}

struct error *eh_index_create(const struct image *img, struct eh_index **ret)
{
	struct eh_index *x = mem_calloc(1, sizeof(*x));
	uint64_t hdr_size = 0, left = 0;
	const uint8_t *hdr = NULL;

	if (image_eh_frame_hdr(img, &x->hdr_vaddr, &hdr_size)) {
		hdr = image_at_vaddr(img, x->hdr_vaddr, &left);
		hdr_size = MIN(hdr_size, left);
	}
	*ret = NULL;
	if (!find_frame(img, x, hdr, hdr_size)) {
		eh_index_destroy(x);
		return NULL;
	}
	if (!hdr || !use_hdr_table(x, cursor_make(hdr, hdr_size), hdr))
		scan_frame(x);
	if (x->count == 0)
		eh_index_destroy(x);
	else
		*ret = x;
	return NULL;
}

void eh_index_destroy(struct eh_index *x)
{
	if (!x)
		return;
	free(x->entries);
	free(x);
}

/* --- questions --- */

const uint8_t *eh_index_frame(const struct eh_index *x, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	*ret_vaddr = x->frame_vaddr;
	*ret_size = x->frame_size;
	return x->frame;
}

size_t eh_index_count(const struct eh_index *x)
{
	return x->count;
}

struct eh_entry eh_index_entry(const struct eh_index *x, size_t i)
{
	int32_t pair[2];

	if (!x->table)
		return x->entries[i];
	memcpy(pair, x->table + i * HDR_ENTRY_SIZE, sizeof(pair));
	return (struct eh_entry){ x->hdr_vaddr + (uint64_t)(int64_t)pair[0],
				  x->hdr_vaddr + (uint64_t)(int64_t)pair[1] - x->frame_vaddr };
}

size_t eh_index_below(const struct eh_index *x, uint64_t vaddr)
{
	size_t low = 0, high = x->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (eh_index_entry(x, middle).start <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool eh_index_function(const struct eh_index *x, uint64_t vaddr, uint64_t *ret_start,
		       uint64_t *ret_end)
{
	size_t n = eh_index_below(x, vaddr);
	struct eh_cie cie = { 0 };
	struct eh_fde fde;

	if (n == 0 || !eh_index_read(x, eh_index_entry(x, n - 1).fde, &cie, &fde) ||
	    vaddr < fde.start || vaddr >= fde.end)
		return false;
	*ret_start = fde.start;
	*ret_end = fde.end;
	return true;
}

struct eh_range eh_index_fdes(const struct eh_index *x, uint64_t from, uint64_t to)
{
	struct eh_range range = { .index = x };
	struct eh_cie cie = { 0 };
	struct eh_fde fde;

	if (from >= to)
		return range;
	range.next = from ? eh_index_below(x, from - 1) : 0;
	range.end = eh_index_below(x, to - 1);
	if (range.next > 0 && eh_index_read(x, eh_index_entry(x, range.next - 1).fde, &cie, &fde) &&
	    fde.start < from && fde.end > from)
		range.next--;
	return range;
}

bool eh_range_next(struct eh_range *range, struct eh_entry *ret)
{
	if (range->next >= range->end)
		return false;
	*ret = eh_index_entry(range->index, range->next++);
	return true;
}
