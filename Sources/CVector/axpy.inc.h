// y += a * x, for depthwise convolution and for adding up partial results.

static void KV(axpy_f32)(long n, float a, const float* x, float* y) {
  vf v = splat_f(a);
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, madd(v, load_f(x + i), load_f(y + i)));
  if (i < n) store_part_f(y + i, madd(v, load_part_f(x + i, n - i), load_part_f(y + i, n - i)), n - i);
}
static void KV(axpy_f64)(long n, double a, const double* x, double* y) {
  vd v = splat_d(a);
  long i = 0;
  for (; i + 8 <= n; i += 8) store_d(y + i, madd_d(v, load_d(x + i), load_d(y + i)));
  if (i < n) store_part_d(y + i, madd_d(v, load_part_d(x + i, n - i), load_part_d(y + i, n - i)), n - i);
}
