#include "profiler/analysis/advice.h"

/* Of all stacks, in per cent: a reason that is rarer needs no words. */
#define TELLING_PERCENT 1

static const struct {
	enum unwind_status status;
	const char *words;
} advice[] = {
	{ UNWIND_ANON_NO_FP, "such code can only be followed by frame pointers: run Java with "
			     "-XX:+PreserveFramePointer; LuaJIT and Lisps keep none" },
	{ UNWIND_NO_TABLE, "a file that may not be read, a language without tables (Go), or C and "
			   "C++ compiled with -fno-asynchronous-unwind-tables: leave that out" },
	{ UNWIND_INVALID_ROW,
	  "mostly hand-written assembly and languages with stacks of their own (Haskell): the "
	  "function itself is right, its callers are not known" },
	{ UNWIND_GUESSED,
	  "V8 (node, Chromium) has no tables for its builtins: the stacks are as good as frame "
	  "pointers are there" },
};

void advice_add(const struct health *h, const char *indent, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		uint64_t count = h->by_status[advice[i].status];

		if (count && count * 100 >= (h->whole + h->cut) * TELLING_PERCENT)
			buf_printf(out, "%s%s: %s\n", indent, unwind_status_name(advice[i].status),
				   advice[i].words);
	}
}
