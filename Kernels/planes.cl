// Convolutions in the CPU style, forward and by the input: the sums of a convolution without an unfolded image.
//
// A work-item copies the rows of the image that a block of result rows needs into `planes`, with zeros around them: one
// plane of `pitch` columns for each channel and phase (with a stride of 2, even and odd rows and columns lie apart).
// There a tap is a shift: for results counted row by row over the planes' whole pitch, the values that a tap meets are
// neighbours, whatever the stride. What lies between a row's last result and the next row is computed and not stored.
//
// The gradient by the input is the same over the result's gradient, with other taps for each phase of the input.
//
// FORM_PACK   the filters in panels of MR rows: packed[group][turn][panel][channel][tap][MR], zeros at the edge
// FORM_SUMS   a work-item per `chunk` units (entry and group, block of rows, part of the panels)
// Macros: NAME, T; for FORM_SUMS also PARAMETERS, PREPARE, OUTER(row, x), FINISH(l) as in product.cl; MR, NV, VL,
// VECTOR, VLOAD, VSTORE, ALL_ROWS(F), ALL_VECTORS(F, r) as in panels.cl; SPREAD where neighbouring results of a turn
// are no neighbours in memory. `shape`, a list of longs:
//   0..3 channels, phases, turns, taps in all; then 2 for each phase: the row and column of the image (in steps of 1)
//   at the planes' first; then 8 for each turn: first row and column of its results, their counts, its taps, the place
//   of its first tap, and of its panels in a group's; then 2 for each tap: its shift in the planes, its place in a
//   filter.

#if !defined(NAME) || !defined(T) || !defined(MR) || !(defined(FORM_PACK) || defined(FORM_SUMS))
#error "planes.cl: define NAME, T, MR, a form and the rest of the list above"
#endif

#define CHANNELS shape[shape_at]
#define PHASES shape[shape_at + 1]
#define TURNS shape[shape_at + 2]
#define PHASE(f, k) shape[shape_at + 4 + 2 * (f) + (k)]
#define TURN(o, k) shape[shape_at + 4 + 2 * PHASES + 8 * (o) + (k)]
#define TAP(t, k) shape[shape_at + 4 + 2 * PHASES + 8 * TURNS + 2 * (t) + (k)]

#ifdef FORM_PACK

// The filter's element of row i, channel c and tap t is at  i * row_step + c * channel_step + place of the tap.
KERNEL void NAME(GLOBAL T* packed, const long packed_at, GLOBAL const T* filter, const long filter_at,
                 GLOBAL const long* shape, const long shape_at, const long m, const long group_filter,
                 const long group_packed, const long row_step, const long channel_step, const long items,
                 const long chunk) {
  const long panels = (m + MR - 1) / MR, channels = CHANNELS;
  // An item is (group, turn, panel).
  FOR_EACH(e, items, chunk) {
    const long panel = e % panels, turn = e / panels % TURNS, group = e / panels / TURNS;
    const long taps = TURN(turn, 4), first = TURN(turn, 5);
    GLOBAL T* to = packed + packed_at + group * group_packed + TURN(turn, 6) + panel * channels * taps * MR;
    GLOBAL const T* from = filter + filter_at + group * group_filter;
    for (long c = 0; c < channels; c++)
      for (long t = 0; t < taps; t++)
        for (int r = 0; r < MR; r++) {
          const long i = panel * MR + r;
          *to++ = i < m ? from[i * row_step + c * channel_step + TAP(first + t, 1)] : (T)0;
        }
  }
}

#else

#define NR (NV * VL)
#define ZERO(r, v) VECTOR s##r##_##v = (VECTOR)(0);
#define ZERO_ROW(r) ALL_VECTORS(ZERO, r)
#define COLUMN(r, v) const VECTOR c##v = VLOAD(0, values + v * VL);
#define ADD(r, v) s##r##_##v = MULTIPLY_ADD(a##r, c##v, s##r##_##v);
#define ADD_ROW(r)                                                                                                     \
  const VECTOR a##r = (VECTOR)(weights[r]);                                                                            \
  ALL_VECTORS(ADD, r)
#define KEEP(r, v) VSTORE(s##r##_##v, 0, sums + r * sums_pitch + j + v * VL);
#define KEEP_ROW(r) ALL_VECTORS(KEEP, r)

// `stage`: for each work-item stage_size elements, the planes and behind them MR rows of sums.
KERNEL void NAME(PARAMETERS GLOBAL const T* packed, const long packed_at, const long group_packed, GLOBAL T* stage,
                 const long stage_at, const long stage_size, const long sums_pitch, GLOBAL const T* image,
                 const long image_at, const long entry_size, const long group_size, const int height, const int width,
                 const int step_y, const int step_x, const int pitch, const int block_rows, const int plane_rows,
                 const int out_width, const int out_step_y, const int out_step_x, GLOBAL const long* shape,
                 const long shape_at, const long m, const long groups, const long blocks, const long parts,
                 const long units, const long chunk) {
  PREPARE
  GLOBAL T* planes = stage + stage_at + GLOBAL_ID(0) * stage_size;
  const long channels = CHANNELS, phases = PHASES, plane_size = (long)plane_rows * pitch;
  GLOBAL T* sums = planes + stage_size - MR * sums_pitch;
  // Read with the last plane's last values.
  for (int l = 0; l < NR; l++) planes[channels * phases * plane_size + l] = 0;
  FOR_EACH(unit, units, chunk) {
    const long part = unit % parts, b = unit / parts / blocks, group = b % groups;
    const int y0 = (int)(unit / parts % blocks) * block_rows;
    for (long c = 0; c < channels; c++)
      for (long f = 0; f < phases; f++) {
        GLOBAL const T* plane =
            image + image_at + b / groups * entry_size + group * group_size + c * (long)height * width;
        const int first_y = (int)PHASE(f, 0) + y0 * step_y, first_x = (int)PHASE(f, 1);
        // Columns begin..<end of the plane lie inside the image.
        const int begin = first_x >= 0 ? 0 : min(pitch, (step_x - 1 - first_x) / step_x);
        const int end = width <= first_x ? begin : max(begin, min(pitch, (width - 1 - first_x) / step_x + 1));
        GLOBAL T* to = planes + (c * phases + f) * plane_size;
        for (int y = 0; y < plane_rows; y++, to += pitch) {
          const int from_y = first_y + y * step_y;
          if (from_y < 0 || from_y >= height) {
            for (int x = 0; x < pitch; x++) to[x] = 0;
            continue;
          }
          GLOBAL const T* from = plane + (long)from_y * width + first_x;
          for (int x = 0; x < begin; x++) to[x] = 0;
          if (step_x == 1) {
            INDEPENDENT
            for (int x = begin; x < end; x++) to[x] = from[x];
          } else {
            for (int x = begin; x < end; x++) to[x] = from[x * step_x];
          }
          for (int x = end; x < pitch; x++) to[x] = 0;
        }
      }
    for (long turn = 0; turn < TURNS; turn++) {
      const long taps = TURN(turn, 4), first_tap = TURN(turn, 5);
      const int rows_here = min(block_rows, (int)TURN(turn, 2) - y0), columns_here = (int)TURN(turn, 3);
      if (rows_here <= 0) continue;
      const long count = (rows_here - 1) * (long)pitch + columns_here, panels = (m + MR - 1) / MR;
      for (long panel = part; panel < panels; panel += parts) {
        GLOBAL const T* panel_weights =
            packed + packed_at + group * group_packed + TURN(turn, 6) + panel * channels * taps * MR;
        for (long j = 0; j < count; j += NR) {
          GLOBAL const T* weights = panel_weights;
          ALL_ROWS(ZERO_ROW)
          for (long c = 0; c < channels; c++) {
            GLOBAL const T* plane = planes + c * phases * plane_size + j;
            for (long t = 0; t < taps; t++) {
              GLOBAL const T* values = plane + TAP(first_tap + t, 0);
              ALL_VECTORS(COLUMN, 0)
              ALL_ROWS(ADD_ROW)
              weights += MR;
            }
          }
          ALL_ROWS(KEEP_ROW)
        }
        for (long i = panel * MR; i < min(m, panel * MR + MR); i++) {
          const long row = b * m + i;
          OUTER(row, 0)
          for (int y = 0; y < rows_here; y++) {
            GLOBAL const T* from = sums + (i - panel * MR) * sums_pitch + y * (long)pitch;
            const long at = (TURN(turn, 0) + (y0 + y) * (long)out_step_y) * out_width + TURN(turn, 1);
            int x = 0;
#if defined(FINISH_VECTOR) && !defined(SPREAD)
            for (; x + 16 <= columns_here; x += 16) {
              const float16 result = vload16(0, from + x);
              FINISH_VECTOR(at + x)
            }
#endif
            INDEPENDENT
            for (; x < columns_here; x++) {
              const T result = from[x];
#ifdef SPREAD
              const long l = at + x * (long)out_step_x;
#else
              const long l = at + x;
#endif
              FINISH(l)
            }
          }
        }
      }
    }
  }
}

#endif
