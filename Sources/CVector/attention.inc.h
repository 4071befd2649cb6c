// What happens to rows of scores in fused attention (attention.c), and to operands on their way to and from padded
// memory. Its products are in product.inc.h.

// factor * x [rows, columns] with rows of `columns` rounded up to 16.
static void KV(attention_pack_rows)(const float* x, long stride, long rows, long columns, float factor, float* to) {
  for (long i = 0; i < rows; i++, x += stride) {
    long c = 0;
    for (; c + 16 <= columns; c += 16, to += 16) store_f(to, load_f(x + c) * factor);
    if (c < columns) {
      store_f(to, load_part_f(x + c, columns - c) * factor);
      to += 16;
    }
  }
}
// The way back; rows are divided by their divisors if there are any.
static void KV(attention_unpack_rows)(const float* from, long rows, long columns, const float* divisors, float* y,
                                      long stride) {
  for (long i = 0; i < rows; i++, y += stride) {
    for (long c = 0; c < columns; c += 16, from += 16) {
      vf v = load_f(from);
      if (divisors) v /= splat_f(divisors[i]);
      if (columns - c < 16) {
        store_part_f(y + c, v, columns - c);
      } else {
        store_f(y + c, v);
      }
    }
  }
}

// The lanes from n on get `otherwise`.
INLINE vf KV(first_lanes)(vf x, long n, vf otherwise) {
  const vi lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lane < (vi)(int32_t)n ? x : otherwise;
}
// The largest of n numbers; what is done with a NaN does not matter, for it makes the sum NaN. Rows end with room for
// whole vectors.
INLINE float KV(row_maximum)(const float* x, long n) {
  vf m = splat_f(-INFINITY);
  long i = 0;
  for (; i + 16 <= n; i += 16) {
    vf v = load_f(x + i);
    m = v > m ? v : m;
  }
  if (i < n) {
    vf v = KV(first_lanes)(load_f(x + i), n - i, m);
    m = v > m ? v : m;
  }
  __typeof__(m.lo) a = m.lo > m.hi ? m.lo : m.hi;
  __typeof__(a.lo) b = a.lo > a.hi ? a.lo : a.hi;
  __typeof__(b.lo) c = b.lo > b.hi ? b.lo : b.hi;
  return c.x > c.y ? c.x : c.y;
}

// x = exp(x - shift), the sum of x and, where d is not NULL, that of x * d.
INLINE void KV(exp_sums)(float* x, const float* d, float shift, long n, double* sum, double* dot) {
  *sum = *dot = 0;
  for (long i = 0; i < n;) {
    // A lane adds up 64 numbers at most before it goes on in double.
    const long end = n - i < 1024 ? n : i + 1024;
    vf s = 0, t = 0;
    for (; i + 16 <= end; i += 16) {
      vf e = exp_f(load_f(x + i) - shift);
      store_f(x + i, e);
      s += e;
      if (d) t = madd(e, load_f(d + i), t);
    }
    if (i < end) {
      vf e = KV(first_lanes)(exp_f(load_f(x + i) - shift), end - i, splat_f(0));
      store_f(x + i, e);
      s += e;
      if (d) t = madd(e, KV(first_lanes)(load_f(d + i), end - i, splat_f(0)), t);
      i = end;
    }
    *sum += lanes_sum(s);
    if (d) *dot += lanes_sum(t);
  }
}

// Rows that go through a stage together, so that the CPU need not wait for one row's maximum, sum and quotient.
#define ATTENTION_GROUP 8

// Of rows of scores, row i with min(n + i, most) columns: x = exp(x - maximum) and the sums; or, where d is not NULL, x
// = the probabilities, and d their gradient on entry and that of the scores on return.
INLINE void KV(score_rows)(float* x, float* d, long line, long rows, long n, long most, float* sums) {
  for (long first = 0; first < rows; first += ATTENTION_GROUP, x += ATTENTION_GROUP * line) {
    const int count = rows - first < ATTENTION_GROUP ? (int)(rows - first) : ATTENTION_GROUP;
    float shifts[ATTENTION_GROUP];
    double totals[ATTENTION_GROUP], dots[ATTENTION_GROUP];
    long counts[ATTENTION_GROUP];
    for (int r = 0; r < count; r++) {
      counts[r] = n + first + r < most ? n + first + r : most;
      shifts[r] = KV(row_maximum)(x + r * line, counts[r]);
    }
    for (int r = 0; r < count; r++)
      KV(exp_sums)(x + r * line, d ? d + r * line : NULL, shifts[r], counts[r], &totals[r], &dots[r]);
    if (!d) {
      for (int r = 0; r < count; r++) sums[first + r] = (float)totals[r];
      continue;
    }
    for (int r = 0; r < count; r++) {
      const float factor = (float)(1 / totals[r]), mean = (float)(dots[r] / totals[r]);
      float *p = x + r * line, *g = d + r * line;
      for (long i = 0; i < counts[r]; i += 16) {
        vf v = load_f(p + i) * factor;
        store_f(p + i, v);
        store_f(g + i, v * (load_f(g + i) - mean));
      }
    }
    d += ATTENTION_GROUP * line;
  }
}
static void KV(attention_exp_rows)(float* x, long line, long rows, long n, long most, float* sums) {
  KV(score_rows)(x, NULL, line, rows, n, most, sums);
}
static void KV(attention_gradient_rows)(float* x, float* d, long line, long rows, long n, long most) {
  KV(score_rows)(x, d, line, rows, n, most, NULL);
}
