// Matrix products in the CPU style: a work-item takes NR = NV * VL columns and up to GROUP rows, and keeps MR x NR sums
// in vector registers.
//
// FORM_PACK    the left side is packed into panels of MR rows ([p][MR], zeros at the edge)
// FORM_PANELS  the product, DEPTH elements of p at a time, of which the right side is copied into a tile
// Macros: those of product.cl, which is pasted before; MR, NV, VL, GROUP, DEPTH; VECTOR, VLOAD, VSTORE for vectors of
// VL; ALL_ROWS(F), F(0) F(1) ... for MR rows; ALL_VECTORS(F, r), F(r, 0) F(r, 1) ... for NV vectors of a row.
//   LHS_DIRECT   the left side is read where it lies: it is small
//   CHAIN_PARAMETERS, CHAIN_BEGIN, CHAIN_END  one work-item does several products one after the other: they begin a
//   loop
//                over turns, in which the operands' offsets are the turn's, and end it

#if !defined(NAME) || !defined(T) || !defined(MR)
#error "panels.cl: define MR, a form and the rest of the list above, and product.cl's list"
#endif

#ifndef CHAIN_PARAMETERS
#define CHAIN_PARAMETERS
#define CHAIN_BEGIN
#define CHAIN_END
#endif

#if defined(FORM_PACK)

// Global ids: panels of all batch entries that differ.
KERNEL void NAME(GLOBAL T* packed, const long packed_at, BATCH_PARAMETERS LHS_PARAMETERS const long m, const long depth,
                 const long panels, const long chunk) {
  const long per = (m + MR - 1) / MR;
#ifdef LHS_K_FAST
  FOR_EACH(e, panels, chunk) {
    const long b = e / per, i0 = (e - b * per) * MR;
    LHS_BATCH(b)
    GLOBAL T* to = packed + packed_at + e * depth * MR;
    const int width = (int)min((long)MR, m - i0);
    for (int r = 0; r < MR; r++)
      for (long p = 0; p < depth; p++) to[p * MR + r] = r < width ? LHS_VALUE(i0 + r, p) : (T)0;
  }
#else
  // Several panels at a time, so that what is read of a row is more than a part of a cache line.
  const long end = min((GLOBAL_ID(0) + 1) * chunk, panels);
  for (long e = GLOBAL_ID(0) * chunk, count; e < end; e += count) {
    const long b = e / per, first = e - b * per;
    count = min(min(8L, end - e), per - first);
    LHS_BATCH(b)
    GLOBAL T* to = packed + packed_at + e * depth * MR;
    const bool is_whole = (first + count) * MR <= m;
    for (long p = 0; p < depth; p++, to += MR)
      for (long c = 0; c < count; c++) {
        const long i0 = (first + c) * MR;
        if (is_whole) {
          UNROLL
          for (int r = 0; r < MR; r++) to[c * depth * MR + r] = LHS_VALUE(i0 + r, p);
        } else {
          for (int r = 0; r < MR; r++) to[c * depth * MR + r] = i0 + r < m ? LHS_VALUE(i0 + r, p) : (T)0;
        }
      }
  }
#endif
}

#elif defined(FORM_PANELS)

#if !defined(NV) || !defined(VL) || !defined(VECTOR) || !defined(GROUP) || !defined(DEPTH)
#error "panels.cl: FORM_PANELS needs NV, VL, VECTOR, VLOAD, VSTORE, GROUP and DEPTH"
#endif
#define NR (NV * VL)
#define TAKE_SUM(r, v) VECTOR s##r##_##v = VLOAD(0, sums + (r0 + r) * NR + v * VL);
#define TAKE_ROW(r) ALL_VECTORS(TAKE_SUM, r)
#define COLUMN(r, v) const VECTOR c##v = VLOAD(0, tile + p * NR + v * VL);
#define MULTIPLY(r, v) s##r##_##v = MULTIPLY_ADD(a, c##v, s##r##_##v);
#define MULTIPLY_ROW(r)                                                                                                \
  {                                                                                                                    \
    const VECTOR a = (VECTOR)(LEFT(r));                                                                                \
    ALL_VECTORS(MULTIPLY, r)                                                                                           \
  }
#define KEEP_SUM(r, v) VSTORE(s##r##_##v, 0, sums + (r0 + r) * NR + v * VL);
#define KEEP_ROW(r) ALL_VECTORS(KEEP_SUM, r)
#ifdef LHS_DIRECT
#define LEFT_PARAMETERS LHS_PARAMETERS
#define LEFT(r) row##r[p * lhs_step]
// Rows past the last read the last one; nobody stores what they give.
#define LEFT_ROW(r) GLOBAL const T* row##r = lhs_here + min(i0 + r0 + r, m - 1) * lhs_i + p0 * lhs_p;
#ifdef LHS_K_FAST
#define LEFT_STEP 1
#else
#define LEFT_STEP lhs_p
#endif
#else
#define LEFT_PARAMETERS GLOBAL const T *packed, const long packed_at, const long lhs_batch,
#define LEFT(r) from[r]
#endif
#define COPY(r, v) VSTORE(VLOAD(0, from + v * VL), 0, tile + p * NR + v * VL);

// Global ids: column panels, groups of rows, batch entries x segments. `lhs_batch` is 0 when all entries share panels.
KERNEL void NAME(PARAMETERS PART_PARAMETERS BATCH_PARAMETERS LEFT_PARAMETERS RHS_PARAMETERS SIZE_PARAMETERS,
                 const long batches CHAIN_PARAMETERS) {
  CHAIN_BEGIN
  PREPARE
  T sums[GROUP * NR];
  T tile[DEPTH * NR];
  const long b = GLOBAL_ID(2) % batches, segment = GLOBAL_ID(2) / batches;
  const long x = GLOBAL_ID(0) * NR, i0 = GLOBAL_ID(1) * GROUP;
  const int columns_here = (int)min((long)NR, n - x), rows_here = (int)min((long)GROUP, m - i0);
  RHS_BATCH(b)
#ifdef LHS_DIRECT
  LHS_BATCH(b)
  const long lhs_step = LEFT_STEP;
#else
  GLOBAL const T* left = packed + packed_at + b * lhs_batch + i0 * depth;
#endif
  for (int e = 0; e < (rows_here + MR - 1) / MR * MR * NR; e++) sums[e] = 0;
  const long p_end = min((segment + 1) * segment_length, depth);
  for (long p0 = segment * segment_length; p0 < p_end; p0 += DEPTH) {
    const int count = (int)min((long)DEPTH, p_end - p0);
#if defined(RHS_K_FAST)
    for (int l = 0; l < NR; l++) {
      GLOBAL const T* from = rhs_here + p0 * rhs_p + (x + min(l, columns_here - 1)) * rhs_j;
      for (int p = 0; p < count; p++) tile[p * NR + l] = from[p];
    }
#else
    if (columns_here == NR) {
      for (int p = 0; p < count; p++) {
        GLOBAL const T* from = rhs_here + RHS_DEPTH(p0 + p) + x;
        ALL_VECTORS(COPY, 0)
      }
    } else {
      for (int p = 0; p < count; p++)
        for (int l = 0; l < NR; l++) tile[p * NR + l] = l < columns_here ? RHS_VALUE(p0 + p, x + l) : (T)0;
    }
#endif
    for (int r0 = 0; r0 < rows_here; r0 += MR) {
#ifdef LHS_DIRECT
      ALL_ROWS(LEFT_ROW)
#else
      GLOBAL const T* from = left + r0 * depth + p0 * MR;
#endif
      ALL_ROWS(TAKE_ROW)
      for (int p = 0; p < count; p++) {
        ALL_VECTORS(COLUMN, 0)
        ALL_ROWS(MULTIPLY_ROW)
#ifndef LHS_DIRECT
        from += MR;
#endif
      }
      ALL_ROWS(KEEP_ROW)
    }
  }
  for (int r = 0; r < rows_here; r++) {
    const long row = b * m + i0 + r;
    OUTER(row, x)
    int l = 0;
#ifdef FINISH_VECTOR
    for (; l + 16 <= columns_here; l += 16) {
      const float16 result = vload16(0, sums + r * NR + l);
      FINISH_VECTOR(l)
    }
#endif
    INDEPENDENT
    for (; l < columns_here; l++) { PUT(l, sums[r * NR + l]) }
  }
  CHAIN_END
}

#else
#error "panels.cl: define FORM_PACK or FORM_PANELS"
#endif
