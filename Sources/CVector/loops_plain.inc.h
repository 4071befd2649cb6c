// Block loops that the compiler vectorises by itself: integers, comparisons, casts, selects, fills, random numbers.

// (What goes through libm stays a plain loop.)
#pragma clang diagnostic ignored "-Wpass-failed"
// A destination is apart from an operand or exactly it, so that no iteration reads what an earlier one wrote.
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#define LOOP(function)                                                                                                 \
  static void KV(function)(void* restrict_dst, const void* pa, const void* pb, const void* pc, long n,                 \
                           const void* context)
#define PLAIN_UNARY(name, T, R, suffix, ...)                                                                           \
  LOOP(name##suffix) {                                                                                                 \
    const T* a = pa;                                                                                                   \
    R* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T x = a[i];                                                                                                      \
      d[i] = (R)(__VA_ARGS__);                                                                                         \
    }                                                                                                                  \
  }
#define PLAIN_BINARY(name, T, R, suffix, ...)                                                                          \
  LOOP(name##suffix##_vv) {                                                                                            \
    const T *a = pa, *b = pb;                                                                                          \
    R* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T x = a[i], y = b[i];                                                                                            \
      d[i] = (R)(__VA_ARGS__);                                                                                         \
    }                                                                                                                  \
  }                                                                                                                    \
  LOOP(name##suffix##_vs) {                                                                                            \
    const T *a = pa, y = *(const T*)pb;                                                                                \
    R* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T x = a[i];                                                                                                      \
      d[i] = (R)(__VA_ARGS__);                                                                                         \
    }                                                                                                                  \
  }                                                                                                                    \
  LOOP(name##suffix##_sv) {                                                                                            \
    const T *b = pb, x = *(const T*)pa;                                                                                \
    R* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T y = b[i];                                                                                                      \
      d[i] = (R)(__VA_ARGS__);                                                                                         \
    }                                                                                                                  \
  }

// Integers wrap: the arithmetic is unsigned.
#define INTEGER_ROWS(T, U, suffix)                                                                                     \
  PLAIN_UNARY(negate, T, T, suffix, (U)0 - (U)x)                                                                       \
  PLAIN_UNARY(abs, T, T, suffix, x < 0 ? (U)0 - (U)x : (U)x)                                                           \
  PLAIN_UNARY(sign, T, T, suffix, (x > 0) - (x < 0))                                                                   \
  PLAIN_UNARY(square, T, T, suffix, (U)x*(U)x)                                                                         \
  PLAIN_UNARY(relu, T, T, suffix, x < 0 ? 0 : x)                                                                       \
  PLAIN_BINARY(add, T, T, suffix, (U)x + (U)y)                                                                         \
  PLAIN_BINARY(subtract, T, T, suffix, (U)x - (U)y)                                                                    \
  PLAIN_BINARY(multiply, T, T, suffix, (U)x*(U)y)                                                                      \
  PLAIN_BINARY(maximum, T, T, suffix, x > y ? x : y)                                                                   \
  PLAIN_BINARY(minimum, T, T, suffix, x < y ? x : y)
INTEGER_ROWS(int32_t, uint32_t, _i32)
INTEGER_ROWS(int64_t, uint64_t, _i64)
INTEGER_ROWS(uint8_t, uint32_t, _u8)

#define COMPARISONS(T, suffix)                                                                                         \
  PLAIN_BINARY(equal, T, uint8_t, suffix, x == y)                                                                      \
  PLAIN_BINARY(notEqual, T, uint8_t, suffix, x != y)                                                                   \
  PLAIN_BINARY(less, T, uint8_t, suffix, x < y)                                                                        \
  PLAIN_BINARY(lessEqual, T, uint8_t, suffix, x <= y)                                                                  \
  PLAIN_BINARY(greater, T, uint8_t, suffix, x > y)                                                                     \
  PLAIN_BINARY(greaterEqual, T, uint8_t, suffix, x >= y)
COMPARISONS(float, _f32)
COMPARISONS(double, _f64)
COMPARISONS(int32_t, _i32)
COMPARISONS(int64_t, _i64)
COMPARISONS(uint8_t, _u8)
COMPARISONS(uint8_t, _bool)

PLAIN_BINARY(power, double, double, _f64, pow(x, y))
PLAIN_BINARY(remainder, double, double, _f64, remainder_1_d(x, y))
PLAIN_BINARY(arctangent2, double, double, _f64, atan2(x, y))
PLAIN_UNARY(logicalNot, uint8_t, uint8_t, _bool, x == 0)
PLAIN_BINARY(and, uint8_t, uint8_t, _bool, x& y)
PLAIN_BINARY(or, uint8_t, uint8_t, _bool, x | y)
PLAIN_BINARY(xor, uint8_t, uint8_t, _bool, x ^ y)

// Casts: docs/numerics.md. Float to integer truncates and saturates; NaN is 0; uint8 keeps the low bits of int64.
INLINE int32_t to_i32(double x) {
  return x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : x != x ? 0 : (int32_t)x;
}
INLINE int64_t to_i64(double x) { return x >= 0x1p63 ? INT64_MAX : x <= -0x1p63 ? INT64_MIN : x != x ? 0 : (int64_t)x; }
#define CASTS_FROM_FLOAT(T, suffix, other, O)                                                                          \
  PLAIN_UNARY(cast##other, T, O, suffix, x)                                                                            \
  PLAIN_UNARY(cast_i32, T, int32_t, suffix, to_i32((double)x))                                                         \
  PLAIN_UNARY(cast_i64, T, int64_t, suffix, to_i64((double)x))                                                         \
  PLAIN_UNARY(cast_u8, T, uint8_t, suffix, to_i64((double)x))                                                          \
  PLAIN_UNARY(cast_bool, T, uint8_t, suffix, x != 0)
CASTS_FROM_FLOAT(float, _f32, _f64, double)
CASTS_FROM_FLOAT(double, _f64, _f32, float)
#define CASTS_FROM_INTEGER(T, suffix)                                                                                  \
  PLAIN_UNARY(cast_f32, T, float, suffix, x)                                                                           \
  PLAIN_UNARY(cast_f64, T, double, suffix, x)                                                                          \
  PLAIN_UNARY(cast_i32, T, int32_t, suffix, x)                                                                         \
  PLAIN_UNARY(cast_i64, T, int64_t, suffix, x)                                                                         \
  PLAIN_UNARY(cast_u8, T, uint8_t, suffix, x)                                                                          \
  PLAIN_UNARY(cast_bool, T, uint8_t, suffix, x != 0)
CASTS_FROM_INTEGER(int32_t, _i32)
CASTS_FROM_INTEGER(int64_t, _i64)
CASTS_FROM_INTEGER(uint8_t, _u8)
CASTS_FROM_INTEGER(uint8_t, _bool)

// Selects by element size: condition (bool), then, otherwise; the last two a vector or a single value each.
#define SELECTS(T, suffix)                                                                                             \
  LOOP(select##suffix##_vv) {                                                                                          \
    const uint8_t* c = pa;                                                                                             \
    const T *x = pb, *y = pc;                                                                                          \
    T* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T u = x[i], v = y[i];                                                                                            \
      d[i] = c[i] ? u : v;                                                                                             \
    }                                                                                                                  \
  }                                                                                                                    \
  LOOP(select##suffix##_vs) {                                                                                          \
    const uint8_t* c = pa;                                                                                             \
    const T *x = pb, v = *(const T*)pc;                                                                                \
    T* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T u = x[i];                                                                                                      \
      d[i] = c[i] ? u : v;                                                                                             \
    }                                                                                                                  \
  }                                                                                                                    \
  LOOP(select##suffix##_sv) {                                                                                          \
    const uint8_t* c = pa;                                                                                             \
    const T *y = pc, u = *(const T*)pb;                                                                                \
    T* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) {                                                                         \
      T v = y[i];                                                                                                      \
      d[i] = c[i] ? u : v;                                                                                             \
    }                                                                                                                  \
  }                                                                                                                    \
  LOOP(fill##suffix) {                                                                                                 \
    const T x = *(const T*)pa;                                                                                         \
    T* d = restrict_dst;                                                                                               \
    INDEPENDENT for (long i = 0; i < n; i++) d[i] = x;                                                                 \
  }                                                                                                                    \
  LOOP(copy##suffix) {                                                                                                 \
    if (restrict_dst != pa) memmove(restrict_dst, pa, (size_t)n * sizeof(T));                                          \
  }
SELECTS(uint32_t, _4)
SELECTS(uint64_t, _8)
SELECTS(uint8_t, _1)
