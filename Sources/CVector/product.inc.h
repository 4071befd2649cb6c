// Small products of float32 matrices in padded memory, for attention (attention.c) and matmuls (matmul_packed.c).

// A tile of sums stays in registers: with 32 registers of 16 lanes 16 sums, with 16 of 8 lanes 8 (4 pairs), with 16 of
// 4 lanes 8 (2 quadruples). Rows divide 16, so that padding to 16 serves every ISA.
#if KV_HAS_MASKS
#define PRODUCT_ROWS 8
#define PRODUCT_VECTORS 2
#elif KV_HAS_FMA
#define PRODUCT_ROWS 4
#define PRODUCT_VECTORS 1
#else
#define PRODUCT_ROWS 2
#define PRODUCT_VECTORS 1
#endif
// Steps of k at a time: so many rows of b in two vectors are half of a first-level cache.
#define PRODUCT_DEPTH 128

// sums[r] += a[r] * b for the tile's rows from ..< to.
INLINE void KV(product_step)(vf (*sums)[PRODUCT_VECTORS], const float* a, long a_row, const float* b, long b_panel,
                             const int from, const int to, const int vectors) {
  vf pieces[PRODUCT_VECTORS];
#pragma clang loop unroll(full)
  for (int v = 0; v < vectors; v++) pieces[v] = load_f(b + v * b_panel);
#pragma clang loop unroll(full)
  for (int r = from; r < to; r++) {
    vf factor = splat_f(a[r * a_row]);
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[r][v] = madd(factor, pieces[v], sums[r][v]);
  }
}

// c[i...][j...] = or += the sum over p in from ..< to. On the diagonal of a triangle each row has an end or a beginning
// of its own: a factor that is left out might meet a NaN.
INLINE void KV(product_tile)(const kv_product* s, long i, long j, long from, long to, bool accumulate, long a_row,
                             long a_column, const int vectors) {
  vf sums[PRODUCT_ROWS][PRODUCT_VECTORS];
  const float *a = s->a + i * a_row, *b = s->b + j / 16 * s->b_panel;
  float* c = s->c + i * s->c_row + j;
#pragma clang loop unroll(full)
  for (int r = 0; r < PRODUCT_ROWS; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) sums[r][v] = accumulate ? load_f(c + r * s->c_row + 16 * v) : splat_f(0);
  const long b_row = s->b_row, b_panel = s->b_panel;
  long end = to;
  if (s->triangle == KV_TRIANGLE_LHS && end > s->first + i + 1) end = s->first + i + 1;
  if (s->triangle == KV_TRIANGLE_TRANSPOSED) {
    const long diagonal = i - s->first;
#pragma clang loop unroll(full)
    for (int r = 0; r < PRODUCT_ROWS - 1; r++) {
      if (diagonal + r < from || diagonal + r >= to) continue;
      KV(product_step)(sums, a + from * a_column, a_row, b + from * b_row, b_panel, 0, r + 1, vectors);
      from++;
    }
  }
  for (long p = from; p < end; p++)
    KV(product_step)(sums, a + p * a_column, a_row, b + p * b_row, b_panel, 0, PRODUCT_ROWS, vectors);
  if (s->triangle == KV_TRIANGLE_LHS) {
#pragma clang loop unroll(full)
    for (int r = 1; r < PRODUCT_ROWS; r++) {
      const long p = s->first + i + r;
      if (p < from || p >= to) continue;
      KV(product_step)(sums, a + p * a_column, a_row, b + p * b_row, b_panel, r, PRODUCT_ROWS, vectors);
    }
  }
#pragma clang loop unroll(full)
  for (int r = 0; r < PRODUCT_ROWS; r++)
#pragma clang loop unroll(full)
    for (int v = 0; v < vectors; v++) store_f(c + r * s->c_row + 16 * v, sums[r][v]);
}

INLINE void KV(product_loops)(const kv_product* s, long a_row, long a_column) {
  for (long from = 0; from < s->k; from += PRODUCT_DEPTH) {
    const long to = s->k - from < PRODUCT_DEPTH ? s->k : from + PRODUCT_DEPTH;
    const bool accumulate = s->accumulate || from > 0;
    for (long j = 0; j < s->n; j += 16 * PRODUCT_VECTORS) {
      const bool is_whole = j + 16 * (PRODUCT_VECTORS - 1) < s->n;
      long i = 0;
      if (s->triangle == KV_TRIANGLE_RESULT && j > s->first) i = (j - s->first) / PRODUCT_ROWS * PRODUCT_ROWS;
      for (; i < s->m; i += PRODUCT_ROWS) {
        const long last = s->first + i + PRODUCT_ROWS - 1;
        long begin = from, end = to;
        if (s->triangle == KV_TRIANGLE_LHS && end > last + 1) end = last + 1;
        if (s->triangle == KV_TRIANGLE_TRANSPOSED && begin < i - s->first) begin = i - s->first;
        if (begin >= end && accumulate) continue;
        // On the diagonal the first vector may be all that is wanted.
        if (is_whole && (s->triangle != KV_TRIANGLE_RESULT || last >= j + 16)) {
          KV(product_tile)(s, i, j, begin, end, accumulate, a_row, a_column, PRODUCT_VECTORS);
        } else {
          KV(product_tile)(s, i, j, begin, end, accumulate, a_row, a_column, 1);
        }
      }
    }
  }
}
static void KV(product)(const kv_product* s) {
  // One of the strides of `a` is 1: the compiler should know.
  if (s->a_column == 1) {
    KV(product_loops)(s, s->a_row, 1);
  } else {
    KV(product_loops)(s, 1, s->a_column);
  }
}

// x [rows, columns] as panels [rows / 16, columns, 16], zeros past the last row.
static void KV(pack_panels)(const float* x, long stride, long rows, long columns, float* to) {
  for (long i = 0; i < rows; i += 16) {
    for (long c = 0; c < columns; c += 16) {
      const long count = columns - c < 16 ? columns - c : 16;
      vf m[16];
      for (int r = 0; r < 16; r++) {
        const float* from = x + (i + r) * stride + c;
        m[r] = i + r >= rows ? splat_f(0) : count == 16 ? load_f(from) : load_part_f(from, count);
      }
      KV(transpose)(m);
      for (int r = 0; r < count; r++) store_f(to + (c + r) * 16, m[r]);
    }
    to += columns * 16;
  }
}
