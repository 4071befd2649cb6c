// Fused row operations on float32: max, exp and sum of a row in registers and L1.

// y = exp(x - shift), and the sum of y.
static double KV(exp_row)(const float* x, float shift, float* y, long n) {
  vf s0 = 0;
  double total = 0;
  long i = 0;
  while (i + 16 <= n) {
    // A lane adds up 64 numbers at most before it goes on in double.
    long end = i + 1024 < n ? i + 1024 : n;
    s0 = 0;
    for (; i + 16 <= end; i += 16) {
      vf e = exp_f(load_f(x + i) - shift);
      if (y) store_f(y + i, e);
      s0 += e;
    }
    total += lanes_sum(s0);
  }
  if (i < n) {
    vf e = exp_f(load_part_f(x + i, n - i) - shift);
    if (y) store_part_f(y + i, e, n - i);
    for (int k = 0; k < n - i; k++) total += e[k];
  }
  return total;
}
static void KV(softmax_f32)(const float* x, float* y, long n) {
  float s = (float)KV(exp_row)(x, KV(max_f32)(x, n), y, n);
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(y + i) / s);
  for (; i < n; i++) y[i] /= s;
}
static void KV(log_softmax_f32)(const float* x, float* y, long n) {
  float m = KV(max_f32)(x, n);
  float s = (float)log(KV(exp_row)(x, m, NULL, n));
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(x + i) - m - s);
  for (; i < n; i++) y[i] = x[i] - m - s;
}
// Sum of (x - mean)^2.
static double KV(square_sum)(const float* x, float mean, long n) {
  double total = 0;
  long i = 0;
  while (i + 16 <= n) {
    long end = i + 1024 < n ? i + 1024 : n;
    vf s = 0;
    for (; i + 16 <= end; i += 16) {
      vf d = load_f(x + i) - mean;
      s = madd(d, d, s);
    }
    total += lanes_sum(s);
  }
  for (; i < n; i++) total += ((double)x[i] - mean) * ((double)x[i] - mean);
  return total;
}
static void KV(layer_norm_f32)(const float* x, const float* scale, const float* shift, float* y, long n,
                               double epsilon) {
  float mean = (float)(KV(sum_f32)(x, n) / n);
  float r = (float)(1 / sqrt(KV(square_sum)(x, mean, n) / n + epsilon));
  long i = 0;
  for (; i + 16 <= n; i += 16) {
    store_f(y + i, madd((load_f(x + i) - mean) * r, load_f(scale + i), load_f(shift + i)));
  }
  if (i < n) {
    vf v = madd((load_part_f(x + i, n - i) - mean) * r, load_part_f(scale + i, n - i), load_part_f(shift + i, n - i));
    store_part_f(y + i, v, n - i);
  }
}
static void KV(rms_norm_f32)(const float* x, const float* scale, float* y, long n, double epsilon) {
  float r = (float)(1 / sqrt(KV(square_sum)(x, 0, n) / n + epsilon));
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(x + i) * r * load_f(scale + i));
  for (; i < n; i++) y[i] = x[i] * r * scale[i];
}
static float KV(cross_entropy_f32)(const float* x, long n, long label) {
  float m = KV(max_f32)(x, n);
  return (float)(log(KV(exp_row)(x, m, NULL, n)) + ((double)m - x[label]));
}
static void KV(cross_entropy_gradient_f32)(const float* x, long n, long label, float g, float* y) {
  KV(softmax_f32)(x, y, n);
  y[label] -= 1;
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(y + i) * g);
  for (; i < n; i++) y[i] *= g;
}

// Sum of a * b, or of a alone.
static double KV(dot_row)(const float* a, const float* b, long n) {
  double total = 0;
  long i = 0;
  while (i + 16 <= n) {
    long end = i + 1024 < n ? i + 1024 : n;
    vf s = 0;
    for (; i + 16 <= end; i += 16) s = b ? madd(load_f(a + i), load_f(b + i), s) : s + load_f(a + i);
    total += lanes_sum(s);
  }
  for (; i < n; i++) total += (double)a[i] * (b ? b[i] : 1);
  return total;
}
static void KV(softmax_gradient_f32)(const float* p, const float* g, float* y, long n) {
  const float s = (float)KV(dot_row)(p, g, n);
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(p + i) * (load_f(g + i) - s));
  for (; i < n; i++) y[i] = p[i] * (g[i] - s);
}
static void KV(log_softmax_gradient_f32)(const float* l, const float* g, float* y, long n) {
  const float s = (float)KV(dot_row)(g, NULL, n);
  long i = 0;
  for (; i + 16 <= n; i += 16) store_f(y + i, load_f(g + i) - exp_f(load_f(l + i)) * s);
  if (i < n) store_part_f(y + i, load_part_f(g + i, n - i) - exp_f(load_part_f(l + i, n - i)) * s, n - i);
}
static void KV(norm_gradient_f32)(const float* x, const float* g, const float* scale, float* y, long n, double epsilon,
                                  bool centred) {
  const float mean = centred ? (float)(KV(sum_f32)(x, n) / n) : 0;
  const float r = (float)(1 / sqrt(KV(square_sum)(x, mean, n) / n + epsilon));
  double sum = 0, slope = 0;
  long i = 0;
  while (i + 16 <= n) {
    long end = i + 1024 < n ? i + 1024 : n;
    vf s = 0, t = 0;
    for (; i + 16 <= end; i += 16) {
      vf h = load_f(g + i) * load_f(scale + i);
      s += h;
      t = madd(h, (load_f(x + i) - mean) * r, t);
    }
    sum += lanes_sum(s);
    slope += lanes_sum(t);
  }
  for (long k = i; k < n; k++) {
    float h = g[k] * scale[k];
    sum += h;
    slope += (double)h * ((x[k] - mean) * r);
  }
  const float shift = centred ? (float)(sum / n) : 0, factor = (float)(slope / n);
  for (i = 0; i + 16 <= n; i += 16) {
    vf normal = (load_f(x + i) - mean) * r;
    store_f(y + i, (load_f(g + i) * load_f(scale + i) - shift - normal * factor) * r);
  }
  for (; i < n; i++) y[i] = (g[i] * scale[i] - shift - (x[i] - mean) * r * factor) * r;
}
