/*
 * The same loops in vector registers: four accumulators of as many floats as a register holds.
 * Every set is compiled into the program and picked when it runs, so that the binary works on any
 * CPU.
 */
#include "demo_workloads/simd/kernels.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/*
 * One set of kernels. LANES floats a register; VECTOR its type; ZERO, LOAD, ADD, MULTIPLY_ADD(a, b,
 * c) = a * b + c, TOTAL (a register's sum) and EQUAL_MASK(bytes at p, wanted) whose lowest set bit,
 * divided by MASK_STEP, is the first equal byte of VECTOR_BYTES.
 */
#define KERNEL_SET(id, TARGET)                                                                     \
	TARGET static double sum_##id(const float *a, size_t n)                                    \
	{                                                                                          \
		double total = 0;                                                                  \
		for (size_t block = 0; block < n; block += KERNEL_BLOCK) {                         \
			size_t end = MIN(block + KERNEL_BLOCK, n), i = block;                      \
			VECTOR s0 = ZERO, s1 = ZERO, s2 = ZERO, s3 = ZERO;                         \
			for (; i + 4 * LANES <= end; i += 4 * LANES) {                             \
				s0 = ADD(s0, LOAD(a + i));                                         \
				s1 = ADD(s1, LOAD(a + i + LANES));                                 \
				s2 = ADD(s2, LOAD(a + i + 2 * LANES));                             \
				s3 = ADD(s3, LOAD(a + i + 3 * LANES));                             \
			}                                                                          \
			float s = TOTAL(ADD(ADD(s0, s1), ADD(s2, s3)));                            \
			for (; i < end; i++)                                                       \
				s += a[i];                                                         \
			total += (double)s;                                                        \
		}                                                                                  \
		return total;                                                                      \
	}                                                                                          \
	TARGET static double dot_##id(const float *a, const float *b, size_t n)                    \
	{                                                                                          \
		double total = 0;                                                                  \
		for (size_t block = 0; block < n; block += KERNEL_BLOCK) {                         \
			size_t end = MIN(block + KERNEL_BLOCK, n), i = block;                      \
			VECTOR s0 = ZERO, s1 = ZERO, s2 = ZERO, s3 = ZERO;                         \
			for (; i + 4 * LANES <= end; i += 4 * LANES) {                             \
				s0 = MULTIPLY_ADD(LOAD(a + i), LOAD(b + i), s0);                   \
				s1 = MULTIPLY_ADD(LOAD(a + i + LANES), LOAD(b + i + LANES), s1);   \
				s2 = MULTIPLY_ADD(LOAD(a + i + 2 * LANES),                         \
						  LOAD(b + i + 2 * LANES), s2);                    \
				s3 = MULTIPLY_ADD(LOAD(a + i + 3 * LANES),                         \
						  LOAD(b + i + 3 * LANES), s3);                    \
			}                                                                          \
			float s = TOTAL(ADD(ADD(s0, s1), ADD(s2, s3)));                            \
			for (; i < end; i++)                                                       \
				s += a[i] * b[i];                                                  \
			total += (double)s;                                                        \
		}                                                                                  \
		return total;                                                                      \
	}                                                                                          \
	TARGET static size_t find_##id(const uint8_t *bytes, size_t n, uint8_t wanted)             \
	{                                                                                          \
		size_t i = 0;                                                                      \
		for (; i + VECTOR_BYTES <= n; i += VECTOR_BYTES) {                                 \
			uint64_t mask = EQUAL_MASK(bytes + i, wanted);                             \
			if (mask)                                                                  \
				return i + (size_t)__builtin_ctzll(mask) / MASK_STEP;              \
		}                                                                                  \
		for (; i < n; i++)                                                                 \
			if (bytes[i] == wanted)                                                    \
				return i;                                                          \
		return n;                                                                          \
	}                                                                                          \
	static const struct kernels kernels_##id = { #id, sum_##id, dot_##id, find_##id }

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define AVX2   __attribute__((target("avx2,fma")))
#define SSE2

static float total_sse2(__m128 v)
{
	float lanes[4];

	_mm_storeu_ps(lanes, v);
	return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

#define VECTOR		      __m128
#define LANES		      4
#define VECTOR_BYTES	      16
#define MASK_STEP	      1
#define ZERO		      _mm_setzero_ps()
#define LOAD		      _mm_loadu_ps
#define ADD		      _mm_add_ps
#define MULTIPLY_ADD(a, b, c) _mm_add_ps(_mm_mul_ps(a, b), c)
#define TOTAL		      total_sse2
#define EQUAL_MASK(p, wanted)                                                                      \
	(uint32_t) _mm_movemask_epi8(                                                              \
		_mm_cmpeq_epi8(_mm_loadu_si128((const void *)(p)), _mm_set1_epi8((char)(wanted))))
KERNEL_SET(sse2, SSE2);
#undef VECTOR
#undef LANES
#undef VECTOR_BYTES
#undef ZERO
#undef LOAD
#undef ADD
#undef MULTIPLY_ADD
#undef TOTAL
#undef EQUAL_MASK

AVX2 static float total_avx2(__m256 v)
{
	return total_sse2(_mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1)));
}

#define VECTOR	     __m256
#define LANES	     8
#define VECTOR_BYTES 32
#define ZERO	     _mm256_setzero_ps()
#define LOAD	     _mm256_loadu_ps
#define ADD	     _mm256_add_ps
#define MULTIPLY_ADD _mm256_fmadd_ps
#define TOTAL	     total_avx2
#define EQUAL_MASK(p, wanted)                                                                      \
	(uint32_t) _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_loadu_si256((const void *)(p)),   \
							  _mm256_set1_epi8((char)(wanted))))
KERNEL_SET(avx2, AVX2);
#undef VECTOR
#undef LANES
#undef VECTOR_BYTES
#undef ZERO
#undef LOAD
#undef ADD
#undef MULTIPLY_ADD
#undef TOTAL
#undef EQUAL_MASK

#define VECTOR	     __m512
#define LANES	     16
#define VECTOR_BYTES 64
#define ZERO	     _mm512_setzero_ps()
#define LOAD	     _mm512_loadu_ps
#define ADD	     _mm512_add_ps
#define MULTIPLY_ADD _mm512_fmadd_ps
#define TOTAL	     _mm512_reduce_add_ps
#define EQUAL_MASK(p, wanted)                                                                      \
	_mm512_cmpeq_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8((char)(wanted)))
KERNEL_SET(avx512, AVX512);

const struct kernels *kernels_simd(void)
{
	if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
		return &kernels_avx512;
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return &kernels_avx2;
	return &kernels_sse2;
}

#elif defined(__aarch64__)
#include <arm_neon.h>

/* Four bits of the mask a byte: NEON has no instruction that gathers one. */
static uint64_t equal_mask_neon(const uint8_t *p, uint8_t wanted)
{
	uint8x16_t equal = vceqq_u8(vld1q_u8(p), vdupq_n_u8(wanted));

	return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(equal), 4)), 0);
}

#define VECTOR		      float32x4_t
#define LANES		      4
#define VECTOR_BYTES	      16
#define MASK_STEP	      4
#define ZERO		      vdupq_n_f32(0)
#define LOAD		      vld1q_f32
#define ADD		      vaddq_f32
#define MULTIPLY_ADD(a, b, c) vfmaq_f32(c, a, b)
#define TOTAL		      vaddvq_f32
#define EQUAL_MASK	      equal_mask_neon
KERNEL_SET(neon, );

const struct kernels *kernels_simd(void)
{
	return &kernels_neon; /* every 64-bit Arm CPU has it */
}

#else

const struct kernels *kernels_simd(void)
{
	return &kernels_ilp; /* no vector kernels for this machine */
}

#endif
