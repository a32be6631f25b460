#include "profiler/recording/decode.h"

#include "base/buf.h"

void decoder_init(struct decoder *d, struct recording *r)
{
	*d = (struct decoder){ .r = r };
}

void decoder_deinit(struct decoder *d)
{
	path_model_deinit(&d->paths);
	vec_deinit(&d->addresses.last);
	sample_model_deinit(&d->samples);
	map_deinit(&d->fact_ids);
	vec_deinit(&d->statuses);
}

static struct error *damaged(const char *what)
{
	return error_new(ERR_FORMAT, "%s", what);
}

/* Columns of a chunk of records. */
struct columns {
	uint64_t records;
	struct cursor at[RECORDING_COLUMNS_MAX];
};

/* Columns beyond the known ones are a newer version's and are skipped; missing ones are damage.
 * Every record takes a byte of the first column that is looked at, so that counts are bounded by
 * bytes. */
static struct error *open_columns(struct cursor *c, size_t known, struct columns *ret)
{
	uint64_t sizes[RECORDING_COLUMNS_MAX] = { 0 };

	ret->records = cursor_uleb(c);
	uint64_t count = cursor_uleb(c);
	if (!cursor_ok(c) || count < known || count > cursor_left(c))
		return damaged("a wrong number of columns");
	for (uint64_t i = 0; i < count; i++) {
		uint64_t size = cursor_uleb(c);
		if (i < known)
			sizes[i] = size;
	}
	for (size_t i = 0; i < known; i++)
		ret->at[i] = cursor_sub(c, sizes[i]);
	if (!cursor_ok(c))
		return damaged("columns longer than their chunk");
	return NULL;
}

static bool columns_ok(const struct columns *c, size_t known)
{
	for (size_t i = 0; i < known; i++)
		if (!cursor_ok(&c->at[i]))
			return false;
	return true;
}

/* The next number of a column, told as a difference to `before`. */
static uint64_t next_delta(struct columns *c, unsigned int column, uint64_t before)
{
	return before + (uint64_t)zigzag_decode(cursor_uleb(&c->at[column]));
}

static uint64_t next(struct columns *c, unsigned int column)
{
	return cursor_uleb(&c->at[column]);
}

/* --- head and strings --- */

/* A string's id; the cursor fails where there is no such string. */
static uint32_t next_string(const struct decoder *d, struct cursor *c)
{
	uint64_t id = cursor_uleb(c);

	if (id >= d->r->strings.count)
		c->failed = true;
	return c->failed ? 0 : (uint32_t)id;
}

static uint32_t status_of(const char *name)
{
	uint32_t i = 0;

	while (i < UNWIND_STATUS_COUNT &&
	       strcmp(name, unwind_status_name((enum unwind_status)i)) != 0)
		i++;
	return i;
}

static struct error *decode_head(struct decoder *d, struct cursor c)
{
	struct recording *r = d->r;

	if (d->statuses.count)
		return damaged("a second head");
	r->start_ns = cursor_uleb(&c);
	r->start_wall_ns = cursor_uleb(&c);
	r->backend = next_string(d, &c);
	r->host = next_string(d, &c);
	r->boot = next_string(d, &c);
	for (uint64_t n = cursor_uleb(&c); n && cursor_ok(&c); n--)
		vec_push(&r->command, next_string(d, &c));
	for (uint64_t n = cursor_uleb(&c); n && cursor_ok(&c); n--)
		vec_push(&d->statuses, status_of(intern_get(&r->strings, next_string(d, &c))));
	if (cursor_ok(&c) && cursor_left(&c)) /* since 1.1 */
		r->backend_reason = next_string(d, &c);
	if (cursor_ok(&c) && cursor_left(&c))
		r->target = next_string(d, &c);
	return cursor_ok(&c) ? NULL : damaged("a head that ends early");
}

static struct error *decode_strings(struct decoder *d, struct cursor c)
{
	struct intern *strings = &d->r->strings;
	struct columns columns;

	TRY(open_columns(&c, 2, &columns));
	for (uint64_t i = 0; i < columns.records; i++) {
		uint64_t n = next(&columns, 0);
		const char *s = cursor_bytes(&columns.at[1], n);
		uint32_t id = strings->count;
		if (!columns_ok(&columns, 2) || n > RECORDING_STRING_MAX)
			return damaged("a string that ends early");
		if (intern_bytes(strings, s, n) != id)
			return damaged("the same string twice");
	}
	return NULL;
}

/* --- rows --- */

struct row {
	uint8_t tag;
	struct cursor c;
};

/* A number that must be below a limit; the row fails else. */
static uint32_t row_below(struct row *row, uint64_t limit)
{
	uint64_t v = cursor_uleb(&row->c);

	if (v >= limit)
		row->c.failed = true;
	return row->c.failed ? 0 : (uint32_t)v;
}

static void decode_file(struct recording *r, struct row *row)
{
	struct recording_file f = { .kind = (enum recording_file_kind)row_below(
					    row, RECORDING_FILE_SENTINEL + 1),
				    .path = row_below(row, r->strings.count),
				    .process = row_below(row, r->processes.count) };

	f.build_id.size = (uint8_t)row_below(row, BUILD_ID_MAX + 1);
	for (size_t i = 0; i < f.build_id.size; i++)
		f.build_id.bytes[i] = (uint8_t)row_below(row, 256);
	if (!row->c.failed)
		vec_push(&r->files, f);
}

static void decode_mapping(struct recording *r, struct row *row)
{
	struct recording_mapping m = { .process = row_below(row, r->processes.count),
				       .file = row_below(row, r->files.count) };

	m.start = cursor_uleb(&row->c);
	m.end = m.start + cursor_uleb(&row->c);
	m.offset = cursor_uleb(&row->c);
	m.bias = m.start - cursor_uleb(&row->c);
	m.time_ns = cursor_uleb(&row->c);
	if (m.end < m.start)
		row->c.failed = true;
	if (!row->c.failed)
		vec_push(&r->mappings, m);
}

static void decode_process(struct recording *r, struct row *row)
{
	struct recording_process p = { 0 };

	p.pid = row_below(row, 1ULL << 32);
	p.ns_pid = row_below(row, 1ULL << 32);
	p.parent = row_below(row, r->processes.count);
	p.uid = row_below(row, 1ULL << 32);
	p.start_ns = cursor_uleb(&row->c);
	p.root = row_below(row, r->strings.count);
	if (!row->c.failed)
		vec_push(&r->processes, p);
}

static void decode_small_row(struct recording *r, struct row *row)
{
	struct recording_event e;
	struct recording_thread t;
	struct recording_comm c;

	switch (row->tag) {
	case RECORDING_TAG_EVENT:
		e.name = row_below(row, r->strings.count);
		e.type = row_below(row, r->strings.count);
		e.unit = row_below(row, r->strings.count);
		e.period = cursor_uleb(&row->c);
		e.frequency_hz = cursor_uleb(&row->c);
		if (!row->c.failed)
			vec_push(&r->events, e);
		break;
	case RECORDING_TAG_THREAD:
		t.process = row_below(row, r->processes.count);
		t.tid = row_below(row, 1ULL << 32);
		if (!row->c.failed)
			vec_push(&r->threads, t);
		break;
	case RECORDING_TAG_COMM:
		c.thread = row_below(row, r->threads.count);
		c.name = row_below(row, r->strings.count);
		c.time_ns = cursor_uleb(&row->c);
		if (!row->c.failed)
			vec_push(&r->comms, c);
		break;
	default: /* a newer version's */
		break;
	}
}

static void decode_note(struct decoder *d, struct row *row)
{
	struct recording *r = d->r;
	struct recording_fact f;
	struct recording_diagnostic g;

	switch (row->tag) {
	case RECORDING_TAG_FACT:
		f.key = row_below(row, r->strings.count);
		f.value = cursor_uleb(&row->c);
		if (row->c.failed)
			break;
		uint32_t *index = map_at(&d->fact_ids, f.key);
		if (*index == MAP_NONE) {
			*index = (uint32_t)r->facts.count;
			vec_push(&r->facts, f);
		}
		r->facts.items[*index] = f;
		break;
	case RECORDING_TAG_DIAGNOSTIC:
		g.time_ns = cursor_uleb(&row->c);
		g.text = row_below(row, r->strings.count);
		if (!row->c.failed)
			vec_push(&r->diagnostics, g);
		break;
	default:
		break;
	}
}

static struct error *decode_rows(struct decoder *d, struct cursor c)
{
	while (cursor_left(&c)) {
		struct row row = { .tag = cursor_u8(&c) };
		row.c = cursor_sub(&c, cursor_uleb(&c));
		if (!cursor_ok(&c))
			return damaged("a row that ends early");
		if (row.tag == RECORDING_TAG_FILE)
			decode_file(d->r, &row);
		else if (row.tag == RECORDING_TAG_MAPPING)
			decode_mapping(d->r, &row);
		else if (row.tag == RECORDING_TAG_PROCESS)
			decode_process(d->r, &row);
		else if (row.tag >= RECORDING_TAG_FACT)
			decode_note(d, &row);
		else
			decode_small_row(d->r, &row);
		if (row.c.failed)
			return damaged("a row with a wrong number");
	}
	return NULL;
}

/* --- locations and stacks --- */

static struct error *decode_locations(struct decoder *d, struct cursor c)
{
	struct recording *r = d->r;
	struct columns columns;
	uint64_t file = 0;

	TRY(open_columns(&c, LOCATION_COLUMNS, &columns));
	for (uint64_t i = 0; i < columns.records; i++) {
		file = next_delta(&columns, COLUMN_LOCATION_FILE, file);
		uint64_t flags = next(&columns, COLUMN_LOCATION_FLAGS);
		if (!columns_ok(&columns, LOCATION_COLUMNS) || !file || file >= r->files.count)
			return damaged("a location in no file");

		uint64_t *last = address_model_at(&d->addresses, (uint32_t)file);
		*last = next_delta(&columns, COLUMN_LOCATION_ADDRESS, *last);
		if (!columns_ok(&columns, LOCATION_COLUMNS) || r->locations.count > UINT32_MAX - 2)
			return damaged("a location that ends early");
		vec_push(&r->locations, (struct recording_location){ .file = (uint32_t)file,
								     .is_return = flags & 1,
								     .guessed = flags >> 1 & 1,
								     .address = *last });
	}
	return NULL;
}

static struct error *decode_stacks(struct decoder *d, struct cursor c)
{
	struct recording *r = d->r;
	struct columns columns;
	uint64_t run = 0;

	TRY(open_columns(&c, STACK_COLUMNS, &columns));
	for (uint64_t i = 0; i < columns.records; i++, run--) {
		uint64_t parent = r->stacks.count - 1;
		if (!run) {
			uint64_t back = next(&columns, COLUMN_STACK_ATTACH);
			run = next(&columns, COLUMN_STACK_RUN);
			if (!run || back > parent)
				return damaged("a stack that hangs on none");
			parent -= back;
		}

		uint32_t outer = parent ? r->stacks.items[parent].location : 0;
		uint64_t rank = next(&columns, COLUMN_STACK_RANK);
		uint64_t given =
			rank == PATH_RANK_EXPLICIT ? next(&columns, COLUMN_STACK_LOCATION) : 0;
		if (!columns_ok(&columns, STACK_COLUMNS) || given >= r->locations.count ||
		    r->stacks.count > UINT32_MAX - 2)
			return damaged("a stack that ends early");

		uint32_t location = path_model_location(&d->paths, outer, rank, (uint32_t)given);
		if (!location || location >= r->locations.count)
			return damaged("a stack at no location");
		vec_push(&r->stacks, (struct recording_stack){ (uint32_t)parent, location });
	}
	return NULL;
}

/* --- samples --- */

static struct error *decode_sample(struct decoder *d, struct columns *c)
{
	const struct recording *r = d->r;
	const struct recording_sample *last = &d->samples.last;
	uint64_t cpu = next_delta(c, COLUMN_SAMPLE_CPU, last->cpu);
	uint64_t thread = next_delta(c, COLUMN_SAMPLE_THREAD, last->thread);
	uint64_t stack = next_delta(c, COLUMN_SAMPLE_STACK, last->stack);
	uint64_t comm = next(c, COLUMN_SAMPLE_COMM);
	uint64_t event = next(c, COLUMN_SAMPLE_EVENT);
	uint64_t status = next(c, COLUMN_SAMPLE_STATUS);
	uint64_t weight = next_delta(c, COLUMN_SAMPLE_WEIGHT, last->weight);

	if (!columns_ok(c, SAMPLE_COLUMNS) || cpu > UINT16_MAX || thread >= r->threads.count ||
	    stack >= r->stacks.count || comm > r->strings.count || event >= r->events.count ||
	    event > UINT16_MAX || status >= d->statuses.count)
		return damaged("a sample with a wrong number");
	if (d->statuses.items[status] == UNWIND_STATUS_COUNT)
		return error_hint(error_new(ERR_UNSUPPORTED,
					    "a stack's status that this cprof does not know"),
				  "a newer cprof made the recording: read it with that one");

	struct recording_sample s = {
		.time_ns = next_delta(c, COLUMN_SAMPLE_TIME,
				      sample_model_time(&d->samples, (uint16_t)cpu)),
		.weight = weight,
		.thread = (uint32_t)thread,
		.comm = comm ? (uint32_t)comm - 1
			     : sample_model_comm(&d->samples, (uint32_t)thread),
		.stack = (uint32_t)stack,
		.cpu = (uint16_t)cpu,
		.event = (uint16_t)event,
		.status = (enum unwind_status)d->statuses.items[status],
	};
	if (!columns_ok(c, SAMPLE_COLUMNS))
		return damaged("a sample that ends early");
	sample_model_add(&d->samples, &s, r->events.items[event].period);
	vec_push(&d->r->samples, s);
	return NULL;
}

static struct error *decode_samples(struct decoder *d, struct cursor c)
{
	struct columns columns;

	TRY(open_columns(&c, SAMPLE_COLUMNS, &columns));
	sample_model_begin_chunk(&d->samples);
	for (uint64_t i = 0; i < columns.records; i++)
		TRY(decode_sample(d, &columns));
	return NULL;
}

/* --- symbols --- */

static struct error *decode_symbols(struct decoder *d, struct cursor c)
{
	struct recording *r = d->r;
	struct columns columns;
	uint64_t location = 0, name = 0, source = 0;

	TRY(open_columns(&c, SYMBOL_COLUMNS, &columns));
	for (uint64_t i = 0; i < columns.records; i++) {
		location = next_delta(&columns, COLUMN_SYMBOL_LOCATION, location);
		uint64_t start = next_delta(&columns, COLUMN_SYMBOL_START, 0);
		uint64_t count = next(&columns, COLUMN_SYMBOL_COUNT);
		if (!columns_ok(&columns, SYMBOL_COLUMNS) || !location ||
		    location >= r->locations.count || r->symbol_frames.count > UINT32_MAX / 2 ||
		    count > cursor_left(&columns.at[COLUMN_FRAME_NAME]))
			return damaged("a symbol at no location");
		vec_push(&r->symbols, (struct recording_symbol){
					      .location = (uint32_t)location,
					      .first = (uint32_t)r->symbol_frames.count,
					      .count = (uint32_t)count,
					      .start = r->locations.items[location].address - start,
				      });
		for (uint64_t k = 0; k < count; k++) {
			name = next_delta(&columns, COLUMN_FRAME_NAME, name);
			source = next_delta(&columns, COLUMN_FRAME_SOURCE, source);
			uint64_t line = next(&columns, COLUMN_FRAME_LINE);
			uint64_t flags = next(&columns, COLUMN_FRAME_FLAGS);
			if (!columns_ok(&columns, SYMBOL_COLUMNS) || name >= r->strings.count ||
			    source >= r->strings.count || line > UINT32_MAX)
				return damaged("a symbol with a wrong number");
			vec_push(&r->symbol_frames,
				 (struct recording_symbol_frame){ .name = (uint32_t)name,
								  .source = (uint32_t)source,
								  .line = (uint32_t)line,
								  .inlined = flags & 1,
								  .is_folded = flags >> 1 & 1 });
		}
	}
	return NULL;
}

struct error *decode_chunk(struct decoder *d, enum recording_chunk kind, struct cursor c)
{
	if (kind == RECORDING_CHUNK_STRINGS)
		return decode_strings(d, c);
	if (kind == RECORDING_CHUNK_HEAD)
		return decode_head(d, c);
	if (!d->statuses.count)
		return damaged("no head in front");
	switch (kind) {
	case RECORDING_CHUNK_TABLES:
	case RECORDING_CHUNK_NOTES:
		return decode_rows(d, c);
	case RECORDING_CHUNK_LOCATIONS:
		return decode_locations(d, c);
	case RECORDING_CHUNK_STACKS:
		return decode_stacks(d, c);
	case RECORDING_CHUNK_SAMPLES:
		return decode_samples(d, c);
	case RECORDING_CHUNK_SYMBOLS:
		return decode_symbols(d, c);
	default:
		return NULL;
	}
}
