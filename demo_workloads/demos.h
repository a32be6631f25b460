/*
 * The demo workloads there are: a line here and a folder of the same name, whose program is built as
 * demos/NAME. Its variants `baseline` and `optimised` compute the same answer; a demo may have steps in
 * between (`NAME --help` lists them).
 *
 *	DEMO(name, what it shows, its metric)
 */
#define DEMOS(DEMO) DEMO(simd, "sums, dot products and byte searches, scalar against SIMD", "GB/s")
