// Stable order of each row of [rows, columns], dense: positions (long), by merging sorted runs.
//
// Macros: NAME, T, BEFORE(a, b) (whether key a comes strictly before key b), and one of
//   FORM_BLOCKS  sorts runs of RUN neighbouring elements by counting for each how many come before it
//   FORM_MERGE   merges pairs of runs of `run` elements: each element finds its place by binary search
// Keys are read at `key_at`; `from` and `to` hold row-relative positions, and never the same memory.

#if !defined(NAME) || !defined(T) || !defined(BEFORE)
#error "sort.cl: define NAME, T, BEFORE and a form"
#endif

#if defined(FORM_BLOCKS)

#ifndef RUN
#error "sort.cl: FORM_BLOCKS needs RUN"
#endif
KERNEL void NAME(GLOBAL const T* key, const long key_at, GLOBAL long* to, const long to_at, const long rows,
                 const long columns, const long chunk) {
  FOR_EACH(i, rows * columns, chunk) {
    const long row = i / columns, k = i - row * columns, begin = k - k % RUN;
    const long end = min(begin + RUN, columns);
    GLOBAL const T* keys = key + key_at + row * columns;
    const T mine = keys[k];
    long place = begin;
    for (long j = begin; j < end; j++) {
      const T other = keys[j];
      if (BEFORE(other, mine) || (j < k && !BEFORE(mine, other))) place++;
    }
    to[to_at + row * columns + place] = k;
  }
}

#elif defined(FORM_MERGE)

KERNEL void NAME(GLOBAL const T* key, const long key_at, GLOBAL const long* from, const long from_at, GLOBAL long* to,
                 const long to_at, const long rows, const long columns, const long run, const long chunk) {
  FOR_EACH(i, rows * columns, chunk) {
    const long row = i / columns, k = i - row * columns;
    GLOBAL const T* keys = key + key_at + row * columns;
    GLOBAL const long* order = from + from_at + row * columns;
    const long pair = k - k % (2 * run), middle = min(pair + run, columns), end = min(pair + 2 * run, columns);
    const bool is_left = k < middle;
    const long mine_at = order[k];
    const T mine = keys[mine_at];
    // How many of the other run come before this element: equals of the left run come first.
    long low = is_left ? middle : pair, high = is_left ? end : middle;
    const long first = low;
    while (low < high) {
      const long middle_at = low + (high - low) / 2;
      const T other = keys[order[middle_at]];
      const bool other_first = is_left ? BEFORE(other, mine) : !BEFORE(mine, other);
      if (other_first)
        low = middle_at + 1;
      else
        high = middle_at;
    }
    const long own = is_left ? k - pair : k - middle;
    to[to_at + row * columns + pair + own + (low - first)] = mine_at;
  }
}

#else
#error "sort.cl: define FORM_BLOCKS or FORM_MERGE"
#endif
