// Block loops over float32 and float64: rows by name. A loop handles whole vectors, then the rest in a padded one.

#define UNARY_F(name, ...)                                                                                             \
  static void KV(name##_f32)(void* dst, const void* pa, const void* pb, const void* pc, long n, const void* context) { \
    const float* a = pa;                                                                                               \
    float* d = dst;                                                                                                    \
    long i = 0;                                                                                                        \
    for (; i + LANES <= n; i += LANES) {                                                                               \
      vf x = load_f(a + i);                                                                                            \
      store_f(d + i, (__VA_ARGS__));                                                                                   \
    }                                                                                                                  \
    if (i < n) {                                                                                                       \
      vf x = load_part_f(a + i, n - i);                                                                                \
      store_part_f(d + i, (__VA_ARGS__), n - i);                                                                       \
    }                                                                                                                  \
  }
#define UNARY_D(name, ...)                                                                                             \
  static void KV(name##_f64)(void* dst, const void* pa, const void* pb, const void* pc, long n, const void* context) { \
    const double* a = pa;                                                                                              \
    double* d = dst;                                                                                                   \
    long i = 0;                                                                                                        \
    for (; i + LANES_D <= n; i += LANES_D) {                                                                           \
      vd x = load_d(a + i);                                                                                            \
      store_d(d + i, (__VA_ARGS__));                                                                                   \
    }                                                                                                                  \
    if (i < n) {                                                                                                       \
      vd x = load_part_d(a + i, n - i);                                                                                \
      store_part_d(d + i, (__VA_ARGS__), n - i);                                                                       \
    }                                                                                                                  \
  }
// Through libm, one at a time.
#define UNARY_LIBM(name, T, suffix, ...)                                                                               \
  static void KV(name##suffix)(void* dst, const void* pa, const void* pb, const void* pc, long n,                      \
                               const void* context) {                                                                  \
    const T* a = pa;                                                                                                   \
    T* d = dst;                                                                                                        \
    for (long i = 0; i < n; i++) {                                                                                     \
      T x = a[i];                                                                                                      \
      d[i] = (__VA_ARGS__);                                                                                            \
    }                                                                                                                  \
  }

// The same expression for vectors of both widths.
#define UNARY_FD(name, ...) UNARY_F(name, __VA_ARGS__) UNARY_D(name, __VA_ARGS__)

UNARY_FD(negate, -x)
UNARY_FD(abs, __builtin_elementwise_abs(x))
UNARY_F(sign, x > 0.0f ? splat_f(1) : (x < 0.0f ? splat_f(-1) : (x == 0.0f ? splat_f(0) : x)))
UNARY_D(sign, x > 0.0 ? splat_d(1) : (x < 0.0 ? splat_d(-1) : (x == 0.0 ? splat_d(0) : x)))
UNARY_FD(square, x* x)
UNARY_F(reciprocal, 1.0f / x)
UNARY_D(reciprocal, 1.0 / x)
UNARY_F(sqrt, sqrt_f(x))
UNARY_D(sqrt, __builtin_elementwise_sqrt(x))
UNARY_F(rsqrt, 1.0f / __builtin_elementwise_sqrt(x))
UNARY_D(rsqrt, 1.0 / __builtin_elementwise_sqrt(x))
UNARY_F(relu, x < 0.0f ? splat_f(0) : x)
UNARY_D(relu, x < 0.0 ? splat_d(0) : x)
UNARY_FD(floor, __builtin_elementwise_floor(x))
UNARY_FD(ceil, __builtin_elementwise_ceil(x))
UNARY_FD(round, __builtin_elementwise_roundeven(x))
UNARY_F(exp, exp_f(x))
UNARY_F(expm1, expm1_f(x))
UNARY_F(log, log_f(x))
UNARY_F(log1p, log1p_f(x))
UNARY_F(sin, sin_f(x))
UNARY_F(cos, cos_f(x))
UNARY_F(tanh, tanh_f(x))
UNARY_F(sigmoid, sigmoid_f(x))
UNARY_F(erf, erf_f(x))
UNARY_F(softplus, softplus_f(x))
UNARY_F(tan, tan_f(x))
UNARY_F(erfInverse, erf_inverse_f(x))
UNARY_F(logSigmoid, log_sigmoid_f(x))
UNARY_F(gelu, gelu_f(x))
UNARY_F(geluDerivative, gelu_derivative_f(x))
UNARY_LIBM(exp, double, _f64, exp(x))
UNARY_LIBM(expm1, double, _f64, expm1(x))
UNARY_LIBM(log, double, _f64, log(x))
UNARY_LIBM(log1p, double, _f64, log1p(x))
UNARY_LIBM(sin, double, _f64, sin(x))
UNARY_LIBM(cos, double, _f64, cos(x))
UNARY_LIBM(tan, double, _f64, tan(x))
UNARY_LIBM(tanh, double, _f64, tanh(x))
UNARY_LIBM(sigmoid, double, _f64, x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)))
UNARY_LIBM(erf, double, _f64, erf(x))
UNARY_LIBM(gelu, double, _f64, x * 0.5 * (erf(x * 0x1.6a09e667f3bcdp-1) + 1))
UNARY_LIBM(geluDerivative, double, _f64,
           0.5 * (erf(x * 0x1.6a09e667f3bcdp-1) + 1) + x * (exp(x * x * -0.5) * 0x1.9884533d43651p-2))
UNARY_LIBM(softplus, double, _f64, (x < 0 ? 0 : x) + log1p(exp(-fabs(x))))

// Float to bool.
#define PREDICATE(name, T, suffix, ...)                                                                                \
  static void KV(name##suffix)(void* dst, const void* pa, const void* pb, const void* pc, long n,                      \
                               const void* context) {                                                                  \
    const T* a = pa;                                                                                                   \
    uint8_t* d = dst;                                                                                                  \
    for (long i = 0; i < n; i++) {                                                                                     \
      T x = a[i];                                                                                                      \
      d[i] = (__VA_ARGS__);                                                                                            \
    }                                                                                                                  \
  }
PREDICATE(isNaN, float, _f32, x != x)
PREDICATE(isNaN, double, _f64, x != x)
PREDICATE(isFinite, float, _f32, x - x == 0)
PREDICATE(isFinite, double, _f64, x - x == 0)

// Binary loops in three forms: both vectors, right a single value, left a single value.
#define BINARY_LOOP_F(function, LOAD_A, LOAD_B, PART_A, PART_B, ...)                                                   \
  static void KV(function)(void* dst, const void* pa, const void* pb, const void* pc, long n, const void* context) {   \
    const float *a = pa, *b = pb;                                                                                      \
    float* d = dst;                                                                                                    \
    const vf sa = splat_f(a[0]), sb = splat_f(b[0]);                                                                   \
    (void)sa, (void)sb;                                                                                                \
    long i = 0;                                                                                                        \
    for (; i + LANES <= n; i += LANES) {                                                                               \
      vf x = LOAD_A, y = LOAD_B;                                                                                       \
      store_f(d + i, (__VA_ARGS__));                                                                                   \
    }                                                                                                                  \
    if (i < n) {                                                                                                       \
      vf x = PART_A, y = PART_B;                                                                                       \
      store_part_f(d + i, (__VA_ARGS__), n - i);                                                                       \
    }                                                                                                                  \
  }
#define BINARY_LOOP_D(function, LOAD_A, LOAD_B, PART_A, PART_B, ...)                                                   \
  static void KV(function)(void* dst, const void* pa, const void* pb, const void* pc, long n, const void* context) {   \
    const double *a = pa, *b = pb;                                                                                     \
    double* d = dst;                                                                                                   \
    const vd sa = splat_d(a[0]), sb = splat_d(b[0]);                                                                   \
    (void)sa, (void)sb;                                                                                                \
    long i = 0;                                                                                                        \
    for (; i + LANES_D <= n; i += LANES_D) {                                                                           \
      vd x = LOAD_A, y = LOAD_B;                                                                                       \
      store_d(d + i, (__VA_ARGS__));                                                                                   \
    }                                                                                                                  \
    if (i < n) {                                                                                                       \
      vd x = PART_A, y = PART_B;                                                                                       \
      store_part_d(d + i, (__VA_ARGS__), n - i);                                                                       \
    }                                                                                                                  \
  }
#define BINARY_F(name, ...)                                                                                            \
  BINARY_LOOP_F(name##_f32_vv, load_f(a + i), load_f(b + i), load_part_f(a + i, n - i), load_part_f(b + i, n - i),     \
                __VA_ARGS__)                                                                                           \
  BINARY_LOOP_F(name##_f32_vs, load_f(a + i), sb, load_part_f(a + i, n - i), sb, __VA_ARGS__)                          \
  BINARY_LOOP_F(name##_f32_sv, sa, load_f(b + i), sa, load_part_f(b + i, n - i), __VA_ARGS__)
#define BINARY_D(name, ...)                                                                                            \
  BINARY_LOOP_D(name##_f64_vv, load_d(a + i), load_d(b + i), load_part_d(a + i, n - i), load_part_d(b + i, n - i),     \
                __VA_ARGS__)                                                                                           \
  BINARY_LOOP_D(name##_f64_vs, load_d(a + i), sb, load_part_d(a + i, n - i), sb, __VA_ARGS__)                          \
  BINARY_LOOP_D(name##_f64_sv, sa, load_d(b + i), sa, load_part_d(b + i, n - i), __VA_ARGS__)
#define BINARY_FD(name, ...) BINARY_F(name, __VA_ARGS__) BINARY_D(name, __VA_ARGS__)

BINARY_FD(add, x + y)
BINARY_FD(subtract, x - y)
BINARY_F(multiply, multiply_f(x, y))
BINARY_D(multiply, x* y)
BINARY_F(divide, divide_f(x, y))
BINARY_D(divide, x / y)
BINARY_F(remainder, remainder_f(x, y))
BINARY_F(arctangent2, arctangent2_f(x, y))
BINARY_F(power, power_f(x, y))
// NaN if either is.
BINARY_FD(maximum, ((x > y) | (x != x)) ? x : y)
BINARY_FD(minimum, ((x < y) | (x != x)) ? x : y)
