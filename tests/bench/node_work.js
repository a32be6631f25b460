// What node is profiled with: parsing, sorting, regular expressions, closures, maps, hashing,
// compression and promises, for about so many seconds.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');

const end = Date.now() + 1000 * Number(process.argv[2] || 4);
let sum = 0;

function records(n) {
	return Array.from({ length: n }, (_, i) => ({ id: i, key: 'k' + ((i * 7919) % 1009), tags: [i, i + 1] }));
}

function group(list) {
	const byKey = new Map();
	for (const r of list) {
		if (!byKey.has(r.key)) byKey.set(r.key, []);
		byKey.get(r.key).push(r);
	}
	return byKey;
}

function words(text) {
	const counts = {};
	text.replace(/([a-z]+)=(\d+)/g, (all, name, value) => {
		counts[name] = (counts[name] || 0) + Number(value);
		return all;
	});
	return Object.keys(counts).length;
}

async function later(n) {
	let s = 0;
	for (let i = 0; i < n; i++) s += await i;
	return s;
}

async function main() {
	while (Date.now() < end) {
		const list = records(5000);
		list.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : b.id - a.id));
		const text = JSON.stringify(list);
		sum += JSON.parse(text).filter((r) => r.id % 3).map((r) => r.tags[1]).reduce((a, b) => a + b, 0);
		sum += group(list).size + words('alpha=1 beta=22 gamma=333 '.repeat(500));
		sum += crypto.createHash('sha256').update(text).digest()[0];
		sum += zlib.deflateSync(text).length;
		sum += await later(2000);
	}
	console.log(sum);
}
main();
