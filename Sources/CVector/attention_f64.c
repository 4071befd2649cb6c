// Attention in float64: plain loops over one row of scores at a time.
#include "attention.h"

#include <math.h>
#include <string.h>

static double dot(const double* x, const double* y, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] * y[i];
  return s;
}

// p = softmax(scale * q k^T) over the first n keys.
static void probabilities(const kv_attention* s, const double* q, const double* k, int64_t n, double* p) {
  double m = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++) {
    p[j] = dot(q, k + j * s->k.row, s->features) * s->scale;
    if (p[j] > m || isnan(p[j])) m = p[j];
  }
  for (int64_t j = 0; j < n; j++) sum += p[j] = exp(p[j] - m);
  for (int64_t j = 0; j < n; j++) p[j] /= sum;
}

void kv_attention_f64(const kv_attention* s, const kv_binding* binding, int64_t b, int64_t first, int64_t last,
                      char* scratch) {
  const kv_kernels* kernels = kv_get_kernels();
  const double* q = (const double*)kv_rows_of_batch(s, binding, &s->q, b);
  const double* k = (const double*)kv_rows_of_batch(s, binding, &s->k, b);
  const double* v = (const double*)kv_rows_of_batch(s, binding, &s->v, b);
  double *o = (double*)kv_rows_of_batch(s, binding, &s->o, b), *p = (double*)scratch;
  for (int64_t i = first; i < last; i++) {
    const int64_t n = kv_keys_seen(s, i + 1);
    double* row = o + i * s->o.row;
    probabilities(s, q + i * s->q.row, k, n, p);
    memset(row, 0, (size_t)s->value_features * 8);
    for (int64_t j = 0; j < n; j++) kernels->axpy_f64((long)s->value_features, p[j], v + j * s->v.row, row);
  }
}

static void clear(double* x, int64_t row, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; i++) memset(x + i * row, 0, (size_t)columns * 8);
}

void kv_attention_gradient_f64(const kv_attention* s, const kv_binding* binding, int64_t b, char* scratch) {
  const kv_kernels* kernels = kv_get_kernels();
  const long features = (long)s->features, value_features = (long)s->value_features;
  const double* q = (const double*)kv_rows_of_batch(s, binding, &s->q, b);
  const double* k = (const double*)kv_rows_of_batch(s, binding, &s->k, b);
  const double* v = (const double*)kv_rows_of_batch(s, binding, &s->v, b);
  const double* g = (const double*)kv_rows_of_batch(s, binding, &s->g, b);
  double* dq = (double*)kv_rows_of_batch(s, binding, &s->dq, b);
  double* dk = (double*)kv_rows_of_batch(s, binding, &s->dk, b);
  double* dv = (double*)kv_rows_of_batch(s, binding, &s->dv, b);
  double *p = (double*)scratch, *d = p + s->keys;
  clear(dq, s->dq.row, s->queries, s->features);
  clear(dk, s->dk.row, s->keys, s->features);
  clear(dv, s->dv.row, s->keys, s->value_features);
  for (int64_t i = 0; i < s->queries; i++) {
    const int64_t n = kv_keys_seen(s, i + 1);
    const double *query = q + i * s->q.row, *gradient = g + i * s->g.row;
    probabilities(s, query, k, n, p);
    double mean = 0;
    for (int64_t j = 0; j < n; j++) {
      d[j] = dot(gradient, v + j * s->v.row, s->value_features);
      mean += p[j] * d[j];
    }
    for (int64_t j = 0; j < n; j++) {
      const double slope = p[j] * (d[j] - mean) * s->scale;
      kernels->axpy_f64(features, slope, k + j * s->k.row, dq + i * s->dq.row);
      kernels->axpy_f64(features, slope, query, dk + j * s->dk.row);
      kernels->axpy_f64(value_features, p[j], gradient, dv + j * s->dv.row);
    }
  }
}

int64_t kv_attention_scratch_f64(const kv_attention* s) { return 2 * s->keys * 8; }
