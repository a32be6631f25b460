#include "symbolizer/elf/image.h"

#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cursor.h"
#include "base/vec.h"
#include "symbolizer/elf/guarded_map.h"

/* What a hostile file may make us keep. Linked files have tens of sections. */
#define SECTIONS_MAX	 65536
#define SECTION_NAME_MAX 255

/* Mappings start and end at pages of this size; a file offset just outside of a segment belongs to
 * it as far as its pages reach. */
#define MAP_PAGE 4096ULL

struct image {
	char *name;
	const uint8_t *bytes;
	size_t size;
	struct guarded_map map; /* empty for an image in memory */
	uint16_t machine;
	uint64_t entry;
	VEC(struct image_segment) segments;
	VEC(struct image_section) sections;
	struct build_id build_id;
	bool has_build_id;
	bool has_eh_frame_hdr, has_dynamic;
	uint64_t eh_frame_hdr_vaddr, eh_frame_hdr_size;
	uint64_t dynamic_vaddr, dynamic_size;
};

/* size bytes at a file offset; NULL where the file does not have all of them. */
static const uint8_t *file_range(const struct image *img, uint64_t offset, uint64_t size)
{
	return offset <= img->size && size <= img->size - offset ? img->bytes + offset : NULL;
}

/* Finds NT_GNU_BUILD_ID among notes. Some have ids of other sizes than 20; a longer one is cut. */
static bool find_build_id(const uint8_t *notes, uint64_t size, struct build_id *ret)
{
	struct cursor c = cursor_make(notes, size);

	while (cursor_left(&c) >= 12) {
		uint32_t name_size = cursor_u32(&c), desc_size = cursor_u32(&c);
		uint32_t type = cursor_u32(&c);
		const uint8_t *name = cursor_bytes(&c, (name_size + 3ULL) & ~3ULL);
		const uint8_t *desc = cursor_bytes(&c, desc_size);
		if (!cursor_ok(&c))
			return false;
		if (type == NT_GNU_BUILD_ID && name_size == 4 && memcmp(name, "GNU", 4) == 0 &&
		    desc_size > 0) {
			*ret = (struct build_id){ .size = (uint8_t)MIN(desc_size, BUILD_ID_MAX) };
			memcpy(ret->bytes, desc, ret->size);
			return true;
		}
		cursor_skip(&c, MIN(-desc_size & 3u, cursor_left(&c)));
	}
	return false;
}

static void add_segment(struct image *img, const GElf_Phdr *p)
{
	vec_push(&img->segments, (struct image_segment){ .vaddr = p->p_vaddr,
							 .offset = p->p_offset,
							 .filesz = p->p_filesz,
							 .memsz = p->p_memsz,
							 .flags = p->p_flags });
}

static void read_segments(struct image *img, Elf *elf)
{
	size_t n = 0;

	if (elf_getphdrnum(elf, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr p;
		if (!gelf_getphdr(elf, (int)i, &p))
			break;
		if (p.p_type == PT_LOAD) {
			add_segment(img, &p);
		} else if (p.p_type == PT_GNU_EH_FRAME && !img->has_eh_frame_hdr) {
			img->has_eh_frame_hdr = true;
			img->eh_frame_hdr_vaddr = p.p_vaddr;
			img->eh_frame_hdr_size = p.p_memsz;
		} else if (p.p_type == PT_DYNAMIC && !img->has_dynamic) {
			img->has_dynamic = true;
			img->dynamic_vaddr = p.p_vaddr;
			img->dynamic_size = p.p_filesz;
		} else if (p.p_type == PT_NOTE && !img->has_build_id) {
			const uint8_t *notes = file_range(img, p.p_offset, p.p_filesz);
			img->has_build_id =
				notes && find_build_id(notes, p.p_filesz, &img->build_id);
		}
	}
}

static char *section_name(Elf *elf, size_t strings, const GElf_Shdr *s)
{
	const char *name = elf_strptr(elf, strings, s->sh_name);

	return name ? mem_strndup(name, SECTION_NAME_MAX) : mem_strdup("");
}

/* Sections are welcome and not needed: a file without them, or with damaged ones, still has
 * segments. Notes of sections come first: a separate debug file's program headers point at junk. */
static void read_sections(struct image *img, Elf *elf)
{
	size_t n = 0, strings = 0;

	if (elf_getshdrnum(elf, &n) != 0)
		return;
	if (elf_getshdrstrndx(elf, &strings) != 0)
		strings = 0;
	for (size_t i = 0; i < MIN(n, SECTIONS_MAX); i++) {
		GElf_Shdr s;
		Elf_Scn *scn = elf_getscn(elf, i);
		if (!scn || !gelf_getshdr(scn, &s))
			break;
		struct image_section section = {
			.name = section_name(elf, strings, &s),
			.type = s.sh_type,
			.link = s.sh_link,
			.flags = s.sh_flags,
			.vaddr = s.sh_addr,
			.offset = s.sh_offset,
			.size = s.sh_size,
			.entsize = s.sh_entsize,
		};
		if (s.sh_type != SHT_NOBITS && s.sh_type != SHT_NULL)
			section.data = file_range(img, s.sh_offset, s.sh_size);
		vec_push(&img->sections, section);
		if (s.sh_type == SHT_NOTE && section.data && !img->has_build_id)
			img->has_build_id =
				find_build_id(section.data, section.size, &img->build_id);
	}
}

/* The identity of a file without a build id: whoever has the same one has the same file as far as a
 * reader can tell without reading all of it. */
static void make_identity(struct image *img, const struct stat *st)
{
	enum { ENDS = 4096 };
	uint64_t facts[3] = { img->size, (uint64_t)st->st_mtim.tv_sec,
			      (uint64_t)st->st_mtim.tv_nsec };
	size_t n = MIN(img->size, (size_t)ENDS);
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t hash;

	XXH3_128bits_reset(state);
	XXH3_128bits_update(state, facts, sizeof(facts));
	XXH3_128bits_update(state, img->bytes, n);
	XXH3_128bits_update(state, img->bytes + img->size - n, n);
	XXH128_canonicalFromHash(&hash, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	img->build_id.size = sizeof(hash.digest);
	memcpy(img->build_id.bytes, hash.digest, sizeof(hash.digest));
}

static struct error *read_headers(struct image *img)
{
	Elf64_Ehdr header;

	if (img->size < SELFMAG || memcmp(img->bytes, ELFMAG, SELFMAG) != 0)
		return error_new(ERR_FORMAT, "%s is not an ELF file", img->name);
	if (img->size < sizeof(header))
		return error_new(ERR_FORMAT, "%s is a truncated ELF file", img->name);
	memcpy(&header, img->bytes, sizeof(header));
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return error_new(ERR_UNSUPPORTED, "%s is not a 64-bit little-endian ELF file",
				 img->name);
	img->machine = header.e_machine;
	img->entry = header.e_entry;

	elf_version(EV_CURRENT);
	/* libelf takes a char pointer and does not write through it when only reading. */
	Elf *elf = elf_memory((char *)img->bytes, img->size);
	if (!elf)
		return error_new(ERR_FORMAT, "%s is a damaged ELF file: %s", img->name,
				 elf_errmsg(-1));
	read_sections(img, elf);
	read_segments(img, elf);
	elf_end(elf);
	return NULL;
}

struct error *image_open_fd(int fd, const char *name, struct image **ret)
{
	struct image *img = mem_calloc(1, sizeof(*img));
	struct error *err = guarded_map_fd(fd, name, &img->map);
	struct stat st;

	img->name = mem_strdup(name);
	img->bytes = img->map.bytes.data;
	img->size = img->map.bytes.size;
	if (!err)
		err = read_headers(img);
	if (!err && !img->has_build_id && fstat(fd, &st) == 0)
		make_identity(img, &st);
	if (err) {
		image_close(img);
		return err;
	}
	*ret = img;
	return NULL;
}

struct error *image_open(const char *path, struct image **ret)
{
	CLEANUP(fd_cleanup) int fd = -1;

	TRY(file_open_regular(path, &fd));
	return image_open_fd(fd, path, ret);
}

struct error *image_open_memory(const void *bytes, size_t size, const char *name,
				struct image **ret)
{
	struct image *img = mem_calloc(1, sizeof(*img));

	img->name = mem_strdup(name);
	img->bytes = bytes;
	img->size = size;
	struct error *err = read_headers(img);
	if (err) {
		image_close(img);
		return err;
	}
	*ret = img;
	return NULL;
}

void image_close(struct image *img)
{
	if (!img)
		return;
	for (size_t i = 0; i < img->sections.count; i++)
		free((char *)img->sections.items[i].name);
	vec_deinit(&img->sections);
	vec_deinit(&img->segments);
	guarded_map_deinit(&img->map);
	free(img->name);
	free(img);
}

const char *image_name(const struct image *img)
{
	return img->name;
}

uint16_t image_machine(const struct image *img)
{
	return img->machine;
}

uint64_t image_entry(const struct image *img)
{
	return img->entry;
}

const uint8_t *image_bytes(const struct image *img, size_t *ret_size)
{
	*ret_size = img->size;
	return img->bytes;
}

const struct build_id *image_build_id(const struct image *img)
{
	return &img->build_id;
}

bool image_has_build_id(const struct image *img)
{
	return img->has_build_id;
}

size_t image_segments(const struct image *img, const struct image_segment **ret)
{
	*ret = img->segments.items;
	return img->segments.count;
}

size_t image_sections(const struct image *img, const struct image_section **ret)
{
	*ret = img->sections.items;
	return img->sections.count;
}

const struct image_section *image_find_section(const struct image *img, const char *name)
{
	for (size_t i = 0; i < img->sections.count; i++)
		if (strcmp(img->sections.items[i].name, name) == 0)
			return &img->sections.items[i];
	return NULL;
}

bool image_eh_frame_hdr(const struct image *img, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	if (!img->has_eh_frame_hdr)
		return false;
	*ret_vaddr = img->eh_frame_hdr_vaddr;
	*ret_size = img->eh_frame_hdr_size;
	return true;
}

bool image_dynamic(const struct image *img, uint64_t *ret_vaddr, uint64_t *ret_size)
{
	if (!img->has_dynamic)
		return false;
	*ret_vaddr = img->dynamic_vaddr;
	*ret_size = img->dynamic_size;
	return true;
}

const uint8_t *image_at_vaddr(const struct image *img, uint64_t vaddr, uint64_t *ret_left)
{
	for (size_t i = 0; i < img->segments.count; i++) {
		const struct image_segment *s = &img->segments.items[i];
		uint64_t in = vaddr - s->vaddr;
		if (in >= s->filesz || s->offset > img->size || in >= img->size - s->offset)
			continue;
		*ret_left = MIN(s->filesz - in, img->size - s->offset - in);
		return img->bytes + s->offset + in;
	}
	return NULL;
}

bool image_vaddr_of_offset(const struct image *img, uint64_t offset, uint64_t *ret_vaddr)
{
	for (int rounded = 0; rounded < 2; rounded++) {
		for (size_t i = 0; i < img->segments.count; i++) {
			const struct image_segment *s = &img->segments.items[i];
			uint64_t before = rounded ? s->offset & (MAP_PAGE - 1) : 0;
			uint64_t size = s->filesz + before;
			if (rounded)
				size = (size + MAP_PAGE - 1) & ~(MAP_PAGE - 1);
			if (!(s->flags & PF_X) || offset - (s->offset - before) >= size)
				continue;
			*ret_vaddr = offset - s->offset + s->vaddr;
			return true;
		}
	}
	return false;
}
