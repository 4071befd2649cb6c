// Products, quotients and roots of denormal numbers without the CPU's microcode: an operation on one takes 150 cycles
// there, and the moments of an optimizer decay into denormals and stay there. The results are the same bits.
//
// A denormal is an integer n in 1 ..< 2^23 times 2^-149, and n as a float is an ordinary number.

#if KV_HAS_MASKS
// The lanes that hold a denormal: one instruction.
INLINE uint32_t denormal_lanes(vf x) { return _mm512_fpclass_ps_mask((__m512)x, 0x20); }
INLINE vf blend(uint32_t mask, vf otherwise, vf then) {
  return (vf)_mm512_mask_blend_ps((__mmask16)mask, (__m512)otherwise, (__m512)then);
}
// x with 1 in the lanes of the mask; the compiler must not see that nobody wants those, or it drops the blend.
INLINE vf without(uint32_t mask, vf x) {
  vf result = blend(mask, x, splat_f(1));
  __asm__("" : "+v"(result));
  return result;
}
// |x| * 2^149 where x is denormal.
INLINE vf denormal_units(vf x) { return __builtin_convertvector(as_i(x) & 0x7fffffff, vf); }
// q * 2^-149 with the sign of x * y, for q in 2^23 ..< 2^128: an ordinary number again, exactly.
INLINE vf from_units(vf q, vf x, vf y) {
  return as_f((as_i(q) - (149 << 23)) | ((as_i(x) ^ as_i(y)) & (int32_t)0x80000000));
}

// x * y where the lanes `mask` of x are denormal and those of y are in 2^-60...2^60 in absolute value.
INLINE vf multiply_denormal(uint32_t mask, vf x, vf y) {
  vf n = denormal_units(x), b = __builtin_elementwise_abs(y);
  vf q = n * b;
  // Below 2^23 units the result is denormal too: adding 2^23 rounds to a whole number of them, once.
  vi units = as_i(exact_fma_f(n, b, splat_f(0x1p23f))) - 0x4b000000;
  vf small = as_f(units | ((as_i(x) ^ as_i(y)) & (int32_t)0x80000000));
  vf result = q < 0x1p23f ? small : from_units(q, x, y);
  return blend(mask, without(mask, x) * y, result);
}
// |y| in 2^-60...2^60: what the functions here assume of the other operand.
INLINE vi is_moderate(vf y) {
  vf b = __builtin_elementwise_abs(y);
  return (b >= 0x1p-60f) & (b <= 0x1p60f);
}
INLINE vf multiply_f(vf x, vf y) {
  uint32_t mask = denormal_lanes(x);
  if (__builtin_expect(mask == 0, 1) || !__builtin_reduce_and(is_moderate(y))) return x * y;
  return multiply_denormal(mask, x, y);
}
// A quotient that is denormal itself is left to the CPU.
INLINE vf divide_f(vf x, vf y) {
  uint32_t mask = denormal_lanes(x);
  if (__builtin_expect(mask == 0, 1) || !__builtin_reduce_and(is_moderate(y))) return x / y;
  vf q = blend(mask, splat_f(0x1p23f), denormal_units(x) / __builtin_elementwise_abs(y));
  if (__builtin_reduce_or(q < 0x1p23f)) return x / y;
  return blend(mask, without(mask, x) / y, from_units(q, x, y));
}
// sqrt(n 2^-149) = sqrt(2 n) 2^-75
INLINE vf sqrt_f(vf x) {
  uint32_t mask = denormal_lanes(x) & (uint32_t)_mm512_cmp_ps_mask((__m512)x, _mm512_setzero_ps(), _CMP_GT_OQ);
  if (__builtin_expect(mask == 0, 1)) return __builtin_elementwise_sqrt(x);
  vf y = __builtin_elementwise_sqrt(blend(mask, x, 2.0f * denormal_units(x)));
  return blend(mask, y, blend(mask, splat_f(1), y) * 0x1p-75f);
}
#else
INLINE vf multiply_f(vf x, vf y) { return x * y; }
INLINE vf divide_f(vf x, vf y) { return x / y; }
INLINE vf sqrt_f(vf x) { return __builtin_elementwise_sqrt(x); }
#endif
