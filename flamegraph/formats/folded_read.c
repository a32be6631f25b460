/*
 * Reading folded stacks: one line a stack, `root;...;leaf COUNT`.
 *
 * Tools write them sorted, so a line shares most of its frames with the one before: the common
 * prefix is found by comparing memory, and only the frames after it are looked up. A frame's text
 * leads through one table to its location, so that names are looked at once, however often they
 * appear.
 *
 * What is read: CRLF, UTF-8 with or without a byte order mark, UTF-16 with one, comment lines that
 * start with `#`, blanks or tabs before the count, counts with decimals, and two counts (before and
 * after, of a differential profile: the last is kept). Lines without a count are left out. All of
 * it is said once, with how many lines. Names keep their bytes, except that what is not UTF-8
 * becomes U+FFFD; an empty name becomes `[unknown]`. The suffixes `_[k]`, `_[j]` become the frame's
 * kind, `_[i]` makes it an inlined line of the frame before it; `-` and `--` are separators, no
 * code.
 */
#include "flamegraph/formats/folded.h"

#include "base/buf.h"
#include "base/text.h"
#include "flamegraph/formats/memo.h"
#include "flamegraph/model/frame_kind.h"

/* What a frame's text stands for. */
struct frame {
	uint32_t name; /* string of the profile */
	uint32_t location;
	bool inlined;
};

/* A frame of the previous line: where its text ends and the stack that it ends. */
struct step {
	uint32_t end;
	uint32_t stack;
};

struct reader {
	struct profile *p;
	struct memo frame_ids; /* a frame's text -> frame */
	VEC(struct frame) frames;
	VEC(struct step) steps;
	const char *previous; /* the stack of the previous line, in the input */
	uint32_t previous_len;

	uint64_t line, stacks;
	uint64_t without_count, first_without_count;
	uint64_t two_counts, decimals, too_large, not_utf8;
	uint32_t rest; /* what rounding left over, in millionths: it is carried to the next count */
};

/* --- names --- */

static uint32_t intern_name(struct reader *r, const char *s, size_t n)
{
	if (!n)
		return profile_string(r->p, "[unknown]");
	if (utf8_valid(s, n))
		return intern_bytes(&r->p->strings, s, n);

	struct buf valid = { 0 };
	utf8_add_valid(&valid, s, n);
	r->not_utf8++;
	uint32_t name = intern_bytes(&r->p->strings, valid.data, valid.len);
	buf_deinit(&valid);
	return name;
}

static struct frame parse_frame(struct reader *r, const char *s, size_t n)
{
	enum frame_kind kind = FRAME_USER;
	struct frame f = { 0 };

	if (n > 4 && memcmp(s + n - 4, "_[", 2) == 0 && s[n - 1] == ']') {
		char mark = s[n - 2];
		if (mark == 'k')
			kind = FRAME_KERNEL;
		else if (mark == 'j')
			kind = FRAME_JIT;
		f.inlined = mark == 'i';
		if (kind != FRAME_USER || f.inlined)
			n -= 4;
	} else if (frame_is_sentinel(s, n)) {
		kind = FRAME_SENTINEL;
	}
	f.name = intern_name(r, s, n);
	f.location = profile_name_location(r->p, f.name, kind);
	return f;
}

static uint32_t push_frame(struct reader *r, uint32_t stack, const char *s, uint32_t n)
{
	uint32_t *id = memo_at(&r->frame_ids, s, n);

	if (*id == MEMO_NONE) {
		*id = (uint32_t)r->frames.count;
		vec_push(&r->frames, parse_frame(r, s, n));
	}
	const struct frame *f = &r->frames.items[*id];
	if (f->inlined)
		return profile_push_inlined(r->p, stack, f->name, f->location);
	return profile_push(r->p, stack, f->location);
}

/* --- stacks --- */

/* How many bytes two texts have in common at their start. */
static uint32_t common_prefix(const char *a, const char *b, uint32_t n)
{
	uint32_t i = 0;

	for (; i + 8 <= n; i += 8) {
		uint64_t x, y;
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			return i + (uint32_t)__builtin_ctzll(x ^ y) / 8;
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* Leaves the steps that this stack shares with the previous one. */
static void keep_common_steps(struct reader *r, const char *s, uint32_t n)
{
	uint32_t common = common_prefix(r->previous, s, MIN(n, r->previous_len));

	/* A frame is shared if it ends within the common part: at `;` or at the end of both. */
	while (r->steps.count) {
		uint32_t end = vec_last(&r->steps)->end;
		if (end < common || (end == common && (end == n || s[end] == ';') &&
				     (end == r->previous_len || r->previous[end] == ';')))
			break;
		r->steps.count--;
	}
}

static uint32_t read_stack(struct reader *r, const char *s, uint32_t n)
{
	uint32_t stack = 0, at = 0;

	if (r->steps.count)
		keep_common_steps(r, s, n);
	if (r->steps.count) {
		stack = vec_last(&r->steps)->stack;
		at = vec_last(&r->steps)->end + 1;
	}
	while (at <= n) {
		const char *end = at < n ? memchr(s + at, ';', n - at) : NULL;
		uint32_t len = end ? (uint32_t)(end - s) - at : n - at;
		stack = push_frame(r, stack, s + at, len);
		vec_push(&r->steps, (struct step){ at + len, stack });
		at += len + 1;
	}
	r->previous = s;
	r->previous_len = n;
	return stack;
}

/* --- counts --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where the number starts that ends at `end`, after a blank; NULL if there is none. */
static const char *number_before(const char *start, const char *end)
{
	const char *s = end;
	bool point = false;

	while (s > start && (is_digit(s[-1]) || (s[-1] == '.' && !point))) {
		s--;
		point |= *s == '.';
	}
	if (s == end || !is_digit(*s))
		return NULL;
	if (s > start && s[-1] == '-')
		s--;
	return s > start && is_blank(s[-1]) ? s : NULL;
}

/* The number in s[0..n), rounded so that the sum of all stays right. */
static int64_t parse_count(struct reader *r, const char *s, const char *end)
{
	bool negative = *s == '-';
	int64_t count = 0;
	uint32_t millionths = 0, unit = 100000;

	for (s += negative; s < end && *s != '.'; s++) {
		if (__builtin_mul_overflow(count, 10, &count) ||
		    __builtin_add_overflow(count, *s - '0', &count)) {
			r->too_large++;
			return negative ? INT64_MIN : INT64_MAX;
		}
	}
	if (s < end) {
		r->decimals++;
		for (s++; s < end && unit; s++, unit /= 10)
			millionths += (uint32_t)(*s - '0') * unit;
		r->rest += millionths;
		if (r->rest >= 1000000 && count < INT64_MAX) {
			r->rest -= 1000000;
			count++;
		}
	}
	return negative ? -count : count;
}

static const char *skip_blanks_back(const char *start, const char *end)
{
	while (end > start && is_blank(end[-1]))
		end--;
	return end;
}

/* A line without its end: finds its stack and count; false where there is no count. */
static bool split_line(const char *s, const char **end, const char **ret_count, bool *ret_two)
{
	const char *line_end = skip_blanks_back(s, *end);
	const char *count = number_before(s, line_end);

	if (!count)
		return false;
	const char *stack_end = skip_blanks_back(s, count);
	const char *first = number_before(s, stack_end);
	*ret_two = first && skip_blanks_back(s, first) > s;
	if (*ret_two)
		stack_end = skip_blanks_back(s, first);
	*ret_count = count;
	*end = stack_end;
	return stack_end > s;
}

static void read_line(struct reader *r, const char *s, const char *end)
{
	const char *line_end = end, *count;
	bool two;

	if (s == end || *s == '#' || skip_blanks_back(s, end) == s)
		return;
	if (end - s >= UINT32_MAX || !split_line(s, &end, &count, &two)) {
		if (!r->without_count++)
			r->first_without_count = r->line;
		return;
	}
	r->two_counts += two;
	int64_t value = parse_count(r, count, skip_blanks_back(s, line_end));
	profile_add_sample(r->p, read_stack(r, s, (uint32_t)(end - s)), 0, &value);
	r->stacks++;
}

static void read_lines(struct reader *r, const char *s, size_t size)
{
	const char *end;

	if (!size)
		return;
	end = s + size;
	while (s < end) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		const char *line_end = newline ? newline : end;

		r->line++;
		read_line(r, s, line_end > s && line_end[-1] == '\r' ? line_end - 1 : line_end);
		s = line_end + 1;
	}
}

/* --- UTF-16 --- */

static void add_utf8(struct buf *out, uint32_t c)
{
	char bytes[4];
	size_t n = 0;

	if (c < 0x80) {
		bytes[n++] = (char)c;
	} else {
		if (c < 0x800) {
			bytes[n++] = (char)(0xc0 | c >> 6);
		} else if (c < 0x10000) {
			bytes[n++] = (char)(0xe0 | c >> 12);
			bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		} else {
			bytes[n++] = (char)(0xf0 | c >> 18);
			bytes[n++] = (char)(0x80 | (c >> 12 & 0x3f));
			bytes[n++] = (char)(0x80 | (c >> 6 & 0x3f));
		}
		bytes[n++] = (char)(0x80 | (c & 0x3f));
	}
	buf_add(out, bytes, n);
}

/* UTF-16 after its byte order mark; what is no character becomes U+FFFD. */
static void convert_utf16(const uint8_t *s, size_t size, bool big_endian, struct buf *out)
{
	size_t high = big_endian ? 0 : 1, low = 1 - high;
	uint32_t lead = 0; /* the first half of a pair */

	for (size_t i = 0; i + 1 < size; i += 2) {
		uint32_t c = (uint32_t)s[i + high] << 8 | s[i + low];
		bool trail = c >= 0xdc00 && c < 0xe000;

		if (lead && trail) {
			add_utf8(out, 0x10000 + ((lead - 0xd800) << 10) + (c - 0xdc00));
			lead = 0;
			continue;
		}
		if (lead)
			add_utf8(out, 0xfffd);
		lead = c >= 0xd800 && c < 0xdc00 ? c : 0;
		if (!lead)
			add_utf8(out, trail ? 0xfffd : c);
	}
	if (lead || size % 2)
		add_utf8(out, 0xfffd);
}

/* The text as UTF-8 without a byte order mark. *converted keeps it where it had to be made. */
static const char *text_of(const void *bytes, size_t *size, struct buf *converted)
{
	const uint8_t *s = bytes;

	if (*size >= 3 && s[0] == 0xef && s[1] == 0xbb && s[2] == 0xbf) {
		*size -= 3;
		return (const char *)s + 3;
	}
	if (*size >= 2 && ((s[0] == 0xff && s[1] == 0xfe) || (s[0] == 0xfe && s[1] == 0xff))) {
		convert_utf16(s + 2, *size - 2, s[0] == 0xfe, converted);
		*size = converted->len;
		return converted->data;
	}
	return (const char *)s;
}

/* --- the format's functions --- */

bool folded_detect(const void *bytes, size_t size, bool whole)
{
	CLEANUP(buf_deinit) struct buf converted = { 0 };
	const char *s = text_of(bytes, &size, &converted);
	uint64_t good = 0, bad = 0;

	if (!size || memchr(s, '\0', size))
		return false;

	const char *end = s + size;
	while (s < end) {
		const char *newline = memchr(s, '\n', (size_t)(end - s));
		const char *line_end = newline ? newline : end, *stack_end, *count;
		bool two;

		if (!newline && !whole && good)
			break;
		stack_end = line_end > s && line_end[-1] == '\r' ? line_end - 1 : line_end;
		if (*s != '#' && skip_blanks_back(s, stack_end) > s) {
			if (split_line(s, &stack_end, &count, &two))
				good++;
			else
				bad++;
		}
		s = line_end + 1;
	}
	return good && bad * 99 <= good;
}

static void tell(const struct reader *r, const struct format_notices *n)
{
	if (r->without_count)
		format_notice(n, "%llu %s no count and %s left out, the first is line %llu",
			      (unsigned long long)r->without_count,
			      text_plural(r->without_count, "line has", "lines have"),
			      text_plural(r->without_count, "is", "are"),
			      (unsigned long long)r->first_without_count);
	if (r->two_counts)
		format_notice(n, "%llu %s two counts (before and after): the last is used",
			      (unsigned long long)r->two_counts,
			      text_plural(r->two_counts, "line has", "lines have"));
	if (r->decimals)
		format_notice(n, "%llu %s rounded, the sum is kept",
			      (unsigned long long)r->decimals,
			      text_plural(r->decimals, "count has decimals: it is",
					  "counts have decimals: they are"));
	if (r->too_large)
		format_notice(n, "%llu %s cut", (unsigned long long)r->too_large,
			      text_plural(r->too_large, "count is too large for 64 bits and is",
					  "counts are too large for 64 bits and are"));
	format_notice_not_utf8(n, r->not_utf8);
}

struct error *folded_read(const void *bytes, size_t size, const struct read_options *o,
			  const struct format_notices *n, struct profile *ret)
{
	CLEANUP(buf_deinit) struct buf converted = { 0 };
	struct reader r = { .p = ret };
	struct error *err = NULL;

	profile_add_type(ret, "samples", "count");
	const char *text = text_of(bytes, &size, &converted);
	read_lines(&r, text, size);
	tell(&r, n);
	if (!r.stacks)
		err = error_hint(error_new(ERR_FORMAT, "%s holds no stacks",
					   o->name ? o->name : "the input"),
				 "folded text is one `root;...;leaf COUNT` a line");
	memo_deinit(&r.frame_ids);
	vec_deinit(&r.frames);
	vec_deinit(&r.steps);
	return err;
}
