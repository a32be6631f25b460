#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

size_t utf8_sequence(const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	uint32_t point, least;
	size_t len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	if ((p[0] & 0xe0) == 0xc0) {
		len = 2, point = p[0] & 0x1f, least = 0x80;
	} else if ((p[0] & 0xf0) == 0xe0) {
		len = 3, point = p[0] & 0x0f, least = 0x800;
	} else if ((p[0] & 0xf8) == 0xf0) {
		len = 4, point = p[0] & 0x07, least = 0x10000;
	} else {
		return 0;
	}
	if (len > n)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3f);
	}
	if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return len;
}

bool utf8_valid(const char *s, size_t n)
{
	while (n) {
		size_t len = utf8_sequence(s, n);
		if (!len)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

void utf8_add_valid(struct buf *out, const char *s, size_t n)
{
	while (n) {
		size_t len = utf8_sequence(s, n);
		if (len)
			buf_add(out, s, len);
		else
			buf_add_str(out, "\xef\xbf\xbd");
		len = len ? len : 1;
		s += len;
		n -= len;
	}
}

void text_add_thousands(struct buf *out, uint64_t v)
{
	struct buf digits = { 0 };

	buf_add_u64(&digits, v);
	for (size_t i = 0; i < digits.len; i++) {
		if (i && (digits.len - i) % 3 == 0)
			buf_add_char(out, ',');
		buf_add_char(out, digits.data[i]);
	}
	buf_deinit(&digits);
}

void text_add_printable(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '\n')
			buf_add_str(out, "\\n");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_add_char(out, (char)c);
	}
}

/* Levenshtein distance over one rolling row; words are short. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[64];
	size_t na = strlen(a), nb = strlen(b);

	if (na >= ARRAY_SIZE(row) || nb >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t up = row[j];
			size_t best = MIN(MIN(row[j] + 1, row[j - 1] + 1),
					  diagonal + (a[i - 1] != b[j - 1]));
			diagonal = up;
			row[j] = best;
		}
	}
	return row[nb];
}

const char *text_nearest(const char *word, const char *const *words, size_t count)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 3 + 2;

	for (size_t i = 0; i < count; i++) {
		size_t d = edit_distance(word, words[i]);
		if (d < best_distance) {
			best_distance = d;
			best = words[i];
		}
	}
	return best;
}

struct error *parse_u64(const char *s, const char *what, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (*s < '0' || *s > '9' || *end)
		return error_new(ERR_USAGE, "%s: '%s' is not a whole number", what, s);
	if (errno || v > max)
		return error_new(ERR_USAGE, "%s: %s is too large (at most %llu)", what, s,
				 (unsigned long long)max);
	*ret = v;
	return NULL;
}

/* A plain decimal number; `*ret_unit` is what follows it. */
static struct error *parse_number(const char *s, const char *what, double *ret,
				  const char **ret_unit)
{
	size_t digits = strspn(s, "0123456789.");
	char *end;
	double v = strtod(s, &end);

	if (!digits || end != s + digits || !isfinite(v))
		return error_new(ERR_USAGE, "%s: '%s' is not a number", what, s);
	*ret = v;
	*ret_unit = s + digits;
	return NULL;
}

struct error *parse_double(const char *s, const char *what, double *ret)
{
	const char *unit;
	double v;

	TRY(parse_number(s, what, &v, &unit));
	if (*unit)
		return error_new(ERR_USAGE, "%s: '%s' is not a number", what, s);
	*ret = v;
	return NULL;
}

struct unit {
	const char *name;
	double factor;
};

static struct error *parse_with_unit(const char *s, const char *what, const struct unit *units,
				     size_t n_units, const char *kind, uint64_t *ret)
{
	const char *name;
	double v;

	TRY(parse_number(s, what, &v, &name));
	for (size_t i = 0; i < n_units; i++) {
		if (strcmp(name, units[i].name) != 0)
			continue;
		v *= units[i].factor;
		if (v >= 9.2e18)
			return error_new(ERR_USAGE, "%s: %s is too large", what, s);
		*ret = (uint64_t)(v + 0.5);
		return NULL;
	}
	return error_new(ERR_USAGE, "%s: '%s' is not a %s", what, s, kind);
}

struct error *parse_duration_ns(const char *s, const char *what, uint64_t *ret_ns)
{
	static const struct unit units[] = { { "", 1e9 },     { "s", 1e9 },   { "ms", 1e6 },
					     { "us", 1e3 },   { "ns", 1 },    { "m", 60e9 },
					     { "min", 60e9 }, { "h", 3600e9 } };

	return error_hint(parse_with_unit(s, what, units, ARRAY_SIZE(units), "duration", ret_ns),
			  "durations are written 10ms, 5s, 2m; a bare number is seconds");
}

struct error *parse_size(const char *s, const char *what, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 }, { "K", 1024 }, { "k", 1024 }, { "M", 1048576.0 }, { "G", 1073741824.0 }
	};

	return error_hint(parse_with_unit(s, what, units, ARRAY_SIZE(units), "size", ret_bytes),
			  "sizes are written 512, 64K, 2M");
}
