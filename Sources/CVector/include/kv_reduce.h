// Reductions of an expression. Order depends on the shape alone.
#ifndef KV_REDUCE_H
#define KV_REDUCE_H

#include "kv_expression.h"

typedef enum { KV_SUM, KV_PRODUCT, KV_MAX, KV_MIN, KV_ARGMAX, KV_ARGMIN } kv_reduction;

// A partial result: double for floats, int64 for the rest; index < 0 where nothing was seen.
typedef struct {
  union {
    double f;
    int64_t i;
  } value;
  int64_t index;
} kv_partial;

// Lines of an operand, each contiguous: line `lead` of outer point `outer` begins at offset + outer * outer_stride +
// lead * lead_stride, in elements.
typedef struct {
  int32_t slot; // < 0: none
  int64_t offset, outer_stride, lead_stride;
} kv_lines;

// Float32 sums of (a - a_shift) * (b - b_shift), or of a - a_shift where there is no b; a shift is one number per outer
// point, or 0.
typedef struct {
  bool is_set;
  int64_t line; // inner is lines of so many elements
  kv_lines a, b, a_shift, b_shift;
} kv_dot;

typedef struct {
  kv_reduction kind;
  kv_dtype dtype;
  kv_dot dot;             // rows: read without the prologue
  kv_expression prologue; // its value is prologue_value
  int32_t prologue_value;
  kv_expression epilogue; // over outer
  int64_t outer, inner;
  // Rows: the prologue's space is outer + inner. A row of partials per outer point where inner is split into chunks.
  // Columns: the prologue's space is [outer / columns, inner, columns]; the kept axis is innermost.
  bool by_columns;
  int64_t columns;
  int64_t chunk, chunks; // of inner
  int64_t fold;          // columns mode: rows of columns that are added up side by side
  kv_loop combine;       // columns mode: acc = combine(acc, row)
  char* partials;        // outer * chunks of kv_partial, or of the dtype (columns mode); NULL if chunks == 1
  double weight;
} kv_reduce;

void kv_run_reduce(const kv_reduce* step, const kv_binding* binding);
// Scratch per thread.
int64_t kv_reduce_scratch(const kv_reduce* step);

#endif
