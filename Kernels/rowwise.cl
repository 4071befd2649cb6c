// Row-wise operations over [rows, columns], dense.
//
// Macros: NAME, T (float or double), and one of
//   FORM_SOFTMAX, FORM_LOG_SOFTMAX       x -> y
//   FORM_LAYER_NORM                      x, scale and shift [columns] -> y; biased variance
//   FORM_RMS_NORM                        x, scale -> y
//   FORM_CROSS_ENTROPY                   x, label [rows] -> y [rows]
//   FORM_CROSS_ENTROPY_GRADIENT          x, label, g [rows] -> y
// GPU style: a work-group of WIDTH per row. CPU style: a work-item per `chunk` rows, in vectors of 16 (VECTOR is the
// type T16, VLOAD and VSTORE its vload16 and vstore16).
// A label outside 0..<columns and other than `ignore` is a fault (see gather.cl); its row gives 0.

#if !defined(NAME) || !defined(T)
#error "rowwise.cl: define NAME, T and a form"
#endif

#if defined(FORM_CROSS_ENTROPY) || defined(FORM_CROSS_ENTROPY_GRADIENT)
#define HAS_LABEL
#endif

#define ROWWISE_PARAMETERS                                                                                             \
  GLOBAL const T *x, const long x_at, GLOBAL const T *scale, const long scale_at, GLOBAL const T *shift,               \
      const long shift_at, GLOBAL const long *label, const long label_at, GLOBAL T *y, const long y_at,                \
      GLOBAL int *status, const long rows, const long columns, const T epsilon, const long ignore, const long chunk

#ifdef STYLE_CPU

#if !defined(VECTOR) || !defined(WIDEN)
#error "rowwise.cl: the CPU style needs VECTOR and WIDEN(v), a vector of 16 equal values"
#endif
#define SUM16(a)                                                                                                       \
  (((a.s0 + a.s8) + (a.s4 + a.sc)) + ((a.s2 + a.sa) + (a.s6 + a.se)) +                                                 \
   (((a.s1 + a.s9) + (a.s5 + a.sd)) + ((a.s3 + a.sb) + (a.s7 + a.sf))))

// Sum of the expression of the vector v (whole blocks), then of the scalar v (the rest).
#define ROW_SUM(name, EXPRESSION)                                                                                      \
  T name;                                                                                                              \
  {                                                                                                                    \
    VECTOR total = WIDEN(0);                                                                                           \
    long k = 0;                                                                                                        \
    for (; k + 16 <= columns; k += 16) {                                                                               \
      const VECTOR v = vload16(0, row + k);                                                                            \
      total += EXPRESSION;                                                                                             \
    }                                                                                                                  \
    name = SUM16(total);                                                                                               \
    for (; k < columns; k++) {                                                                                         \
      const T v = row[k];                                                                                              \
      name += EXPRESSION;                                                                                              \
    }                                                                                                                  \
  }
#define ROW_MAP(EXPRESSION, VECTOR_EXPRESSION)                                                                         \
  {                                                                                                                    \
    long k = 0;                                                                                                        \
    for (; k + 16 <= columns; k += 16) {                                                                               \
      const VECTOR v = vload16(0, row + k);                                                                            \
      vstore16(VECTOR_EXPRESSION, 0, out + k);                                                                         \
    }                                                                                                                  \
    for (; k < columns; k++) {                                                                                         \
      const T v = row[k];                                                                                              \
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
  FOR_EACH(r, rows, chunk) {
    GLOBAL const T* row = x + x_at + r * columns;
#ifdef HAS_LABEL
    const long wanted = label[label_at + r];
    const bool counted = wanted != ignore && wanted >= 0 && wanted < columns;
    if (wanted != ignore && !counted) kiln_fault(status, r);
#endif
#ifndef FORM_CROSS_ENTROPY
    GLOBAL T* out = y + y_at + r * columns;
#endif
#if defined(FORM_LAYER_NORM)
    GLOBAL const T *s = scale + scale_at, *t = shift + shift_at;
    ROW_SUM(sum, v)
    const T mean = sum / (T)columns;
    ROW_SUM(squares, (v - mean) * (v - mean))
    const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
    ROW_MAP((v - mean) * factor * s[k] + t[k], (v - mean) * factor * vload16(0, s + k) + vload16(0, t + k))
#elif defined(FORM_RMS_NORM)
    GLOBAL const T* s = scale + scale_at;
    ROW_SUM(squares, v * v)
    const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
    ROW_MAP(v * factor * s[k], v * factor * vload16(0, s + k))
#else
    ROW_MAXIMUM(top)
#if defined(FORM_SOFTMAX)
    ROW_MAP(exp(v - top), exp(v - top))
    row = out;
    ROW_SUM(sum, v)
    ROW_MAP(v / sum, v / sum)
#else
    ROW_SUM(sum, exp(v - top))
#if defined(FORM_LOG_SOFTMAX)
    const T shift_by = log(sum);
    ROW_MAP((v - top) - shift_by, (v - top) - shift_by)
#elif defined(FORM_CROSS_ENTROPY)
    y[y_at + r] = counted ? log(sum) - (row[wanted] - top) : (T)0;
#else
    const T g = counted ? scale[scale_at + r] : (T)0;
    if (counted) {
      ROW_MAP(exp(v - top) / sum * g, exp(v - top) / sum * g)
      // The label's own element: (softmax - 1) * g.
      out[wanted] = (exp(row[wanted] - top) / sum - (T)1) * g;
    } else {
      for (long k = 0; k < columns; k++) out[k] = 0;
    }
#endif
#endif
#endif
  }
}

#undef ROW_SUM
#undef ROW_MAP
#undef ROW_MAXIMUM
#undef MAX4
#undef MAX16
#undef SUM16

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
    const T v = row[k];                                                                                                \
    name##_mine += EXPRESSION;                                                                                         \
  }                                                                                                                    \
  GROUP_REDUCE(name, name##_mine, ADD_TWO)
#define ROW_MAP(EXPRESSION)                                                                                            \
  for (long k = me; k < columns; k += WIDTH) {                                                                         \
    const T v = row[k];                                                                                                \
    out[k] = EXPRESSION;                                                                                               \
  }

KERNEL __attribute__((reqd_work_group_size(WIDTH, 1, 1))) void NAME(ROWWISE_PARAMETERS) {
  LOCAL T shared[WIDTH];
  const int me = LOCAL_ID(0);
  const long r = GROUP_ID(0);
  GLOBAL const T* row = x + x_at + r * columns;
#ifdef HAS_LABEL
  const long wanted = label[label_at + r];
  const bool counted = wanted != ignore && wanted >= 0 && wanted < columns;
  if (me == 0 && wanted != ignore && !counted) kiln_fault(status, r);
#endif
#ifndef FORM_CROSS_ENTROPY
  GLOBAL T* out = y + y_at + r * columns;
#endif
#if defined(FORM_LAYER_NORM)
  GLOBAL const T *s = scale + scale_at, *t = shift + shift_at;
  ROW_SUM(sum, v)
  const T mean = sum / (T)columns;
  ROW_SUM(squares, (v - mean) * (v - mean))
  const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
  ROW_MAP((v - mean) * factor * s[k] + t[k])
#elif defined(FORM_RMS_NORM)
  GLOBAL const T* s = scale + scale_at;
  ROW_SUM(squares, v * v)
  const T factor = (T)1 / sqrt(squares / (T)columns + epsilon);
  ROW_MAP(v * factor * s[k])
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
  const T g = scale[scale_at + r];
  ROW_MAP(counted ? (exp(v - top) / sum - (k == wanted ? (T)1 : (T)0)) * g : (T)0)
#endif
#endif
}

#undef GROUP_REDUCE
#undef ADD_TWO
#undef ROW_SUM
#undef ROW_MAP

#endif

#undef HAS_LABEL
#undef ROWWISE_PARAMETERS
