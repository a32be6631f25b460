#include "symbolizer/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/text.h"
#include "symbolizer/name_simple.h"

#define INPUT_MAX_BYTES	  32768
#define D_INPUT_MAX_BYTES 4096
#define OUTPUT_MAX_BYTES  8192

/* What a demangler may print before it is stopped. A short name can stand for gigabytes: each of
 * its parts may mean the whole part before it, twice. */
#define PRINTED_MAX_BYTES 131072

enum language { LANGUAGE_NONE, LANGUAGE_CXX, LANGUAGE_RUST, LANGUAGE_D };

/* --- suffixes that compilers add to a function that they split or specialised --- */

static bool all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

/* Length of a name without its last clone suffix; the length itself where it has none. */
static size_t without_clone_suffix(const char *name, size_t len)
{
	static const char *const numbered[] = { ".part",     ".isra", ".constprop",
						".lto_priv", ".llvm", ".cold" };
	size_t digits = len;

	if (len > 5 && memcmp(name + len - 5, ".cold", 5) == 0)
		return len - 5;
	while (digits > 0 && name[digits - 1] != '.')
		digits--;
	if (digits < 2 || !all_digits(name + digits, len - digits))
		return len;
	for (size_t i = 0; i < ARRAY_SIZE(numbered); i++) {
		size_t n = strlen(numbered[i]);
		if (digits - 1 > n && memcmp(name + digits - 1 - n, numbered[i], n) == 0)
			return digits - 1 - n;
	}
	return len;
}

static size_t without_clone_suffixes(const char *name, size_t len)
{
	for (size_t shorter; (shorter = without_clone_suffix(name, len)) < len;)
		len = shorter;
	return len;
}

/* --- libiberty --- */

struct printed {
	struct buf *out;
	jmp_buf stop;
};

/* libiberty's C++ and Rust demanglers keep what they know on the stack (but for the letters of one
 * Rust identifier outside of ASCII), so jumping out of them leaves nothing behind. */
static void take_printed(const char *text, size_t len, void *opaque)
{
	struct printed *p = opaque;
	size_t room = PRINTED_MAX_BYTES - p->out->len;

	buf_add(p->out, text, MIN(len, room));
	if (len > room)
		longjmp(p->stop, 1);
}

/* The recursion limit stays on; it also refuses C++ names of more than 1,024 bytes. */
static bool run_demangler(const char *name, enum language language, int options, struct printed *p)
{
	if (setjmp(p->stop))
		return true;
	if (language == LANGUAGE_RUST)
		return rust_demangle_callback(name, options, take_printed, p) != 0;
	return cplus_demangle_v3_callback(name, options, take_printed, p) != 0;
}

static bool demangle_as(const char *name, enum language language, int options, struct buf *out)
{
	struct printed p = { .out = out };

	buf_clear(out);
	return run_demangler(name, language, options, &p) && out->len > 0;
}

static bool demangle_d(const char *name, struct buf *out)
{
	char *readable = dlang_demangle(name, 0);

	buf_clear(out);
	if (!readable)
		return false;
	buf_add(out, readable, strnlen(readable, PRINTED_MAX_BYTES));
	free(readable);
	return true;
}

/* Rust's older names are also good C++ names: Rust is asked first. */
static enum language demangle(const char *name, size_t len, bool with_parameters, struct buf *out)
{
	if (len < 3 || len > INPUT_MAX_BYTES || name[0] != '_')
		return LANGUAGE_NONE;
	if ((name[1] == 'R' || name[1] == 'Z') && demangle_as(name, LANGUAGE_RUST, 0, out))
		return LANGUAGE_RUST;
	if (name[1] == 'D' && len <= D_INPUT_MAX_BYTES && demangle_d(name, out))
		return LANGUAGE_D;
	/* Without DMGL_PARAMS anything may follow the name: so first with, to know that it is one.
	 */
	if (!demangle_as(name, LANGUAGE_CXX, DMGL_PARAMS | DMGL_ANSI, out))
		return LANGUAGE_NONE;
	if (!with_parameters && !demangle_as(name, LANGUAGE_CXX, 0, out))
		return LANGUAGE_NONE;
	return LANGUAGE_CXX;
}

/* --- styles --- */

/* What stackcollapse-perf.pl does to the names that perf script prints, Go's methods spared. */
static void add_perl(struct buf *out, const char *name, size_t len)
{
	const char *method = memmem(name, len, ".(", 2);
	const char *close = method ? memmem(method, len - (size_t)(method - name), ").", 2) : NULL;

	for (size_t i = 0; i < len; i++) {
		static const char anonymous[] = "(anonymous namespace)";
		size_t n = sizeof(anonymous) - 1;
		if (name[i] == '(' && !close &&
		    !(len - i >= n && memcmp(name + i, anonymous, n) == 0))
			return;
		if (name[i] != '"' && name[i] != '\'')
			buf_add_char(out, name[i] == ';' ? ':' : name[i]);
	}
}

static void cut_output(struct buf *out, size_t start)
{
	static const char ellipsis[] = "\xe2\x80\xa6";

	if (out->len - start <= OUTPUT_MAX_BYTES)
		return;
	out->len = start + OUTPUT_MAX_BYTES - (sizeof(ellipsis) - 1);
	/* Not in the middle of a character. */
	for (int i = 0; i < 3 && out->len > start && (out->data[out->len] & 0xc0) == 0x80; i++)
		out->len--;
	buf_add_str(out, ellipsis);
}

void name_demangle(const char *raw, enum name_style style, struct buf *out)
{
	CLEANUP(buf_deinit) struct buf name = { 0 }, readable = { 0 };
	const char *at = strchr(raw, '@'); /* name@plt */
	size_t len = at && at != raw ? (size_t)(at - raw) : strlen(raw), start = out->len;

	if (style == NAMES_RAW) {
		buf_add_str(out, raw);
		return;
	}
	if (style != NAMES_PERL)
		len = without_clone_suffixes(raw, len);
	buf_add(&name, raw, len);
	enum language language = demangle(buf_str(&name), len, style == NAMES_FULL, &readable);
	const struct buf *shown = language ? &readable : &name;

	if (style == NAMES_PERL)
		add_perl(out, shown->data, shown->len);
	else if (style == NAMES_FULL || !language)
		buf_add(out, shown->data, shown->len);
	else if (language == LANGUAGE_RUST)
		name_simplify_rust(shown->data, shown->len, out);
	else
		name_simplify_cxx(shown->data, shown->len, out);
	cut_output(out, start);
	if (at && at != raw)
		buf_add_str(out, at);
}
