// What Winograd convolution (convolution_winograd.c) does around its products: each vector holds 16 channels of a
// point. The transforms are those of F(2x2, 3x3) in Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks"
// (2015), with the sign of the last row moved from one transform to another.

// One column of four points, of an input: B^T.
INLINE void KV(winograd_column)(const float* x, long row, vf* to) {
  const vf a = load_f(x), b = load_f(x + row), c = load_f(x + 2 * row), d = load_f(x + 3 * row);
  to[0] = a - c;
  to[1] = b + c;
  to[2] = c - b;
  to[3] = d - b;
}
// B^T d B of the tiles of one line: points [4, 2 * tiles + 2, 16] of x to v[place][tile].
static void KV(winograd_input)(const float* x, long row, long tiles, float* v, long place, long tile) {
  vf columns[4][4];
  KV(winograd_column)(x, row, columns[0]);
  KV(winograd_column)(x + 16, row, columns[1]);
  for (long t = 0; t < tiles; t++, v += tile) {
    x += 32;
    KV(winograd_column)(x, row, columns[2]);
    KV(winograd_column)(x + 16, row, columns[3]);
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      store_f(v + (4 * i) * place, columns[0][i] - columns[2][i]);
      store_f(v + (4 * i + 1) * place, columns[1][i] + columns[2][i]);
      store_f(v + (4 * i + 2) * place, columns[2][i] - columns[1][i]);
      store_f(v + (4 * i + 3) * place, columns[3][i] - columns[1][i]);
      columns[0][i] = columns[2][i];
      columns[1][i] = columns[3][i];
    }
  }
}

// A^T m A of the tiles of one line: m[place][tile] to points [2, 2 * tiles, 16] of y. Adds to `check` what is 0 unless
// a result is infinite or NaN.
static void KV(winograd_output)(const float* m, long place, long tile, long tiles, float* y, long row, float* check) {
  vf sum = load_f(check);
  for (long t = 0; t < tiles; t++, m += tile, y += 32) {
    vf top[4], bottom[4];
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
      const vf a = load_f(m + j * place), b = load_f(m + (4 + j) * place), c = load_f(m + (8 + j) * place);
      top[j] = a + (b + c);
      bottom[j] = (b - c) + load_f(m + (12 + j) * place);
    }
    const vf results[4] = {top[0] + (top[1] + top[2]), (top[1] - top[2]) + top[3], bottom[0] + (bottom[1] + bottom[2]),
                           (bottom[1] - bottom[2]) + bottom[3]};
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      store_f(y + i / 2 * row + i % 2 * 16, results[i]);
      sum = madd(results[i], splat_f(0), sum);
    }
  }
  store_f(check, sum);
}
// A g A^T, the transpose of that: points [2, 2 * tiles, 16] of g to m[place][tile].
static void KV(winograd_output_gradient)(const float* g, long row, long tiles, float* m, long place, long tile) {
  for (long t = 0; t < tiles; t++, g += 32, m += tile) {
    vf lines[4][2];
#pragma clang loop unroll(full)
    for (int j = 0; j < 2; j++) {
      const vf a = load_f(g + 16 * j), b = load_f(g + row + 16 * j);
      lines[0][j] = a;
      lines[1][j] = a + b;
      lines[2][j] = a - b;
      lines[3][j] = b;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
      store_f(m + (4 * i) * place, lines[i][0]);
      store_f(m + (4 * i + 1) * place, lines[i][0] + lines[i][1]);
      store_f(m + (4 * i + 2) * place, lines[i][0] - lines[i][1]);
      store_f(m + (4 * i + 3) * place, lines[i][1]);
    }
  }
}

// G w G^T: taps [3, 3, 16], `step` floats from one to the next, to u[place].
static void KV(winograd_filter)(const float* w, long step, float* u, long place) {
  vf columns[3][4];
#pragma clang loop unroll(full)
  for (int j = 0; j < 3; j++) {
    const vf a = load_f(w + j * step), b = load_f(w + (3 + j) * step), c = load_f(w + (6 + j) * step);
    columns[j][0] = a;
    columns[j][1] = ((a + c) + b) * splat_f(0.5f);
    columns[j][2] = ((a + c) - b) * splat_f(0.5f);
    columns[j][3] = c;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 4; i++) {
    const vf a = columns[0][i], b = columns[1][i], c = columns[2][i];
    store_f(u + (4 * i) * place, a);
    store_f(u + (4 * i + 1) * place, ((a + c) + b) * splat_f(0.5f));
    store_f(u + (4 * i + 2) * place, ((a + c) - b) * splat_f(0.5f));
    store_f(u + (4 * i + 3) * place, c);
  }
}
// G^T u G, the transpose of that: u[place] to taps [3, 3, 16]. Adds to `check` as winograd_output does.
static void KV(winograd_filter_gradient)(const float* u, long place, float* w, float* check) {
  vf sum = load_f(check), lines[3][4];
#pragma clang loop unroll(full)
  for (int j = 0; j < 4; j++) {
    const vf b = load_f(u + (4 + j) * place) * splat_f(0.5f), c = load_f(u + (8 + j) * place) * splat_f(0.5f);
    lines[0][j] = load_f(u + j * place) + (b + c);
    lines[1][j] = b - c;
    lines[2][j] = (b + c) + load_f(u + (12 + j) * place);
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < 3; i++) {
    const vf b = lines[i][1] * splat_f(0.5f), c = lines[i][2] * splat_f(0.5f);
    const vf taps[3] = {lines[i][0] + (b + c), b - c, (b + c) + lines[i][3]};
#pragma clang loop unroll(full)
    for (int j = 0; j < 3; j++) {
      store_f(w + (3 * i + j) * 16, taps[j]);
      sum = madd(taps[j], splat_f(0), sum);
    }
  }
  store_f(check, sum);
}
