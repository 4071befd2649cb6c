// Direct convolution of float32 images with stride 1, without unfolding them: see convolution_direct.c.
#ifndef CONVOLUTION_DIRECT_H
#define CONVOLUTION_DIRECT_H

#include "kv_kernels.h"
#include "kv_matmul.h"

// The images between two padded borders, and how many of them one task holds at a time.
typedef struct {
  int64_t inputs, outputs; // channels of a group, of what is read and what is written
  int64_t in_height, in_width, out_height, out_width, pad_top, pad_left;
  // A padded plane, the taps of all inputs, and blocks of outputs.
  int64_t padded_height, padded_width, plane, taps, blocks;
  int64_t room; // outputs that memory is for
  // Output points in a padded plane's rows: the last columns are of no use.
  int64_t points;
  int64_t images; // filter gradient only
} kv_direct;

// Whether the step is computed directly, and how.
bool kv_direct_plan(const kv_convolution* s, kv_direct* plan);
// Bytes of scratch per thread.
int64_t kv_direct_scratch(const kv_convolution* s, const kv_direct* plan, int64_t channels);

// Blocks first ..< end of one group's outputs of one image: y, where the first of them lies, from x. `packed` says
// whether this thread's scratch holds the weights of the group already.
void kv_direct_image(const kv_convolution* s, const kv_direct* plan, const float* x, const float* w, float* y,
                     int64_t first, int64_t end, char* scratch, bool packed);
// Adds up images from ..< end: w [outputs, channels of w, kernel] of `channels` of the inputs, from those of x and g
// on.
void kv_direct_filter(const kv_convolution* s, const kv_direct* plan, const float* x, const float* g, int64_t from,
                      int64_t end, int64_t channels, float* w, char* scratch);

#endif
