// Matrix products and convolutions on top of a BLAS that the caller passes in.
#ifndef KV_MATMUL_H
#define KV_MATMUL_H

#include "kv_expression.h"

// cblas_sgemm and cblas_dgemm with 32-bit integers.
typedef void (*kv_sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a,
                         int lda, const float* b, int ldb, float beta, float* c, int ldc);
typedef void (*kv_dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
                         const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc);
typedef struct {
  kv_sgemm sgemm;
  kv_dgemm dgemm;
} kv_blas;

// A matrix operand: slot, element offset and strides along its two axes; batch strides in elements.
typedef struct {
  int32_t slot;
  int64_t offset, row, column;
  const int64_t* batch;
} kv_matrix;

typedef struct {
  kv_dtype dtype;
  kv_blas blas;
  int32_t batch_rank;
  const int64_t* batch;
  int64_t batch_count, m, n, k;
  kv_matrix lhs, rhs;
  int32_t result_slot; // dense [batch, m, n] from element result_offset
  int64_t result_offset;
  bool has_epilogue;
  kv_expression epilogue;
  // Tiles of the result that the BLAS computes by one call each; they depend on the shape alone.
  int64_t tile_rows, tile_columns;
} kv_matmul;
void kv_run_matmul(const kv_matmul* step, const kv_binding* binding);
// Bytes of scratch per thread.
int64_t kv_matmul_scratch(const kv_matmul* step);

typedef enum { KV_CONVOLUTION, KV_INPUT_GRADIENT, KV_FILTER_GRADIENT } kv_convolution_kind;
typedef struct {
  kv_convolution_kind kind;
  kv_dtype dtype;
  kv_blas blas;
  int64_t batch, channels, height, width, filters, kernel_height, kernel_width, out_height, out_width;
  int64_t stride_y, stride_x, dilation_y, dilation_x, pad_top, pad_left, groups;
  int32_t a_slot, b_slot, result_slot, partial_slot; // partial: filter gradients of batch chunks
  int64_t a_offset, b_offset, result_offset;
  int64_t batch_chunks;
  bool has_epilogue;
  kv_expression epilogue;
} kv_convolution;
void kv_run_convolution(const kv_convolution* step, const kv_binding* binding);
// Bytes of scratch per thread.
int64_t kv_convolution_scratch(const kv_convolution* step);
// How many partial filter gradients the shape asks for (1: none are needed).
int64_t kv_convolution_batch_chunks(const kv_convolution* step);

#endif
