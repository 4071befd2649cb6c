#include "kiln_images.h"

#include <dlfcn.h>
#include <png.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static __typeof__(&png_image_begin_read_from_memory) begin_read;
static __typeof__(&png_image_finish_read) finish_read;
static __typeof__(&png_image_free) free_image;
static char reason[200];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_once(void) {
  void* handle = dlopen("libpng16.so.16", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* text = dlerror();
    snprintf(reason, sizeof reason, "%s", text ? text : "dlopen failed");
    return;
  }
  begin_read = (__typeof__(begin_read))dlsym(handle, "png_image_begin_read_from_memory");
  finish_read = (__typeof__(finish_read))dlsym(handle, "png_image_finish_read");
  free_image = (__typeof__(free_image))dlsym(handle, "png_image_free");
  if (!begin_read || !finish_read || !free_image) {
    snprintf(reason, sizeof reason, "libpng16.so.16 lacks its simplified interface");
    begin_read = NULL;
  }
}

void kiln_image_read_png(const uint8_t* bytes, size_t count, uint64_t most_pixels, kiln_image* result) {
  memset(result, 0, sizeof *result);
  pthread_once(&once, open_once);
  if (!begin_read) {
    result->status = 1;
    snprintf(result->message, sizeof result->message, "%s", reason);
    return;
  }
  png_image image;
  memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!begin_read(&image, bytes, count)) {
    result->status = 2;
    snprintf(result->message, sizeof result->message, "%s", image.message);
    free_image(&image);
    return;
  }
  result->width = image.width;
  result->height = image.height;
  if ((uint64_t)image.width * image.height > most_pixels) {
    result->status = 3;
    free_image(&image);
    return;
  }
  image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA;
  result->channels = PNG_IMAGE_PIXEL_CHANNELS(image.format);
  result->pixels = malloc(PNG_IMAGE_SIZE(image));
  if (!result->pixels) {
    result->status = 4;
    free_image(&image);
    return;
  }
  // A warning is no failure; its text is left in `message` all the same.
  if (!finish_read(&image, NULL, result->pixels, 0, NULL)) {
    result->status = 2;
    snprintf(result->message, sizeof result->message, "%s", image.message);
    free(result->pixels);
    result->pixels = NULL;
  }
  free_image(&image);
}
