// Convolutions in groups of few filters (depthwise ones above all) in the GPU style, where a tile would be mostly edge.
//
// FORM_ITEMS   a work-item for each result, for sums over few taps: neighbours read neighbouring pixels, and one weight
// FORM_GROUPS  a work-group of WIDTH for each result, for sums over all pixels; its parts are added in a tree
// Macros: those of product.cl and convolution.cl, which are pasted before.

#if !defined(NAME) || !defined(T) || !(defined(FORM_ITEMS) || defined(FORM_GROUPS))
#error "singles.cl: define a form and the lists of product.cl and convolution.cl"
#endif

// Adds the product at p of row i and column j, which at_j is, to `sum`.
#define ADD_PRODUCT(sum, i, p)                                                                                         \
  {                                                                                                                    \
    DECODE_P(at_p, p)                                                                                                  \
    const int y = at_p_y + at_j_y, z = at_p_x + at_j_x;                                                                \
    READ_PIXEL(v, image_base + at_p_plane + at_j_plane, y, z)                                                          \
    sum = MULTIPLY_ADD(LHS_VALUE(i, p), v, sum);                                                                       \
  }

#ifdef FORM_ITEMS

// Global ids: columns, rows.
KERNEL void NAME(PARAMETERS BATCH_PARAMETERS LHS_PARAMETERS RHS_PARAMETERS SIZE_PARAMETERS, const long batches) {
  PREPARE
  const long x = GLOBAL_ID(0), row = GLOBAL_ID(1);
  if (x < n) {
    const long b = row / m, i = row - b * m;
    LHS_BATCH(b)
    RHS_BATCH(b)
    DECODE_J(at_j, x)
    T sum = 0;
    for (int p = 0; p < (int)depth; p++) ADD_PRODUCT(sum, i, p)
    OUTER(row, x)
    PUT(0, sum)
  }
}

#else

#ifndef WIDTH
#error "singles.cl: FORM_GROUPS needs WIDTH, a power of two"
#endif

// Groups along dimension 0 and 1: columns, rows.
KERNEL __attribute__((reqd_work_group_size(WIDTH, 1, 1))) void
NAME(PARAMETERS BATCH_PARAMETERS LHS_PARAMETERS RHS_PARAMETERS SIZE_PARAMETERS, const long batches) {
  PREPARE
  LOCAL T values[WIDTH];
  const int me = LOCAL_ID(0);
  const long x = GROUP_ID(0), row = GROUP_ID(1), b = row / m, i = row - b * m;
  LHS_BATCH(b)
  RHS_BATCH(b)
  DECODE_J(at_j, x)
  T sum = 0;
  for (POSITION p = me; p < (POSITION)depth; p += WIDTH) ADD_PRODUCT(sum, i, p)
  values[me] = sum;
  BARRIER;
  for (int reach = WIDTH / 2; reach > 0; reach /= 2) {
    if (me < reach) values[me] += values[me + reach];
    BARRIER;
  }
  if (me == 0) {
    OUTER(row, x)
    PUT(0, values[0])
  }
}

#endif
