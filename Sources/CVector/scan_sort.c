#include <math.h>
#include <string.h>

#include "kv_pool.h"
#include "kv_steps.h"

typedef struct {
  const kv_scan* s;
  const void* x;
  void* y;
} scan_job;

// Floats carry a wider accumulator; integers wrap.
#define SCAN(T, A)                                                                                                     \
  {                                                                                                                    \
    const T* x = (const T*)job->x + outer * n * inner;                                                                 \
    T* y = (T*)job->y + outer * n * inner;                                                                             \
    for (int64_t i = 0; i < inner; i++) {                                                                              \
      A carry = s->product ? 1 : 0;                                                                                    \
      for (int64_t j = 0; j < n; j++) {                                                                                \
        int64_t at = (s->reverse ? n - 1 - j : j) * inner + i;                                                         \
        carry = s->product ? carry * (A)x[at] : carry + (A)x[at];                                                      \
        y[at] = (T)carry;                                                                                              \
      }                                                                                                                \
    }                                                                                                                  \
    break;                                                                                                             \
  }
static void scan_task(void* context, long outer, int thread) {
  const scan_job* job = context;
  const kv_scan* s = job->s;
  const int64_t n = s->length, inner = s->inner;
  (void)thread;
  switch (s->dtype) {
  case KV_F32: SCAN(float, double)
  case KV_F64: SCAN(double, double)
  case KV_I32: SCAN(int32_t, uint32_t)
  case KV_I64: SCAN(int64_t, uint64_t)
  default: SCAN(uint8_t, uint32_t)
  }
}

void kv_run_scan(const kv_scan* s, const void* x, void* y) {
  scan_job job = {s, x, y};
  if (s->outer * s->length * s->inner < 16384) {
    for (long i = 0; i < s->outer; i++) scan_task(&job, i, 0);
  } else {
    kv_parallel((long)s->outer, scan_task, &job);
  }
}

typedef struct {
  const kv_argsort* s;
  const void* x;
  int64_t* order;
} sort_job;

int64_t kv_argsort_scratch(const kv_argsort* s) { return s->columns * 8 + 64; }

// Rows of 32 bits or fewer are sorted by their keys' bytes, from the lowest on: key and position in one word, which go
// to and fro between the result and the spare row. Passes in which all bytes are equal are left out.
static void sort_words(uint64_t* words, uint64_t* spare, int64_t n, int bytes) {
  uint32_t counts[4][256];
  memset(counts, 0, sizeof counts);
  for (int64_t i = 0; i < n; i++) {
    for (int b = 0; b < bytes; b++) counts[b][words[i] >> (32 + 8 * b) & 0xff]++;
  }
  uint64_t *from = words, *to = spare;
  for (int b = 0; b < bytes; b++) {
    const int shift = 32 + 8 * b;
    if (counts[b][from[0] >> shift & 0xff] == n) continue;
    uint32_t next = 0;
    for (int d = 0; d < 256; d++) {
      const uint32_t count = counts[b][d];
      counts[b][d] = next;
      next += count;
    }
    for (int64_t i = 0; i < n; i++) to[counts[b][from[i] >> shift & 0xff]++] = from[i];
    uint64_t* swap = from;
    from = to, to = swap;
  }
  if (from != words) memcpy(words, from, (size_t)n * 8);
}

// Keys that are ordered as the numbers are: equal ones are equal, and NaN is the greatest.
static uint32_t key_f32(float x) {
  uint32_t bits;
  if (isnan(x)) return UINT32_MAX;
  x += 0.0f; // -0 is 0
  memcpy(&bits, &x, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
static uint32_t key_i32(int32_t x) { return (uint32_t)x ^ 0x80000000u; }
static uint32_t key_u8(uint8_t x) { return x; }
#define SORT_WORDS(T, KEY, mask, bytes)                                                                                \
  {                                                                                                                    \
    const T* x = (const T*)job->x + row * n;                                                                           \
    uint64_t* words = (uint64_t*)order;                                                                                \
    for (int64_t i = 0; i < n; i++) {                                                                                  \
      const uint32_t key = s->descending ? ~KEY(x[i]) & mask : KEY(x[i]);                                              \
      words[i] = (uint64_t)key << 32 | (uint64_t)i;                                                                    \
    }                                                                                                                  \
    sort_words(words, (uint64_t*)spare, n, bytes);                                                                     \
    for (int64_t i = 0; i < n; i++) order[i] = (int64_t)(words[i] & UINT32_MAX);                                       \
    return;                                                                                                            \
  }

// The others by a bottom-up merge sort of positions; equal elements keep their order. NaN is the greatest value.
#define LESS_F(a, b) (isnan(a) ? 0 : (isnan(b) ? 1 : (a) < (b)))
#define LESS_I(a, b) ((a) < (b))
#define SORT(T, LESS)                                                                                                  \
  {                                                                                                                    \
    const T* x = (const T*)job->x + row * n;                                                                           \
    for (int64_t i = 0; i < n; i++) order[i] = i;                                                                      \
    for (int64_t start = 0; start < n; start += 16) {                                                                  \
      int64_t end = start + 16 < n ? start + 16 : n;                                                                   \
      for (int64_t i = start + 1; i < end; i++) {                                                                      \
        int64_t at = order[i], j = i;                                                                                  \
        while (j > start && (s->descending ? LESS(x[order[j - 1]], x[at]) : LESS(x[at], x[order[j - 1]]))) {           \
          order[j] = order[j - 1];                                                                                     \
          j--;                                                                                                         \
        }                                                                                                              \
        order[j] = at;                                                                                                 \
      }                                                                                                                \
    }                                                                                                                  \
    int64_t *from = order, *to = spare;                                                                                \
    for (int64_t width = 16; width < n; width *= 2) {                                                                  \
      for (int64_t start = 0; start < n; start += 2 * width) {                                                         \
        int64_t middle = start + width < n ? start + width : n, end = start + 2 * width < n ? start + 2 * width : n;   \
        int64_t i = start, j = middle, k = start;                                                                      \
        while (i < middle && j < end) {                                                                                \
          bool right = s->descending ? LESS(x[from[i]], x[from[j]]) : LESS(x[from[j]], x[from[i]]);                    \
          to[k++] = right ? from[j++] : from[i++];                                                                     \
        }                                                                                                              \
        while (i < middle) to[k++] = from[i++];                                                                        \
        while (j < end) to[k++] = from[j++];                                                                           \
      }                                                                                                                \
      int64_t* swap = from;                                                                                            \
      from = to, to = swap;                                                                                            \
    }                                                                                                                  \
    if (from != order) memcpy(order, from, (size_t)n * 8);                                                             \
    break;                                                                                                             \
  }
// Rows for which clearing the counts is little, and whose positions fit into half a word.
static bool sorts_words(int64_t n) { return n >= 64 && n <= UINT32_MAX; }

static void sort_task(void* context, long row, int thread) {
  const sort_job* job = context;
  const kv_argsort* s = job->s;
  const int64_t n = s->columns;
  int64_t *order = job->order + row * n, *spare = (int64_t*)kv_scratch(thread);
  if (sorts_words(n)) {
    switch (s->dtype) {
    case KV_F32: SORT_WORDS(float, key_f32, UINT32_MAX, 4)
    case KV_I32: SORT_WORDS(int32_t, key_i32, UINT32_MAX, 4)
    case KV_U8:
    case KV_BOOL: SORT_WORDS(uint8_t, key_u8, 0xffu, 1)
    default: break;
    }
  }
  switch (s->dtype) {
  case KV_F32: SORT(float, LESS_F)
  case KV_F64: SORT(double, LESS_F)
  case KV_I32: SORT(int32_t, LESS_I)
  case KV_I64: SORT(int64_t, LESS_I)
  default: SORT(uint8_t, LESS_I)
  }
}

void kv_run_argsort(const kv_argsort* s, const void* x, int64_t* order) {
  sort_job job = {s, x, order};
  if (s->rows * s->columns < 2048) {
    for (long i = 0; i < s->rows; i++) sort_task(&job, i, 0);
  } else {
    kv_parallel((long)s->rows, sort_task, &job);
  }
}
