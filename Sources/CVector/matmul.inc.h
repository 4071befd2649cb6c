// Matrix products too small for OpenBLAS to be worth its packing, and the loops of direct convolutions.

static void KV(axpy_f32)(long n, float a, const float *x, float *y) {
  vf v = splat_f(a);
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, madd(v, load_f(x + i), load_f(y + i)));
  if (i < n) store_part_f(y + i, madd(v, load_part_f(x + i, n - i), load_part_f(y + i, n - i)), n - i);
}
static void KV(axpy_f64)(long n, double a, const double *x, double *y) {
  vd v = splat_d(a);
  long i = 0;
  for (; i + 8 <= n; i += 8) store_d(y + i, madd_d(v, load_d(x + i), load_d(y + i)));
  if (i < n) store_part_d(y + i, madd_d(v, load_part_d(x + i, n - i), load_part_d(y + i, n - i)), n - i);
}
static void KV(axpy_strided_f32)(long n, float a, const float *x, long stride, float *y) {
  for (long i = 0; i < n; i++) y[i] += a * x[i * stride];
}
static double KV(dot_f32)(long n, const float *x, const float *y) {
  double total = 0;
  long i = 0;
  while (i + 16 <= n) {
    long end = i + 4096 < n ? i + 4096 : n;
    vf s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (; i + 64 <= end; i += 64) {
      s0 = madd(load_f(x + i), load_f(y + i), s0);
      s1 = madd(load_f(x + i + 16), load_f(y + i + 16), s1);
      s2 = madd(load_f(x + i + 32), load_f(y + i + 32), s2);
      s3 = madd(load_f(x + i + 48), load_f(y + i + 48), s3);
    }
    for (; i + 16 <= end; i += 16) s0 = madd(load_f(x + i), load_f(y + i), s0);
    total += lanes_sum((s0 + s1) + (s2 + s3));
  }
  if (i < n) total += lanes_sum(load_part_f(x + i, n - i) * load_part_f(y + i, n - i));
  return total;
}

// Rows of c by 4, columns by 16: c's tile stays in registers over k. b's rows must be contiguous.
INLINE void matmul_tile(long rows, long width, long k, const float *a, long a_row, long a_column, const float *b,
                        long b_row, float *c, long c_row) {
  vf s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  const float *a0 = a, *a1 = a + (rows > 1 ? a_row : 0), *a2 = a + (rows > 2 ? 2 * a_row : 0),
              *a3 = a + (rows > 3 ? 3 * a_row : 0);
  for (long p = 0; p < k; p++) {
    vf v = width == 16 ? load_f(b + p * b_row) : load_part_f(b + p * b_row, width);
    s0 = madd(splat_f(a0[p * a_column]), v, s0);
    s1 = madd(splat_f(a1[p * a_column]), v, s1);
    s2 = madd(splat_f(a2[p * a_column]), v, s2);
    s3 = madd(splat_f(a3[p * a_column]), v, s3);
  }
  store_part_f(c, s0, width);
  if (rows > 1) store_part_f(c + c_row, s1, width);
  if (rows > 2) store_part_f(c + 2 * c_row, s2, width);
  if (rows > 3) store_part_f(c + 3 * c_row, s3, width);
}
static void KV(small_matmul_f32)(long m, long n, long k, const float *a, long a_row, long a_column, const float *b,
                                 long b_row, long b_column, float *c, long c_row) {
  if (b_column != 1 && n > 1) {
    if (a_column == 1 || k == 1) {
      // Both run along k.
      for (long i = 0; i < m; i++) {
        for (long j = 0; j < n; j++) {
          if (b_row == 1 || k == 1) {
            c[i * c_row + j] = (float)KV(dot_f32)(k, a + i * a_row, b + j * b_column);
          } else {
            double s = 0;
            for (long p = 0; p < k; p++) s += (double)a[i * a_row + p] * b[p * b_row + j * b_column];
            c[i * c_row + j] = (float)s;
          }
        }
      }
      return;
    }
    for (long i = 0; i < m; i++) {
      for (long j = 0; j < n; j++) {
        double s = 0;
        for (long p = 0; p < k; p++) s += (double)a[i * a_row + p * a_column] * b[p * b_row + j * b_column];
        c[i * c_row + j] = (float)s;
      }
    }
    return;
  }
  if (n == 1 && a_column == 1 && b_row == 1) {
    for (long i = 0; i < m; i++) c[i * c_row] = (float)KV(dot_f32)(k, a + i * a_row, b);
    return;
  }
  for (long i = 0; i < m; i += 4) {
    long rows = m - i < 4 ? m - i : 4;
    for (long j = 0; j < n; j += 16) {
      long width = n - j < 16 ? n - j : 16;
      if (width == 16 && rows == 4) {
        matmul_tile(4, 16, k, a + i * a_row, a_row, a_column, b + j, b_row, c + i * c_row + j, c_row);
      } else {
        matmul_tile(rows, width, k, a + i * a_row, a_row, a_column, b + j, b_row, c + i * c_row + j, c_row);
      }
    }
  }
}
