#include "profiler/cmd/input.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "profiler/analysis/naming.h"
#include "profiler/analysis/profile_of.h"

/* What --from calls a recording of cprof. It is no struct format: those know nothing of profiling.
 */
#define RECORDING_FORMAT "cprof"

/* "cprof, folded, pprof, ...": what can be read. */
static void list_readable(struct buf *list)
{
	buf_add_str(list, RECORDING_FORMAT);
	for (size_t i = 0; formats[i]; i++)
		if (formats[i]->read)
			buf_printf(list, ", %s", formats[i]->name);
}

/* What is not read at all, said better than with a list of what is. */
static struct error *unknown_format(const struct file_bytes *bytes, const char *name)
{
	static const char *const perf_magics[] = { "PERFILE2", "2ELIFREP" };
	const char *const text = (const char *)bytes->data;
	CLEANUP(buf_deinit) struct buf known = { 0 };

	list_readable(&known);
	struct error *err = error_new(ERR_FORMAT, "%s is in no format that cprof reads (tried %s)",
				      name, buf_str(&known));
	for (size_t i = 0; i < ARRAY_SIZE(perf_magics); i++)
		if (bytes->size >= 8 && memcmp(text, perf_magics[i], 8) == 0)
			return error_hint(err,
					  "it is a file of perf record: perf script -i %s | cprof "
					  "report - (or flamegraph -, convert -)",
					  name);
	if (bytes->size >= 5 && (memcmp(text, "<?xml", 5) == 0 || memcmp(text, "<svg", 4) == 0))
		return error_hint(err, "it is a picture: give the recording or the profile that it "
				       "was made from (of perf: perf script -i perf.data | cprof "
				       "flamegraph -)");
	return error_hint(err, "--from FORMAT forces one");
}

/* *ret is NULL for a recording. */
static struct error *find_reader(const struct file_bytes *bytes, const char *name, const char *from,
				 const struct format **ret)
{
	CLEANUP(buf_deinit) struct buf known = { 0 };

	*ret = NULL;
	if (from ? strcmp(from, RECORDING_FORMAT) == 0 : recording_detect(bytes->data, bytes->size))
		return NULL;
	if (!from) {
		struct error *err = format_detect(bytes->data, bytes->size, name, ret);
		if (!err)
			return NULL;
		error_free(err);
		return unknown_format(bytes, name);
	}
	*ret = format_by_name(from);
	if (*ret && (*ret)->read)
		return NULL;

	list_readable(&known);
	return error_hint(error_new(ERR_USAGE, "--from: cannot read the format '%s'", from),
			  "known are %s", buf_str(&known));
}

static struct error *read_recording(const struct file_bytes *bytes, const struct read_options *o,
				    const struct format_notices *n, struct input *ret)
{
	struct recording *r = &ret->recording;

	TRY(error_prefix(recording_read(bytes->data, bytes->size, r), "%s", o->name));
	if (r->was_cut)
		format_notice(n,
			      "%s was cut: cprof was killed, or the disk was full; what was "
			      "written before is shown",
			      o->name);
	naming_complete(r);
	analysis_profile(r,
			 &(struct analysis_options){ .names = o->names, .label_ids = o->label_ids },
			 &ret->profile);
	return NULL;
}

struct error *input_open(const char *path, const char *from, const struct read_options *o,
			 const struct format_notices *n, struct input *ret)
{
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	CLEANUP(file_bytes_deinit) struct file_bytes bytes = { 0 };
	struct read_options options = *o;

	*ret = (struct input){ 0 };
	if (strcmp(path, INPUT_DEFAULT) == 0 && access(path, F_OK) != 0)
		return error_hint(error_new(ERR_NOT_FOUND, "there is no " INPUT_DEFAULT " here"),
				  "make one with: cprof record ./app");
	TRY(file_read_input(path, 0, &bytes));
	if (!bytes.size)
		return error_hint(error_new(ERR_FORMAT, "%s is empty", name),
				  "what should have written it failed, or recorded nothing");
	TRY(find_reader(&bytes, name, from, &ret->format));
	options.name = name;
	if (!ret->format)
		return read_recording(&bytes, &options, n, ret);

	profile_init(&ret->profile);
	struct error *err = ret->format->read(bytes.data, bytes.size, &options, n, &ret->profile);
	if (err)
		profile_deinit(&ret->profile);
	return err;
}

void input_deinit(struct input *in)
{
	profile_deinit(&in->profile);
	recording_deinit(&in->recording);
}

const char *input_format_name(const struct input *in)
{
	return in->format ? in->format->name : RECORDING_FORMAT;
}

struct error *input_read(const char *path, const char *from, const struct read_options *o,
			 const struct format_notices *n, struct profile *ret,
			 const struct format **ret_format)
{
	struct input in;

	TRY(input_open(path, from, o, n, &in));
	*ret = in.profile;
	if (ret_format)
		*ret_format = in.format;
	recording_deinit(&in.recording);
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
