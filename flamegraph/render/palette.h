/*
 * Colours of frames. A palette sorts frames into families (kernel, JIT, a language's own code ...)
 * by their kind and name, and each family has a range of colours of which a frame gets one by its
 * name's hash: the same name has the same colour in every picture. All colours are light enough for
 * dark text (a contrast of at least 4.5:1).
 *
 * To add one: a classify function and a line in palette.c's table.
 */
#ifndef CPROF_FLAMEGRAPH_PALETTE_H
#define CPROF_FLAMEGRAPH_PALETTE_H

#include "base/error.h"
#include "flamegraph/model/profile.h"

#define PALETTE_TEXT_RGB 0x1c1917 /* the colour of text on frames */

/* Ranges of colours. */
enum color_family {
	COLOR_AMBER,
	COLOR_BLUE,
	COLOR_GREEN,
	COLOR_VIOLET,
	COLOR_GREY,
	COLOR_RED,
	COLOR_ORANGE,
	COLOR_YELLOW,
	COLOR_AQUA,
	COLOR_HOT,
	COLOR_MEMORY,
	COLOR_IO,
	COLOR_WAKER,
	COLOR_FAMILIES,
};

/* What a palette looks at. */
struct palette_frame {
	const char *name; /* without an annotation suffix */
	size_t len;
	enum frame_kind kind;
	bool inlined;
	bool waker; /* annotated `_[w]` */
};

struct palette {
	const char *name;
	enum color_family (*classify)(const struct palette_frame *f);
	/* what the legend calls the families; NULL: not explained */
	const char *labels[COLOR_FAMILIES];
};

/* The palette of this name; NULL is the default. An unknown name is a usage error with the nearest
 * one and the list as its hint. */
struct error *palette_find(const char *name, const struct palette **ret) MUST_USE;

/* Removes an annotation suffix (`_[k]`, `_[i]`, `_[j]`, `_[w]`) from the name and notes what it
 * says. */
void palette_strip_annotation(struct palette_frame *f);

/* The colour of a name within a family, 0xRRGGBB. */
uint32_t palette_color(enum color_family family, const char *name, size_t len);

/* The colour that stands for a family in a legend. */
uint32_t palette_middle(enum color_family family);

#endif
