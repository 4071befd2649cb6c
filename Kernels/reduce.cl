// Reductions: for each outer point, combines the values of all inner points, then evaluates an epilogue and stores.
//
// Macros, made by the host:
//   NAME, PARAMETERS, PREPARE  as in elementwise.cl; PREPARE declares INNER_LAST and OUTER_LAST, lengths of last axes
//   T, STATE    the value's type; the type of a position (long)
//   COMBINE(a, b), START, ADD_POSITION
//               sum, product, max, min: the combination and its neutral value
//   BETTER(x, v)  argmax, argmin (instead of COMBINE): whether x replaces v when x is at a later position
//   OUTER(o, x) sets the operands' addresses at row o, element x of the outer space
//   INNER(row)  moves them to a row of the inner space
//   VALUE(k, l) evaluates the prologue at element k of that row, l outer elements on, giving `value`
//   VALUE_VECTOR(k)  VALUE for the outer elements 0 ..< 16, `value` being float16: of float sums, if the host can write
//   it
//               (CPU style, FORM_COLUMNS with 16 COLUMNS)
//   FINISH(l)   evaluates the epilogue of `result`, l outer elements on, and stores
//   COLUMNS     the number of neighbouring outer points a work-item of the column form takes
// and one of
//   FORM_ROWS     the inner space is contiguous: a work-group (GPU) or a work-item with lanes (CPU) per outer point
//   FORM_COLUMNS  the outer space is contiguous: work-items take COLUMNS outer points each
//   FORM_FINAL    combines the parts of a reduction that was split into segments, in order
// With PARTIAL the result goes to part[segment][outer] (and part_position), else through FINISH.
// The order of all sums depends on the shape and the style alone.

#if !defined(NAME) || !defined(T) || !(defined(COMBINE) || defined(BETTER))
#error "reduce.cl: define NAME, T, COMBINE or BETTER, and the rest of the list above"
#endif

#ifdef BETTER
#define TAKE(v, p, x, q)                                                                                               \
  if (p < 0 || BETTER(x, v)) {                                                                                         \
    v = x;                                                                                                             \
    p = q;                                                                                                             \
  }
// Of two states in any order: the better value, of equals the earlier position.
#define MERGE(v, p, x, q)                                                                                              \
  if (q >= 0 && (p < 0 || BETTER(x, v) || (!BETTER(v, x) && q < p))) {                                                 \
    v = x;                                                                                                             \
    p = q;                                                                                                             \
  }
#define BEGIN (T)0
#else
#define TAKE(v, p, x, q) v = COMBINE(v, x);
#define MERGE(v, p, x, q) v = COMBINE(v, x);
#define BEGIN START
#endif

#ifdef PARTIAL
#define PART_PARAMETERS GLOBAL T *part, const long part_at, GLOBAL long *part_position, const long position_at,
#define PUT(l, o, v, p)                                                                                                \
  part[part_at + segment * outer_count + (o)] = v;                                                                     \
  POSITION_PUT(l, o, p)
#ifdef BETTER
#define POSITION_PUT(l, o, p) part_position[position_at + segment * outer_count + (o)] = p;
#else
#define POSITION_PUT(l, o, p)
#endif
#else
#define PART_PARAMETERS
#ifdef BETTER
#define PUT(l, o, v, p)                                                                                                \
  {                                                                                                                    \
    const long result = p;                                                                                             \
    FINISH(l)                                                                                                          \
  }
#else
#define PUT(l, o, v, p)                                                                                                \
  {                                                                                                                    \
    const T result = v;                                                                                                \
    FINISH(l)                                                                                                          \
  }
#endif
#endif

#if defined(FORM_FINAL)

KERNEL void NAME(PARAMETERS GLOBAL const T* part, const long part_at, GLOBAL const long* part_position,
                 const long position_at, const long outer_count, const long segments, const long chunk) {
  PREPARE
  FOR_EACH(o, outer_count, chunk) {
    T v = BEGIN;
    long p = -1;
    for (long s = 0; s < segments; s++) {
      const T x = part[part_at + s * outer_count + o];
#ifdef BETTER
      const long q = part_position[position_at + s * outer_count + o];
#endif
      MERGE(v, p, x, q)
    }
    const long outer_row = o / OUTER_LAST;
    OUTER(outer_row, o - outer_row * OUTER_LAST)
    PUT(0, o, v, p)
  }
}

#elif defined(FORM_COLUMNS)

// Global ids: blocks of COLUMNS outer points, segments.
KERNEL void NAME(PARAMETERS PART_PARAMETERS const long outer_count, const long inner_count, const long segment_length,
                 const long blocks) {
  PREPARE
  const long block = GLOBAL_ID(0), segment = GLOBAL_ID(1);
  if (block < blocks) {
    const long row_blocks = (OUTER_LAST + COLUMNS - 1) / COLUMNS;
    const long outer_row = block / row_blocks, x = (block - outer_row * row_blocks) * COLUMNS;
    const int width = (int)min((long)COLUMNS, (long)OUTER_LAST - x);
    OUTER(outer_row, x)
    T v[COLUMNS];
#ifdef BETTER
    long p[COLUMNS];
#endif
    for (int l = 0; l < COLUMNS; l++) {
      v[l] = BEGIN;
#ifdef BETTER
      p[l] = -1;
#endif
    }
    long i = segment * segment_length;
    const long end = min(i + segment_length, inner_count);
    while (i < end) {
      const long row = i / INNER_LAST, first = i - row * INNER_LAST;
      const long last = min((long)INNER_LAST, first + end - i);
      INNER(row)
      i += last - first;
#ifdef VALUE_VECTOR
      if (width == COLUMNS) {
        float16 sums = vload16(0, v);
        for (long k = first; k < last; k++) {
          VALUE_VECTOR(k)
          sums += value;
        }
        vstore16(sums, 0, v);
        continue;
      }
#endif
      for (long k = first; k < last; k++) {
        if (width == COLUMNS) {
          UNROLL
          for (int l = 0; l < COLUMNS; l++) {
            VALUE(k, l)
            TAKE(v[l], p[l], value, row * INNER_LAST + k)
          }
        } else {
          for (int l = 0; l < width; l++) {
            VALUE(k, l)
            TAKE(v[l], p[l], value, row * INNER_LAST + k)
          }
        }
      }
    }
    for (int l = 0; l < width; l++) { PUT(l, outer_row * OUTER_LAST + x + l, v[l], p[l]) }
  }
}

#elif defined(FORM_ROWS) && defined(STYLE_CPU)

// Global ids: chunks of outer points, segments.
KERNEL void NAME(PARAMETERS PART_PARAMETERS const long outer_count, const long inner_count, const long segment_length,
                 const long chunk) {
  PREPARE
  const long segment = GLOBAL_ID(1);
  FOR_EACH(o, outer_count, chunk) {
    const long outer_row = o / OUTER_LAST;
    OUTER(outer_row, o - outer_row * OUTER_LAST)
    T v = BEGIN;
    long p = -1;
#ifndef BETTER
    T lanes[16];
    for (int l = 0; l < 16; l++) lanes[l] = BEGIN;
#endif
    long i = segment * segment_length;
    const long end = min(i + segment_length, inner_count);
    while (i < end) {
      const long row = i / INNER_LAST, first = i - row * INNER_LAST;
      const long last = min((long)INNER_LAST, first + end - i);
      INNER(row)
      long k = first;
#ifndef BETTER
      for (; k + 16 <= last; k += 16) {
        UNROLL
        for (int l = 0; l < 16; l++) {
          VALUE(k + l, 0)
          lanes[l] = COMBINE(lanes[l], value);
        }
      }
#endif
      for (; k < last; k++) {
        VALUE(k, 0)
        TAKE(v, p, value, row * INNER_LAST + k)
      }
      i += last - first;
    }
#ifndef BETTER
    for (int reach = 8; reach > 0; reach /= 2)
      for (int l = 0; l < reach; l++) lanes[l] = COMBINE(lanes[l], lanes[l + reach]);
    v = COMBINE(lanes[0], v);
#endif
    PUT(0, o, v, p)
  }
}

#elif defined(FORM_ROWS)

// A work-group of WIDTH per (outer point, segment), groups counted along dimension 0 and 1.
#ifndef WIDTH
#error "reduce.cl: FORM_ROWS needs WIDTH, a power of two"
#endif
KERNEL __attribute__((reqd_work_group_size(WIDTH, 1, 1))) void NAME(PARAMETERS PART_PARAMETERS const long outer_count,
                                                                    const long inner_count, const long segment_length,
                                                                    const long chunk) {
  PREPARE
  LOCAL T values[WIDTH];
#ifdef BETTER
  LOCAL long positions[WIDTH];
#endif
  const int me = LOCAL_ID(0);
  const long o = GROUP_ID(0), segment = GROUP_ID(1);
  const long outer_row = o / OUTER_LAST;
  OUTER(outer_row, o - outer_row * OUTER_LAST)
  T v = BEGIN;
  long p = -1;
  const long end = min((segment + 1) * segment_length, inner_count);
  for (long i = segment * segment_length + me; i < end; i += WIDTH) {
    const long row = i / INNER_LAST, k = i - row * INNER_LAST;
    INNER(row)
    VALUE(k, 0)
    TAKE(v, p, value, i)
  }
  values[me] = v;
#ifdef BETTER
  positions[me] = p;
#endif
  BARRIER;
  for (int reach = WIDTH / 2; reach > 0; reach /= 2) {
    if (me < reach) {
      v = values[me];
      const T x = values[me + reach];
#ifdef BETTER
      p = positions[me];
      const long q = positions[me + reach];
#endif
      MERGE(v, p, x, q)
      values[me] = v;
#ifdef BETTER
      positions[me] = p;
#endif
    }
    BARRIER;
  }
  if (me == 0) { PUT(0, o, v, p) }
}

#else
#error "reduce.cl: define FORM_ROWS, FORM_COLUMNS or FORM_FINAL"
#endif
