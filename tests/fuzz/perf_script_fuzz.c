/* `perf script` text; the first byte chooses the options. */
#include "tests/fuzz/format_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct read_options o = { 0 };

	if (!size)
		return 0;
	o.names = (enum name_style)(data[0] & 3);
	o.root_pid = data[0] & 4;
	o.root_tid = data[0] & 8;
	o.label_ids = data[0] & 16;
	o.show_addresses = data[0] & 32;
	fuzz_format("perf-script", &o, data + 1, size - 1);
	return 0;
}
