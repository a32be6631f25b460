#include "base/options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

static const struct option_spec *find_long(const struct options *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->specs[i].name && strlen(o->specs[i].name) == len &&
		    memcmp(o->specs[i].name, name, len) == 0)
			return &o->specs[i];
	return NULL;
}

static const struct option_spec *find_letter(const struct options *o, char letter)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->specs[i].letter && o->specs[i].letter == letter)
			return &o->specs[i];
	return NULL;
}

/* The option that a word means: the only one that begins like it, or one that is spelt nearly so.
 */
static const char *find_near(const struct options *o, const char *word)
{
	CLEANUP(mem_cleanup) const char **names = mem_calloc(o->count, sizeof(*names));
	const char *begins = NULL;
	size_t n = 0, begin_count = 0;

	for (size_t i = 0; i < o->count; i++) {
		if (!o->specs[i].name || !o->specs[i].help)
			continue;
		names[n++] = o->specs[i].name;
		if (strncmp(o->specs[i].name, word, strlen(word)) != 0)
			continue;
		begins = o->specs[i].name;
		begin_count++;
	}
	return begin_count == 1 ? begins : text_nearest(word, names, n);
}

/* Whether it is one of the words between spaces; of a letter, what may follow it is its value. */
static bool is_one_of(const char *words, const char *word)
{
	size_t len = word[1] == '-' ? strcspn(word, "=") : 2;

	for (const char *at = words; *at; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");

		if (n == len && memcmp(at, word, n) == 0)
			return true;
		at += n;
	}
	return false;
}

static struct error *unknown(const struct options *o, const char *word)
{
	struct error *err = error_new(ERR_USAGE, "unknown option '%s'", word);
	const char *bare = word + strspn(word, "-");
	CLEANUP(mem_cleanup) char *name = mem_strndup(bare, strcspn(bare, "="));
	const char *near = strlen(name) > 1 ? find_near(o, name) : NULL;

	for (const struct option_foreign *f = o->foreign; f && f->words; f++)
		if (is_one_of(f->words, word) && (word[1] == '-' || !near))
			return error_hint(err, "%s", f->hint);
	if (near)
		return error_hint(err, "did you mean --%s?", near);
	return error_hint(err, "--help lists the options");
}

static struct error *store(const struct option_spec *spec, const char *shown, const char *value)
{
	switch (spec->kind) {
	case OPTION_FLAG:
		*(bool *)spec->target = true;
		return NULL;
	case OPTION_STRING:
		*(const char **)spec->target = value;
		return NULL;
	case OPTION_UINT:
		return parse_u64(value, shown, UINT64_MAX, spec->target);
	case OPTION_DURATION:
		return parse_duration_ns(value, shown, spec->target);
	case OPTION_SIZE:
		return parse_size(value, shown, spec->target);
	case OPTION_CALL:
		return spec->apply(spec->target, value);
	}
	return NULL;
}

/* One word that starts with a dash; *at is its index and moves past a value taken from the next. */
static struct error *parse_word(const struct options *o, int argc, char **argv, int *at)
{
	const char *word = argv[*at], *value = NULL;
	const struct option_spec *spec;

	if (word[1] == '-') {
		size_t len = strcspn(word + 2, "=");
		spec = find_long(o, word + 2, len);
		if (!spec)
			return unknown(o, word);
		if (word[2 + len] == '=')
			value = word + 2 + len + 1;
	} else {
		spec = find_letter(o, word[1]);
		if (!spec)
			return unknown(o, word);
		if (word[2] && !spec->argument) { /* -qx is -q -x */
			char rest[3] = { '-', word[1], 0 };
			TRY(store(spec, rest, NULL));
			argv[*at]++;
			argv[*at][0] = '-';
			return parse_word(o, argc, argv, at);
		}
		if (word[2])
			value = word + 2;
	}
	if (value && !spec->argument)
		return error_new(ERR_USAGE, "--%s takes no value", spec->name);
	if (!value && spec->argument) {
		if (*at + 1 >= argc)
			return error_new(ERR_USAGE, "%s needs a value: %s", word, spec->argument);
		value = argv[++*at];
	}

	char shown[64];
	if (spec->name)
		snprintf(shown, sizeof(shown), "--%s", spec->name);
	else
		snprintf(shown, sizeof(shown), "-%c", spec->letter);
	return store(spec, shown, value);
}

struct error *options_parse(const struct options *o, int argc, char **argv, int *ret_first)
{
	char **operands = mem_calloc((size_t)argc + 1, sizeof(*operands));
	struct error *err = NULL;
	int n = 0, at;

	for (at = 1; at < argc && !err; at++) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		if (argv[at][0] == '-' && argv[at][1]) {
			err = parse_word(o, argc, argv, &at);
		} else if (o->stop_at_operand) {
			break;
		} else {
			operands[n++] = argv[at];
		}
	}
	while (!err && at < argc)
		operands[n++] = argv[at++];

	*ret_first = argc - n;
	memcpy(argv + argc - n, operands, (size_t)n * sizeof(*operands));
	free(operands);
	return err;
}

void options_print(const struct options *o, FILE *out)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct option_spec *spec = &o->specs[i];
		struct buf left = { 0 };

		if (!spec->help)
			continue;
		if (spec->letter)
			buf_printf(&left, "-%c", spec->letter);
		else
			buf_add_str(&left, "  ");
		if (spec->name)
			buf_printf(&left, "%s --%s", spec->letter ? "," : " ", spec->name);
		if (spec->argument)
			buf_printf(&left, " %s", spec->argument);
		fprintf(out, "  %-26s%s %s\n", buf_str(&left),
			left.len > 26 ? "\n                            " : "", spec->help);
		buf_deinit(&left);
	}
}
