#include "symbolizer/debug_file.h"

#include <elf.h>
#include <libdeflate.h>
#include <lzma.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "symbolizer/root_file.h"
#include "symbolizer/symtab_elf.h"

/* Fedora's largest is 40 MB unpacked. */
#define MINI_MAX_BYTES	((size_t)256 << 20)
#define MINI_MAX_MEMORY ((uint64_t)256 << 20)

static struct error *open_below(const char *root, const char *path, struct image **ret)
{
	CLEANUP(fd_cleanup) int fd = -1;

	TRY(root_file_open(root, path, &fd));
	return image_open_fd(fd, path, ret);
}

struct error *debug_find_mapped(const char *path, const char *const *roots,
				const struct build_id *expected, struct image **ret)
{
	struct error *first = NULL;

	for (; *roots; roots++) {
		struct image *img = NULL;
		struct error *err = open_below(*roots, path, &img);
		if (!err && expected->size && !build_id_equal(image_build_id(img), expected)) {
			err = error_new(ERR_NOT_FOUND,
					"%s has another build id than the one that ran", path);
			err = error_hint(err,
					 "the file was replaced after the program had started: "
					 "start the program again to see its names");
			image_close(img);
			img = NULL;
		}
		if (!err) {
			error_free(first);
			*ret = img;
			return NULL;
		}
		/* A file that is there and wrong says more than one that is not there. */
		if (!first || error_errno_of(first)) {
			error_free(first);
			first = err;
		} else {
			error_free(err);
		}
	}
	return first ? first : error_new(ERR_NOT_FOUND, "no place to look for %s", path);
}

/* --- separate debug files --- */

struct wanted {
	const struct image *of; /* NULL: by build id alone */
	struct build_id id;	/* size 0: by CRC */
	uint32_t crc;
};

static bool is_wanted(const struct image *candidate, const struct wanted *w)
{
	if (!image_has_symtab(candidate))
		return false;
	if (w->id.size && image_has_build_id(candidate))
		return build_id_equal(image_build_id(candidate), &w->id);
	if (!w->of)
		return false;
	size_t size;
	const uint8_t *bytes = image_bytes(candidate, &size);
	return libdeflate_crc32(0, bytes, size) == w->crc;
}

static struct image *try_debug_file(const char *root, const char *path, const struct wanted *w)
{
	struct image *img = NULL;
	struct error *err = open_below(root, path, &img);

	if (!err && is_wanted(img, w)) {
		log_debug("symbols", "debug file %s%s", root, path);
		return img;
	}
	if (!err)
		log_debug("symbols", "%s%s is not the debug file wanted", root, path);
	error_free(err);
	image_close(img);
	return NULL;
}

static struct image *find_by_build_id(const struct wanted *w, const char *const *roots)
{
	char hex[BUILD_ID_HEX_MAX];
	struct image *img = NULL;

	if (w->id.size < 2)
		return NULL;
	build_id_hex(&w->id, hex);
	CLEANUP(mem_cleanup)
	char *path = mem_printf("/usr/lib/debug/.build-id/%.2s/%s.debug", hex, hex + 2);
	for (; *roots && !img; roots++)
		img = try_debug_file(*roots, path, w);
	return img;
}

struct image *debug_find_by_build_id(const struct build_id *id, const char *const *roots)
{
	struct wanted w = { .id = *id };

	return find_by_build_id(&w, roots);
}

/* .gnu_debuglink: a file name, padding to four bytes, the CRC of that file. */
static const char *read_debuglink(const struct image *img, uint32_t *ret_crc)
{
	const struct image_section *s = image_find_section(img, ".gnu_debuglink");

	if (!s || !s->data)
		return NULL;
	struct cursor c = cursor_make(s->data, s->size);
	const char *name = cursor_str(&c);
	cursor_skip(&c, -(uint64_t)(c.at - s->data) & 3);
	*ret_crc = cursor_u32(&c);
	if (!cursor_ok(&c) || !*name || strchr(name, '/'))
		return NULL;
	return name;
}

struct image *debug_find_separate(const struct image *img, const char *path,
				  const char *const *roots)
{
	struct wanted w = { .of = img };

	if (image_has_build_id(img))
		w.id = *image_build_id(img);
	struct image *found = find_by_build_id(&w, roots);
	const char *name = found ? NULL : read_debuglink(img, &w.crc);
	const char *slash = strrchr(path, '/');
	if (!name || !slash)
		return found;
	int dir = (int)(slash - path);
	char *places[] = {
		mem_printf("%.*s/%s", dir, path, name),
		mem_printf("%.*s/.debug/%s", dir, path, name),
		mem_printf("/usr/lib/debug%.*s/%s", dir, path, name),
	};
	for (; *roots; roots++)
		for (size_t i = 0; i < ARRAY_SIZE(places) && !found; i++)
			found = try_debug_file(*roots, places[i], &w);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		free(places[i]);
	return found;
}

/* --- MiniDebugInfo --- */

/* Unpacks one xz stream into memory of the right size, bounded. */
static void *unpack_xz(const uint8_t *packed, size_t packed_size, size_t *ret_size)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	size_t capacity = MAX(packed_size * 8, (size_t)65536), size = 0;
	uint8_t *out = NULL;
	lzma_ret status = lzma_stream_decoder(&xz, MINI_MAX_MEMORY, 0);

	xz.next_in = packed;
	xz.avail_in = packed_size;
	while (status == LZMA_OK && size < MINI_MAX_BYTES) {
		capacity = MIN(MAX(capacity, size * 2), MINI_MAX_BYTES);
		out = mem_realloc(out, capacity);
		xz.next_out = out + size;
		xz.avail_out = capacity - size;
		status = lzma_code(&xz, LZMA_FINISH);
		size = capacity - xz.avail_out;
	}
	lzma_end(&xz);
	if (status != LZMA_STREAM_END) {
		free(out);
		return NULL;
	}
	*ret_size = size;
	return out;
}

struct image *debug_unpack_mini(const struct image *img, void **ret_bytes)
{
	const struct image_section *s = image_find_section(img, ".gnu_debugdata");
	struct image *mini = NULL;
	size_t size;

	*ret_bytes = NULL;
	if (!s || !s->data)
		return NULL;
	void *bytes = unpack_xz(s->data, s->size, &size);
	if (!bytes) {
		log_debug("symbols", "%s: .gnu_debugdata cannot be unpacked", image_name(img));
		return NULL;
	}
	struct error *err = image_open_memory(bytes, size, ".gnu_debugdata", &mini);
	if (err) {
		error_free(err);
		free(bytes);
		return NULL;
	}
	*ret_bytes = bytes;
	return mini;
}
