// Elementwise: for each point of an iteration space, evaluates an expression and stores its values.
//
// Macros, made by the host for each expression:
//   NAME        the kernel's name
//   PARAMETERS  operands (pointer, element offset), outputs, scalars and the table of dims and strides; ends in ", "
//   PREPARE     reads dims and strides into locals; declares LAST, the length of the last axis
//   ROW(row)    sets the operands' addresses at the beginning of a row of the last axis
//   EVALUATE(k) evaluates at element k of that row and stores
//   EVALUATE_VECTOR(k)  the same for the elements k ..< k + 16, if the host can write it (CPU style)
// The space is `count` elements in row-major order; `chunk` counts the elements of one CPU-style work-item.

#if !defined(NAME) || !defined(PARAMETERS) || !defined(PREPARE) || !defined(ROW) || !defined(EVALUATE)
#error "elementwise.cl: define NAME, PARAMETERS, PREPARE, ROW and EVALUATE"
#endif

#ifdef STYLE_CPU
KERNEL void NAME(PARAMETERS const long count, const long chunk) {
  PREPARE
  long i = GLOBAL_ID(0) * chunk;
  const long end = min(i + chunk, count);
  while (i < end) {
    const long row = i / LAST, first = i - row * LAST;
    const long last = min((long)LAST, first + end - i);
    ROW(row)
    long k = first;
#ifdef EVALUATE_VECTOR
    for (; k + 16 <= last; k += 16) { EVALUATE_VECTOR(k) }
#endif
    INDEPENDENT
    for (; k < last; k++) { EVALUATE(k) }
    i += last - first;
  }
}
#else
KERNEL void NAME(PARAMETERS const long count, const long chunk) {
  PREPARE
  const INDEX i = (INDEX)GLOBAL_ID(0);
  if (i < (INDEX)count) {
    const INDEX row = i / LAST, k = i - row * LAST;
    ROW(row)
    EVALUATE(k)
  }
}
#endif
