#include "symbolizer/name_simple.h"

#include <stdbool.h>

/* The text that is read; `at` moves on. */
struct scan {
	const char *s;
	size_t len, at;
	bool is_broken; /* brackets do not match */
};

static bool next_is(const struct scan *c, const char *word)
{
	size_t n = strlen(word);

	return c->len - c->at >= n && memcmp(c->s + c->at, word, n) == 0;
}

static bool is_word_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '_' || c == '$' || (c & 0x80);
}

/* At the word `operator` (not at operator_x)? */
static bool at_operator(const struct scan *c)
{
	return next_is(c, "operator") && (c->at == 0 || !is_word_char(c->s[c->at - 1])) &&
	       (c->at + 8 == c->len || !is_word_char(c->s[c->at + 8]));
}

/* Length of the sign at the cursor, as in operator<<; 0 where there is none. */
static size_t operator_sign(const struct scan *c)
{
	static const char *const signs[] = {
		"()", "[]", "<=>", "<<=", ">>=", "->*", "<<", ">>", "<=", ">=", "->", "==", "!=",
		"&&", "||", "++",  "--",  "+=",	 "-=",	"*=", "/=", "%=", "&=", "|=", "^=", "<",
		">",  "+",  "-",   "*",	  "/",	 "%",	"&",  "|",  "^",  "!",	"~",  "=",  ",",
	};

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (next_is(c, signs[i]))
			return strlen(signs[i]);
	return 0;
}

/* Moves behind the bracket that closes the ( at the cursor. Other brackets within do not count:
 * they may be signs of an expression. */
static void skip_parens(struct scan *c)
{
	int depth = 0;

	for (; c->at < c->len; c->at++) {
		depth += c->s[c->at] == '(';
		depth -= c->s[c->at] == ')';
		if (depth == 0) {
			c->at++;
			return;
		}
	}
	c->is_broken = true;
}

/* Moves behind the bracket that closes the < at the cursor. A > in an expression stands in
 * parentheses. */
static void skip_angles(struct scan *c)
{
	int depth = 0;

	while (c->at < c->len) {
		if (at_operator(c)) {
			c->at += 8;
			c->at += operator_sign(c);
		} else if (c->s[c->at] == '(') {
			skip_parens(c);
			/* (a)<(b): a sign, not a bracket */
			if (next_is(c, "<"))
				c->at += operator_sign(c);
		} else if (next_is(c, "->")) {
			c->at += 2;
		} else {
			depth += c->s[c->at] == '<';
			depth -= c->s[c->at] == '>';
			c->at++;
			if (depth == 0)
				return;
		}
	}
	c->is_broken = true;
}

static void copy(struct scan *c, size_t n, struct buf *out)
{
	buf_add(out, c->s + c->at, n);
	c->at += n;
}

/* {lambda(int)#1}: several of one function are told apart by parameters and number. */
static void copy_braces(struct scan *c, struct buf *out)
{
	int depth = 0;

	while (c->at < c->len && !c->is_broken) {
		if (c->s[c->at] == '<') {
			skip_angles(c);
			continue;
		}
		depth += c->s[c->at] == '{';
		depth -= c->s[c->at] == '}';
		copy(c, 1, out);
		if (depth == 0)
			return;
	}
	c->is_broken = true;
}

/* operator<<, operator(), operator new[], operator"" _x, operator std::string */
static void copy_operator(struct scan *c, struct buf *out)
{
	copy(c, 8, out);
	size_t n = operator_sign(c);
	if (n) {
		copy(c, n, out);
		if (next_is(c, " <"))
			c->at++;
		return;
	}
	while (c->at < c->len && c->s[c->at] != '(' && !next_is(c, "::{") && !c->is_broken) {
		if (c->s[c->at] == '<')
			skip_angles(c);
		else
			copy(c, 1, out);
	}
}

/* Behind a parameter list: qualifiers of the function. */
static bool skip_qualifier(struct scan *c)
{
	static const char *const words[] = { " const", " volatile", " restrict",
					     " &&",    " &",	    " noexcept" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (next_is(c, words[i])) {
			c->at += strlen(words[i]);
			return true;
		}
	}
	return false;
}

/* What special names begin with stays: a thunk is not the function. */
static void copy_prefix(struct scan *c, struct buf *out)
{
	static const char *const prefixes[] = {
		"non-virtual thunk to ",	 "virtual thunk to ",
		"covariant return thunk to ",	 "TLS init function for ",
		"TLS wrapper function for ",	 "transaction clone for ",
		"non-transaction clone for ",	 "guard variable for ",
		"global constructors keyed to ", "global destructors keyed to ",
	};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (next_is(c, prefixes[i]))
			copy(c, strlen(prefixes[i]), out);
}

/* D writes template arguments as name!(int). */
static bool at_d_arguments(const struct scan *c)
{
	return next_is(c, "!(");
}

static void simplify_cxx(struct scan *c, struct buf *out)
{
	static const char anonymous[] = "(anonymous namespace)";
	bool after_parameters = false;

	copy_prefix(c, out);
	size_t name_start = out->len;
	while (c->at < c->len && !c->is_broken) {
		bool was_after_parameters = after_parameters;
		after_parameters = false;
		if (at_operator(c)) {
			copy_operator(c, out);
		} else if (next_is(c, anonymous)) {
			copy(c, sizeof(anonymous) - 1, out);
		} else if (at_d_arguments(c)) {
			c->at++;
		} else if (c->s[c->at] == '(') {
			skip_parens(c);
			after_parameters = true;
		} else if (c->s[c->at] == '<') {
			skip_angles(c);
		} else if (c->s[c->at] == '{') {
			copy_braces(c, out);
		} else if (next_is(c, "[abi:")) {
			while (c->at < c->len && c->s[c->at++] != ']')
				;
		} else if (was_after_parameters && skip_qualifier(c)) {
			after_parameters = true;
		} else if (c->s[c->at] == ' ') {
			/* What came before was a return type. */
			out->len = name_start;
			c->at++;
		} else {
			copy(c, 1, out);
		}
	}
}

void name_simplify_cxx(const char *name, size_t len, struct buf *out)
{
	struct scan c = { .s = name, .len = len };
	size_t start = out->len;

	simplify_cxx(&c, out);
	/* operator void (*)(int) */
	while (out->len > start && out->data[out->len - 1] == ' ')
		out->len--;
	if (c.is_broken || out->len == start) {
		out->len = start;
		buf_add(out, name, len);
	}
}

/* --- Rust --- */

/* At the < of `<T as Trait>::f` or `<impl Trait for T>::f`: it begins a path, where generic
 * arguments follow a name. */
static bool begins_path(const struct scan *c)
{
	if (c->at == 0 || next_is(c, "<impl "))
		return true;
	char before = c->s[c->at - 1];
	return !is_word_char(before) && before != ':' && before != '}' && before != '>';
}

/* Copies up to the end, or behind the > that closes a path's <. */
static void simplify_rust(struct scan *c, struct buf *out, int depth)
{
	enum { DEPTH_MAX = 64 };

	if (depth > DEPTH_MAX) {
		c->is_broken = true;
		return;
	}
	while (c->at < c->len && !c->is_broken) {
		if (next_is(c, "->")) {
			copy(c, 2, out);
		} else if (next_is(c, "::<") && !next_is(c, "::<impl ")) {
			c->at += 2;
			skip_angles(c);
		} else if (c->s[c->at] == '<' && begins_path(c)) {
			copy(c, 1, out);
			simplify_rust(c, out, depth + 1);
		} else if (c->s[c->at] == '<') {
			skip_angles(c);
		} else if (c->s[c->at] == '>') {
			c->is_broken |= depth == 0;
			copy(c, 1, out);
			return;
		} else {
			copy(c, 1, out);
		}
	}
	c->is_broken |= depth > 0;
}

void name_simplify_rust(const char *name, size_t len, struct buf *out)
{
	struct scan c = { .s = name, .len = len };
	size_t start = out->len;

	simplify_rust(&c, out, 0);
	if (c.is_broken || out->len == start) {
		out->len = start;
		buf_add(out, name, len);
	}
}
