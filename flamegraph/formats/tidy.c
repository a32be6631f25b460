#include "flamegraph/formats/tidy.h"

static bool has_prefix(const char *s, size_t n, const char *prefix)
{
	size_t m = strlen(prefix);

	return n >= m && memcmp(s, prefix, m) == 0;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The length without one compiler's suffix (`.isra.0`, `.cold`, ` [clone .part.1]`) or the hash of
 * a Rust symbol (`::h0123456789abcdef`); n if there is none. */
static size_t without_suffix(const char *s, size_t n)
{
	static const char *const suffixes[] = { ".isra",  ".constprop", ".part", ".cold",
						".llvm",  ".lto_priv",	".warm", ".hot",
						".clone", ".localalias" };
	size_t end = n;

	if (n && s[n - 1] == ']') {
		for (size_t i = n; i-- > 0;)
			if (has_prefix(s + i, n - i, " [clone ."))
				return i;
		return n;
	}
	if (n > 19 && has_prefix(s + n - 19, 3, "::h")) {
		size_t i = n - 16;
		while (i < n && is_hex(s[i]))
			i++;
		if (i == n)
			return n - 19;
	}
	while (end && is_digit(s[end - 1]))
		end--;
	if (end && end < n && s[end - 1] == '.')
		end--;
	else
		end = n;
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t m = strlen(suffixes[i]);
		if (end > m && memcmp(s + end - m, suffixes[i], m) == 0)
			return end - m;
	}
	return n;
}

static size_t without_suffixes(const char *s, size_t n)
{
	for (size_t shorter; (shorter = without_suffix(s, n)) < n;)
		n = shorter;
	return n;
}

/* The length of `operator` with its symbol at s, 0 if none stands there: its `<`, `>` and `(` open
 * and close nothing. */
static size_t operator_length(const char *s, size_t n)
{
	static const char *const symbols[] = { "()", "<=>", "<<=", ">>=", "->*", "<<",
					       ">>", "<=",  ">=",  "->",  "<",	 ">" };

	if (!has_prefix(s, n, "operator"))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(symbols); i++)
		if (has_prefix(s + 8, n - 8, symbols[i]))
			return 8 + strlen(symbols[i]);
	return 0;
}

/* Where the arguments of a name start: its first `(` outside of template arguments that does not
 * open
 * "(anonymous namespace)"; n if there is none. */
static size_t arguments_start(const char *s, size_t n)
{
	size_t first = n, depth = 0;

	for (size_t i = 0; i < n; i++) {
		size_t skip = operator_length(s + i, n - i);
		if (skip) {
			/* The script cuts `operator()` like any other call. */
			if (s[i + 8] == '(' && !depth)
				return i + 8;
			i += skip - 1;
		} else if (s[i] == '<') {
			depth++;
		} else if (s[i] == '>' && depth && (!i || s[i - 1] != '-')) {
			depth--;
		} else if (s[i] == '(' && !has_prefix(s + i, n - i, "(anonymous namespace)")) {
			if (!depth)
				return i;
			first = MIN(first, i);
		}
	}
	/* Brackets that do not close are none: the first parenthesis counts then. */
	return depth ? first : n;
}

/* Is it a method of Go's, `net/http.(*Client).Do`? */
static bool looks_like_go(const char *s, size_t n)
{
	const char *open = memmem(s, n, ".(", 2);

	return open && memmem(open, n - (size_t)(open - s), ").", 2);
}

static void add_perl(const char *s, size_t n, bool java, struct buf *out)
{
	size_t start = out->len;

	if (!looks_like_go(s, n))
		n = arguments_start(s, n);
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\'')
			continue;
		buf_add_char(out, s[i] == ';' ? ':' : s[i]);
	}
	if (java && out->len > start && out->data[start] == 'L' &&
	    memchr(out->data + start, '/', out->len - start)) {
		memmove(out->data + start, out->data + start + 1, out->len - start - 1);
		out->len--;
	}
}

/* The index behind the bracket that closes the one at s[i]; n if none does. */
static size_t behind_bracket(const char *s, size_t n, size_t i, char open, char close)
{
	size_t depth = 0;

	for (; i < n; i++) {
		size_t skip = operator_length(s + i, n - i);
		if (skip)
			i += skip - 1;
		else if (s[i] == open)
			depth++;
		else if (s[i] == close && (close != '>' || s[i - 1] != '-') && !--depth)
			return i + 1;
	}
	return n;
}

/* Without arguments and template arguments. The brackets of Rust's `<T as Trait>::f` open the name
 * and stay, and so does `{lambda(int)#1}`. */
static void add_simple(const char *s, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n;) {
		size_t skip = operator_length(s + i, n - i), end;
		if (!skip && has_prefix(s + i, n - i, "(anonymous namespace)"))
			skip = strlen("(anonymous namespace)");
		if (!skip && (s[i] == '{' || (i == 0 && s[i] == '<')))
			skip = behind_bracket(s, n, i, s[i], s[i] == '{' ? '}' : '>') - i;
		if (skip) {
			buf_add(out, s + i, skip);
			i += skip;
		} else if (s[i] == '<' && (end = behind_bracket(s, n, i, '<', '>')) <= n &&
			   s[end - 1] == '>') {
			i = end;
		} else if (s[i] == '(' && i) {
			end = behind_bracket(s, n, i, '(', ')');
			if (!has_prefix(s + end, n - end, "::") &&
			    !has_prefix(s + end, n - end, "."))
				return;
			i = end;
		} else {
			buf_add_char(out, s[i++]);
		}
	}
}

void name_tidy(const char *s, size_t n, enum name_style style, bool java, struct buf *out)
{
	size_t start = out->len;

	switch (style) {
	case NAMES_RAW:
		buf_add(out, s, n);
		break;
	case NAMES_FULL:
		buf_add(out, s, without_suffixes(s, n));
		break;
	case NAMES_SIMPLE:
		add_simple(s, without_suffixes(s, n), out);
		while (out->len > start && out->data[out->len - 1] == ' ')
			out->len--;
		break;
	case NAMES_PERL:
		add_perl(s, n, java, out);
		break;
	}
	if (out->len == start && style != NAMES_PERL)
		buf_add(out, s, n);
}
