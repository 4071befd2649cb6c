// Elementary functions for 16 float32 lanes. Bounds in ULPs over all finite inputs are tested (VectorMathTests).
// The polynomials are minimax fits (Remez) over the reduced ranges.

// e^r = 1 + r + r^2 P(r) on |r| <= ln(2) / 2.
INLINE vf exp_reduced(vf r) {
  vf p = splat_f(0x1.6db530p-10f);
  p = madd(p, r, splat_f(0x1.123b9cp-7f));
  p = madd(p, r, splat_f(0x1.55545cp-5f));
  p = madd(p, r, splat_f(0x1.55548ep-3f));
  p = madd(p, r, splat_f(0x1.000000p-1f));
  return madd(p, r * r, r) + 1.0f;
}

// x = n ln(2) + r; n as float, r in two steps so that nothing is lost.
INLINE vf exp_reduce(vf x, vf* n) {
  // Adding 1.5 * 2^23 rounds to the nearest integer.
  vf k = madd(x, splat_f(0x1.715476p+0f), splat_f(0x1.8p23f)) - 0x1.8p23f;
  *n = k;
  vf r = madd(k, splat_f(-0x1.62e400p-1f), x);
  return madd(k, splat_f(-0x1.7f7d1cp-20f), r);
}

// 2^n for integer-valued n in -126...127.
INLINE vf power_of_two(vf n) {
  // The integer sits in the low bits of n + 1.5 * 2^23.
  return as_f((as_i(n + 0x1.8p23f) + 127) << 23);
}

// 0.6 ULP (normal results); overflow to infinity, gradual underflow to 0.
INLINE vf exp_f(vf x) {
  vf y = x > 89.0f ? splat_f(89.0f) : x;
  y = y < -104.0f ? splat_f(-104.0f) : y;
  vf n;
  vf p = exp_reduced(exp_reduce(y, &n));
#if KV_HAS_MASKS
  // One instruction, rounded once like what is below.
  return (vf)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  // Two factors: 2^128 and 2^-150 are beyond one.
  vf half = __builtin_elementwise_trunc(n * 0.5f);
  return p * power_of_two(half) * power_of_two(n - half);
#endif
}

INLINE vf expm1_f(vf x) {
  vf y = x > 89.0f ? splat_f(89.0f) : x;
  y = y < -20.0f ? splat_f(-20.0f) : y;
  vf n;
  vf r = exp_reduce(y, &n);
  vf p = splat_f(0x1.a1a1dcp-13f);
  p = madd(p, r, splat_f(0x1.6d74a6p-10f));
  p = madd(p, r, splat_f(0x1.111090p-7f));
  p = madd(p, r, splat_f(0x1.5554aep-5f));
  p = madd(p, r, splat_f(0x1.555556p-3f));
  p = madd(p, r, splat_f(0x1.000000p-1f));
  p = madd(p, r * r, r);
  // 2^n (p + 1) - 1 with half the scale, so that n = 128 does not overflow early.
  vf s = power_of_two(n - 1.0f);
  vf result = 2.0f * madd(s, p, s - 0.5f);
  return x == 0.0f ? x : result;
}

// log(m 2^e) from t = m - 1 with m in [sqrt(1/2), sqrt(2)).
INLINE vf log_parts(vf t, vf e) {
  vf q = splat_f(-0x1.f87a94p-5f);
  q = madd(q, t, splat_f(0x1.b7f842p-4f));
  q = madd(q, t, splat_f(-0x1.b9ec1ap-4f));
  q = madd(q, t, splat_f(0x1.c30c28p-4f));
  q = madd(q, t, splat_f(-0x1.fcf6eap-4f));
  q = madd(q, t, splat_f(0x1.249912p-3f));
  q = madd(q, t, splat_f(-0x1.556398p-3f));
  q = madd(q, t, splat_f(0x1.9999c4p-3f));
  q = madd(q, t, splat_f(-0x1.ffffd4p-3f));
  q = madd(q, t, splat_f(0x1.555556p-2f));
  vf z = t * t;
  vf s = madd(t * z, q, -0.5f * z);
  s = madd(e, splat_f(0x1.7f7d1cp-20f), s);
  return madd(e, splat_f(0x1.62e400p-1f), t + s);
}

// x in (0, infinity) without denormals: t = m - 1 and e.
INLINE vf log_split(vf x, vf* e) {
  vi i = as_i(x) - 0x3f3504f3;
  *e = __builtin_convertvector(i >> 23, vf);
  return as_f((i & 0x007fffff) + 0x3f3504f3) - 1.0f;
}

INLINE vf log_f(vf x) {
  vi denormal = x < 0x1p-126f;
  vf y = denormal ? x * 0x1p25f : x;
  vf e;
  vf t = log_split(y, &e);
  e = denormal ? e - 25.0f : e;
  vf result = log_parts(t, e);
  result = x == 0.0f ? splat_f(-INFINITY) : result;
  result = x < 0.0f ? splat_f(NAN) : result;
  // Infinity and NaN pass.
  return x < INFINITY ? result : x;
}

INLINE vf log1p_f(vf x) {
  vf u = x + 1.0f;
  // What the addition lost.
  vf lost = x >= 1.0f ? 1.0f - (u - x) : x - (u - 1.0f);
  vf e;
  vf t = log_split(u, &e);
  t = madd(lost, power_of_two(__builtin_elementwise_max(-e, splat_f(-126.0f))), t);
  vf result = log_parts(t, e);
  result = x == -1.0f ? splat_f(-INFINITY) : result;
  result = x < -1.0f ? splat_f(NAN) : result;
  result = __builtin_elementwise_abs(x) < 0x1p-25f ? x : result;
  return x < INFINITY ? result : x;
}

INLINE vf copy_sign(vf magnitude, vf sign) {
  return as_f((as_i(magnitude) & 0x7fffffff) | (as_i(sign) & (int32_t)0x80000000));
}

INLINE vf tanh_f(vf x) {
  vf a = __builtin_elementwise_abs(x);
  vf e = expm1_f((a > 10.0f ? splat_f(10.0f) : a) * 2.0f);
  vf result = e / (e + 2.0f);
  return x != x ? x : copy_sign(result, x);
}

INLINE vf sigmoid_f(vf x) {
  // exp of a negative number only: nothing overflows and small results keep their digits.
  vf e = exp_f(-__builtin_elementwise_abs(x));
  return (x < 0.0f ? e : splat_f(1.0f)) / (1.0f + e);
}

INLINE vf softplus_f(vf x) {
  vf e = exp_f(-__builtin_elementwise_abs(x));
  return (x < 0.0f ? splat_f(0.0f) : x) + log1p_f(e);
}

INLINE vf erf_f(vf x) {
  vf a = __builtin_elementwise_abs(x);
  vf z = x * x;
  vf p = splat_f(-0x1.44cfc4p-17f);
  p = madd(p, z, splat_f(0x1.d8b892p-14f));
  p = madd(p, z, splat_f(-0x1.bcd7e0p-11f));
  p = madd(p, z, splat_f(0x1.562b1ap-8f));
  p = madd(p, z, splat_f(-0x1.b829d8p-6f));
  p = madd(p, z, splat_f(0x1.ce2f0ap-4f));
  p = madd(p, z, splat_f(-0x1.812746p-2f));
  p = madd(p, z, splat_f(0.12837916706f));
  vf small = madd(p, x, x);
  // Often none is larger.
  if (!__builtin_reduce_or(~(a < 0.97f))) return small;
  // Above 0.95: 1 - exp(log(erfc)); beyond 4 the result is 1.
  vf b = a > 4.0f ? splat_f(4.0f) : a;
  vf q = splat_f(-0x1.68a4e6p-16f);
  q = madd(q, b, splat_f(0x1.cc6f90p-12f));
  q = madd(q, b, splat_f(-0x1.12d512p-8f));
  q = madd(q, b, splat_f(0x1.9c8836p-6f));
  q = madd(q, b, splat_f(-0x1.bbe4c4p-4f));
  q = madd(q, b, splat_f(-0x1.443b00p-1f));
  q = madd(q, b, splat_f(-0x1.212aa2p+0f));
  q = madd(q, b, splat_f(0x1.80b528p-13f));
  vf large = copy_sign(1.0f - exp_f(q), x);
  vf result = a < 0.97f ? small : large;
  return x != x ? x : result;
}

INLINE vf gelu_f(vf x) { return x * 0.5f * (erf_f(x * 0x1.6a09e6p-1f) + 1.0f); }
INLINE vf gelu_derivative_f(vf x) {
  return madd(x, exp_f(x * x * -0.5f) * 0x1.988454p-2f, 0.5f * (erf_f(x * 0x1.6a09e6p-1f) + 1.0f));
}

// Sine (shift 0) or cosine (shift 1): x = n pi/2 + r. Lanes beyond 2^16 go to libm, which reduces exactly.
INLINE vf sine_f(vf x, int shift) {
  vf n = exact_fma_f(x, splat_f(0x1.45f306p-1f), splat_f(0x1.8p23f)) - 0x1.8p23f;
  vf r = exact_fma_f(n, splat_f(-0x1.921fb6p+0f), x);
  r = exact_fma_f(n, splat_f(0x1.777a5cp-25f), r);
  r = exact_fma_f(n, splat_f(0x1.ee59dap-50f), r);
  vi quadrant = as_i(n + 0x1.8p23f) + shift;
  vf z = r * r;
  vf s = splat_f(0x1.6cd82ep-19f);
  s = madd(s, z, splat_f(-0x1.a00f9ep-13f));
  s = madd(s, z, splat_f(0x1.111108p-7f));
  s = madd(s, z, splat_f(-0x1.555556p-3f));
  s = madd(s, z * r, r);
  vf c = splat_f(0x1.9a04d2p-16f);
  c = madd(c, z, splat_f(-0x1.6c0c98p-10f));
  c = madd(c, z, splat_f(0x1.55554ap-5f));
  c = madd(c, z * z, madd(z, splat_f(-0.5f), splat_f(1.0f)));
  vf result = (quadrant & 1) != 0 ? c : s;
  result = as_f(as_i(result) ^ ((quadrant & 2) << 30));
  vi far = ~(__builtin_elementwise_abs(x) <= 0x1p16f);
  if (__builtin_reduce_or(far)) {
    for (int i = 0; i < LANES; i++) {
      if (far[i]) result[i] = shift ? cosf(x[i]) : sinf(x[i]);
    }
  }
  return result;
}
INLINE vf sin_f(vf x) {
  vf y = sine_f(x, 0);
  return x == 0.0f ? x : y;
}
INLINE vf cos_f(vf x) { return sine_f(x, 1); }
