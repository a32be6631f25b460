/*
 * The three loops that this demo is about, in each of the ways to write them. Floats are summed in
 * blocks of KERNEL_BLOCK into a double: a float that adds up millions of others stops growing, and
 * then no two ways of adding would give the same answer.
 */
#ifndef CPROF_DEMO_SIMD_KERNELS_H
#define CPROF_DEMO_SIMD_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define KERNEL_BLOCK 4096

struct kernels {
	const char *name;
	double (*sum)(const float *a, size_t n);
	double (*dot)(const float *a, const float *b, size_t n);
	size_t (*find)(const uint8_t *bytes, size_t n, uint8_t wanted); /* n where it is not */
};

extern const struct kernels kernels_scalar; /* one addition after the other */
extern const struct kernels kernels_ilp;    /* still scalar, four additions at a time */

/* The widest vector registers that this CPU has, asked when the program runs. */
const struct kernels *kernels_simd(void);

#endif
