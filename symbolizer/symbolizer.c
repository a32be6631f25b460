#include "symbolizer/symbolizer.h"

#include "symbolizer/module.h"

void symbol_result_init(struct symbol_result *r)
{
	*r = (struct symbol_result){ 0 };
	intern_init(&r->strings);
}

void symbol_result_deinit(struct symbol_result *r)
{
	intern_deinit(&r->strings);
	vec_deinit(&r->frames);
}

void symbol_module_close(struct symbol_module *m)
{
	if (m)
		m->close(m);
}

void symbol_batch(struct symbol_module *m, const uint64_t *addresses, size_t n,
		  struct symbol_chain *chains, struct symbol_result *result)
{
	for (size_t i = 0; i < n; i++)
		chains[i] = (struct symbol_chain){ .start = addresses[i] };
	m->batch(m, addresses, n, chains, result);
}

void chain_set(struct symbol_chain *chains, size_t i, struct symbol_result *result, uint64_t start,
	       const char *name, size_t len, bool is_folded)
{
	uint32_t id = intern_bytes(&result->strings, name, len);

	chains[i].start = start;
	chains[i].count = 1;
	if (i > 0 && chains[i - 1].count == 1 && chains[i - 1].start == start &&
	    result->frames.items[chains[i - 1].first].name == id) {
		chains[i].first = chains[i - 1].first;
		return;
	}
	chains[i].first = (uint32_t)result->frames.count;
	vec_push(&result->frames, (struct symbol_frame){ .name = id, .is_folded = is_folded });
}
