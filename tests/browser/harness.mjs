// What the page tests share: cprof makes the pages, a small server hands them out with the headers a
// test asks for, Chromium shows them, results go to stdout as TAP.
import { execFileSync } from "node:child_process";
import { createServer } from "node:http";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const build = process.env.CPROF_BUILD ?? path.resolve("build");
export const scratch = process.env.CPROF_TEST_TMP ?? mkdtempSync(path.join(tmpdir(), "cprof-page-"));
mkdirSync(scratch, { recursive: true });

const chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	       "--disable-component-update", "--disable-sync"];

// Runs cprof with the input on stdin and returns what it wrote to stdout.
export function cprof(args, input = "") {
	return execFileSync(path.join(build, "cprof"), args, { input, maxBuffer: 1 << 28 });
}

// Draws folded text (a string, or bytes) into a file of this name, and returns its path.
export function draw(name, folded, ...options) {
	const file = path.join(scratch, name);
	writeFileSync(file, cprof(["flamegraph", "-", "--from", "folded", "-o", "-", ...options], folded));
	return file;
}

export function hasTool(name) {
	return process.env.PATH.split(":").some(dir => existsSync(path.join(dir, name)));
}

// Serves the scratch folder; `headers` may be changed between requests.
export async function serve() {
	const site = { headers: {} };
	const types = { ".svg": "image/svg+xml", ".html": "text/html" };
	const server = createServer((request, response) => {
		const name = new URL(request.url, "http://x").pathname.slice(1);
		const file = path.join(scratch, path.basename(name));
		if (!existsSync(file)) {
			response.writeHead(name === "favicon.ico" ? 204 : 404).end();
			return;
		}
		response.writeHead(200, { "content-type": types[path.extname(file)] ?? "text/plain", ...site.headers });
		response.end(readFileSync(file));
	});
	await new Promise(done => server.listen(0, "127.0.0.1", done));
	site.url = name => `http://127.0.0.1:${server.address().port}/${name}`;
	site.close = () => server.close();
	return site;
}

// Runs the tests, [name, async function(browser)] each, one after the other.
export async function run(tests) {
	let playwright;
	try {
		playwright = await import("playwright-core");
	} catch {
		console.log("1..0 # skip tests/browser/node_modules is missing (npm ci could not run)");
		return;
	}
	if (!chromium) {
		console.log("1..0 # skip not installed: chromium");
		return;
	}
	const browser = await playwright.chromium.launch({ executablePath: chromium, args: FLAGS });
	const only = process.argv[2];
	const chosen = tests.filter(([name]) => !only || name.includes(only));
	console.log(`1..${chosen.length}`);
	for (const [i, [name, test]] of chosen.entries()) {
		try {
			const skipped = await test(browser);
			console.log(`ok ${i + 1} - ${name}${skipped ? ` # skip ${skipped}` : ""}`);
		} catch (error) {
			console.log(`not ok ${i + 1} - ${name}`);
			console.log(String(error.stack ?? error).replace(/^/gm, "# "));
			process.exitCode = 1;
		}
	}
	await browser.close();
}
