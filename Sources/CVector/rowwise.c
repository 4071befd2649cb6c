#include <math.h>
#include <string.h>

#include "kv_kernels.h"
#include "kv_pool.h"
#include "kv_steps.h"

typedef struct {
  const kv_rowwise* s;
  const void *a, *b, *c;
  void* y;
  const kv_kernels* k;
  int64_t group;
} rowwise_job;

// float64: plain loops through libm.
static double max_f64(const double* x, int64_t n) {
  double m = -INFINITY;
  for (int64_t i = 0; i < n; i++) m = x[i] > m || isnan(x[i]) ? x[i] : m;
  return m;
}
static double exp_sum(const double* x, double m, int64_t n, double* y) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) {
    double e = exp(x[i] - m);
    if (y) y[i] = e;
    s += e;
  }
  return s;
}
static void row_f64(const rowwise_job* job, int64_t row) {
  const kv_rowwise* s = job->s;
  int64_t n = s->columns;
  const double* x = (const double*)job->a + row * n;
  bool one = s->kind == KV_CROSS_ENTROPY;
  double* y = (double*)job->y + row * (one ? 1 : n);
  const double *scale = job->b, *shift = job->c;
  switch (s->kind) {
  case KV_SOFTMAX: {
    double t = exp_sum(x, max_f64(x, n), n, y);
    for (int64_t i = 0; i < n; i++) y[i] /= t;
    break;
  }
  case KV_LOG_SOFTMAX: {
    double m = max_f64(x, n), t = log(exp_sum(x, m, n, NULL));
    for (int64_t i = 0; i < n; i++) y[i] = x[i] - m - t;
    break;
  }
  case KV_LAYER_NORM: {
    double mean = job->k->sum_f64(x, n) / n, v = 0;
    for (int64_t i = 0; i < n; i++) v += (x[i] - mean) * (x[i] - mean);
    double r = 1 / sqrt(v / n + s->epsilon);
    for (int64_t i = 0; i < n; i++) y[i] = (x[i] - mean) * r * scale[i] + shift[i];
    break;
  }
  case KV_RMS_NORM: {
    double v = 0;
    for (int64_t i = 0; i < n; i++) v += x[i] * x[i];
    double r = 1 / sqrt(v / n + s->epsilon);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * r * scale[i];
    break;
  }
  case KV_CROSS_ENTROPY: {
    double m = max_f64(x, n);
    *y = log(exp_sum(x, m, n, NULL)) + (m - x[((const int64_t*)job->b)[row]]);
    break;
  }
  case KV_CROSS_ENTROPY_GRADIENT: {
    double t = exp_sum(x, max_f64(x, n), n, y), g = ((const double*)job->c)[row];
    int64_t label = ((const int64_t*)job->b)[row];
    for (int64_t i = 0; i < n; i++) y[i] = (y[i] / t - (i == label)) * g;
    break;
  }
  }
}

static void row_f32(const rowwise_job* job, int64_t row) {
  const kv_rowwise* s = job->s;
  int64_t n = s->columns;
  const float* x = (const float*)job->a + row * n;
  float* y = (float*)job->y + row * (s->kind == KV_CROSS_ENTROPY ? 1 : n);
  const int64_t* labels = job->b;
  switch (s->kind) {
  case KV_SOFTMAX: job->k->softmax_f32(x, y, n); break;
  case KV_LOG_SOFTMAX: job->k->log_softmax_f32(x, y, n); break;
  case KV_LAYER_NORM: job->k->layer_norm_f32(x, job->b, job->c, y, n, s->epsilon); break;
  case KV_RMS_NORM: job->k->rms_norm_f32(x, job->b, y, n, s->epsilon); break;
  case KV_CROSS_ENTROPY: *y = job->k->cross_entropy_f32(x, n, labels[row]); break;
  case KV_CROSS_ENTROPY_GRADIENT:
    job->k->cross_entropy_gradient_f32(x, n, labels[row], ((const float*)job->c)[row], y);
    break;
  }
}

static void rowwise_task(void* context, long task, int thread) {
  const rowwise_job* job = context;
  const kv_rowwise* s = job->s;
  (void)thread;
  int64_t first = task * job->group, last = first + job->group;
  if (last > s->rows) last = s->rows;
  bool labels = s->kind == KV_CROSS_ENTROPY || s->kind == KV_CROSS_ENTROPY_GRADIENT;
  int64_t width = (s->kind == KV_CROSS_ENTROPY ? 1 : s->columns) * kv_size(s->dtype);
  for (int64_t row = first; row < last; row++) {
    if (labels && ((const int64_t*)job->b)[row] == s->ignore_index) {
      memset((char*)job->y + row * width, 0, (size_t)width);
    } else if (s->dtype == KV_F32) {
      row_f32(job, row);
    } else {
      row_f64(job, row);
    }
  }
}

kv_fault kv_run_rowwise(const kv_rowwise* s, const void* a, const void* b, const void* c, void* y) {
  if (s->kind == KV_CROSS_ENTROPY || s->kind == KV_CROSS_ENTROPY_GRADIENT) {
    const int64_t* labels = b;
    for (int64_t i = 0; i < s->rows; i++) {
      if (labels[i] != s->ignore_index && (labels[i] < 0 || labels[i] >= s->columns)) {
        return (kv_fault){i, labels[i], s->columns};
      }
    }
  }
  rowwise_job job = {s, a, b, c, y, kv_get_kernels(), s->rows};
  long tasks = (long)(s->rows * s->columns / 4096);
  long most = 4L * kv_threads();
  if (tasks > most) tasks = most;
  if (tasks < 1) tasks = 1;
  job.group = (s->rows + tasks - 1) / tasks;
  kv_parallel((long)((s->rows + job.group - 1) / job.group), rowwise_task, &job);
  return (kv_fault){-1, 0, 0};
}
