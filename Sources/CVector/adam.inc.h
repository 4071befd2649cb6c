// Adam's update of n elements: see kv_adam.h. Every operation is rounded by itself, as in the loops that it stands for.

#if KV_HAS_MASKS
// Whether something that is multiplied is denormal in any lane, which moments that decay become: see denormals.inc.h.
#define ADAM_IS_SLOW(a, b, c, d) ((denormal_lanes(a) | denormal_lanes(b) | denormal_lanes(c) | denormal_lanes(d)) != 0)
// The first moment as what the weight's move is made of: 0 for a denormal one where that is the same. Over 2^-30 or
// more and times 2^3 at most it moves by less than 2^-92, which is lost beside a weight of 2^-60.
INLINE vf adam_mover(vf first, vf bottom, vf kept, vf rate) {
  const uint32_t resting = denormal_lanes(first);
  const uint32_t is_lost =
      _mm512_cmp_ps_mask((__m512)bottom, _mm512_set1_ps(0x1p-30f), _CMP_GE_OQ) &
      _mm512_cmp_ps_mask((__m512)__builtin_elementwise_abs(kept), _mm512_set1_ps(0x1p-60f), _CMP_GE_OQ) &
      _mm512_cmp_ps_mask((__m512)__builtin_elementwise_abs(rate), _mm512_set1_ps(8), _CMP_LE_OQ);
  return blend(resting & is_lost, first, splat_f(0));
}
#else
#define ADAM_IS_SLOW(a, b, c, d) false
INLINE vf adam_mover(vf first, vf bottom, vf kept, vf rate) { return first; }
#endif

// The rest of one vector's update, by functions that differ in speed alone.
#define ADAM_VECTOR(STORE, MULTIPLY, DIVIDE, ROOT, MOVER)                                                              \
  {                                                                                                                    \
    const vf first = old_m + MULTIPLY(distance, gain);                                                                 \
    const vf second = MULTIPLY(old_v, decay) + MULTIPLY(squared, square_gain);                                         \
    const vf kept = s->has_shrink ? MULTIPLY(old_w, shrink) : old_w;                                                   \
    const vf bottom = DIVIDE(ROOT(second), root) + epsilon;                                                            \
    const vf move = DIVIDE(MOVER(first, bottom, kept, rate), bottom);                                                  \
    STORE(new_m + at, first);                                                                                          \
    STORE(new_v + at, second);                                                                                         \
    STORE(new_w + at, kept - MULTIPLY(move, rate));                                                                    \
  }
// What is read of one vector, all of it before anything is written.
#define ADAM_OPERANDS(LOAD)                                                                                            \
  const vf gradient = LOAD(g + at), old_w = LOAD(w + at), old_m = LOAD(m + at), old_v = LOAD(v + at);                  \
  const vf distance = gradient - old_m, squared = gradient * gradient

#define PLAIN_MULTIPLY(x, y) ((x) * (y))
#define PLAIN_DIVIDE(x, y) ((x) / (y))
#define PLAIN_MOVER(first, bottom, kept, rate) (first)
#define LOAD_LAST(p) load_part_f(p, n - at)
#define STORE_LAST(p, x) store_part_f(p, x, n - at)

static void KV(adam_f32)(const kv_adam_numbers* s, const float* w, const float* m, const float* v, const float* g,
                         float* new_w, float* new_m, float* new_v, long n) {
  const vf gain = splat_f(s->gain), decay = splat_f(s->decay), square_gain = splat_f(s->square_gain);
  const vf root = splat_f(s->root), epsilon = splat_f(s->epsilon), rate = splat_f(s->rate), shrink = splat_f(s->shrink);
  long at = 0;
  for (; at + LANES <= n; at += LANES) {
    ADAM_OPERANDS(load_f);
    if (__builtin_expect(ADAM_IS_SLOW(old_m, old_v, distance, squared), 0)) {
      ADAM_VECTOR(store_f, multiply_f, divide_f, sqrt_f, adam_mover)
    } else {
      ADAM_VECTOR(store_f, PLAIN_MULTIPLY, PLAIN_DIVIDE, __builtin_elementwise_sqrt, PLAIN_MOVER)
    }
  }
  if (at == n) return;
  ADAM_OPERANDS(LOAD_LAST);
  ADAM_VECTOR(STORE_LAST, multiply_f, divide_f, sqrt_f, adam_mover)
}
#undef PLAIN_MULTIPLY
#undef PLAIN_DIVIDE
#undef PLAIN_MOVER
#undef LOAD_LAST
#undef STORE_LAST
