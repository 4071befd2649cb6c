// Scans: running sum or product over the middle of [outer, length, inner], dense; one work-item per line, in order.
//
// Macros: NAME, T, COMBINE(a, b), START, and REVERSE when the last element comes first.

#if !defined(NAME) || !defined(T) || !defined(COMBINE) || !defined(START)
#error "scan.cl: define NAME, T, COMBINE and START"
#endif

KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL T* y, const long y_at, const long outer, const long length,
                 const long inner, const long chunk) {
  FOR_EACH(line, outer * inner, chunk) {
    const long o = line / inner, at = o * length * inner + (line - o * inner);
    T v = START;
    for (long k = 0; k < length; k++) {
#ifdef REVERSE
      const long i = at + (length - 1 - k) * inner;
#else
      const long i = at + k * inner;
#endif
      const T next = x[x_at + i];
      v = COMBINE(v, next);
      y[y_at + i] = v;
    }
  }
}
