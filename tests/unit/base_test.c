/* base/: the pieces that everything else stands on. */
#include "tests/unit/unit.h"

#include <math.h>
#include <sys/resource.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/file.h"
#include "base/intern.h"
#include "base/json.h"
#include "base/map.h"
#include "base/options.h"
#include "base/text.h"
#include "base/vec.h"

static void errors_carry_context_and_hint(void **state)
{
	struct error *err = error_errno(ENOENT, "cannot open %s", "x");

	err = error_hint(error_prefix(err, "reading %s", "y"), "try z");
	assert_string_equal(error_message(err),
			    "reading y: cannot open x: No such file or directory");
	assert_string_equal(error_hint_of(err), "try z");
	assert_int_equal(error_code_of(err), ERR_NOT_FOUND);
	error_free(err);
	assert_null(error_prefix(NULL, "context of nothing"));
}

static void cursor_stops_at_the_end(void **state)
{
	const uint8_t bytes[] = { 1, 2, 0, 0xe5, 0x8e, 0x26, 0x7f, 0x80, 0x80 };
	struct cursor c = cursor_make(bytes, sizeof(bytes));

	assert_int_equal(cursor_u8(&c), 1);
	assert_int_equal(cursor_u16(&c), 2);
	assert_int_equal(cursor_uleb(&c), 624485);
	assert_int_equal(cursor_sleb(&c), -1);
	assert_true(cursor_ok(&c));
	assert_int_equal(cursor_uleb(&c), 0); /* no last byte */
	assert_false(cursor_ok(&c));
	assert_int_equal(cursor_u8(&c), 0);
}

static void uleb_beyond_64_bits_is_refused(void **state)
{
	const uint8_t bytes[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 };
	struct cursor c = cursor_make(bytes, sizeof(bytes));

	cursor_uleb(&c);
	assert_false(cursor_ok(&c));
}

static void descriptors_up_to_the_hard_limit(void **state)
{
	struct rlimit before, now;
	uint64_t most = 0;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = 64;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_true(fd_make_room(64, &most));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(now.rlim_cur, 64); /* it was enough */
	assert_true(fd_make_room(65, &most));
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_int_equal(now.rlim_cur, before.rlim_max);
	if (before.rlim_max != RLIM_INFINITY) {
		assert_false(fd_make_room(before.rlim_max + 1, &most));
		assert_int_equal(most, before.rlim_max);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Keys that lie behind one another, over the table's end too, are found when one of them goes. */
static void map_forgets(void **state)
{
	struct map m = { 0 };
	uint32_t random = 1;
	bool there[5000] = { 0 };

	for (uint32_t i = 0; i < 200000; i++) {
		uint32_t key = (random = random * 1664525u + 1013904223u) >> 8;

		key %= ARRAY_SIZE(there);
		assert_int_equal(map_find(&m, key), there[key] ? key : MAP_NONE);
		if (there[key])
			map_remove(&m, key);
		else
			*map_at(&m, key) = key;
		there[key] = !there[key];
		if (i % 10000 == 0)
			for (uint32_t k = 0; k < ARRAY_SIZE(there); k++)
				assert_int_equal(map_find(&m, k), there[k] ? k : MAP_NONE);
	}
	map_remove(&m, 1u << 30);
	assert_true(m.mask < 4 * ARRAY_SIZE(there)); /* those that come and go take no room */
	map_deinit(&m);
}

static void map_keeps_every_key(void **state)
{
	struct map m = { 0 };

	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t *value = map_at(&m, (uint64_t)i << 20);
		assert_int_equal(*value, MAP_NONE);
		*value = i;
	}
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(map_find(&m, (uint64_t)i << 20), i);
	assert_int_equal(map_find(&m, 1), MAP_NONE);
	map_deinit(&m);
}

static void intern_gives_one_id_a_string(void **state)
{
	struct intern t;

	intern_init(&t);
	assert_int_equal(intern_str(&t, ""), 0);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < 5000; i++) {
			char name[32];
			snprintf(name, sizeof(name), "name %u", i);
			assert_int_equal(intern_str(&t, name), i + 1);
		}
	}
	assert_string_equal(intern_get(&t, 4711), "name 4710");
	intern_deinit(&t);
}

static void json_escapes_what_a_script_must_not_see(void **state)
{
	struct buf b = { 0 };
	struct sink *s = sink_to_buf(&b);
	struct json j = json_make(s, false);

	json_object(&j);
	json_key_str(&j, "a", "</script>\x1b\xff\"\\\xe2\x80\xa8");
	json_key(&j, "n");
	json_double(&j, INFINITY, 2);
	json_object_end(&j);
	assert_null(sink_close(s));
	assert_string_equal(buf_str(&b),
			    "{\"a\":\"\\u003c/script\\u003e\\u001b\xef\xbf\xbd\\\"\\\\\\u2028\","
			    "\"n\":null}");
	buf_deinit(&b);
}

static void durations_and_sizes(void **state)
{
	uint64_t v;

	assert_null(parse_duration_ns("10ms", "x", &v));
	assert_int_equal(v, 10000000);
	assert_null(parse_duration_ns("1.5", "x", &v));
	assert_int_equal(v, 1500000000);
	assert_null(parse_size("64K", "x", &v));
	assert_int_equal(v, 65536);
	struct error *err = parse_duration_ns("5 parsecs", "--duration", &v);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	error_free(err);
	err = parse_u64("-1", "--frequency", 100, &v);
	assert_non_null(err);
	error_free(err);
}

static void options_take_all_spellings(void **state)
{
	uint64_t hz = 0;
	bool quiet = false;
	const char *out = NULL;
	const struct option_spec specs[] = {
		{ "frequency", 'F', OPTION_UINT, "HZ", "rate", &hz, NULL },
		{ "quiet", 'q', OPTION_FLAG, NULL, "say nothing", &quiet, NULL },
		{ "output", 'o', OPTION_STRING, "FILE", "file", &out, NULL },
	};
	const struct options o = { specs, ARRAY_SIZE(specs), true, NULL };
	char words[7][16] = { "record", "-qF99", "--output=x", "./app", "-x", "--", "y" };
	char *argv[] = {
		words[0], words[1], words[2], words[3], words[4], words[5], words[6], NULL
	};
	int first;

	assert_null(options_parse(&o, 7, argv, &first));
	assert_int_equal(hz, 99);
	assert_true(quiet);
	assert_string_equal(out, "x");
	assert_string_equal(argv[first], "./app");
	assert_string_equal(argv[first + 2], "--");

	char wrong[] = "--frequenzy";
	char *bad[] = { words[0], wrong, NULL };
	struct error *err = options_parse(&o, 2, bad, &first);
	assert_int_equal(error_code_of(err), ERR_USAGE);
	assert_string_equal(error_hint_of(err), "did you mean --frequency?");
	error_free(err);
}

static void bad_utf8_is_replaced(void **state)
{
	struct buf b = { 0 };

	utf8_add_valid(&b, "a\xc0\xaf\xed\xa0\x80z\xf0\x9f\x98\x80", 11);
	assert_string_equal(buf_str(&b),
			    "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"
			    "\xf0\x9f\x98\x80");
	buf_deinit(&b);
}

static void a_queue_sheds_what_was_taken(void **state)
{
	VEC(int) queue = { 0 };
	size_t taken = 0, most = 0;

	vec_shed(&queue, &taken);
	for (int i = 0; i < 1000; i++) {
		vec_push(&queue, i);
		if (i >= 10) /* ten always wait */
			assert_int_equal(queue.items[taken++], i - 10);
		vec_shed(&queue, &taken);
		most = MAX(most, queue.count);
	}
	assert_in_range(most, 11, 22);
	assert_int_equal(queue.count - taken, 10);
	vec_deinit(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_carry_context_and_hint),
		cmocka_unit_test(cursor_stops_at_the_end),
		cmocka_unit_test(uleb_beyond_64_bits_is_refused),
		cmocka_unit_test(map_keeps_every_key),
		cmocka_unit_test(map_forgets),
		cmocka_unit_test(descriptors_up_to_the_hard_limit),
		cmocka_unit_test(intern_gives_one_id_a_string),
		cmocka_unit_test(json_escapes_what_a_script_must_not_see),
		cmocka_unit_test(durations_and_sizes),
		cmocka_unit_test(options_take_all_spellings),
		cmocka_unit_test(bad_utf8_is_replaced),
		cmocka_unit_test(a_queue_sheds_what_was_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
