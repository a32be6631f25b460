// The flame graph's page in Chromium, feature by feature. Expected numbers are computed here from the
// folded text or from the markup, not taken from the page's own words.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { cprof, draw, hasTool, run, scratch, serve } from "./harness.mjs";

const LONG = "std::__detail::_Map_base<std::string, std::pair<std::string const, Node>>::operator[]";
const WIDE = "読み込み処理の本体をここで実行する関数";
const FAMILY = "caf\u00e9\u0301\u0302::👩‍👩‍👧‍👦🏳️‍🌈::process_everything";

// Twelve request handlers that share helpers, so that a pattern matches at several depths.
function profile() {
	const lines = [];
	for (let i = 0; i < 12; i++) {
		const base = `server;main;event_loop;handle_request_${i}`;
		lines.push(`${base};parse;tokenize ${5 + i}`);
		lines.push(`${base};parse;tokenize;memcpy ${3 + (i % 4)}`);
		lines.push(`${base};query;btree_search;memcmp ${7 + i * 2}`);
		lines.push(`${base};query;write_log;do_syscall_64_[k];vfs_write_[k] ${2 + i}`);
		lines.push(`${base};${LONG};memcpy ${1 + i}`);
		lines.push(`${base} ${1 + (i % 3)}`);
	}
	lines.push(`worker;main;${WIDE};memcpy 140`, `worker;main;${FAMILY};Parse 133`, "worker;main;x;y;z 2");
	return lines.join("\n") + "\n";
}

const graph = draw("graph.svg", profile());
const site = await serve();

// Opens a page and collects what goes wrong in it.
async function open(browser, { name = "graph.svg", hash = "", width = 1400, height = 900, context } = {}) {
	const page = await (context ?? browser).newPage({ ...(context ? {} : { viewport: { width, height } }) });
	page.wrong = [];
	page.on("pageerror", error => page.wrong.push(`exception: ${error.message}`));
	page.on("dialog", dialog => (page.wrong.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
	page.on("console", message => message.type() === "error" && page.wrong.push(`console: ${message.text()}`));
	await page.goto(site.url(name) + hash);
	await page.waitForSelector("svg.live");
	return page;
}

async function close(page) {
	assert.deepEqual(page.wrong, []);
	await page.close();
}

// The frames as they are on the screen now.
function frames(page) {
	return page.evaluate(() => [...document.querySelector("#frames").children].map((g, index) => {
		const [title, rect, text] = g.children, r = rect.getBoundingClientRect();
		const t = text.textContent ? text.getBoundingClientRect() : null;
		return {
			index, title: title.textContent, name: title.textContent.replace(/ \([^(]*\)$/, ""),
			x: +rect.getAttribute("fg:x"), w: +rect.getAttribute("fg:w"), self: rect.getAttribute("fg:s"),
			visible: r.width > 0, left: r.left, right: r.right, top: r.top, width: r.width,
			text: text.textContent, textRight: t?.right, textLeft: t?.left, classes: g.getAttribute("class") ?? "",
		};
	}));
}

const visible = list => list.filter(f => f.visible);
const text = (page, id) => page.locator("#" + id).evaluate(e => e.textContent);
const frame = (page, name) => page.locator("#frames > g").filter({ has: page.locator("title", { hasText: name }) }).first();
const address = page => page.evaluate(() => location.href);
const widthOf = page => page.evaluate(() => document.documentElement.getBoundingClientRect().width);

// Hovering may find the header above a frame; a click that playwright scrolls to is what a user does.
async function zoom(page, name) {
	await frame(page, name).locator("rect").click({ position: { x: 2, y: 5 } });
}

// Share of [from, to) that the frames cover whose name matches: a sweep over interval ends, sharing
// nothing with the page's own walk.
function unionShare(list, pattern, from, to) {
	const spans = list.filter(f => pattern.test(f.name)).map(f => [Math.max(f.x, from), Math.min(f.x + f.w, to)])
			  .filter(([a, b]) => a < b).sort((a, b) => a[0] - b[0]);
	let covered = 0, end = from;
	for (const [a, b] of spans) {
		covered += Math.max(0, b - Math.max(a, end));
		end = Math.max(end, b);
	}
	return covered === to - from ? "100%" : (100 * covered / (to - from)).toFixed(2) + "%";
}

async function checkTextFits(page) {
	const cut = visible(await frames(page)).filter(f => f.text && f.textRight > f.right + 0.5);
	assert.deepEqual(cut.map(f => [f.text, f.textRight, f.right]), []);
}

const tests = [
["feature 1: a click widens a frame, dims what is below and hides the rest", async browser => {
	const page = await open(browser), before = await frames(page);
	await zoom(page, "handle_request_7 ");
	const after = await frames(page), target = after.find(f => f.name === "handle_request_7");
	assert.ok(visible(after).length < visible(before).length / 4);
	assert.ok(Math.abs(target.width - (await widthOf(page) - 24)) < 1, `width ${target.width}`);
	const parents = after.filter(f => /\bparent\b/.test(f.classes)).map(f => f.name);
	assert.deepEqual(parents, ["all", "server", "main", "event_loop"]);
	const inside = after.filter(f => f.x >= target.x && f.x + f.w <= target.x + target.w && f.index >= target.index);
	assert.deepEqual(visible(after).map(f => f.index), [...parents.map(n => after.find(f => f.name === n).index), ...inside.map(f => f.index)]);
	const query = after.find(f => f.name === "query" && f.visible);
	assert.equal(query.text, "query");
	await checkTextFits(page);
	await close(page);
}],
["feature 2: button, 0, Escape and the root show everything again", async browser => {
	const page = await open(browser), before = visible(await frames(page)).map(f => [f.index, f.width]);
	const ways = [() => page.click("#unzoom"), () => page.keyboard.press("0"), () => page.keyboard.press("Escape"),
		      () => zoom(page, "all (")];
	for (const way of ways) {
		await zoom(page, "handle_request_3 ");
		assert.ok(await page.locator("#unzoom").isVisible());
		assert.match(await address(page), /#zoom=/);
		await way();
		assert.deepEqual(visible(await frames(page)).map(f => [f.index, f.width]), before);
		assert.equal(await address(page), site.url("graph.svg"));
		assert.ok(!(await page.locator("#unzoom").isVisible()));
	}
	await close(page);
}],
["feature 3: search by keys, case, next and previous; a bad pattern is a message", async browser => {
	const page = await open(browser), focused = () => page.evaluate(() => document.activeElement.id);
	for (const key of ["Control+f", "/", "F3"]) {
		await page.keyboard.press(key);
		assert.equal(await focused(), "search", key);
		await page.evaluate(() => document.activeElement.blur());
	}
	await page.keyboard.press("/");
	await page.keyboard.type("(");
	assert.match(await text(page, "matched"), /not a valid pattern/);
	assert.equal(await page.getAttribute("#search", "aria-invalid"), "true");
	await page.fill("#search", "samples|\\d\\d%");
	assert.match(await text(page, "matched"), /^0.00% of all/, "the tooltip's words are not searched");
	await page.fill("#search", "^parse$");
	const count = list => list.filter(f => /\bmatch\b/.test(f.classes)).length;
	assert.equal(count(await frames(page)), 12);
	await page.keyboard.press("Control+i");
	assert.equal(count(await frames(page)), 13);
	assert.equal(await page.getAttribute("#ignorecase", "aria-pressed"), "true");
	await page.keyboard.press("Control+i");
	await page.evaluate(() => document.activeElement.blur());
	const current = async () => (await frames(page)).filter(f => /\bcurrent\b/.test(f.classes)).map(f => f.index);
	const matches = (await frames(page)).filter(f => /\bmatch\b/.test(f.classes)).map(f => f.index);
	await page.keyboard.press("n");
	assert.deepEqual(await current(), [matches[0]]);
	await page.keyboard.press("n");
	assert.deepEqual(await current(), [matches[1]]);
	assert.match(await text(page, "matched"), /2 of 12/);
	assert.match(await text(page, "details"), /^parse \(/);
	await page.keyboard.press("Shift+N");
	await page.keyboard.press("Shift+N");
	assert.deepEqual(await current(), [matches[11]]);
	await page.keyboard.press("/");
	await page.keyboard.press("Escape");
	assert.equal(count(await frames(page)), 0);
	assert.equal(await address(page), site.url("graph.svg"));
	await close(page);
}],
["feature 3: the next match is scrolled into view", async browser => {
	const deep = "r;" + Array.from({ length: 200 }, (_, i) => `f${i}`).join(";") + " 9\n";
	draw("scroll.svg", deep);
	const page = await open(browser, { name: "scroll.svg", height: 500 });
	await page.fill("#search", "^f(3|150|199)$");
	await page.evaluate(() => document.activeElement.blur());
	for (let i = 0; i < 3; i++) {
		await page.keyboard.press("n");
		const at = (await frames(page)).find(f => /current/.test(f.classes));
		assert.ok(at.top > 60 && at.top < 480, `${at.name} at ${at.top}`);
	}
	await close(page);
}],
["feature 4: matched is the union of widths, of the view and of all", async browser => {
	const page = await open(browser), list = await frames(page), all = list[0];
	for (const pattern of ["memcpy|tokenize|parse", "mem", "handle_request_1", "^main$", "nothing_like_it", "all"]) {
		await page.fill("#search", pattern);
		const expected = unionShare(list, new RegExp(pattern), 0, all.w);
		assert.ok((await text(page, "matched")).startsWith(`${expected} of all`), `${pattern}: ${await text(page, "matched")}`);
	}
	const target = list.find(f => f.name === "handle_request_9");
	await page.fill("#search", "");
	await zoom(page, "handle_request_9 ");
	for (const pattern of ["memcpy|tokenize", "vfs", "event_loop", "handle_request_9", "worker"]) {
		await page.fill("#search", pattern);
		const view = unionShare(list, new RegExp(pattern), target.x, target.x + target.w);
		const whole = unionShare(list, new RegExp(pattern), 0, all.w);
		assert.ok((await text(page, "matched")).startsWith(`${view} of view, ${whole} of all`), `${pattern}: ${await text(page, "matched")}`);
	}
	await close(page);
}],
["feature 5: the address brings zoom, search and direction back, at any size, in a newer profile", async browser => {
	const page = await open(browser);
	await zoom(page, "handle_request_5 ");
	await page.fill("#search", "mem(cpy|cmp)");
	await page.evaluate(() => document.activeElement.blur());
	await page.keyboard.press("i");
	const url = new URL(await address(page)), shown = visible(await frames(page)).map(f => f.index);
	const matched = await text(page, "matched");
	for (const width of [1400, 420]) {
		const other = await open(browser, { hash: url.hash, width });
		assert.deepEqual(visible(await frames(other)).map(f => f.index), shown);
		assert.equal(await text(other, "matched"), matched);
		assert.equal(await other.locator("#search").evaluate(e => e.value), "mem(cpy|cmp)");
		const tops = visible(await frames(other)).map(f => f.top);
		assert.equal(Math.min(...tops), tops[0], "the root is on top");
		await close(other);
	}
	draw("newer.svg", profile() + "server;added_before;x 55\nserver;main;event_loop;aaa;b 31\n");
	const newer = await open(browser, { name: "newer.svg", hash: url.hash });
	assert.deepEqual(visible(await frames(newer)).map(f => f.name), visible(await frames(page)).map(f => f.name));
	const hostile = await open(browser, { hash: "#zoom=%E0%A4%A;%ff&search=%&inverted=9&=&zoom" });
	assert.equal(visible(await frames(hostile)).length, (await frames(hostile)).length);
	await close(hostile);
	await close(newer);
	await close(page);
}],
["feature 5: a path too long for an address is found again", async browser => {
	const path = Array.from({ length: 120 }, (_, i) => `a_rather_long_function_name_number_${i}`);
	draw("long.svg", `${path.join(";")} 5\n${path.slice(0, 60).join(";")};other 5\n`);
	const page = await open(browser, { name: "long.svg" });
	await zoom(page, "number_110 ");
	assert.ok((await address(page)).length < 200);
	const other = await open(browser, { name: "long.svg", hash: new URL(await address(page)).hash });
	assert.deepEqual(visible(await frames(other)).map(f => f.index), visible(await frames(page)).map(f => f.index));
	await close(other);
	await close(page);
}],
["feature 6: back and forward walk through the zooms", async browser => {
	const page = await open(browser), count = async () => visible(await frames(page)).length;
	const all = await count();
	await zoom(page, "event_loop");
	const first = await count();
	await zoom(page, "handle_request_2 ");
	const second = await count();
	assert.ok(second < first && first < all);
	await page.goBack();
	assert.equal(await count(), first);
	await page.goBack();
	assert.equal(await count(), all);
	await page.goForward();
	assert.equal(await count(), first);
	await close(page);
}],
["feature 7: I and the button turn the graph, --icicle starts it that way", async browser => {
	const page = await open(browser), before = await frames(page);
	const ys = list => list.map(f => f.top), spans = list => list.map(f => [f.left, f.width]);
	assert.equal(Math.max(...ys(before)), before[0].top, "the root is at the bottom");
	await page.keyboard.press("i");
	const flipped = await frames(page);
	assert.equal(Math.min(...ys(flipped)), flipped[0].top);
	assert.deepEqual(spans(flipped), spans(before));
	await page.click("#invert");
	assert.deepEqual(ys(await frames(page)), ys(before));
	draw("icicle.svg", profile(), "--icicle");
	const icicle = await open(browser, { name: "icicle.svg" }), list = await frames(icicle);
	assert.equal(Math.min(...ys(list)), list[0].top);
	assert.equal(list.length, before.length);
	await icicle.keyboard.press("i");
	const up = await frames(icicle);
	assert.equal(Math.max(...ys(up)), up[0].top);
	await close(icicle);
	await close(page);
}],
["feature 10: hovering shows the title's words, self, and shares of parent and view", async browser => {
	const page = await open(browser), list = await frames(page);
	for (const name of ["tokenize", "vfs_write", "handle_request_4"]) {
		const f = list.find(g => g.name === name);
		await page.locator("#frames > g").nth(f.index).locator("rect").hover({ position: { x: 2, y: 5 } });
		const said = await text(page, "details");
		assert.ok(said.startsWith(f.title), said);
		assert.match(f.title, /^[^(]+ \([\d,]+ samples?, \d+\.\d\d%\)$/);
	}
	const parse = list.find(f => f.name === "parse"), parent = list.find(f => f.name === "handle_request_0");
	await zoom(page, "handle_request_0 ");
	await frame(page, "tokenize (").locator("rect").hover({ position: { x: 2, y: 5 } });
	const share = v => (100 * v).toFixed(2) + "%";
	assert.match(await text(page, "details"), /self 5 samples \(/, "tokenize: 5 of its own, 3 in memcpy");
	assert.ok((await text(page, "details")).includes(`${share(1).replace("100.00", "100")} of parent`));
	assert.ok((await text(page, "details")).endsWith(`${share(parse.w / parent.w)} of view`));
	await page.mouse.move(2, 2);
	assert.match(await text(page, "details"), /^Hover/);
	await close(page);
}],
["feature 11: C copies the whole name", async browser => {
	const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], viewport: { width: 1400, height: 900 } });
	const page = await open(browser, { context }), list = await frames(page);
	for (const name of [LONG, WIDE, FAMILY]) {
		const f = list.find(g => g.name === name);
		assert.ok(f, name);
		await page.locator("#frames > g").nth(f.index).locator("rect").hover({ position: { x: 1, y: 5 } });
		await page.keyboard.press("c");
		await page.waitForFunction(() => /^Copied/.test(document.querySelector("#details").textContent));
		assert.equal(await page.evaluate(() => navigator.clipboard.readText()), name);
		await page.mouse.move(2, 2);
	}
	await close(page);
	await context.close();
}],
["feature 15: the graph follows the window from 320 px to 8k; --width stays", async browser => {
	const page = await open(browser, { width: 1400 });
	for (const width of [1400, 700, 320, 7680, 1000]) {
		await page.setViewportSize({ width, height: 800 });
		await page.waitForFunction(w => Math.abs(document.querySelector("#frames").getBoundingClientRect().right - w) < 40, width);
		const list = visible(await frames(page)), right = Math.max(...list.map(f => f.right));
		assert.ok(right <= width && right > width - 40, `${right} of ${width}`);
		const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
		assert.ok(overflow <= 0, `overflow ${overflow} at ${width}`);
		assert.ok(await page.locator("#search").isVisible());
		await checkTextFits(page);
	}
	draw("fixed.svg", profile(), "--width", "900");
	const fixed = await open(browser, { name: "fixed.svg", width: 1400 });
	assert.equal(await widthOf(fixed), 900);
	await close(fixed);
	await close(page);
}],
["feature 15: the tools make room for what they say, and stay in sight while the graph scrolls", async browser => {
	draw("tall.svg", profile() + Array.from({ length: 90 }, (_, i) => `deep_${i}`).join(";") + " 50\n");
	for (const width of [320, 700, 1400]) {
		const page = await open(browser, { name: "tall.svg", width, height: 600 });
		await zoom(page, "handle_request_7 ");
		await page.fill("#search", "mem(cpy|cmp)");
		await page.waitForTimeout(100);
		for (const id of ["search", "matched", "unzoom", "invert", "details"]) {
			const seen = await page.locator("#" + id).evaluate(e => {
				const r = e.getBoundingClientRect(), inside = e.closest("foreignObject").getBoundingClientRect();
				const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
				return r.width > 20 && r.top >= inside.top - 1 && r.bottom <= inside.bottom + 1 && r.right <= innerWidth &&
				       (e === top || e.contains(top));
			});
			assert.ok(seen, `${id} at ${width} px`);
		}
		await close(page);
	}
}],
["feature 16: text is cut with dots inside its frame, never within a character", async browser => {
	const page = await open(browser);
	const whole = new Set(Array.from(new Intl.Segmenter().segment(FAMILY), s => s.index));
	const starts = new Set();
	for (let width = 340; width <= 1500; width += 29) {
		await page.setViewportSize({ width, height: 700 });
		await page.waitForFunction(w => Math.abs(document.querySelector("#frames").getBoundingClientRect().right - w) < 40, width);
		await checkTextFits(page);
		for (const f of visible(await frames(page)).filter(f => f.text && f.text !== f.name)) {
			assert.ok(f.text.endsWith("..") && f.name.startsWith(f.text.slice(0, -2)), f.text);
			if (f.name === FAMILY) {
				assert.ok(whole.has(f.text.length - 2), f.text);
				starts.add(f.text.length);
			}
		}
	}
	assert.ok(starts.size >= 5, "the name was cut at several places");
	await close(page);
}],
["feature 17: what is too narrow is left out and said, and the sums hold", async browser => {
	const lines = Array.from({ length: 400 }, (_, i) => `app;work_${i % 7};leaf_${i} ${i % 50 === 0 ? 3000 : 1}`);
	draw("pruned.svg", lines.join("\n") + "\napp;work_0 17\n", "--minwidth", "0.5");
	draw("whole.svg", lines.join("\n") + "\napp;work_0 17\n", "--minwidth", "0");
	const page = await open(browser, { name: "pruned.svg" }), full = await open(browser, { name: "whole.svg" });
	const shown = await frames(page), all = await frames(full);
	const hidden = all.filter(f => !shown.some(g => g.name === f.name));
	const weight = hidden.reduce((sum, f) => sum + f.w, 0);
	assert.ok(hidden.length > 300);
	assert.equal(await text(page, "note"), `${hidden.length} frames narrower than 0.5 px not drawn: the inner ends of ${weight} samples (${(100 * weight / shown[0].w).toFixed(2)}%); --minwidth 0 draws them`);
	let missing = 0;
	for (const list of [shown, all]) {
		for (const f of list) {
			const children = list.filter(g => g.index > f.index && g.x >= f.x && g.x + g.w <= f.x + f.w && Math.abs(Math.abs(g.top - f.top) - 18) < 1);
			const covered = children.reduce((sum, g) => sum + g.w, 0);
			const self = f.self === null ? f.w - covered : +f.self;
			missing += f.w - covered - self;
		}
	}
	assert.equal(missing, weight, "children, self and what is left out make up each frame");
	assert.equal(await full.locator("#note").count(), 0);
	await frame(page, "work_0").locator("rect").hover({ position: { x: 2, y: 5 } });
	assert.match(await text(page, "details"), /self 17 samples/);
	await close(full);
	await close(page);
}],
["feature 17: a graph of very many frames stays small enough to open, and says what it left out", async browser => {
	const lines = [];
	for (let i = 0; i < 8000; i++)
		lines.push(["main", ...Array.from({ length: 6 }, (_, d) => `a_name_of_level_${d}_${i}`)].join(";") + ` ${2 + i % 5}`);
	const file = draw("many.svg", lines.join("\n") + "\n"), markup = readFileSync(file, "utf8");
	assert.ok(markup.length < 5e6, `${markup.length} bytes`);
	const page = await open(browser, { name: "many.svg" });
	const [, frames, px] = /^([\d,]+) frames narrower than ([\d.]+) px/.exec(await text(page, "note"));
	assert.ok(+px > 0.1);
	assert.equal(+frames.replaceAll(",", "") + await page.locator("#frames > g").count(), 48002);
	await close(page);
}],
["feature 18: a stack of 5,000 frames scrolls", async browser => {
	draw("deep.svg", Array.from({ length: 5000 }, (_, i) => `f${i}`).join(";") + " 3\n");
	const page = await open(browser, { name: "deep.svg" });
	assert.equal((await frames(page)).length, 5001);
	assert.ok((await page.evaluate(() => document.documentElement.getBoundingClientRect().height)) > 90000);
	await page.evaluate(() => window.scrollTo(0, 0));
	assert.ok(await page.locator("#search").isVisible());
	await page.fill("#search", "^f2500$");
	await page.keyboard.press("Enter");
	const at = (await frames(page)).find(f => /current/.test(f.classes));
	assert.equal(at.name, "f2500");
	assert.ok(at.top > 0 && at.top < 900);
	await close(page);
}],
["feature 19: readable without script, in an image, and to rsvg-convert", async browser => {
	site.headers = { "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'" };
	const page = await browser.newPage({ viewport: { width: 1400, height: 900 } });
	await page.goto(site.url("graph.svg"));
	site.headers = {};
	assert.equal(await page.locator("svg.live").count(), 0);
	const list = await frames(page), root = list[0];
	assert.ok(list.every(f => f.visible));
	assert.ok(Math.abs(root.width - 1176) < 1);
	for (const f of list) {
		assert.ok(Math.abs(f.width - root.width * f.w / root.w) < 0.5 && Math.abs(f.left - root.left - root.width * f.x / root.w) < 0.5, f.name);
		assert.ok(!f.text || (f.textRight <= f.right + 0.5 && f.textLeft >= f.left), f.text);
	}
	assert.ok(list.some(f => f.text === "event_loop"));
	assert.ok(!(await page.locator("#search").isVisible()));
	assert.equal(await text(page, "title"), "Flame graph");
	await page.setViewportSize({ width: 600, height: 900 });
	assert.ok((await frames(page))[0].right <= 600);
	await page.close();

	writeFileSync(path.join(scratch, "image.html"), "<!doctype html><img id=i src=graph.svg>");
	const holder = await browser.newPage({ viewport: { width: 1400, height: 900 } });
	await holder.goto(site.url("image.html"));
	const size = await holder.evaluate(() => [document.images[0].naturalWidth, document.images[0].naturalHeight]);
	assert.equal(size[0], 1200);
	assert.ok(size[1] > 200);
	const shot = await holder.screenshot();
	const colors = await holder.evaluate(async png => {
		const canvas = document.createElement("canvas"), image = new Image();
		image.src = `data:image/png;base64,${png}`;
		await image.decode();
		canvas.width = image.naturalWidth, canvas.height = image.naturalHeight;
		const draw = canvas.getContext("2d");
		draw.drawImage(image, 0, 0);
		const pixels = draw.getImageData(0, 0, canvas.width, canvas.height).data, seen = new Set();
		for (let i = 0; i < pixels.length; i += 4 * 7)
			seen.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
		return seen.size;
	}, shot.toString("base64"));
	assert.ok(colors > 20, `${colors} colours`);
	await holder.close();
	if (hasTool("rsvg-convert")) {
		const png = execFileSync("rsvg-convert", [graph]);
		assert.equal(png.readUInt32BE(16), 1200);
		assert.ok(png.length > 10000);
	}
}],
["feature 20: works under a policy that names the one script's hash", async browser => {
	const markup = readFileSync(graph, "utf8"), scripts = markup.match(/<script/g);
	assert.equal(scripts.length, 1);
	const published = /fg:script="(sha256-[^"]+)"/.exec(markup)[1];
	const source = /<script><!\[CDATA\[([^]*?)\]\]><\/script>/.exec(markup)[1];
	assert.equal(published, "sha256-" + createHash("sha256").update(source).digest("base64"));
	assert.doesNotMatch(markup.replace(source, ""), /\son\w+\s*=/);
	assert.doesNotMatch(source, /\beval\b|new Function|innerHTML|insertAdjacent|document\.write/);
	site.headers = { "content-security-policy": `default-src 'none'; style-src 'unsafe-inline'; script-src '${published}'` };
	const page = await open(browser);
	await zoom(page, "event_loop");
	await page.fill("#search", "memcpy");
	assert.match(await text(page, "matched"), /of view/);
	await page.evaluate(() => document.activeElement.blur());
	await page.keyboard.press("i");
	await page.keyboard.press("n");
	await page.keyboard.press("0");
	await close(page);
	site.headers = {};
}],
["feature 21: names never become code or markup", async browser => {
	const hostile = ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "]]>", "' onload='alert(1)", "&amp",
			 "\u202egnp.exe", "a\u2028b", "</title><script>alert(2)</script>", "<![CDATA[", "<!--", "${alert(3)}", "__proto__"];
	const folded = Buffer.concat([Buffer.from(hostile.map((n, i) => `root;${n} ${i + 5}\n`).join("")),
				      Buffer.from("root;esc\x1b[31mred 7\nroot;bad\xff\xc0bytes 9\n", "latin1")]);
	const file = draw("hostile.svg", folded, "--title", "</text><script>alert(4)</script>", "--subtitle", '"]]><b>');
	if (hasTool("xmllint"))
		execFileSync("xmllint", ["--noout", file]);
	const page = await open(browser, { name: "hostile.svg" }), list = await frames(page);
	const names = list.map(f => f.name), expected = hostile.map(n => n.replace(/[\u202e\u2028]/g, "\ufffd"));
	for (const name of [...expected, "esc\ufffd[31mred", "bad\ufffd\ufffdbytes"])
		assert.ok(names.includes(name), `${JSON.stringify(name)} in ${JSON.stringify(names)}`);
	for (const f of list) {
		await page.locator("#frames > g").nth(f.index).locator("rect").hover({ position: { x: 1, y: 5 } });
		assert.ok((await text(page, "details")).startsWith(f.title));
	}
	for (const name of names) {
		await page.fill("#search", name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
		assert.doesNotMatch(await text(page, "matched"), /^0.00%/, name);
	}
	await zoom(page, "onerror");
	const again = await open(browser, { name: "hostile.svg", hash: new URL(await address(page)).hash });
	assert.equal(visible(await frames(again)).length, 3);
	assert.equal(await page.locator("img, b").count(), 0);
	assert.equal(await page.locator("script").count(), 1);
	assert.equal(await text(page, "title"), "</text><script>alert(4)</script>");
	await close(again);
	await close(page);
}],
["feature 23: nothing is fetched, and it works from a file", async browser => {
	const page = await browser.newPage({ viewport: { width: 1000, height: 700 } }), requests = [];
	page.wrong = [];
	page.on("pageerror", error => page.wrong.push(error.message));
	page.on("request", request => requests.push(request.url()));
	await page.goto("file://" + graph);
	await page.waitForSelector("svg.live");
	await zoom(page, "handle_request_6 ");
	await page.fill("#search", "memcpy");
	assert.match(await address(page), /#zoom=.*&search=memcpy/);
	await page.goBack();
	assert.equal(visible(await frames(page)).length, (await frames(page)).length);
	assert.deepEqual(requests, ["file://" + graph]);
	await close(page);
}],
["feature 24: the same input gives the same bytes, in whatever order its lines stand", async () => {
	const shuffled = profile().trim().split("\n").reverse().join("\n") + "\n";
	const args = ["flamegraph", "-", "--from", "folded"];
	const first = cprof(args, profile());
	assert.ok(first.equals(cprof(args, profile())));
	assert.ok(first.equals(cprof(args, shuffled)));
	assert.ok(first.equals(readFileSync(graph)));
}],
["times are shown with their unit", async browser => {
	const names = { 1: "cpu", 2: "nanoseconds", 3: "main", 4: "sort" };
	const field = (n, type, ...bytes) => [n << 3 | type, ...bytes], message = (n, bytes) => field(n, 2, bytes.length, ...bytes);
	const varint = v => v < 128 ? [v] : [v & 127 | 128, ...varint(Math.floor(v / 128))];
	const fn = id => message(5, [...field(1, 0, id), ...field(2, 0, id + 2)]);
	const location = id => message(4, [...field(1, 0, id), ...message(4, field(1, 0, id))]);
	const pprof = Buffer.from([
		...message(1, [...field(1, 0, 1), ...field(2, 0, 2)]),
		...message(2, [...field(1, 0, 2), ...field(1, 0, 1), ...field(2, 0, ...varint(1500000000))]),
		...message(2, [...field(1, 0, 1), ...field(2, 0, ...varint(2500000))]),
		...location(1), ...location(2), ...fn(1), ...fn(2),
		...["", ...Object.values(names)].flatMap(s => message(6, [...Buffer.from(s)])),
	]);
	writeFileSync(path.join(scratch, "time.svg"), cprof(["flamegraph", "-"], pprof));
	const page = await open(browser, { name: "time.svg" });
	assert.equal((await frames(page)).find(f => f.name === "main").title, "main (1.50 s, 100%)");
	await frame(page, "main (").locator("rect").hover();
	assert.match(await text(page, "details"), /self 2\.50 ms \(0\.17%\)/);
	await close(page);
}],
];

await run(tests);
site.close();
