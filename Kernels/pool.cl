// 2-D pooling over x [planes, height, width] to y [planes, out_height, out_width]; every gradient is a gather.
//
// Macros: NAME, T, IS_NAN(v) and one of
//   FORM_MAX               y = max of the window's taps inside x; the first of equals, NaN above all
//   FORM_MAX_GATHER        y = h at the place of that maximum of x
//   FORM_MAX_GRADIENT      result (x-shaped) = sum of g over the windows whose maximum lies here
//   FORM_AVERAGE           y = sum of the taps inside x / divisor
//   FORM_AVERAGE_GRADIENT  result (x-shaped) = sum of g / divisor over the windows that hold this element
// and COUNT_PADDING when the divisor of an average is always the window's size.

#if !defined(NAME) || !defined(T) || !defined(IS_NAN)
#error "pool.cl: define NAME, T, IS_NAN and a form"
#endif

#define POOL_SIZES                                                                                                     \
  const long planes, const int height, const int width, const int out_height, const int out_width,                     \
      const int kernel_height, const int kernel_width, const int stride_y, const int stride_x, const int dilation_y,   \
      const int dilation_x, const int pad_top, const int pad_left, const long chunk

#if defined(FORM_AVERAGE) || defined(FORM_AVERAGE_GRADIENT)
// The taps of window position `out` that lie inside 0..<length.
#define TAPS_INSIDE(name, out, length, kernel_length, stride, dilation, pad)                                           \
  int name = 0;                                                                                                        \
  for (int t = 0; t < kernel_length; t++) {                                                                            \
    const int place = (out)*stride - pad + t * dilation;                                                               \
    if (place >= 0 && place < length) name++;                                                                          \
  }
#ifdef COUNT_PADDING
#define DIVISOR(name, oy, ox) const T name = (T)(kernel_height * kernel_width);
#else
#define DIVISOR(name, oy, ox)                                                                                          \
  TAPS_INSIDE(name##_y, oy, height, kernel_height, stride_y, dilation_y, pad_top)                                      \
  TAPS_INSIDE(name##_x, ox, width, kernel_width, stride_x, dilation_x, pad_left)                                       \
  const T name = (T)(name##_y * name##_x);
#endif
#else
// The place (index in the plane) of the maximum of the window at (oy, ox), -1 if all taps lie outside.
#define FIND_MAXIMUM(place, best, plane, oy, ox)                                                                       \
  long place = -1;                                                                                                     \
  T best = 0;                                                                                                          \
  for (int ky = 0; ky < kernel_height; ky++) {                                                                         \
    const int y_##place = (oy)*stride_y - pad_top + ky * dilation_y;                                                   \
    if (y_##place < 0 || y_##place >= height) continue;                                                                \
    for (int kx = 0; kx < kernel_width; kx++) {                                                                        \
      const int x_##place = (ox)*stride_x - pad_left + kx * dilation_x;                                                \
      if (x_##place < 0 || x_##place >= width) continue;                                                               \
      const T v = plane[(long)y_##place * width + x_##place];                                                          \
      if (place < 0 || v > best || (IS_NAN(v) && !IS_NAN(best))) {                                                     \
        best = v;                                                                                                      \
        place = (long)y_##place * width + x_##place;                                                                   \
      }                                                                                                                \
    }                                                                                                                  \
  }
#endif

#if defined(FORM_MAX) || defined(FORM_MAX_GATHER) || defined(FORM_AVERAGE)

KERNEL void NAME(GLOBAL const T* x, const long x_at, GLOBAL const T* h, const long h_at, GLOBAL T* y, const long y_at,
                 POOL_SIZES) {
  FOR_EACH(i, planes * out_height * out_width, chunk) {
    const long row = i / out_width, p = row / out_height;
    const int ox = (int)(i - row * out_width), oy = (int)(row - p * out_height);
    GLOBAL const T* plane = x + x_at + p * height * width;
#if defined(FORM_AVERAGE)
    T sum = 0;
    for (int ky = 0; ky < kernel_height; ky++) {
      const int in_y = oy * stride_y - pad_top + ky * dilation_y;
      if (in_y < 0 || in_y >= height) continue;
      for (int kx = 0; kx < kernel_width; kx++) {
        const int in_x = ox * stride_x - pad_left + kx * dilation_x;
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
    for (int ky = kernel_height - 1; ky >= 0; ky--) {
      const int shifted_y = in_y + pad_top - ky * dilation_y;
      if (shifted_y < 0 || shifted_y % stride_y != 0 || shifted_y / stride_y >= out_height) continue;
      const int oy = shifted_y / stride_y;
      for (int kx = kernel_width - 1; kx >= 0; kx--) {
        const int shifted_x = in_x + pad_left - kx * dilation_x;
        if (shifted_x < 0 || shifted_x % stride_x != 0 || shifted_x / stride_x >= out_width) continue;
        const int ox = shifted_x / stride_x;
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

#undef POOL_SIZES
#undef TAPS_INSIDE
#undef DIVISOR
#undef FIND_MAXIMUM
