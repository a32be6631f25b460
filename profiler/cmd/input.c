#include "profiler/cmd/input.h"

#include "base/buf.h"
#include "base/file.h"

char *input_format_names(bool writable)
{
	struct buf list = { 0 };

	for (size_t i = 0; formats[i]; i++)
		if (writable ? formats[i]->write != NULL : formats[i]->read != NULL)
			buf_printf(&list, "%s%s", list.len ? ", " : "", formats[i]->name);
	return buf_take_str(&list);
}

static struct error *find_reader(const struct file_bytes *bytes, const char *name, const char *from,
				 const struct format **ret)
{
	if (!from)
		return format_detect(bytes->data, bytes->size, name, ret);
	*ret = format_by_name(from);
	if (*ret && (*ret)->read)
		return NULL;

	char *known = input_format_names(false);
	struct error *err =
		error_hint(error_new(ERR_USAGE, "--from: cannot read the format '%s'", from),
			   "known are %s", known);
	free(known);
	return err;
}

struct error *input_read(const char *path, const char *from, const struct read_options *o,
			 const struct format_notices *n, struct profile *ret,
			 const struct format **ret_format)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	CLEANUP(file_bytes_deinit) struct file_bytes bytes = { 0 };
	struct read_options options = *o;
	const struct format *format;

	TRY(file_read_input(path, 0, &bytes));
	if (!bytes.size)
		return error_hint(error_new(ERR_FORMAT, "%s is empty", name),
				  "what should have written it failed, or recorded nothing");
	TRY(find_reader(&bytes, name, from, &format));
	options.name = name;
	profile_init(ret);
	struct error *err = format->read(bytes.data, bytes.size, &options, n, ret);
	if (err) {
		profile_deinit(ret);
		return err;
	}
	if (ret_format)
		*ret_format = format;
	return NULL;
}

struct error *input_find_type(const struct profile *p, const char *type, int *ret)
{
	CLEANUP(buf_deinit) struct buf known = { 0 };

	*ret = -1;
	if (!type)
		return NULL;
	*ret = profile_find_type(p, type);
	if (*ret >= 0)
		return NULL;
	for (size_t i = 0; i < p->types.count; i++)
		buf_printf(&known, "%s%s", i ? ", " : "", profile_text(p, p->types.items[i].type));
	return error_hint(
		error_new(ERR_USAGE, "--type: there are no values '%s' in the profile", type),
		"there are %s", buf_str(&known));
}

struct error *input_parse_names(const char *word, enum name_style *ret)
{
	static const char *const words[] = {
		[NAMES_FULL] = "full",
		[NAMES_SIMPLE] = "simple",
		[NAMES_RAW] = "raw",
		[NAMES_PERL] = "perl",
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(word, words[i]) == 0) {
			*ret = (enum name_style)i;
			return NULL;
		}
	}
	return error_hint(error_new(ERR_USAGE, "--names: unknown style '%s'", word),
			  "known are full, simple, raw and perl");
}
