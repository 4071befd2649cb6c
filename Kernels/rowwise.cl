// Row-wise operations: for each row, a prologue, the family's own work, and for each of its results an epilogue.
//
// Macros: NAME, T (float or double), and one of
//   FORM_SOFTMAX, FORM_LOG_SOFTMAX       x -> y
//   FORM_LAYER_NORM                      x, scale and shift [columns] -> y; biased variance
//   FORM_RMS_NORM                        x, scale -> y
//   FORM_CROSS_ENTROPY                   x, label [rows] -> y [rows]
//   FORM_CROSS_ENTROPY_GRADIENT          x, label, scale [rows] -> y
//   FORM_SOFTMAX_GRADIENT, FORM_LOG_SOFTMAX_GRADIENT    x (the forward result), g -> y
//   FORM_LAYER_NORM_GRADIENT, FORM_RMS_NORM_GRADIENT    x, g, scale -> y
// x, g and y are dense unless, made by the host for expressions,
//   PARAMETERS, PREPARE, ROW(row), INDEX   as in elementwise.cl; the space is [rows' dims, columns]
//   STAGE(k)    evaluates the prologue at element k of the row into row[k] and second[k]
//   FINISH(k)   evaluates the epilogue of `result` at element k and stores; y is then scratch memory (CPU style)
//   ONE_SCALE   of FORM_CROSS_ENTROPY_GRADIENT: one scale for all rows
//   STAGED      GPU style with STAGE: elements of local memory for each input, if a row fits; else `stage` is used
// GPU style: a work-group of WIDTH per row. CPU style: a work-item per `chunk` rows, in vectors of 16 (VECTOR is the
// type T16, WIDEN(v) one of equal values).
// A label outside 0..<columns and other than `ignore` is a fault (see gather.cl); its row gives 0.

#if !defined(NAME) || !defined(T)
#error "rowwise.cl: define NAME, T and a form"
#endif

#if defined(FORM_CROSS_ENTROPY) || defined(FORM_CROSS_ENTROPY_GRADIENT)
#define HAS_LABEL
#endif
#if defined(FORM_SOFTMAX_GRADIENT) || defined(FORM_LOG_SOFTMAX_GRADIENT) || defined(FORM_LAYER_NORM_GRADIENT) ||       \
    defined(FORM_RMS_NORM_GRADIENT)
#define HAS_SECOND
#endif
#if defined(FORM_LAYER_NORM) || defined(FORM_LAYER_NORM_GRADIENT)
#define CENTRED
#endif
#if defined(CENTRED) || defined(FORM_RMS_NORM) || defined(FORM_RMS_NORM_GRADIENT)
#define IS_NORM
#endif
#if defined(STAGE) || defined(FINISH)
#define FUSED PARAMETERS
#else
#define FUSED
#define PREPARE
#define ROW(row)
#endif

#define ROWWISE_PARAMETERS                                                                                             \
  FUSED GLOBAL const T *x, const long x_at, GLOBAL const T *g, const long g_at, GLOBAL const T *scale,                 \
      const long scale_at, GLOBAL const T *shift, const long shift_at, GLOBAL const long *label, const long label_at,  \
      GLOBAL T *y, const long y_at, GLOBAL T *stage, const long stage_at, GLOBAL int *status, const long rows,         \
      const long columns, const T epsilon, const long ignore, const long chunk

#ifdef ONE_SCALE
#define ROW_SCALE(r) scale[scale_at]
#else
#define ROW_SCALE(r) scale[scale_at + r]
#endif

// What a row needs of the other rows' operands, declared at its beginning.
#ifdef HAS_LABEL
#define READ_LABEL(first)                                                                                              \
  const long wanted = label[label_at + r];                                                                             \
  const bool counted = wanted != ignore && wanted >= 0 && wanted < columns;                                            \
  if (first && wanted != ignore && !counted) kiln_fault(status, r);
#else
#define READ_LABEL(first)
#endif

// The other values at an element: w of the second input, q of scale, u of shift.
#ifdef HAS_SECOND
#define SECOND(TYPE, LOAD) const TYPE w = LOAD(second);
#else
#define SECOND(TYPE, LOAD)
#endif
#ifdef IS_NORM
#define SCALE(TYPE, LOAD) const TYPE q = LOAD((scale + scale_at));
#else
#define SCALE(TYPE, LOAD)
#endif
#ifdef FORM_LAYER_NORM
#define SHIFT(TYPE, LOAD) const TYPE u = LOAD((shift + shift_at));
#else
#define SHIFT(TYPE, LOAD)
#endif
#define ELEMENT(TYPE, LOAD)                                                                                            \
  const TYPE v = LOAD(row);                                                                                            \
  SECOND(TYPE, LOAD) SCALE(TYPE, LOAD) SHIFT(TYPE, LOAD)
#define LOAD_ONE(from) from[k]
#define LOAD_VECTOR(from) vload16(0, from + k)

// mean and factor of a norm, from ROW_SUM.
#ifdef CENTRED
#define ROW_MOMENTS                                                                                                    \
  ROW_SUM(sum, v)                                                                                                      \
  const T mean = sum / (T)columns;                                                                                     \
  ROW_SUM(squares, (v - mean) * (v - mean))                                                                            \
  const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
#define NORMAL ((v - mean) * factor)
#else
#define ROW_MOMENTS                                                                                                    \
  ROW_SUM(squares, v* v)                                                                                               \
  const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
#define NORMAL (v * factor)
#endif

#ifdef STYLE_CPU

#if !defined(VECTOR) || !defined(WIDEN)
#error "rowwise.cl: the CPU style needs VECTOR and WIDEN(v), a vector of 16 equal values"
#endif
#define SUM16(a)                                                                                                       \
  (((a.s0 + a.s8) + (a.s4 + a.sc)) + ((a.s2 + a.sa) + (a.s6 + a.se)) +                                                 \
   (((a.s1 + a.s9) + (a.s5 + a.sd)) + ((a.s3 + a.sb) + (a.s7 + a.sf))))

// Sum of the expression over vectors (whole blocks), then over single elements (the rest).
#define ROW_SUM(name, EXPRESSION)                                                                                      \
  T name;                                                                                                              \
  {                                                                                                                    \
    VECTOR total = WIDEN(0);                                                                                           \
    long k = 0;                                                                                                        \
    for (; k + 16 <= columns; k += 16) {                                                                               \
      ELEMENT(VECTOR, LOAD_VECTOR)                                                                                     \
      total += EXPRESSION;                                                                                             \
    }                                                                                                                  \
    name = SUM16(total);                                                                                               \
    for (; k < columns; k++) {                                                                                         \
      ELEMENT(T, LOAD_ONE)                                                                                             \
      name += EXPRESSION;                                                                                              \
    }                                                                                                                  \
  }
#define ROW_MAP(EXPRESSION)                                                                                            \
  {                                                                                                                    \
    long k = 0;                                                                                                        \
    for (; k + 16 <= columns; k += 16) {                                                                               \
      ELEMENT(VECTOR, LOAD_VECTOR)                                                                                     \
      vstore16(EXPRESSION, 0, out + k);                                                                                \
    }                                                                                                                  \
    for (; k < columns; k++) {                                                                                         \
      ELEMENT(T, LOAD_ONE)                                                                                             \
      out[k] = EXPRESSION;                                                                                             \
    }                                                                                                                  \
  }
#define MAX4(a, b, c, d) fmax(fmax(a, b), fmax(c, d))
#define MAX16(v)                                                                                                       \
  MAX4(MAX4(v.s0, v.s1, v.s2, v.s3), MAX4(v.s4, v.s5, v.s6, v.s7), MAX4(v.s8, v.s9, v.sa, v.sb),                       \
       MAX4(v.sc, v.sd, v.se, v.sf))
#define ROW_MAXIMUM(name)                                                                                              \
  T name = -(T)INFINITY;                                                                                               \
  {                                                                                                                    \
    VECTOR best = WIDEN(-(T)INFINITY);                                                                                 \
    long k = 0;                                                                                                        \
    for (; k + 16 <= columns; k += 16) best = fmax(best, vload16(0, row + k));                                         \
    name = MAX16(best);                                                                                                \
    for (; k < columns; k++) name = fmax(name, row[k]);                                                                \
  }

KERNEL void NAME(ROWWISE_PARAMETERS) {
  PREPARE
  FOR_EACH(r, rows, chunk) {
    ROW(r)
#ifdef STAGE
    GLOBAL T *staged = stage + stage_at + GLOBAL_ID(0) * 3 * columns, *staged_second = staged + columns;
    INDEPENDENT
    for (long k = 0; k < columns; k++) { STAGE(k) }
    GLOBAL const T *row = staged, *second = staged_second;
#else
    GLOBAL const T *row = x + x_at + r * columns, *second = g + g_at + r * columns;
#endif
    READ_LABEL(true)
#ifdef FINISH
    GLOBAL T* out = stage + stage_at + GLOBAL_ID(0) * 3 * columns + 2 * columns;
#elif !defined(FORM_CROSS_ENTROPY)
    GLOBAL T* out = y + y_at + r * columns;
#endif
#if defined(IS_NORM)
    ROW_MOMENTS
#if defined(FORM_LAYER_NORM)
    ROW_MAP(NORMAL * q + u)
#elif defined(FORM_RMS_NORM)
    ROW_MAP(NORMAL * q)
#else
    ROW_SUM(slopes, w * q * NORMAL)
    const T slope = slopes / (T)columns;
#ifdef CENTRED
    ROW_SUM(shifts, w * q)
    const T shift_by = shifts / (T)columns;
    ROW_MAP((w * q - shift_by - NORMAL * slope) * factor)
#else
    ROW_MAP((w * q - NORMAL * slope) * factor)
#endif
#endif
#elif defined(FORM_SOFTMAX_GRADIENT)
    ROW_SUM(sum, v * w)
    ROW_MAP(v * (w - sum))
#elif defined(FORM_LOG_SOFTMAX_GRADIENT)
    ROW_SUM(sum, w)
    ROW_MAP(w - exp(v) * sum)
#else
    ROW_MAXIMUM(top)
#if defined(FORM_SOFTMAX)
    ROW_MAP(exp(v - top))
    row = out;
    ROW_SUM(sum, v)
    ROW_MAP(v / sum)
#else
    ROW_SUM(sum, exp(v - top))
#if defined(FORM_LOG_SOFTMAX)
    const T shift_by = log(sum);
    ROW_MAP((v - top) - shift_by)
#elif defined(FORM_CROSS_ENTROPY)
    y[y_at + r] = counted ? log(sum) - (row[wanted] - top) : (T)0;
#else
    const T by = counted ? ROW_SCALE(r) : (T)0;
    if (counted) {
      ROW_MAP(exp(v - top) / sum * by)
      // The label's own element: (softmax - 1) * g.
      out[wanted] = (exp(row[wanted] - top) / sum - (T)1) * by;
    } else {
      for (long k = 0; k < columns; k++) out[k] = 0;
    }
#endif
#endif
#endif
#ifdef FINISH
    INDEPENDENT
    for (long k = 0; k < columns; k++) {
      const T result = out[k];
      FINISH(k)
    }
#endif
  }
}

#else

#ifndef WIDTH
#error "rowwise.cl: the GPU style needs WIDTH, a power of two"
#endif

// Combines `mine` of all work-items, in a tree, into `name`.
#define GROUP_REDUCE(name, mine, COMBINE_TWO)                                                                          \
  shared[me] = mine;                                                                                                   \
  BARRIER;                                                                                                             \
  for (int reach = WIDTH / 2; reach > 0; reach /= 2) {                                                                 \
    if (me < reach) shared[me] = COMBINE_TWO(shared[me], shared[me + reach]);                                          \
    BARRIER;                                                                                                           \
  }                                                                                                                    \
  const T name = shared[0];                                                                                            \
  BARRIER;
#define ADD_TWO(a, b) (a) + (b)
#define ROW_SUM(name, EXPRESSION)                                                                                      \
  T name##_mine = 0;                                                                                                   \
  for (long k = me; k < columns; k += WIDTH) {                                                                         \
    ELEMENT(T, LOAD_ONE)                                                                                               \
    name##_mine += EXPRESSION;                                                                                         \
  }                                                                                                                    \
  GROUP_REDUCE(name, name##_mine, ADD_TWO)
#ifdef FINISH
#define PUT(EXPRESSION)                                                                                                \
  const T result = EXPRESSION;                                                                                         \
  FINISH(k)
#else
#define PUT(EXPRESSION) out[k] = EXPRESSION;
#endif
#define ROW_MAP(EXPRESSION)                                                                                            \
  for (long k = me; k < columns; k += WIDTH) {                                                                         \
    ELEMENT(T, LOAD_ONE)                                                                                               \
    PUT(EXPRESSION)                                                                                                    \
  }

KERNEL __attribute__((reqd_work_group_size(WIDTH, 1, 1))) void NAME(ROWWISE_PARAMETERS) {
  PREPARE
  LOCAL T shared[WIDTH];
  const int me = LOCAL_ID(0);
  const long r = GROUP_ID(0);
  ROW(r)
#ifdef STAGE
#ifdef STAGED
  LOCAL T staged[STAGED], staged_second[STAGED];
  LOCAL const T *row = staged, *second = staged_second;
#else
  GLOBAL T *staged = stage + stage_at + r * 2 * columns, *staged_second = staged + columns;
  GLOBAL const T *row = staged, *second = staged_second;
#endif
  for (long k = me; k < columns; k += WIDTH) { STAGE(k) }
  // For the label's element; all others are read by the work-item that staged them.
  barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
#else
  GLOBAL const T *row = x + x_at + r * columns, *second = g + g_at + r * columns;
#endif
  READ_LABEL(me == 0)
#if !defined(FORM_CROSS_ENTROPY) && !defined(FINISH)
  GLOBAL T* out = y + y_at + r * columns;
#endif
#if defined(IS_NORM)
  ROW_MOMENTS
#if defined(FORM_LAYER_NORM)
  ROW_MAP(NORMAL * q + u)
#elif defined(FORM_RMS_NORM)
  ROW_MAP(NORMAL * q)
#else
  ROW_SUM(slopes, w * q * NORMAL)
  const T slope = slopes / (T)columns;
#ifdef CENTRED
  ROW_SUM(shifts, w * q)
  const T shift_by = shifts / (T)columns;
  ROW_MAP((w * q - shift_by - NORMAL * slope) * factor)
#else
  ROW_MAP((w * q - NORMAL * slope) * factor)
#endif
#endif
#elif defined(FORM_SOFTMAX_GRADIENT)
  ROW_SUM(sum, v * w)
  ROW_MAP(v * (w - sum))
#elif defined(FORM_LOG_SOFTMAX_GRADIENT)
  ROW_SUM(sum, w)
  ROW_MAP(w - exp(v) * sum)
#else
  T top_mine = -(T)INFINITY;
  for (long k = me; k < columns; k += WIDTH) top_mine = fmax(top_mine, row[k]);
  GROUP_REDUCE(top, top_mine, fmax)
  ROW_SUM(sum, exp(v - top))
#if defined(FORM_SOFTMAX)
  ROW_MAP(exp(v - top) / sum)
#elif defined(FORM_LOG_SOFTMAX)
  const T shift_by = log(sum);
  ROW_MAP((v - top) - shift_by)
#elif defined(FORM_CROSS_ENTROPY)
  if (me == 0) y[y_at + r] = counted ? log(sum) - (row[wanted] - top) : (T)0;
#else
  const T by = ROW_SCALE(r);
  ROW_MAP(counted ? (exp(v - top) / sum - (k == wanted ? (T)1 : (T)0)) * by : (T)0)
#endif
#endif
}

#endif
