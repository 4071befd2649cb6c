// Convolutions as matrix products whose right side is never stored: pasted before matmul.cl, this file defines how its
// elements are found in `image` ([planes, height, width] for each batch entry).
//
//   forward          rows: filters     columns: output pixels   p: (channel, ky, kx)     image: x
//   input gradient   rows: channels    columns: input pixels    p: (filter, ky, kx)      image: g, NEGATED_TAPS,
//   DIVIDED filter gradient  rows: filters     columns: (channel, ky, kx)  p: (batch, oy, ox)    image: x
//
// Element (p, j) lies in plane P(p) + P(j) at row Y(p) + Y(j), column X(p) + X(j); it is 0 outside the image. With
// DIVIDED row and column are counted in steps of 1 / stride, and only whole ones exist; with NEGATED_TAPS those of taps
// are subtracted.
// Macros: T; TAPS_P when p counts (plane, ky, kx) and j pixels, else p counts (entry, pixel) and j (plane, ky, kx).
// All pixels are of a grid of `grid_width` columns; the taps of kernel_height x kernel_width.

#if !defined(T)
#error "convolution.cl: define T"
#endif

#define RHS_CONVOLUTION
#define RHS_PARAMETERS                                                                                                 \
  GLOBAL const T *image, const long image_at, const int height, const int width, const int kernel_height,              \
      const int kernel_width, const int grid_height, const int grid_width, const int step_y, const int step_x,         \
      const int dilation_y, const int dilation_x, const int pad_y, const int pad_x, const int divide_y,                \
      const int divide_x, const int groups, const long entry_size, const long group_size,

#define RHS_BATCH(b)                                                                                                   \
  const long image_base = image_at + (b / groups) * entry_size + (b - (b / groups) * groups) * group_size;

// Declares <name>_plane (offset), <name>_y and <name>_x for a tap (plane, ky, kx).
#define DECODE_TAP(name, t)                                                                                            \
  const int name##_rest = (int)(t) / kernel_width, name##_c = name##_rest / kernel_height;                             \
  const long name##_plane = (long)name##_c * height * width;                                                           \
  const int name##_y = TAP_SIGN((name##_rest - name##_c * kernel_height) * dilation_y - pad_y);                        \
  const int name##_x = TAP_SIGN(((int)(t)-name##_rest * kernel_width) * dilation_x - pad_x);
#ifdef NEGATED_TAPS
#define TAP_SIGN(v) (-(v))
#else
#define TAP_SIGN(v) (v)
#endif
// The same for a pixel (of entry n).
#define DECODE_PIXEL(name, t)                                                                                          \
  const long name##_row = (t) / grid_width, name##_n = name##_row / grid_height;                                       \
  const long name##_plane = name##_n * entry_size;                                                                     \
  const int name##_y = (int)(name##_row - name##_n * grid_height) * step_y;                                            \
  const int name##_x = (int)((t)-name##_row * grid_width) * step_x;

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
    const int whole_y = (y) / divide_y, whole_x = (x) / divide_x;                                                      \
    if ((y) >= 0 && (x) >= 0 && whole_y < height && whole_x < width && whole_y * divide_y == (y) &&                    \
        whole_x * divide_x == (x))                                                                                     \
      v = image[(at) + (long)whole_y * width + whole_x];                                                               \
  }
#else
#define READ_PIXEL(v, at, y, x)                                                                                        \
  T v = 0;                                                                                                             \
  if ((y) >= 0 && (x) >= 0 && (y) < height && (x) < width) v = image[(at) + (long)(y)*width + (x)];
#endif

// One element, into v.
#define RHS_VALUE(v, p, j)                                                                                             \
  DECODE_P(at_p, p)                                                                                                    \
  DECODE_J(at_j, j)                                                                                                    \
  const int v##_y = at_p_y + at_j_y, v##_x = at_p_x + at_j_x;                                                          \
  READ_PIXEL(v, image_base + at_p_plane + at_j_plane, v##_y, v##_x)
