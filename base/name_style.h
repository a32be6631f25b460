/* How function names are shown: an option (`--names`) that the symbolizer and the readers of text
 * share. */
#ifndef CPROF_BASE_NAME_STYLE_H
#define CPROF_BASE_NAME_STYLE_H

enum name_style {
	NAMES_FULL,   /* as demangled, clone suffixes dropped (default) */
	NAMES_SIMPLE, /* without arguments, template arguments and clone suffixes */
	NAMES_RAW,    /* as in the symbol table */
	NAMES_PERL,   /* as `perf script | stackcollapse-perf.pl` shows them, for comparison */
};

#endif
