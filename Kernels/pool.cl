// 2-D pooling over x [planes, height, width] to y [planes, out_height, out_width]; every gradient is a gather.
//
// Macros: NAME, T, IS_NAN(v) and one of
//   FORM_MAX               y = max of the window's taps inside x; the first of equals, NaN above all
//   FORM_MAX_GATHER        y = h at the place of that maximum of x
//   FORM_MAX_GRADIENT      result (x-shaped) = sum of g over the windows whose maximum lies here
//   FORM_AVERAGE           y = sum of the taps inside x / divisor
//   FORM_AVERAGE_GRADIENT  result (x-shaped) = sum of g / divisor over the windows that hold this element
// and KERNEL_HEIGHT, KERNEL_WIDTH, STRIDE_Y, STRIDE_X, DILATION_Y, DILATION_X; COUNT_PADDING when the divisor of an
// average is always the window's size; SMALL when a window's taps may be written out; APART when windows do not
// overlap.

#if !defined(NAME) || !defined(T) || !defined(IS_NAN) || !defined(KERNEL_HEIGHT)
#error "pool.cl: define NAME, T, IS_NAN, the window's sizes and a form"
#endif

#define POOL_SIZES                                                                                                     \
  const long planes, const int height, const int width, const int out_height, const int out_width, const int pad_top,  \
      const int pad_left, const long chunk

#if defined(FORM_AVERAGE) || defined(FORM_AVERAGE_GRADIENT)
// The taps of window position `out` that lie inside 0..<length.
#define TAPS_INSIDE(name, out, length, kernel_length, stride, dilation, pad)                                           \
  int name = 0;                                                                                                        \
  for (int t = 0; t < kernel_length; t++) {                                                                            \
    const int place = (out)*stride - pad + t * dilation;                                                               \
    if (place >= 0 && place < length) name++;                                                                          \
  }
#ifdef COUNT_PADDING
#define DIVISOR(name, oy, ox) const T name = (T)(KERNEL_HEIGHT * KERNEL_WIDTH);
#else
#define DIVISOR(name, oy, ox)                                                                                          \
  TAPS_INSIDE(name##_y, oy, height, KERNEL_HEIGHT, STRIDE_Y, DILATION_Y, pad_top)                                      \
  TAPS_INSIDE(name##_x, ox, width, KERNEL_WIDTH, STRIDE_X, DILATION_X, pad_left)                                       \
  const T name = (T)(name##_y * name##_x);
#endif
#else
// The place (index in the plane) of the maximum of the window at (oy, ox), -1 if all taps lie outside.
#define FIND_MAXIMUM(place, best, plane, oy, ox)                                                                       \
  long place = -1;                                                                                                     \
  T best = 0;                                                                                                          \
  for (int ky = 0; ky < KERNEL_HEIGHT; ky++) {                                                                         \
    const int y_##place = (oy)*STRIDE_Y - pad_top + ky * DILATION_Y;                                                   \
    if (y_##place < 0 || y_##place >= height) continue;                                                                \
    for (int kx = 0; kx < KERNEL_WIDTH; kx++) {                                                                        \
      const int x_##place = (ox)*STRIDE_X - pad_left + kx * DILATION_X;                                                \
      if (x_##place < 0 || x_##place >= width) continue;                                                               \
      const T v = plane[(long)y_##place * width + x_##place];                                                          \
      if (place < 0 || v > best || (IS_NAN(v) && !IS_NAN(best))) {                                                     \
        best = v;                                                                                                      \
        place = (long)y_##place * width + x_##place;                                                                   \
      }                                                                                                                \
    }                                                                                                                  \
  }
#endif

#if defined(STYLE_CPU) && defined(SMALL) && (defined(FORM_MAX) || defined(FORM_MAX_GRADIENT))

// Windows of row oy that lie inside x as a whole: those at begin..<end, none if rows of the window lie outside.
#define WHOLE_WINDOWS(oy)                                                                                              \
  const int first_y = (oy)*STRIDE_Y - pad_top, span_x = (KERNEL_WIDTH - 1) * DILATION_X + 1;                           \
  const bool rows_inside = first_y >= 0 && first_y + (KERNEL_HEIGHT - 1) * DILATION_Y < height;                        \
  const int begin = min(out_width, (pad_left + STRIDE_X - 1) / STRIDE_X);                                              \
  const int reach = width + pad_left - span_x;                                                                         \
  const int end = rows_inside && reach >= 0 ? max(begin, min(out_width, reach / STRIDE_X + 1)) : begin;                \
  GLOBAL const T* window_row = plane + (long)first_y * width - pad_left;
#define WINDOW_VALUE(ox, k)                                                                                            \
  window_row[(k) / KERNEL_WIDTH * DILATION_Y * width + (ox)*STRIDE_X + (k) % KERNEL_WIDTH * DILATION_X]

#ifdef FORM_MAX

// A work-item takes rows of y; whole windows are compared side by side.
KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const T* h, const long h_at, GLOBAL T* y, const long y_at,
                 POOL_SIZES) {
  FOR_EACH(row, planes * out_height, chunk) {
    const long p = row / out_height;
    const int oy = (int)(row - p * out_height);
    GLOBAL const T* plane = x + x_at + p * height * width;
    GLOBAL T* out = y + y_at + row * out_width;
    WHOLE_WINDOWS(oy)
    INDEPENDENT
    for (int ox = begin; ox < end; ox++) {
      T best = WINDOW_VALUE(ox, 0);
      UNROLL
      for (int k = 1; k < KERNEL_HEIGHT * KERNEL_WIDTH; k++) {
        const T v = WINDOW_VALUE(ox, k);
        best = v > best || IS_NAN(v) ? v : best;
      }
      out[ox] = best;
    }
    for (int ox = 0; ox < out_width; ox++) {
      if (ox >= begin && ox < end) continue;
      FIND_MAXIMUM(place, best, plane, oy, ox)
      out[ox] = best;
    }
  }
}

#else

// A work-item takes planes and adds each window's g at its maximum, in the order of the windows.
KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const T* g, const long g_at, GLOBAL T* result,
                 const long result_at, POOL_SIZES) {
  FOR_EACH(p, planes, chunk) {
    GLOBAL const T* plane = x + x_at + p * height * width;
    GLOBAL T* to = result + result_at + p * height * width;
    for (long e = 0; e < (long)height * width; e++) to[e] = 0;
    for (int oy = 0; oy < out_height; oy++) {
      GLOBAL const T* gradient = g + g_at + (p * out_height + oy) * out_width;
#ifdef APART
      WHOLE_WINDOWS(oy)
      GLOBAL T* to_row = to + (long)first_y * width - pad_left;
      INDEPENDENT
      for (int ox = begin; ox < end; ox++) {
        T best = WINDOW_VALUE(ox, 0);
        int at = 0;
        UNROLL
        for (int k = 1; k < KERNEL_HEIGHT * KERNEL_WIDTH; k++) {
          const T v = WINDOW_VALUE(ox, k);
          const bool is_better = v > best || (IS_NAN(v) && !IS_NAN(best));
          best = is_better ? v : best;
          at = is_better ? k : at;
        }
        const T part = gradient[ox];
        UNROLL
        for (int k = 0; k < KERNEL_HEIGHT * KERNEL_WIDTH; k++)
          to_row[k / KERNEL_WIDTH * DILATION_Y * width + ox * STRIDE_X + k % KERNEL_WIDTH * DILATION_X] =
              at == k ? part : (T)0;
      }
#else
      const int begin = 0, end = 0;
#endif
      for (int ox = 0; ox < out_width; ox++) {
        if (ox >= begin && ox < end) continue;
        FIND_MAXIMUM(place, best, plane, oy, ox)
        if (place >= 0) to[place] += gradient[ox];
      }
    }
  }
}

#endif

#elif defined(FORM_MAX) || defined(FORM_MAX_GATHER) || defined(FORM_AVERAGE)

KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const T* h, const long h_at, GLOBAL T* y, const long y_at,
                 POOL_SIZES) {
  FOR_EACH(i, planes * out_height * out_width, chunk) {
    const long row = i / out_width, p = row / out_height;
    const int ox = (int)(i - row * out_width), oy = (int)(row - p * out_height);
    GLOBAL const T* plane = x + x_at + p * height * width;
#if defined(FORM_AVERAGE)
    T sum = 0;
    for (int ky = 0; ky < KERNEL_HEIGHT; ky++) {
      const int in_y = oy * STRIDE_Y - pad_top + ky * DILATION_Y;
      if (in_y < 0 || in_y >= height) continue;
      for (int kx = 0; kx < KERNEL_WIDTH; kx++) {
        const int in_x = ox * STRIDE_X - pad_left + kx * DILATION_X;
        if (in_x >= 0 && in_x < width) sum += plane[(long)in_y * width + in_x];
      }
    }
    DIVISOR(divisor, oy, ox)
    y[y_at + i] = sum / divisor;
#else
    FIND_MAXIMUM(place, best, plane, oy, ox)
#if defined(FORM_MAX)
    y[y_at + i] = best;
#else
    y[y_at + i] = place < 0 ? (T)0 : h[h_at + p * height * width + place];
#endif
#endif
  }
}

#elif defined(FORM_MAX_GRADIENT) || defined(FORM_AVERAGE_GRADIENT)

// The windows that may hold row `y` are those with out * stride in y + pad - (kernel - 1) * dilation ... y + pad.
KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const T* g, const long g_at, GLOBAL T* result,
                 const long result_at, POOL_SIZES) {
  FOR_EACH(i, planes * height * width, chunk) {
    const long row = i / width, p = row / height;
    const int in_x = (int)(i - row * width), in_y = (int)(row - p * height);
    GLOBAL const T* gradient = g + g_at + p * out_height * out_width;
#ifdef FORM_MAX_GRADIENT
    GLOBAL const T* plane = x + x_at + p * height * width;
    const long here = (long)in_y * width + in_x;
#endif
    T sum = 0;
    for (int ky = KERNEL_HEIGHT - 1; ky >= 0; ky--) {
      const int shifted_y = in_y + pad_top - ky * DILATION_Y;
      if (shifted_y < 0 || shifted_y % STRIDE_Y != 0 || shifted_y / STRIDE_Y >= out_height) continue;
      const int oy = shifted_y / STRIDE_Y;
      for (int kx = KERNEL_WIDTH - 1; kx >= 0; kx--) {
        const int shifted_x = in_x + pad_left - kx * DILATION_X;
        if (shifted_x < 0 || shifted_x % STRIDE_X != 0 || shifted_x / STRIDE_X >= out_width) continue;
        const int ox = shifted_x / STRIDE_X;
        const T part = gradient[(long)oy * out_width + ox];
#ifdef FORM_MAX_GRADIENT
        FIND_MAXIMUM(place, best, plane, oy, ox)
        if (place == here) sum += part;
#else
        DIVISOR(divisor, oy, ox)
        sum += part / divisor;
#endif
      }
    }
    result[result_at + i] = sum;
  }
}

#else
#error "pool.cl: define a form"
#endif
