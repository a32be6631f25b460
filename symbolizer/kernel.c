/* The running kernel: names from /proc/kallsyms, which is 5 MB and is read once, or by who knows
 * them without it. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "symbolizer/hex.h"
#include "symbolizer/kallsyms.h"
#include "symbolizer/module.h"

#define KALLSYMS_MAX_BYTES ((size_t)256 << 20)

/* Kallsyms knows no sizes: a function ends where the next symbol begins, whatever that is. The last
 * one before a gap ends at the latest after this much. */
#define CORE_FUNCTION_MAX   ((uint64_t)1 << 20)
#define MODULE_FUNCTION_MAX ((uint64_t)64 << 10)

struct kernel_module {
	struct symbol_module base;
	struct symtab symtab;
	char *text;
};

struct line {
	uint64_t address;
	char type;
	const char *name;
	size_t name_len;
	bool in_module; /* a fourth column: a module's name, or [bpf] */
};

/* `ADDRESS TYPE NAME` and for modules a tab and `[MODULE]`. False for a line of another form. */
static bool parse_line(char *p, char *end, struct line *ret)
{
	uint64_t address;
	const char *after = hex_u64(p, end, &address);

	if (!after || end - after < 4 || after[0] != ' ' || after[2] != ' ')
		return false;
	char *name = p + (after - p) + 3;
	char *tab = memchr(name, '\t', (size_t)(end - name));
	*ret = (struct line){ .address = address,
			      .type = after[1],
			      .name = name,
			      .name_len = (size_t)((tab ? tab : end) - name),
			      .in_module = tab != NULL };
	if (tab)
		*tab = '\0';
	return ret->name_len > 0;
}

/* Padding before functions, local labels and mapping symbols are not functions. */
static bool is_function(const struct line *l)
{
	return strchr("tTwW", l->type) && l->name[0] != '$' &&
	       !(l->name[0] == '.' && l->name_len > 1 && l->name[1] == 'L') &&
	       !(l->name_len > 6 && memcmp(l->name, "__pfx_", 6) == 0);
}

bool kallsyms_parse(char *text, size_t size, struct symtab *t)
{
	uint8_t strings = symtab_add_strings(t, text, size);
	uint64_t any_address = 0, data_at = 0;
	bool in_data = false;
	struct line l;
	char *end;

	for (char *p = text; p < text + size; p = end + 1) {
		end = memchr(p, '\n', (size_t)(text + size - p));
		if (!end)
			end = text + size;
		*end = '\0';
		/* Absolute symbols are offsets of per-CPU data, not addresses. */
		if (!parse_line(p, end, &l) || (l.type | 0x20) == 'a' || l.type == '\0')
			continue;
		any_address |= l.address;
		if (!is_function(&l)) {
			/* Tens of thousands of data symbols in a row: the first ends a function. */
			if (!in_data || l.address < data_at)
				symtab_add_boundary(t, l.address);
			in_data = true;
			data_at = l.address;
			continue;
		}
		in_data = false;
		uint64_t most = l.in_module ? MODULE_FUNCTION_MAX : CORE_FUNCTION_MAX;
		symtab_add(t, l.address, 0, l.address + MIN(most, UINT64_MAX - l.address),
			   l.type == 'T'   ? SYMBOL_GLOBAL
			   : l.type == 't' ? SYMBOL_LOCAL
					   : SYMBOL_WEAK,
			   strings, (uint32_t)(l.name - text));
	}
	if (!any_address)
		return false;
	symtab_finish(t);
	return true;
}

static void kernel_batch(struct symbol_module *base, const uint64_t *addresses, size_t n,
			 struct symbol_chain *chains, struct symbol_result *result)
{
	struct kernel_module *m = (struct kernel_module *)base;
	size_t near = 0, len;

	for (size_t i = 0; i < n; i++) {
		const struct symbol *s = symtab_find(&m->symtab, addresses[i], &near);
		if (!s)
			continue;
		const char *name = symtab_name(&m->symtab, s, &len);
		chain_set(chains, i, result, s->start, name, len, false);
	}
}

static void kernel_close(struct symbol_module *base)
{
	struct kernel_module *m = (struct kernel_module *)base;

	symtab_deinit(&m->symtab);
	free(m->text);
	free(m);
}

/* -1 where the kernel does not show it. */
static int setting(const char *path)
{
	CLEANUP(mem_cleanup) char *text = NULL;
	struct error *err = file_read_proc(path, 16, &text, NULL);

	if (err) {
		error_free(err);
		return -1;
	}
	return atoi(text);
}

/* At 0 addresses are shown to whoever may profile the kernel, at 1 to whoever has CAP_SYSLOG, at 2
 * to nobody. */
static struct error *hidden_error(void)
{
	int hides = setting("/proc/sys/kernel/kptr_restrict");
	bool profiles = setting("/proc/sys/kernel/perf_event_paranoid") <= 1;
	struct error *err = error_new(ERR_PERMISSION,
				      "the kernel hides its symbols (/proc/kallsyms shows zeros): "
				      "its functions are shown as [kernel]+0xADDRESS");

	if (hides >= 2)
		return error_hint(err, "sudo sysctl kernel.kptr_restrict=1, and run cprof as root");
	if (hides <= 0 && profiles)
		return error_hint(err, "a container or sandbox hides them: record on the host");
	return error_hint(err, "run as root, or with CAP_SYSLOG, or: sudo sysctl%s%s",
			  hides > 0 ? " kernel.kptr_restrict=0" : "",
			  profiles ? "" : " kernel.perf_event_paranoid=1");
}

struct error *symbol_module_kernel(struct symbol_module **ret)
{
	struct kernel_module *m = mem_calloc(1, sizeof(*m));
	size_t size = 0;
	struct error *err = file_read_proc("/proc/kallsyms", KALLSYMS_MAX_BYTES, &m->text, &size);

	m->base = (struct symbol_module){ .batch = kernel_batch, .close = kernel_close };
	if (!err && !kallsyms_parse(m->text, size, &m->symtab))
		err = hidden_error();
	if (err) {
		kernel_close(&m->base);
		return err;
	}
	*ret = &m->base;
	return NULL;
}

/* --- asked of somebody --- */

struct asked_module {
	struct symbol_module base;
	const struct symbol_kernel *kernel;
};

struct answer {
	struct symbol_chain *chains;
	struct symbol_result *result;
};

static void take_answer(void *answer, size_t i, uint64_t start, const char *name, size_t len)
{
	struct answer *a = answer;

	chain_set(a->chains, i, a->result, start, name, len, false);
}

static void asked_batch(struct symbol_module *base, const uint64_t *addresses, size_t n,
			struct symbol_chain *chains, struct symbol_result *result)
{
	struct asked_module *m = (struct asked_module *)base;
	struct answer answer = { chains, result };
	struct symbol_module *read;
	struct error *err;

	if (m->kernel->name_all(m->kernel->context, addresses, n, take_answer, &answer))
		return;
	err = symbol_module_kernel(&read);
	if (err) {
		error_free(err); /* addresses stay what they are */
		return;
	}
	symbol_batch(read, addresses, n, chains, result);
	symbol_module_close(read);
}

static void asked_close(struct symbol_module *base)
{
	free(base);
}

struct symbol_module *symbol_module_kernel_by(const struct symbol_kernel *kernel)
{
	struct asked_module *m = mem_calloc(1, sizeof(*m));

	m->base = (struct symbol_module){ .batch = asked_batch, .close = asked_close };
	m->kernel = kernel;
	return &m->base;
}
