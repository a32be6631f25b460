#include "flamegraph/formats/perf_script_line.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f');
}

static size_t skip_blanks(const char *s, size_t n, size_t i)
{
	while (i < n && is_blank(s[i]))
		i++;
	return i;
}

static size_t skip_word(const char *s, size_t n, size_t i)
{
	while (i < n && !is_blank(s[i]))
		i++;
	return i;
}

static size_t skip_digits(const char *s, size_t n, size_t i)
{
	while (i < n && is_digit(s[i]))
		i++;
	return i;
}

/* The digits s[from..to) as a number, cut at the largest. */
static int64_t number(const char *s, size_t from, size_t to)
{
	int64_t v = 0;

	for (size_t i = from; i < to; i++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, s[i] - '0', &v))
			return INT64_MAX;
	return v;
}

/* "12.345678:" at i: stores the time and the index behind the colon. */
static bool parse_time(const char *s, size_t n, size_t i, struct event_line *e, size_t *ret_end)
{
	size_t point = skip_digits(s, n, i);
	int64_t fraction = 0, seconds;

	if (point == i || point >= n || s[point] != '.')
		return false;
	size_t end = skip_digits(s, n, point + 1);
	if (end == point + 1 || end >= n || s[end] != ':')
		return false;
	seconds = number(s, i, point);
	for (size_t k = 0; k < 9; k++)
		fraction = fraction * 10 + (point + 1 + k < end ? s[point + 1 + k] - '0' : 0);
	if (__builtin_mul_overflow(seconds, 1000000000, &e->time_ns) ||
	    __builtin_add_overflow(e->time_ns, fraction, &e->time_ns))
		e->time_ns = INT64_MAX;
	*ret_end = end + 1;
	return true;
}

/* "123" or "123/124", the whole word. */
static bool parse_ids(const char *s, size_t from, size_t to, struct event_line *e)
{
	size_t first = skip_digits(s, to, from);

	e->pid = -1;
	if (first == from)
		return false;
	if (first == to) {
		e->tid = number(s, from, to);
		return true;
	}
	size_t second = skip_digits(s, to, first + 1);
	if (s[first] != '/' || second == first + 1 || second != to)
		return false;
	e->pid = number(s, from, first);
	e->tid = number(s, first + 1, to);
	return true;
}

static bool is_cpu(const char *s, size_t from, size_t to)
{
	return to - from > 2 && s[from] == '[' && s[to - 1] == ']' &&
	       skip_digits(s, to, from + 1) == to - 1;
}

static size_t word_start(const char *s, size_t begin, size_t end)
{
	while (end > begin && !is_blank(s[end - 1]))
		end--;
	return end;
}

static size_t trim_back(const char *s, size_t begin, size_t end)
{
	while (end > begin && is_blank(s[end - 1]))
		end--;
	return end;
}

/* What stands before the time, or before the event where there is no time: COMM PID[/TID] [CPU]. */
static void parse_head(const char *s, size_t begin, size_t end, struct event_line *e)
{
	size_t at;

	end = trim_back(s, begin, end);
	at = word_start(s, begin, end);
	if (is_cpu(s, at, end)) {
		end = trim_back(s, begin, at);
		at = word_start(s, begin, end);
	}
	e->who = (struct piece){ s + begin, end - begin };
	e->pid = e->tid = -1;
	if (parse_ids(s, at, end, e))
		end = trim_back(s, begin, at);
	e->comm = (struct piece){ s + begin, end - begin };
}

/* [PERIOD] EVENT: [payload] */
static void parse_tail(const char *s, size_t n, size_t i, struct event_line *e)
{
	i = skip_blanks(s, n, i);
	size_t end = skip_word(s, n, i);

	e->period = 0;
	if (end > i && skip_digits(s, end, i) == end) {
		e->period = number(s, i, end);
		i = skip_blanks(s, n, end);
		end = skip_word(s, n, i);
	}
	e->event = (struct piece){ s + i, 0 };
	if (end > i && s[end - 1] == ':') {
		e->event.n = end - 1 - i;
		i = skip_blanks(s, n, end);
	}
	e->payload = (struct piece){ s + i, trim_back(s, i, n) - i };
}

/* A line without a time must end in "EVENT:" and have a number before it that can be a thread. */
static bool parse_without_time(const char *s, size_t begin, size_t n, struct event_line *e)
{
	size_t end = trim_back(s, begin, n), i;

	if (end == begin || s[end - 1] != ':')
		return false;
	for (i = begin; i < end; i = skip_blanks(s, end, skip_word(s, end, i))) {
		size_t word = skip_word(s, end, i);
		if (i > begin && parse_ids(s, i, word, e))
			break;
	}
	if (i >= end)
		return false;
	i = skip_word(s, end, i);
	size_t next = skip_blanks(s, end, i), word = skip_word(s, end, next);
	if (is_cpu(s, next, word))
		i = word;
	parse_head(s, begin, i, e);
	e->time_ns = -1;
	parse_tail(s, n, i, e);
	return e->event.n && !e->payload.n;
}

bool perf_event_line(const char *s, size_t n, struct event_line *ret)
{
	size_t begin = skip_blanks(s, n, 0), behind;

	for (size_t i = begin; i < n; i = skip_blanks(s, n, skip_word(s, n, i))) {
		if (!is_digit(s[i]) || !parse_time(s, n, i, ret, &behind))
			continue;
		parse_head(s, begin, i, ret);
		parse_tail(s, n, behind, ret);
		return true;
	}
	return begin < n && parse_without_time(s, begin, n, ret);
}

/* Where " (DSO)" starts, at its parenthesis; n where there is none. The end of the symbol's offset
 * shows it; without an offset it is the group that the line's last parenthesis closes, so that
 * `(/bin/a b (deleted))` is one. */
static size_t dso_start(const char *s, size_t n)
{
	size_t depth = 0, found = n;

	if (!n || s[n - 1] != ')')
		return n;
	for (size_t i = n; i-- > 0;) {
		if (s[i] == ')') {
			depth++;
		} else if (s[i] == '(' && depth) {
			depth--;
			if (found == n && !depth && (!i || is_blank(s[i - 1])))
				found = i;
		}
		if (s[i] != '+' || i + 3 >= n || s[i + 1] != '0' || s[i + 2] != 'x')
			continue;
		size_t end = i + 3;
		while (end < n && is_hex(s[end]))
			end++;
		if (end > i + 3 && end + 1 < n && s[end] == ' ' && s[end + 1] == '(')
			return end + 1;
	}
	return found;
}

static size_t without_offset(const char *s, size_t n)
{
	size_t i = n;

	while (i && is_hex(s[i - 1]))
		i--;
	return i < n && i >= 3 && memcmp(s + i - 3, "+0x", 3) == 0 ? i - 3 : n;
}

bool perf_frame_line(const char *s, size_t n, struct frame_line *ret)
{
	n = trim_back(s, 0, n);
	size_t i = skip_blanks(s, n, 0), end = i;

	while (end < n && is_hex(s[end]))
		end++;
	if (end == i || end - i > 16 || (end < n && !is_blank(s[end])))
		return false;
	ret->address = (struct piece){ s + i, end - i };
	i = skip_blanks(s, n, end);
	size_t dso = i + dso_start(s + i, n - i);
	size_t symbol_end = trim_back(s, i, dso);
	ret->symbol = (struct piece){ s + i, without_offset(s + i, symbol_end - i) };
	ret->dso = (struct piece){ s + dso, 0 };
	if (dso < n)
		ret->dso = (struct piece){ s + dso + 1, n - dso - 2 };
	return true;
}

bool perf_source_line(const char *s, size_t n)
{
	static const char inlined[] = " (inlined)";
	size_t m = strlen(inlined);

	n = trim_back(s, 0, n);
	size_t i = skip_blanks(s, n, 0);
	if (i == 0 || i == n)
		return false;
	if (n - i > m && memcmp(s + n - m, inlined, m) == 0)
		n = trim_back(s, i, n - m);
	size_t digits = n;
	while (digits > i && (is_digit(s[digits - 1]) || s[digits - 1] == '?'))
		digits--;
	return digits < n && digits > i + 1 && s[digits - 1] == ':';
}

struct piece perf_event_base(struct piece event)
{
	const char *colon = event.n ? memrchr(event.s, ':', event.n) : NULL;

	if (!colon || colon == event.s)
		return event;
	size_t mods = event.n - (size_t)(colon + 1 - event.s);
	if (mods > 8)
		return event;
	for (size_t i = 1; i <= mods; i++)
		if (!strchr("ukhHGpPSDeIWb", colon[i]))
			return event;
	return (struct piece){ event.s, (size_t)(colon - event.s) };
}
