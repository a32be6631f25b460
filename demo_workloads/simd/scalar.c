/* What one writes first, and the step that is often taken for SIMD's gain: four independent sums,
 * so that an addition need not wait for the one before. */
#include "demo_workloads/simd/kernels.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static __attribute__((noinline)) double sum_scalar(const float *a, size_t n)
{
	double total = 0;

	for (size_t block = 0; block < n; block += KERNEL_BLOCK) {
		size_t end = MIN(block + KERNEL_BLOCK, n);
		float s = 0;
		for (size_t i = block; i < end; i++)
			s += a[i];
		total += (double)s;
	}
	return total;
}

static __attribute__((noinline)) double dot_scalar(const float *a, const float *b, size_t n)
{
	double total = 0;

	for (size_t block = 0; block < n; block += KERNEL_BLOCK) {
		size_t end = MIN(block + KERNEL_BLOCK, n);
		float s = 0;
		for (size_t i = block; i < end; i++)
			s += a[i] * b[i];
		total += (double)s;
	}
	return total;
}

static __attribute__((noinline)) size_t find_scalar(const uint8_t *bytes, size_t n, uint8_t wanted)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] == wanted)
			return i;
	return n;
}

const struct kernels kernels_scalar = { "scalar", sum_scalar, dot_scalar, find_scalar };

static __attribute__((noinline)) double sum_ilp(const float *a, size_t n)
{
	double total = 0;

	for (size_t block = 0; block < n; block += KERNEL_BLOCK) {
		size_t end = MIN(block + KERNEL_BLOCK, n), i = block;
		float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
		for (; i + 4 <= end; i += 4) {
			s0 += a[i];
			s1 += a[i + 1];
			s2 += a[i + 2];
			s3 += a[i + 3];
		}
		for (; i < end; i++)
			s0 += a[i];
		total += (double)(s0 + s1) + (double)(s2 + s3);
	}
	return total;
}

static __attribute__((noinline)) double dot_ilp(const float *a, const float *b, size_t n)
{
	double total = 0;

	for (size_t block = 0; block < n; block += KERNEL_BLOCK) {
		size_t end = MIN(block + KERNEL_BLOCK, n), i = block;
		float s0 = 0, s1 = 0, s2 = 0, s3 = 0;
		for (; i + 4 <= end; i += 4) {
			s0 += a[i] * b[i];
			s1 += a[i + 1] * b[i + 1];
			s2 += a[i + 2] * b[i + 2];
			s3 += a[i + 3] * b[i + 3];
		}
		for (; i < end; i++)
			s0 += a[i] * b[i];
		total += (double)(s0 + s1) + (double)(s2 + s3);
	}
	return total;
}

static __attribute__((noinline)) size_t find_ilp(const uint8_t *bytes, size_t n, uint8_t wanted)
{
	size_t i = 0;

	for (; i + 4 <= n; i += 4)
		if ((bytes[i] == wanted) | (bytes[i + 1] == wanted) | (bytes[i + 2] == wanted) |
		    (bytes[i + 3] == wanted))
			break;
	for (; i < n; i++)
		if (bytes[i] == wanted)
			return i;
	return n;
}

const struct kernels kernels_ilp = { "ilp", sum_ilp, dot_ilp, find_ilp };
