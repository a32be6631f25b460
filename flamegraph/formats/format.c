#include "flamegraph/formats/format.h"

#include <stdarg.h>

#include "base/text.h"
#include "flamegraph/formats/folded.h"
#include "flamegraph/formats/perf_script.h"
#include "flamegraph/formats/pprof.h"
#include "flamegraph/formats/svg.h"

/* A new format is one line here. Detection asks from top to bottom: what has a magic number first,
 * text that could be anything last. */
const struct format *const formats[] = {
	&format_svg, &format_pprof, &format_perf_script, &format_folded, NULL,
};

void format_notice(const struct format_notices *n, const char *fmt, ...)
{
	va_list args;

	if (!n || !n->notice)
		return;
	va_start(args, fmt);
	char *text = mem_vprintf(fmt, args);
	va_end(args);
	n->notice(n->context, text);
	free(text);
}

void format_notice_not_utf8(const struct format_notices *n, uint64_t count)
{
	if (count)
		format_notice(
			n, "%llu %s odd bytes are shown as U+FFFD", (unsigned long long)count,
			text_plural(count, "name is not UTF-8: its", "names are not UTF-8: their"));
}

uint32_t format_shown_type(const struct profile *p, const struct write_options *o)
{
	if (o->type >= 0)
		return (uint32_t)o->type;

	const struct profile_value_type *t = &p->types.items[p->default_type];
	if (strcmp(profile_text(p, t->type), "cpu") != 0)
		return p->default_type;
	int samples = profile_find_type(p, "samples");
	return samples < 0 ? p->default_type : (uint32_t)samples;
}

const struct format *format_by_name(const char *name)
{
	for (size_t i = 0; formats[i]; i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}

const struct format *format_by_path(const char *path)
{
	const struct format *found = NULL;
	size_t longest = 0, len = strlen(path);

	for (size_t i = 0; formats[i]; i++) {
		for (const char *const *s = formats[i]->suffixes; *s; s++) {
			size_t n = strlen(*s);
			if (n > longest && n <= len && strcmp(path + len - n, *s) == 0) {
				longest = n;
				found = formats[i];
			}
		}
	}
	return found;
}

/* Detection looks at this much of the input: enough lines to judge text by. */
#define DETECT_BYTES ((size_t)1 << 20)

struct error *format_detect(const void *bytes, size_t size, const char *name,
			    const struct format **ret)
{
	struct buf tried = { 0 };

	for (size_t i = 0; formats[i]; i++) {
		if (!formats[i]->read)
			continue;
		if (formats[i]->detect(bytes, MIN(size, DETECT_BYTES), size <= DETECT_BYTES)) {
			buf_deinit(&tried);
			*ret = formats[i];
			return NULL;
		}
		if (tried.len)
			buf_add_str(&tried, ", ");
		buf_add_str(&tried, formats[i]->name);
	}
	struct error *err = error_new(ERR_FORMAT, "%s is in no format that cprof reads (tried %s)",
				      name ? name : "the input", buf_str(&tried));
	buf_deinit(&tried);
	return error_hint(err, "--from FORMAT forces one");
}
