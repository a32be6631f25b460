/*
 * How much of a name fits into a frame where no script can measure it: in an image, or in a page
 * whose script is forbidden. The widths are those of DejaVu Sans, the widest of the usual screen
 * fonts, so a text that fits by them fits in the others.
 */
#ifndef CPROF_FLAMEGRAPH_TEXTFIT_H
#define CPROF_FLAMEGRAPH_TEXTFIT_H

#include <stddef.h>

#define TEXTFIT_FONT_PX 12

/* How many bytes of the name may be shown in `px` pixels: all of them if they fit, else so many
 * that
 * ".." fits behind them; 0 if that leaves fewer than three characters. Never cuts a character off
 * from its accents, its variation selector or what a joiner ties to it. */
size_t textfit_bytes(const char *s, size_t n, double px);

#endif
