// PNG and JPEG through libpng 1.6 and libjpeg-turbo, which are opened when the first image is read: a program that
// reads no images needs neither. Any thread may call.
#ifndef KILN_IMAGES_H
#define KILN_IMAGES_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint32_t width, height, channels;
  // malloc'ed, height * width * channels bytes; NULL after a failure.
  uint8_t* pixels;
  // 0: decoded. 1: the library is missing. 2: the file is damaged. 3: more than the allowed pixels. 4: no memory.
  int status;
  char message[256];
} kiln_image;

// Channels: PNG gray 1, gray and alpha 2, colour 3, colour and alpha 4 (palettes expanded, 16 bits cut to 8); JPEG gray
// 1, colour 3. The caller frees `pixels` with `free`.
void kiln_image_read_png(const uint8_t* bytes, size_t count, uint64_t most_pixels, kiln_image* result);
void kiln_image_read_jpeg(const uint8_t* bytes, size_t count, uint64_t most_pixels, kiln_image* result);

#endif
