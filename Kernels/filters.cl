// The gradient of convolutions by their filters in the CPU style: result[f, (c, ky, kx)] = sum over entries and pixels
// of g[entry, f, pixel] * x[entry, c, the pixel's place under the tap].
//
// A work-item takes a block of `width` taps (c, ky, kx). For a few entries at a time it copies what the taps meet into
// rows, one for each tap, each entry's pixels rounded up to whole vectors with zeros; and sums products of rows, FR x
// FC of them at once, in lanes along the pixels. The lanes are added at the end of those entries. What g's last pixels
// of an entry are, if they do not fill a vector, is copied with zeros too.
//
// Macros: NAME, T, PARAMETERS, PREPARE, OUTER(row, x), FINISH(l) as in product.cl, or PARTIAL; FR, FC and ALL_ROWS(F),
// ALL_COLUMNS(F, r), which name them; VL, VECTOR, VLOAD, VSTORE, SUM_LANES(v).

#if !defined(NAME) || !defined(T) || !defined(FR) || !defined(FC)
#error "filters.cl: define NAME, T, FR, FC and the rest of the list above"
#endif

#ifdef PARTIAL
#define PART_PARAMETERS GLOBAL T *part, const long part_at,
#define PUT(l, v) part[part_at + (segment * rows + row) * n + x + (l)] = v;
#else
#define PART_PARAMETERS
#define PUT(l, v)                                                                                                      \
  {                                                                                                                    \
    const T result = v;                                                                                                \
    FINISH(l)                                                                                                          \
  }
#endif

#define ROW(r) GLOBAL const T* row##r = left + min(f + r, m - 1) * left_pitch;
#define COLUMN_FROM(r, c) GLOBAL const T* column##c = columns + min(l + c, width - 1) * row_size + entry * entry_pixels;
#define ZERO(r, c) VECTOR s##r##_##c = (VECTOR)(0);
#define ZERO_ROW(r) ALL_COLUMNS(ZERO, r)
#define LOAD_COLUMN(r, c) const VECTOR v##c = VLOAD(0, column##c + p);
#define ADD(r, c) s##r##_##c = MULTIPLY_ADD(a, v##c, s##r##_##c);
#define ADD_ROW(r)                                                                                                     \
  {                                                                                                                    \
    const VECTOR a = VLOAD(0, row##r + (p - left_first));                                                              \
    ALL_COLUMNS(ADD, r)                                                                                                \
  }
#define KEEP(r, c)                                                                                                     \
  if (f + r < m && l + c < width) sums[(f + r) * width + l + c] += SUM_LANES(s##r##_##c);
#define KEEP_ROW(r) ALL_COLUMNS(KEEP, r)

// `stage`: for each work-item width rows of row_size, m * entries ends of VL, m * width sums.
KERNEL void NAME(PARAMETERS PART_PARAMETERS GLOBAL T* stage, const long stage_at, const long stage_size,
                 GLOBAL const T* image, const long image_at, GLOBAL const T* gradient, const long gradient_at,
                 const int height, const int width_in, const int kernel_height, const int kernel_width,
                 const int grid_height, const int grid_width, const int step_y, const int step_x, const int dilation_y,
                 const int dilation_x, const int pad_y, const int pad_x, const long entry_size, const long group_size,
                 const long gradient_entry, const long gradient_group, const long rows, const long m, const long n,
                 const long batch, const long entries, const long block, const long segments, const long groups,
                 const long units, const long chunk) {
  PREPARE
  const long pixels = (long)grid_height * grid_width, whole = pixels / VL * VL;
  // An odd number of vectors apart, rows do not fall on the same few lines of the cache.
  const long entry_pixels = (pixels + VL - 1) / VL * VL, row_size = (entries * entry_pixels / VL | 1) * VL;
  GLOBAL T* columns = stage + stage_at + GLOBAL_ID(0) * stage_size;
  GLOBAL T* ends = columns + block * row_size;
  GLOBAL T* sums = ends + m * entries * VL;
  const long blocks = (n + block - 1) / block, turns = (batch + entries - 1) / entries;
  FOR_EACH(unit, units, chunk) {
    const long x = unit % blocks * block, segment = unit / blocks % segments, group = unit / blocks / segments;
    const long width = min(block, n - x);
    for (long e = 0; e < m * width; e++) sums[e] = 0;
    const long last_turn = (segment + 1) * turns / segments;
    for (long turn = segment * turns / segments; turn < last_turn; turn++) {
      const long first_entry = turn * entries, entries_here = min(entries, batch - first_entry);
      for (long l = 0; l < width; l++) {
        const long tap = x + l, plane = tap / (kernel_height * kernel_width);
        const int ky = (int)(tap / kernel_width % kernel_height), kx = (int)(tap % kernel_width);
        const int first_x = kx * dilation_x - pad_x;
        const int begin = first_x >= 0 ? 0 : min(grid_width, (step_x - 1 - first_x) / step_x);
        const int end =
            width_in <= first_x ? begin : max(begin, min(grid_width, (width_in - 1 - first_x) / step_x + 1));
        GLOBAL T* to = columns + l * row_size;
        for (long entry = 0; entry < entries_here; entry++) {
          GLOBAL const T* from = image + image_at + (first_entry + entry) * entry_size + group * group_size +
                                 plane * (long)height * width_in;
          for (int y = 0; y < grid_height; y++, to += grid_width) {
            const int from_y = y * step_y + ky * dilation_y - pad_y;
            if (from_y < 0 || from_y >= height) {
              for (int z = 0; z < grid_width; z++) to[z] = 0;
              continue;
            }
            GLOBAL const T* line = from + (long)from_y * width_in + first_x;
            for (int z = 0; z < begin; z++) to[z] = 0;
            if (step_x == 1) {
              INDEPENDENT
              for (int z = begin; z < end; z++) to[z] = line[z];
            } else {
              for (int z = begin; z < end; z++) to[z] = line[z * step_x];
            }
            for (int z = end; z < grid_width; z++) to[z] = 0;
          }
          for (long p = pixels; p < entry_pixels; p++) *to++ = 0;
        }
      }
      GLOBAL const T* g = gradient + gradient_at + first_entry * gradient_entry + group * gradient_group;
      if (whole < pixels) {
        for (long entry = 0; entry < entries_here; entry++)
          for (long f = 0; f < m; f++)
            for (long p = 0; p < VL; p++)
              ends[(entry * m + f) * VL + p] =
                  whole + p < pixels ? g[entry * gradient_entry + f * pixels + whole + p] : (T)0;
      }
      for (long f = 0; f < m; f += FR) {
        for (long l = 0; l < width; l += FC) {
          ALL_ROWS(ZERO_ROW)
          for (long entry = 0; entry < entries_here; entry++) {
            ALL_COLUMNS(COLUMN_FROM, 0) {
              GLOBAL const T* left = g + entry * gradient_entry;
              const long left_pitch = pixels, left_first = 0;
              ALL_ROWS(ROW)
              for (long p = 0; p < whole; p += VL) {
                ALL_COLUMNS(LOAD_COLUMN, 0)
                ALL_ROWS(ADD_ROW)
              }
            }
            if (whole < pixels) {
              GLOBAL const T* left = ends + entry * m * VL;
              const long left_pitch = VL, left_first = whole, p = whole;
              ALL_ROWS(ROW)
              ALL_COLUMNS(LOAD_COLUMN, 0)
              ALL_ROWS(ADD_ROW)
            }
          }
          ALL_ROWS(KEEP_ROW)
        }
      }
    }
    for (long i = 0; i < m; i++) {
      const long row = group * m + i;
      OUTER(row, x)
      INDEPENDENT
      for (long l = 0; l < width; l++) { PUT(l, sums[i * width + l]) }
    }
  }
}
