// Adam's update in one pass: what the evaluator would do with a dozen loops over blocks, in their order and to the bit.
#ifndef KV_ADAM_H
#define KV_ADAM_H

#include "kv_expression.h"

// The numbers of an update: m = m + (g - m) * gain, v = v * decay + g * g * square_gain,
// w = w * shrink - m / (sqrt(v) / root + epsilon) * rate. Without has_shrink w is taken as it is.
typedef struct {
  float gain, decay, square_gain, root, epsilon, rate, shrink;
  bool has_shrink;
} kv_adam_numbers;

// A dense float32 operand: slot and element offset.
typedef struct {
  int32_t slot;
  int64_t offset;
} kv_adam_operand;

typedef struct {
  int64_t count;
  // What is read, and what is written; an output may be the memory of something read, exactly, and overlaps nothing
  // else.
  kv_adam_operand w, m, v, g, new_w, new_m, new_v;
  // Scalar slots, in the order of kv_adam_numbers; shrink -1 where there is none.
  int32_t gain, decay, square_gain, root, epsilon, rate, shrink;
} kv_adam;
void kv_run_adam(const kv_adam* step, const kv_binding* binding);

#endif
