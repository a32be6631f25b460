#include "flamegraph/render/page.h"

#include "base/text.h"
#include "flamegraph/render/escape.h"
#include "flamegraph/render/textfit.h"
#include "flamegraph/render/values.h"
#include "flamegraph_assets.h"

#define HEADER_PX 64
#define ROW_PX	  18 /* a frame and the gap above it */
#define TEXT_PX	  3  /* between a frame's edge and its text */
#define WIDE_PX	  3  /* frames of this width have an edge and round corners */
#define BASE_PX	  13 /* from a frame's upper edge to the line its text stands on */
#define BOTTOM_PX 12
#define LEGEND_PX 20 /* a row of the footer */
#define SWATCH_PX 12

/* What one page needs while it is written. */
struct writer {
	const struct page *page;
	struct value_style values;
	struct buf text; /* the piece that is being made */
	uint32_t inner;	 /* px: the width of #frames */
	uint32_t frames_height;
	bool seen[COLOR_FAMILIES];
};

static void add_attribute(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, " %s=\"", name);
	xml_add(b, value, strlen(value));
	buf_add_char(b, '"');
}

static void add_text(struct buf *b, const char *s)
{
	xml_add(b, s, strlen(s));
}

static enum color_family classify(struct writer *w, struct palette_frame *f,
				  const struct calltree_node *n)
{
	const struct profile *p = w->page->tree->profile;

	if (n == w->page->tree->nodes.items) { /* everything together: no frame of a program */
		*f = (struct palette_frame){ .name = "all", .len = 3, .kind = FRAME_SENTINEL };
		return COLOR_GREY;
	}
	*f = (struct palette_frame){ .name = intern_get(&p->strings, n->name),
				     .len = intern_len(&p->strings, n->name),
				     .kind = n->kind,
				     .inlined = n->inlined };
	palette_strip_annotation(f);
	return w->page->palette->classify(f);
}

/* --- frames --- */

/* `name (1,234 samples, 12.34%)`: what tooltips show and scripts read. */
static void add_frame_title(struct writer *w, const struct palette_frame *f, int64_t value)
{
	struct buf *b = &w->text;

	/* narrower ones would be nothing but their pale edge */
	bool is_wide = (double)value * w->inner >= WIDE_PX * (double)w->page->layout->total;
	buf_add_str(b, is_wide ? "<g class=\"wide\"><title>" : "<g><title>");
	xml_add(b, f->name, f->len);
	buf_add_str(b, " (");
	value_add(b, &w->values, value);
	buf_add_str(b, ", ");
	percent_add(b, value, w->page->layout->total);
	buf_add_str(b, ")</title>");
}

static void add_rgb(struct buf *b, uint32_t rgb)
{
	static const char digits[] = "0123456789abcdef";

	for (int shift = 20; shift >= 0; shift -= 4)
		buf_add_char(b, digits[rgb >> shift & 15]);
}

static void add_frame_rect(struct writer *w, const struct layout_frame *f, uint32_t y, uint32_t rgb)
{
	const struct layout *l = w->page->layout;
	int64_t self = w->page->tree->nodes.items[f->node].self;
	struct buf *b = &w->text;

	buf_add_str(b, "<rect x=\"");
	position_add(b, f->x, l->total);
	buf_add_str(b, "%\" y=\"");
	buf_add_u64(b, y);
	buf_add_str(b, "\" width=\"");
	position_add(b, f->w, l->total);
	buf_add_str(b, "%\" height=\"");
	buf_add_u64(b, ROW_PX - 1);
	buf_add_str(b, "\" fill=\"#");
	add_rgb(b, rgb);
	buf_add_str(b, "\" fg:x=\"");
	buf_add_i64(b, f->x);
	buf_add_str(b, "\" fg:w=\"");
	buf_add_i64(b, f->w);
	if (self != f->w - f->covered) { /* else it follows from the frames drawn */
		buf_add_str(b, "\" fg:s=\"");
		buf_add_i64(b, self);
	}
	buf_add_str(b, "\"/>");
}

static void add_frame_text(struct writer *w, const struct layout_frame *f, uint32_t y,
			   const struct palette_frame *shown)
{
	const struct layout *l = w->page->layout;
	double px = (double)f->w / (double)l->total * w->inner - 2 * TEXT_PX;
	size_t fits = textfit_bytes(shown->name, shown->len, px);
	struct buf *b = &w->text;

	if (!fits) {
		buf_add_str(b, "<text/></g>\n");
		return;
	}
	double x = (double)f->x / (double)l->total * w->inner + TEXT_PX;
	buf_printf(b, "<text x=\"%.1f\" y=\"%u\">", x, y + BASE_PX);
	xml_add(b, shown->name, fits);
	buf_add_str(b, fits < shown->len ? "..</text></g>\n" : "</text></g>\n");
}

static void write_frames(struct writer *w, struct sink *out)
{
	const struct page *page = w->page;
	const struct layout *l = page->layout;

	for (size_t i = 0; i < l->frames.count; i++) {
		const struct layout_frame *f = &l->frames.items[i];
		struct palette_frame shown;
		enum color_family family = classify(w, &shown, &page->tree->nodes.items[f->node]);
		uint32_t y = (page->icicle ? f->depth : l->max_depth - f->depth) * ROW_PX;

		buf_clear(&w->text);
		add_frame_title(w, &shown, f->w);
		add_frame_rect(w, f, y, palette_color(family, shown.name, shown.len));
		add_frame_text(w, f, y, &shown);
		sink_write(out, w->text.data, w->text.len);
	}
}

/* --- around them --- */

static unsigned int legend_size(const struct writer *w)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < COLOR_FAMILIES; i++)
		n += w->seen[i] && w->page->palette->labels[i];
	return n;
}

/* Which families there are is only known once every frame was classified, and the page's height,
 * which depends on it, stands in its first line. */
static void find_families(struct writer *w)
{
	const struct layout *l = w->page->layout;

	for (size_t i = 1; i < l->frames.count; i++) {
		struct palette_frame f;
		w->seen[classify(w, &f, &w->page->tree->nodes.items[l->frames.items[i].node])] =
			true;
	}
}

static void write_legend(struct writer *w, struct sink *out)
{
	const struct palette *p = w->page->palette;
	uint32_t y = HEADER_PX + w->frames_height + LEGEND_PX;
	uint32_t x = PAGE_SIDE_PX;

	sink_str(out, "<g class=\"footer\">\n");
	for (unsigned int i = 0; legend_size(w) > 1 && i < COLOR_FAMILIES; i++) {
		if (!w->seen[i] || !p->labels[i])
			continue;
		buf_clear(&w->text);
		buf_printf(&w->text,
			   "<g transform=\"translate(%u %u)\"><rect y=\"-10\" width=\"%u\" "
			   "height=\"%u\"",
			   x, y, SWATCH_PX, SWATCH_PX);
		buf_add_str(&w->text, " rx=\"3\" fill=\"#");
		add_rgb(&w->text, palette_middle(i));
		buf_printf(&w->text, "\"/><text x=\"%u\">", SWATCH_PX + 6);
		add_text(&w->text, p->labels[i]);
		buf_add_str(&w->text, "</text></g>\n");
		sink_write(out, w->text.data, w->text.len);
		x += SWATCH_PX + 24 + 7 * (uint32_t)strlen(p->labels[i]);
	}
	if (w->page->note) {
		if (x > PAGE_SIDE_PX)
			y += LEGEND_PX;
		buf_clear(&w->text);
		buf_printf(&w->text,
			   "<g class=\"note\" transform=\"translate(%u %u)\"><text id=\"note\">",
			   PAGE_SIDE_PX, y);
		add_text(&w->text, w->page->note);
		buf_add_str(&w->text, "</text></g>\n");
		sink_write(out, w->text.data, w->text.len);
	}
	sink_str(out, "</g>\n");
}

/* Title and facts as text of the picture; the tools are hidden until the script runs. */
static void write_header(struct writer *w, struct sink *out)
{
	struct buf *b = &w->text;

	buf_clear(b);
	buf_printf(b,
		   "<g class=\"header\"><rect class=\"paper\" width=\"100%%\" height=\"%u\"/>"
		   "<rect class=\"rule\" width=\"100%%\" height=\"1\"/>\n"
		   "<text id=\"title\" x=\"%u\" y=\"28\">",
		   HEADER_PX - 8, PAGE_SIDE_PX);
	add_text(b, w->page->title);
	buf_printf(b, "</text>\n<text id=\"subtitle\" x=\"%u\" y=\"48\">", PAGE_SIDE_PX);
	add_text(b, w->page->subtitle);
	buf_add_str(b, "</text>\n");
	sink_write(out, b->data, b->len);

	sink_str(
		out,
		"<foreignObject id=\"tools\" class=\"ui\" width=\"1\" height=\"1\">"
		"<div xmlns=\"http://www.w3.org/1999/xhtml\" class=\"bar\">\n"
		"<span id=\"matched\" role=\"status\" aria-live=\"polite\"></span>"
		"<button type=\"button\" id=\"unzoom\" title=\"Show everything (0)\" "
		"hidden=\"hidden\">"
		"Reset zoom</button>"
		"<button type=\"button\" id=\"invert\" title=\"Turn upside down (I)\">Flip</button>"
		"<span class=\"box\"><input id=\"search\" type=\"search\" placeholder=\"Search "
		"(regex)\""
		" aria-label=\"Search names by regular expression\" autocomplete=\"off\""
		" autocapitalize=\"off\" spellcheck=\"false\"/>"
		"<button type=\"button\" id=\"ignorecase\" title=\"Ignore case (Ctrl+I)\""
		" aria-label=\"Ignore case\" aria-pressed=\"false\">aA</button>"
		"<button type=\"button\" id=\"previous\" title=\"Previous match (Shift+N)\""
		" aria-label=\"Previous match\">\xe2\x80\xb9</button>"
		"<button type=\"button\" id=\"next\" title=\"Next match (N)\" aria-label=\"Next "
		"match\">"
		"\xe2\x80\xba</button></span>\n"
		"</div></foreignObject>\n"
		"<foreignObject id=\"line\" class=\"ui\" x=\"12\" width=\"1\" height=\"18\">"
		"<div xmlns=\"http://www.w3.org/1999/xhtml\" "
		"id=\"details\"></div></foreignObject>\n"
		"</g>\n");
}

static void write_opening(struct writer *w, struct sink *out)
{
	const struct page *page = w->page;
	unsigned int rows = (legend_size(w) > 1) + (page->note != NULL);
	uint32_t height = HEADER_PX + w->frames_height + BOTTOM_PX + rows * LEGEND_PX;
	struct buf *b = &w->text;

	buf_clear(b);
	buf_printf(
		b,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<svg xmlns=\"http://www.w3.org/2000/svg\" "
		"xmlns:fg=\"http://github.com/jonhoo/inferno\""
		" class=\"cprof\" width=\"%u\" height=\"%u\" viewBox=\"0 0 %u %u\" fg:fluid=\"%d\""
		" fg:script=\"%s\">\n<title>",
		page->width, height, page->width, height, page->fluid, flamegraph_js_hash);
	add_text(b, page->title);
	buf_add_str(b, "</title>\n<style><![CDATA[\n");
	buf_add(b, flamegraph_css, sizeof(flamegraph_css));
	buf_add_str(b, "]]></style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n");
	buf_printf(b,
		   "<svg id=\"frames\" x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" "
		   "total_samples=\"%lld\"",
		   PAGE_SIDE_PX, HEADER_PX, w->inner, w->frames_height,
		   (long long)page->layout->total);
	switch (w->values.scale) {
	case VALUE_COUNT:
		add_attribute(b, "fg:unit", w->values.noun);
		break;
	case VALUE_TIME:
		buf_printf(b, " fg:unit=\"time\" fg:scale=\"%g\"", w->values.factor);
		break;
	case VALUE_BYTES:
		buf_printf(b, " fg:unit=\"bytes\" fg:scale=\"%g\"", w->values.factor);
		break;
	}
	buf_add_str(b, ">\n");
	sink_write(out, b->data, b->len);
}

void page_write(const struct page *page, struct sink *out)
{
	struct writer w = {
		.page = page,
		.values = value_style_of(page->tree->profile, page->type),
		.inner = page->width > 2 * PAGE_SIDE_PX ? page->width - 2 * PAGE_SIDE_PX : 1,
		.frames_height = (page->layout->max_depth + 1) * ROW_PX,
	};

	find_families(&w);
	write_opening(&w, out);
	write_frames(&w, out);
	sink_str(out, "</svg>\n");
	write_legend(&w, out);
	write_header(&w, out);
	sink_str(out, "<script><![CDATA[");
	sink_write(out, flamegraph_js, sizeof(flamegraph_js));
	sink_str(out, "]]></script>\n</svg>\n");
	buf_deinit(&w.text);
}
