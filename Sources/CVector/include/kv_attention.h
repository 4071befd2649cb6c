// Scaled dot-product attention without a [queries, keys] matrix in memory.
#ifndef KV_ATTENTION_H
#define KV_ATTENTION_H

#include "kv_expression.h"

// A [batch..., rows, columns] operand: slot, element offset, stride between rows and batch strides, in elements.
// Columns step by one.
typedef struct {
  int32_t slot;
  int64_t offset, row;
  const int64_t* batch;
} kv_rows;

// o = softmax(scale * q k^T) v, or the gradients dq, dk, dv for the gradient g of o. Causal: query i sees keys j <= i,
// whatever the lengths; keys that no query sees get gradients of 0.
typedef struct {
  kv_dtype dtype; // float32 or float64
  bool causal, is_gradient;
  double scale;
  int32_t batch_rank;
  const int64_t* batch;
  int64_t batch_count;
  int64_t queries, keys, features, value_features; // all at least 1
  kv_rows q;                                       // [queries, features]
  kv_rows k;                                       // [keys, features]
  kv_rows v;                                       // [keys, value_features]
  kv_rows g, o;       // [queries, value_features]: g is read for the gradients, o written without them
  kv_rows dq, dk, dv; // like q, k and v, written for the gradients; nothing that is written may overlap what is read
} kv_attention;
// Needs kv_attention_scratch bytes of scratch per thread.
void kv_run_attention(const kv_attention* step, const kv_binding* binding);
int64_t kv_attention_scratch(const kv_attention* step);

#endif
