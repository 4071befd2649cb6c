#include <math.h>
#include <string.h>

#include "kv_random.h"

// Only the fma() calls written here may fuse.
#pragma STDC FP_CONTRACT OFF

void kv_philox(uint64_t key, uint64_t position, uint64_t counter, uint32_t words[4]) {
  uint32_t c0 = (uint32_t)position, c1 = (uint32_t)(position >> 32);
  uint32_t c2 = (uint32_t)counter, c3 = (uint32_t)(counter >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1, c3 = (uint32_t)p0, c0 = n0, c2 = n2;
    k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
  }
  words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits;
}
static double double_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, 8);
  return value;
}
static uint64_t bits_of_double(double value) {
  uint64_t bits;
  memcpy(&bits, &value, 8);
  return bits;
}

// log(n * 2^-24) for n in 1...2^24.
static float log_fraction_f32(uint32_t n) {
  static const float p[10] = {0x1.555556p-2f,  -0x1.ffffd4p-3f, 0x1.9999c4p-3f,  -0x1.556398p-3f, 0x1.249912p-3f,
                              -0x1.fcf6eap-4f, 0x1.c30c28p-4f,  -0x1.b9ec1ap-4f, 0x1.b7f842p-4f,  -0x1.f87a94p-5f};
  uint32_t i = bits_of((float)n) - 0x3f3504f3u;
  float e = (float)(((int32_t)i >> 23) - 24);
  float t = float_of((i & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  float z = t * t, q = p[9];
  for (int k = 8; k >= 0; k--) q = fmaf(q, t, p[k]);
  float s = fmaf(t * z, q, -0.5f * z);
  s = fmaf(e, 0x1.7f7d1cp-20f, s);
  return fmaf(e, 0x1.62e400p-1f, t + s);
}

// The square root of x in 0 or 2^-24...2^6 by Newton's iteration: hardware square roots differ in the last bit.
static float root_f32(float x) {
  float y = float_of(0x5f3759dfu - (bits_of(x) >> 1)), h = -0.5f * x;
  for (int k = 0; k < 3; k++) y = y * fmaf(h * y, y, 1.5f);
  float s = x * y;
  return fmaf(fmaf(-s, s, x), 0.5f * y, s);
}

// cos(2 pi n 2^-24) for n in 0..<2^24.
static float cosine_turn_f32(uint32_t n) {
  uint32_t quarter = (n + (1u << 21)) >> 22;
  float f = (float)((int32_t)n - (int32_t)(quarter << 22)) * 0x1p-24f, z = f * f;
  float c = fmaf(0x1.db650ep+5f, z, -0x1.55cb98p+6f);
  c = fmaf(c, z, 0x1.03c1eap+6f);
  c = fmaf(c, z, -0x1.3bd3ccp+4f);
  c = fmaf(c, z, 1.0f);
  float s = fmaf(-0x1.2d9bb8p+6f, z, 0x1.465ec6p+6f);
  s = fmaf(s, z, -0x1.4abbbap+5f);
  s = fmaf(s, z, 0x1.921fb6p+2f);
  s = s * f;
  float value = quarter & 1 ? s : c;
  return (quarter + 1) & 2 ? -value : value;
}

static double log_fraction_f64(uint64_t n) {
  static const double p[20] = {
      0x1.5555555555568p-2, -0x1.fffffffffff1ep-3, 0x1.99999999952c5p-3, -0x1.5555555561d14p-3,
      0x1.249249274021ep-3, -0x1.fffffffa2cf33p-4, 0x1.c71c703bcdee3p-4, -0x1.99999970eeb05p-4,
      0x1.745d56830b39ep-4, -0x1.555596995141ep-4, 0x1.3b0dbc8a59fe6p-4, -0x1.24874fea08445p-4,
      0x1.11650aa46afcfp-4, -0x1.00e19c73dd7cfp-4, 0x1.dd075587c70e4p-5, -0x1.b3c7556357e5fp-5,
      0x1.b9015b5e8629cp-5, -0x1.0105aa9a82780p-4, 0x1.d98535489595ap-5, -0x1.99672028fd78fp-6};
  uint64_t i = bits_of_double((double)n) - 0x3fe6a09e667f3bcdu;
  double e = (double)(((int64_t)i >> 52) - 53);
  double t = double_of((i & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  double z = t * t, q = p[19];
  for (int k = 18; k >= 0; k--) q = fma(q, t, p[k]);
  double s = fma(t * z, q, -0.5 * z);
  s = fma(e, 0x1.a39ef35793c76p-33, s);
  return fma(e, 0x1.62e42fee00000p-1, t + s);
}

static double cosine_turn_f64(uint64_t n) {
  static const double cp[8] = {-0x1.3bd3cc9be45dep+4, 0x1.03c1f081b5ac4p+6,  -0x1.55d3c7e3cbff7p+6,
                               0x1.e1f506891ae96p+5,  -0x1.a6d1f2a086e24p+4, 0x1.f9d38708961b6p+2,
                               -0x1.b6de8ba985a99p+0, 0x1.1e74660e92d25p-2};
  static const double sp[8] = {0x1.921fb54442d18p+2,  -0x1.4abbce625be53p+5, 0x1.466bc6775aad9p+6,
                               -0x1.32d2cce62ac24p+6, 0x1.50783485cc006p+5,  -0x1.e3074b502de1fp+3,
                               0x1.e8eed159ae936p+1,  -0x1.6c5b93983c0b1p-1};
  uint64_t quarter = (n + (1ull << 50)) >> 51;
  double f = (double)((int64_t)n - (int64_t)(quarter << 51)) * 0x1p-53, z = f * f;
  double c = cp[7], s = sp[7];
  for (int k = 6; k >= 0; k--) c = fma(c, z, cp[k]), s = fma(s, z, sp[k]);
  c = fma(c, z, 1.0);
  s = s * f;
  double value = quarter & 1 ? s : c;
  return (quarter + 1) & 2 ? -value : value;
}

float kv_random_uniform_f32(uint64_t key, uint64_t counter, uint64_t position) {
  uint32_t w[4];
  kv_philox(key, position, counter, w);
  return (float)(w[0] >> 8) * 0x1p-24f;
}

double kv_random_uniform_f64(uint64_t key, uint64_t counter, uint64_t position) {
  uint32_t w[4];
  kv_philox(key, position, counter, w);
  return (double)(((uint64_t)w[1] << 32 | w[0]) >> 11) * 0x1p-53;
}

float kv_random_normal_f32(uint64_t key, uint64_t counter, uint64_t position) {
  uint32_t w[4];
  kv_philox(key, position, counter, w);
  return root_f32(-2.0f * log_fraction_f32((w[0] >> 8) + 1)) * cosine_turn_f32(w[1] >> 8);
}

double kv_random_normal_f64(uint64_t key, uint64_t counter, uint64_t position) {
  uint32_t w[4];
  kv_philox(key, position, counter, w);
  uint64_t n1 = (((uint64_t)w[1] << 32 | w[0]) >> 11) + 1, n2 = ((uint64_t)w[3] << 32 | w[2]) >> 11;
  return sqrt(-2.0 * log_fraction_f64(n1)) * cosine_turn_f64(n2);
}

int64_t kv_random_bits(uint64_t key, uint64_t counter, uint64_t position) {
  uint32_t w[4];
  kv_philox(key, position, counter, w);
  return (int64_t)w[0];
}
