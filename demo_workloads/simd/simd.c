/* The demo: each round sums an array of floats, takes the dot product of two and searches a byte in
 * the bytes of a third, and checks all three answers. See README.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "demo_workloads/common/demo.h"
#include "demo_workloads/simd/kernels.h"

#define TOLERANCE 1e-6 /* relative: the order of additions differs between the variants */
#define NEEDLE	  0xff

struct data {
	size_t count; /* floats in a and in b */
	size_t size;  /* bytes in text; the needle is the last one */
	float *a, *b;
	uint8_t *text;
	double sum, dot; /* the right answers, all in double */
};

static void tear_down(void *data)
{
	struct data *d = data;

	free(d->a);
	free(d->b);
	free(d->text);
	free(d);
}

static void *allocate(size_t bytes)
{
	return aligned_alloc(64, (bytes + 63) & ~(size_t)63);
}

static void *set_up(uint64_t size)
{
	struct data *d = calloc(1, sizeof(*d));
	uint64_t state = 42;

	if (!d || size < 64) {
		fprintf(stderr, "simd: %s\n", d ? "the size must be 64 at least" : "out of memory");
		free(d);
		return NULL;
	}
	d->count = size / sizeof(float);
	d->size = size;
	d->a = allocate(size);
	d->b = allocate(size);
	d->text = allocate(size);
	if (!d->a || !d->b || !d->text) {
		fprintf(stderr, "simd: out of memory\n");
		tear_down(d);
		return NULL;
	}
	for (size_t i = 0; i < d->count; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		d->a[i] = (float)(state >> 40) / (float)(1 << 24);
		d->b[i] = (float)(state >> 16 & 0xffffff) / (float)(1 << 24);
		d->sum += (double)d->a[i];
		d->dot += (double)d->a[i] * (double)d->b[i];
	}
	for (size_t i = 0; i < size; i++)
		d->text[i] = (uint8_t)(i % NEEDLE);
	d->text[size - 1] = NEEDLE;
	return d;
}

static const struct kernels *kernels_of(const struct demo_variant *v)
{
	return v->technique ? v->technique : kernels_simd();
}

static double round_of(void *data, const struct demo_variant *variant)
{
	const struct kernels *k = kernels_of(variant);
	const struct data *d = data;

	double sum = k->sum(d->a, d->count);
	double dot = k->dot(d->a, d->b, d->count);
	size_t found = k->find(d->text, d->size, NEEDLE);

	if (fabs(sum - d->sum) > TOLERANCE * d->sum || fabs(dot - d->dot) > TOLERANCE * d->dot ||
	    found != d->size - 1) {
		fprintf(stderr,
			"simd: wrong answer of %s: sum %.9g (%.9g), dot %.9g (%.9g), found %zu "
			"(%zu)\n",
			k->name, sum, d->sum, dot, d->dot, found, d->size - 1);
		return -1;
	}
	return (double)d->count * sizeof(float) * 3 + (double)d->size;
}

static const struct demo_variant variants[] = {
	{ "baseline", "one float, one byte at a time", &kernels_scalar },
	{ "ilp", "a step: still scalar, four independent sums", &kernels_ilp },
	{ "optimised", "the widest vector registers this CPU has", NULL },
};

static const struct demo simd = {
	.name = "simd",
	.about = "Sum, dot product and byte search, in scalar code and in vector registers.",
	.unit = "GB/s",
	.work_per_unit = 1e9,
	.default_size = 256 << 10,
	.variants = variants,
	.variant_count = sizeof(variants) / sizeof(variants[0]),
	.set_up = set_up,
	.round = round_of,
	.tear_down = tear_down,
};

int main(int argc, char **argv)
{
	return demo_main(&simd, argc, argv);
}
