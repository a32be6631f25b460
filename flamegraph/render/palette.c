#include "flamegraph/render/palette.h"

#include <string.h>
#include <xxhash.h>

#include "base/text.h"

/* The two ends of each range; names spread between them. */
static const struct {
	uint32_t from, to;
} ranges[COLOR_FAMILIES] = {
	[COLOR_AMBER] = { 0xf6a45c, 0xfbd774 },	 [COLOR_BLUE] = { 0x8bb4ea, 0xa9d3f5 },
	[COLOR_GREEN] = { 0x7fcfa5, 0xaadf9c },	 [COLOR_VIOLET] = { 0xc5aef0, 0xe3bdea },
	[COLOR_GREY] = { 0xc4c2bf, 0xd8d6d3 },	 [COLOR_RED] = { 0xf58378, 0xfba99a },
	[COLOR_ORANGE] = { 0xf79a3e, 0xfbb760 }, [COLOR_YELLOW] = { 0xe3c83c, 0xf5e270 },
	[COLOR_AQUA] = { 0x6fcfd3, 0xa2e3e0 },	 [COLOR_HOT] = { 0xf4775a, 0xfbdc5f },
	[COLOR_MEMORY] = { 0x74c98b, 0xa6dfc8 }, [COLOR_IO] = { 0x86a8ee, 0xb0c6f7 },
	[COLOR_WAKER] = { 0x5fc2c9, 0x8fd8dc },
};

static bool starts(const struct palette_frame *f, const char *with)
{
	size_t n = strlen(with);

	return f->len >= n && memcmp(f->name, with, n) == 0;
}

static bool contains(const struct palette_frame *f, const char *part)
{
	return memmem(f->name, f->len, part, strlen(part)) != NULL;
}

static bool contains_char(const struct palette_frame *f, char c)
{
	return memchr(f->name, c, f->len) != NULL;
}

static bool ends(const struct palette_frame *f, const char *with)
{
	size_t n = strlen(with);

	return f->len >= n && memcmp(f->name + f->len - n, with, n) == 0;
}

/* --- the palettes --- */

static enum color_family classify_default(const struct palette_frame *f)
{
	switch (f->kind) {
	case FRAME_SENTINEL:
		return COLOR_GREY;
	case FRAME_KERNEL:
		return COLOR_BLUE;
	case FRAME_JIT:
		return COLOR_GREEN;
	case FRAME_USER:
		break;
	}
	return f->waker ? COLOR_WAKER : f->inlined ? COLOR_VIOLET : COLOR_AMBER;
}

/* Palettes of one range: everything but what is no code. */
#define ONE_RANGE(id, family)                                                                      \
	static enum color_family classify_##id(const struct palette_frame *f)                      \
	{                                                                                          \
		return f->kind == FRAME_SENTINEL ? COLOR_GREY : (family);                          \
	}

ONE_RANGE(hot, COLOR_HOT)
ONE_RANGE(mem, COLOR_MEMORY)
ONE_RANGE(io, COLOR_IO)
ONE_RANGE(red, COLOR_RED)
ONE_RANGE(green, COLOR_GREEN)
ONE_RANGE(blue, COLOR_BLUE)
ONE_RANGE(aqua, COLOR_AQUA)
ONE_RANGE(yellow, COLOR_YELLOW)
ONE_RANGE(purple, COLOR_VIOLET)
ONE_RANGE(orange, COLOR_ORANGE)
ONE_RANGE(wakeup, COLOR_WAKER)

static enum color_family classify_chain(const struct palette_frame *f)
{
	return f->kind == FRAME_SENTINEL ? COLOR_GREY : f->waker ? COLOR_WAKER : COLOR_BLUE;
}

/* What every language's palette says of frames that are not in that language; COLOR_FAMILIES where
 * the palette has to look at the name. */
static enum color_family classify_foreign(const struct palette_frame *f)
{
	if (f->kind == FRAME_SENTINEL)
		return COLOR_GREY;
	if (f->kind == FRAME_KERNEL)
		return COLOR_ORANGE;
	return f->inlined ? COLOR_AQUA : COLOR_FAMILIES;
}

static enum color_family classify_java(const struct palette_frame *f)
{
	enum color_family foreign = classify_foreign(f);

	if (foreign != COLOR_FAMILIES)
		return foreign;
	if (f->kind == FRAME_JIT)
		return COLOR_GREEN;
	if (contains(f, "::") || starts(f, "-[") || starts(f, "+["))
		return COLOR_YELLOW;
	/* a class: Ljava/lang/String;::x, java/lang/String.x or java.lang.String.x */
	if (contains_char(f, '/') ||
	    (contains_char(f, '.') && !contains(f, ".so") && f->name[0] != '['))
		return COLOR_GREEN;
	return COLOR_RED;
}

static enum color_family classify_js(const struct palette_frame *f)
{
	enum color_family foreign = classify_foreign(f);

	if (foreign != COLOR_FAMILIES)
		return foreign;
	if (contains(f, ".js") || contains(f, ".mjs") || contains(f, ".ts") ||
	    starts(f, "LazyCompile:") || starts(f, "JS:"))
		return COLOR_GREEN;
	if (starts(f, "Builtin") || starts(f, "Bytecode") || f->kind == FRAME_JIT)
		return COLOR_AQUA;
	return contains(f, "::") ? COLOR_YELLOW : COLOR_RED;
}

static enum color_family classify_perl(const struct palette_frame *f)
{
	enum color_family foreign = classify_foreign(f);

	if (foreign != COLOR_FAMILIES)
		return foreign;
	if (contains(f, "Perl") || ends(f, ".pl") || ends(f, ".pm") || f->kind == FRAME_JIT)
		return COLOR_GREEN;
	return contains(f, "::") ? COLOR_YELLOW : COLOR_RED;
}

static enum color_family classify_python(const struct palette_frame *f)
{
	enum color_family foreign = classify_foreign(f);

	if (foreign != COLOR_FAMILIES)
		return foreign;
	if (contains(f, "site-packages") || contains(f, "dist-packages"))
		return COLOR_AQUA;
	if (contains(f, "<frozen ") || contains(f, "lib/python"))
		return COLOR_BLUE;
	if (contains(f, ".py") || starts(f, "py::") || f->kind == FRAME_JIT)
		return COLOR_YELLOW;
	return COLOR_RED;
}

static enum color_family classify_rust(const struct palette_frame *f)
{
	enum color_family foreign = classify_foreign(f);

	if (f->kind == FRAME_KERNEL)
		return COLOR_BLUE;
	if (foreign != COLOR_FAMILIES)
		return foreign;
	struct palette_frame path = *f;
	while (path.len && strchr("<&*(", *path.name)) { /* <alloc::vec::Vec<T> as ...>::drop */
		path.name++;
		path.len--;
	}
	if (starts(&path, "core::") || starts(&path, "std::") || starts(&path, "alloc::"))
		return COLOR_ORANGE;
	return contains(f, "::") ? COLOR_AMBER : COLOR_GREEN;
}

#define LANGUAGE_LABELS [COLOR_ORANGE] = "kernel", [COLOR_RED] = "native", [COLOR_GREY] = "not code"

static const struct palette palettes[] = {
	{ "default",
	  classify_default,
	  { [COLOR_AMBER] = "user",
	    [COLOR_BLUE] = "kernel",
	    [COLOR_GREEN] = "JIT",
	    [COLOR_VIOLET] = "inlined",
	    [COLOR_WAKER] = "waker",
	    [COLOR_GREY] = "not code" } },
	{ "hot", classify_hot, { 0 } },
	{ "mem", classify_mem, { 0 } },
	{ "io", classify_io, { 0 } },
	{ "wakeup", classify_wakeup, { 0 } },
	{ "chain", classify_chain, { [COLOR_BLUE] = "blocked", [COLOR_WAKER] = "waker" } },
	{ "java",
	  classify_java,
	  { LANGUAGE_LABELS, [COLOR_AQUA] = "inlined", [COLOR_GREEN] = "Java",
	    [COLOR_YELLOW] = "C++" } },
	{ "js",
	  classify_js,
	  { LANGUAGE_LABELS, [COLOR_GREEN] = "JavaScript", [COLOR_AQUA] = "built-in or inlined",
	    [COLOR_YELLOW] = "C++" } },
	{ "perl",
	  classify_perl,
	  { LANGUAGE_LABELS, [COLOR_AQUA] = "inlined", [COLOR_GREEN] = "Perl",
	    [COLOR_YELLOW] = "C++" } },
	{ "python",
	  classify_python,
	  { LANGUAGE_LABELS, [COLOR_YELLOW] = "Python", [COLOR_AQUA] = "packages or inlined",
	    [COLOR_BLUE] = "standard library" } },
	{ "rust",
	  classify_rust,
	  { [COLOR_AMBER] = "crates",
	    [COLOR_ORANGE] = "standard library",
	    [COLOR_BLUE] = "kernel",
	    [COLOR_AQUA] = "inlined",
	    [COLOR_GREEN] = "native",
	    [COLOR_GREY] = "not code" } },
	{ "red", classify_red, { 0 } },
	{ "green", classify_green, { 0 } },
	{ "blue", classify_blue, { 0 } },
	{ "aqua", classify_aqua, { 0 } },
	{ "yellow", classify_yellow, { 0 } },
	{ "purple", classify_purple, { 0 } },
	{ "orange", classify_orange, { 0 } },
};

struct error *palette_find(const char *name, const struct palette **ret)
{
	const char *names[ARRAY_SIZE(palettes)];
	CLEANUP(buf_deinit) struct buf list = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(palettes); i++) {
		if (!name || strcmp(name, palettes[i].name) == 0) {
			*ret = &palettes[i];
			return NULL;
		}
		names[i] = palettes[i].name;
		buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
	}
	const char *nearest = text_nearest(name, names, ARRAY_SIZE(names));
	struct error *err = error_new(ERR_USAGE, "there is no palette '%s'", name);
	if (nearest)
		return error_hint(err, "did you mean %s? There are: %s", nearest, buf_str(&list));
	return error_hint(err, "there are: %s", buf_str(&list));
}

void palette_strip_annotation(struct palette_frame *f)
{
	if (f->len < 5 || memcmp(f->name + f->len - 4, "_[", 2) != 0 || f->name[f->len - 1] != ']')
		return;
	switch (f->name[f->len - 2]) {
	case 'k':
		f->kind = FRAME_KERNEL;
		break;
	case 'j':
		f->kind = FRAME_JIT;
		break;
	case 'i':
		f->inlined = true;
		break;
	case 'w':
		f->waker = true;
		break;
	default:
		return;
	}
	f->len -= 4;
}

/* Between two colours: `along` and `pale` are 0 to 255, the second up to a sixth of the way to
 * white. */
static uint32_t mix(enum color_family family, uint32_t along, uint32_t pale)
{
	uint32_t rgb = 0;

	for (int shift = 16; shift >= 0; shift -= 8) {
		uint32_t from = ranges[family].from >> shift & 0xff;
		uint32_t to = ranges[family].to >> shift & 0xff;
		uint32_t c = (from * (255 - along) + to * along) / 255;
		c += (255 - c) * pale / 255 / 6;
		rgb |= c << shift;
	}
	return rgb;
}

uint32_t palette_color(enum color_family family, const char *name, size_t len)
{
	uint64_t hash = XXH3_64bits(name, len);

	return mix(family, (uint32_t)(hash & 0xff), (uint32_t)(hash >> 8 & 0xff));
}

uint32_t palette_middle(enum color_family family)
{
	return mix(family, 128, 0);
}
