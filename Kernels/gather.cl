// Reads and adds by index (int64). Sums are deterministic: every output element has one writer, which adds the
// contributions in the order of their positions.
//
// Macros: NAME, T and one of
//   FORM_ROWS           x [outer, length, inner], index [count] -> y [outer, count, inner]
//   FORM_ALONG          x [outer, length, inner], index [outer, count, inner] -> y [outer, count, inner]
//   FORM_SCATTER_ROWS   x [outer, count, inner], index [count] -> y [outer, length, inner]
//   FORM_SCATTER_ALONG  x and index [outer, count, inner] -> y [outer, length, inner]
//   FORM_REPORT         one work-item: notes the first fault of `status` together with its index, see below
// with ADD(a, b) for the scatters.
//
// An index outside 0..<length touches no memory (a gather gives 0): the least such position goes to status[0] (INT_MAX:
// none). The report that follows fills the rest, once: [1] 1, [2] operation, [3] position, [4, 5] index, [6, 7] length
// (low and high words).

#if !defined(NAME)
#error "gather.cl: define NAME, T and a form"
#endif

#if defined(FORM_REPORT)

KERNEL void NAME(GLOBAL int* status, GLOBAL const long* index, const long index_at, const long length,
                 const int operation) {
  if (status[0] != INT_MAX && status[1] == 0) {
    const long value = index[index_at + status[0]];
    status[1] = 1;
    status[2] = operation;
    status[3] = status[0];
    status[4] = (int)(value & 0xffffffffL);
    status[5] = (int)(value >> 32);
    status[6] = (int)(length & 0xffffffffL);
    status[7] = (int)(length >> 32);
  }
}

#elif !defined(T)
#error "gather.cl: define T"
#elif defined(FORM_ROWS) || defined(FORM_ALONG)

KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const long* index, const long index_at, GLOBAL T* y,
                 const long y_at, GLOBAL int* status, const long outer, const long length, const long inner,
                 const long count, const long chunk) {
  FOR_EACH(i, outer * count * inner, chunk) {
    const long row = i / inner, k = i - row * inner, o = row / count, c = row - o * count;
#ifdef FORM_ROWS
    const long position = c;
#else
    const long position = i;
#endif
    const long at = index[index_at + position];
    T v = 0;
    if (at >= 0 && at < length)
      v = x[x_at + (o * length + at) * inner + k];
    else
      kiln_fault(status, position);
    y[y_at + i] = v;
  }
}

#elif defined(FORM_SCATTER_ROWS) || defined(FORM_SCATTER_ALONG)

// A work-item owns the output lines (o, all of length, k) of its chunk of (outer, inner).
KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const long* index, const long index_at, GLOBAL T* y,
                 const long y_at, GLOBAL int* status, const long outer, const long length, const long inner,
                 const long count, const long chunk) {
#ifdef STYLE_CPU
  const long blocks = (inner + chunk - 1) / chunk, o = GLOBAL_ID(0) / blocks;
  const long first = (GLOBAL_ID(0) - o * blocks) * chunk, last = min(first + chunk, inner);
  if (o >= outer) return;
#else
  const long o = GLOBAL_ID(0) / inner, first = GLOBAL_ID(0) - o * inner, last = first + 1;
  if (o >= outer) return;
#endif
  for (long l = 0; l < length; l++)
    for (long k = first; k < last; k++) y[y_at + (o * length + l) * inner + k] = 0;
  for (long c = 0; c < count; c++) {
#ifdef FORM_SCATTER_ROWS
    const long at = index[index_at + c];
    if (at < 0 || at >= length) {
      kiln_fault(status, c);
      continue;
    }
    for (long k = first; k < last; k++) {
#else
    for (long k = first; k < last; k++) {
      const long at = index[index_at + (o * count + c) * inner + k];
      if (at < 0 || at >= length) {
        kiln_fault(status, (o * count + c) * inner + k);
        continue;
      }
#endif
      const long place = y_at + (o * length + at) * inner + k;
      const T next = x[x_at + (o * count + c) * inner + k];
      y[place] = ADD(y[place], next);
    }
  }
}

#else
#error "gather.cl: define a form"
#endif
