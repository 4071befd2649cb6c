// Float32 products without a BLAS, where the ISA has the registers for it: the right-hand side is packed into panels of
// 16 columns, tiles of sums stay in registers, and the left-hand side is read where it lies, or copied where its lines
// would share few places of the caches. Every sum goes through k in blocks of DEPTH, whatever the tiles, so that
// results depend on the shape alone and tiles can follow the threads.
#include "matmul_packed.h"

#include <string.h>

#include "kv_pool.h"

// A packed block, [DEPTH, WIDTH], takes half of the second-level cache.
#define DEPTH 256
#define WIDTH 512
// Rows whose copy, or whose results, are used while they are near.
#define ROWS 64
// Floating-point operations of one product.
#define MOST 5e8
// Thin products: rows at most, columns at a time, and the copy of the rows.
#define THIN_ROWS 64
#define THIN_COLUMNS 64
#define THIN_BYTES (512 << 10)
// Columns of a right-hand side that is read where it lies.
#define NARROW 512
// A copy's lines are an odd number of cache lines apart.
#define GAP 16

typedef struct {
  const kv_matmul* s;
  const kv_binding* binding;
  const kv_kernels* k;
  int64_t rows, columns;           // of a tile
  int64_t row_tiles, column_tiles; // of one product
} packed_job;

static int64_t panel_bytes(const kv_matmul* s) {
  const int64_t depth = s->k < DEPTH ? s->k : DEPTH, width = s->n < WIDTH ? s->n : WIDTH;
  // Panels are written in whole columns of 16.
  return (depth + 15) / 16 * 16 * width * 4;
}
static int64_t copy_bytes(void) { return (int64_t)DEPTH * (ROWS + GAP) * 4 + (int64_t)ROWS * GAP * 4; }
static int64_t frame_bytes(const kv_matmul* s) { return (kv_frame_bytes(&s->epilogue) + 255) / 256 * 256; }

static bool has_unit_stride(const kv_matrix* x) { return (x->row == 1) != (x->column == 1); }

bool kv_packs_matmul(const kv_matmul* s, const kv_kernels* k) {
  // Above MOST operations a BLAS is as fast.
  return k->has_fast_products && s->dtype == KV_F32 && (double)s->m * (double)s->n * (double)s->k < MOST / 2 &&
         s->m % 8 == 0 && s->n % 16 == 0 && s->k >= 8 && has_unit_stride(&s->lhs) && has_unit_stride(&s->rhs);
}
// The left-hand side of a thin product, in whole vectors of rows and columns.
static int64_t thin_panel_bytes(const kv_matmul* s) { return (s->m + 15) / 16 * 16 * ((s->k + 15) / 16 * 16) * 4; }
static int64_t thin_bytes(const kv_matmul* s) {
  return thin_panel_bytes(s) + THIN_COLUMNS * ((s->m + 15) / 16 * 16) * 4;
}

// Few rows by a right-hand side whose columns are contiguous, as a batch by a layer's weights: packing that would cost
// a quarter of the work. Instead it is read where it lies, as the left-hand side of the transposed product, and the few
// rows are packed.
static bool is_thin(const kv_matmul* s) {
  return s->m <= THIN_ROWS && s->m % 16 == 0 && s->rhs.row == 1 && s->lhs.column == 1 &&
         thin_panel_bytes(s) <= THIN_BYTES;
}

int64_t kv_packed_matmul_scratch(const kv_matmul* s) {
  if (s->dtype != KV_F32) return 0;
  return frame_bytes(s) + (is_thin(s) ? thin_bytes(s) : panel_bytes(s) + copy_bytes());
}

// Rows first ..< first + depth of the columns from `column` on as panels [width / 16, depth, 16].
static void pack(const packed_job* job, const float* b, int64_t first, int64_t depth, int64_t column, int64_t width,
                 float* to) {
  const kv_matrix* x = &job->s->rhs;
  b += first * x->row + column * x->column;
  if (x->row == 1) {
    job->k->pack_panels(b, (long)x->column, (long)width, (long)depth, to);
    return;
  }
  // A few rows at a time, so that few pages are open.
  for (int64_t p = 0; p < depth; p += 8) {
    const int64_t end = depth - p < 8 ? depth : p + 8;
    for (int64_t j = 0; j < width; j += 16) {
      for (int64_t q = p; q < end; q++) memcpy(to + j * depth + q * 16, b + q * x->row + j, 64);
    }
  }
}

// Whether lines of the left-hand side lie a multiple of 4 KiB apart.
static bool is_crowded(const kv_matrix* x) { return (x->row == 1 ? x->column : x->row) % 1024 == 0; }

// Copies the left-hand side's rows [rows, depth] closer together.
static void copy_rows(kv_product* product, int64_t rows, int64_t depth, float* to) {
  const bool by_rows = product->a_column == 1;
  const int64_t lines = by_rows ? rows : depth, length = by_rows ? depth : rows, step = length + GAP;
  const float* from = product->a;
  const int64_t stride = by_rows ? product->a_row : product->a_column;
  for (int64_t i = 0; i < lines; i++) memcpy(to + i * step, from + i * stride, (size_t)length * 4);
  product->a = to;
  *(by_rows ? &product->a_row : &product->a_column) = (long)step;
}

static void thin_product(const packed_job* job, const float* lhs, const float* rhs, int64_t rows, int64_t columns,
                         float* to, float* panels) {
  const kv_matmul* s = job->s;
  const int64_t lanes = (rows + 15) / 16 * 16;
  float* sums = panels + thin_panel_bytes(s) / 4;
  job->k->pack_panels(lhs, (long)s->lhs.row, (long)rows, (long)s->k, panels);
  for (int64_t j = 0; j < columns; j += THIN_COLUMNS) {
    const int64_t width = columns - j < THIN_COLUMNS ? columns - j : THIN_COLUMNS;
    const kv_product product = {.m = (long)width,
                                .n = (long)lanes,
                                .k = (long)s->k,
                                .a = rhs + j * s->rhs.column,
                                .a_row = (long)s->rhs.column,
                                .a_column = 1,
                                .b = panels,
                                .b_row = 16,
                                .b_panel = (long)(16 * s->k),
                                .c = sums,
                                .c_row = (long)lanes};
    job->k->product(&product);
    for (int64_t i = 0; i < rows; i += 16)
      job->k->planes_from_pixels(sums + i, 0, (long)lanes, 1, (long)width, (long)(rows - i < 16 ? rows - i : 16),
                                 to + i * s->n + j, (long)s->n);
  }
}

static void packed_task(void* context, long task, int thread) {
  const packed_job* job = context;
  const kv_matmul* s = job->s;
  const int64_t tiles = job->row_tiles * job->column_tiles, b = task / tiles;
  const int64_t row = task % tiles / job->column_tiles * job->rows, column = task % job->column_tiles * job->columns;
  const int64_t m = s->m - row < job->rows ? s->m - row : job->rows;
  const int64_t n = s->n - column < job->columns ? s->n - column : job->columns;
  const float* lhs = (const float*)job->binding->bases[s->lhs.slot] + kv_matrix_offset(s, &s->lhs, b);
  const float* rhs = (const float*)job->binding->bases[s->rhs.slot] + kv_matrix_offset(s, &s->rhs, b);
  float* whole = (float*)job->binding->bases[s->result_slot] + s->result_offset;
  char* scratch = kv_scratch(thread);
  float *panels = (float*)(scratch + frame_bytes(s)), *copy = panels + panel_bytes(s) / 4;
  const bool copies = is_crowded(&s->lhs) && s->lhs.row != s->lhs.column && n >= 128;
  // Few rows read the right-hand side so rarely that copying it would not pay; a narrow one is as near without.
  const bool in_place = s->rhs.column == 1 && (s->m <= THIN_ROWS || s->rhs.row < NARROW);
  kv_frame* frame = NULL;
  if (s->has_epilogue) {
    frame = kv_frame_begin(&s->epilogue, job->binding, scratch);
    frame->result = (char*)whole;
  }
  if (is_thin(s)) {
    const int64_t first = (b * s->m + row) * s->n + column;
    thin_product(job, lhs + row * s->lhs.row, rhs + column * s->rhs.column, m, n, whole + first, panels);
    for (int64_t r = 0; frame && r < m; r++) kv_frame_range(frame, first + r * s->n, n);
    return;
  }
  for (int64_t j = column; j < column + n; j += WIDTH) {
    const int64_t width = column + n - j < WIDTH ? column + n - j : WIDTH;
    for (int64_t p = 0; p < s->k; p += DEPTH) {
      const int64_t depth = s->k - p < DEPTH ? s->k - p : DEPTH;
      const bool is_last = p + depth == s->k;
      if (!in_place) pack(job, rhs, p, depth, j, width, panels);
      const int64_t step = copies || (is_last && frame) ? ROWS : m;
      for (int64_t i = row; i < row + m; i += step) {
        const int64_t rows = row + m - i < step ? row + m - i : step, first = (b * s->m + i) * s->n + j;
        kv_product product = {.m = (long)rows,
                              .n = (long)width,
                              .k = (long)depth,
                              .a = lhs + i * s->lhs.row + p * s->lhs.column,
                              .a_row = (long)s->lhs.row,
                              .a_column = (long)s->lhs.column,
                              .b = in_place ? rhs + p * s->rhs.row + j : panels,
                              .b_row = in_place ? (long)s->rhs.row : 16,
                              .b_panel = in_place ? 16 : (long)(16 * depth),
                              .c = whole + first,
                              .c_row = (long)s->n,
                              .accumulate = p > 0};
        if (copies) copy_rows(&product, rows, depth, copy);
        job->k->product(&product);
        if (!is_last || !frame) continue;
        if (width == s->n) {
          kv_frame_range(frame, first, rows * width);
        } else {
          for (int64_t r = 0; r < rows; r++) kv_frame_range(frame, first + r * s->n, width);
        }
      }
    }
  }
}

static int64_t tiles_of(const packed_job* job) { return job->row_tiles * job->column_tiles; }

// Cuts a product into at least `wanted` tiles if it is large enough. Columns first: each tile packs its own.
static void cut(packed_job* job, int64_t wanted) {
  const kv_matmul* s = job->s;
  job->rows = s->m;
  job->columns = s->n;
  job->row_tiles = job->column_tiles = 1;
  while (tiles_of(job) < wanted) {
    const bool by_columns = job->columns >= 128 && (job->columns >= WIDTH / 2 || job->rows < 256);
    if (by_columns) {
      job->columns = (job->columns / 2 + 31) / 32 * 32;
    } else if (job->rows >= 32) {
      job->rows = (job->rows / 2 + 7) / 8 * 8;
    } else if (job->columns >= 64) {
      job->columns = (job->columns / 2 + 31) / 32 * 32;
    } else {
      break;
    }
    job->row_tiles = (s->m + job->rows - 1) / job->rows;
    job->column_tiles = (s->n + job->columns - 1) / job->columns;
  }
}

void kv_run_packed_matmul(const kv_matmul* s, const kv_binding* binding) {
  packed_job job = {.s = s, .binding = binding, .k = kv_get_kernels()};
  const double flops = 2.0 * (double)s->batch_count * (double)s->m * (double)s->n * (double)s->k;
  // Below this a hand-over costs more than half of the work.
  const bool is_small = flops < 400000;
  // More tiles than threads, where they are large enough, so that one that is held up does not hold up all.
  const int64_t wanted = is_small ? 1 : kv_threads() * (flops > 5e7 ? 2 : 1);
  cut(&job, (wanted + s->batch_count - 1) / (s->batch_count < 1 ? 1 : s->batch_count));
  const long tasks = (long)(s->batch_count * tiles_of(&job));
  if (is_small) {
    for (long t = 0; t < tasks; t++) packed_task(&job, t, 0);
  } else {
    kv_parallel(tasks, packed_task, &job);
  }
}
