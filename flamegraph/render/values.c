#include "flamegraph/render/values.h"

#include "base/text.h"

struct unit_name {
	const char *name;
	enum value_scale scale;
	double factor;
};

static const struct unit_name units[] = {
	{ "nanoseconds", VALUE_TIME, 1e-9 },  { "ns", VALUE_TIME, 1e-9 },
	{ "microseconds", VALUE_TIME, 1e-6 }, { "us", VALUE_TIME, 1e-6 },
	{ "milliseconds", VALUE_TIME, 1e-3 }, { "ms", VALUE_TIME, 1e-3 },
	{ "seconds", VALUE_TIME, 1 },	      { "s", VALUE_TIME, 1 },
	{ "bytes", VALUE_BYTES, 1 },	      { "kilobytes", VALUE_BYTES, 1024 },
};

struct value_style value_style_of(const struct profile *p, uint32_t type)
{
	const struct profile_value_type *t = &p->types.items[type];
	const char *unit = profile_text(p, t->unit);

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(unit, units[i].name) == 0)
			return (struct value_style){ units[i].scale, units[i].factor, unit };
	}
	bool counted = !*unit || strcmp(unit, "count") == 0;
	return (struct value_style){ VALUE_COUNT, 1, counted ? profile_text(p, t->type) : unit };
}

/* The largest of the steps that the value reaches, three to five digits of it. */
static void add_scaled(struct buf *out, double v, const char *const *names, const double *steps,
		       size_t count)
{
	size_t i = 0;
	double size = v < 0 ? -v : v;

	while (i + 1 < count && size < steps[i])
		i++;
	double shown = v / steps[i];
	double digits = size / steps[i];
	buf_printf(out, "%.*f %s",
		   digits >= 100 || i + 1 == count ? 0
		   : digits >= 10		   ? 1
						   : 2,
		   shown, names[i]);
}

static void add_time(struct buf *out, double seconds)
{
	static const char *const names[] = { "s", "ms", "µs", "ns" };
	static const double steps[] = { 1, 1e-3, 1e-6, 1e-9 };

	add_scaled(out, seconds, names, steps, ARRAY_SIZE(names));
}

static void add_bytes(struct buf *out, double bytes)
{
	static const char *const names[] = { "TiB", "GiB", "MiB", "KiB", "B" };
	static const double steps[] = { 0x1p40, 0x1p30, 0x1p20, 0x1p10, 1 };

	add_scaled(out, bytes, names, steps, ARRAY_SIZE(names));
}

/* "samples" of which there is one is a "sample"; other nouns are left as their profile spells them.
 */
static void add_noun(struct buf *out, const char *noun, bool one)
{
	size_t n = strlen(noun);

	buf_add(out, noun, one && strcmp(noun, "samples") == 0 ? n - 1 : n);
}

void value_add(struct buf *out, const struct value_style *style, int64_t v)
{
	switch (style->scale) {
	case VALUE_TIME:
		add_time(out, (double)v * style->factor);
		break;
	case VALUE_BYTES:
		add_bytes(out, (double)v * style->factor);
		break;
	case VALUE_COUNT:
		if (v < 0)
			buf_add_char(out, '-');
		text_add_thousands(out, v < 0 ? -(uint64_t)v : (uint64_t)v);
		buf_add_char(out, ' ');
		add_noun(out, style->noun, v == 1);
		break;
	}
}

/* Adds v / total in per cent, rounded to a number of decimals; trailing zeros only where asked for.
 * Integers throughout, so that the same profile gives the same digits everywhere. */
static void add_per_cent(struct buf *out, int64_t v, int64_t total, unsigned int decimals,
			 bool keep_zeros)
{
	uint64_t unit = 1;

	for (unsigned int i = 0; i < decimals; i++)
		unit *= 10;
	unsigned __int128 scaled = (unsigned __int128)v * 100 * unit + (uint64_t)total / 2;
	uint64_t n = (uint64_t)(scaled / (uint64_t)total);
	buf_add_u64(out, n / unit);

	uint64_t fraction = n % unit;
	while (!keep_zeros && decimals && fraction % 10 == 0) {
		fraction /= 10;
		decimals--;
	}
	if (!decimals)
		return;
	char digits[24];
	for (unsigned int i = decimals; i-- > 0; fraction /= 10)
		digits[i] = (char)('0' + fraction % 10);
	buf_add_char(out, '.');
	buf_add(out, digits, decimals);
}

void position_add(struct buf *out, int64_t v, int64_t total)
{
	add_per_cent(out, v, total, 4, false);
}

void percent_add(struct buf *out, int64_t v, int64_t total)
{
	if (v == total)
		buf_add_str(out, "100");
	else
		add_per_cent(out, v, total, 2, true);
	buf_add_char(out, '%');
}
