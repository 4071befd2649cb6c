// Blocks of 16 x 16 float32 in registers.

// The even or odd places of the result are a's: the first halves of both, or the second.
INLINE vf interleave_low(vf a, vf b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
INLINE vf interleave_high(vf a, vf b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// Rows become columns. Each round halves the distance of what belongs side by side.
INLINE void KV(transpose)(vf* m) {
  vf n[16];
#pragma clang loop unroll(full)
  for (int round = 0; round < 2; round++) {
#pragma clang loop unroll(full)
    for (int r = 0; r < 8; r++) {
      n[2 * r] = interleave_low(m[r], m[r + 8]);
      n[2 * r + 1] = interleave_high(m[r], m[r + 8]);
    }
#pragma clang loop unroll(full)
    for (int r = 0; r < 8; r++) {
      m[2 * r] = interleave_low(n[r], n[r + 8]);
      m[2 * r + 1] = interleave_high(n[r], n[r + 8]);
    }
  }
}
