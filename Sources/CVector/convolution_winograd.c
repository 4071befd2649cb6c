// Winograd convolution, F(2x2, 3x3): a tile of 2x2 results needs 16 multiplications a channel instead of 36. Tiles of
// inputs (4x4, two points apart) and kernels are transformed to 16 places; for every place there is one product of
// matrices, [tiles, inputs] by [inputs, outputs]; its results are transformed back.
//
//   forward         x, w -> y
//   input gradient  the same of g and the kernels turned round
//   filter gradient [inputs, tiles] by [tiles, outputs] at every place, of x's tiles and g's
//
// All transforms add and subtract at most 4 numbers a line, and halve: the error stays near that of the plain sum, as
// long as the numbers in a tile are of one magnitude. What overflows, and infinity and NaN, would reach results that do
// not depend on them: the caller computes those images again, directly.
#include "convolution_winograd.h"

#include <string.h>

#define PLACES 16
// Bytes of a block's transformed inputs, and the least tiles of a block.
#define BLOCK_BYTES (256 << 10)
#define LEAST_TILES 32
// Transformed weights, of which every thread has its own; kernels whose gradients are added up by 8 tasks.
#define MOST_WEIGHTS (4 << 20)
#define MOST_PARTIAL (512 << 10)
// Outputs of one product.
#define WIDTH 32

static int64_t lanes(int64_t n) { return (n + 15) / 16 * 16; }
static int64_t at_most(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t tiles_of(const kv_winograd* p) { return p->images * p->lines * p->tile_columns; }

bool kv_winograd_plan(const kv_convolution* s, kv_winograd* plan) {
  const bool back = s->kind == KV_INPUT_GRADIENT;
  if (!kv_get_kernels()->has_fast_products || s->dtype != KV_F32 || s->groups != 1 || s->kernel_height != 3 ||
      s->kernel_width != 3 || s->stride_y != 1 || s->stride_x != 1 || s->dilation_y != 1 || s->dilation_x != 1)
    return false;
  *plan = (kv_winograd){
      .inputs = back ? s->filters : s->channels,
      .outputs = back ? s->channels : s->filters,
      .in_height = back ? s->out_height : s->height,
      .in_width = back ? s->out_width : s->width,
      .out_height = back ? s->height : s->out_height,
      .out_width = back ? s->width : s->out_width,
      .pad_top = back ? 2 - s->pad_top : s->pad_top,
      .pad_left = back ? 2 - s->pad_left : s->pad_left,
  };
  const int64_t bottom = plan->out_height + 2 - plan->in_height - plan->pad_top;
  const int64_t right = plan->out_width + 2 - plan->in_width - plan->pad_left;
  if (plan->pad_top < 0 || plan->pad_left < 0 || bottom < 0 || right < 0) return false;
  plan->input_lanes = lanes(plan->inputs);
  plan->output_lanes = lanes(plan->outputs);
  plan->tile_rows = (plan->out_height + 1) / 2;
  plan->tile_columns = (plan->out_width + 1) / 2;
  const int64_t tiles = plan->tile_rows * plan->tile_columns;
  // With few channels the transforms cost more than they save, and so do those of weights with few tiles.
  if (plan->inputs < 16 || plan->outputs < 16 || plan->inputs * 4 < plan->input_lanes * 3 ||
      plan->outputs * 4 < plan->output_lanes * 3 || s->batch < 8 || s->batch * tiles < 256 ||
      PLACES * plan->input_lanes * plan->output_lanes * 4 > MOST_WEIGHTS)
    return false;
  if (s->kind == KV_FILTER_GRADIENT && plan->inputs * plan->outputs * 9 * 4 > MOST_PARTIAL) return false;
  int64_t wanted = BLOCK_BYTES / (PLACES * plan->input_lanes * 4);
  if (wanted < LEAST_TILES) wanted = LEAST_TILES;
  plan->lines = at_most(wanted > plan->tile_columns ? wanted / plan->tile_columns : 1, plan->tile_rows);
  plan->images = plan->lines == plan->tile_rows && tiles < wanted ? wanted / tiles : 1;
  // At least 8 tasks.
  plan->images = at_most(plan->images, s->batch / 8);
  return true;
}

// Where everything lies in a thread's scratch, in floats.
typedef struct {
  float *weights, *inputs, *outputs, *pixels;
  int64_t rows; // of a place in inputs and outputs
  int64_t output_row;
  int64_t pixel_row; // floats from one line of `pixels` to the next
  int64_t size;
} places;

static places place(const kv_convolution* s, const kv_winograd* p, char* scratch) {
  const bool filter = s->kind == KV_FILTER_GRADIENT;
  places m = {.rows = (tiles_of(p) + 7) / 8 * 8, .pixel_row = (2 * p->tile_columns + 2) * 16};
  m.output_row = filter ? p->output_lanes : at_most(p->output_lanes, WIDTH);
  const int64_t weights = PLACES * p->input_lanes * p->output_lanes;
  const int64_t inputs = PLACES * m.rows * p->input_lanes, outputs = PLACES * m.rows * m.output_row;
  // Pixels: a strip of one image, or taps of 16 outputs.
  const int64_t taps = p->input_lanes * p->output_lanes * 9, strip = (2 * p->lines + 2) * m.pixel_row;
  const int64_t pixels = taps > strip ? taps : strip;
  m.weights = (float*)scratch;
  m.inputs = m.weights + weights;
  m.outputs = m.inputs + inputs;
  m.pixels = m.outputs + outputs;
  m.size = weights + inputs + outputs + pixels;
  return m;
}
int64_t kv_winograd_scratch(const kv_convolution* s, const kv_winograd* plan) { return place(s, plan, NULL).size * 4; }

// w [filters, channels, 3, 3] to weights [place, inputs, outputs].
static void transform_weights(const kv_convolution* s, const kv_winograd* p, const float* w, const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const bool back = s->kind == KV_INPUT_GRADIENT;
  const int64_t size = p->inputs * p->output_lanes;
  // [outputs / 16, inputs, 9, 16]; of the gradient [inputs, outputs / 16, 9, 16].
  if (!back) k->pack_panels(w, (long)(p->inputs * 9), (long)p->outputs, (long)(p->inputs * 9), m->pixels);
  for (int64_t c = 0; c < p->inputs; c++) {
    if (back) k->pack_panels(w + c * p->outputs * 9, 9, (long)p->outputs, 9, m->pixels);
    for (int64_t o = 0; o < p->output_lanes; o += 16) {
      float* u = m->weights + c * p->output_lanes + o;
      if (back) {
        k->winograd_filter(m->pixels + (o / 16 * 9 + 8) * 16, -16, u, (long)size);
      } else {
        k->winograd_filter(m->pixels + (o / 16 * p->inputs + c) * 9 * 16, 16, u, (long)size);
      }
    }
  }
}

// Tile lines first ..< first + lines of one image to inputs [place, tile, inputs], from tile `at` on.
static void transform_inputs(const kv_winograd* p, const float* x, int64_t first, int64_t lines, int64_t at,
                             const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t plane = p->in_height * p->in_width, width = 2 * p->tile_columns + 2, height = 2 * lines + 2;
  // Rows of the strip that lie inside the image.
  int64_t top = p->pad_top - 2 * first, bottom = top + p->in_height;
  if (top < 0) top = 0;
  if (bottom > height) bottom = height;
  for (int64_t row = 0; row < height; row++) {
    float* line = m->pixels + row * m->pixel_row;
    const bool inside = row >= top && row < bottom;
    memset(line, 0, (size_t)((inside ? p->pad_left : width) * 64));
    if (!inside) continue;
    const int64_t end = p->pad_left + p->in_width;
    memset(line + end * 16, 0, (size_t)((width - end) * 64));
  }
  const float* from = x + (2 * first + top - p->pad_top) * p->in_width;
  for (int64_t c = 0; c < p->inputs; c += 16) {
    const int64_t channels = at_most(16, p->inputs - c);
    if (top < bottom)
      k->pixels_from_planes(from + c * plane, (long)plane, (long)channels, (long)(bottom - top), (long)p->in_width,
                            m->pixels + top * m->pixel_row + p->pad_left * 16, (long)m->pixel_row, 16);
    float* v = m->inputs + at * p->input_lanes + c;
    for (int64_t i = 0; i < lines; i++, v += p->tile_columns * p->input_lanes)
      k->winograd_input(m->pixels + 2 * i * m->pixel_row, (long)m->pixel_row, (long)p->tile_columns, v,
                        (long)(m->rows * p->input_lanes), (long)p->input_lanes);
  }
}

// Outputs c ..< c + 16 of a strip: results [place, tile, outputs] from tile `at` on to y.
static void transform_outputs(const kv_winograd* p, float* y, int64_t c, int64_t first, int64_t lines, int64_t at,
                              const places* m, float* check) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t plane = p->out_height * p->out_width, channels = at_most(16, p->outputs - c);
  const float* from = m->outputs + at * m->output_row + c % WIDTH;
  for (int64_t i = 0; i < lines; i++, from += p->tile_columns * m->output_row)
    k->winograd_output(from, (long)(m->rows * m->output_row), (long)m->output_row, (long)p->tile_columns,
                       m->pixels + 2 * i * m->pixel_row, (long)m->pixel_row, check);
  k->planes_from_pixels(m->pixels, (long)m->pixel_row, 16, (long)at_most(2 * lines, p->out_height - 2 * first),
                        (long)p->out_width, (long)channels, y + c * plane + 2 * first * p->out_width, (long)plane);
}

static bool is_zero(const float* check) {
  for (int i = 0; i < 16; i++)
    if (!(check[i] == 0)) return false;
  return true;
}

bool kv_winograd_images(const kv_convolution* s, const kv_winograd* p, const float* x, const float* w, float* y,
                        int64_t from, int64_t end, char* scratch, bool packed) {
  const kv_kernels* k = kv_get_kernels();
  const places m = place(s, p, scratch);
  const int64_t of_x = p->inputs * p->in_height * p->in_width, of_y = p->outputs * p->out_height * p->out_width;
  float check[16] = {0};
  if (!packed) transform_weights(s, p, w, &m);
  for (int64_t b = from; b < end; b += p->images) {
    const int64_t images = at_most(p->images, end - b);
    for (int64_t first = 0; first < p->tile_rows; first += p->lines) {
      const int64_t lines = at_most(p->lines, p->tile_rows - first), tiles = lines * p->tile_columns;
      for (int64_t i = 0; i < images; i++) transform_inputs(p, x + (b + i) * of_x, first, lines, i * tiles, &m);
      for (int64_t c = 0; c < p->output_lanes; c += WIDTH) {
        const int64_t width = at_most(WIDTH, p->output_lanes - c);
        for (int64_t q = 0; q < PLACES; q++) {
          const kv_product product = {.m = (long)((images * tiles + 7) / 8 * 8),
                                      .n = (long)width,
                                      .k = (long)p->inputs,
                                      .a = m.inputs + q * m.rows * p->input_lanes,
                                      .a_row = (long)p->input_lanes,
                                      .a_column = 1,
                                      .b = m.weights + q * p->inputs * p->output_lanes + c,
                                      .b_row = (long)p->output_lanes,
                                      .b_panel = 16,
                                      .c = m.outputs + q * m.rows * m.output_row,
                                      .c_row = (long)m.output_row};
          k->product(&product);
        }
        for (int64_t o = c; o < c + width; o += 16)
          for (int64_t i = 0; i < images; i++)
            transform_outputs(p, y + (b + i) * of_y, o, first, lines, i * tiles, &m, check);
      }
    }
  }
  return is_zero(check);
}

// Tile lines of one image's g to outputs [place, tile, outputs], from tile `at` on.
static void transform_gradients(const kv_winograd* p, const float* g, int64_t first, int64_t lines, int64_t at,
                                const places* m) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t plane = p->out_height * p->out_width, rows = at_most(2 * lines, p->out_height - 2 * first);
  // A last row or column that no result lies in.
  if (rows < 2 * lines) memset(m->pixels + rows * m->pixel_row, 0, (size_t)m->pixel_row * 4);
  if (p->out_width % 2 == 1)
    for (int64_t row = 0; row < rows; row++) memset(m->pixels + row * m->pixel_row + p->out_width * 16, 0, 64);
  for (int64_t c = 0; c < p->outputs; c += 16) {
    k->pixels_from_planes(g + c * plane + 2 * first * p->out_width, (long)plane, (long)at_most(16, p->outputs - c),
                          (long)rows, (long)p->out_width, m->pixels, (long)m->pixel_row, 16);
    float* to = m->outputs + at * m->output_row + c;
    for (int64_t i = 0; i < lines; i++, to += p->tile_columns * m->output_row)
      k->winograd_output_gradient(m->pixels + 2 * i * m->pixel_row, (long)m->pixel_row, (long)p->tile_columns, to,
                                  (long)(m->rows * m->output_row), (long)m->output_row);
  }
}

bool kv_winograd_filter(const kv_convolution* s, const kv_winograd* p, const float* x, const float* g, int64_t from,
                        int64_t end, float* w, char* scratch) {
  const kv_kernels* k = kv_get_kernels();
  const places m = place(s, p, scratch);
  const int64_t of_x = p->inputs * p->in_height * p->in_width, of_g = p->outputs * p->out_height * p->out_width;
  const int64_t size = p->input_lanes * p->output_lanes;
  bool accumulate = false;
  for (int64_t b = from; b < end; b += p->images) {
    const int64_t images = at_most(p->images, end - b);
    for (int64_t first = 0; first < p->tile_rows; first += p->lines) {
      const int64_t lines = at_most(p->lines, p->tile_rows - first), tiles = lines * p->tile_columns;
      for (int64_t i = 0; i < images; i++) {
        transform_inputs(p, x + (b + i) * of_x, first, lines, i * tiles, &m);
        transform_gradients(p, g + (b + i) * of_g, first, lines, i * tiles, &m);
      }
      for (int64_t q = 0; q < PLACES; q++) {
        const kv_product product = {.m = (long)p->input_lanes,
                                    .n = (long)p->output_lanes,
                                    .k = (long)(images * tiles),
                                    .a = m.inputs + q * m.rows * p->input_lanes,
                                    .a_row = 1,
                                    .a_column = (long)p->input_lanes,
                                    .b = m.outputs + q * m.rows * m.output_row,
                                    .b_row = (long)m.output_row,
                                    .b_panel = 16,
                                    .c = m.weights + q * size,
                                    .c_row = (long)p->output_lanes,
                                    .accumulate = accumulate};
        k->product(&product);
      }
      accumulate = true;
    }
  }
  float check[16] = {0};
  for (int64_t o = 0; o < p->outputs; o += 16) {
    for (int64_t c = 0; c < p->inputs; c++)
      k->winograd_filter_gradient(m.weights + c * p->output_lanes + o, (long)size, m.pixels + c * 9 * 16, check);
    k->planes_from_pixels(m.pixels, 0, 16, 1, (long)(p->inputs * 9), (long)at_most(16, p->outputs - o),
                          w + o * p->inputs * 9, (long)(p->inputs * 9));
  }
  return is_zero(check);
}
