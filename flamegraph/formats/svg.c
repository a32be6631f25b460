/*
 * The SVG flame graph as a format: options to a page. Frames below a tenth of a pixel are left out
 * unless --minwidth says otherwise, which keeps the file of a profile of any size at a few
 * megabytes; the page says what is missing.
 */
#include "flamegraph/formats/svg.h"

#include "base/text.h"
#include "flamegraph/render/escape.h"
#include "flamegraph/render/layout.h"
#include "flamegraph/render/page.h"
#include "flamegraph/render/palette.h"
#include "flamegraph/render/values.h"

#define DEFAULT_MIN_PX 0.1
#define MOST_MIN_PX    5       /* beyond this a narrower picture would say nothing */
#define MOST_BYTES     4800000 /* of frames, as long as the user did not choose the least width */
#define FRAME_BYTES    150     /* of markup, besides the name */
#define LEAST_WIDTH    100
#define MOST_WIDTH     100000

static const char *const svg_suffixes[] = { ".svg", NULL };

static uint32_t page_width(const struct write_options *o)
{
	return o->width ? o->width : PAGE_DEFAULT_WIDTH;
}

/* About how large the frames' markup will be. */
static size_t estimated_bytes(const struct layout *l, const struct calltree *t)
{
	size_t bytes = 0;

	for (size_t i = 0; i < l->frames.count; i++)
		bytes += FRAME_BYTES + intern_len(&t->profile->strings,
						  t->nodes.items[l->frames.items[i].node].name);
	return bytes;
}

/* Lays the tree out. The least width is the user's, or a tenth of a pixel, or more where that would
 * make a file that browsers are slow with. Returns it: pixels, or per cent. */
static double lay_out(struct layout *l, const struct calltree *t, const struct write_options *o)
{
	double scale = o->minwidth_percent ? 100 : page_width(o) - 2 * PAGE_SIDE_PX;
	double least = o->minwidth_is_set ? o->minwidth : DEFAULT_MIN_PX;

	layout_build(l, t, least / scale);
	while (!o->minwidth_is_set && least < MOST_MIN_PX && estimated_bytes(l, t) > MOST_BYTES) {
		layout_deinit(l);
		least += DEFAULT_MIN_PX / 2;
		layout_build(l, t, least / scale);
	}
	return least;
}

static struct error *check_options(const struct profile *p, const struct write_options *o)
{
	if (o->width && (o->width < LEAST_WIDTH || o->width > MOST_WIDTH))
		return error_new(ERR_USAGE, "a width of %u px is not between %d and %d", o->width,
				 LEAST_WIDTH, MOST_WIDTH);
	if (o->type >= (int)p->types.count)
		return error_new(ERR_USAGE, "the profile has no value type %d", o->type);
	return NULL;
}

/* What the reader of the picture must know that it does not show. */
static void add_note(struct buf *note, const struct layout *l, const struct value_style *values,
		     double min_width, const char *unit)
{
	if (!l->pruned_frames)
		return;
	text_add_thousands(note, l->pruned_frames);
	buf_printf(note, " frame%s narrower than %g%s not drawn: the inner ends of ",
		   text_plural(l->pruned_frames, "", "s"), min_width, unit);
	value_add(note, values, l->pruned_weight);
	buf_add_str(note, " (");
	percent_add(note, l->pruned_weight, l->total);
	buf_add_str(note, "); --minwidth 0 draws them");
}

/* The facts below the title where the caller has none: the total, and over what time. */
static void add_facts(struct buf *facts, const struct profile *p, const struct layout *l,
		      const struct value_style *values, uint32_t type)
{
	value_add(facts, values, l->total);
	if (values->scale != VALUE_COUNT)
		buf_printf(facts, " of %s", profile_text(p, p->types.items[type].type));
	if (p->duration_ns > 0) {
		struct value_style time = { VALUE_TIME, 1e-9, "" };
		buf_add_str(facts, " in ");
		value_add(facts, &time, p->duration_ns);
	}
	buf_add_str(facts, " \xc2\xb7 ");
	text_add_thousands(facts, l->frames.count - 1);
	buf_printf(facts, " frame%s, %u deep", text_plural(l->frames.count - 1, "", "s"),
		   l->max_depth);
	if (p->remark)
		buf_printf(facts, " \xc2\xb7 %s", profile_text(p, p->remark));
}

static const char *title_of(const struct profile *p, const struct write_options *o)
{
	if (o->title)
		return o->title;
	if (p->title)
		return profile_text(p, p->title);
	return o->reverse ? "Flame graph by callee" : "Flame graph";
}

/* The picture of a program that ended before it was sampled: valid, and says so. */
static void write_empty(const char *title, struct sink *out)
{
	CLEANUP(buf_deinit) struct buf b = { 0 };

	buf_add_str(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"600\" height=\"80\" "
			"font-family=\"sans-serif\">\n<title>");
	xml_add(&b, title, strlen(title));
	buf_add_str(&b, "</title>\n<text id=\"title\" x=\"12\" y=\"28\" font-size=\"18\">");
	xml_add(&b, title, strlen(title));
	buf_add_str(&b, "</text>\n<text id=\"subtitle\" x=\"12\" y=\"52\" font-size=\"13\">no "
			"samples: it used too little CPU time to be sampled</text>\n</svg>\n");
	sink_write(out, b.data, b.len);
}

static struct error *draw(const struct calltree *tree, struct layout *l, uint32_t type,
			  const struct write_options *o, const struct format_notices *n,
			  struct sink *out)
{
	CLEANUP(buf_deinit) struct buf note = { 0 };
	CLEANUP(buf_deinit) struct buf facts = { 0 };
	struct value_style values = value_style_of(tree->profile, type);
	struct page page = {
		.tree = tree,
		.layout = l,
		.type = type,
		.title = title_of(tree->profile, o),
		.subtitle = o->subtitle,
		.width = page_width(o),
		.fluid = !o->width,
		.icicle = o->icicle,
	};

	TRY(palette_find(o->colors, &page.palette));
	double least = lay_out(l, tree, o);
	if (!tree->profile->samples.count) {
		write_empty(page.title, out);
		return NULL;
	}
	if (l->total <= 0)
		return error_hint(
			error_new(ERR_FORMAT, "there is nothing to draw: the total is %lld",
				  (long long)tree->nodes.items[0].total),
			"the profile has no samples of this type; another one may be chosen "
			"with --type");
	add_note(&note, l, &values, least, o->minwidth_percent ? "%" : " px");
	if (note.len)
		page.note = buf_str(&note);
	if (l->negative_frames)
		format_notice(n, "%llu %s not drawn", (unsigned long long)l->negative_frames,
			      text_plural(l->negative_frames,
					  "branch has a value of zero or less and is",
					  "branches have values of zero or less and are"));
	if (!page.subtitle) {
		add_facts(&facts, tree->profile, l, &values, type);
		page.subtitle = buf_str(&facts);
	}
	page_write(&page, out);
	return NULL;
}

static struct error *svg_write(const struct profile *p, const struct write_options *o,
			       const struct format_notices *n, struct sink *out)
{
	uint32_t type = format_shown_type(p, o);
	struct calltree_options shape = { .type = type,
					  .root = CALLTREE_ROOT_COMM,
					  .reverse = o->reverse };
	struct calltree tree;
	struct layout layout = { 0 };

	TRY(check_options(p, o));
	if (o->fold_tid)
		shape.root = CALLTREE_ROOT_THREAD;
	else if (o->fold_pid)
		shape.root = CALLTREE_ROOT_PID;
	calltree_build(&tree, p, &shape);
	struct error *err = draw(&tree, &layout, type, o, n, out);
	layout_deinit(&layout);
	calltree_deinit(&tree);
	return err;
}

const struct format format_svg = {
	.name = "svg",
	.suffixes = svg_suffixes,
	.description = "SVG flame graph that zooms and searches in a browser",
	.write = svg_write,
};
