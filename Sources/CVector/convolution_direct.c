// Direct convolution, stride 1. An image is copied into planes with a border of zeros. In such a plane of width `pw`
// every tap is one fixed distance from its output point, so that a whole image is one long line: output point (oy, ox)
// lies at oy * pw + ox, and the points past a row's end are computed for nothing (2 of 34 for a 3x3 kernel on 32
// columns). This reads x once instead of once per tap.
//
//   forward         reads x, writes y; tap (c, ky, kx) lies ky rows and kx columns on
//   input gradient  reads g, writes the gradient of x; the taps the other way round
//   filter gradient for every filter, channel and tap the product of two lines: g in padded rows (zeros past the end),
//   and
//                   x from the tap's place on. Those zeros meet values of x, so a NaN or infinity there spreads to all
//                   taps of its channel.
#include "convolution_direct.h"

#include <string.h>

// The most filters that a tile has. Sizes and choices go by it, so that they do not depend on the ISA.
#define MOST_FILTERS 8
// Floats past the end of what is read and written in whole tiles.
#define SLACK 64
// Larger images and weights are left to the blocked path.
#define MOST_IMAGE (3 << 20)
#define MOST_WEIGHTS (2 << 20)
// Points that a line should have at least for the sums at its end not to matter.
#define LINE 512

static int64_t rounded(int64_t n) { return (n + 15) / 16 * 16; }

bool kv_direct_plan(const kv_convolution* s, kv_direct* plan) {
  if (s->dtype != KV_F32 || s->stride_y != 1 || s->stride_x != 1) return false;
  const kv_kernels* k = kv_get_kernels();
  int64_t kernel = s->kernel_height * s->kernel_width;
  int64_t reach_y = (s->kernel_height - 1) * s->dilation_y, reach_x = (s->kernel_width - 1) * s->dilation_x;
  bool back = s->kind == KV_INPUT_GRADIENT;
  *plan = (kv_direct){
      .inputs = (back ? s->filters : s->channels) / s->groups,
      .outputs = (back ? s->channels : s->filters) / s->groups,
      .in_height = back ? s->out_height : s->height,
      .in_width = back ? s->out_width : s->width,
      .out_height = back ? s->height : s->out_height,
      .out_width = back ? s->width : s->out_width,
      .pad_top = back ? reach_y - s->pad_top : s->pad_top,
      .pad_left = back ? reach_x - s->pad_left : s->pad_left,
  };
  plan->padded_height = plan->out_height + reach_y;
  plan->padded_width = plan->out_width + reach_x;
  plan->plane = plan->padded_height * plan->padded_width;
  plan->taps = plan->inputs * kernel;
  plan->blocks = (plan->outputs + k->direct_filters - 1) / k->direct_filters;
  plan->room = (plan->outputs + MOST_FILTERS - 1) / MOST_FILTERS * MOST_FILTERS;
  plan->points = (plan->out_height - 1) * plan->padded_width + plan->out_width;
  if (plan->out_height < 1 || plan->out_width < 1 || plan->taps < 1) return false;
  // 1x1 kernels are products already; with few outputs most of a tile would be wasted.
  if (kernel == 1 || plan->outputs * 4 < plan->room * 3) return false;
  // Products win again where a line is short and the reduction long.
  if (plan->points < 48) return false;
  plan->images = (LINE + plan->plane - 1) / plan->plane;
  if (plan->images > s->batch) plan->images = s->batch < 1 ? 1 : s->batch;
  return plan->inputs * plan->plane * 4 <= MOST_IMAGE && plan->outputs * plan->plane * plan->images * 4 <= MOST_IMAGE &&
         plan->taps * plan->outputs * 4 <= MOST_WEIGHTS;
}

int64_t kv_direct_scratch(const kv_convolution* s, const kv_direct* plan, int64_t channels) {
  int64_t floats;
  if (s->kind == KV_FILTER_GRADIENT) {
    int64_t line = rounded(plan->images * plan->plane) + SLACK;
    floats = channels * plan->images * plan->plane + SLACK + plan->room * line;
  } else {
    floats =
        plan->taps * plan->room + plan->inputs * plan->plane + SLACK + MOST_FILTERS * (rounded(plan->points) + SLACK);
  }
  return (floats * 4 + plan->taps * 8 + 63) / 64 * 64;
}

// An image's channels with their borders, each `distance` floats after the one before.
static void pad(const kv_direct* plan, const float* x, int64_t channels, int64_t distance, float* to) {
  int64_t left = plan->pad_left < 0 ? 0 : plan->pad_left, skipped = left - plan->pad_left;
  if (left > plan->padded_width) left = plan->padded_width;
  int64_t inside = plan->in_width - skipped;
  if (inside > plan->padded_width - left) inside = plan->padded_width - left;
  if (inside < 0) inside = 0;
  for (int64_t c = 0; c < channels; c++) {
    float* d = to + c * distance;
    for (int64_t row = 0; row < plan->padded_height; row++, d += plan->padded_width) {
      int64_t iy = row - plan->pad_top;
      if (iy < 0 || iy >= plan->in_height || inside == 0) {
        memset(d, 0, (size_t)plan->padded_width * 4);
        continue;
      }
      memset(d, 0, (size_t)left * 4);
      memcpy(d + left, x + (c * plan->in_height + iy) * plan->in_width + skipped, (size_t)inside * 4);
      memset(d + left + inside, 0, (size_t)(plan->padded_width - left - inside) * 4);
    }
  }
}

// How far each tap lies from its output point, and the weights as [blocks, taps, filters of a block].
static void pack(const kv_convolution* s, const kv_direct* plan, const float* w, int64_t* offsets, float* packed) {
  const int64_t size = kv_get_kernels()->direct_filters, kernel = s->kernel_height * s->kernel_width;
  bool back = s->kind == KV_INPUT_GRADIENT;
  int64_t t = 0;
  for (int64_t c = 0; c < plan->inputs; c++) {
    for (int64_t ky = 0; ky < s->kernel_height; ky++) {
      for (int64_t kx = 0; kx < s->kernel_width; kx++, t++) {
        offsets[t] = c * plan->plane + ky * s->dilation_y * plan->padded_width + kx * s->dilation_x;
        int64_t tap = ky * s->kernel_width + kx;
        // Of weight [filters, channels, kernel]: where (output 0, input c) is, and how far the next output.
        int64_t at = back ? c * plan->outputs * kernel + kernel - 1 - tap : c * kernel + tap;
        int64_t next = back ? kernel : plan->taps;
        for (int64_t o = 0; o < plan->blocks * size; o++) {
          packed[(o / size * plan->taps + t) * size + o % size] = o < plan->outputs ? w[at + o * next] : 0;
        }
      }
    }
  }
}

void kv_direct_image(const kv_convolution* s, const kv_direct* plan, const float* x, const float* w, float* y,
                     int64_t first, int64_t end, char* scratch, bool packed) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t size = k->direct_filters, line = rounded(plan->points) + SLACK;
  int64_t* offsets = (int64_t*)scratch;
  float* weights = (float*)(offsets + plan->taps);
  float* image = weights + plan->taps * plan->room;
  float* lines = image + plan->inputs * plan->plane + SLACK;
  if (!packed) pack(s, plan, w, offsets, weights);
  pad(plan, x, plan->inputs, plan->plane, image);
  memset(image + plan->inputs * plan->plane, 0, SLACK * 4);
  for (int64_t block = first; block < end; block++) {
    k->direct_rows(image, offsets, (long)plan->taps, weights + block * plan->taps * size, lines, (long)line,
                   (long)plan->points);
    int64_t here = plan->outputs - block * size < size ? plan->outputs - block * size : size;
    for (int64_t f = 0; f < here; f++) {
      for (int64_t oy = 0; oy < plan->out_height; oy++, y += plan->out_width) {
        memcpy(y, lines + f * line + oy * plan->padded_width, (size_t)plan->out_width * 4);
      }
    }
  }
}

void kv_direct_filter(const kv_convolution* s, const kv_direct* plan, const float* x, const float* g, int64_t from,
                      int64_t end, int64_t channels, float* w, char* scratch) {
  const kv_kernels* k = kv_get_kernels();
  const int64_t size = k->direct_filters, step = k->direct_taps, kernel = s->kernel_height * s->kernel_width;
  const int64_t line = rounded(plan->images * plan->plane) + SLACK, distance = plan->images * plan->plane;
  const int64_t of_x = s->channels * s->height * s->width, of_g = s->filters * s->out_height * s->out_width;
  float* lines = (float*)scratch;
  float* image = lines + plan->room * line;
  float sums[64];
  for (int64_t o = 0; o < plan->outputs; o++) memset(w + o * plan->taps, 0, (size_t)(channels * kernel) * 4);
  memset(lines, 0, (size_t)(plan->room * line) * 4);
  memset(image + channels * distance, 0, SLACK * 4);
  for (int64_t b = from; b < end; b += plan->images) {
    int64_t images = end - b < plan->images ? end - b : plan->images;
    for (int64_t i = 0; i < images; i++) {
      pad(plan, x + (b + i) * of_x, channels, distance, image + i * plan->plane);
      const float* source = g + (b + i) * of_g;
      for (int64_t o = 0; o < plan->outputs; o++) {
        float* d = lines + o * line + i * plan->plane;
        for (int64_t oy = 0; oy < s->out_height; oy++, d += plan->padded_width, source += s->out_width)
          memcpy(d, source, (size_t)s->out_width * 4);
      }
    }
    // The line ends with the last image's last point, but its last vector reads on: behind a shorter group lies an
    // older image, or what never was one (0 times NaN is NaN).
    int64_t count = (images - 1) * plan->plane + plan->points;
    if (images < plan->images) {
      size_t rest = (size_t)((plan->images - images) * plan->plane) * 4;
      for (int64_t o = 0; o < plan->outputs; o++) memset(lines + o * line + images * plan->plane, 0, rest);
      for (int64_t c = 0; c < channels; c++) memset(image + c * distance + images * plan->plane, 0, rest);
    }
    for (int64_t block = 0; block < plan->blocks; block++) {
      int64_t here = plan->outputs - block * size < size ? plan->outputs - block * size : size;
      for (int64_t c = 0; c < channels; c++) {
        for (int64_t t = 0; t < kernel; t += step) {
          int64_t offsets[8], taps = kernel - t < step ? kernel - t : step;
          for (int64_t i = 0; i < step; i++) {
            int64_t tap = t + (i < taps ? i : taps - 1), ky = tap / s->kernel_width, kx = tap % s->kernel_width;
            offsets[i] = c * distance + ky * s->dilation_y * plan->padded_width + kx * s->dilation_x;
          }
          k->direct_dots(lines + block * size * line, (long)line, image, offsets, (long)rounded(count), sums);
          for (int64_t f = 0; f < here; f++)
            for (int64_t i = 0; i < taps; i++)
              w[(block * size + f) * plan->taps + c * kernel + t + i] += sums[f * step + i];
        }
      }
    }
  }
}
