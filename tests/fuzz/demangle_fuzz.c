/* Raw names come from the files of others. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "symbolizer/demangle.h"
#include "symbolizer/name_simple.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *raw = mem_strndup((const char *)data, size);
	struct buf out = { 0 };

	for (int style = NAMES_FULL; style <= NAMES_PERL; style++) {
		buf_clear(&out);
		name_demangle(raw, (enum name_style)style, &out);
		if (style != NAMES_RAW && out.len > 8192 + strlen(raw))
			abort();
	}
	buf_clear(&out);
	name_simplify_cxx(raw, strlen(raw), &out);
	name_simplify_rust(raw, strlen(raw), &out);
	buf_deinit(&out);
	free(raw);
	return 0;
}
