// The families that work on whole contiguous operands.
#ifndef KV_STEPS_H
#define KV_STEPS_H

#include "kv_expression.h"

// An index or label outside its range: the first one by position; position < 0 if all is well.
typedef struct {
  int64_t position, index, length;
} kv_fault;

// Rows of [rows, columns]; dtype float32 or float64.
typedef enum {
  KV_SOFTMAX,
  KV_LOG_SOFTMAX,
  KV_LAYER_NORM,
  KV_RMS_NORM,
  KV_CROSS_ENTROPY,
  KV_CROSS_ENTROPY_GRADIENT,
  KV_SOFTMAX_GRADIENT,
  KV_LOG_SOFTMAX_GRADIENT,
  KV_LAYER_NORM_GRADIENT,
  KV_RMS_NORM_GRADIENT
} kv_rowwise_kind;
typedef struct {
  kv_rowwise_kind kind;
  kv_dtype dtype;
  int64_t rows, columns;
  double epsilon;
  int64_t ignore_index;
  int64_t scale_step; // of cross-entropy's gradient: from a row's g to the next one's, 0 or 1
  // Over [rows, columns]. Row inputs that are computed are values of the prologue, else their staged value is -1; with
  // an epilogue it stores the results.
  bool has_prologue, has_epilogue;
  kv_expression prologue, epilogue;
  int32_t staged[2];
  int64_t group; // rows that are staged together
} kv_rowwise;
// Where the operands lie: row inputs (NULL where staged), then scale and shift, or labels and g; y unless the epilogue
// stores the results.
typedef struct {
  const void *a[2], *b, *c;
  void* y;
} kv_row_operands;
kv_fault kv_run_rowwise(const kv_rowwise* step, const kv_binding* binding, const kv_row_operands* operands);
// Bytes for each thread.
int64_t kv_rowwise_scratch(const kv_rowwise* step);

// [outer, length, inner]
typedef struct {
  kv_dtype dtype;
  bool product, reverse;
  int64_t outer, length, inner;
} kv_scan;
void kv_run_scan(const kv_scan* step, const void* x, void* y);

typedef struct {
  kv_dtype dtype;
  bool descending;
  int64_t rows, columns;
} kv_argsort;
// Scratch per thread: kv_argsort_scratch(step).
void kv_run_argsort(const kv_argsort* step, const void* x, int64_t* order);
int64_t kv_argsort_scratch(const kv_argsort* step);

typedef enum { KV_ROWS, KV_SCATTER_ROWS, KV_ALONG, KV_SCATTER_ALONG } kv_gather_kind;
typedef struct {
  kv_gather_kind kind;
  kv_dtype dtype;
  int64_t outer, length, inner, count;
} kv_gather;
kv_fault kv_run_gather(const kv_gather* step, const void* x, const int64_t* indices, void* y);

typedef enum {
  KV_POOL_MAX,
  KV_POOL_MAX_GRADIENT,
  KV_POOL_MAX_GATHER,
  KV_POOL_AVERAGE,
  KV_POOL_AVERAGE_GRADIENT
} kv_pool_kind;
typedef struct {
  kv_pool_kind kind;
  kv_dtype dtype;
  bool count_padding;
  int64_t planes, height, width, out_height, out_width;
  int64_t kernel_height, kernel_width, stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left;
} kv_pooling;
void kv_run_pooling(const kv_pooling* step, const void* a, const void* b, void* y);
// Bytes for each thread.
int64_t kv_pooling_scratch(const kv_pooling* step);

#endif
