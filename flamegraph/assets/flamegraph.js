/*
 * The flame graph's page: zoom, search, flip, details. It finds everything in the markup (the picture is
 * complete without it) and keeps its state in the address's #hash: the path of names that is zoomed to,
 * the search, the direction. So a link shows what its sender saw, at any window size, and still does
 * when the profile was taken anew.
 *
 * Names in the page never become code or markup: they are read and written as textContent only.
 */
"use strict";
(() => {
const svg = document.currentScript?.ownerSVGElement ?? document.documentElement;
const find = id => svg.querySelector("#" + id);
const box = find("frames"), details = find("details"), matched = find("matched");
const search = find("search"), unzoom = find("unzoom"), ignorecase = find("ignorecase");
const header = svg.querySelector(".header"), footer = svg.querySelector(".footer");
const standalone = svg === document.documentElement;
const XHTML = "http://www.w3.org/1999/xhtml";
const PAD = 12, TEXT_PAD = 3, WIDE = 3, FEW = 8000, LONGEST_PATH = 2000;
const HINT = "Hover for details · click to zoom · / search · N next match · I flip · C copy name · 0 reset";

/* --- the frames, in the order of the markup: each before its children --- */

const frames = [];

function readFrames() {
	const open = [];
	let rootY = 0;

	for (const g of box.children) {
		const [title, rect, text] = g.children, all = title.textContent, at = all.lastIndexOf(" (");
		const y = +rect.getAttribute("y");
		if (!frames.length) {
			rootY = y;
			pitch = +rect.getAttribute("height") + 1;
			baseline = +text.getAttribute("y") - y;
		}
		const f = {
			g, rect, text, name: all.slice(0, at), facts: all.slice(at), index: frames.length,
			y, depth: Math.round(Math.abs(y - rootY) / pitch), children: [], covered: 0,
			x: +rect.getAttribute("fg:x"), w: +rect.getAttribute("fg:w"), shown: true, mark: false,
			wide: g.classList.contains("wide"), above: false, label: text.textContent,
			at: -1, share: -1, inner: -1,
		};
		open.length = f.depth;
		f.parent = open[f.depth - 1] ?? null;
		open.push(f);
		f.parent?.children.push(f);
		if (f.parent)
			f.parent.covered += f.w;
		f.self = rect.hasAttribute("fg:s") ? +rect.getAttribute("fg:s") : null;
		g.frame = f;
		frames.push(f);
	}
	/* where a subtree ends; and what was not written because it follows from the rest */
	for (let i = frames.length - 1; i >= 0; i--) {
		const f = frames[i], last = f.children[f.children.length - 1];
		f.end = last ? last.end : i + 1;
		f.self ??= f.w - f.covered;
	}
	maxDepth = frames.reduce((most, f) => Math.max(most, f.depth), 0);
	startsInverted = frames.length > 1 && +frames[1].rect.getAttribute("y") > rootY;
}

let pitch = 18, baseline = 13, maxDepth = 0, startsInverted = false;
readFrames();
const root = frames[0];
const state = { zoom: root, search: "", ignoreCase: false, inverted: startsInverted };
let width = 0, headerHeight = 0, barHeight = 0;
let hovered = null, current = null, matches = [], problem = "";

/* --- text that fits --- */

const measure = document.createElementNS(XHTML, "canvas").getContext("2d");
const asciiWidths = new Float64Array(128);
const segmenter = window.Intl?.Segmenter ? new Intl.Segmenter() : null;

function readFont() {
	const style = getComputedStyle(box);
	measure.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
	measure.fontKerning = "none";
	for (let c = 32; c < 127; c++)
		asciiWidths[c] = measure.measureText(String.fromCharCode(c)).width;
}

/* The longest start of the name that fits into `room` pixels, with ".." where it is cut; never cut
 * within what the eye takes for one character. */
function fitted(name, room) {
	const dots = 2 * asciiWidths[46];
	let used = 0, cut = 0;

	if (room < 3 * asciiWidths[46])
		return "";
	if (/^[ -~]*$/.test(name)) {
		for (let i = 0; i < name.length; i++) {
			if (used + dots <= room)
				cut = i;
			used += asciiWidths[name.charCodeAt(i)];
			if (used > room)
				return cut < 3 ? "" : name.slice(0, cut) + "..";
		}
		return name;
	}
	if (measure.measureText(name).width <= room)
		return name;
	const parts = segmenter ? Array.from(segmenter.segment(name), s => s.segment) : Array.from(name);
	let low = 0, high = parts.length - 1;
	while (low < high) {
		const middle = (low + high + 1) >> 1;
		if (measure.measureText(parts.slice(0, middle).join("") + "..").width <= room)
			low = middle;
		else
			high = middle - 1;
	}
	return low < 3 ? "" : parts.slice(0, low).join("") + "..";
}

/* Breaks a text into lines of the given width that start at x. Returns how many there are. */
function wrapText(text, x, room, lineHeight) {
	text.words ??= text.textContent.split(" ");
	text.textContent = "";
	let line = null, lines = 0;
	for (const word of text.words) {
		const before = line?.textContent;
		if (line)
			line.textContent += " " + word;
		if (!line || line.getComputedTextLength() > room) {
			if (line)
				line.textContent = before + " ";
			line = document.createElementNS(svg.namespaceURI, "tspan");
			line.setAttribute("x", x);
			if (lines++)
				line.setAttribute("dy", lineHeight);
			line.textContent = word;
			text.append(line);
		}
	}
	return lines;
}

/* --- where things are --- */

/* The header's height depends on its width: the tools stand beside the title, or below it. */
function layOutHeader() {
	const title = find("title"), subtitle = find("subtitle"), tools = find("tools"), bar = tools.firstElementChild;
	const line = find("line"), inner = width - 2 * PAD;

	const titleLines = wrapText(title, PAD, inner, 22), subtitleLines = wrapText(subtitle, PAD, inner, 17);
	const words = Math.max(title.getBBox().width, subtitle.getBBox().width);
	const beside = inner - words - 24 >= 560;
	let y = 28 + 22 * (titleLines - 1);
	subtitle.setAttribute("y", y + 20);
	y += 20 + 17 * (subtitleLines - 1) + 8;

	bar.classList.toggle("narrow", !beside);
	tools.setAttribute("x", beside ? PAD + words + 24 : PAD);
	tools.setAttribute("y", beside ? 10 : y);
	tools.setAttribute("width", Math.max(1, beside ? inner - words - 24 : inner));
	barHeight = bar.offsetHeight;
	tools.setAttribute("height", barHeight);
	y = beside ? Math.max(y, barHeight + 14) : y + barHeight + 4;

	const lineHeight = inner < 640 ? 54 : 18;
	details.classList.toggle("narrow", inner < 640);
	line.setAttribute("y", y + 2);
	line.setAttribute("width", Math.max(1, inner));
	line.setAttribute("height", lineHeight);
	headerHeight = y + lineHeight + 8;
	header.querySelector(".paper").setAttribute("height", headerHeight - 2);
	header.querySelector(".rule").setAttribute("y", headerHeight - 2);
}

/* Puts the legend's items and the notes below the frames, as many in a row as there is room for. */
function layOutFooter(top) {
	let x = PAD, y = top + 20;

	for (const item of footer.children) {
		const isNote = item.classList.contains("note"), itemWidth = item.getBBox().width;
		if (x > PAD && (x + itemWidth > width - PAD || isNote)) {
			x = PAD;
			y += 20;
		}
		item.setAttribute("transform", `translate(${x} ${y})`);
		x += itemWidth + 18;
		if (isNote)
			y += 16 * (wrapText(item.firstElementChild, 0, width - 2 * PAD, 16) - 1);
	}
	return footer.children.length ? y + 14 : top + PAD;
}

/* Places everything but what is inside of #frames. */
function layOutAround() {
	layOutHeader();
	const framesHeight = (maxDepth + 1) * pitch;
	box.setAttribute("y", headerHeight);
	box.setAttribute("width", Math.max(1, width - 2 * PAD));
	box.setAttribute("height", framesHeight);
	svg.setAttribute("height", layOutFooter(headerHeight + framesHeight));
	followScroll();
}

function layOut() {
	width = svg.getBoundingClientRect().width || +svg.getAttribute("width") || 1200;
	layOutAround();
	showFrames();
}

/* The header stays in sight while a tall graph scrolls below it. */
function followScroll() {
	const above = Math.max(0, -svg.getBoundingClientRect().top);
	header.setAttribute("transform", `translate(0 ${above})`);
	svg.classList.toggle("scrolled", above > 0);
}

function isAncestorOfZoom(f) {
	return f.index < state.zoom.index && state.zoom.index < f.end;
}

function isVisible(f) {
	return (f.index >= state.zoom.index && f.index < state.zoom.end) || isAncestorOfZoom(f);
}

function showFrames() {
	const z = state.zoom, inner = Math.max(1, width - 2 * PAD);

	for (const f of frames) {
		const visible = isVisible(f), above = f.index < z.index;
		if (visible !== f.shown) {
			f.shown = visible;
			f.g.classList.toggle("hide", !visible);
		}
		if (!visible)
			continue;
		if (above !== f.above) {
			f.above = above;
			f.g.classList.toggle("parent", above);
		}
		const x = above ? 0 : (f.x - z.x) / z.w, w = above ? 1 : f.w / z.w;
		const y = (state.inverted ? f.depth : maxDepth - f.depth) * pitch;
		/* most of a large graph is as it was: what is hidden keeps its place for the way back */
		if (x === f.at && w === f.share && y === f.y && inner === f.inner)
			continue;
		/* each attribute written makes the browser compute the style anew */
		if (x !== f.at)
			f.rect.setAttribute("x", (100 * x).toFixed(4) + "%");
		if (w !== f.share)
			f.rect.setAttribute("width", (100 * w).toFixed(4) + "%");
		if (y !== f.y)
			f.rect.setAttribute("y", y);
		f.at = x;
		f.share = w;
		f.y = y;
		f.inner = inner;
		if (f.wide !== (w * inner >= WIDE)) {
			f.wide = !f.wide;
			f.g.classList.toggle("wide", f.wide);
		}
		const label = fitted(f.name, w * inner - 2 * TEXT_PAD);
		if (label) {
			f.text.setAttribute("x", (x * inner + TEXT_PAD).toFixed(2));
			f.text.setAttribute("y", y + baseline);
		}
		if (label !== f.label) {
			f.label = label;
			f.text.textContent = label;
		}
	}
	unzoom.hidden = z === root;
}

/* --- details --- */

const percent = (part, whole) => part === whole ? "100%" : (100 * part / whole).toFixed(2) + "%";

const STEPS = {
	time: [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]],
	bytes: [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [1024, "KiB"], [1, "B"]],
};

/* A value as the titles show it: #frames has the noun of a count, or what one unit is of seconds or bytes. */
function shown(value) {
	const noun = box.getAttribute("fg:unit");
	if (!box.hasAttribute("fg:scale"))
		return value.toLocaleString("en-US") + " " + (value === 1 && noun === "samples" ? "sample" : noun);
	const steps = STEPS[noun], size = value * +box.getAttribute("fg:scale");
	const step = steps.find(s => size >= s[0]) ?? steps[steps.length - 1];
	const digits = size / step[0];
	return digits.toFixed(digits >= 100 || step === steps[steps.length - 1] ? 0 : digits >= 10 ? 1 : 2) + " " + step[1];
}

function span(className, text) {
	const s = document.createElementNS(XHTML, "span");
	s.className = className;
	s.textContent = text;
	return s;
}

function showDetails(f) {
	details.replaceChildren();
	if (!f) {
		details.append(span("hint", HINT));
		return;
	}
	let more = ` · self ${shown(f.self)} (${percent(f.self, root.w)})`;
	if (f.parent)
		more += ` · ${percent(f.w, f.parent.w)} of parent`;
	if (state.zoom !== root)
		more += ` · ${f.index < state.zoom.index ? "100%" : percent(f.w, state.zoom.w)} of view`;
	details.append(span("name", f.name), span("facts", f.facts + more));
}

function say(text) {
	details.replaceChildren(span("hint", text));
}

async function copyName() {
	const f = hovered ?? current ?? (state.zoom !== root ? state.zoom : null);
	if (!f) {
		say("Point at a frame, then press C to copy its name.");
		return;
	}
	try {
		await navigator.clipboard.writeText(f.name);
	} catch {
		/* no permission, or no secure context: the old way, through a selection */
		const area = document.createElementNS(XHTML, "textarea");
		area.value = f.name;
		details.append(area);
		area.select();
		const done = document.execCommand("copy");
		area.remove();
		if (!done) {
			say("The browser does not allow copying here.");
			return;
		}
	}
	say("Copied: " + f.name);
}

/* --- search --- */

/* What the frames that match cover together, each part of the width once: a match inside another
 * match adds nothing. */
function unionOfMatches(from, to) {
	let sum = 0;

	for (let i = from; i < to;) {
		if (frames[i].mark) {
			sum += frames[i].w;
			i = frames[i].end;
		} else {
			i++;
		}
	}
	return sum;
}

function showMatched() {
	matched.classList.toggle("error", Boolean(problem));
	if (problem || !state.search) {
		matched.textContent = problem;
		return;
	}
	const all = percent(unionOfMatches(0, frames.length), root.w), z = state.zoom;
	const place = current?.mark ? `${matches.indexOf(current) + 1} of ` : "";
	const noun = matches.length === 1 ? " frame" : " frames";
	const count = ` · ${place}${matches.length.toLocaleString("en-US")}${noun}`;
	if (z === root) {
		matched.textContent = all + " of all" + count;
		return;
	}
	let above = z.parent;
	while (above && !above.mark)
		above = above.parent;
	const view = above ? z.w : unionOfMatches(z.index, z.end);
	matched.textContent = `${percent(view, z.w)} of view, ${all} of all${count}`;
}

function applySearch() {
	let pattern = null;

	problem = "";
	if (state.search) {
		try {
			pattern = new RegExp(state.search, state.ignoreCase ? "i" : "");
		} catch {
			problem = "not a valid pattern";
		}
	}
	for (const f of frames) {
		const mark = pattern !== null && pattern.test(f.name);
		if (mark !== f.mark) {
			f.mark = mark;
			f.g.classList.toggle("match", mark);
		}
	}
	/* the contrast is bought with a new style for every frame: too slow where there are very many */
	svg.classList.toggle("dimming", frames.length <= FEW && frames.some(f => f.mark));
	search.setAttribute("aria-invalid", String(Boolean(problem)));
	ignorecase.setAttribute("aria-pressed", String(state.ignoreCase));
	matches = frames.filter(f => f.mark && isVisible(f));
	setCurrent(null);
}

function setCurrent(f) {
	current?.g.classList.remove("current");
	current = f;
	if (f) {
		f.g.classList.add("current");
		showDetails(f);
		scrollTo(f);
	}
	showMatched();
}

/* Brings a frame between the header and the window's lower edge. */
function scrollTo(f) {
	const r = f.rect.getBoundingClientRect();
	if (r.top < headerHeight || r.bottom > window.innerHeight)
		window.scrollBy(0, r.top - (headerHeight + window.innerHeight) / 2);
}

function step(by) {
	if (!matches.length)
		return;
	const at = matches.indexOf(current);
	const next = at < 0 ? (by > 0 ? 0 : matches.length - 1) : (at + by + matches.length) % matches.length;
	setCurrent(matches[next]);
}

/* --- the address --- */

/* FNV-1a over a path's names: stands for a path that is too long for an address. */
function pathHash(f) {
	let hash = 0x811c9dc5;
	for (; f; f = f.parent) {
		for (let i = 0; i < f.name.length; i++)
			hash = Math.imul(hash ^ f.name.charCodeAt(i), 0x01000193);
		hash = Math.imul(hash ^ 0x3b, 0x01000193);
	}
	return (hash >>> 0).toString(16);
}

function pathOf(f) {
	const names = [];
	for (let at = f; at.parent; at = at.parent)
		names.push(encodeURIComponent(at.name));
	const path = names.reverse().join(";");
	return path.length <= LONGEST_PATH ? path : `~${f.depth}.${pathHash(f)}`;
}

/* The frame of a path; where the profile no longer has it, the deepest frame of the path there is. */
function frameOf(path) {
	const short = /^~(\d+)\.([0-9a-f]+)$/.exec(path);
	if (short)
		return frames.find(f => f.depth === +short[1] && pathHash(f) === short[2]) ?? root;
	let at = root;
	for (const name of path.split(";").map(decodeURIComponent)) {
		const next = at.children.find(f => f.name === name);
		if (!next)
			break;
		at = next;
	}
	return at;
}

function hashOf() {
	const parts = [];
	if (state.zoom !== root)
		parts.push("zoom=" + pathOf(state.zoom));
	if (state.search)
		parts.push("search=" + encodeURIComponent(state.search));
	if (state.ignoreCase)
		parts.push("ignorecase=1");
	if (state.inverted !== startsInverted)
		parts.push("inverted=" + Number(state.inverted));
	return parts.join("&");
}

let written = null;

function writeHash(isStep) {
	const hash = hashOf();
	if (hash === written)
		return;
	written = hash;
	try {
		const url = location.href.replace(/#.*$/s, "") + (hash ? "#" + hash : "");
		history[isStep ? "pushState" : "replaceState"](null, "", url);
	} catch {
		/* a page without an address of its own (srcdoc, data:) keeps its state for itself */
	}
}

function readHash() {
	const hash = location.hash.slice(1);
	if (hash === written)
		return;
	written = hash;
	Object.assign(state, { zoom: root, search: "", ignoreCase: false, inverted: startsInverted });
	for (const part of hash.split("&")) {
		const at = part.indexOf("="), key = part.slice(0, at), value = part.slice(at + 1);
		try {
			if (key === "zoom")
				state.zoom = frameOf(value);
			else if (key === "search")
				state.search = decodeURIComponent(value);
			else if (key === "ignorecase")
				state.ignoreCase = value === "1";
			else if (key === "inverted")
				state.inverted = value === "1";
		} catch {
			/* not an address that this page wrote: what cannot be read is left out */
		}
	}
	search.value = state.search;
	showFrames();
	applySearch();
	showDetails(null);
}

/* --- what the user does --- */

function zoomTo(f) {
	if (f === state.zoom)
		return;
	state.zoom = f;
	showFrames();
	matches = frames.filter(m => m.mark && isVisible(m));
	if (current && !isVisible(current))
		setCurrent(null);
	showMatched();
	showDetails(hovered);
	writeHash(true);
}

function setSearch(text) {
	state.search = text;
	applySearch();
	writeHash(false);
}

function toggleCase() {
	state.ignoreCase = !state.ignoreCase;
	applySearch();
	writeHash(false);
}

function flip() {
	state.inverted = !state.inverted;
	showFrames();
	writeHash(false);
	if (standalone)
		scrollTo(state.zoom);
}

function clearSearch() {
	search.value = "";
	search.blur();
	setSearch("");
}

function focusSearch() {
	search.focus();
	search.select();
}

function inSearch() {
	return document.activeElement === search;
}

function onKey(e) {
	const control = e.ctrlKey || e.metaKey, key = e.key.toLowerCase();

	if (key === "f3" || (control && key === "f")) {
		if (inSearch() && control)
			return; /* asked twice: the browser's own search */
		focusSearch();
	} else if (control && key === "i") {
		toggleCase();
	} else if (control || e.altKey) {
		return;
	} else if (inSearch()) {
		if (key === "enter")
			step(e.shiftKey ? -1 : 1);
		else if (key === "escape")
			clearSearch();
		else
			return;
	} else if (e.target !== svg && /^(input|textarea|select)$/i.test(e.target.localName ?? "")) {
		return; /* typing somewhere else on a page that we are a part of */
	} else if (key === "/") {
		focusSearch();
	} else if (key === "n") {
		step(e.shiftKey ? -1 : 1);
	} else if (key === "i") {
		flip();
	} else if (key === "c") {
		copyName();
	} else if (key === "0" || key === "escape") {
		if (key === "escape" && state.zoom === root)
			clearSearch();
		zoomTo(root);
	} else {
		return;
	}
	e.preventDefault();
}

function frameAt(target) {
	return target.closest?.("#frames > g")?.frame ?? null;
}

box.addEventListener("mouseover", e => {
	hovered = frameAt(e.target);
	showDetails(hovered ?? current);
});
box.addEventListener("mouseleave", () => {
	hovered = null;
	showDetails(current);
});
box.addEventListener("click", e => {
	const f = frameAt(e.target);
	if (f)
		zoomTo(f);
});
search.addEventListener("input", () => setSearch(search.value));
find("next").addEventListener("click", () => step(1));
find("previous").addEventListener("click", () => step(-1));
find("invert").addEventListener("click", flip);
unzoom.addEventListener("click", () => zoomTo(root));
ignorecase.addEventListener("click", toggleCase);
window.addEventListener("keydown", onKey);
window.addEventListener("popstate", readHash);
window.addEventListener("hashchange", readHash);
window.addEventListener("scroll", followScroll, { passive: true });

/* Without a script the picture is scaled as a whole; with one it is as wide as the window. */
svg.removeAttribute("viewBox");
if (svg.getAttribute("fg:fluid") === "1")
	svg.setAttribute("width", "100%");
svg.classList.add("live");
readFont();
showDetails(null);
layOut();
readHash();
new ResizeObserver(() => {
	if (Math.abs(svg.getBoundingClientRect().width - width) >= 0.5)
		layOut();
}).observe(svg);
/* What the tools say may need another row. */
new ResizeObserver(([{ target }]) => {
	if (target.offsetHeight !== barHeight)
		layOutAround();
}).observe(find("tools").firstElementChild);
if (standalone && !state.inverted)
	window.scrollTo(0, svg.getBoundingClientRect().height);
})();
