#include "kv_reduce.h"

#include <math.h>
#include <string.h>

#include "kv_kernels.h"
#include "kv_pool.h"

#define RESULT_BLOCK 1024 // outer points whose results are kept for one epilogue block
#define COLUMN_BLOCK 1024

static bool is_arg(kv_reduction kind) { return kind == KV_ARGMAX || kind == KV_ARGMIN; }
static bool is_float(kv_dtype dtype) { return dtype == KV_F32 || dtype == KV_F64; }
static int result_size(const kv_reduce* s) { return is_arg(s->kind) ? 8 : kv_size(s->dtype); }

static kv_partial partial_start(const kv_reduce* s) {
  kv_partial p = {.index = -1};
  bool product = s->kind == KV_PRODUCT, most = s->kind == KV_MAX || s->kind == KV_ARGMAX;
  bool extreme = s->kind >= KV_MAX;
  if (is_float(s->dtype)) {
    p.value.f = product ? 1 : !extreme ? 0 : most ? -INFINITY : INFINITY;
  } else {
    p.value.i = product ? 1 : !extreme ? 0 : most ? INT64_MIN : INT64_MAX;
  }
  return p;
}

// b comes after a.
static kv_partial partial_merge(const kv_reduce* s, kv_partial a, kv_partial b) {
  bool floats = is_float(s->dtype);
  switch (s->kind) {
  case KV_SUM:
    if (floats)
      a.value.f += b.value.f;
    else
      a.value.i = (int64_t)((uint64_t)a.value.i + (uint64_t)b.value.i);
    return a;
  case KV_PRODUCT:
    if (floats)
      a.value.f *= b.value.f;
    else
      a.value.i = (int64_t)((uint64_t)a.value.i * (uint64_t)b.value.i);
    return a;
  default: break;
  }
  if (is_arg(s->kind)) {
    if (b.index < 0) return a;
    if (a.index < 0) return b;
  }
  bool most = s->kind == KV_MAX || s->kind == KV_ARGMAX;
  if (floats) {
    if (isnan(a.value.f)) return a;
    if (isnan(b.value.f) || (most ? b.value.f > a.value.f : b.value.f < a.value.f)) return b;
    return a;
  }
  return (most ? b.value.i > a.value.i : b.value.i < a.value.i) ? b : a;
}

#define INTEGER_BLOCK(T)                                                                                               \
  {                                                                                                                    \
    const T* x = v;                                                                                                    \
    switch (s->kind) {                                                                                                 \
    case KV_SUM: {                                                                                                     \
      uint64_t t = 0;                                                                                                  \
      for (int64_t i = 0; i < n; i++) t += (uint64_t)(int64_t)x[i];                                                    \
      p.value.i = (int64_t)t;                                                                                          \
      break;                                                                                                           \
    }                                                                                                                  \
    case KV_PRODUCT: {                                                                                                 \
      uint64_t t = 1;                                                                                                  \
      for (int64_t i = 0; i < n; i++) t *= (uint64_t)(int64_t)x[i];                                                    \
      p.value.i = (int64_t)t;                                                                                          \
      break;                                                                                                           \
    }                                                                                                                  \
    case KV_MAX:                                                                                                       \
    case KV_ARGMAX: {                                                                                                  \
      T t = x[0];                                                                                                      \
      for (int64_t i = 0; i < n; i++) t = x[i] > t ? x[i] : t;                                                         \
      p.value.i = (int64_t)t;                                                                                          \
      break;                                                                                                           \
    }                                                                                                                  \
    default: {                                                                                                         \
      T t = x[0];                                                                                                      \
      for (int64_t i = 0; i < n; i++) t = x[i] < t ? x[i] : t;                                                         \
      p.value.i = (int64_t)t;                                                                                          \
    }                                                                                                                  \
    }                                                                                                                  \
    if (is_arg(s->kind)) {                                                                                             \
      int64_t i = 0;                                                                                                   \
      while ((int64_t)x[i] != p.value.i) i++;                                                                          \
      p.index = position + i;                                                                                          \
    }                                                                                                                  \
    return p;                                                                                                          \
  }
#define FIND(T)                                                                                                        \
  {                                                                                                                    \
    const T* x = v;                                                                                                    \
    int64_t i = 0;                                                                                                     \
    if (isnan(p.value.f)) {                                                                                            \
      while (!isnan(x[i])) i++;                                                                                        \
    } else {                                                                                                           \
      while ((double)x[i] != p.value.f) i++;                                                                           \
    }                                                                                                                  \
    p.index = position + i;                                                                                            \
  }

// n >= 1 elements at v, the first of which is at position along inner.
static kv_partial reduce_block(const kv_reduce* s, const kv_kernels* k, const void* v, int64_t n, int64_t position) {
  kv_partial p = {.index = -1};
  bool most = s->kind == KV_MAX || s->kind == KV_ARGMAX;
  switch (s->dtype) {
  case KV_F32:
    p.value.f = s->kind == KV_SUM       ? k->sum_f32(v, n)
                : s->kind == KV_PRODUCT ? k->product_f32(v, n)
                : most                  ? k->max_f32(v, n)
                                        : k->min_f32(v, n);
    if (is_arg(s->kind)) FIND(float)
    return p;
  case KV_F64:
    p.value.f = s->kind == KV_SUM       ? k->sum_f64(v, n)
                : s->kind == KV_PRODUCT ? k->product_f64(v, n)
                : most                  ? k->max_f64(v, n)
                                        : k->min_f64(v, n);
    if (is_arg(s->kind)) FIND(double)
    return p;
  case KV_I32: INTEGER_BLOCK(int32_t)
  case KV_I64: INTEGER_BLOCK(int64_t)
  default: INTEGER_BLOCK(uint8_t)
  }
}

static void store_result(const kv_reduce* s, kv_partial p, char* to) {
  if (is_arg(s->kind)) {
    memcpy(to, &p.index, 8);
    return;
  }
  float f = (float)p.value.f;
  int32_t i = (int32_t)p.value.i;
  uint8_t u = (uint8_t)p.value.i;
  switch (s->dtype) {
  case KV_F32: memcpy(to, &f, 4); break;
  case KV_F64:
  case KV_I64: memcpy(to, &p.value, 8); break;
  case KV_I32: memcpy(to, &i, 4); break;
  default: memcpy(to, &u, 1); break;
  }
}

typedef struct {
  const kv_reduce* s;
  const kv_binding* binding;
  const kv_kernels* k;
  int64_t group; // outer points per task
} reduce_job;

static int64_t align(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

int64_t kv_reduce_scratch(const kv_reduce* s) {
  int64_t columns = (COLUMN_BLOCK * 2 + 512) * 2 * 16;
  return align(kv_frame_bytes(&s->prologue)) + align(kv_frame_bytes(&s->epilogue)) + align(RESULT_BLOCK * 8) + columns;
}

typedef struct {
  kv_frame *prologue, *epilogue;
  char *results, *columns;
} reduce_frames;

static reduce_frames frames_begin(const reduce_job* job, int thread) {
  char* scratch = kv_scratch(thread);
  const kv_reduce* s = job->s;
  reduce_frames f;
  f.prologue = kv_frame_begin(&s->prologue, job->binding, scratch);
  scratch += align(kv_frame_bytes(&s->prologue));
  f.epilogue = kv_frame_begin(&s->epilogue, job->binding, scratch);
  scratch += align(kv_frame_bytes(&s->epilogue));
  f.results = scratch;
  f.columns = scratch + align(RESULT_BLOCK * 8);
  return f;
}

// Results of outer points first ..< first + count lie at results; the epilogue stores what becomes of them.
static void finish(const kv_reduce* s, kv_frame* epilogue, char* results, int64_t first, int64_t count) {
  epilogue->result = results - first * result_size(s);
  kv_frame_range(epilogue, first, count);
}

static const float* line(const kv_binding* binding, const kv_lines* x, int64_t outer, int64_t lead) {
  if (x->slot < 0) return NULL;
  return (const float*)binding->bases[x->slot] + x->offset + outer * x->outer_stride + lead * x->lead_stride;
}
// The same sum; from and to are ends of lines.
static kv_partial dot_span(const reduce_job* job, int64_t outer, int64_t from, int64_t to) {
  const kv_dot* d = &job->s->dot;
  const kv_binding* binding = job->binding;
  const float *a_shift = line(binding, &d->a_shift, outer, 0), *b_shift = line(binding, &d->b_shift, outer, 0);
  const int64_t first = d->line ? from / d->line : 0, lines = d->line ? (to - from) / d->line : 0;
  const kv_dot_lines lines_of = {.a = line(binding, &d->a, outer, first),
                                 .b = line(binding, &d->b, outer, first),
                                 .a_lead = (long)d->a.lead_stride,
                                 .b_lead = (long)d->b.lead_stride,
                                 .a_shift = a_shift ? *a_shift : 0,
                                 .b_shift = b_shift ? *b_shift : 0,
                                 .lines = (long)lines,
                                 .count = (long)d->line};
  return (kv_partial){.index = -1, .value.f = job->k->dot_f32(&lines_of)};
}

// inner elements from..<to of one outer point.
static kv_partial reduce_span(const reduce_job* job, kv_frame* frame, int64_t outer, int64_t from, int64_t to) {
  const kv_reduce* s = job->s;
  const kv_kernels* k = job->k;
  if (s->dot.is_set) return dot_span(job, outer, from, to);
  kv_partial p = partial_start(s);
  const kv_expression* e = &s->prologue;
  int64_t at = outer * s->inner + from, end = outer * s->inner + to;
  while (at < end) {
    int64_t row = at / e->row_count, start = at % e->row_count, n = end - at;
    if (n > e->row_count - start) n = e->row_count - start;
    if (n > e->block) n = e->block;
    kv_frame_row(frame, row);
    kv_frame_block(frame, start, n);
    kv_partial b = reduce_block(s, k, kv_frame_value(frame, s->prologue_value), n, at - outer * s->inner);
    p = partial_merge(s, p, b);
    at += n;
  }
  return p;
}

// Rows, each whole: several short ones share a block.
static void rows_task(void* context, long task, int thread) {
  const reduce_job* job = context;
  const kv_reduce* s = job->s;
  reduce_frames f = frames_begin(job, thread);
  int64_t first = task * job->group, last = first + job->group;
  if (last > s->outer) last = s->outer;
  int size = result_size(s);
  const kv_expression* e = &s->prologue;
  // Blocks hold whole rows where a row of the expression does, so that one call of the evaluator serves many.
  bool many = !s->dot.is_set && e->rows == 1 && s->inner > 0 && s->inner * 2 <= e->block;
  for (int64_t o = first; o < last; o += RESULT_BLOCK) {
    int64_t end = o + RESULT_BLOCK < last ? o + RESULT_BLOCK : last;
    if (many) {
      int64_t per_block = e->block / s->inner, width = kv_size(s->dtype);
      for (int64_t r = o; r < end; r += per_block) {
        int64_t rows = end - r < per_block ? end - r : per_block;
        kv_frame_row(f.prologue, 0);
        kv_frame_block(f.prologue, r * s->inner, rows * s->inner);
        const char* v = kv_frame_value(f.prologue, s->prologue_value);
        for (int64_t i = 0; i < rows; i++) {
          store_result(s, reduce_block(s, job->k, v + i * s->inner * width, s->inner, 0),
                       f.results + (r + i - o) * size);
        }
      }
    } else {
      for (int64_t r = o; r < end; r++) {
        store_result(s, reduce_span(job, f.prologue, r, 0, s->inner), f.results + (r - o) * size);
      }
    }
    finish(s, f.epilogue, f.results, o, end - o);
  }
}

static void row_chunk_task(void* context, long task, int thread) {
  const reduce_job* job = context;
  const kv_reduce* s = job->s;
  reduce_frames f = frames_begin(job, thread);
  int64_t outer = task / s->chunks, from = task % s->chunks * s->chunk, to = from + s->chunk;
  if (to > s->inner) to = s->inner;
  ((kv_partial*)s->partials)[task] = reduce_span(job, f.prologue, outer, from, to);
}

static void row_merge_task(void* context, long task, int thread) {
  const reduce_job* job = context;
  const kv_reduce* s = job->s;
  reduce_frames f = frames_begin(job, thread);
  int64_t first = task * job->group, last = first + job->group;
  if (last > s->outer) last = s->outer;
  for (int64_t o = first; o < last; o += RESULT_BLOCK) {
    int64_t end = o + RESULT_BLOCK < last ? o + RESULT_BLOCK : last;
    for (int64_t r = o; r < end; r++) {
      const kv_partial* p = (const kv_partial*)s->partials + r * s->chunks;
      kv_partial total = p[0];
      for (int64_t c = 1; c < s->chunks; c++) total = partial_merge(s, total, p[c]);
      store_result(s, total, f.results + (r - o) * result_size(s));
    }
    finish(s, f.epilogue, f.results, o, end - o);
  }
}

static void fill_start(const kv_reduce* s, char* to, int64_t n) {
  int size = kv_size(s->dtype);
  kv_partial p = partial_start(s);
  // In the dtype's own range.
  if (!is_float(s->dtype) && s->kind >= KV_MAX) {
    bool most = s->kind == KV_MAX;
    if (s->dtype == KV_I32)
      p.value.i = most ? INT32_MIN : INT32_MAX;
    else if (s->dtype != KV_I64)
      p.value.i = most ? 0 : (s->dtype == KV_BOOL ? 1 : 255);
  }
  for (int64_t i = 0; i < n; i++) store_result(s, p, to + i * size);
}

// Rows from..<to of inner over columns column..<column+count of one lead index, into total. Runs of 64 rows are added
// up first, then their results, which bounds the error of float sums.
static void columns_span(const kv_reduce* s, kv_frame* frame, char* scratch, int64_t lead, int64_t column,
                         int64_t count, int64_t from, int64_t to, char* total) {
  const kv_expression* e = &s->prologue;
  int size = kv_size(s->dtype);
  int64_t width = count * s->fold;
  char *acc = scratch, *wide = scratch + align(width * size);
  fill_start(s, wide, width);
  int64_t in_run = 0;
  fill_start(s, acc, width);
  int64_t r = from;
  while (r < to) {
    int64_t rows = 1;
    int64_t at = (lead * s->inner + r) * s->columns + column;
    if (count == s->columns) {
      // Whole lines: as many as a block holds.
      rows = e->block / s->columns;
      if (rows > to - r) rows = to - r;
      int64_t room = (e->row_count - at % e->row_count) / s->columns;
      if (rows > room) rows = room;
      if (rows < 1) rows = 1;
    }
    kv_frame_row(frame, at / e->row_count);
    kv_frame_block(frame, at % e->row_count, rows * count);
    const char* v = kv_frame_value(frame, s->prologue_value);
    for (int64_t i = 0; i < rows;) {
      int64_t lines = rows - i < s->fold ? rows - i : s->fold;
      s->combine(acc, acc, v + i * count * size, NULL, lines * count, NULL);
      i += lines;
      if (++in_run == 64) {
        s->combine(wide, wide, acc, NULL, width, NULL);
        fill_start(s, acc, width);
        in_run = 0;
      }
    }
    r += rows;
  }
  s->combine(wide, wide, acc, NULL, width, NULL);
  memcpy(total, wide, (size_t)(count * size));
  for (int64_t i = 1; i < s->fold; i++) s->combine(total, total, wide + i * count * size, NULL, count, NULL);
}

// argmax and argmin by columns.
static void columns_arg(const kv_reduce* s, kv_frame* frame, char* scratch, int64_t lead, int64_t column, int64_t count,
                        int64_t from, int64_t to, kv_partial* total) {
  const kv_expression* e = &s->prologue;
  (void)scratch;
  for (int64_t c = 0; c < count; c++) total[c] = partial_start(s);
  for (int64_t r = from; r < to; r++) {
    int64_t at = (lead * s->inner + r) * s->columns + column;
    kv_frame_row(frame, at / e->row_count);
    kv_frame_block(frame, at % e->row_count, count);
    const void* v = kv_frame_value(frame, s->prologue_value);
    for (int64_t c = 0; c < count; c++) {
      kv_partial p = {.index = r};
      switch (s->dtype) {
      case KV_F32: p.value.f = ((const float*)v)[c]; break;
      case KV_F64: p.value.f = ((const double*)v)[c]; break;
      case KV_I32: p.value.i = ((const int32_t*)v)[c]; break;
      case KV_I64: p.value.i = ((const int64_t*)v)[c]; break;
      default: p.value.i = ((const uint8_t*)v)[c]; break;
      }
      total[c] = partial_merge(s, total[c], p);
    }
  }
}

static int64_t column_block(const kv_reduce* s) {
  int64_t block = COLUMN_BLOCK;
  if (s->prologue.block < block) block = s->prologue.block;
  return s->columns < block ? s->columns : block;
}

static void column_task(void* context, long task, int thread) {
  const reduce_job* job = context;
  const kv_reduce* s = job->s;
  reduce_frames f = frames_begin(job, thread);
  int64_t width = column_block(s), blocks = (s->columns + width - 1) / width;
  int64_t chunk = task % s->chunks, block = task / s->chunks % blocks, lead = task / s->chunks / blocks;
  int64_t column = block * width, count = s->columns - column < width ? s->columns - column : width;
  int64_t from = chunk * s->chunk, to = from + s->chunk;
  if (to > s->inner) to = s->inner;
  int size = kv_size(s->dtype);
  if (is_arg(s->kind)) {
    kv_partial* total = (kv_partial*)f.columns;
    if (s->chunks > 1) total = (kv_partial*)s->partials + (lead * s->chunks + chunk) * s->columns + column;
    columns_arg(s, f.prologue, NULL, lead, column, count, from, to, total);
    if (s->chunks > 1) return;
    for (int64_t c = 0; c < count; c++) store_result(s, total[c], f.results + c * 8);
  } else {
    char* total = f.results;
    if (s->chunks > 1) total = s->partials + ((lead * s->chunks + chunk) * s->columns + column) * size;
    columns_span(s, f.prologue, f.columns, lead, column, count, from, to, total);
    if (s->chunks > 1) return;
  }
  finish(s, f.epilogue, f.results, lead * s->columns + column, count);
}

static void column_merge_task(void* context, long task, int thread) {
  const reduce_job* job = context;
  const kv_reduce* s = job->s;
  reduce_frames f = frames_begin(job, thread);
  int64_t width = column_block(s), blocks = (s->columns + width - 1) / width;
  int64_t block = task % blocks, lead = task / blocks;
  int64_t column = block * width, count = s->columns - column < width ? s->columns - column : width;
  int size = kv_size(s->dtype);
  if (is_arg(s->kind)) {
    for (int64_t c = 0; c < count; c++) {
      kv_partial p = partial_start(s);
      for (int64_t i = 0; i < s->chunks; i++) {
        p = partial_merge(s, p, ((const kv_partial*)s->partials)[(lead * s->chunks + i) * s->columns + column + c]);
      }
      store_result(s, p, f.results + c * 8);
    }
  } else {
    memcpy(f.results, s->partials + (lead * s->chunks * s->columns + column) * size, (size_t)(count * size));
    for (int64_t i = 1; i < s->chunks; i++) {
      const char* p = s->partials + ((lead * s->chunks + i) * s->columns + column) * size;
      s->combine(f.results, f.results, p, NULL, count, NULL);
    }
  }
  finish(s, f.epilogue, f.results, lead * s->columns + column, count);
}

void kv_run_reduce(const kv_reduce* s, const kv_binding* binding) {
  reduce_job job = {s, binding, kv_get_kernels(), s->outer};
  double cost = (double)s->outer * (double)s->inner * s->weight;
  bool small = cost < 8000;
  if (s->by_columns) {
    int64_t width = column_block(s), blocks = (s->columns + width - 1) / width, leads = s->outer / s->columns;
    long tasks = (long)(leads * blocks * s->chunks);
    if (small)
      for (long t = 0; t < tasks; t++) column_task(&job, t, 0);
    else
      kv_parallel(tasks, column_task, &job);
    if (s->chunks > 1) {
      tasks = (long)(leads * blocks);
      if (small)
        for (long t = 0; t < tasks; t++) column_merge_task(&job, t, 0);
      else
        kv_parallel(tasks, column_merge_task, &job);
    }
    return;
  }
  if (s->chunks > 1) kv_parallel((long)(s->outer * s->chunks), row_chunk_task, &job);
  // Groups only decide who does what, not the order of any sum.
  long tasks = small ? 1 : 4L * kv_threads();
  if (s->chunks > 1 && s->outer < 4096) tasks = 1;
  job.group = (s->outer + tasks - 1) / tasks;
  if (job.group < 1) job.group = 1;
  tasks = (long)((s->outer + job.group - 1) / job.group);
  kv_parallel(tasks, s->chunks > 1 ? row_merge_task : rows_task, &job);
}
