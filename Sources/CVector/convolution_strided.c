// Convolution with stride 2. Images are turned into points of all their channels, with borders. Rows lie by pairs: the
// even ones in one plane, the odd ones in another, so that tap (ky, kx) of output point p of the image, p = oy * width
// + ox, always lies 2 * p points after that of the first, and a row of taps is a run of neighbouring points. Hence
//
//   forward         for every row of taps one product [points, taps of the row * channels] by [.., filters]
//   filter gradient for every row of taps one product [taps of the row * channels, points] by [points, filters]
//   input gradient  even and odd rows and columns of x each get what the taps of their kind bring: a product
//                   [points, filters] by [filters, channels] for every tap
//
// Points past a row's end are computed for nothing (1 of 17 for a 3x3 kernel and 16 columns). In the filter gradient
// zeros of g meet values of x there, so that a NaN or infinity may spread to all taps of its channel.
#include "convolution_strided.h"

#include <string.h>

// Larger images and weights are left to the blocked path.
#define MOST_IMAGE (3 << 20)
#define MOST_WEIGHTS (2 << 20)
// Kernels whose gradients are added up by 8 tasks.
#define MOST_PARTIAL (512 << 10)
// Rows that a product reads and writes past the last one.
#define SLACK 16

static int64_t lanes(int64_t n) { return (n + 15) / 16 * 16; }
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t rows_of_tiles(int64_t n) { return (n + 7) / 8 * 8; }

bool kv_strided_plan(const kv_convolution* s, kv_strided* plan) {
  if (!kv_get_kernels()->has_fast_products || s->dtype != KV_F32 || s->groups != 1 || s->stride_y != 2 ||
      s->stride_x != 2 || s->dilation_y != 1 || s->dilation_x != 1)
    return false;
  *plan = (kv_strided){.channel_lanes = lanes(s->channels), .filter_lanes = lanes(s->filters)};
  plan->lines = s->out_height + (s->kernel_height - 1) / 2;
  plan->width = s->out_width + (s->kernel_width - 1) / 2;
  plan->g_top = (s->kernel_height - 1) / 2;
  plan->g_left = (s->kernel_width - 1) / 2;
  plan->g_lines = (s->height - 1 + s->pad_top) / 2 + 1 + plan->g_top;
  plan->g_width = (s->width - 1 + s->pad_left) / 2 + 1 + plan->g_left;
  // A 1x1 kernel reads a quarter of x, and all of it would be moved.
  if (s->kernel_height * s->kernel_width == 1) return false;
  if (s->pad_top < 0 || s->pad_left < 0 || s->out_height < 1 || s->out_width < 1 || s->batch < 8) return false;
  // Few channels fill no vectors.
  if (s->channels * 4 < plan->channel_lanes * 3 || s->filters * 4 < plan->filter_lanes * 3) return false;
  const int64_t weights = s->kernel_height * s->kernel_width * plan->channel_lanes * plan->filter_lanes * 4;
  const int64_t x = 4 * plan->lines * plan->width * plan->channel_lanes * 4;
  const int64_t g = plan->g_lines * plan->g_width * plan->filter_lanes * 4;
  return x <= MOST_IMAGE && g <= MOST_IMAGE && weights <= (s->kind == KV_FILTER_GRADIENT ? MOST_PARTIAL : MOST_WEIGHTS);
}

// Where everything lies in a thread's scratch, in floats.
typedef struct {
  float* weights; // [ky, kx, channels, filters]; of the input gradient [ky, kx, filters, channels]
  float *x, *g, *taps;
  int64_t x_plane; // from the even rows to the odd ones
  int64_t size;
} places;

static places place(const kv_convolution* s, const kv_strided* p, char* scratch) {
  const int64_t channels = p->channel_lanes, filters = p->filter_lanes, kernel = s->kernel_height * s->kernel_width;
  places m = {.weights = (float*)scratch};
  const int64_t weights = kernel * channels * filters;
  int64_t g;
  if (s->kind == KV_INPUT_GRADIENT) {
    // One plane of results at a time.
    m.x_plane = 2 * ((p->g_lines - p->g_top) * p->g_width + SLACK) * channels;
    m.x = m.weights + weights;
    m.g = m.x + m.x_plane;
    g = (p->g_lines * p->g_width + SLACK) * filters;
  } else {
    m.x_plane = 2 * (p->lines * p->width + SLACK) * channels;
    m.x = m.weights + weights;
    m.g = m.x + 2 * m.x_plane;
    g = (s->out_height * p->width + SLACK) * filters;
  }
  m.taps = m.g + g;
  m.size = (m.taps - m.weights) + weights;
  return m;
}
int64_t kv_strided_scratch(const kv_convolution* s, const kv_strided* plan) { return place(s, plan, NULL).size * 4; }

// w [filters, channels, kernel] as the products read it; lanes that are no channel or filter are 0.
static void pack_weights(const kv_convolution* s, const kv_strided* p, const float* w, const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const bool back = s->kind == KV_INPUT_GRADIENT;
  const int64_t kernel = s->kernel_height * s->kernel_width, outputs = back ? p->channel_lanes : p->filter_lanes;
  const int64_t inputs = back ? s->filters : s->channels, input_lanes = back ? p->filter_lanes : p->channel_lanes;
  memset(m->weights, 0, (size_t)(kernel * input_lanes * outputs) * 4);
  if (!back) k->pack_panels(w, (long)(inputs * kernel), (long)s->filters, (long)(inputs * kernel), m->taps);
  for (int64_t i = 0; i < inputs; i++) {
    if (back) k->pack_panels(w + i * s->channels * kernel, (long)kernel, (long)s->channels, (long)kernel, m->taps);
    for (int64_t o = 0; o < outputs; o += 16) {
      const float* from = m->taps + (back ? o * kernel : (o * inputs + i * 16) * kernel);
      for (int64_t t = 0; t < kernel; t++) memcpy(m->weights + (t * input_lanes + i) * outputs + o, from + t * 16, 64);
    }
  }
}

// x as points, even rows and odd rows.
static void place_x(const kv_convolution* s, const kv_strided* p, const float* x, const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t channels = p->channel_lanes, width = 2 * p->width, plane = s->height * s->width;
  const int64_t inside = at_most(s->width, width - s->pad_left);
  for (int64_t row = 0; row < 2 * p->lines; row++) {
    float* line = m->x + row % 2 * m->x_plane + row / 2 * width * channels;
    const int64_t iy = row - s->pad_top;
    if (iy < 0 || iy >= s->height || inside <= 0) {
      memset(line, 0, (size_t)(width * channels) * 4);
      continue;
    }
    memset(line, 0, (size_t)(s->pad_left * channels) * 4);
    const int64_t end = s->pad_left + inside;
    memset(line + end * channels, 0, (size_t)((width - end) * channels) * 4);
    for (int64_t c = 0; c < s->channels; c += 16)
      k->pixels_from_planes(x + c * plane + iy * s->width, (long)plane, (long)at_most(16, s->channels - c), 1,
                            (long)inside, line + s->pad_left * channels + c, 0, (long)channels);
  }
}

// g as points: `lines` lines of `width`, of which the first `top` and of each the first `left` are 0, as is what is
// past g's end.
static void place_g(const kv_convolution* s, const kv_strided* p, const float* g, int64_t lines, int64_t width,
                    int64_t top, int64_t left, const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t filters = p->filter_lanes, plane = s->out_height * s->out_width;
  const int64_t rows = at_most(s->out_height, lines - top), columns = at_most(s->out_width, width - left);
  float* from = m->g + (top * width + left) * filters;
  if (rows < lines || columns < width) memset(m->g, 0, (size_t)(lines * width * filters) * 4);
  for (int64_t f = 0; f < s->filters; f += 16) {
    const long here = (long)at_most(16, s->filters - f);
    if (columns == s->out_width) {
      k->pixels_from_planes(g + f * plane, (long)plane, here, (long)rows, (long)columns, from + f,
                            (long)(width * filters), (long)filters);
      continue;
    }
    for (int64_t row = 0; row < rows; row++)
      k->pixels_from_planes(g + f * plane + row * s->out_width, (long)plane, here, 1, (long)columns,
                            from + row * width * filters + f, 0, (long)filters);
  }
}

void kv_strided_forward(const kv_convolution* s, const kv_strided* p, const float* x, const float* w, float* y,
                        char* scratch, bool packed) {
  const kv_kernels* k = kv_get_kernels();
  const places m = place(s, p, scratch);
  const int64_t channels = p->channel_lanes, filters = p->filter_lanes, row_of_taps = s->kernel_width * channels;
  if (!packed) pack_weights(s, p, w, &m);
  place_x(s, p, x, &m);
  for (int64_t ky = 0; ky < s->kernel_height; ky++) {
    const kv_product product = {.m = (long)rows_of_tiles((s->out_height - 1) * p->width + s->out_width),
                                .n = (long)filters,
                                .k = (long)row_of_taps,
                                .a = m.x + ky % 2 * m.x_plane + ky / 2 * 2 * p->width * channels,
                                .a_row = (long)(2 * channels),
                                .a_column = 1,
                                .b = m.weights + ky * row_of_taps * filters,
                                .b_row = (long)filters,
                                .b_panel = 16,
                                .c = m.g,
                                .c_row = (long)filters,
                                .accumulate = ky > 0};
    k->product(&product);
  }
  const int64_t plane = s->out_height * s->out_width;
  for (int64_t f = 0; f < s->filters; f += 16)
    k->planes_from_pixels(m.g + f, (long)(p->width * filters), (long)filters, (long)s->out_height, (long)s->out_width,
                          (long)at_most(16, s->filters - f), y + f * plane, (long)plane);
}

void kv_strided_input_gradient(const kv_convolution* s, const kv_strided* p, const float* g, const float* w, float* x,
                               char* scratch, bool packed) {
  const kv_kernels* k = kv_get_kernels();
  const places m = place(s, p, scratch);
  const int64_t channels = p->channel_lanes, filters = p->filter_lanes, plane = s->height * s->width;
  const int64_t points = (p->g_lines - p->g_top) * p->g_width;
  if (!packed) pack_weights(s, p, w, &m);
  place_g(s, p, g, p->g_lines, p->g_width, p->g_top, p->g_left, &m);
  // Rows and columns count from the border's.
  for (int64_t odd = 0; odd < 2; odd++) {
    // A kernel of one row or column reaches the even ones only.
    if (s->kernel_height == 1 || s->kernel_width == 1) memset(m.x, 0, (size_t)(2 * points * channels) * 4);
    for (int64_t column = 0; column < 2; column++) {
      bool accumulate = false;
      for (int64_t ky = odd; ky < s->kernel_height; ky += 2) {
        for (int64_t kx = column; kx < s->kernel_width; kx += 2) {
          const int64_t first = (p->g_top - ky / 2) * p->g_width + p->g_left - kx / 2;
          const kv_product product = {.m = (long)rows_of_tiles(points - p->g_left),
                                      .n = (long)channels,
                                      .k = (long)filters,
                                      .a = m.g + first * filters,
                                      .a_row = (long)filters,
                                      .a_column = 1,
                                      .b = m.weights + (ky * s->kernel_width + kx) * filters * channels,
                                      .b_row = (long)channels,
                                      .b_panel = 16,
                                      .c = m.x + column * channels,
                                      .c_row = (long)(2 * channels),
                                      .accumulate = accumulate};
          k->product(&product);
          accumulate = true;
        }
      }
    }
    for (int64_t c = 0; c < s->channels; c += 16) {
      for (int64_t row = s->pad_top % 2 == odd ? 0 : 1; row < s->height; row += 2) {
        const float* from = m.x + ((row + s->pad_top) / 2 * p->g_width * 2 + s->pad_left) * channels + c;
        k->planes_from_pixels(from, 0, (long)channels, 1, (long)s->width, (long)at_most(16, s->channels - c),
                              x + c * plane + row * s->width, (long)plane);
      }
    }
  }
}

void kv_strided_filter_gradient(const kv_convolution* s, const kv_strided* p, const float* x, const float* g,
                                int64_t from, int64_t end, float* w, char* scratch) {
  const kv_kernels* k = kv_get_kernels();
  const places m = place(s, p, scratch);
  const int64_t channels = p->channel_lanes, filters = p->filter_lanes, row_of_taps = s->kernel_width * channels;
  const int64_t kernel = s->kernel_height * s->kernel_width;
  for (int64_t b = from; b < end; b++) {
    place_x(s, p, x + b * s->channels * s->height * s->width, &m);
    place_g(s, p, g + b * s->filters * s->out_height * s->out_width, s->out_height, p->width, 0, 0, &m);
    for (int64_t ky = 0; ky < s->kernel_height; ky++) {
      const kv_product product = {.m = (long)row_of_taps,
                                  .n = (long)filters,
                                  .k = (long)((s->out_height - 1) * p->width + s->out_width),
                                  .a = m.x + ky % 2 * m.x_plane + ky / 2 * 2 * p->width * channels,
                                  .a_row = 1,
                                  .a_column = (long)(2 * channels),
                                  .b = m.g,
                                  .b_row = (long)filters,
                                  .b_panel = 16,
                                  .c = m.weights + ky * row_of_taps * filters,
                                  .c_row = (long)filters,
                                  .accumulate = b > from};
      k->product(&product);
    }
  }
  for (int64_t f = 0; f < s->filters; f += 16) {
    for (int64_t c = 0; c < s->channels; c++)
      for (int64_t t = 0; t < kernel; t++)
        memcpy(m.taps + (c * kernel + t) * 16, m.weights + (t * channels + c) * filters + f, 64);
    k->planes_from_pixels(m.taps, 0, 16, 1, (long)(s->channels * kernel), (long)at_most(16, s->filters - f),
                          w + f * s->channels * kernel, (long)(s->channels * kernel));
  }
}
