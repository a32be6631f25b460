#include "flamegraph/render/escape.h"

#include <stdbool.h>

#include "base/text.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* Bytes that stand for themselves: printable ASCII but for the five that XML gives a meaning. */
static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';
}

/* Is the sequence of `len` bytes at s one that is valid UTF-8 and still has no place in a page? */
static bool is_unwanted(const unsigned char *s, size_t len)
{
	if (len == 2)
		return s[0] == 0xc2 && s[1] < 0xa0; /* U+0080 .. U+009F: controls */
	if (len != 3)
		return false;
	if (s[0] == 0xef)
		return s[1] == 0xbf && s[2] >= 0xbe; /* U+FFFE, U+FFFF */
	if (s[0] != 0xe2)
		return false;
	return (s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae) || /* U+2028 .. U+202E */
	       (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);	 /* U+2066 .. U+2069 */
}

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return REPLACEMENT; /* a control character */
	}
}

void xml_add(struct buf *out, const char *s, size_t n)
{
	while (n) {
		size_t len = 0;
		while (len < n && is_plain((unsigned char)s[len]))
			len++;
		if (len) {
			buf_add(out, s, len);
		} else if ((unsigned char)*s < 0x80) {
			buf_add_str(out, entity(*s));
			len = 1;
		} else {
			len = utf8_sequence(s, n);
			if (len && !is_unwanted((const unsigned char *)s, len))
				buf_add(out, s, len);
			else
				buf_add_str(out, REPLACEMENT);
			len = len ? len : 1;
		}
		s += len;
		n -= len;
	}
}
