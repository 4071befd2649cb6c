// Random blocks: a = positions (int64), b = key, c = counter. docs/numerics.md defines every bit; random_reference.c
// is the same one at a time.

#define PHILOX_ROUND                                                                                                   \
  {                                                                                                                    \
    vw p0 = __builtin_convertvector(c0, vw) * 0xD2511F53u, p1 = __builtin_convertvector(c2, vw) * 0xCD9E8D57u;         \
    vu n0 = __builtin_convertvector(p1 >> 32, vu) ^ c1 ^ k0, n2 = __builtin_convertvector(p0 >> 32, vu) ^ c3 ^ k1;     \
    c1 = __builtin_convertvector(p1, vu), c3 = __builtin_convertvector(p0, vu), c0 = n0, c2 = n2;                      \
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;                                                                              \
  }

INLINE void philox_block(vw position, uint64_t key, uint64_t counter, vu w[4]) {
  vu c0 = __builtin_convertvector(position, vu), c1 = __builtin_convertvector(position >> 32, vu);
  vu c2 = (uint32_t)counter, c3 = (uint32_t)(counter >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) PHILOX_ROUND
  w[0] = c0, w[1] = c1, w[2] = c2, w[3] = c3;
}

INLINE vf normal_block_f(vu w0, vu w1) {
  // log(((w0 >> 8) + 1) 2^-24)
  vi i = as_i(__builtin_convertvector((vi)(w0 >> 8) + 1, vf)) - 0x3f3504f3;
  vf e = __builtin_convertvector((i >> 23) - 24, vf);
  vf t = as_f((i & 0x007fffff) + 0x3f3504f3) - 1.0f;
  vf z = t * t;
  vf q = splat_f(-0x1.f87a94p-5f);
  q = exact_fma_f(q, t, splat_f(0x1.b7f842p-4f));
  q = exact_fma_f(q, t, splat_f(-0x1.b9ec1ap-4f));
  q = exact_fma_f(q, t, splat_f(0x1.c30c28p-4f));
  q = exact_fma_f(q, t, splat_f(-0x1.fcf6eap-4f));
  q = exact_fma_f(q, t, splat_f(0x1.249912p-3f));
  q = exact_fma_f(q, t, splat_f(-0x1.556398p-3f));
  q = exact_fma_f(q, t, splat_f(0x1.9999c4p-3f));
  q = exact_fma_f(q, t, splat_f(-0x1.ffffd4p-3f));
  q = exact_fma_f(q, t, splat_f(0x1.555556p-2f));
  vf s = exact_fma_f(t * z, q, -0.5f * z);
  s = exact_fma_f(e, splat_f(0x1.7f7d1cp-20f), s);
  vf x = -2.0f * exact_fma_f(e, splat_f(0x1.62e400p-1f), t + s);
  // Its square root.
  vf y = as_f((vi)((uint32_t)0x5f3759df - ((vu)x >> 1)));
  vf h = -0.5f * x;
  for (int k = 0; k < 3; k++) y = y * exact_fma_f(h * y, y, splat_f(1.5f));
  vf root = x * y;
  root = exact_fma_f(exact_fma_f(-root, root, x), 0.5f * y, root);
  // cos(2 pi (w1 >> 8) 2^-24)
  vi n = (vi)(w1 >> 8);
  vi quarter = (n + (1 << 21)) >> 22;
  vf f = __builtin_convertvector(n - (quarter << 22), vf) * 0x1p-24f;
  z = f * f;
  vf c = exact_fma_f(splat_f(0x1.db650ep+5f), z, splat_f(-0x1.55cb98p+6f));
  c = exact_fma_f(c, z, splat_f(0x1.03c1eap+6f));
  c = exact_fma_f(c, z, splat_f(-0x1.3bd3ccp+4f));
  c = exact_fma_f(c, z, splat_f(1.0f));
  s = exact_fma_f(splat_f(-0x1.2d9bb8p+6f), z, splat_f(0x1.465ec6p+6f));
  s = exact_fma_f(s, z, splat_f(-0x1.4abbbap+5f));
  s = exact_fma_f(s, z, splat_f(0x1.921fb6p+2f));
  s = s * f;
  vf turn = (quarter & 1) != 0 ? s : c;
  turn = ((quarter + 1) & 2) != 0 ? -turn : turn;
  return root * turn;
}

#define RANDOM_LOOP(function, R, ...)                                                                                  \
  static void KV(function)(void* dst, const void* pa, const void* pb, const void* pc, long n, const void* context) {   \
    const uint64_t *a = pa, key = *(const uint64_t*)pb, counter = *(const uint64_t*)pc;                                \
    R* d = dst;                                                                                                        \
    for (long i = 0; i < n; i += LANES) {                                                                              \
      long m = n - i < LANES ? n - i : LANES;                                                                          \
      vw position = 0;                                                                                                 \
      if (m == LANES)                                                                                                  \
        memcpy(&position, a + i, sizeof position);                                                                     \
      else                                                                                                             \
        memcpy(&position, a + i, (size_t)m * 8);                                                                       \
      vu w[4];                                                                                                         \
      philox_block(position, key, counter, w);                                                                         \
      __VA_ARGS__                                                                                                      \
      if (m == LANES)                                                                                                  \
        memcpy(d + i, &v, LANES * sizeof(R));                                                                          \
      else                                                                                                             \
        memcpy(d + i, &v, (size_t)m * sizeof(R));                                                                      \
    }                                                                                                                  \
  }
RANDOM_LOOP(uniform_f32, float, vf v = __builtin_convertvector((vi)(w[0] >> 8), vf) * 0x1p-24f;)
RANDOM_LOOP(normal_f32, float, vf v = normal_block_f(w[0], w[1]);)
RANDOM_LOOP(bits_i64, int64_t, vw v = __builtin_convertvector(w[0], vw);)
RANDOM_LOOP(uniform_f64, double, double v[LANES];
            for (int k = 0; k < LANES; k++) v[k] = (double)(((uint64_t)w[1][k] << 32 | w[0][k]) >> 11) * 0x1p-53;)
RANDOM_LOOP(normal_f64, double, double v[LANES];
            for (int k = 0; k < LANES; k++) v[k] = k < m ? kv_random_normal_f64(key, counter, a[i + k]) : 0;)

LOOP(iota_i64) {
  const int64_t first = *(const int64_t*)pa;
  int64_t* d = restrict_dst;
  for (long i = 0; i < n; i++) d[i] = first + i;
}
