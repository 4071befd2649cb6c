// Matrix products in the GPU style: a work-group makes a tile of TILE_ROWS x TILE_COLUMNS through local memory,
// TILE_DEPTH deep at a time, a work-item ITEM_ROWS x ITEM_COLUMNS of it in registers.
//
// Macros: those of product.cl, which is pasted before; the sizes just named, of which a work-item's are multiples of 4;
// VECTOR4, the vector of four T.
//   LHS_VECTOR, RHS_VECTOR  the stride is 1 along p (with *_K_FAST) or along the rows (columns), and four neighbours
//               never lie in two blocks: they are read as one vector, at once where address and strides are multiples
//               of four

#if !defined(NAME) || !defined(T) || !defined(TILE_ROWS) || !defined(TILE_COLUMNS) || !defined(TILE_DEPTH) ||          \
    !defined(ITEM_ROWS) || !defined(ITEM_COLUMNS) || !defined(VECTOR4)
#error "tiles.cl: define TILE_ROWS, TILE_COLUMNS, TILE_DEPTH, ITEM_ROWS, ITEM_COLUMNS, VECTOR4 and product.cl's list"
#endif
#define ITEMS_X (TILE_COLUMNS / ITEM_COLUMNS)
#define ITEMS_Y (TILE_ROWS / ITEM_ROWS)
#define ITEMS (ITEMS_X * ITEMS_Y)
// An item's rows and columns lie in groups of four, one vector of local memory, that are ITEMS_Y (ITEMS_X) groups
// apart.
#define ROW_GROUPS (ITEM_ROWS / 4)
#define COLUMN_GROUPS (ITEM_COLUMNS / 4)
// Four elements along p are stored to four rows of local memory: the rows are padded so that they lie in other banks.
#ifdef LHS_K_FAST
#define LEFT_PITCH (TILE_ROWS / 4 + 1)
#else
#define LEFT_PITCH (TILE_ROWS / 4)
#endif
#ifdef RHS_K_FAST
#define RIGHT_PITCH (TILE_COLUMNS / 4 + 1)
#else
#define RIGHT_PITCH (TILE_COLUMNS / 4)
#endif
#define LEFT_LOADS ((TILE_ROWS * TILE_DEPTH / 4 + ITEMS - 1) / ITEMS)
#define RIGHT_LOADS ((TILE_COLUMNS * TILE_DEPTH / 4 + ITEMS - 1) / ITEMS)

// Four neighbours from `from` on, as one load where address and strides allow it.
#define LOAD4(v, from, is_aligned)                                                                                     \
  if (is_aligned)                                                                                                      \
    v = *(GLOBAL const VECTOR4*)(from);                                                                                \
  else                                                                                                                 \
    v = vload4(0, from);
#define IS_ALIGNED(from, stride) (((size_t)(from) % sizeof(VECTOR4)) == 0 && (stride) % 4 == 0)
// The place of load `t`: four of the tile's `length` rows (or columns) along `line` at depth q, or four along q.
#define PLACE_ALONG_LINE(t, length) const int e = me + (t)*ITEMS, q = e / ((length) / 4), line = e % ((length) / 4) * 4;
#define PLACE_ALONG_DEPTH(t) const int e = me + (t)*ITEMS, line = e / (TILE_DEPTH / 4), q = e % (TILE_DEPTH / 4) * 4;
// Four elements by ELEMENT(k), of which the first `count` exist.
#define LOAD_SINGLY(v, count, ELEMENT)                                                                                 \
  {                                                                                                                    \
    if ((count) > 0) v.s0 = ELEMENT(0);                                                                                \
    if ((count) > 1) v.s1 = ELEMENT(1);                                                                                \
    if ((count) > 2) v.s2 = ELEMENT(2);                                                                                \
    if ((count) > 3) v.s3 = ELEMENT(3);                                                                                \
  }
#define STORE_ALONG_DEPTH(tile, pitch, v)                                                                              \
  {                                                                                                                    \
    LOCAL T* to = (LOCAL T*)(tile) + q * (pitch)*4 + line;                                                             \
    to[0] = v.s0;                                                                                                      \
    to[(pitch)*4] = v.s1;                                                                                              \
    to[(pitch)*8] = v.s2;                                                                                              \
    to[(pitch)*12] = v.s3;                                                                                             \
  }

#ifdef LHS_K_FAST
#define LEFT_PLACE PLACE_ALONG_DEPTH
#define LEFT_ELEMENT(k) LHS_VALUE(i, p + k)
#define LEFT_STEP (lhs_i | lhs_outer)
#else
#define LEFT_PLACE(t) PLACE_ALONG_LINE(t, TILE_ROWS)
#define LEFT_ELEMENT(k) LHS_VALUE(i + k, p)
#define LEFT_STEP (lhs_p | lhs_outer)
#endif
// Reads the tile at depth p0 into registers.
#define READ_LEFT                                                                                                      \
  UNROLL                                                                                                               \
  for (int t = 0; t < LEFT_LOADS; t++) {                                                                               \
    LEFT_PLACE(t)                                                                                                      \
    const long i = i0 + line, p = p0 + q;                                                                              \
    left_next[t] = (VECTOR4)(0);                                                                                       \
    if (e < TILE_ROWS * TILE_DEPTH / 4 && i < m && p < p_end) {                                                        \
      const int exist = LEFT_EXIST;                                                                                    \
      LEFT_VECTOR LOAD_SINGLY(left_next[t], exist, LEFT_ELEMENT)                                                       \
    }                                                                                                                  \
  }
#ifdef LHS_K_FAST
#define LEFT_EXIST (int)min((long)4, p_end - p)
#else
#define LEFT_EXIST (int)min((long)4, m - i)
#endif
#ifdef LHS_VECTOR
#define LEFT_VECTOR                                                                                                    \
  if (exist == 4) {                                                                                                    \
    LOAD4(left_next[t], lhs_here + i * lhs_i + LHS_DEPTH(p), left_aligned)                                             \
  } else
#else
#define LEFT_VECTOR
#endif

#ifdef RHS_CONVOLUTION
// An item reads single elements: with TAPS_P of one column of the tile (a pixel, found once), else of one depth.
#if ITEMS % TILE_COLUMNS != 0 || ITEMS % TILE_DEPTH != 0
#error "tiles.cl: a convolution's tile has as many work-items as columns, and as deep, or a multiple"
#endif
#define RIGHT_SINGLES (TILE_COLUMNS * TILE_DEPTH / ITEMS)
#ifdef TAPS_P
#define RIGHT_SINGLE(t)                                                                                                \
  const int line = me % TILE_COLUMNS, q = me / TILE_COLUMNS + (t) * (ITEMS / TILE_COLUMNS);                            \
  DECODE_P(at_p, p0 + q)                                                                                               \
  const POSITION j = j0 + line;
#define READ_RIGHT_BEGIN
#else
#define RIGHT_SINGLE(t)                                                                                                \
  const int q = me % TILE_DEPTH, line = me / TILE_DEPTH + (t) * (ITEMS / TILE_DEPTH);                                  \
  const POSITION j = j0 + line;                                                                                        \
  DECODE_J(at_j, j)
#define READ_RIGHT_BEGIN DECODE_P(at_p, p0 + me % TILE_DEPTH)
#endif
#define READ_RIGHT                                                                                                     \
  {                                                                                                                    \
    READ_RIGHT_BEGIN                                                                                                   \
    UNROLL                                                                                                             \
    for (int t = 0; t < RIGHT_SINGLES; t++) {                                                                          \
      RIGHT_SINGLE(t)                                                                                                  \
      right_next[t] = 0;                                                                                               \
      if (j < n && p0 + q < p_end) {                                                                                   \
        const int y = at_p_y + at_j_y, z = at_p_x + at_j_x;                                                            \
        READ_PIXEL(v, image_base + at_p_plane + at_j_plane, y, z)                                                      \
        right_next[t] = v;                                                                                             \
      }                                                                                                                \
    }                                                                                                                  \
  }
#ifdef TAPS_P
#define STORE_RIGHT                                                                                                    \
  UNROLL                                                                                                               \
  for (int t = 0; t < RIGHT_SINGLES; t++)                                                                              \
    ((LOCAL T*)right)[(me / TILE_COLUMNS + t * (ITEMS / TILE_COLUMNS)) * RIGHT_PITCH * 4 + me % TILE_COLUMNS] =        \
        right_next[t];
#else
#define STORE_RIGHT                                                                                                    \
  UNROLL                                                                                                               \
  for (int t = 0; t < RIGHT_SINGLES; t++)                                                                              \
    ((LOCAL T*)right)[me % TILE_DEPTH * RIGHT_PITCH * 4 + me / TILE_DEPTH + t * (ITEMS / TILE_DEPTH)] = right_next[t];
#endif
#else
#ifdef RHS_K_FAST
#define RIGHT_PLACE PLACE_ALONG_DEPTH
#define RIGHT_ELEMENT(k) RHS_VALUE(p + k, j)
#define RIGHT_EXIST (int)min((long)4, p_end - p)
#define RIGHT_STEP (rhs_j | rhs_outer)
#else
#define RIGHT_PLACE(t) PLACE_ALONG_LINE(t, TILE_COLUMNS)
#define RIGHT_ELEMENT(k) RHS_VALUE(p, j + k)
#define RIGHT_EXIST (int)min((long)4, n - j)
#define RIGHT_STEP (rhs_p | rhs_outer)
#endif
#ifdef RHS_VECTOR
#define RIGHT_VECTOR                                                                                                   \
  if (exist == 4) {                                                                                                    \
    LOAD4(right_next[t], rhs_here + RHS_DEPTH(p) + j * rhs_j, right_aligned)                                           \
  } else
#else
#define RIGHT_VECTOR
#endif
#define READ_RIGHT                                                                                                     \
  UNROLL                                                                                                               \
  for (int t = 0; t < RIGHT_LOADS; t++) {                                                                              \
    RIGHT_PLACE(t)                                                                                                     \
    const long j = j0 + line, p = p0 + q;                                                                              \
    right_next[t] = (VECTOR4)(0);                                                                                      \
    if (e < TILE_COLUMNS * TILE_DEPTH / 4 && j < n && p < p_end) {                                                     \
      const int exist = RIGHT_EXIST;                                                                                   \
      RIGHT_VECTOR LOAD_SINGLY(right_next[t], exist, RIGHT_ELEMENT)                                                    \
    }                                                                                                                  \
  }
#define STORE_RIGHT                                                                                                    \
  UNROLL                                                                                                               \
  for (int t = 0; t < RIGHT_LOADS; t++) {                                                                              \
    RIGHT_PLACE(t)                                                                                                     \
    if (e < TILE_COLUMNS * TILE_DEPTH / 4) RIGHT_PUT(right_next[t])                                                    \
  }
#ifdef RHS_K_FAST
#define RIGHT_PUT(v) STORE_ALONG_DEPTH(right, RIGHT_PITCH, v)
#else
#define RIGHT_PUT(v) right[q * RIGHT_PITCH + line / 4] = v;
#endif
#endif

KERNEL __attribute__((reqd_work_group_size(ITEMS_X, ITEMS_Y, 1))) void
NAME(PARAMETERS PART_PARAMETERS BATCH_PARAMETERS LHS_PARAMETERS RHS_PARAMETERS SIZE_PARAMETERS, const long batches) {
  PREPARE
  LOCAL VECTOR4 left[TILE_DEPTH * LEFT_PITCH], right[TILE_DEPTH * RIGHT_PITCH];
  const int tx = LOCAL_ID(0), ty = LOCAL_ID(1), me = ty * ITEMS_X + tx;
  const long b = GROUP_ID(2) % batches, segment = GROUP_ID(2) / batches;
  const long j0 = GROUP_ID(0) * TILE_COLUMNS, i0 = GROUP_ID(1) * TILE_ROWS;
  LHS_BATCH(b)
  RHS_BATCH(b)
#ifdef LHS_VECTOR
  const bool left_aligned = IS_ALIGNED(lhs_here, LEFT_STEP);
#endif
#ifdef RHS_CONVOLUTION
  T right_next[RIGHT_SINGLES];
#ifdef TAPS_P
  DECODE_J(at_j, j0 + me % TILE_COLUMNS)
#endif
#else
  VECTOR4 right_next[RIGHT_LOADS];
#ifdef RHS_VECTOR
  const bool right_aligned = IS_ALIGNED(rhs_here, RIGHT_STEP);
#endif
#endif
  VECTOR4 left_next[LEFT_LOADS];
  VECTOR4 sums[ITEM_ROWS][COLUMN_GROUPS];
  UNROLL
  for (int r = 0; r < ITEM_ROWS; r++) UNROLL
  for (int c = 0; c < COLUMN_GROUPS; c++) sums[r][c] = (VECTOR4)(0);
  const long p_end = min((segment + 1) * segment_length, depth);
  long p0 = segment * segment_length;
  if (p0 < p_end) {
    READ_LEFT
    READ_RIGHT
  }
  while (p0 < p_end) {
    UNROLL
    for (int t = 0; t < LEFT_LOADS; t++) {
      LEFT_PLACE(t)
#ifdef LHS_K_FAST
      if (e < TILE_ROWS * TILE_DEPTH / 4) STORE_ALONG_DEPTH(left, LEFT_PITCH, left_next[t])
#else
      if (e < TILE_ROWS * TILE_DEPTH / 4) left[q * LEFT_PITCH + line / 4] = left_next[t];
#endif
    }
    STORE_RIGHT
    BARRIER;
    // The next tile is on its way from global memory while this one is multiplied.
    p0 += TILE_DEPTH;
    if (p0 < p_end) {
      READ_LEFT
      READ_RIGHT
    }
    for (int q = 0; q < TILE_DEPTH; q++) {
      VECTOR4 a[ROW_GROUPS], c[COLUMN_GROUPS];
      UNROLL
      for (int g = 0; g < ROW_GROUPS; g++) a[g] = left[q * LEFT_PITCH + g * ITEMS_Y + ty];
      UNROLL
      for (int g = 0; g < COLUMN_GROUPS; g++) c[g] = right[q * RIGHT_PITCH + g * ITEMS_X + tx];
      UNROLL
      for (int g = 0; g < ROW_GROUPS; g++) UNROLL
      for (int h = 0; h < COLUMN_GROUPS; h++) {
        sums[g * 4][h] = MULTIPLY_ADD((VECTOR4)(a[g].s0), c[h], sums[g * 4][h]);
        sums[g * 4 + 1][h] = MULTIPLY_ADD((VECTOR4)(a[g].s1), c[h], sums[g * 4 + 1][h]);
        sums[g * 4 + 2][h] = MULTIPLY_ADD((VECTOR4)(a[g].s2), c[h], sums[g * 4 + 2][h]);
        sums[g * 4 + 3][h] = MULTIPLY_ADD((VECTOR4)(a[g].s3), c[h], sums[g * 4 + 3][h]);
      }
    }
    BARRIER;
  }
  UNROLL
  for (int r = 0; r < ITEM_ROWS; r++) {
    const long i = i0 + ((r / 4) * ITEMS_Y + ty) * 4 + r % 4;
    UNROLL
    for (int h = 0; h < COLUMN_GROUPS; h++) {
      const long x = j0 + (h * ITEMS_X + tx) * 4;
      if (i < m && x < n) {
        const long row = b * m + i;
        OUTER(row, x)
        PUT(0, sums[r][h].s0)
        if (x + 1 < n) PUT(1, sums[r][h].s1)
        if (x + 2 < n) PUT(2, sums[r][h].s2)
        if (x + 3 < n) PUT(3, sums[r][h].s3)
      }
    }
  }
}
