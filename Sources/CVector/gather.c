#include <string.h>

#include "kv_pool.h"
#include "kv_steps.h"

typedef struct {
  const kv_gather* s;
  const char* x;
  const int64_t* indices;
  char* y;
  int64_t group, size;
} gather_job;

// Rows of the result outer * count, each of inner elements.
static void rows_task(void* context, long task, int thread) {
  const gather_job* job = context;
  const kv_gather* s = job->s;
  (void)thread;
  int64_t first = task * job->group, last = first + job->group, total = s->outer * s->count;
  if (last > total) last = total;
  size_t bytes = (size_t)(s->inner * job->size);
  for (int64_t r = first; r < last; r++) {
    int64_t from = r / s->count * s->length + job->indices[r % s->count];
    memcpy(job->y + (size_t)r * bytes, job->x + (size_t)from * bytes, bytes);
  }
}

#define ALONG(T)                                                                                                       \
  {                                                                                                                    \
    const T* x = (const T*)job->x;                                                                                     \
    T* y = (T*)job->y;                                                                                                 \
    for (int64_t r = first; r < last; r++) {                                                                           \
      const int64_t* index = job->indices + r * s->inner;                                                              \
      const T* from = x + r / s->count * s->length * s->inner;                                                         \
      for (int64_t i = 0; i < s->inner; i++) y[r * s->inner + i] = from[index[i] * s->inner + i];                      \
    }                                                                                                                  \
  }
static void along_task(void* context, long task, int thread) {
  const gather_job* job = context;
  const kv_gather* s = job->s;
  (void)thread;
  int64_t first = task * job->group, last = first + job->group, total = s->outer * s->count;
  if (last > total) last = total;
  if (job->size == 4) ALONG(uint32_t) else if (job->size == 8) ALONG(uint64_t) else ALONG(uint8_t)
}

// Each task owns columns of the result, so that duplicates add in the order of their positions.
#define SCATTER(T, A)                                                                                                  \
  {                                                                                                                    \
    const T* x = (const T*)job->x + outer * s->count * s->inner;                                                       \
    T* y = (T*)job->y + outer * s->length * s->inner;                                                                  \
    for (int64_t j = 0; j < s->length; j++) memset(y + j * s->inner + from, 0, (size_t)(to - from) * sizeof(T));       \
    for (int64_t j = 0; j < s->count; j++) {                                                                           \
      if (s->kind == KV_SCATTER_ROWS) {                                                                                \
        T* target = y + job->indices[j] * s->inner;                                                                    \
        for (int64_t i = from; i < to; i++) target[i] = (T)((A)target[i] + (A)x[j * s->inner + i]);                    \
      } else {                                                                                                         \
        const int64_t* index = job->indices + (outer * s->count + j) * s->inner;                                       \
        for (int64_t i = from; i < to; i++) {                                                                          \
          T* target = y + index[i] * s->inner + i;                                                                     \
          *target = (T)((A)*target + (A)x[j * s->inner + i]);                                                          \
        }                                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    break;                                                                                                             \
  }
static void scatter_task(void* context, long task, int thread) {
  const gather_job* job = context;
  const kv_gather* s = job->s;
  (void)thread;
  int64_t pieces = (s->inner + job->group - 1) / job->group;
  int64_t outer = task / pieces, from = task % pieces * job->group, to = from + job->group;
  if (to > s->inner) to = s->inner;
  switch (s->dtype) {
  case KV_F32: SCATTER(float, float)
  case KV_F64: SCATTER(double, double)
  case KV_I32: SCATTER(int32_t, uint32_t)
  case KV_I64: SCATTER(int64_t, uint64_t)
  case KV_U8: SCATTER(uint8_t, uint32_t)
  default: SCATTER(bool, bool)
  }
}

kv_fault kv_run_gather(const kv_gather* s, const void* x, const int64_t* indices, void* y) {
  bool along = s->kind == KV_ALONG || s->kind == KV_SCATTER_ALONG;
  int64_t count = along ? s->outer * s->count * s->inner : s->count;
  for (int64_t i = 0; i < count; i++) {
    if (indices[i] < 0 || indices[i] >= s->length) return (kv_fault){i, indices[i], s->length};
  }
  gather_job job = {s, x, indices, y, 1, kv_size(s->dtype)};
  if (s->kind == KV_ROWS || s->kind == KV_ALONG) {
    int64_t rows = s->outer * s->count;
    if (rows == 0 || s->inner == 0) return (kv_fault){-1, 0, 0};
    long tasks = (long)(rows * s->inner / 16384), most = 4L * kv_threads();
    if (tasks > most) tasks = most;
    if (tasks < 1) tasks = 1;
    job.group = (rows + tasks - 1) / tasks;
    kv_parallel((long)((rows + job.group - 1) / job.group), s->kind == KV_ROWS ? rows_task : along_task, &job);
  } else {
    if (s->inner == 0 || s->outer == 0) return (kv_fault){-1, 0, 0};
    job.group = s->inner;
    bool large = s->outer * s->inner * (s->count + s->length) > 65536;
    if (large && s->outer < 2 * kv_threads()) {
      // Pieces of 64 columns at least: whole cache lines.
      int64_t pieces = 2L * kv_threads();
      job.group = ((s->inner + pieces - 1) / pieces + 63) / 64 * 64;
    }
    int64_t pieces = (s->inner + job.group - 1) / job.group;
    long tasks = (long)(s->outer * pieces);
    if (!large)
      for (long t = 0; t < tasks; t++) scatter_task(&job, t, 0);
    else
      kv_parallel(tasks, scatter_task, &job);
  }
  return (kv_fault){-1, 0, 0};
}
