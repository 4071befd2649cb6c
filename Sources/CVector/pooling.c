#include <math.h>
#include <string.h>

#include "kv_kernels.h"
#include "kv_pool.h"
#include "kv_steps.h"

typedef struct {
  const kv_pooling* s;
  const void *a, *b;
  void* y;
} pooling_job;

// The taps of one window that lie inside x: first..<last along an axis.
static void taps(int64_t out, int64_t stride, int64_t pad, int64_t dilation, int64_t kernel, int64_t size,
                 int64_t* first, int64_t* last, int64_t* origin) {
  int64_t start = out * stride - pad;
  *origin = start;
  if (dilation == 1) {
    *first = start >= 0 ? 0 : -start < kernel ? -start : kernel;
    *last = size - start < kernel ? size - start : kernel;
    if (*last < *first) *last = *first;
    return;
  }
  *first = start >= 0 ? 0 : (-start + dilation - 1) / dilation;
  int64_t end = (size - start + dilation - 1) / dilation;
  *last = end < kernel ? end : kernel;
  if (*last < *first) *last = *first;
}

#define WINDOW                                                                                                         \
  int64_t y0, y1, oy, x0, x1, ox;                                                                                      \
  taps(i, s->stride_y, s->pad_top, s->dilation_y, s->kernel_height, s->height, &y0, &y1, &oy);                         \
  taps(j, s->stride_x, s->pad_left, s->dilation_x, s->kernel_width, s->width, &x0, &x1, &ox);

// The position of the window's maximum: NaN first, then the first of equals; -1 if every tap is outside.
#define FIND_MAXIMUM(T)                                                                                                \
  int64_t best = -1;                                                                                                   \
  T most = 0;                                                                                                          \
  for (int64_t ky = y0; ky < y1; ky++) {                                                                               \
    for (int64_t kx = x0; kx < x1; kx++) {                                                                             \
      int64_t at = (oy + ky * s->dilation_y) * s->width + ox + kx * s->dilation_x;                                     \
      T v = x[at];                                                                                                     \
      if (best < 0 || v > most || (v != v && most == most)) best = at, most = v;                                       \
    }                                                                                                                  \
  }

// Windows that reach a row of results through one tap: those from `first` to before the end that is returned.
static int64_t tapped(const kv_pooling* s, int64_t kx, int64_t* first) {
  const int64_t place = kx * s->dilation_x - s->pad_left, last = s->width - 1 - place;
  *first = place >= 0 ? 0 : (-place + s->stride_x - 1) / s->stride_x;
  const int64_t end = last < 0 ? 0 : last / s->stride_x + 1;
  return end < s->out_width ? end : s->out_width;
}
// The same loop with a step that the compiler knows, where it is a usual one.
#define BY_STEPS(...)                                                                                                  \
  if (s->stride_x == 1) {                                                                                              \
    const int64_t step = 1;                                                                                            \
    for (int64_t j = first; j < end; j++) __VA_ARGS__;                                                                 \
  } else if (s->stride_x == 2) {                                                                                       \
    const int64_t step = 2;                                                                                            \
    for (int64_t j = first; j < end; j++) __VA_ARGS__;                                                                 \
  } else {                                                                                                             \
    const int64_t step = s->stride_x;                                                                                  \
    for (int64_t j = first; j < end; j++) __VA_ARGS__;                                                                 \
  }
// Maxima, means or what is shared out of one plane, a row of results and a tap at a time: every window meets its taps
// in their order. The rows of x come from or go to `plane`, those of results lie in `results`; `row` has room for two.
#define POOL_ROWS(T, NAME, NOTHING)                                                                                    \
  static void NAME(const kv_pooling* s, T* restrict plane, T* restrict results, T* restrict row) {                     \
    const bool shares = s->kind == KV_POOL_AVERAGE_GRADIENT, most = s->kind == KV_POOL_MAX;                            \
    /* How many numbers of a row of x a window is of. */                                                               \
    T* counts = row + s->out_width;                                                                                    \
    for (int64_t j = 0; j < s->out_width && !most; j++) {                                                              \
      int64_t x0, x1, ox;                                                                                              \
      taps(j, s->stride_x, s->pad_left, s->dilation_x, s->kernel_width, s->width, &x0, &x1, &ox);                      \
      counts[j] = (T)(s->count_padding ? s->kernel_width : x1 > x0 ? x1 - x0 : 1);                                     \
    }                                                                                                                  \
    for (int64_t i = 0; i < s->out_height; i++, results += s->out_width) {                                             \
      int64_t y0, y1, oy;                                                                                              \
      taps(i, s->stride_y, s->pad_top, s->dilation_y, s->kernel_height, s->height, &y0, &y1, &oy);                     \
      const T lines = (T)(s->count_padding ? s->kernel_height : y1 > y0 ? y1 - y0 : 1);                                \
      if (shares) {                                                                                                    \
        for (int64_t j = 0; j < s->out_width; j++) row[j] = results[j] / (lines * counts[j]);                          \
      } else {                                                                                                         \
        for (int64_t j = 0; j < s->out_width; j++) row[j] = most ? (T)NOTHING : 0;                                     \
      }                                                                                                                \
      for (int64_t ky = y0; ky < y1; ky++) {                                                                           \
        for (int64_t kx = 0; kx < s->kernel_width; kx++) {                                                             \
          int64_t first, end = tapped(s, kx, &first);                                                                  \
          T* x = plane + (oy + ky * s->dilation_y) * s->width + kx * s->dilation_x - s->pad_left;                      \
          if (shares) {                                                                                                \
            BY_STEPS(x[j * step] += row[j])                                                                            \
          } else if (most) {                                                                                           \
            BY_STEPS({                                                                                                 \
              const T v = x[j * step];                                                                                 \
              row[j] = (v > row[j]) | ((v != v) & (row[j] == row[j])) ? v : row[j];                                    \
            })                                                                                                         \
          } else {                                                                                                     \
            BY_STEPS(row[j] += x[j * step])                                                                            \
          }                                                                                                            \
        }                                                                                                              \
      }                                                                                                                \
      if (most) {                                                                                                      \
        memcpy(results, row, (size_t)s->out_width * sizeof(T));                                                        \
      } else if (!shares) {                                                                                            \
        for (int64_t j = 0; j < s->out_width; j++) results[j] = row[j] / (lines * counts[j]);                          \
      }                                                                                                                \
    }                                                                                                                  \
  }
POOL_ROWS(float, pool_rows_f32, -INFINITY)
POOL_ROWS(double, pool_rows_f64, -INFINITY)

#define POOLING(T, NOTHING)                                                                                            \
  {                                                                                                                    \
    const int64_t plane = s->height * s->width, out_plane = s->out_height * s->out_width;                              \
    bool gradient = s->kind == KV_POOL_MAX_GRADIENT || s->kind == KV_POOL_AVERAGE_GRADIENT;                            \
    const T* x = (const T*)job->a + p * (s->kind == KV_POOL_AVERAGE_GRADIENT ? out_plane : plane);                     \
    const T* b = (const T*)job->b + (job->b ? p * (s->kind == KV_POOL_MAX_GRADIENT ? out_plane : plane) : 0);          \
    T* y = (T*)job->y + p * (gradient ? plane : out_plane);                                                            \
    if (gradient) memset(y, 0, (size_t)plane * sizeof(T));                                                             \
    for (int64_t i = 0; i < s->out_height; i++) {                                                                      \
      for (int64_t j = 0; j < s->out_width; j++) {                                                                     \
        WINDOW                                                                                                         \
        int64_t to = i * s->out_width + j;                                                                             \
        switch (s->kind) {                                                                                             \
        case KV_POOL_MAX: {                                                                                            \
          FIND_MAXIMUM(T)                                                                                              \
          y[to] = best < 0 ? (T)NOTHING : most;                                                                        \
          break;                                                                                                       \
        }                                                                                                              \
        case KV_POOL_MAX_GRADIENT: {                                                                                   \
          FIND_MAXIMUM(T)                                                                                              \
          if (best >= 0) y[best] += b[to];                                                                             \
          break;                                                                                                       \
        }                                                                                                              \
        case KV_POOL_MAX_GATHER: {                                                                                     \
          FIND_MAXIMUM(T)                                                                                              \
          y[to] = best < 0 ? 0 : b[best];                                                                              \
          break;                                                                                                       \
        }                                                                                                              \
        default: {                                                                                                     \
          int64_t count = s->count_padding ? s->kernel_height * s->kernel_width : (y1 - y0) * (x1 - x0);               \
          if (count < 1) count = 1;                                                                                    \
          T sum = 0, share = gradient ? x[to] / (T)count : 0;                                                          \
          for (int64_t ky = y0; ky < y1; ky++) {                                                                       \
            for (int64_t kx = x0; kx < x1; kx++) {                                                                     \
              int64_t at = (oy + ky * s->dilation_y) * s->width + ox + kx * s->dilation_x;                             \
              if (gradient)                                                                                            \
                y[at] += share;                                                                                        \
              else                                                                                                     \
                sum += x[at];                                                                                          \
            }                                                                                                          \
          }                                                                                                            \
          if (!gradient) y[to] = sum / (T)count;                                                                       \
        }                                                                                                              \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    break;                                                                                                             \
  }
// Maxima of 2x2 windows that do not overlap, and the gradient to them: by far the most used.
static bool is_halving(const kv_pooling* s) {
  return s->dtype == KV_F32 && (s->kind == KV_POOL_MAX || s->kind == KV_POOL_MAX_GRADIENT) && s->kernel_height == 2 &&
         s->kernel_width == 2 && s->stride_y == 2 && s->stride_x == 2 && s->dilation_y == 1 && s->dilation_x == 1 &&
         s->pad_top == 0 && s->pad_left == 0 && 2 * s->out_height <= s->height && 2 * s->out_width <= s->width;
}

static void halving_task(void* context, long p, int thread) {
  const pooling_job* job = context;
  const kv_pooling* s = job->s;
  const kv_kernels* k = kv_get_kernels();
  (void)thread;
  const int64_t plane = s->height * s->width, out_plane = s->out_height * s->out_width;
  const float* x = (const float*)job->a + p * plane;
  bool gradient = s->kind == KV_POOL_MAX_GRADIENT;
  float* y = (float*)job->y + p * (gradient ? plane : out_plane);
  const float* g = gradient ? (const float*)job->b + p * out_plane : NULL;
  if (gradient && (2 * s->out_height < s->height || 2 * s->out_width < s->width)) memset(y, 0, (size_t)plane * 4);
  for (int64_t i = 0; i < s->out_height; i++) {
    const float *top = x + 2 * i * s->width, *bottom = top + s->width;
    if (gradient) {
      float* to = y + 2 * i * s->width;
      k->pool_max_gradient_f32(top, bottom, g + i * s->out_width, to, to + s->width, (long)s->out_width);
    } else {
      k->pool_max_f32(top, bottom, y + i * s->out_width, (long)s->out_width);
    }
  }
}

// Rows of results that are long enough for loops along them.
static bool is_by_rows(const kv_pooling* s) {
  return (s->dtype == KV_F32 || s->dtype == KV_F64) && s->kind != KV_POOL_MAX_GRADIENT &&
         s->kind != KV_POOL_MAX_GATHER && s->out_width >= 8;
}
static void rows_task(void* context, long p, int thread) {
  const pooling_job* job = context;
  const kv_pooling* s = job->s;
  const int64_t plane = p * s->height * s->width, results = p * s->out_height * s->out_width;
  const bool shares = s->kind == KV_POOL_AVERAGE_GRADIENT;
  char* x = shares ? job->y : (char*)job->a;
  char* y = shares ? (char*)job->a : job->y;
  const int64_t size = kv_size(s->dtype);
  if (shares) memset(x + plane * size, 0, (size_t)(s->height * s->width * size));
  if (s->dtype == KV_F32) {
    pool_rows_f32(s, (float*)x + plane, (float*)y + results, (float*)kv_scratch(thread));
  } else {
    pool_rows_f64(s, (double*)x + plane, (double*)y + results, (double*)kv_scratch(thread));
  }
}

static void pooling_task(void* context, long p, int thread) {
  const pooling_job* job = context;
  const kv_pooling* s = job->s;
  (void)thread;
  switch (s->dtype) {
  case KV_F32: POOLING(float, -INFINITY)
  case KV_F64: POOLING(double, -INFINITY)
  case KV_I32: POOLING(int32_t, INT32_MIN)
  case KV_I64: POOLING(int64_t, INT64_MIN)
  default: POOLING(uint8_t, 0)
  }
}

int64_t kv_pooling_scratch(const kv_pooling* s) { return 2 * s->out_width * kv_size(s->dtype); }

void kv_run_pooling(const kv_pooling* s, const void* a, const void* b, void* y) {
  pooling_job job = {s, a, b, y};
  double work =
      (double)s->planes * (double)(s->out_height * s->out_width) * (double)(s->kernel_height * s->kernel_width);
  kv_task task = is_halving(s) ? halving_task : is_by_rows(s) ? rows_task : pooling_task;
  if (work < 8192) {
    for (long p = 0; p < s->planes; p++) task(&job, p, 0);
  } else {
    kv_parallel((long)s->planes, task, &job);
  }
}
