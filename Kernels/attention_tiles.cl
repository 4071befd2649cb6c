// Attention in the GPU style: a work-group takes TILE queries (or keys) and CHUNK columns of the result, while tiles of
// the other side pass by in local memory. A work-item has one row: ITEM_SCORES of a tile's scores, ITEM_COLUMNS of the
// result.
//
// FORM_FORWARD
// FORM_STATISTICS  for each query: the maximum of its scores, 1 / the sum of weights, the mean of g v^T under them
// FORM_QUERIES     dq, and
// FORM_KEYS        dk and dv, each with the scores computed again from the statistics
// Macros: those of attention.cl, which is pasted before; EXP(v) of a T. Global ids: tiles, chunks of columns, batch
// elements.

#if !defined(NAME) || !defined(T) || !defined(EXP)
#error "attention_tiles.cl: define EXP, a form and attention.cl's list"
#endif

#define WIDTH 128
#define TILE 32
#define DEPTH 16
#define CHUNK 64
#define ITEM_SCORES (TILE * TILE / WIDTH)
#define ITEM_COLUMNS (TILE * CHUNK / WIDTH)
#define LINE (TILE + 1)
#define ATTENTION_KERNEL KERNEL __attribute__((reqd_work_group_size(WIDTH, 1, 1))) void

// sums[e] = the product of row `row` of left and row `at` + e of right, both of `depth` elements, of a tile each.
INLINED void FUNCTION(scores)(GLOBAL const T* left, const long left_row, const int left_count, GLOBAL const T* right,
                              const long right_row, const int right_count, const int depth, LOCAL T* a, LOCAL T* b,
                              T* sums) {
  const int me = LOCAL_ID(0), row = me / (WIDTH / TILE), at = me % (WIDTH / TILE) * ITEM_SCORES;
  for (int e = 0; e < ITEM_SCORES; e++) sums[e] = 0;
  for (int p0 = 0; p0 < depth; p0 += DEPTH) {
    for (int e = me; e < TILE * DEPTH; e += WIDTH) {
      const int r = e / DEPTH, p = e % DEPTH;
      a[r * (DEPTH + 1) + p] = r < left_count && p0 + p < depth ? left[r * left_row + p0 + p] : (T)0;
      b[r * (DEPTH + 1) + p] = r < right_count && p0 + p < depth ? right[r * right_row + p0 + p] : (T)0;
    }
    BARRIER;
    for (int p = 0; p < DEPTH; p++) {
      const T x = a[row * (DEPTH + 1) + p];
      for (int e = 0; e < ITEM_SCORES; e++) sums[e] = fma(x, b[(at + e) * (DEPTH + 1) + p], sums[e]);
    }
    BARRIER;
  }
}

#define PLACES                                                                                                         \
  LOCAL T a[TILE * (DEPTH + 1)], c[TILE * (DEPTH + 1)];                                                                \
  const long b = GROUP_ID(2);                                                                                          \
  const int me = LOCAL_ID(0), row = me / (WIDTH / TILE), at = me % (WIDTH / TILE) * ITEM_SCORES,                       \
            first = (int)GROUP_ID(0) * TILE, column = (int)GROUP_ID(1) * CHUNK + me % (WIDTH / TILE) * ITEM_COLUMNS;
// The scores of the query tile from i0 on and the key tile from j0 on.
#define SCORE(i0, j0)                                                                                                  \
  FUNCTION(scores)                                                                                                     \
  (OF(q, 0) + (i0)*q_row, q_row, queries - (i0), OF(k, 1) + (j0)*k_row, k_row, keys - (j0), features, a, c, s);
#define SLOPE(i0, j0)                                                                                                  \
  FUNCTION(scores)                                                                                                     \
  (OF(g, 3) + (i0)*g_row, g_row, queries - (i0), OF(v, 2) + (j0)*v_row, v_row, keys - (j0), value_features, a, c, d);
#define SHIFT(m) ((m) == -(T)INFINITY ? (T)0 : (m))

#if defined(FORM_FORWARD) || defined(FORM_STATISTICS)

// The maximum, the sum of weights and, for the statistics, the mean of the slopes are brought up to date tile by tile.
ATTENTION_KERNEL NAME(OPERANDS SIZES, GLOBAL T* statistics, const long statistics_at) {
  PLACES
  LOCAL T p[TILE * LINE];
#ifdef FORM_STATISTICS
  LOCAL T h[TILE * LINE];
  T d[ITEM_SCORES];
  T mean = 0;
#else
  T sums[ITEM_COLUMNS];
  for (int e = 0; e < ITEM_COLUMNS; e++) sums[e] = 0;
#endif
  T s[ITEM_SCORES];
  T top = -(T)INFINITY, total = 0;
  const int i = first + row, last = min(first + TILE, queries), seen = i < queries ? SEEN(i) : 0, most = SEEN(last - 1);
  for (int j0 = 0; j0 < most; j0 += TILE) {
    SCORE(first, j0)
    for (int e = 0; e < ITEM_SCORES; e++) p[row * LINE + at + e] = j0 + at + e < seen ? s[e] * scale : -(T)INFINITY;
#ifdef FORM_STATISTICS
    SLOPE(first, j0)
    for (int e = 0; e < ITEM_SCORES; e++) h[row * LINE + at + e] = d[e];
#endif
    BARRIER;
    const int count = min(TILE, seen - j0);
    T most_here = top;
    for (int j = 0; j < count; j++) most_here = fmax(most_here, p[row * LINE + j]);
    BARRIER;
    for (int e = 0; e < ITEM_SCORES; e++) p[row * LINE + at + e] = EXP(p[row * LINE + at + e] - SHIFT(most_here));
    BARRIER;
    const T factor = EXP(top - SHIFT(most_here));
    top = most_here;
    total *= factor;
#ifdef FORM_STATISTICS
    mean *= factor;
    for (int j = 0; j < count; j++) {
      total += p[row * LINE + j];
      mean = fma(p[row * LINE + j], h[row * LINE + j], mean);
    }
#else
    for (int e = 0; e < ITEM_COLUMNS; e++) sums[e] *= factor;
    for (int j = 0; j < count; j++) {
      const T weight = p[row * LINE + j];
      total += weight;
      GLOBAL const T* from = OF(v, 2) + (j0 + j) * v_row + column;
      for (int e = 0; e < ITEM_COLUMNS; e++)
        if (column + e < value_features) sums[e] = fma(weight, from[e], sums[e]);
    }
#endif
    BARRIER;
  }
  if (i < queries) {
#ifdef FORM_STATISTICS
    if (at == 0) {
      GLOBAL T* to = statistics + statistics_at + (b * queries + i) * 3;
      to[0] = SHIFT(top);
      to[1] = (T)1 / total;
      to[2] = mean / total;
    }
#else
    GLOBAL T* to = OF(o, 3) + i * o_row + column;
    for (int e = 0; e < ITEM_COLUMNS; e++)
      if (column + e < value_features) to[e] = sums[e] / total;
#endif
  }
}

#elif defined(FORM_QUERIES)

ATTENTION_KERNEL NAME(OPERANDS SIZES, GLOBAL const T* statistics, const long statistics_at) {
  PLACES
  LOCAL T p[TILE * LINE];
  T s[ITEM_SCORES], d[ITEM_SCORES], sums[ITEM_COLUMNS];
  for (int e = 0; e < ITEM_COLUMNS; e++) sums[e] = 0;
  const int i = first + row, last = min(first + TILE, queries), seen = i < queries ? SEEN(i) : 0, most = SEEN(last - 1);
  GLOBAL const T* of_row = statistics + statistics_at + (b * queries + min(i, queries - 1)) * 3;
  const T top = of_row[0], factor = of_row[1], mean = of_row[2];
  for (int j0 = 0; j0 < most; j0 += TILE) {
    SCORE(first, j0)
    SLOPE(first, j0)
    for (int e = 0; e < ITEM_SCORES; e++)
      p[row * LINE + at + e] = EXP(s[e] * scale - top) * factor * (d[e] - mean) * scale;
    BARRIER;
    const int count = min(TILE, seen - j0);
    for (int j = 0; j < count; j++) {
      const T slope = p[row * LINE + j];
      GLOBAL const T* from = OF(k, 1) + (j0 + j) * k_row + column;
      for (int e = 0; e < ITEM_COLUMNS; e++)
        if (column + e < features) sums[e] = fma(slope, from[e], sums[e]);
    }
    BARRIER;
  }
  GLOBAL T* to = OF(dq, 4) + i * dq_row + column;
  for (int e = 0; e < ITEM_COLUMNS; e++)
    if (i < queries && column + e < features) to[e] = sums[e];
}

#elif defined(FORM_KEYS)

// Rows are keys, and the tiles that pass by are of queries.
ATTENTION_KERNEL NAME(OPERANDS SIZES, GLOBAL const T* statistics, const long statistics_at) {
  PLACES
  LOCAL T p[TILE * LINE], h[TILE * LINE];
  T s[ITEM_SCORES], d[ITEM_SCORES], key_sums[ITEM_COLUMNS], value_sums[ITEM_COLUMNS];
  for (int e = 0; e < ITEM_COLUMNS; e++) key_sums[e] = value_sums[e] = 0;
  const int j = first + row;
#ifdef CAUSAL
  const int begin = first;
#else
  const int begin = 0;
#endif
  for (int i0 = begin / TILE * TILE; i0 < queries; i0 += TILE) {
    SCORE(i0, first)
    SLOPE(i0, first)
    GLOBAL const T* of_row = statistics + statistics_at + (b * queries + min(i0 + row, queries - 1)) * 3;
    for (int e = 0; e < ITEM_SCORES; e++) {
      const T weight = EXP(s[e] * scale - of_row[0]) * of_row[1];
      p[row * LINE + at + e] = weight;
      h[row * LINE + at + e] = weight * (d[e] - of_row[2]) * scale;
    }
    BARRIER;
#ifdef CAUSAL
    const int from = max(0, j - i0);
#else
    const int from = 0;
#endif
    for (int i = from; i < min(TILE, queries - i0); i++) {
      const T weight = p[i * LINE + row], slope = h[i * LINE + row];
      GLOBAL const T *q_here = OF(q, 0) + (i0 + i) * q_row + column, *g_here = OF(g, 3) + (i0 + i) * g_row + column;
      for (int e = 0; e < ITEM_COLUMNS; e++) {
        if (column + e < features) key_sums[e] = fma(slope, q_here[e], key_sums[e]);
        if (column + e < value_features) value_sums[e] = fma(weight, g_here[e], value_sums[e]);
      }
    }
    BARRIER;
  }
  GLOBAL T *to_keys = OF(dk, 5) + j * dk_row + column, *to_values = OF(dv, 6) + j * dv_row + column;
  for (int e = 0; e < ITEM_COLUMNS; e++) {
    if (j < keys && column + e < features) to_keys[e] = key_sums[e];
    if (j < keys && column + e < value_features) to_values[e] = value_sums[e];
  }
}

#else
#error "attention_tiles.cl: define a form"
#endif
