#include <string.h>

#include "kv_kernels.h"
#include "kv_matmul.h"
#include "kv_pool.h"
#include "matmul_packed.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };

typedef struct {
  const kv_matmul* s;
  const kv_binding* binding;
  const kv_kernels* k;
  int64_t row_tiles, column_tiles;
} matmul_job;

int64_t kv_matrix_offset(const kv_matmul* s, const kv_matrix* x, int64_t b) {
  int64_t at = x->offset;
  for (int32_t d = s->batch_rank - 1; d >= 0; d--) {
    at += b % s->batch[d] * x->batch[d];
    b /= s->batch[d];
  }
  return at;
}

// Whether a [rows, columns] operand is read as it lies, and its leading dimension; see MatmulLowering for what is
// allowed.
static int transposition(const kv_matrix* x, int64_t rows, int64_t columns, int* leading) {
  bool plain = (x->column == 1 || columns == 1) && (x->row >= columns || rows == 1);
  if (plain) {
    *leading = (int)(rows == 1 ? columns : x->row);
    return NO_TRANSPOSE;
  }
  *leading = (int)(columns == 1 ? rows : x->column);
  return TRANSPOSE;
}

#define INTEGER_MATMUL(T, U)                                                                                           \
  {                                                                                                                    \
    const T *a = (const T*)lhs, *b = (const T*)rhs;                                                                    \
    T* c = (T*)result;                                                                                                 \
    for (int64_t i = 0; i < m; i++) {                                                                                  \
      T* row = c + i * s->n;                                                                                           \
      for (int64_t j = 0; j < n; j++) row[j] = 0;                                                                      \
      for (int64_t p = 0; p < s->k; p++) {                                                                             \
        U v = (U)a[i * s->lhs.row + p * s->lhs.column];                                                                \
        const T* line = b + p * s->rhs.row;                                                                            \
        if (s->rhs.column == 1) {                                                                                      \
          for (int64_t j = 0; j < n; j++) row[j] = (T)((U)row[j] + v * (U)line[j]);                                    \
        } else {                                                                                                       \
          for (int64_t j = 0; j < n; j++) row[j] = (T)((U)row[j] + v * (U)line[j * s->rhs.column]);                    \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
  }

static void multiply(const matmul_job* job, const char* lhs, const char* rhs, char* result, int64_t m, int64_t n) {
  const kv_matmul* s = job->s;
  if (s->dtype == KV_I32)
    INTEGER_MATMUL(int32_t, uint32_t)
  else if (s->dtype == KV_I64)
    INTEGER_MATMUL(int64_t, uint64_t)
  else if (s->dtype == KV_U8)
    INTEGER_MATMUL(uint8_t, uint32_t)
  else if (s->k == 0) {
    int size = kv_size(s->dtype);
    for (int64_t i = 0; i < m; i++) memset(result + i * s->n * size, 0, (size_t)(n * size));
  } else {
    int lda, ldb;
    int ta = transposition(&s->lhs, s->m, s->k, &lda), tb = transposition(&s->rhs, s->k, s->n, &ldb);
    if (s->dtype == KV_F32) {
      s->blas.sgemm(ROW_MAJOR, ta, tb, (int)m, (int)n, (int)s->k, 1, (const float*)lhs, lda, (const float*)rhs, ldb, 0,
                    (float*)result, (int)s->n);
    } else {
      s->blas.dgemm(ROW_MAJOR, ta, tb, (int)m, (int)n, (int)s->k, 1, (const double*)lhs, lda, (const double*)rhs, ldb,
                    0, (double*)result, (int)s->n);
    }
  }
}

static void matmul_task(void* context, long task, int thread) {
  const matmul_job* job = context;
  const kv_matmul* s = job->s;
  int size = kv_size(s->dtype);
  int64_t tiles = job->row_tiles * job->column_tiles, b = task / tiles;
  int64_t row = task % tiles / job->column_tiles * s->tile_rows, column = task % job->column_tiles * s->tile_columns;
  int64_t m = s->m - row < s->tile_rows ? s->m - row : s->tile_rows;
  int64_t n = s->n - column < s->tile_columns ? s->n - column : s->tile_columns;
  const char* lhs = job->binding->bases[s->lhs.slot] + (kv_matrix_offset(s, &s->lhs, b) + row * s->lhs.row) * size;
  const char* rhs =
      job->binding->bases[s->rhs.slot] + (kv_matrix_offset(s, &s->rhs, b) + column * s->rhs.column) * size;
  char* whole = job->binding->bases[s->result_slot] + s->result_offset * size;
  int64_t first = (b * s->m + row) * s->n + column;
  multiply(job, lhs, rhs, whole + first * size, m, n);
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, kv_scratch(thread));
  frame->result = whole;
  if (n == s->n) {
    kv_frame_range(frame, first, m * n);
  } else {
    for (int64_t i = 0; i < m; i++) kv_frame_range(frame, first + i * s->n, n);
  }
}

int64_t kv_matmul_scratch(const kv_matmul* s) {
  const int64_t packed = kv_packed_matmul_scratch(s), frame = kv_frame_bytes(&s->epilogue);
  return packed > frame ? packed : frame;
}

void kv_run_matmul(const kv_matmul* s, const kv_binding* binding) {
  if (kv_packs_matmul(s, kv_get_kernels())) {
    kv_run_packed_matmul(s, binding);
    return;
  }
  matmul_job job = {s, binding, kv_get_kernels(), (s->m + s->tile_rows - 1) / s->tile_rows,
                    (s->n + s->tile_columns - 1) / s->tile_columns};
  long tasks = (long)(s->batch_count * job.row_tiles * job.column_tiles);
  double flops = 2.0 * (double)s->batch_count * (double)s->m * (double)s->n * (double)s->k;
  if (flops < 400000) {
    for (long t = 0; t < tasks; t++) matmul_task(&job, t, 0);
  } else {
    kv_parallel(tasks, matmul_task, &job);
  }
}
