/* The kernel's list of symbols: a container's runtime may put a file of its own in its place. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "symbolizer/kallsyms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_alloc(size + 1);
	struct symtab t = { 0 };
	size_t near = 0, len;

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	if (kallsyms_parse(text, size, &t)) {
		for (size_t i = 0; i < t.symbols.count; i++) {
			const struct symbol *s = &t.symbols.items[i];
			if (symtab_find(&t, s->start, &near) != s)
				abort();
			symtab_name(&t, s, &len);
		}
	}
	symtab_deinit(&t);
	free(text);
	return 0;
}
