#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static void newline(struct json *j)
{
	sink_write(j->out, "\n", 1);
	for (unsigned int i = 0; i < j->depth; i++)
		sink_write(j->out, "  ", 2);
}

/* What stands between the value before and the one that comes now. */
static void separate(struct json *j)
{
	if (j->after_key) {
		j->after_key = false;
		return;
	}
	if (j->has_items)
		sink_write(j->out, ",", 1);
	if (j->pretty && j->depth)
		newline(j);
	j->has_items = true;
}

static void open_level(struct json *j, const char *bracket)
{
	separate(j);
	sink_write(j->out, bracket, 1);
	j->depth++;
	j->has_items = false;
}

static void close_level(struct json *j, const char *bracket)
{
	j->depth--;
	if (j->pretty && j->has_items)
		newline(j);
	sink_write(j->out, bracket, 1);
	j->has_items = true;
	if (!j->depth && j->pretty)
		sink_write(j->out, "\n", 1);
}

void json_object(struct json *j)
{
	open_level(j, "{");
}

void json_object_end(struct json *j)
{
	close_level(j, "}");
}

void json_array(struct json *j)
{
	open_level(j, "[");
}

void json_array_end(struct json *j)
{
	close_level(j, "]");
}

static void quote(struct json *j, const char *s, size_t n)
{
	struct buf b = { 0 };

	buf_add_char(&b, '"');
	while (n) {
		size_t len = utf8_sequence(s, n);
		unsigned char c = (unsigned char)*s;

		if (len == 0)
			buf_add_str(&b, "\xef\xbf\xbd");
		else if (c == '"' || c == '\\')
			buf_printf(&b, "\\%c", c);
		else if (c == '\n')
			buf_add_str(&b, "\\n");
		else if (c == '\t')
			buf_add_str(&b, "\\t");
		else if (c < 0x20 || c == '<' || c == '>' || c == '&' || c == 0x7f)
			buf_printf(&b, "\\u%04x", c);
		else if (len == 3 && memcmp(s, "\xe2\x80\xa8", 3) == 0)
			buf_add_str(&b, "\\u2028");
		else if (len == 3 && memcmp(s, "\xe2\x80\xa9", 3) == 0)
			buf_add_str(&b, "\\u2029");
		else
			buf_add(&b, s, len);
		len = len ? len : 1;
		s += len;
		n -= len;
	}
	buf_add_char(&b, '"');
	sink_write(j->out, b.data, b.len);
	buf_deinit(&b);
}

void json_key(struct json *j, const char *key)
{
	separate(j);
	quote(j, key, strlen(key));
	sink_write(j->out, ": ", j->pretty ? 2 : 1);
	j->after_key = true;
}

void json_str(struct json *j, const char *s)
{
	json_strn(j, s, strlen(s));
}

void json_strn(struct json *j, const char *s, size_t n)
{
	separate(j);
	quote(j, s, n);
}

void json_u64(struct json *j, uint64_t v)
{
	separate(j);
	sink_printf(j->out, "%llu", (unsigned long long)v);
}

void json_i64(struct json *j, int64_t v)
{
	separate(j);
	sink_printf(j->out, "%lld", (long long)v);
}

void json_double(struct json *j, double v, int decimals)
{
	separate(j);
	if (isfinite(v))
		sink_printf(j->out, "%.*f", decimals, v);
	else
		sink_str(j->out, "null");
}

void json_bool(struct json *j, bool v)
{
	separate(j);
	sink_str(j->out, v ? "true" : "false");
}

void json_null(struct json *j)
{
	separate(j);
	sink_str(j->out, "null");
}

void json_key_str(struct json *j, const char *key, const char *s)
{
	json_key(j, key);
	json_str(j, s);
}

void json_key_u64(struct json *j, const char *key, uint64_t v)
{
	json_key(j, key);
	json_u64(j, v);
}
