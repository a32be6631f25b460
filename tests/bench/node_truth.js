// A program whose stacks are known: node_truth.js FILE SECONDS. For so long each it walks paths of
// calls, through the engine's builtins and back, down to a leaf that works. Each leaf writes down
// what the engine says the stack is. Writes JSON to FILE: for each path its window in CLOCK_MONOTONIC
// nanoseconds, and its stacks (some paths have several), outermost function first.
//
// Every function of a path bears the path's letters, and no other path calls it.
'use strict';
const fs = require('fs');
const crypto = require('crypto');
const zlib = require('zlib');

Error.stackTraceLimit = Infinity;
const seconds = Number(process.argv[3] || 0.3);
const paths = [];
let now = null; // the path being walked
let sink = 0;
const list = Array.from({ length: 40 }, (_, i) => (i * 7919) % 1009);

// The engine's own stack here, the first times; what waits for an await is left out, it is on no stack.
function writeDown(where = 'leaf') {
	now.times[where] = (now.times[where] || 0) + 1;
	if (now.times[where] > 20) return;
	const prepare = Error.prepareStackTrace;
	Error.prepareStackTrace = (_, sites) => sites;
	const sites = new Error().stack;
	Error.prepareStackTrace = prepare;
	const stack = sites.filter((s) => !s.isAsync()).slice(1).reverse().map((s) => ({
		name: s.getFunctionName() || '', type: s.getTypeName() || '', file: s.getFileName() || '',
	}));
	now.stacks.set(JSON.stringify(stack), stack);
}

function spin(n) {
	let s = 0;
	for (let i = 0; i < n; i++) s = (s * 31 + i) | 0;
	sink += s;
}

// --- plain calls; recursion ---
function plLeaf() { writeDown(); spin(20000); return 1; }
function plThree(n) { return plLeaf() + n; }
function plTwo(n) { return plThree(n) + 1; }
function plOne() { return plTwo(2) + 1; }

function reLeaf() { writeDown(); spin(20000); return 1; }
function reOdd(n) { return n ? reEven(n - 1) + 1 : reLeaf(); }
function reEven(n) { return n ? reOdd(n - 1) + 1 : reLeaf(); }
function reOne() { return reEven(60); }

// --- callbacks of array builtins ---
function arLeaf(sum, v) { writeDown(); spin(500); return sum + v; }
function arEach(v) { sink += list.reduce(arLeaf, v); }
function arMap(v) { [v].forEach(arEach); return v + 1; }
function arOne() { return [1, 2, 3].map(arMap).length; }

function soLeaf(a, b) { writeDown(); spin(300); return a - b; }
function soCompare(a, b) { return soLeaf(a, b); }
function soOne() { return list.slice().sort(soCompare).length; }

function tyLeaf(a, b) { writeDown(); spin(300); return a - b; }
function tyCompare(a, b) { return tyLeaf(a, b); }
function tyFrom(v) { writeDown('from'); spin(300); return v * 2; }
function tyOne() { return Float64Array.from(list, tyFrom).sort(tyCompare).length; }

function maLeaf(v) { writeDown(); spin(2000); return v; }
function maEach(v) { sink += maLeaf(v); }
const maMap = new Map(list.map((v) => [v, v]));
function maOne() { maMap.forEach(maEach); }

// --- callbacks of parsers and printers ---
function jsLeaf(v) { writeDown(); spin(2000); return v; }
class jsValue { constructor(v) { this.v = v; } toJSON() { return jsLeaf(this.v); } }
const jsValues = list.map((v) => new jsValue(v));
function jsOne() { return JSON.stringify({ values: jsValues }).length; }

function rvLeaf(k, v) { writeDown(); spin(500); return v; }
function rvRevive(k, v) { return rvLeaf(k, v); }
const rvText = JSON.stringify(list.map((v) => ({ a: v, b: [v] })));
function rvOne() { return JSON.parse(rvText, rvRevive).length; }

function xpLeaf(all) { writeDown(); spin(500); return all.length; }
function xpReplace(all) { return String(xpLeaf(all)); }
const xpText = 'alpha=1 beta=22 gamma=333 '.repeat(50);
function xpOne() { return xpText.replace(/([a-z]+)=(\d+)/g, xpReplace).length; }

// --- odd ways to call ---
function caLeaf() { writeDown(); spin(20000); return 1; }
function caCalled() { return caLeaf() + 1; }
function caBound(n) { return caCalled.call(this, n) + 1; }
const caBoundTo = caBound.bind({ a: 1 }, 2);
function caApplied(...args) { return caBoundTo(...args) + 1; }
function caOne() { return Reflect.apply(caApplied, null, [1, 2, 3]); }

function prLeaf() { writeDown(); spin(20000); return 1; }
function prGet(target, key) { return key === 'x' ? prLeaf() : target[key]; }
const prProxy = new Proxy({}, { get: prGet });
function prOne() { return prProxy.x + 1; }

function clLeaf() { writeDown(); spin(20000); return 1; }
class clBase { constructor() { this.v = this.clValue; } get clValue() { return clLeaf(); } }
class clMade extends clBase { constructor() { super(); this.w = 1; } }
function clOne() { return new clMade().v; }

function geLeaf() { writeDown(); spin(20000); return 1; }
function* geInner() { for (let i = 0; i < 3; i++) yield geLeaf(); }
function* geOuter() { yield* geInner(); }
function geOne() { let s = 0; for (const v of geOuter()) s += v; return s; }

function exLeaf(n) { writeDown(); spin(5000); if (n % 2) throw new RangeError('odd'); return n; }
function exTry(n) { try { return exLeaf(n); } catch (e) { return e.message.length; } finally { sink++; } }
function exOne() { return exTry(1) + exTry(2); }

const evOne = new Function('evLeaf', 'return function evOne() { return evLeaf(); }')(
	function evLeaf() { writeDown(); spin(20000); return 1; });

// --- work in native code below the leaf ---
const naBytes = Buffer.alloc(65536, 'abc');
function naLeaf() { writeDown(); sink += crypto.createHash('sha256').update(naBytes).digest()[0]; return 1; }
function naTwo() { return naLeaf() + 1; }
function naOne() { return naTwo(); }

function zlLeaf() { writeDown(); sink += zlib.deflateSync(naBytes).length; return 1; }
function zlOne() { return zlLeaf() + 1; }

const paText = JSON.stringify(list.map((v) => ({ a: v, b: [v, String(v)] })));
function paLeaf() { writeDown(); for (let i = 0; i < 20; i++) sink += JSON.parse(paText).length; return 1; }
function paOne() { return paLeaf() + 1; }

const stWords = list.map((v) => 'w' + v);
function stLeaf() { writeDown(); for (let i = 0; i < 50; i++) sink += stWords.join('-').split('-').indexOf('w5'); return 1; }
function stOne() { return stLeaf() + 1; }

const xnText = 'x'.repeat(2000) + 'y';
function xnLeaf() { writeDown(); for (let i = 0; i < 20; i++) sink += /(x+x+)z|y$/.test(xnText.slice(-60)) ? 1 : 0; return 1; }
function xnOne() { return xnLeaf() + 1; }

const biBase = 3n ** 2000n;
function biLeaf() { writeDown(); sink += Number((biBase * biBase) % 1000007n); return 1; }
function biOne() { return biLeaf() + 1; }

// --- from the queue of microtasks, and of the event loop ---
function asLeaf() { writeDown(); spin(20000); return 1; }
async function asTwo() { writeDown('two'); spin(2000); await null; return asLeaf() + 1; }
async function asOne() { const two = asTwo(); spin(2000); const n = await two; writeDown('again'); return n + 1; }

function imLeaf() { writeDown(); spin(20000); }
function imCall(done) { imLeaf(); done(); }
function imStart(done) { writeDown('start'); spin(2000); setImmediate(imCall, done); }
function imOne() { writeDown('one'); spin(2000); return new Promise(imStart); }

const walks = { plOne, reOne, arOne, soOne, tyOne, maOne, jsOne, rvOne, xpOne, caOne, prOne, clOne, geOne, exOne,
	evOne, naOne, zlOne, paOne, stOne, xnOne, biOne };
const laterWalks = { asOne, imOne };

function walk(name, step) {
	now = { path: name, start: process.hrtime.bigint(), times: {}, stacks: new Map() };
	const end = now.start + BigInt(Math.round(seconds * 1e9));
	while (process.hrtime.bigint() < end) sink += step() | 0;
	now.end = process.hrtime.bigint();
	paths.push(now);
}

async function walkLater(name, step) {
	now = { path: name, start: process.hrtime.bigint(), times: {}, stacks: new Map() };
	const end = now.start + BigInt(Math.round(seconds * 1e9));
	while (process.hrtime.bigint() < end) sink += (await step()) | 0;
	now.end = process.hrtime.bigint();
	paths.push(now);
}

async function main() {
	for (const [name, step] of Object.entries(walks)) walk(name, step);
	for (const [name, step] of Object.entries(laterWalks)) await walkLater(name, step);
	const found = paths.map((p) => ({ path: p.path, start: Number(p.start), end: Number(p.end), stacks: [...p.stacks.values()] }));
	fs.writeFileSync(process.argv[2], JSON.stringify(found, null, 1));
}
main();
