/* A report for machines: docs/report.schema.json describes it. Fields are only ever added. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "profiler/analysis/account.h"
#include "profiler/analysis/entries.h"
#include "profiler/analysis/health.h"
#include "profiler/analysis/report.h"

#define SCHEMA "cprof.report/1"

/* The end of keys that hold values of a type: `self_ns`, `total_samples`. */
static const char *unit_suffix(const struct report *r)
{
	const struct profile_value_type *t = &r->profile->types.items[r->type];
	const char *unit = profile_text(r->profile, t->unit);

	if (strcmp(unit, "nanoseconds") == 0)
		return "ns";
	if (strcmp(unit, "bytes") == 0)
		return "bytes";
	if (strcmp(unit, "count") != 0)
		return "value";
	return strcmp(profile_text(r->profile, t->type), "samples") == 0 ? "samples" : "count";
}

static void key_value(struct json *j, const char *what, const char *suffix, int64_t value)
{
	char key[32];

	snprintf(key, sizeof(key), "%s_%s", what, suffix);
	json_key(j, key);
	json_i64(j, value);
}

static void key_percent(struct json *j, const char *key, int64_t value, int64_t sum)
{
	json_key(j, key);
	json_double(j, hot_percent(value, sum), 3);
}

static void key_string(struct json *j, const char *key, const struct intern *strings, uint32_t id)
{
	json_key(j, key);
	json_strn(j, intern_get(strings, id), intern_len(strings, id));
}

static void write_ledger(struct json *j, const struct recording *r)
{
	struct account a;

	account_of(r, &a);
	if (!a.expected)
		return;
	json_key(j, "ledger");
	json_object(j);
	json_key_u64(j, "expected_samples", a.expected);
	json_key_u64(j, "emitted_samples", a.emitted);
	json_key_u64(j, "lost_samples", a.lost);
	if (a.has_entries) {
		json_key_u64(j, "program_entries", a.entries);
		json_key_u64(j, "missed_samples", a.missed);
		json_key_u64(j, "filtered_samples", a.filtered);
		json_key_u64(j, "idle_samples", a.idle);
		json_key_u64(j, "idle_unseen_samples", a.idle_unseen);
	}
	json_key(j, "unaccounted_samples");
	json_i64(j, a.open);
	json_object_end(j);
}

static void key_cost_percent(struct json *j, const char *key, const struct cost *c, uint64_t ns)
{
	json_key(j, key);
	if (c->target_ns)
		json_double(j, cost_percent(c, ns), 3);
	else
		json_null(j);
}

static void write_cost(struct json *j, const struct recording *r)
{
	struct cost c;

	cost_of(r, &c);
	json_key(j, "cost");
	json_object(j);
	json_key_u64(j, "target_cpu_ns", c.target_ns);
	json_key_u64(j, "total_ns", c.all_ns);
	json_key_u64(j, "kernel_ns", c.kernel_ns);
	json_key_u64(j, "load_ns", c.load_ns);
	json_key_u64(j, "tables_ns", c.tables_ns);
	json_key_u64(j, "names_ns", c.names_ns);
	key_cost_percent(j, "percent", &c, c.all_ns);
	key_cost_percent(j, "percent_without_tables_and_names", &c, cost_running_ns(&c));
	json_object_end(j);
}

static void write_recording(struct json *j, const struct recording *r)
{
	json_key(j, "recording");
	json_object(j);
	json_key(j, "command");
	json_array(j);
	for (size_t i = 0; i < r->command.count; i++)
		json_strn(j, intern_get(&r->strings, r->command.items[i]),
			  intern_len(&r->strings, r->command.items[i]));
	json_array_end(j);
	json_key(j, "target");
	if (r->target)
		json_strn(j, intern_get(&r->strings, r->target),
			  intern_len(&r->strings, r->target));
	else
		json_null(j);
	key_string(j, "host", &r->strings, r->host);
	key_string(j, "backend", &r->strings, r->backend);
	json_key(j, "backend_reason");
	if (r->backend_reason)
		json_strn(j, intern_get(&r->strings, r->backend_reason),
			  intern_len(&r->strings, r->backend_reason));
	else
		json_null(j);
	json_key(j, "was_cut");
	json_bool(j, r->was_cut);
	json_key_u64(j, "cut_bytes", r->cut_bytes);
	json_key(j, "chunk_bytes");
	json_object(j);
	for (size_t i = 0; i < RECORDING_CHUNK_KINDS; i++)
		json_key_u64(j, recording_chunk_name((enum recording_chunk)i), r->chunk_bytes[i]);
	json_object_end(j);
	json_key(j, "facts");
	json_object(j);
	for (size_t i = 0; i < r->facts.count; i++)
		json_key_u64(j, intern_get(&r->strings, r->facts.items[i].key),
			     r->facts.items[i].value);
	json_object_end(j);
	write_ledger(j, r);
	write_cost(j, r);
	json_key(j, "diagnostics");
	json_array(j);
	for (size_t i = 0; i < r->diagnostics.count; i++)
		json_strn(j, intern_get(&r->strings, r->diagnostics.items[i].text),
			  intern_len(&r->strings, r->diagnostics.items[i].text));
	json_array_end(j);
	json_object_end(j);
}

/* Where the whole stacks end. */
static void write_entries(struct json *j, const struct recording *r)
{
	CLEANUP(buf_deinit) struct buf name = { 0 };
	struct entries entries;

	entries_of(r, &entries);
	json_key(j, "entries");
	json_array(j);
	for (size_t i = 0; i < entries.items.count; i++) {
		buf_clear(&name);
		entry_add_name(&name, r, &entries.items.items[i]);
		json_object(j);
		json_key_str(j, "name", buf_str(&name));
		json_key_u64(j, "samples", entries.items.items[i].samples);
		json_object_end(j);
	}
	json_array_end(j);
	entries_deinit(&entries);
}

static void write_health(struct json *j, const struct recording *r)
{
	struct health h;
	uint64_t stacks, better;

	health_of(r, &h);
	stacks = h.whole + h.cut;
	better = health_better_frequency(r, &h);
	json_key(j, "health");
	json_object(j);
	json_key_u64(j, "samples", h.samples);
	json_key_u64(j, "complete_stacks", h.whole);
	json_key_u64(j, "cut_stacks", h.cut);
	json_key(j, "complete_percent");
	if (stacks)
		json_double(j, (double)h.whole * 100 / (double)stacks, 4);
	else
		json_null(j);
	json_key(j, "statuses");
	json_object(j);
	for (size_t i = 0; i < UNWIND_STATUS_COUNT; i++)
		if (h.by_status[i])
			json_key_u64(j, unwind_status_name((enum unwind_status)i), h.by_status[i]);
	json_object_end(j);
	write_entries(j, r);
	json_key(j, "too_few_samples");
	json_bool(j, h.samples < HEALTH_FEW_SAMPLES);
	if (better)
		json_key_u64(j, "suggested_frequency_hz", better);
	json_object_end(j);
}

static void write_functions(struct json *j, const struct report *r, const char *suffix)
{
	size_t n = report_count(r);

	json_key(j, "functions");
	json_array(j);
	for (size_t i = 0; i < n; i++) {
		const struct hot_function *f = &r->hot.functions.items[i];
		json_object(j);
		key_string(j, "name", &r->profile->strings, f->name);
		json_key_str(j, "kind", report_kind(f->kind));
		key_value(j, "self", suffix, f->self);
		key_value(j, "total", suffix, f->total);
		key_percent(j, "self_percent", f->self, r->hot.sum);
		key_percent(j, "total_percent", f->total, r->hot.sum);
		json_object_end(j);
	}
	json_array_end(j);
}

/* A flat list, parents first: a nested one of a thousand levels is more than most readers take. */
static void write_tree(struct json *j, const struct report *r, const char *suffix)
{
	const struct calltree_node *nodes = r->tree.nodes.items;
	struct report_children children = { 0 };
	VEC(uint32_t) open = { 0 };

	json_key(j, "tree");
	json_array(j);
	vec_push(&open, 0);
	while (open.count) {
		uint32_t at = open.items[--open.count];
		json_object(j);
		json_key_u64(j, "id", at);
		if (at) {
			json_key_u64(j, "parent", nodes[at].parent);
			json_key(j, "name");
			json_strn(j, calltree_name(&r->tree, at), calltree_name_len(&r->tree, at));
			json_key_str(j, "kind", report_kind((enum frame_kind)nodes[at].kind));
		} else {
			json_key_str(j, "name", "all");
		}
		key_value(j, "self", suffix, nodes[at].self);
		key_value(j, "total", suffix, nodes[at].total);
		json_object_end(j);
		report_children_of(r, at, &children);
		for (size_t i = children.nodes.count; i-- > 0;)
			vec_push(&open, children.nodes.items[i]);
	}
	json_array_end(j);
	vec_deinit(&children.nodes);
	vec_deinit(&open);
}

void report_json(const struct report *r, struct sink *out)
{
	const struct profile_value_type *t = &r->profile->types.items[r->type];
	const char *suffix = unit_suffix(r);
	struct json j = json_make(out, true);

	json_object(&j);
	json_key_str(&j, "schema", SCHEMA);
	json_key_str(&j, "file", r->file);
	json_key_str(&j, "format", r->format);
	key_string(&j, "type", &r->profile->strings, t->type);
	key_string(&j, "unit", &r->profile->strings, t->unit);
	key_value(&j, "total", suffix, r->hot.sum);
	json_key(&j, "start_unix_ns");
	json_i64(&j, r->profile->time_ns);
	json_key(&j, "duration_ns");
	json_i64(&j, r->profile->duration_ns);
	if (r->recording) {
		write_recording(&j, r->recording);
		write_health(&j, r->recording);
	}
	json_key_u64(&j, "function_count", r->hot.functions.count);
	write_functions(&j, r, suffix);
	if (r->with_tree)
		write_tree(&j, r, suffix);
	json_object_end(&j);
	sink_str(out, "\n");
}
