// Sums of products over lines, as they are in the statistics of channels.

INLINE vf KV(dot_term)(const float* a, const float* b, vf a_shift, vf b_shift, vf sum) {
  const vf x = load_f(a) - a_shift;
  return b ? madd(x, load_f(b) - b_shift, sum) : sum + x;
}
// At most 64 elements more, and 4 sums of 16 lanes each.
INLINE void KV(dot_rest)(const float* a, const float* b, vf a_shift, vf b_shift, long n, vf* sums) {
  int i = 0;
  for (; n >= 16; n -= 16, i++) sums[i] = KV(dot_term)(a + 16 * i, b ? b + 16 * i : NULL, a_shift, b_shift, sums[i]);
  if (n == 0) return;
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  vf x = load_part_f(a + 16 * i, n) - a_shift;
  if (b) x *= load_part_f(b + 16 * i, n) - b_shift;
  sums[i] += lane < (vi)(int32_t)n ? x : splat_f(0);
}

INLINE double KV(dot_loops)(const kv_dot_lines* s, const float* a, const float* b) {
  const vf a_shift = splat_f(s->a_shift), b_shift = splat_f(s->b_shift);
  vd low = 0, high = 0;
  vf sums[4] = {0, 0, 0, 0};
  // Each of 64 float lanes adds up 32 numbers at most, then everything goes on in double.
  int steps = 0;
  for (long l = 0; l < s->lines; l++, a += s->a_lead, b = b ? b + s->b_lead : NULL) {
    for (long i = 0; i < s->count;) {
      long most = s->count - i;
      if (most > 64 * (32 - steps)) most = 64 * (32 - steps);
      const long end = i + most;
      for (; i + 64 <= end; i += 64, steps++) {
#pragma clang loop unroll(full)
        for (int v = 0; v < 4; v++)
          sums[v] = KV(dot_term)(a + i + 16 * v, b ? b + i + 16 * v : NULL, a_shift, b_shift, sums[v]);
      }
      if (i < end) {
        KV(dot_rest)(a + i, b ? b + i : NULL, a_shift, b_shift, end - i, sums);
        i = end;
        steps++;
      }
      if (steps < 32) continue;
      const vf total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
      low += __builtin_convertvector(total.lo, vd);
      high += __builtin_convertvector(total.hi, vd);
      for (int v = 0; v < 4; v++) sums[v] = 0;
      steps = 0;
    }
  }
  const vf total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return lanes_sum_d((low + __builtin_convertvector(total.lo, vd)) + (high + __builtin_convertvector(total.hi, vd)));
}
static double KV(dot_f32)(const kv_dot_lines* s) {
  return s->b ? KV(dot_loops)(s, s->a, s->b) : KV(dot_loops)(s, s->a, NULL);
}
