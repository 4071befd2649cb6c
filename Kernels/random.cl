// Random numbers: Philox 4x32-10 and the conversions of docs/numerics.md, equal to the bit on every device.
//
// kiln_random_DISTRIBUTION_TYPE(key, counter, position). Pasted once per program, after prelude.cl; no macros.
// Only a written fma fuses: prelude.cl turns contraction off.

typedef struct {
  uint w0, w1, w2, w3;
} kiln_block;

inline kiln_block kiln_philox(const ulong key, const ulong counter, const ulong position) {
  uint c0 = (uint)position, c1 = (uint)(position >> 32), c2 = (uint)counter, c3 = (uint)(counter >> 32);
  uint k0 = (uint)key, k1 = (uint)(key >> 32);
  UNROLL
  for (int round = 0; round < 10; round++) {
    const uint n0 = mul_hi(0xCD9E8D57u, c2) ^ c1 ^ k0, n2 = mul_hi(0xD2511F53u, c0) ^ c3 ^ k1;
    c1 = 0xCD9E8D57u * c2;
    c3 = 0xD2511F53u * c0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  kiln_block block;
  block.w0 = c0;
  block.w1 = c1;
  block.w2 = c2;
  block.w3 = c3;
  return block;
}

inline long kiln_random_bits_long(const ulong key, const ulong counter, const long position) {
  return (long)kiln_philox(key, counter, (ulong)position).w0;
}

inline float kiln_random_uniform_float(const ulong key, const ulong counter, const long position) {
  return (float)(kiln_philox(key, counter, (ulong)position).w0 >> 8) * 0x1p-24f;
}

// log(n 2^-24), n in 1...2^24.
inline float kiln_log_fraction_float(const uint n) {
  const uint i = as_uint((float)n) - 0x3f3504f3u;
  const float e = (float)((as_int(i) >> 23) - 24);
  const float t = as_float((i & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  const float z = t * t;
  float q = -0x1.f87a94p-5f;
  q = fma(q, t, 0x1.b7f842p-4f);
  q = fma(q, t, -0x1.b9ec1ap-4f);
  q = fma(q, t, 0x1.c30c28p-4f);
  q = fma(q, t, -0x1.fcf6eap-4f);
  q = fma(q, t, 0x1.249912p-3f);
  q = fma(q, t, -0x1.556398p-3f);
  q = fma(q, t, 0x1.9999c4p-3f);
  q = fma(q, t, -0x1.ffffd4p-3f);
  q = fma(q, t, 0x1.555556p-2f);
  float s = fma(t * z, q, -0.5f * z);
  s = fma(e, 0x1.7f7d1cp-20f, s);
  return fma(e, 0x1.62e400p-1f, t + s);
}

// The square root of 0 or 2^-24...2^6: hardware square roots differ in the last bit.
inline float kiln_root_float(const float x) {
  float y = as_float(0x5f3759dfu - (as_uint(x) >> 1));
  const float h = -0.5f * x;
  y = y * fma(h * y, y, 1.5f);
  y = y * fma(h * y, y, 1.5f);
  y = y * fma(h * y, y, 1.5f);
  const float s = x * y;
  return fma(fma(-s, s, x), 0.5f * y, s);
}

// cos(2 pi n 2^-24), n in 0..<2^24.
inline float kiln_cosine_turn_float(const uint n) {
  const uint quarter = (n + (1u << 21)) >> 22;
  const float f = (float)((int)n - (int)(quarter << 22)) * 0x1p-24f;
  const float z = f * f;
  float c = fma(0x1.db650ep+5f, z, -0x1.55cb98p+6f);
  c = fma(c, z, 0x1.03c1eap+6f);
  c = fma(c, z, -0x1.3bd3ccp+4f);
  c = fma(c, z, 1.0f);
  float s = fma(-0x1.2d9bb8p+6f, z, 0x1.465ec6p+6f);
  s = fma(s, z, -0x1.4abbbap+5f);
  s = fma(s, z, 0x1.921fb6p+2f);
  s = s * f;
  const float value = (quarter & 1) ? s : c;
  return ((quarter + 1) & 2) ? -value : value;
}

inline float kiln_random_normal_float(const ulong key, const ulong counter, const long position) {
  const kiln_block block = kiln_philox(key, counter, (ulong)position);
  const float radius = kiln_root_float(-2.0f * kiln_log_fraction_float((block.w0 >> 8) + 1));
  return radius * kiln_cosine_turn_float(block.w1 >> 8);
}

#if defined(KILN_DOUBLE) && KILN_DOUBLE

inline double kiln_random_uniform_double(const ulong key, const ulong counter, const long position) {
  const kiln_block block = kiln_philox(key, counter, (ulong)position);
  return (double)((((ulong)block.w1 << 32) | block.w0) >> 11) * 0x1p-53;
}

// log(n 2^-53), n in 1...2^53.
inline double kiln_log_fraction_double(const ulong n) {
  const ulong i = as_ulong((double)n) - 0x3fe6a09e667f3bcdul;
  const double e = (double)((as_long(i) >> 52) - 53);
  const double t = as_double((i & 0x000ffffffffffffful) + 0x3fe6a09e667f3bcdul) - 1.0;
  const double z = t * t;
  double q = -0x1.99672028fd78fp-6;
  q = fma(q, t, 0x1.d98535489595ap-5);
  q = fma(q, t, -0x1.0105aa9a82780p-4);
  q = fma(q, t, 0x1.b9015b5e8629cp-5);
  q = fma(q, t, -0x1.b3c7556357e5fp-5);
  q = fma(q, t, 0x1.dd075587c70e4p-5);
  q = fma(q, t, -0x1.00e19c73dd7cfp-4);
  q = fma(q, t, 0x1.11650aa46afcfp-4);
  q = fma(q, t, -0x1.24874fea08445p-4);
  q = fma(q, t, 0x1.3b0dbc8a59fe6p-4);
  q = fma(q, t, -0x1.555596995141ep-4);
  q = fma(q, t, 0x1.745d56830b39ep-4);
  q = fma(q, t, -0x1.99999970eeb05p-4);
  q = fma(q, t, 0x1.c71c703bcdee3p-4);
  q = fma(q, t, -0x1.fffffffa2cf33p-4);
  q = fma(q, t, 0x1.249249274021ep-3);
  q = fma(q, t, -0x1.5555555561d14p-3);
  q = fma(q, t, 0x1.99999999952c5p-3);
  q = fma(q, t, -0x1.fffffffffff1ep-3);
  q = fma(q, t, 0x1.5555555555568p-2);
  double s = fma(t * z, q, -0.5 * z);
  s = fma(e, 0x1.a39ef35793c76p-33, s);
  return fma(e, 0x1.62e42fee00000p-1, t + s);
}

// cos(2 pi n 2^-53), n in 0..<2^53.
inline double kiln_cosine_turn_double(const ulong n) {
  const ulong quarter = (n + (1ul << 50)) >> 51;
  const double f = (double)((long)n - (long)(quarter << 51)) * 0x1p-53;
  const double z = f * f;
  double c = 0x1.1e74660e92d25p-2;
  c = fma(c, z, -0x1.b6de8ba985a99p+0);
  c = fma(c, z, 0x1.f9d38708961b6p+2);
  c = fma(c, z, -0x1.a6d1f2a086e24p+4);
  c = fma(c, z, 0x1.e1f506891ae96p+5);
  c = fma(c, z, -0x1.55d3c7e3cbff7p+6);
  c = fma(c, z, 0x1.03c1f081b5ac4p+6);
  c = fma(c, z, -0x1.3bd3cc9be45dep+4);
  c = fma(c, z, 1.0);
  double s = -0x1.6c5b93983c0b1p-1;
  s = fma(s, z, 0x1.e8eed159ae936p+1);
  s = fma(s, z, -0x1.e3074b502de1fp+3);
  s = fma(s, z, 0x1.50783485cc006p+5);
  s = fma(s, z, -0x1.32d2cce62ac24p+6);
  s = fma(s, z, 0x1.466bc6775aad9p+6);
  s = fma(s, z, -0x1.4abbce625be53p+5);
  s = fma(s, z, 0x1.921fb54442d18p+2);
  s = s * f;
  const double value = (quarter & 1) ? s : c;
  return ((quarter + 1) & 2) ? -value : value;
}

inline double kiln_random_normal_double(const ulong key, const ulong counter, const long position) {
  const kiln_block block = kiln_philox(key, counter, (ulong)position);
  const ulong low = ((ulong)block.w1 << 32) | block.w0, high = ((ulong)block.w3 << 32) | block.w2;
  const double radius = sqrt(-2.0 * kiln_log_fraction_double((low >> 11) + 1));
  return radius * kiln_cosine_turn_double(high >> 11);
}

#endif
