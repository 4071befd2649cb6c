// The inner loops of direct convolution (convolution_direct.c), which keep a tile of sums in registers.

// With 32 registers of 16 lanes: 24 sums, 3 pieces of x and a weight. With 16 of 8 lanes: 8 sums (4 pairs), a pair of
// x.
#if KV_HAS_MASKS
#define DIRECT_FILTERS 8
#define DIRECT_VECTORS 3
#else
#define DIRECT_FILTERS 4
#define DIRECT_VECTORS 1
#endif

INLINE void KV(direct_tile)(const float* x, const int64_t* offsets, long taps, const float* w, float* y, long y_stride,
                            const int vectors) {
  vf sums[DIRECT_FILTERS][DIRECT_VECTORS];
#pragma clang loop unroll(full)
  for (int f = 0; f < DIRECT_FILTERS; f++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[f][v] = 0;
  for (long t = 0; t < taps; t++) {
    const float* from = x + offsets[t];
    vf pieces[DIRECT_VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) pieces[v] = load_f(from + 16 * v);
#pragma clang loop unroll(full)
    for (int f = 0; f < DIRECT_FILTERS; f++) {
      vf weight = splat_f(w[t * DIRECT_FILTERS + f]);
#pragma clang loop unroll(full)
      for (int v = 0; v < vectors; v++) sums[f][v] = madd(weight, pieces[v], sums[f][v]);
    }
  }
#pragma clang loop unroll(full)
  for (int f = 0; f < DIRECT_FILTERS; f++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) store_f(y + f * y_stride + 16 * v, sums[f][v]);
}

// y[f][q] = sum over t of w[t][f] * x[offsets[t] + q] for f < DIRECT_FILTERS and q < count rounded up to 16.
static void KV(direct_rows)(const float* x, const int64_t* offsets, long taps, const float* w, float* y, long y_stride,
                            long count) {
  long q = 0;
  for (; q + 16 * (DIRECT_VECTORS - 1) < count; q += 16 * DIRECT_VECTORS)
    KV(direct_tile)(x + q, offsets, taps, w, y + q, y_stride, DIRECT_VECTORS);
  for (; q < count; q += 16) KV(direct_tile)(x + q, offsets, taps, w, y + q, y_stride, 1);
}

INLINE float KV(direct_total)(vf v) {
  __typeof__(v.lo) a = v.lo + v.hi;
  __typeof__(a.lo) b = a.lo + a.hi;
  return (b.x + b.z) + (b.y + b.w);
}

// sums[f][i] = sum over q < count of y[f][q] * x[offsets[i] + q], for f < DIRECT_FILTERS and i < DIRECT_VECTORS; count
// is a multiple of 16.
static void KV(direct_dots)(const float* y, long y_stride, const float* x, const int64_t* offsets, long count,
                            float* sums) {
  vf totals[DIRECT_FILTERS][DIRECT_VECTORS];
#pragma clang loop unroll(full)
  for (int f = 0; f < DIRECT_FILTERS; f++)
#pragma clang loop unroll(full)
    for (int v = 0; v < DIRECT_VECTORS; v++) totals[f][v] = 0;
  for (long q = 0; q < count; q += 16) {
    vf pieces[DIRECT_VECTORS];
#pragma clang loop unroll(full)
    for (int v = 0; v < DIRECT_VECTORS; v++) pieces[v] = load_f(x + offsets[v] + q);
#pragma clang loop unroll(full)
    for (int f = 0; f < DIRECT_FILTERS; f++) {
      vf g = load_f(y + f * y_stride + q);
#pragma clang loop unroll(full)
      for (int v = 0; v < DIRECT_VECTORS; v++) totals[f][v] = madd(g, pieces[v], totals[f][v]);
    }
  }
#pragma clang loop unroll(full)
  for (int f = 0; f < DIRECT_FILTERS; f++)
#pragma clang loop unroll(full)
    for (int v = 0; v < DIRECT_VECTORS; v++) sums[f * DIRECT_VECTORS + v] = KV(direct_total)(totals[f][v]);
}
