// What each ISA provides, and which one is in use.
#ifndef KV_KERNELS_H
#define KV_KERNELS_H

#include "kv_adam.h"
#include "kv_types.h"

// Lines of two operands, `lead` elements apart; b may be NULL.
typedef struct {
  const float *a, *b;
  long a_lead, b_lead;
  float a_shift, b_shift;
  long lines, count;
} kv_dot_lines;

// What causal attention leaves out of a product c = a b: results with j > i + first, or factors a(i, p) with
// p > i + first or with p + first < i.
typedef enum { KV_TRIANGLE_NONE, KV_TRIANGLE_RESULT, KV_TRIANGLE_LHS, KV_TRIANGLE_TRANSPOSED } kv_triangle;
// c [m, n] = or += a [m, k] b [k, n]. Whole tiles of c are written: n rounded up to 16, m to 16, or to 8 where
// has_fast_products.
// Element (i, p) of a lies at i * a_row + p * a_column, one of which is 1; element (p, j) of b at p * b_row +
// j / 16 * b_panel + j % 16.
typedef struct {
  long m, n, k;
  const float *a, *b;
  long a_row, a_column, b_row, b_panel;
  float* c;
  long c_row;
  bool accumulate;
  kv_triangle triangle;
  long first;
} kv_product;

typedef struct {
  // Of n >= 0 elements; fixed order by n alone. Sums and products of float32 carry double between blocks.
  double (*sum_f32)(const float* x, long n);
  double (*sum_f64)(const double* x, long n);
  double (*product_f32)(const float* x, long n);
  double (*product_f64)(const double* x, long n);
  // NaN if there is one; of nothing -infinity and +infinity.
  float (*max_f32)(const float* x, long n);
  float (*min_f32)(const float* x, long n);
  double (*max_f64)(const double* x, long n);
  double (*min_f64)(const double* x, long n);

  // One row of n elements; y may be x.
  void (*softmax_f32)(const float* x, float* y, long n);
  void (*log_softmax_f32)(const float* x, float* y, long n);
  void (*layer_norm_f32)(const float* x, const float* scale, const float* shift, float* y, long n, double epsilon);
  void (*rms_norm_f32)(const float* x, const float* scale, float* y, long n, double epsilon);
  float (*cross_entropy_f32)(const float* x, long n, long label);
  void (*cross_entropy_gradient_f32)(const float* x, long n, long label, float g, float* y);
  void (*softmax_gradient_f32)(const float* p, const float* g, float* y, long n);
  void (*log_softmax_gradient_f32)(const float* l, const float* g, float* y, long n);
  // Of layer norm if centred, else of RMS norm.
  void (*norm_gradient_f32)(const float* x, const float* g, const float* scale, float* y, long n, double epsilon,
                            bool centred);

  // The sum of (a - a_shift) * (b - b_shift), or of a - a_shift.
  double (*dot_f32)(const kv_dot_lines* lines);

  // y[i] += a * x[i]
  void (*axpy_f32)(long n, float a, const float* x, float* y);
  void (*axpy_f64)(long n, double a, const double* x, double* y);

  // Adam's update of n elements (kv_adam.h).
  void (*adam_f32)(const kv_adam_numbers* numbers, const float* w, const float* m, const float* v, const float* g,
                   float* new_w, float* new_m, float* new_v, long n);

  // Direct convolution (direct.inc.h): filters of one tile, and taps of one call of direct_dots.
  int direct_filters, direct_taps;
  void (*direct_rows)(const float* x, const int64_t* offsets, long taps, const float* w, float* y, long y_stride,
                      long count);
  void (*direct_dots)(const float* y, long y_stride, const float* x, const int64_t* offsets, long count, float* sums);

  // One row of n windows of 2x2 (pool_rows.inc.h).
  void (*pool_max_f32)(const float* top, const float* bottom, float* y, long n);
  void (*pool_max_gradient_f32)(const float* top, const float* bottom, const float* g, float* to_top, float* to_bottom,
                                long n);

  // Products (product.inc.h), and whether they are as fast as those of a BLAS. Panels: x [rows, columns] as
  // [rows / 16, columns, 16], zeros past the last row.
  bool has_fast_products;
  void (*product)(const kv_product* product);
  void (*pack_panels)(const float* x, long stride, long rows, long columns, float* to);

  // Between planes and points of 16 channels (pixels.inc.h).
  void (*pixels_from_planes)(const float* x, long plane, long channels, long rows, long width, float* to, long row,
                             long point);
  void (*planes_from_pixels)(const float* from, long row, long point, long rows, long width, long channels, float* y,
                             long plane);

  // Winograd convolution (winograd.inc.h): the transforms.
  void (*winograd_input)(const float* x, long row, long tiles, float* v, long place, long tile);
  void (*winograd_output)(const float* m, long place, long tile, long tiles, float* y, long row, float* check);
  void (*winograd_output_gradient)(const float* g, long row, long tiles, float* m, long place, long tile);
  void (*winograd_filter)(const float* w, long step, float* u, long place);
  void (*winograd_filter_gradient)(const float* u, long place, float* w, float* check);

  // Attention (attention.inc.h): operands to and from padded memory; rows of scores, `line` apart, of which row i has
  // min(n + i, most) columns.
  void (*attention_pack_rows)(const float* x, long stride, long rows, long columns, float factor, float* to);
  void (*attention_unpack_rows)(const float* from, long rows, long columns, const float* divisors, float* y,
                                long stride);
  void (*attention_exp_rows)(float* x, long line, long rows, long n, long most, float* sums);
  void (*attention_gradient_rows)(float* x, float* d, long line, long rows, long n, long most);
} kv_kernels;

// The ISA in use: the best the CPU has, or what KILN_CPU_ISA (baseline, avx2, avx512) asks for if the CPU has it.
kv_isa kv_current_isa(void);
// Switches; returns false if the CPU lacks it. For tests; not while work is running.
bool kv_set_isa(kv_isa isa);
bool kv_isa_available(kv_isa isa);
const char* kv_isa_name(kv_isa isa);

const kv_kernels* kv_get_kernels(void);
// The loop of that name, or NULL.
kv_loop kv_find_loop(const char* name, kv_dtype dtype, kv_form form);

#endif
