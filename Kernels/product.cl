// Matrix products: result[b, i, j] = sum over p of lhs[b, i, p] * rhs[b, p, j], then an epilogue and its stores.
//
// Macros, made by the host:
//   NAME, PARAMETERS, PREPARE, OUTER(row, x), FINISH(l)  as in reduce.cl; the outer space is [rows, n], where
//               row = b * m + i
//   T           the type of the elements (unsigned for integers, which wrap); MULTIPLY_ADD(a, b, c) = a * b + c
//   FINISH_VECTOR(l)  FINISH for the columns l ..< l + 16, `result` being float16, if the host can write it (CPU style)
//   RESULT(v)   the family's result of v, if not v itself
//   RHS_K_FAST, LHS_K_FAST  neighbours along p are neighbours in memory
//   LHS_TWO_LEVELS, RHS_TWO_LEVELS  p is counted in blocks
// The left side's element is at  lhs_at + batch part + i * lhs_i + p * lhs_p, or, with two levels, (p / lhs_block) *
// lhs_outer + (p % lhs_block) * lhs_p in the place of the last. The right side's is found likewise, or is a
// convolution's (convolution.cl pasted before). With PARTIAL a work-item takes segment s of p (segment_length elements)
// and stores to part[s][row][j].
//
// Pasted behind this file, tiles.cl (GPU style) or panels.cl (CPU style) computes it.

#if !defined(NAME) || !defined(T)
#error "product.cl: define NAME, T and the rest of the list above"
#endif

// The element offsets of batch entry b in both sides: offsets[2 b] and offsets[2 b + 1], from `offsets_at`.
#define BATCH_PARAMETERS GLOBAL const long *offsets, const long offsets_at,
#define LHS_PARAMETERS                                                                                                 \
  GLOBAL const T *lhs, const long lhs_at, const long lhs_i, const long lhs_p, const long lhs_block,                    \
      const long lhs_outer,
#define LHS_BATCH(b) GLOBAL const T* lhs_here = lhs + lhs_at + offsets[offsets_at + 2 * (b)];
#define LHS_VALUE(i, p) lhs_here[(i)*lhs_i + LHS_DEPTH(p)]
#ifdef LHS_TWO_LEVELS
#define LHS_DEPTH(p) (((p) / lhs_block) * lhs_outer + ((p) % lhs_block) * lhs_p)
#else
#define LHS_DEPTH(p) ((p)*lhs_p)
#endif

#ifndef RHS_CONVOLUTION
#define RHS_PARAMETERS                                                                                                 \
  GLOBAL const T *rhs, const long rhs_at, const long rhs_p, const long rhs_j, const long rhs_block,                    \
      const long rhs_outer,
#define RHS_BATCH(b) GLOBAL const T* rhs_here = rhs + rhs_at + offsets[offsets_at + 2 * (b) + 1];
#define RHS_VALUE(p, j) rhs_here[RHS_DEPTH(p) + (j)*rhs_j]
#ifdef RHS_TWO_LEVELS
#define RHS_DEPTH(p) (((p) / rhs_block) * rhs_outer + ((p) % rhs_block) * rhs_p)
#else
#define RHS_DEPTH(p) ((p)*rhs_p)
#endif
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
