/*
 * The reader: walks the chunks, checks and unpacks each, and lets decode.c turn them into tables.
 * It stops at the first chunk that is cut, or whose bytes are not what its checksum says: what
 * stood before is the recording of a cprof that was killed. A chunk that is sound and makes no
 * sense was not written by cprof: that is an error.
 */
#include <endian.h>
#include <stdlib.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"
#include "profiler/recording/decode.h"

/* What a file may unpack to: no recording comes near, and a hostile one cannot ask for more. */
#define RAW_BUDGET(file_bytes) (((uint64_t)16 << 20) + (uint64_t)(file_bytes)*256)

void recording_init(struct recording *r)
{
	*r = (struct recording){ 0 };
	intern_init(&r->strings);
	vec_push(&r->files, (struct recording_file){ .kind = RECORDING_FILE_OTHER });
	vec_push(&r->processes, (struct recording_process){ 0 });
	vec_push(&r->threads, (struct recording_thread){ 0 });
	vec_push(&r->mappings, (struct recording_mapping){ 0 });
	vec_push(&r->locations, (struct recording_location){ 0 });
	vec_push(&r->stacks, (struct recording_stack){ 0 });
}

void recording_deinit(struct recording *r)
{
	intern_deinit(&r->strings);
	vec_deinit(&r->command);
	vec_deinit(&r->events);
	vec_deinit(&r->files);
	vec_deinit(&r->processes);
	vec_deinit(&r->threads);
	vec_deinit(&r->comms);
	vec_deinit(&r->mappings);
	vec_deinit(&r->locations);
	vec_deinit(&r->stacks);
	vec_deinit(&r->samples);
	vec_deinit(&r->facts);
	vec_deinit(&r->diagnostics);
	vec_deinit(&r->symbols);
	vec_deinit(&r->symbol_frames);
	map_deinit(&r->roots);
	*r = (struct recording){ 0 };
}

uint32_t recording_root(const struct recording *r, uint32_t file, uint32_t n)
{
	uint32_t root = n < RECORDING_ROOTS_MAX ? map_find(&r->roots, map_key2(file, n)) : MAP_NONE;

	return root == MAP_NONE ? 0 : root;
}

void recording_note_root(struct recording *r, const struct recording_mapping *m)
{
	uint32_t root = r->processes.items[m->process].root, *next;

	if (!root)
		return;
	for (uint32_t n = 0; n < RECORDING_ROOTS_MAX; n++)
		if (recording_root(r, m->file, n) == root)
			return;
	next = map_at(&r->roots, map_key2(m->file, RECORDING_ROOTS_MAX));
	*next = *next == MAP_NONE ? 0 : (*next + 1) % RECORDING_ROOTS_MAX;
	*map_at(&r->roots, map_key2(m->file, *next)) = root;
}

bool recording_detect(const void *bytes, size_t size)
{
	return size >= RECORDING_MAGIC_BYTES &&
	       memcmp(bytes, RECORDING_MAGIC, RECORDING_MAGIC_BYTES) == 0;
}

const char *recording_chunk_name(enum recording_chunk kind)
{
	static const char *const names[RECORDING_CHUNK_KINDS] = {
		[RECORDING_CHUNK_END] = "end",
		[RECORDING_CHUNK_HEAD] = "head",
		[RECORDING_CHUNK_STRINGS] = "strings",
		[RECORDING_CHUNK_TABLES] = "tables",
		[RECORDING_CHUNK_LOCATIONS] = "locations",
		[RECORDING_CHUNK_STACKS] = "stacks",
		[RECORDING_CHUNK_SAMPLES] = "samples",
		[RECORDING_CHUNK_NOTES] = "notes",
		[RECORDING_CHUNK_SYMBOLS] = "symbols",
	};

	return names[kind];
}

uint64_t recording_fact(const struct recording *r, const char *key, uint64_t missing)
{
	for (size_t i = 0; i < r->facts.count; i++)
		if (strcmp(intern_get(&r->strings, r->facts.items[i].key), key) == 0)
			return r->facts.items[i].value;
	return missing;
}

struct reader {
	struct decoder decoder;
	struct cursor c;
	uint64_t raw_budget;
	bool ended; /* the end mark was read */
};

struct chunk {
	uint8_t kind, flags;
	const uint8_t *bytes;
	uint32_t length;
};

/* The next chunk whose bytes are sound; false where there is none. */
static bool next_chunk(struct cursor *c, struct chunk *ret)
{
	struct cursor at = *c;
	uint64_t tag = cursor_u64(&at);
	uint64_t sum = cursor_u64(&at);

	ret->kind = (uint8_t)tag;
	ret->flags = (uint8_t)(tag >> 8);
	ret->length = (uint32_t)(tag >> 32);
	ret->bytes = cursor_bytes(&at, ret->length);
	if (!ret->bytes || XXH3_64bits_withSeed(ret->bytes, ret->length, tag) != sum)
		return false;
	*c = at;
	return true;
}

/* The content of a chunk: its own bytes, or *ret_unpacked, which the caller frees. */
static struct error *unpack(struct reader *r, const struct chunk *chunk, void **ret_unpacked,
			    struct cursor *ret)
{
	if (chunk->flags & ~RECORDING_FLAG_ZSTD)
		return error_new(ERR_UNSUPPORTED, "packed in a way that this cprof does not know");
	if (!(chunk->flags & RECORDING_FLAG_ZSTD)) {
		*ret = cursor_make(chunk->bytes, chunk->length);
		return NULL;
	}

	unsigned long long size = ZSTD_getFrameContentSize(chunk->bytes, chunk->length);
	if (size > RECORDING_CHUNK_RAW_MAX || size > r->raw_budget)
		return error_new(ERR_FORMAT, "it would unpack to more than there can be");
	r->raw_budget -= size;

	void *bytes = mem_alloc(size + 1);
	size_t n = ZSTD_decompress(bytes, size, chunk->bytes, chunk->length);
	if (ZSTD_isError(n) || n != size) {
		free(bytes);
		return error_new(ERR_FORMAT, "it cannot be unpacked");
	}
	*ret_unpacked = bytes;
	*ret = cursor_make(bytes, size);
	return NULL;
}

static struct error *read_chunk(struct reader *r, const struct chunk *chunk)
{
	if (chunk->kind == RECORDING_CHUNK_END) {
		r->ended = true;
		return NULL;
	}
	if (chunk->kind >= RECORDING_CHUNK_KINDS)
		return NULL; /* of a newer minor version */

	CLEANUP(mem_cleanup) void *unpacked = NULL;
	struct cursor content;
	TRY(unpack(r, chunk, &unpacked, &content));
	return decode_chunk(&r->decoder, (enum recording_chunk)chunk->kind, content);
}

static struct error *read_versions(struct cursor *c)
{
	cursor_skip(c, RECORDING_MAGIC_BYTES);
	uint16_t major = cursor_u16(c);
	uint16_t minor = cursor_u16(c);

	if (!cursor_ok(c))
		return error_new(ERR_FORMAT, "the recording ends within its first %d bytes",
				 RECORDING_FILE_HEAD);
	if (major != RECORDING_MAJOR)
		return error_hint(
			error_new(ERR_UNSUPPORTED,
				  "the recording has version %u.%u, this cprof reads %d.x", major,
				  minor, RECORDING_MAJOR),
			"read it with the cprof that made it, or a newer one");
	return NULL;
}

struct error *recording_read(const void *bytes, size_t size, struct recording *ret)
{
	struct reader r = { .c = cursor_make(bytes, size), .raw_budget = RAW_BUDGET(size) };
	const uint8_t *start = bytes;
	struct chunk chunk;

	*ret = (struct recording){ 0 };
	if (!recording_detect(bytes, size))
		return error_new(ERR_FORMAT, "this is no recording of cprof");
	TRY(read_versions(&r.c));

	recording_init(ret);
	decoder_init(&r.decoder, ret);
	ret->chunk_bytes[RECORDING_CHUNK_END] = RECORDING_FILE_HEAD;

	struct error *err = NULL;
	while (!err && !r.ended && next_chunk(&r.c, &chunk)) {
		size_t kind = chunk.kind < RECORDING_CHUNK_KINDS ? chunk.kind : RECORDING_CHUNK_END;
		ret->chunk_bytes[kind] += RECORDING_CHUNK_HEADER + (uint64_t)chunk.length;
		err = error_prefix(read_chunk(&r, &chunk), "the recording is damaged at byte %zu",
				   (size_t)(chunk.bytes - start) - RECORDING_CHUNK_HEADER);
	}
	decoder_deinit(&r.decoder);
	if (err) {
		recording_deinit(ret);
		return err;
	}
	ret->was_cut = !r.ended;
	ret->cut_bytes = cursor_left(&r.c);
	return NULL;
}
