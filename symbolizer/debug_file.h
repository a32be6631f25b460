/*
 * Finding the ELF files that hold a module's names. Every candidate must prove that it is the file
 * that was mapped, or was made from it: by build id; by the CRC of .gnu_debuglink where one of the
 * two has no build id. (With two equal build ids the CRC would say nothing new and read hundreds of
 * MB.)
 */
#ifndef CPROF_SYMBOLIZER_DEBUG_FILE_H
#define CPROF_SYMBOLIZER_DEBUG_FILE_H

#include "symbolizer/elf/image.h"

/* The mapped file itself: `path` below each of `roots` (ended by NULL) until one has the expected
 * build id (size 0: any). */
struct error *debug_find_mapped(const char *path, const char *const *roots,
				const struct build_id *expected, struct image **ret) MUST_USE;

/* The separate debug file with a .symtab in the build-id folders below the roots; NULL where there
 * is none. */
struct image *debug_find_by_build_id(const struct build_id *id, const char *const *roots);

/* The separate debug file with a .symtab of an open image that lies at `path`; NULL where there is
 * none. */
struct image *debug_find_separate(const struct image *img, const char *path,
				  const char *const *roots);

/* The symbol table that .gnu_debugdata holds (MiniDebugInfo: an ELF file in xz). NULL where there
 * is none. The image borrows *ret_bytes, which the caller frees after closing it. */
struct image *debug_unpack_mini(const struct image *img, void **ret_bytes);

#endif
