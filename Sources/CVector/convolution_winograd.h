// Winograd convolution of float32 images with 3x3 kernels and stride 1: see convolution_winograd.c.
#ifndef CONVOLUTION_WINOGRAD_H
#define CONVOLUTION_WINOGRAD_H

#include "kv_kernels.h"
#include "kv_matmul.h"

// An image between its borders, cut into tiles of 2x2 results; tiles are taken in blocks of whole lines.
typedef struct {
  int64_t inputs, outputs;           // channels of what is read and of what is written (filter gradient: x and g)
  int64_t input_lanes, output_lanes; // rounded up to whole vectors
  int64_t in_height, in_width, out_height, out_width, pad_top, pad_left;
  int64_t tile_rows, tile_columns; // of an image
  int64_t lines;                   // of tiles in a block
  int64_t images;                  // in a block: 1 unless it takes whole images
} kv_winograd;

bool kv_winograd_plan(const kv_convolution* s, kv_winograd* plan);
// Bytes of scratch per thread.
int64_t kv_winograd_scratch(const kv_convolution* s, const kv_winograd* plan);

// All outputs of images from ..< end: y from x. `packed` says whether this thread's scratch holds the weights already.
// False if a result is not finite: where and what it is must then be found in another way.
bool kv_winograd_images(const kv_convolution* s, const kv_winograd* plan, const float* x, const float* w, float* y,
                        int64_t from, int64_t end, char* scratch, bool packed);
// w [outputs, inputs, 3, 3] from x and g, summed over images from ..< end. False as above.
bool kv_winograd_filter(const kv_convolution* s, const kv_winograd* plan, const float* x, const float* g, int64_t from,
                        int64_t end, float* w, char* scratch);

#endif
