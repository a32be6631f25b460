/*
 * An ELF file, opened for reading: segments, sections, build id, address arithmetic. 64-bit
 * little-endian only (others are refused with ERR_UNSUPPORTED). Headers are read through libelf;
 * section bytes are handed out raw and bounds-checked. What the file claims is not trusted.
 */
#ifndef CPROF_SYMBOLIZER_IMAGE_H
#define CPROF_SYMBOLIZER_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "symbolizer/elf/build_id.h"

struct image;

struct image_segment { /* a PT_LOAD */
	uint64_t vaddr, offset, filesz, memsz;
	uint32_t flags; /* PF_X ... */
};

struct image_section {
	const char *name; /* "" where it has none */
	uint32_t type, link;
	uint64_t flags, vaddr, offset, size, entsize;
	const uint8_t *
		data; /* size bytes, borrowed; NULL for SHT_NOBITS and what lies outside the file */
};

struct error *image_open(const char *path, struct image **ret) MUST_USE;

/* `name` is for messages. The descriptor is not kept. */
struct error *image_open_fd(int fd, const char *name, struct image **ret) MUST_USE;

/* An image in memory (the vDSO); the bytes are borrowed and must outlive the image. */
struct error *image_open_memory(const void *bytes, size_t size, const char *name,
				struct image **ret) MUST_USE;

void image_close(struct image *img); /* takes NULL */

const char *image_name(const struct image *img);
uint16_t image_machine(const struct image *img); /* EM_X86_64 ... */
uint64_t image_entry(const struct image *img);	 /* e_entry; 0: none */

/* The whole file as bytes. */
const uint8_t *image_bytes(const struct image *img, size_t *ret_size);

/* The file's NT_GNU_BUILD_ID (one of more than 20 bytes is cut); for a file without one a hash of
 * size, mtime and ends of the file, which serves for identity only. size 0 for an image in memory
 * without one. */
const struct build_id *image_build_id(const struct image *img);

/* True where image_build_id() is the linker's own, not a hash of ours. */
bool image_has_build_id(const struct image *img);

size_t image_segments(const struct image *img, const struct image_segment **ret);
size_t image_sections(const struct image *img, const struct image_section **ret);

/* The first section of this name; NULL where there is none. */
const struct image_section *image_find_section(const struct image *img, const char *name);

/* PT_GNU_EH_FRAME as (vaddr, size); false where there is none. */
bool image_eh_frame_hdr(const struct image *img, uint64_t *ret_vaddr, uint64_t *ret_size);

/* PT_DYNAMIC as (vaddr, size); false where there is none. */
bool image_dynamic(const struct image *img, uint64_t *ret_vaddr, uint64_t *ret_size);

/* Bytes at a virtual address that lie in the file, and how many follow in that segment; NULL where
 * there are none. */
const uint8_t *image_at_vaddr(const struct image *img, uint64_t vaddr, uint64_t *ret_left);

/* The virtual address of a file offset through the executable segments (p_filesz, page-rounded
 * tolerance); false where no executable segment holds it. This and no other arithmetic: vaddr and
 * offset differ in files of lld, mold, BOLT and others. */
bool image_vaddr_of_offset(const struct image *img, uint64_t offset, uint64_t *ret_vaddr);

#endif
