#include <math.h>
#include <string.h>

#include "kv_kernels.h"
#include "kv_pool.h"
#include "kv_steps.h"

typedef struct {
  const kv_rowwise* s;
  const kv_binding* binding;
  const kv_row_operands* o;
  const kv_kernels* k;
  int64_t group;
} rowwise_job;

// One row: its inputs, the vectors, what is its own of labels and g, and its result.
typedef struct {
  const void *a, *a2, *b, *c;
  int64_t label;
  double g;
  void* y;
} row_work;

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
static double dot_f64(const double* x, const double* y, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += x[i] * (y ? y[i] : 1);
  return s;
}
static void norm_gradient_f64(const rowwise_job* job, const row_work* w) {
  int64_t n = job->s->columns;
  const double *x = w->a, *g = w->a2, *scale = w->b;
  double* y = w->y;
  bool centred = job->s->kind == KV_LAYER_NORM_GRADIENT;
  double mean = centred ? job->k->sum_f64(x, n) / n : 0, v = 0, sum = 0, slope = 0;
  for (int64_t i = 0; i < n; i++) v += (x[i] - mean) * (x[i] - mean);
  double r = 1 / sqrt(v / n + job->s->epsilon);
  for (int64_t i = 0; i < n; i++) {
    double h = g[i] * scale[i];
    sum += h;
    slope += h * (x[i] - mean) * r;
  }
  double shift = centred ? sum / n : 0;
  for (int64_t i = 0; i < n; i++) y[i] = (g[i] * scale[i] - shift - (x[i] - mean) * r * (slope / n)) * r;
}
static void row_f64(const rowwise_job* job, const row_work* w) {
  const kv_rowwise* s = job->s;
  int64_t n = s->columns;
  const double *x = w->a, *g = w->a2, *scale = w->b, *shift = w->c;
  double* y = w->y;
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
    *y = log(exp_sum(x, m, n, NULL)) + (m - x[w->label]);
    break;
  }
  case KV_CROSS_ENTROPY_GRADIENT: {
    double t = exp_sum(x, max_f64(x, n), n, y);
    for (int64_t i = 0; i < n; i++) y[i] = (y[i] / t - (i == w->label)) * w->g;
    break;
  }
  case KV_SOFTMAX_GRADIENT: {
    double t = dot_f64(x, g, n);
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * (g[i] - t);
    break;
  }
  case KV_LOG_SOFTMAX_GRADIENT: {
    double t = dot_f64(g, NULL, n);
    for (int64_t i = 0; i < n; i++) y[i] = g[i] - exp(x[i]) * t;
    break;
  }
  case KV_LAYER_NORM_GRADIENT:
  case KV_RMS_NORM_GRADIENT: norm_gradient_f64(job, w); break;
  }
}

static void row_f32(const rowwise_job* job, const row_work* w) {
  const kv_rowwise* s = job->s;
  const kv_kernels* k = job->k;
  int64_t n = s->columns;
  float* y = w->y;
  switch (s->kind) {
  case KV_SOFTMAX: k->softmax_f32(w->a, y, n); break;
  case KV_LOG_SOFTMAX: k->log_softmax_f32(w->a, y, n); break;
  case KV_LAYER_NORM: k->layer_norm_f32(w->a, w->b, w->c, y, n, s->epsilon); break;
  case KV_RMS_NORM: k->rms_norm_f32(w->a, w->b, y, n, s->epsilon); break;
  case KV_CROSS_ENTROPY: *y = k->cross_entropy_f32(w->a, n, w->label); break;
  case KV_CROSS_ENTROPY_GRADIENT: k->cross_entropy_gradient_f32(w->a, n, w->label, (float)w->g, y); break;
  case KV_SOFTMAX_GRADIENT: k->softmax_gradient_f32(w->a, w->a2, y, n); break;
  case KV_LOG_SOFTMAX_GRADIENT: k->log_softmax_gradient_f32(w->a, w->a2, y, n); break;
  case KV_LAYER_NORM_GRADIENT: k->norm_gradient_f32(w->a, w->a2, w->b, y, n, s->epsilon, true); break;
  case KV_RMS_NORM_GRADIENT: k->norm_gradient_f32(w->a, w->a2, w->b, y, n, s->epsilon, false); break;
  }
}

static bool has_labels(const kv_rowwise* s) {
  return s->kind == KV_CROSS_ENTROPY || s->kind == KV_CROSS_ENTROPY_GRADIENT;
}

// Rows first ..< first + count, whose inputs begin at a and a2 and whose results go to y.
static void run_rows(const rowwise_job* job, int64_t first, int64_t count, const char* a, const char* a2, char* y) {
  const kv_rowwise* s = job->s;
  const int64_t size = kv_size(s->dtype), wide = s->columns * size, width = s->kind == KV_CROSS_ENTROPY ? size : wide;
  const bool labels = has_labels(s);
  row_work w = {NULL, NULL, job->o->b, job->o->c, 0, 0, NULL};
  for (int64_t r = 0; r < count; r++) {
    w.a = a + r * wide;
    w.a2 = a2 ? a2 + r * wide : NULL;
    w.y = y + r * width;
    if (labels) {
      w.label = ((const int64_t*)job->o->b)[first + r];
      if (w.label == s->ignore_index) {
        memset(w.y, 0, (size_t)width);
        continue;
      }
      if (s->kind == KV_CROSS_ENTROPY_GRADIENT) {
        const int64_t at = (first + r) * s->scale_step;
        w.g = s->dtype == KV_F32 ? ((const float*)job->o->c)[at] : ((const double*)job->o->c)[at];
      }
    }
    if (s->dtype == KV_F32) {
      row_f32(job, &w);
    } else {
      row_f64(job, &w);
    }
  }
}

static int64_t staged_bytes(const kv_rowwise* s) { return (s->group * s->columns * kv_size(s->dtype) + 63) / 64 * 64; }

int64_t kv_rowwise_scratch(const kv_rowwise* s) {
  int64_t bytes = 0;
  if (s->has_prologue) bytes += kv_frame_bytes(&s->prologue) + 2 * staged_bytes(s);
  if (s->has_epilogue) bytes += kv_frame_bytes(&s->epilogue) + staged_bytes(s);
  return bytes;
}

// Evaluates elements first ..< first + count of the prologue into dense memory.
static void stage(kv_frame* frame, const int32_t* values, char* const* to, int64_t first, int64_t count, int64_t size) {
  const kv_expression* e = frame->e;
  int64_t row = first / e->row_count, start = first % e->row_count, done = 0;
  while (done < count) {
    kv_frame_row(frame, row);
    int64_t n = e->row_count - start;
    if (n > count - done) n = count - done;
    if (n > e->block) n = e->block;
    kv_frame_block(frame, start, n);
    for (int i = 0; i < 2; i++) {
      if (values[i] >= 0) memcpy(to[i] + done * size, kv_frame_value(frame, values[i]), (size_t)(n * size));
    }
    done += n;
    start += n;
    if (start == e->row_count) {
      row++;
      start = 0;
    }
  }
}

static void rowwise_task(void* context, long task, int thread) {
  const rowwise_job* job = context;
  const kv_rowwise* s = job->s;
  const kv_row_operands* o = job->o;
  int64_t first = task * job->group, last = first + job->group;
  if (last > s->rows) last = s->rows;
  const int64_t size = kv_size(s->dtype), wide = s->columns * size, width = s->kind == KV_CROSS_ENTROPY ? size : wide;
  char* scratch = kv_scratch(thread);
  kv_frame *prologue = NULL, *epilogue = NULL;
  char *staged[2] = {NULL, NULL}, *result = NULL;
  if (s->has_prologue) {
    prologue = kv_frame_begin(&s->prologue, job->binding, scratch);
    staged[0] = scratch + kv_frame_bytes(&s->prologue);
    staged[1] = staged[0] + staged_bytes(s);
    scratch = staged[1] + staged_bytes(s);
  }
  if (s->has_epilogue) {
    epilogue = kv_frame_begin(&s->epilogue, job->binding, scratch);
    result = scratch + kv_frame_bytes(&s->epilogue);
  }
  const int64_t group = prologue || epilogue ? s->group : last - first;
  for (int64_t r = first; r < last; r += group) {
    const int64_t rows = last - r < group ? last - r : group;
    if (prologue) stage(prologue, s->staged, staged, r * s->columns, rows * s->columns, size);
    const char* in[2];
    for (int i = 0; i < 2; i++) {
      const bool is_staged = prologue && s->staged[i] >= 0;
      in[i] = is_staged ? staged[i] : o->a[i] ? (const char*)o->a[i] + r * wide : NULL;
    }
    run_rows(job, r, rows, in[0], in[1], epilogue ? result : (char*)o->y + r * width);
    if (epilogue) {
      // Where the first row's results would be if all were kept.
      epilogue->result = (char*)((intptr_t)result - (intptr_t)(r * wide));
      kv_frame_range(epilogue, r * s->columns, rows * s->columns);
    }
  }
}

kv_fault kv_run_rowwise(const kv_rowwise* s, const kv_binding* binding, const kv_row_operands* o) {
  if (has_labels(s)) {
    const int64_t* labels = o->b;
    for (int64_t i = 0; i < s->rows; i++) {
      if (labels[i] != s->ignore_index && (labels[i] < 0 || labels[i] >= s->columns)) {
        return (kv_fault){i, labels[i], s->columns};
      }
    }
  }
  rowwise_job job = {s, binding, o, kv_get_kernels(), s->rows};
  long tasks = (long)(s->rows * s->columns / (s->has_prologue || s->has_epilogue ? 2048 : 4096));
  long most = 4L * kv_threads();
  if (tasks > most) tasks = most;
  if (tasks < 1) tasks = 1;
  job.group = (s->rows + tasks - 1) / tasks;
  kv_parallel((long)((s->rows + job.group - 1) / job.group), rowwise_task, &job);
  return (kv_fault){-1, 0, 0};
}
