/* Folded text. */
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct read_options o = { 0 };

	fuzz_format("folded", &o, data, size);
	return 0;
}
