#include "profiler/recording/encode.h"

#include <assert.h>
#include <endian.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/mem.h"

/* By measurement, on 20,000 of clang's stacks: the columns leave little to find, level 1 makes
 * samples and stacks 0.5 % larger than level 3 and names 8 %, level 9 makes them 2 % and 10 %
 * smaller for twice the CPU. */
#define ZSTD_LEVEL 3

/* What is smaller than this is left as it is. */
#define ZSTD_MIN_BYTES 64

#define STRING_CHUNK_BYTES ((size_t)256 << 10)

void encoder_init(struct encoder *e)
{
	*e = (struct encoder){ .zstd = ZSTD_createCCtx() };
	if (e->zstd)
		ZSTD_CCtx_setParameter(e->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
}

void encoder_deinit(struct encoder *e)
{
	ZSTD_freeCCtx(e->zstd);
	for (size_t i = 0; i < RECORDING_COLUMNS_MAX; i++)
		buf_deinit(&e->columns[i]);
	buf_deinit(&e->raw);
	buf_deinit(&e->chunk);
	path_model_deinit(&e->paths);
	vec_deinit(&e->addresses.last);
	sample_model_deinit(&e->samples);
}

/* --- chunks --- */

static void begin_chunk(struct encoder *e)
{
	buf_clear(&e->chunk);
	buf_reserve(&e->chunk, RECORDING_CHUNK_HEADER);
	e->chunk.len = RECORDING_CHUNK_HEADER;
}

static void end_chunk(struct encoder *e, enum recording_chunk kind, uint8_t flags)
{
	char *head = e->chunk.data;
	size_t length = e->chunk.len - RECORDING_CHUNK_HEADER;
	uint64_t tag = htole64(kind | (uint64_t)flags << 8 | (uint64_t)length << 32);
	uint64_t sum =
		htole64(XXH3_64bits_withSeed(head + RECORDING_CHUNK_HEADER, length, le64toh(tag)));

	memcpy(head, &tag, sizeof(tag));
	memcpy(head + sizeof(tag), &sum, sizeof(sum));
}

/* Compresses n bytes and ends a block behind them, so that what follows gets statistics of its own.
 */
static bool compress_part(struct encoder *e, const void *bytes, size_t n, bool last)
{
	ZSTD_inBuffer in = { bytes, n, 0 };
	size_t left;

	do {
		buf_reserve(&e->chunk, ZSTD_CStreamOutSize());
		ZSTD_outBuffer out = { e->chunk.data, e->chunk.capacity, e->chunk.len };
		left = ZSTD_compressStream2(e->zstd, &out, &in, last ? ZSTD_e_end : ZSTD_e_flush);
		e->chunk.len = out.pos;
	} while (!ZSTD_isError(left) && left);
	return !ZSTD_isError(left);
}

/* Makes a chunk of e->raw and of the columns, which are emptied. */
static void make_chunk(struct encoder *e, enum recording_chunk kind, size_t n_columns)
{
	size_t total = e->raw.len;
	bool packed = false;

	for (size_t i = 0; i < n_columns; i++)
		total += e->columns[i].len;
	begin_chunk(e);
	if (e->zstd && total >= ZSTD_MIN_BYTES) {
		ZSTD_CCtx_reset(e->zstd, ZSTD_reset_session_only);
		ZSTD_CCtx_setPledgedSrcSize(e->zstd, total);
		packed = compress_part(e, e->raw.data, e->raw.len, n_columns == 0);
		for (size_t i = 0; packed && i < n_columns; i++)
			packed = compress_part(e, e->columns[i].data, e->columns[i].len,
					       i == n_columns - 1);
		if (!packed || e->chunk.len - RECORDING_CHUNK_HEADER >= total) {
			packed = false;
			begin_chunk(e);
		}
	}
	if (!packed) {
		buf_add(&e->chunk, e->raw.data, e->raw.len);
		for (size_t i = 0; i < n_columns; i++)
			buf_add(&e->chunk, e->columns[i].data, e->columns[i].len);
	}
	end_chunk(e, kind, packed ? RECORDING_FLAG_ZSTD : 0);
	buf_clear(&e->raw);
	for (size_t i = 0; i < n_columns; i++)
		buf_clear(&e->columns[i]);
}

/* Puts the number of records and the sizes of the columns in front. */
static void make_columns(struct encoder *e, enum recording_chunk kind, size_t records,
			 size_t n_columns)
{
	buf_add_uleb(&e->raw, records);
	buf_add_uleb(&e->raw, n_columns);
	for (size_t i = 0; i < n_columns; i++)
		buf_add_uleb(&e->raw, e->columns[i].len);
	make_chunk(e, kind, n_columns);
}

static void put(struct encoder *e, unsigned int column, uint64_t value)
{
	buf_add_uleb(&e->columns[column], value);
}

/* The difference of two numbers, which may wrap around. */
static void put_delta(struct encoder *e, unsigned int column, uint64_t value, uint64_t before)
{
	put(e, column, zigzag_encode((int64_t)(value - before)));
}

/* --- head, end, strings --- */

void encode_head(struct encoder *e, const struct recording *r, const uint32_t *status_names)
{
	struct buf *raw = &e->raw;

	buf_add_uleb(raw, r->start_ns);
	buf_add_uleb(raw, r->start_wall_ns);
	buf_add_uleb(raw, r->backend);
	buf_add_uleb(raw, r->host);
	buf_add_uleb(raw, r->boot);
	buf_add_uleb(raw, r->command.count);
	for (size_t i = 0; i < r->command.count; i++)
		buf_add_uleb(raw, r->command.items[i]);
	buf_add_uleb(raw, UNWIND_STATUS_COUNT);
	for (size_t i = 0; i < UNWIND_STATUS_COUNT; i++)
		buf_add_uleb(raw, status_names[i]);
	buf_add_uleb(raw, r->backend_reason);
	buf_add_uleb(raw, r->target);
	make_chunk(e, RECORDING_CHUNK_HEAD, 0);
}

void encode_end(struct encoder *e, uint64_t n_samples)
{
	buf_add_uleb(&e->raw, n_samples);
	make_chunk(e, RECORDING_CHUNK_END, 0);
}

uint32_t encode_strings(struct encoder *e, const struct recording *r, uint32_t from)
{
	uint32_t i = from;

	for (; i < r->strings.count && i - from < RECORDING_CHUNK_RECORDS &&
	       e->columns[1].len < STRING_CHUNK_BYTES;
	     i++) {
		put(e, 0, intern_len(&r->strings, i));
		buf_add(&e->columns[1], intern_get(&r->strings, i), intern_len(&r->strings, i));
	}
	make_columns(e, RECORDING_CHUNK_STRINGS, i - from, 2);
	return i;
}

/* --- locations and stacks --- */

void encode_locations(struct encoder *e, const struct recording *r, size_t from, size_t to)
{
	uint32_t file = 0;

	for (size_t i = from; i < to; i++) {
		const struct recording_location *l = &r->locations.items[i];
		uint64_t *last = address_model_at(&e->addresses, l->file);

		put_delta(e, COLUMN_LOCATION_FILE, l->file, file);
		put(e, COLUMN_LOCATION_FLAGS, l->is_return | l->guessed << 1);
		put_delta(e, COLUMN_LOCATION_ADDRESS, l->address, *last);
		file = l->file;
		*last = l->address;
	}
	make_columns(e, RECORDING_CHUNK_LOCATIONS, to - from, LOCATION_COLUMNS);
}

/* New stacks come as runs: one hangs on a stack that was there before, and each of the others on
 * the one before it. */
void encode_stacks(struct encoder *e, const struct recording *r, size_t from, size_t to)
{
	uint32_t run = 0;

	for (size_t i = from; i < to; i++) {
		const struct recording_stack *s = &r->stacks.items[i];
		uint32_t outer = s->parent ? r->stacks.items[s->parent].location : 0;
		uint32_t rank = path_model_rank(&e->paths, outer, s->location);

		if (!run || s->parent != i - 1) {
			if (run)
				put(e, COLUMN_STACK_RUN, run);
			put(e, COLUMN_STACK_ATTACH, i - 1 - s->parent);
			run = 0;
		}
		run++;
		put(e, COLUMN_STACK_RANK, rank);
		if (rank == PATH_RANK_EXPLICIT)
			put(e, COLUMN_STACK_LOCATION, s->location);
	}
	if (run)
		put(e, COLUMN_STACK_RUN, run);
	make_columns(e, RECORDING_CHUNK_STACKS, to - from, STACK_COLUMNS);
}

/* --- samples --- */

void encode_samples(struct encoder *e, const struct recording *r, size_t from, size_t to)
{
	struct sample_model *m = &e->samples;

	sample_model_begin_chunk(m);
	for (size_t i = from; i < to; i++) {
		const struct recording_sample *s = &r->samples.items[i];
		uint32_t comm = sample_model_comm(m, s->thread);

		put_delta(e, COLUMN_SAMPLE_TIME, s->time_ns, sample_model_time(m, s->cpu));
		put_delta(e, COLUMN_SAMPLE_THREAD, s->thread, m->last.thread);
		put(e, COLUMN_SAMPLE_COMM, s->comm == comm ? 0 : (uint64_t)s->comm + 1);
		put_delta(e, COLUMN_SAMPLE_STACK, s->stack, m->last.stack);
		put_delta(e, COLUMN_SAMPLE_CPU, s->cpu, m->last.cpu);
		put(e, COLUMN_SAMPLE_EVENT, s->event);
		put_delta(e, COLUMN_SAMPLE_WEIGHT, s->weight, m->last.weight);
		put(e, COLUMN_SAMPLE_STATUS, s->status);
		sample_model_add(m, s, r->events.items[s->event].period);
	}
	make_columns(e, RECORDING_CHUNK_SAMPLES, to - from, SAMPLE_COLUMNS);
}

/* --- symbols --- */

void encode_symbols(struct encoder *e, const struct recording *r, size_t from, size_t to)
{
	uint32_t location = 0, name = 0, source = 0;

	for (size_t i = from; i < to; i++) {
		const struct recording_symbol *s = &r->symbols.items[i];
		const struct recording_location *l = &r->locations.items[s->location];

		put_delta(e, COLUMN_SYMBOL_LOCATION, s->location, location);
		put_delta(e, COLUMN_SYMBOL_START, l->address, s->start);
		put(e, COLUMN_SYMBOL_COUNT, s->count);
		location = s->location;
		for (uint32_t k = s->first; k < s->first + s->count; k++) {
			const struct recording_symbol_frame *f = &r->symbol_frames.items[k];
			put_delta(e, COLUMN_FRAME_NAME, f->name, name);
			put_delta(e, COLUMN_FRAME_SOURCE, f->source, source);
			put(e, COLUMN_FRAME_LINE, f->line);
			put(e, COLUMN_FRAME_FLAGS, f->inlined | f->is_folded << 1);
			name = f->name;
			source = f->source;
		}
	}
	make_columns(e, RECORDING_CHUNK_SYMBOLS, to - from, SYMBOL_COLUMNS);
}

/* --- rows --- */

/* Adds a row of n numbers. */
static void add_row(struct encoder *e, enum recording_tag tag, const uint64_t *fields, size_t n)
{
	struct buf *row = &e->columns[0];

	buf_clear(row);
	for (size_t i = 0; i < n; i++)
		buf_add_uleb(row, fields[i]);
	buf_add_char(&e->raw, (char)tag);
	buf_add_uleb(&e->raw, row->len);
	buf_add(&e->raw, row->data, row->len);
	buf_clear(row);
}

#define ADD_ROW(e, tag, ...)                                                                       \
	add_row(e, tag, (const uint64_t[]){ __VA_ARGS__ },                                         \
		sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

void encode_event(struct encoder *e, const struct recording_event *v)
{
	ADD_ROW(e, RECORDING_TAG_EVENT, v->name, v->type, v->unit, v->period, v->frequency_hz);
}

void encode_process(struct encoder *e, const struct recording_process *v)
{
	ADD_ROW(e, RECORDING_TAG_PROCESS, v->pid, v->ns_pid, v->parent, v->uid, v->start_ns,
		v->root);
}

void encode_file(struct encoder *e, const struct recording_file *v)
{
	uint64_t fields[4 + BUILD_ID_MAX] = { v->kind, v->path, v->process, v->build_id.size };

	assert(v->build_id.size <= BUILD_ID_MAX);
	for (size_t i = 0; i < v->build_id.size; i++)
		fields[4 + i] = v->build_id.bytes[i];
	add_row(e, RECORDING_TAG_FILE, fields, 4 + (size_t)v->build_id.size);
}

void encode_thread(struct encoder *e, const struct recording_thread *v)
{
	ADD_ROW(e, RECORDING_TAG_THREAD, v->process, v->tid);
}

void encode_comm(struct encoder *e, const struct recording_comm *v)
{
	ADD_ROW(e, RECORDING_TAG_COMM, v->thread, v->name, v->time_ns);
}

void encode_mapping(struct encoder *e, const struct recording_mapping *v)
{
	ADD_ROW(e, RECORDING_TAG_MAPPING, v->process, v->file, v->start, v->end - v->start,
		v->offset, v->start - v->bias, v->time_ns);
}

void encode_fact(struct encoder *e, const struct recording_fact *v)
{
	ADD_ROW(e, RECORDING_TAG_FACT, v->key, v->value);
}

void encode_diagnostic(struct encoder *e, const struct recording_diagnostic *v)
{
	ADD_ROW(e, RECORDING_TAG_DIAGNOSTIC, v->time_ns, v->text);
}

void encode_rows(struct encoder *e, enum recording_chunk kind)
{
	make_chunk(e, kind, 0);
}
