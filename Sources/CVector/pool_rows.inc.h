// Max pooling of 2x2 windows that do not overlap: one row of n results from two rows of 2n values. NaN counts as the
// greatest, and the first of equals as the place of the maximum, in the order top left, top right, bottom left, bottom
// right.

INLINE vf KV(even_f)(vf a, vf b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
}
INLINE vf KV(odd_f)(vf a, vf b) {
  return __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}
INLINE void KV(store_pairs)(float* p, vf even, vf odd) {
  store_f(p, __builtin_shufflevector(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  store_f(p + 16, __builtin_shufflevector(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
}
// All bits of the lanes in which v takes the place of the maximum so far.
INLINE vi KV(beats)(vf v, vf most) { return (v > most) | ((v != v) & (most == most)); }
INLINE vf KV(either)(vi mask, vf then, vf otherwise) { return (vf)((mask & (vi)then) | (~mask & (vi)otherwise)); }

static void KV(pool_max_f32)(const float* top, const float* bottom, float* y, long n) {
  for (long i = 0; i < n; i += 16) {
    // What is left of a row is copied to where 16 results have room.
    float rows[2][32] = {{0}, {0}}, few[16];
    const float *t = top + 2 * i, *b = bottom + 2 * i;
    float* to = y + i;
    if (n - i < 16) {
      memcpy(rows[0], t, (size_t)(n - i) * 8);
      memcpy(rows[1], b, (size_t)(n - i) * 8);
      t = rows[0], b = rows[1], to = few;
    }
    vf t0 = load_f(t), t1 = load_f(t + 16), b0 = load_f(b), b1 = load_f(b + 16);
    vf most = KV(even_f)(t0, t1), v = KV(odd_f)(t0, t1);
    most = KV(either)(KV(beats)(v, most), v, most);
    v = KV(even_f)(b0, b1);
    most = KV(either)(KV(beats)(v, most), v, most);
    v = KV(odd_f)(b0, b1);
    store_f(to, KV(either)(KV(beats)(v, most), v, most));
    if (n - i < 16) memcpy(y + i, few, (size_t)(n - i) * 4);
  }
}

// Each g at the place of its window's maximum, 0 at the other three.
static void KV(pool_max_gradient_f32)(const float* top, const float* bottom, const float* g, float* to_top,
                                      float* to_bottom, long n) {
  for (long i = 0; i < n; i += 16) {
    float rows[2][32] = {{0}, {0}}, part[16] = {0}, few[2][32];
    const float *t = top + 2 * i, *b = bottom + 2 * i, *from = g + i;
    float *tt = to_top + 2 * i, *tb = to_bottom + 2 * i;
    bool is_part = n - i < 16;
    if (is_part) {
      memcpy(rows[0], t, (size_t)(n - i) * 8);
      memcpy(rows[1], b, (size_t)(n - i) * 8);
      memcpy(part, from, (size_t)(n - i) * 4);
      t = rows[0], b = rows[1], from = part, tt = few[0], tb = few[1];
    }
    vf t0 = load_f(t), t1 = load_f(t + 16), b0 = load_f(b), b1 = load_f(b + 16);
    vi d = (vi)load_f(from);
    vf most = KV(even_f)(t0, t1), v = KV(odd_f)(t0, t1);
    vi at1 = KV(beats)(v, most);
    most = KV(either)(at1, v, most);
    v = KV(even_f)(b0, b1);
    vi at2 = KV(beats)(v, most);
    most = KV(either)(at2, v, most);
    v = KV(odd_f)(b0, b1);
    vi at3 = KV(beats)(v, most);
    at2 &= ~at3;
    at1 &= ~(at2 | at3);
    vi at0 = ~(at1 | at2 | at3);
    KV(store_pairs)(tt, (vf)(d & at0), (vf)(d & at1));
    KV(store_pairs)(tb, (vf)(d & at2), (vf)(d & at3));
    if (is_part) {
      memcpy(to_top + 2 * i, few[0], (size_t)(n - i) * 8);
      memcpy(to_bottom + 2 * i, few[1], (size_t)(n - i) * 8);
    }
  }
}
