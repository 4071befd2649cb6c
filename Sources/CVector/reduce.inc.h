// Reductions of one contiguous block.

// Pairwise over the lanes, halves first, so that the order depends on nothing else.
INLINE double lanes_sum_d(vd d) {
  __typeof__(d.lo) a = d.lo + d.hi;
  __typeof__(a.lo) b = a.lo + a.hi;
  return b.x + b.y;
}
INLINE double lanes_sum(vf v) {
  return lanes_sum_d(__builtin_convertvector(v.lo, vd) + __builtin_convertvector(v.hi, vd));
}

// At most 2048 elements: each of 64 float lanes adds up 32 at most, then everything goes on in double.
static double KV(sum_short)(const float* x, long n) {
  vf s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  long i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 += load_f(x + i);
    s1 += load_f(x + i + 16);
    s2 += load_f(x + i + 32);
    s3 += load_f(x + i + 48);
  }
  for (; i + 16 <= n; i += 16) s0 += load_f(x + i);
  if (i < n) s1 += load_part_f(x + i, n - i);
  return lanes_sum((s0 + s1) + (s2 + s3));
}
static double KV(sum_f32)(const float* x, long n) {
  double total = 0;
  for (long i = 0; i < n; i += 2048) total += KV(sum_short)(x + i, n - i < 2048 ? n - i : 2048);
  return total;
}
static double KV(sum_f64)(const double* x, long n) {
  double total = 0;
  for (long j = 0; j < n; j += 2048) {
    long m = n - j < 2048 ? n - j : 2048, i = 0;
    const double* p = x + j;
    vd s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; i + 32 <= m; i += 32) {
      s0 += load_d(p + i);
      s1 += load_d(p + i + 8);
      s2 += load_d(p + i + 16);
      s3 += load_d(p + i + 24);
    }
    for (; i + 8 <= m; i += 8) s0 += load_d(p + i);
    if (i < m) s1 += load_part_d(p + i, m - i);
    total += lanes_sum_d((s0 + s1) + (s2 + s3));
  }
  return total;
}
static double KV(product_f32)(const float* x, long n) {
  vd s0 = 1;
  long i = 0;
  for (; i + 8 <= n; i += 8) {
    vd v;
    for (int k = 0; k < 8; k++) v[k] = x[i + k];
    s0 *= v;
  }
  double p = ((s0[0] * s0[4]) * (s0[2] * s0[6])) * ((s0[1] * s0[5]) * (s0[3] * s0[7]));
  for (; i < n; i++) p *= x[i];
  return p;
}
static double KV(product_f64)(const double* x, long n) {
  vd s0 = 1;
  long i = 0;
  for (; i + 8 <= n; i += 8) s0 *= load_d(x + i);
  double p = ((s0[0] * s0[4]) * (s0[2] * s0[6])) * ((s0[1] * s0[5]) * (s0[3] * s0[7]));
  for (; i < n; i++) p *= x[i];
  return p;
}
#define EXTREME(name, T, V, LOAD, WIDTH, OPERATOR, start)                                                              \
  static T KV(name)(const T* x, long n) {                                                                              \
    V m0 = start, m1 = start;                                                                                          \
    long i = 0;                                                                                                        \
    for (; i + 2 * WIDTH <= n; i += 2 * WIDTH) {                                                                       \
      V a = LOAD(x + i), b = LOAD(x + i + WIDTH);                                                                      \
      m0 = ((a OPERATOR m0) | (a != a)) ? a : m0;                                                                      \
      m1 = ((b OPERATOR m1) | (b != b)) ? b : m1;                                                                      \
    }                                                                                                                  \
    m0 = ((m1 OPERATOR m0) | (m1 != m1)) ? m1 : m0;                                                                    \
    T m = start;                                                                                                       \
    if (i > 0) {                                                                                                       \
      for (int k = 0; k < WIDTH; k++) m = (m0[k] OPERATOR m) || m0[k] != m0[k] ? m0[k] : m;                            \
    }                                                                                                                  \
    for (; i < n; i++) m = (x[i] OPERATOR m) || x[i] != x[i] ? x[i] : m;                                               \
    return m;                                                                                                          \
  }
EXTREME(max_f32, float, vf, load_f, 16, >, -INFINITY)
EXTREME(min_f32, float, vf, load_f, 16, <, INFINITY)
EXTREME(max_f64, double, vd, load_d, 8, >, -INFINITY)
EXTREME(min_f64, double, vd, load_d, 8, <, INFINITY)
