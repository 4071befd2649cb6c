// Attention in the CPU style: a work-item takes whole batch elements, or parts of their queries. Products keep MR x NR
// sums in registers; their right sides are panels of NR = NV * VL columns, [panel][p][NR], in scratch memory.
//
// FORM_FORWARD, FORM_GRADIENT
// Macros: those of attention.cl, which is pasted before; MR, NV, VL, VECTOR, VLOAD, VSTORE, ALL_ROWS(F), ALL_VECTORS(F,
// r) and MULTIPLY_ADD(a, b, c) as in panels.cl; EXP(v), SUM_LANES(v) and MAX_LANES(v) of a VECTOR; MASK, the type that
// comparisons of VECTOR give, and LANES, its 0, 1, 2 ...

#if !defined(NAME) || !defined(T) || !defined(MR) || !defined(LANES)
#error "attention_panels.cl: define MR, LANES, a form and the rest of the list above, and attention.cl's list"
#endif

#define NR (NV * VL)
#define PANELS(columns) (((columns) + NR - 1) / NR)
#define ZERO(r, v) s##r##_##v = (VECTOR)(0);
#define ZERO_ROW(r) ALL_VECTORS(ZERO, r)
#define DECLARE(r, v) VECTOR s##r##_##v;
#define DECLARE_ROW(r) ALL_VECTORS(DECLARE, r)
#define TAKE_SUM(r, v) s##r##_##v = VLOAD(0, c + r * c_row + v * VL);
#define TAKE_ROW(r) ALL_VECTORS(TAKE_SUM, r)
#define COLUMN(r, v) const VECTOR b##v = VLOAD(0, right + (long)p * NR + v * VL);
#define MULTIPLY(r, v) s##r##_##v = MULTIPLY_ADD(a, b##v, s##r##_##v);
#define LEFT_ROW(r) const long row##r = min(r, last_row) * left_row;
#define MULTIPLY_ROW(r)                                                                                                \
  {                                                                                                                    \
    const VECTOR a = (VECTOR)(left[row##r + p * left_step]);                                                           \
    ALL_VECTORS(MULTIPLY, r)                                                                                           \
  }
#define MULTIPLY_SOME_ROW(r)                                                                                           \
  if (r >= first && r <= last) MULTIPLY_ROW(r)
#define KEEP_SUM(r, v) VSTORE(s##r##_##v, 0, c + r * c_row + v * VL);
#define KEEP_ROW(r) ALL_VECTORS(KEEP_SUM, r)

// c [MR, NR] = the sum over p in from ..< to of left[r, p] * right[p, ..], or that added to c. Where p in edge ..<
// edge_end is, only the rows after p - edge (`is_lower`), or those up to it, are. Rows after last_row of the left side
// repeat it.
INLINED void FUNCTION(product)(GLOBAL const T* left, const long left_row, const long left_step, const int last_row,
                               GLOBAL const T* right, GLOBAL T* c, const long c_row, const bool adds, const int from,
                               const int to, const int edge, const int edge_end, const bool is_lower) {
  ALL_ROWS(LEFT_ROW)
  ALL_ROWS(DECLARE_ROW)
  if (adds) {
    ALL_ROWS(TAKE_ROW)
  } else {
    ALL_ROWS(ZERO_ROW)
  }
  for (long p = from; p < to; p++) {
    ALL_VECTORS(COLUMN, 0)
    ALL_ROWS(MULTIPLY_ROW)
  }
  for (long p = max(edge, 0); p < edge_end; p++) {
    const int first = is_lower ? (int)p - edge + 1 : 0, last = is_lower ? MR : (int)p - edge;
    ALL_VECTORS(COLUMN, 0)
    ALL_ROWS(MULTIPLY_SOME_ROW)
  }
  ALL_ROWS(KEEP_ROW)
}

// Rows of x as panels [PANELS(columns)][rows][NR], zeros past the last column.
INLINED void FUNCTION(pack)(GLOBAL const T* x, const long x_row, const int rows, const int columns, GLOBAL T* to) {
  for (int j = 0; j < columns; j += NR)
    for (int p = 0; p < rows; p++, to += NR) {
      GLOBAL const T* from = x + p * x_row + j;
      for (int l = 0; l < NR; l += VL) {
        if (j + l + VL <= columns) {
          VSTORE(VLOAD(0, from + l), 0, to + l);
        } else {
          for (int e = l; e < l + VL; e++) to[e] = j + e < columns ? from[e] : (T)0;
        }
      }
    }
}
// The transpose of x as panels [PANELS(rows)][columns][NR], zeros past the last row.
INLINED void FUNCTION(pack_transposed)(GLOBAL const T* x, const long x_row, const int rows, const int columns,
                                       GLOBAL T* to) {
  for (int j = 0; j < rows; j += NR, to += (long)columns * NR)
    for (int l = 0; l < NR; l++) {
      GLOBAL const T* from = x + (j + l) * x_row;
      if (j + l < rows) {
        for (int p = 0; p < columns; p++) to[p * NR + l] = from[p];
      } else {
        for (int p = 0; p < columns; p++) to[p * NR + l] = 0;
      }
    }
}
// A row of results to where it belongs, times a factor.
INLINED void FUNCTION(store)(GLOBAL const T* c, const T factor, const int columns, GLOBAL T* y) {
  int l = 0;
  for (; l + VL <= columns; l += VL) VSTORE(VLOAD(0, c + l) * factor, 0, y + l);
  for (; l < columns; l++) y[l] = c[l] * factor;
}

#define HERE(k) (LANES < (MASK)(n - (k)))
// Of a row of n scores: scale * x, at places from n on -INFINITY.
#define SCORES(k) (HERE(k) ? VLOAD(0, x + (k)) * scale : (VECTOR)(-(T)INFINITY))
INLINED T FUNCTION(maximum)(GLOBAL const T* x, const int n, const T scale) {
  VECTOR most = (VECTOR)(-(T)INFINITY);
  for (int k = 0; k < n; k += VL) most = fmax(most, SCORES(k));
  return MAX_LANES(most);
}

#if defined(FORM_FORWARD)

// Of a row of n scores: x = exp(scale * x - its maximum), and zeros up to a whole vector; gives the sum.
INLINED T FUNCTION(weigh)(GLOBAL T* x, const int n, const T scale) {
  const VECTOR top = (VECTOR)(FUNCTION(maximum)(x, n, scale));
  VECTOR sum = (VECTOR)(0);
  for (int k = 0; k < n; k += VL) {
    const VECTOR e = EXP(SCORES(k) - top);
    VSTORE(e, 0, x + k);
    sum += e;
  }
  return SUM_LANES(sum);
}

// `room`: where in a work-item's part of the stage its pieces lie; `line` is from one row of scores to the next.
KERNEL void NAME(OPERANDS SIZES, GLOBAL T* stage, const long stage_at, const long stage_size, const long room,
                 const long line, const long units, const long parts, const long chunk) {
  GLOBAL T* memory = stage + stage_at + GLOBAL_ID(0) * stage_size;
  GLOBAL T *scores = memory + table[room], *keys_here = memory + table[room + 1],
           *values_here = memory + table[room + 2], *result = memory + table[room + 3];
  const int tiles = (queries + MR - 1) / MR;
  const long width = (long)PANELS(value_features) * NR;
  FOR_EACH(unit, units, chunk) {
    const long b = unit / parts, part = unit % parts;
    const int begin = (int)(part * tiles / parts) * MR, end = min((int)((part + 1) * tiles / parts) * MR, queries);
    const int all = SEEN(end - 1);
    FUNCTION(pack_transposed)(OF(k, 1), k_row, all, features, keys_here);
    FUNCTION(pack)(OF(v, 2), v_row, all, value_features, values_here);
    for (int i = begin; i < end; i += MR) {
      const int rows = min(MR, queries - i), seen = SEEN(i), most = SEEN(i + rows - 1);
      for (int j = 0; j < most; j += NR) FUNCTION(product)
      (OF(q, 0) + i * q_row, q_row, 1, rows - 1, keys_here + (long)j * features, scores + j, line, false, 0, features,
       0, 0, true);
      T sums[MR];
      for (int r = 0; r < rows; r++) sums[r] = FUNCTION(weigh)(scores + r * line, SEEN(i + r), scale);
      for (int j = 0; j < value_features; j += NR) FUNCTION(product)
      (scores, line, 1, rows - 1, values_here + (long)j * all, result + j, width, false, 0, seen, seen, most, true);
      for (int r = 0; r < rows; r++)
        FUNCTION(store)(result + r * width, (T)1 / sums[r], value_features, OF(o, 3) + (i + r) * o_row);
    }
  }
}

#elif defined(FORM_GRADIENT)

// Of a row of n scores x and products d of g and the values: x = the weights, and d the gradient of the products of
// queries and keys.
INLINED void FUNCTION(slopes)(GLOBAL T* x, GLOBAL T* d, const int n, const T scale) {
  const VECTOR top = (VECTOR)(FUNCTION(maximum)(x, n, scale));
  VECTOR sum = (VECTOR)(0), dot = (VECTOR)(0);
  for (int k = 0; k < n; k += VL) {
    const VECTOR e = EXP(SCORES(k) - top);
    VSTORE(e, 0, x + k);
    sum += e;
    dot = MULTIPLY_ADD(e, HERE(k) ? VLOAD(0, d + k) : (VECTOR)(0), dot);
  }
  const T total = SUM_LANES(sum);
  const VECTOR factor = (VECTOR)((T)1 / total), mean = (VECTOR)(SUM_LANES(dot) / total);
  for (int k = 0; k < n; k += VL) {
    const VECTOR p = VLOAD(0, x + k) * factor;
    VSTORE(p, 0, x + k);
    VSTORE(p * (VLOAD(0, d + k) - mean) * scale, 0, d + k);
  }
}

// A unit is a batch element. Queries in blocks, the last one first: it sees all keys that any sees, sets the sums over
// queries, and the others add to them.
KERNEL void NAME(OPERANDS SIZES, GLOBAL T* stage, const long stage_at, const long stage_size, const long room,
                 const long line, const long units, const int block, const long chunk) {
  GLOBAL T* memory = stage + stage_at + GLOBAL_ID(0) * stage_size;
  GLOBAL T *scores = memory + table[room], *d = memory + table[room + 1], *keys_across = memory + table[room + 2],
           *values_across = memory + table[room + 3], *keys_here = memory + table[room + 4],
           *queries_here = memory + table[room + 5], *slopes_here = memory + table[room + 6],
           *key_sums = memory + table[room + 7], *value_sums = memory + table[room + 8],
           *result = memory + table[room + 9];
  const int all = SEEN(queries - 1);
  const long width = (long)PANELS(features) * NR, value_width = (long)PANELS(value_features) * NR;
  FOR_EACH(b, units, chunk) {
    GLOBAL const T *q_here = OF(q, 0), *g_here = OF(g, 3);
    FUNCTION(pack_transposed)(OF(k, 1), k_row, all, features, keys_across);
    FUNCTION(pack_transposed)(OF(v, 2), v_row, all, value_features, values_across);
    FUNCTION(pack)(OF(k, 1), k_row, all, features, keys_here);
    for (int first = (queries - 1) / block * block; first >= 0; first -= block) {
      const int count = min(block, queries - first), last_seen = SEEN(first + count - 1);
      const bool adds = first + count < queries;
      FUNCTION(pack)(q_here + first * q_row, q_row, count, features, queries_here);
      FUNCTION(pack)(g_here + first * g_row, g_row, count, value_features, slopes_here);
      for (int i = 0; i < count; i += MR) {
        const int rows = min(MR, count - i), seen = SEEN(first + i), most = SEEN(first + i + rows - 1);
        GLOBAL T *x = scores + i * line, *y = d + i * line;
        for (int turn = 0; turn < 2; turn++) {
          GLOBAL const T* left = turn ? g_here + (first + i) * g_row : q_here + (first + i) * q_row;
          GLOBAL const T* right = turn ? values_across : keys_across;
          GLOBAL T* to = turn ? y : x;
          const long left_row = turn ? g_row : q_row;
          const int depth = turn ? value_features : features;
          for (int j = 0; j < most; j += NR) FUNCTION(product)
          (left, left_row, 1, rows - 1, right + (long)j * depth, to + j, line, false, 0, depth, 0, 0, true);
        }
        for (int r = 0; r < rows; r++) FUNCTION(slopes)(x + r * line, y + r * line, SEEN(first + i + r), scale);
        for (int j = 0; j < features; j += NR) FUNCTION(product)
        (y, line, 1, rows - 1, keys_here + (long)j * all, result + j, width, false, 0, seen, seen, most, true);
        for (int r = 0; r < rows; r++)
          FUNCTION(store)(result + r * width, (T)1, features, OF(dq, 4) + (first + i + r) * dq_row);
      }
      for (int i = 0; i < last_seen; i += MR) {
#ifdef CAUSAL
        // Key i + r is seen by the queries from i + r on.
        const int begin = i - first, from = min(max(begin + MR - 1, 0), count);
#else
        const int begin = 0, from = 0;
#endif
        for (int turn = 0; turn < 2; turn++) {
          GLOBAL const T *left = (turn ? d : scores) + i, *right = turn ? queries_here : slopes_here;
          const long to_row = turn ? width : value_width;
          GLOBAL T* to = (turn ? key_sums : value_sums) + i * to_row;
          for (int j = 0; j < to_row; j += NR) FUNCTION(product)
          (left, 1, line, MR - 1, right + (long)j * count, to + j, to_row, adds, from, count, begin, from, false);
        }
      }
    }
    for (int j = 0; j < keys; j++) {
      GLOBAL T *to_keys = OF(dk, 5) + j * dk_row, *to_values = OF(dv, 6) + j * dv_row;
      if (j < all) {
        FUNCTION(store)(key_sums + j * width, (T)1, features, to_keys);
        FUNCTION(store)(value_sums + j * value_width, (T)1, value_features, to_values);
      } else {
        for (int l = 0; l < features; l++) to_keys[l] = 0;
        for (int l = 0; l < value_features; l++) to_values[l] = 0;
      }
    }
  }
}

#else
#error "attention_panels.cl: define FORM_FORWARD or FORM_GRADIENT"
#endif
