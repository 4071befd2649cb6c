// The words that every kernel file is written in, and the functions that rows of the operation tables name.
//
// A kernel file is a template: the host defines its macros, pastes the file, and takes the macros away again, so that
// many kernels share one program. All text is OpenCL C 1.2; another language (CUDA C) needs another prelude only.
//
// Styles: with STYLE_CPU a work-item runs alone (work-group of one) over a contiguous chunk, without barriers or local
// memory; otherwise neighbouring work-items touch neighbouring elements and work-groups share local memory.

#pragma OPENCL FP_CONTRACT OFF
#if defined(KILN_DOUBLE) && KILN_DOUBLE
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#endif

#define KERNEL __kernel
#define GLOBAL __global
#define LOCAL __local
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define GLOBAL_ID(n) ((long)get_global_id(n))
#define GLOBAL_SIZE(n) ((long)get_global_size(n))
#define LOCAL_ID(n) ((int)get_local_id(n))
#define GROUP_ID(n) ((long)get_group_id(n))

// Iterations of the next loop do not depend on one another.
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT
#endif
// The next loop is written out, so that arrays indexed by it stay in registers.
#if defined(__clang__) || defined(__NV_CL_C_VERSION)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

// Runs the statement after it for i in 0..<count, spread over the work-items of dimension 0; `chunk` is the number of
// neighbouring elements of one work-item in the CPU style.
#ifdef STYLE_CPU
#define FOR_EACH(i, count, chunk)                                                                                      \
  for (long i = GLOBAL_ID(0) * (chunk), i##_end = min(GLOBAL_ID(0) * (chunk) + (chunk), (long)(count)); i < i##_end;   \
       i++)
#else
#define FOR_EACH(i, count, chunk) for (long i = GLOBAL_ID(0); i < (count); i += GLOBAL_SIZE(0))
#endif

// A call that the compiler leaves in a loop keeps it from becoming vectors.
#define INLINED inline __attribute__((always_inline))

// NaN if either is.
#define KILN_EXTREMES(T)                                                                                               \
  INLINED T kiln_maximum_##T(const T a, const T b) { return a != a ? a : b != b ? b : a > b ? a : b; }                 \
  INLINED T kiln_minimum_##T(const T a, const T b) { return a != a ? a : b != b ? b : a < b ? a : b; }

#define KILN_FLOAT_FUNCTIONS(T)                                                                                        \
  KILN_EXTREMES(T)                                                                                                     \
  /* Python's %: the sign of the divisor. */                                                                           \
  inline T kiln_remainder_##T(const T a, const T b) {                                                                  \
    const T r = fmod(a, b);                                                                                            \
    return r != (T)0 && (r < (T)0) != (b < (T)0) ? r + b : r;                                                          \
  }                                                                                                                    \
  /* Truncates; NaN gives 0; saturates. */                                                                             \
  inline int kiln_to_int_##T(const T x) {                                                                              \
    return x != x ? 0 : x >= (T)2147483648.0f ? INT_MAX : x <= -(T)2147483648.0f ? INT_MIN : (int)x;                   \
  }                                                                                                                    \
  inline long kiln_to_long_##T(const T x) {                                                                            \
    return x != x                            ? 0                                                                       \
           : x >= (T)9223372036854775808.0f  ? LONG_MAX                                                                \
           : x <= -(T)9223372036854775808.0f ? LONG_MIN                                                                \
                                             : (long)x;                                                                \
  }

#define KILN_INTEGER_FUNCTIONS(T)                                                                                      \
  inline T kiln_remainder_##T(const T a, const T b) {                                                                  \
    if (b == 0 || b == (T)-1) return 0;                                                                                \
    const T r = a % b;                                                                                                 \
    return r != 0 && (r < 0) != (b < 0) ? (T)(r + b) : r;                                                              \
  }

KILN_FLOAT_FUNCTIONS(float)
KILN_INTEGER_FUNCTIONS(int)
KILN_INTEGER_FUNCTIONS(long)
inline uchar kiln_remainder_uchar(const uchar a, const uchar b) { return b == 0 ? 0 : a % b; }

// The inverse of erf on (-1, 1): a starting value from Giles, "Approximating the erfinv function" (2012), then Halley.
#define KILN_ERF_INVERSE(T, STEPS)                                                                                     \
  inline T kiln_erf_inverse_##T(const T x) {                                                                           \
    if (x != x || fabs(x) > (T)1) return (T)NAN;                                                                       \
    if (fabs(x) == (T)1) return x * (T)INFINITY;                                                                       \
    T w = -log(((T)1 - x) * ((T)1 + x));                                                                               \
    T y;                                                                                                               \
    if (w < (T)5) {                                                                                                    \
      w -= (T)2.5f;                                                                                                    \
      y = fma((T)2.81022636e-08f, w, (T)3.43273939e-07f);                                                              \
      y = fma(y, w, (T)-3.5233877e-06f);                                                                               \
      y = fma(y, w, (T)-4.39150654e-06f);                                                                              \
      y = fma(y, w, (T)0.00021858087f);                                                                                \
      y = fma(y, w, (T)-0.00125372503f);                                                                               \
      y = fma(y, w, (T)-0.00417768164f);                                                                               \
      y = fma(y, w, (T)0.246640727f);                                                                                  \
      y = fma(y, w, (T)1.50140941f);                                                                                   \
    } else {                                                                                                           \
      w = sqrt(w) - (T)3;                                                                                              \
      y = fma((T)-0.000200214257f, w, (T)0.000100950558f);                                                             \
      y = fma(y, w, (T)0.00134934322f);                                                                                \
      y = fma(y, w, (T)-0.00367342844f);                                                                               \
      y = fma(y, w, (T)0.00573950773f);                                                                                \
      y = fma(y, w, (T)-0.0076224613f);                                                                                \
      y = fma(y, w, (T)0.00943887047f);                                                                                \
      y = fma(y, w, (T)1.00167406f);                                                                                   \
      y = fma(y, w, (T)2.83297682f);                                                                                   \
    }                                                                                                                  \
    y *= x;                                                                                                            \
    for (int k = 0; k < STEPS; k++) {                                                                                  \
      /* Near +-1 erf has no digits left; near 0 erfc has none. */                                                     \
      const T residual = x > (T)0.5f ? ((T)1 - x) - erfc(y) : x < (T)-0.5f ? erfc(-y) - ((T)1 + x) : erf(y) - x;       \
      const T step = -residual * (T)0.886226925f * exp(y * y);                                                         \
      if (!isfinite(step)) break;                                                                                      \
      y += step / ((T)1 - y * step);                                                                                   \
    }                                                                                                                  \
    return y;                                                                                                          \
  }

KILN_ERF_INVERSE(float, 2)

#if defined(KILN_DOUBLE) && KILN_DOUBLE
KILN_FLOAT_FUNCTIONS(double)
KILN_ERF_INVERSE(double, 4)
#endif

// Elementary functions of float and of vectors without branches or calls, the same bits in both: the CPU device's, with
// the same bounds (docs/numerics.md). GPUs have their own.
#ifdef STYLE_CPU
#define KILN_VECTOR_FUNCTIONS(F, I)                                                                                    \
  /* e^x = 2^n e^r, |r| <= ln(2) / 2; adding 1.5 * 2^23 rounds to a whole number. */                                   \
  INLINED F kiln_exp_reduce_##F(const F x, F* n) {                                                                     \
    *n = fma(x, (F)0x1.715476p+0f, (F)0x1.8p23f) - (F)0x1.8p23f;                                                       \
    return fma(*n, -(F)0x1.7f7d1cp-20f, fma(*n, -(F)0x1.62e400p-1f, x));                                               \
  }                                                                                                                    \
  /* Of a whole number in -126...127. */                                                                               \
  INLINED F kiln_power_of_two_##F(const F n) { return as_##F((as_##I(n + (F)0x1.8p23f) + 127) << 23); }                \
  INLINED F kiln_exp_##F(const F x) {                                                                                  \
    const F most = x > (F)89.0f ? (F)89.0f : x, y = most < -(F)104.0f ? -(F)104.0f : most;                             \
    F n;                                                                                                               \
    const F r = kiln_exp_reduce_##F(y, &n);                                                                            \
    F p = fma((F)0x1.6db530p-10f, r, (F)0x1.123b9cp-7f);                                                               \
    p = fma(p, r, (F)0x1.55545cp-5f);                                                                                  \
    p = fma(p, r, (F)0x1.55548ep-3f);                                                                                  \
    p = fma(p, r, (F)0x1.000000p-1f);                                                                                  \
    p = fma(p, r * r, r) + (F)1.0f;                                                                                    \
    /* Two factors: 2^128 and 2^-150 are beyond one. */                                                                \
    const F half_n = trunc(n * (F)0.5f);                                                                               \
    return p * kiln_power_of_two_##F(half_n) * kiln_power_of_two_##F(n - half_n);                                      \
  }                                                                                                                    \
  INLINED F kiln_expm1_##F(const F x) {                                                                                \
    const F most = x > (F)89.0f ? (F)89.0f : x, y = most < -(F)20.0f ? -(F)20.0f : most;                               \
    F n;                                                                                                               \
    const F r = kiln_exp_reduce_##F(y, &n);                                                                            \
    F p = fma((F)0x1.a1a1dcp-13f, r, (F)0x1.6d74a6p-10f);                                                              \
    p = fma(p, r, (F)0x1.111090p-7f);                                                                                  \
    p = fma(p, r, (F)0x1.5554aep-5f);                                                                                  \
    p = fma(p, r, (F)0x1.555556p-3f);                                                                                  \
    p = fma(p, r, (F)0x1.000000p-1f);                                                                                  \
    p = fma(p, r * r, r);                                                                                              \
    /* Half the scale, so that n = 128 does not overflow early. */                                                     \
    const F s = kiln_power_of_two_##F(n - (F)1.0f);                                                                    \
    const F result = (F)2.0f * fma(s, p, s - (F)0.5f);                                                                 \
    return x == (F)0.0f ? x : result;                                                                                  \
  }                                                                                                                    \
  INLINED F kiln_tanh_##F(const F x) {                                                                                 \
    const F a = fabs(x), e = kiln_expm1_##F((a > (F)10.0f ? (F)10.0f : a) * (F)2.0f);                                  \
    const F result = copysign(e / (e + (F)2.0f), x);                                                                   \
    return x != x ? x : result;                                                                                        \
  }                                                                                                                    \
  INLINED F kiln_erf_##F(const F x) {                                                                                  \
    const F a = fabs(x), z = x * x, b = a > (F)4.0f ? (F)4.0f : a;                                                     \
    F p = fma(-(F)0x1.44cfc4p-17f, z, (F)0x1.d8b892p-14f);                                                             \
    p = fma(p, z, -(F)0x1.bcd7e0p-11f);                                                                                \
    p = fma(p, z, (F)0x1.562b1ap-8f);                                                                                  \
    p = fma(p, z, -(F)0x1.b829d8p-6f);                                                                                 \
    p = fma(p, z, (F)0x1.ce2f0ap-4f);                                                                                  \
    p = fma(p, z, -(F)0x1.812746p-2f);                                                                                 \
    p = fma(p, z, (F)0.12837916706f);                                                                                  \
    const F small = fma(p, x, x);                                                                                      \
    /* Above 0.97: 1 - exp(log(erfc)); beyond 4 the result is 1. */                                                    \
    F q = fma(-(F)0x1.68a4e6p-16f, b, (F)0x1.cc6f90p-12f);                                                             \
    q = fma(q, b, -(F)0x1.12d512p-8f);                                                                                 \
    q = fma(q, b, (F)0x1.9c8836p-6f);                                                                                  \
    q = fma(q, b, -(F)0x1.bbe4c4p-4f);                                                                                 \
    q = fma(q, b, -(F)0x1.443b00p-1f);                                                                                 \
    q = fma(q, b, -(F)0x1.212aa2p+0f);                                                                                 \
    q = fma(q, b, (F)0x1.80b528p-13f);                                                                                 \
    const F large = copysign((F)1.0f - kiln_exp_##F(q), x);                                                            \
    const F result = a < (F)0.97f ? small : large;                                                                     \
    return x != x ? x : result;                                                                                        \
  }

KILN_VECTOR_FUNCTIONS(float, int)
KILN_VECTOR_FUNCTIONS(float16, int16)
KILN_EXTREMES(float16)
#else
#define kiln_exp_float exp
#define kiln_expm1_float expm1
#define kiln_tanh_float tanh
#define kiln_erf_float erf
#endif
#define kiln_exp_double exp
#define kiln_expm1_double expm1
#define kiln_tanh_double tanh
#define kiln_erf_double erf

// Marks an index outside 0..<length: the smallest position of all work-items stays. See gather.cl.
inline void kiln_fault(GLOBAL int* status, const long position) {
  atomic_min(status, position > INT_MAX - 1 ? INT_MAX - 1 : (int)position);
}
