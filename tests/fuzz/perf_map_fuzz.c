/* A perf map is written by the program that is profiled. */
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"
#include "symbolizer/perf_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum { N = 64 };
	uint64_t addresses[N];
	struct symbol_chain chains[N];
	struct symbol_result result;
	struct symbol_module *m = perf_map_parse(mem_dup(data, size), size);

	for (uint64_t i = 0; i < N; i++)
		addresses[i] = i < N / 2 ? i * 3 : UINT64_MAX - (N - i) * 0x1000;
	symbol_result_init(&result);
	symbol_batch(m, addresses, N, chains, &result);
	for (int i = 0; i < N; i++)
		if (chains[i].count > 1 || chains[i].start > addresses[i] ||
		    (chains[i].count && chains[i].first >= result.frames.count))
			abort();
	symbol_result_deinit(&result);
	symbol_module_close(m);
	return 0;
}
