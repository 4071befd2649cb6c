// Images between planes [channels, rows, width] and points [rows, width, channels], 16 channels at a time.

// Where 16 channels of a point lie, and those of the next.
typedef struct {
  float* line;
  long column, width, row, point;
} KV(cursor);
INLINE float* KV(next)(KV(cursor) * at) {
  float* point = at->line + at->column * at->point;
  if (++at->column == at->width) {
    at->column = 0;
    at->line += at->row;
  }
  return point;
}
// The next 16 points, if they lie side by side.
INLINE float* KV(next_16)(KV(cursor) * at) {
  if (at->column + 16 > at->width) return NULL;
  float* point = at->line + at->column * at->point;
  at->column += 16;
  if (at->column == at->width) {
    at->column = 0;
    at->line += at->row;
  }
  return point;
}

// Channels 0 ..< channels (at most 16) of `rows` rows of an image [channels, rows, width], as [row, column, 16]: rows
// of the target are `row` floats apart, its points `point`; channels that are missing are 0.
static void KV(pixels_from_planes)(const float* x, long plane, long channels, long rows, long width, float* to,
                                   long row, long point) {
  const long count = rows * width;
  KV(cursor) at = {to, 0, width, row, point};
  for (long p = 0; p < count; p += 16, x += 16) {
    const long n = count - p < 16 ? count - p : 16;
    vf m[16];
    if (n == 16 && channels == 16) {
#pragma clang loop unroll(full)
      for (int c = 0; c < 16; c++) m[c] = load_f(x + c * plane);
    } else {
#pragma clang loop unroll(full)
      for (int c = 0; c < 16; c++) m[c] = c < channels ? load_part_f(x + c * plane, n) : splat_f(0);
    }
    KV(transpose)(m);
    float* together = n == 16 ? KV(next_16)(&at) : NULL;
    if (together) {
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++) store_f(together + i * point, m[i]);
    } else {
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++)
        if (i < n) store_f(KV(next)(&at), m[i]);
    }
  }
}
// The way back.
static void KV(planes_from_pixels)(const float* from, long row, long point, long rows, long width, long channels,
                                   float* y, long plane) {
  const long count = rows * width;
  KV(cursor) at = {(float*)from, 0, width, row, point};
  for (long p = 0; p < count; p += 16, y += 16) {
    const long n = count - p < 16 ? count - p : 16;
    vf m[16];
    const float* together = n == 16 ? KV(next_16)(&at) : NULL;
    if (together) {
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++) m[i] = load_f(together + i * point);
    } else {
#pragma clang loop unroll(full)
      for (int i = 0; i < 16; i++) m[i] = i < n ? load_f(KV(next)(&at)) : splat_f(0);
    }
    KV(transpose)(m);
    if (n == 16 && channels == 16) {
#pragma clang loop unroll(full)
      for (int c = 0; c < 16; c++) store_f(y + c * plane, m[c]);
    } else {
#pragma clang loop unroll(full)
      for (int c = 0; c < 16; c++)
        if (c < channels) store_part_f(y + c * plane, m[c], n);
    }
  }
}
