/*
 * The flame graph as an SVG page: a picture that is complete without a script (in an image, where
 * scripts are forbidden, in a converter), and a script that makes it zoom and search.
 * Self-contained; nothing is fetched. The markup's shape (ids, order of children, fg: attributes)
 * is what other people's scripts for flame graphs rely on.
 */
#ifndef CPROF_FLAMEGRAPH_PAGE_H
#define CPROF_FLAMEGRAPH_PAGE_H

#include "base/sink.h"
#include "flamegraph/model/calltree.h"
#include "flamegraph/render/layout.h"
#include "flamegraph/render/palette.h"

struct page {
	const struct calltree *tree;
	const struct layout *layout;
	const struct palette *palette;
	uint32_t type; /* value type: for the unit */
	const char *title, *subtitle;
	const char *note; /* below the frames: what is not in the picture; NULL: nothing to say */
	uint32_t width;	  /* px; the page is that wide without a script */
	bool fluid;	  /* with a script it follows the window */
	bool icicle;	  /* the root on top */
};

#define PAGE_DEFAULT_WIDTH 1200
#define PAGE_SIDE_PX	   12 /* left and right of the frames */

void page_write(const struct page *page, struct sink *out);

#endif
