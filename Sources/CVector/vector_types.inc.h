// Vectors of 16 float32 (8 float64) whatever the ISA; the compiler splits them where registers are narrower.
// Included once per ISA by the isa_*.c files, which define KV(name).
#include <math.h>
#include <string.h>

#include "kv_types.h"

// Vectors are only passed to functions that are inlined, so the calling convention does not matter.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline, unused))
#define LANES 16
#define LANES_D 8

typedef float vf __attribute__((ext_vector_type(16)));
typedef int32_t vi __attribute__((ext_vector_type(16)));
typedef uint32_t vu __attribute__((ext_vector_type(16)));
typedef uint8_t vb __attribute__((ext_vector_type(16)));
typedef uint64_t vw __attribute__((ext_vector_type(16)));
typedef double vd __attribute__((ext_vector_type(8)));
typedef int64_t vl __attribute__((ext_vector_type(8)));
typedef uint64_t vq __attribute__((ext_vector_type(8)));
typedef uint8_t vb8 __attribute__((ext_vector_type(8)));

INLINE vf load_f(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store_f(float* p, vf v) { memcpy(p, &v, sizeof v); }
INLINE vd load_d(const double* p) {
  vd v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store_d(double* p, vd v) { memcpy(p, &v, sizeof v); }

// The first n lanes of a vector; the others are 0.
#if KV_HAS_MASKS
INLINE vf load_part_f(const float* p, long n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p); }
INLINE void store_part_f(float* p, vf v, long n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v); }
INLINE vd load_part_d(const double* p, long n) { return (vd)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p); }
INLINE void store_part_d(double* p, vd v, long n) { _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v); }
#else
INLINE vf load_part_f(const float* p, long n) {
  vf v = 0;
  memcpy(&v, p, (size_t)n * 4);
  return v;
}
INLINE void store_part_f(float* p, vf v, long n) { memcpy(p, &v, (size_t)n * 4); }
INLINE vd load_part_d(const double* p, long n) {
  vd v = 0;
  memcpy(&v, p, (size_t)n * 8);
  return v;
}
INLINE void store_part_d(double* p, vd v, long n) { memcpy(p, &v, (size_t)n * 8); }
#endif

INLINE vf splat_f(float x) { return (vf)x; }
INLINE vd splat_d(double x) { return (vd)x; }
INLINE vf as_f(vi v) { return (vf)v; }
INLINE vi as_i(vf v) { return (vi)v; }

// One rounding.
INLINE vf exact_fma_f(vf a, vf b, vf c) { return __builtin_elementwise_fma(a, b, c); }
INLINE vd exact_fma_d(vd a, vd b, vd c) { return __builtin_elementwise_fma(a, b, c); }

// a * b + c, fused where the ISA can.
INLINE vf madd(vf a, vf b, vf c) {
#if KV_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}
INLINE vd madd_d(vd a, vd b, vd c) {
#if KV_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}
