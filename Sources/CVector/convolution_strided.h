// Convolution of float32 images with stride 2 in products over their points: see convolution_strided.c.
#ifndef CONVOLUTION_STRIDED_H
#define CONVOLUTION_STRIDED_H

#include "kv_kernels.h"
#include "kv_matmul.h"

typedef struct {
  int64_t channel_lanes, filter_lanes; // rounded up to whole vectors
  // x in two planes, of its even rows and its odd ones: lines of `width` pairs of points.
  int64_t lines, width;
  // g with a border of zeros above and to the left, as long as x's rows and columns have pairs.
  int64_t g_lines, g_width, g_top, g_left;
} kv_strided;

bool kv_strided_plan(const kv_convolution* s, kv_strided* plan);
// Bytes of scratch per thread.
int64_t kv_strided_scratch(const kv_convolution* s, const kv_strided* plan);

// One image. `packed` says whether this thread's scratch holds the weights already.
void kv_strided_forward(const kv_convolution* s, const kv_strided* plan, const float* x, const float* w, float* y,
                        char* scratch, bool packed);
void kv_strided_input_gradient(const kv_convolution* s, const kv_strided* plan, const float* g, const float* w,
                               float* x, char* scratch, bool packed);
// w [filters, channels, kernel] from images from ..< end of x and g.
void kv_strided_filter_gradient(const kv_convolution* s, const kv_strided* plan, const float* x, const float* g,
                                int64_t from, int64_t end, float* w, char* scratch);

#endif
