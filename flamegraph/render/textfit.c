#include "flamegraph/render/textfit.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/text.h"

/* Advance widths of U+0020 .. U+007E in thousandths of the font size. */
static const uint16_t ascii_width[] = {
	318,  401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337,
	636,  636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531,
	1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787,
	603,  787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500,
	500,  613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612,
	635,  635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
};

#define JOINER	    0x200d
#define OTHER_WIDTH 1040 /* of what is not ASCII: as wide as a Chinese character */

/* Does this character belong to the one before it? Only the blocks that are made of such
 * characters: a page's script, which has the browser's tables, does it for every script. */
static bool extends(uint32_t c)
{
	static const struct {
		uint32_t first, last;
	} blocks[] = {
		{ 0x300, 0x36f },     { 0x483, 0x489 },	    { 0x591, 0x5bd },
		{ 0x610, 0x61a },     { 0x64b, 0x65f },	    { 0x93c, 0x94d },
		{ 0xe31, 0xe3a },     { 0x1ab0, 0x1aff },   { 0x1dc0, 0x1dff },
		{ 0x200c, 0x200d },   { 0x20d0, 0x20ff },   { 0xfe00, 0xfe0f },
		{ 0xfe20, 0xfe2f },   { 0x1f3fb, 0x1f3ff }, { 0xe0020, 0xe007f },
		{ 0xe0100, 0xe01ef },
	};

	if (c < blocks[0].first)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		if (c >= blocks[i].first && c <= blocks[i].last)
			return true;
	}
	return false;
}

static uint32_t next_char(const char *s, size_t n, size_t *ret_len)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = utf8_sequence(s, n);

	*ret_len = len ? len : 1;
	switch (len) {
	case 1:
		return p[0];
	case 2:
		return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	case 3:
		return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	case 4:
		return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 |
		       (p[3] & 0x3fu);
	default:
		return 0xfffd;
	}
}

size_t textfit_bytes(const char *s, size_t n, double px)
{
	uint64_t room = px > 0 ? (uint64_t)(px * 1000 / TEXTFIT_FONT_PX) : 0;
	uint64_t dots = 2 * ascii_width['.' - ' '];
	uint64_t used = 0;
	size_t cut = 0, cut_chars = 0, chars = 0;
	uint32_t before = 0;

	for (size_t at = 0, len; at < n; at += len) {
		uint32_t c = next_char(s + at, n - at, &len);
		bool joined = extends(c) || before == JOINER;
		if (!joined) {
			if (used + dots <= room) {
				cut = at;
				cut_chars = chars;
			}
			chars++;
		}
		if (c >= ' ' && c < 0x7f)
			used += ascii_width[c - ' '];
		else if (!extends(c))
			used += OTHER_WIDTH;
		if (used > room)
			return cut_chars >= 3 ? cut : 0;
		before = c;
	}
	return n;
}
