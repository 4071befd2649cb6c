// Convolutions as matrix products whose right side is never stored: pasted before product.cl, this file defines how its
// elements are found in `image` ([planes, height, width] for each batch entry).
//
//   forward          rows: filters     columns: output pixels   p: (channel, ky, kx)     image: x
//   input gradient   rows: channels    columns: input pixels    p: (filter, ky, kx)      image: g, NEGATED_TAPS,
//                    DIVIDED
//   filter gradient  rows: filters     columns: (channel, ky, kx)  p: (batch, oy, ox)    image: x
//
// Element (p, j) lies in plane P(p) + P(j) at row Y(p) + Y(j), column X(p) + X(j); it is 0 outside the image. With
// DIVIDED row and column are counted in steps of 1 / stride, and only whole ones exist; with NEGATED_TAPS those of taps
// are subtracted.
// Macros: T; TAPS_P when p counts (plane, ky, kx) and j pixels, else p counts (entry, pixel) and j (plane, ky, kx);
// KERNEL_HEIGHT, KERNEL_WIDTH, DIVIDE_Y, DIVIDE_X, as numbers, so that no division by them is left; POSITION, an
// integer type that counts all pixels, which are of a grid of `grid_width` columns.

#if !defined(T) || !defined(POSITION) || !defined(KERNEL_HEIGHT) || !defined(DIVIDE_Y)
#error "convolution.cl: define T, POSITION, KERNEL_HEIGHT, KERNEL_WIDTH, DIVIDE_Y and DIVIDE_X"
#endif

#define RHS_CONVOLUTION
#define RHS_PARAMETERS                                                                                                 \
  GLOBAL const T *image, const long image_at, const int height, const int width, const int grid_height,                \
      const int grid_width, const int step_y, const int step_x, const int dilation_y, const int dilation_x,            \
      const int pad_y, const int pad_x, const int groups, const long entry_size, const long group_size,

#define RHS_BATCH(b)                                                                                                   \
  const long image_base = image_at + (b / groups) * entry_size + (b - (b / groups) * groups) * group_size;

// Declares <name>_plane (offset), <name>_y and <name>_x for a tap (plane, ky, kx).
#define DECODE_TAP(name, t)                                                                                            \
  const int name##_rest = (int)(t) / KERNEL_WIDTH, name##_c = name##_rest / KERNEL_HEIGHT;                             \
  const long name##_plane = (long)name##_c * height * width;                                                           \
  const int name##_y = TAP_SIGN((name##_rest - name##_c * KERNEL_HEIGHT) * dilation_y - pad_y);                        \
  const int name##_x = TAP_SIGN(((int)(t)-name##_rest * KERNEL_WIDTH) * dilation_x - pad_x);
#ifdef NEGATED_TAPS
#define TAP_SIGN(v) (-(v))
#else
#define TAP_SIGN(v) (v)
#endif
// The same for a pixel (of entry n).
#define DECODE_PIXEL(name, t)                                                                                          \
  const POSITION name##_row = (POSITION)(t) / grid_width, name##_n = name##_row / grid_height;                         \
  const long name##_plane = name##_n * entry_size;                                                                     \
  const int name##_y = (int)(name##_row - name##_n * grid_height) * step_y;                                            \
  const int name##_x = (int)((POSITION)(t)-name##_row * grid_width) * step_x;

#ifdef TAPS_P
#define DECODE_P DECODE_TAP
#define DECODE_J DECODE_PIXEL
#else
#define DECODE_P DECODE_PIXEL
#define DECODE_J DECODE_TAP
#endif

// The value at row y, column x of the plane at `at`, into v.
#ifdef DIVIDED
#define READ_PIXEL(v, at, y, x)                                                                                        \
  T v = 0;                                                                                                             \
  {                                                                                                                    \
    const int whole_y = (y) / DIVIDE_Y, whole_x = (x) / DIVIDE_X;                                                      \
    if ((y) >= 0 && (x) >= 0 && whole_y < height && whole_x < width && whole_y * DIVIDE_Y == (y) &&                    \
        whole_x * DIVIDE_X == (x))                                                                                     \
      v = image[(at) + (long)whole_y * width + whole_x];                                                               \
  }
#else
#define READ_PIXEL(v, at, y, x)                                                                                        \
  T v = 0;                                                                                                             \
  if ((y) >= 0 && (x) >= 0 && (y) < height && (x) < width) v = image[(at) + (long)(y)*width + (x)];
#endif
