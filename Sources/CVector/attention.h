// What the two halves of fused attention share: attention.c (float32) and attention_f64.c.
#ifndef ATTENTION_H
#define ATTENTION_H

#include "kv_attention.h"
#include "kv_kernels.h"

// Where element (0, 0) of batch element b of an operand lies.
static inline char* kv_rows_of_batch(const kv_attention* s, const kv_binding* binding, const kv_rows* x, int64_t b) {
  int64_t at = x->offset;
  for (int32_t d = s->batch_rank - 1; d >= 0; d--) {
    at += b % s->batch[d] * x->batch[d];
    b /= s->batch[d];
  }
  return binding->bases[x->slot] + at * kv_size(s->dtype);
}
// How many keys the queries before `end` see.
static inline int64_t kv_keys_seen(const kv_attention* s, int64_t end) {
  return s->causal && end < s->keys ? end : s->keys;
}

// Queries first ..< last of batch element b; scratch of kv_attention_scratch_f64 bytes.
void kv_attention_f64(const kv_attention* s, const kv_binding* binding, int64_t b, int64_t first, int64_t last,
                      char* scratch);
// All of batch element b.
void kv_attention_gradient_f64(const kv_attention* s, const kv_binding* binding, int64_t b, char* scratch);
int64_t kv_attention_scratch_f64(const kv_attention* s);

#endif
