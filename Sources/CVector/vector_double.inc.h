// Functions of float32 lanes that are worked out in double, where an error of 2^-29 is none after rounding: those whose
// range reduction or composition would cost more digits than float32 has. The polynomials are least-squares fits in the
// relative error, weighted until it is even (Lawson).

typedef float vf8 __attribute__((ext_vector_type(8)));

// function##_f for all lanes by function##_d on eight of them.
#define THROUGH_DOUBLE(function)                                                                                       \
  INLINE vf function##_f(vf x) {                                                                                       \
    vf y;                                                                                                              \
    y.lo = __builtin_convertvector(function##_d(__builtin_convertvector(x.lo, vd)), vf8);                              \
    y.hi = __builtin_convertvector(function##_d(__builtin_convertvector(x.hi, vd)), vf8);                              \
    return y;                                                                                                          \
  }
#define THROUGH_DOUBLE_2(function)                                                                                     \
  INLINE vf function##_f(vf x, vf y) {                                                                                 \
    vf r;                                                                                                              \
    r.lo = __builtin_convertvector(function##_d(__builtin_convertvector(x.lo, vd), __builtin_convertvector(y.lo, vd)), \
                                   vf8);                                                                               \
    r.hi = __builtin_convertvector(function##_d(__builtin_convertvector(x.hi, vd), __builtin_convertvector(y.hi, vd)), \
                                   vf8);                                                                               \
    return r;                                                                                                          \
  }
// The polynomial whose coefficients are given, the highest first.
#define POLYNOMIAL(x, ...) KV(polynomial)((const double[]){__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / 8, x)

INLINE vd KV(polynomial)(const double* coefficients, size_t count, vd x) {
  vd p = splat_d(coefficients[0]);
#pragma clang loop unroll(full)
  for (size_t i = 1; i < count; i++) p = madd_d(p, x, splat_d(coefficients[i]));
  return p;
}
INLINE vd as_d(vl v) { return (vd)v; }
INLINE vl as_l(vd v) { return (vl)v; }
INLINE vd abs_d(vd x) { return __builtin_elementwise_abs(x); }
INLINE vd copy_sign_d(vd magnitude, vd sign) { return as_d((as_l(magnitude) & INT64_MAX) | (as_l(sign) & INT64_MIN)); }

// tan of |x| < 2^30: x = n pi/2 + r.
INLINE vd tan_near_d(vd x) {
  const vd n = exact_fma_d(x, splat_d(0x1.45f306dc9c883p-1), splat_d(0x1.8p52)) - 0x1.8p52;
  vd r = exact_fma_d(n, splat_d(-0x1.921fb54442d18p+0), x);
  r = exact_fma_d(n, splat_d(-0x1.1a62633145c07p-54), r);
  const vd z = r * r;
  const vd p = POLYNOMIAL(z, 0x1.0b6758718aa62p-9, -0x1.37323709fc9d1p-11, 0x1.4712752e70f94p-8, 0x1.11084b60688cap-7,
                          0x1.68317f2dd9b33p-6, 0x1.b9ff1e05345abp-5, 0x1.1111788af90acp-3, 0x1.555554564aa88p-2);
  const vd t = madd_d(r * z, p, r);
  const vl is_odd = (as_l(n + 0x1.8p52) & 1) != 0;
  return is_odd ? -1.0 / t : t;
}
THROUGH_DOUBLE(tan_near)
// Lanes beyond 2^30 go to libm.
INLINE vf tan_f(vf x) {
  vf y = tan_near_f(x);
  const vi far = ~(__builtin_elementwise_abs(x) <= 0x1p30f);
  if (__builtin_expect(__builtin_reduce_or(far), 0)) {
    for (int i = 0; i < LANES; i++) {
      if (far[i]) y[i] = (float)tan((double)x[i]);
    }
  }
  return y;
}

// The angle of (x, y); zeros and infinities as C's atan2.
INLINE vd arctangent2_d(vd y, vd x) {
  const vd a = abs_d(x), b = abs_d(y);
  const vl is_steep = b > a;
  const vd small = is_steep ? a : b, large = is_steep ? b : a;
  vd t = small / large;
  t = small == large ? splat_d(1) : t;
  t = large == 0.0 ? splat_d(0) : t;
  const vd z = t * t;
  const vd p = POLYNOMIAL(z, 0x1.ce11fbe223a70p-12, -0x1.b3fca2af32de0p-9, 0x1.81f2a5fa31f4fp-7, -0x1.b2f29f8dd2e95p-6,
                          0x1.69e8f20370db9p-5, -0x1.f02ebb4b618c3p-5, 0x1.33a13db62b1f0p-4, -0x1.72d62354a6b38p-4,
                          0x1.c6e858936dc33p-4, -0x1.24903904ca9dbp-3, 0x1.9999846ac93b0p-3, -0x1.5555552f243a5p-2);
  vd angle = madd_d(t * z, p, t);
  angle = is_steep ? 0x1.921fb54442d18p+0 - angle : angle;
  // -0 is to the left too.
  angle = as_l(x) < 0 ? 0x1.921fb54442d18p+1 - angle : angle;
  angle = copy_sign_d(angle, y);
  return ((x != x) | (y != y)) ? x + y : angle;
}
THROUGH_DOUBLE_2(arctangent2)

// log(x) of x in 2^-1000...2^1000, as e ln(2) + log(m) with m in [sqrt(1/2), sqrt(2)); the natural one times `unit`.
INLINE vd log_times_d(vd x, double ln2, double unit) {
  const vl i = as_l(x) - 0x3fe6a09e667f3bcd;
  const vd e = __builtin_convertvector(i >> 52, vd);
  const vd m = as_d((i & 0x000fffffffffffff) + 0x3fe6a09e667f3bcd);
  const vd s = (m - 1.0) / (m + 1.0), q = s * s;
  const vd p = POLYNOMIAL(q, 0x1.9115ad235a944p-4, 0x1.c62b126577c8ap-4, 0x1.249411f5a4333p-3, 0x1.999996a936813p-3,
                          0x1.555555561e4bbp-2);
  return madd_d(e, splat_d(ln2), madd_d(s * q, p, s) * (2 * unit));
}

// In w = -log(1 - x^2), which 1 - |x|, exact in double, leaves all its digits; M. Giles, "Approximating the erfinv
// function", 2012.
INLINE vd erf_inverse_d(vd x) {
  const vd a = abs_d(x);
  const vd rest = (1.0 - a) * (1.0 + a);
  // 1 where there is no logarithm.
  const vd w = -log_times_d(rest > 0.0 ? rest : splat_d(1), 0x1.62e42fefa39efp-1, 1);
  vd p = POLYNOMIAL(w, -0x1.5d72b816b2fe8p-41, -0x1.e375ab45044c7p-42, 0x1.efeb704cde241p-32, -0x1.288ef8b675278p-27,
                    0x1.269ac68f5234ep-24, -0x1.7f91d92b534f7p-23, -0x1.828021a922d9ap-21, 0x1.afdb8c80f6cabp-20,
                    0x1.8a3d6f7ab1305p-15, -0x1.0d02fbfca0f49p-13, -0x1.320e3eb73df22p-9, 0x1.7a72c6a0c1f8bp-7,
                    0x1.db29fb55483fap-3, 0x1.c5bf891b32da0p-1);
  const vl is_far = w >= 5.0;
  if (__builtin_reduce_or(is_far)) {
    const vd tail =
        POLYNOMIAL(__builtin_elementwise_sqrt(w), -0x1.ef38b0a0d1355p-16, 0x1.12394acd70376p-10, -0x1.0f6f631e8d584p-6,
                   0x1.3bcb5f3f363edp-3, -0x1.dd44aeccf7a76p-1, 0x1.e80ddd1d78a02p+1, -0x1.545cbe8da30afp+3,
                   0x1.3d21470318352p+4, -0x1.7443d1d1c6d11p+4, 0x1.00fdbb021ac77p+4, -0x1.f834216672ba8p+1);
    p = is_far ? tail : p;
  }
  vd y = x * p;
  y = a == 1.0 ? x * INFINITY : y;
  return a <= 1.0 ? y : splat_d(NAN);
}
THROUGH_DOUBLE(erf_inverse)

// |x|^y for finite numbers, x not 0, with the sign that a whole y gives it; NaN for a negative x and another y.
INLINE vd power_near_d(vd x, vd y) {
  // log2(x) y, held within what float32 overflows and underflows at.
  vd e = log_times_d(abs_d(x), 1, 0x1.71547652b82fep+0) * y;
  e = e > 200.0 ? splat_d(200) : e;
  e = e < -200.0 ? splat_d(-200) : e;
  const vd n = (e + 0x1.8p52) - 0x1.8p52;
  const vd p = POLYNOMIAL(e - n, 0x1.61af4227f5eaap-20, 0x1.00dad19cf9e5dp-16, 0x1.430acd2f1beabp-13,
                          0x1.5d87483990c02p-10, 0x1.3b2ab5c4d2680p-7, 0x1.c6b08dd46bfc8p-5, 0x1.ebfbdff931e2cp-3,
                          0x1.62e42fef86168p-1, 0x1.ffffffffff7a2p-1);
  const vd result = as_d(as_l(p) + (as_l(n + 0x1.8p52) << 52));
  const vd half = y * 0.5;
  const vl is_whole = __builtin_elementwise_floor(y) == y, is_even = __builtin_elementwise_floor(half) == half;
  const vd negative = is_even ? result : is_whole ? -result : splat_d(NAN);
  return x < 0.0 ? negative : result;
}
THROUGH_DOUBLE_2(power_near)
// What is 0, infinite or NaN goes to libm.
INLINE vf power_f(vf x, vf y) {
  vf result = power_near_f(x, y);
  const vi odd = ~((__builtin_elementwise_abs(x) < INFINITY) & (x != 0.0f) & (__builtin_elementwise_abs(y) < INFINITY));
  if (__builtin_expect(__builtin_reduce_or(odd), 0)) {
    for (int i = 0; i < LANES; i++) {
      if (odd[i]) result[i] = powf(x[i], y[i]);
    }
  }
  return result;
}

// The remainder with the divisor's sign, exact as fmod is. A quotient below 2^24 is its whole part or, where it was
// rounded up to a whole number, one more, and both products differ from |x| by a number that float32 holds.
INLINE float remainder_1(float x, float y) {
  const float r = fmodf(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
INLINE double remainder_1_d(double x, double y) {
  const double r = fmod(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
INLINE vf remainder_f(vf x, vf y) {
  const vf a = __builtin_elementwise_abs(x), b = __builtin_elementwise_abs(y);
  const vf q = __builtin_elementwise_trunc(a / b);
  vf r = exact_fma_f(-q, b, a);
  r = copy_sign(r < 0.0f ? r + b : r, x);
  r = ((r != 0.0f) & ((r < 0.0f) != (y < 0.0f))) ? r + y : r;
  const vi odd = ~((q < 0x1p24f) & (b < INFINITY));
  if (__builtin_expect(__builtin_reduce_or(odd), 0)) {
    for (int i = 0; i < LANES; i++) {
      if (odd[i]) r[i] = remainder_1(x[i], y[i]);
    }
  }
  return r;
}

// log(1 / (1 + exp(-x))) without the exponential of a positive number.
INLINE vf log_sigmoid_f(vf x) {
  const vf e = exp_f(-__builtin_elementwise_abs(x));
  return (x < 0.0f ? x : splat_f(0)) - log1p_f(e);
}
