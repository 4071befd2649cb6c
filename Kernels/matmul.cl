// Matrix products: result[b, i, j] = sum over p of lhs[b, i, p] * rhs[b, p, j], then an epilogue and its stores.
//
// Macros, made by the host:
//   NAME, PARAMETERS, PREPARE, OUTER(row, x), FINISH(l)  as in reduce.cl; the outer space is [rows, n], where
//               row = b * m + i
//   T           the type of the elements (unsigned for integers, which wrap); MULTIPLY_ADD(a, b, c) = a * b + c
//   RESULT(v)   the family's result of v, if not v itself
//   RHS_K_FAST, LHS_K_FAST  neighbours along p are neighbours in memory
// The left side's element is at  lhs_at + batch part + i * lhs_i + (p / lhs_block) * lhs_outer + (p % lhs_block) *
// lhs_p. The right side is strided, or a convolution's (convolution.cl pasted before). With PARTIAL a work-item takes
// segment s of p (segment_length elements) and stores to part[s][row][j].
//
// Forms: FORM_TILES (GPU): work-groups of 16 x 16 make tiles of 64 x 64 through local memory.
//        FORM_PACK, FORM_PANELS (CPU): the left side is packed into panels of MR rows ([p][MR], zeros at the edge);
//        a work-item takes NR = NV * VL columns and up to GROUP rows, and keeps MR x NR sums in vector registers.

#if !defined(NAME) || !defined(T)
#error "matmul.cl: define NAME, T, a form and the rest of the list above"
#endif

// The element offsets of batch entry b in both sides: offsets[2 b] and offsets[2 b + 1], from `offsets_at`.
#define BATCH_PARAMETERS GLOBAL const long *offsets, const long offsets_at,
#define LHS_PARAMETERS                                                                                                 \
  GLOBAL const T *lhs, const long lhs_at, const long lhs_i, const long lhs_p, const long lhs_block,                    \
      const long lhs_outer,
#define LHS_BATCH(b) GLOBAL const T* lhs_here = lhs + lhs_at + offsets[offsets_at + 2 * (b)];
#define LHS_VALUE(i, p)                                                                                                \
  lhs_here[(i)*lhs_i + (LHS_BLOCKED ? ((p) / lhs_block) * lhs_outer + ((p) % lhs_block) * lhs_p : (p)*lhs_p)]
#ifdef LHS_TWO_LEVELS
#define LHS_BLOCKED 1
#else
#define LHS_BLOCKED 0
#endif

#ifndef RHS_CONVOLUTION
#define RHS_PARAMETERS GLOBAL const T *rhs, const long rhs_at, const long rhs_p, const long rhs_j,
#define RHS_BATCH(b) GLOBAL const T* rhs_here = rhs + rhs_at + offsets[offsets_at + 2 * (b) + 1];
#define RHS_VALUE(v, p, j) const T v = rhs_here[(p)*rhs_p + (j)*rhs_j];
#endif

#ifdef PARTIAL
#define PART_PARAMETERS GLOBAL T *part, const long part_at,
#define PUT(l, v) part[part_at + (segment * rows + row) * n + x + (l)] = v;
#else
#define PART_PARAMETERS
#define PUT(l, v)                                                                                                      \
  {                                                                                                                    \
    const RESULT_TYPE result = (RESULT_TYPE)(v);                                                                       \
    FINISH(l)                                                                                                          \
  }
#endif
#define SIZE_PARAMETERS const long rows, const long m, const long n, const long depth, const long segment_length

#if defined(FORM_TILES)

#define TILE 64
#define DEPTH 16
#define WIDTH 16
#define PER 4

KERNEL __attribute__((reqd_work_group_size(WIDTH, WIDTH, 1))) void
NAME(PARAMETERS PART_PARAMETERS BATCH_PARAMETERS LHS_PARAMETERS RHS_PARAMETERS SIZE_PARAMETERS, const long batches) {
  PREPARE
  LOCAL T left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
  const int tx = LOCAL_ID(0), ty = LOCAL_ID(1), me = ty * WIDTH + tx;
  const long b = GROUP_ID(2) % batches, segment = GROUP_ID(2) / batches;
  const long j0 = GROUP_ID(0) * TILE, i0 = GROUP_ID(1) * TILE;
  LHS_BATCH(b)
  RHS_BATCH(b)
  T sums[PER][PER];
  UNROLL
  for (int r = 0; r < PER; r++) UNROLL
  for (int c = 0; c < PER; c++) sums[r][c] = 0;
  const long p_end = min((segment + 1) * segment_length, depth);
  for (long p0 = segment * segment_length; p0 < p_end; p0 += DEPTH) {
    for (int e = me; e < TILE * DEPTH; e += WIDTH * WIDTH) {
#ifdef LHS_K_FAST
      const int r = e / DEPTH, q = e % DEPTH;
#else
      const int q = e / TILE, r = e % TILE;
#endif
      const long i = i0 + r, p = p0 + q;
      T v = 0;
      if (i < m && p < p_end) v = LHS_VALUE(i, p);
      left[q][r] = v;
    }
    for (int e = me; e < TILE * DEPTH; e += WIDTH * WIDTH) {
#ifdef RHS_K_FAST
      const int c = e / DEPTH, q = e % DEPTH;
#else
      const int q = e / TILE, c = e % TILE;
#endif
      const long j = j0 + c, p = p0 + q;
      T w = 0;
      if (j < n && p < p_end) {
        RHS_VALUE(v, p, j)
        w = v;
      }
      right[q][c] = w;
    }
    BARRIER;
    for (int q = 0; q < DEPTH; q++) {
      T a[PER], c[PER];
      UNROLL
      for (int r = 0; r < PER; r++) a[r] = left[q][ty + r * WIDTH];
      UNROLL
      for (int r = 0; r < PER; r++) c[r] = right[q][tx + r * WIDTH];
      UNROLL
      for (int r = 0; r < PER; r++) UNROLL
      for (int s = 0; s < PER; s++) sums[r][s] = MULTIPLY_ADD(a[r], c[s], sums[r][s]);
    }
    BARRIER;
  }
  for (int r = 0; r < PER; r++) {
    const long i = i0 + ty + r * WIDTH;
    for (int c = 0; c < PER; c++) {
      const long x = j0 + tx + c * WIDTH;
      if (i < m && x < n) {
        const long row = b * m + i;
        OUTER(row, x)
        PUT(0, sums[r][c])
      }
    }
  }
}

#undef TILE
#undef DEPTH
#undef WIDTH
#undef PER

#elif defined(FORM_PACK)

// Global ids: panels of all batch entries that differ.
KERNEL void NAME(GLOBAL T* packed, const long packed_at, BATCH_PARAMETERS LHS_PARAMETERS const long m, const long depth,
                 const long panels, const long chunk) {
  FOR_EACH(e, panels, chunk) {
    const long per = (m + MR - 1) / MR, b = e / per, i0 = (e - b * per) * MR;
    LHS_BATCH(b)
    GLOBAL T* to = packed + packed_at + e * depth * MR;
    const int width = (int)min((long)MR, m - i0);
#ifdef LHS_K_FAST
    for (int r = 0; r < MR; r++)
      for (long p = 0; p < depth; p++) to[p * MR + r] = r < width ? LHS_VALUE(i0 + r, p) : (T)0;
#else
    for (long p = 0; p < depth; p++)
      for (int r = 0; r < MR; r++) to[p * MR + r] = r < width ? LHS_VALUE(i0 + r, p) : (T)0;
#endif
  }
}

#elif defined(FORM_PANELS)

#if !defined(MR) || !defined(NV) || !defined(VL) || !defined(VECTOR) || !defined(GROUP) || !defined(DEPTH)
#error "matmul.cl: FORM_PANELS needs MR, NV, VL, VECTOR, VLOAD, VSTORE, GROUP and DEPTH"
#endif
#define NR (NV * VL)

#if NV == 2
#define SUM_ROW(r) VECTOR s##r##0 = VLOAD(0, sums + (r0 + r) * NR), s##r##1 = VLOAD(0, sums + (r0 + r) * NR + VL);
#define MULTIPLY_ROW(r)                                                                                                \
  {                                                                                                                    \
    const VECTOR a = (VECTOR)(from[r]);                                                                                \
    s##r##0 = MULTIPLY_ADD(a, c0, s##r##0);                                                                            \
    s##r##1 = MULTIPLY_ADD(a, c1, s##r##1);                                                                            \
  }
#define STORE_ROW(r)                                                                                                   \
  VSTORE(s##r##0, 0, sums + (r0 + r) * NR);                                                                            \
  VSTORE(s##r##1, 0, sums + (r0 + r) * NR + VL);
#else
#error "matmul.cl: NV is 2"
#endif
#if MR == 12
#define ALL_ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)
#elif MR == 6
#define ALL_ROWS(F) F(0) F(1) F(2) F(3) F(4) F(5)
#else
#error "matmul.cl: MR is 6 or 12"
#endif

// Global ids: column panels, groups of rows, batch entries x segments. `lhs_batch` is 0 when all entries share panels.
KERNEL void NAME(PARAMETERS PART_PARAMETERS BATCH_PARAMETERS GLOBAL const T* packed, const long packed_at,
                 const long lhs_batch, RHS_PARAMETERS SIZE_PARAMETERS, const long batches) {
  PREPARE
  T sums[GROUP * NR];
  T tile[DEPTH * NR];
  const long b = GLOBAL_ID(2) % batches, segment = GLOBAL_ID(2) / batches;
  const long x = GLOBAL_ID(0) * NR, i0 = GLOBAL_ID(1) * GROUP;
  const int columns_here = (int)min((long)NR, n - x), rows_here = (int)min((long)GROUP, m - i0);
  RHS_BATCH(b)
  GLOBAL const T* left = packed + packed_at + b * lhs_batch + i0 * depth;
  for (int e = 0; e < (rows_here + MR - 1) / MR * MR * NR; e++) sums[e] = 0;
#ifdef RHS_CONVOLUTION
  long column_plane[NR];
  int column_y[NR], column_x[NR];
  for (int l = 0; l < NR; l++) {
    DECODE_J(at, x + min(l, columns_here - 1))
    column_plane[l] = image_base + at_plane;
    column_y[l] = at_y;
    column_x[l] = at_x;
  }
#endif
  const long p_end = min((segment + 1) * segment_length, depth);
  for (long p0 = segment * segment_length; p0 < p_end; p0 += DEPTH) {
    const int count = (int)min((long)DEPTH, p_end - p0);
#if defined(RHS_CONVOLUTION)
    for (int p = 0; p < count; p++) {
      DECODE_P(at, p0 + p)
      for (int l = 0; l < NR; l++) {
        const int y = at_y + column_y[l], z = at_x + column_x[l];
        READ_PIXEL(v, column_plane[l] + at_plane, y, z)
        tile[p * NR + l] = v;
      }
    }
#elif defined(RHS_K_FAST)
    for (int l = 0; l < NR; l++) {
      GLOBAL const T* from = rhs_here + p0 * rhs_p + (x + min(l, columns_here - 1)) * rhs_j;
      for (int p = 0; p < count; p++) tile[p * NR + l] = from[p];
    }
#else
    if (columns_here == NR) {
      for (int p = 0; p < count; p++) {
        GLOBAL const T* from = rhs_here + (p0 + p) * rhs_p + x;
        VSTORE(VLOAD(0, from), 0, tile + p * NR);
        VSTORE(VLOAD(0, from + VL), 0, tile + p * NR + VL);
      }
    } else {
      for (int p = 0; p < count; p++)
        for (int l = 0; l < NR; l++)
          tile[p * NR + l] = l < columns_here ? rhs_here[(p0 + p) * rhs_p + (x + l) * rhs_j] : (T)0;
    }
#endif
    for (int r0 = 0; r0 < rows_here; r0 += MR) {
      GLOBAL const T* from = left + r0 * depth + p0 * MR;
      ALL_ROWS(SUM_ROW)
      for (int p = 0; p < count; p++) {
        const VECTOR c0 = VLOAD(0, tile + p * NR), c1 = VLOAD(0, tile + p * NR + VL);
        ALL_ROWS(MULTIPLY_ROW)
        from += MR;
      }
      ALL_ROWS(STORE_ROW)
    }
  }
  for (int r = 0; r < rows_here; r++) {
    const long row = b * m + i0 + r;
    OUTER(row, x)
    INDEPENDENT
    for (int l = 0; l < columns_here; l++) { PUT(l, sums[r * NR + l]) }
  }
}

#undef NR
#undef SUM_ROW
#undef MULTIPLY_ROW
#undef STORE_ROW
#undef ALL_ROWS

#else
#error "matmul.cl: define FORM_TILES, FORM_PACK or FORM_PANELS"
#endif

#undef BATCH_PARAMETERS
#undef LHS_PARAMETERS
#undef LHS_BATCH
#undef LHS_VALUE
#undef LHS_BLOCKED
#undef RHS_PARAMETERS
#undef RHS_BATCH
#undef RHS_VALUE
#undef RHS_CONVOLUTION
#undef DECODE_TAP
#undef DECODE_PIXEL
#undef TAP_SIGN
#undef DECODE_P
#undef DECODE_J
#undef READ_PIXEL
#undef PART_PARAMETERS
#undef PUT
#undef SIZE_PARAMETERS
