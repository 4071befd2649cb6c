#include "kiln_images.h"

#include <stdio.h>

#include <dlfcn.h>
#include <jerror.h>
#include <jpeglib.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

// The library's structures depend on its version, so the file that fits the headers is opened.
#if JPEG_LIB_VERSION >= 80
#define LIBRARY "libjpeg.so.8"
#else
#define LIBRARY "libjpeg.so.62"
#endif

static struct {
  __typeof__(&jpeg_std_error) std_error;
  __typeof__(&jpeg_CreateDecompress) create;
  __typeof__(&jpeg_mem_src) source;
  __typeof__(&jpeg_read_header) read_header;
  __typeof__(&jpeg_start_decompress) start;
  __typeof__(&jpeg_read_scanlines) read_lines;
  __typeof__(&jpeg_finish_decompress) finish;
  __typeof__(&jpeg_destroy_decompress) destroy;
} library;
static char reason[200];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_once(void) {
  void* handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char* text = dlerror();
    snprintf(reason, sizeof reason, "%s", text ? text : "dlopen failed");
    return;
  }
  library.create = (__typeof__(library.create))dlsym(handle, "jpeg_CreateDecompress");
  library.source = (__typeof__(library.source))dlsym(handle, "jpeg_mem_src");
  library.read_header = (__typeof__(library.read_header))dlsym(handle, "jpeg_read_header");
  library.start = (__typeof__(library.start))dlsym(handle, "jpeg_start_decompress");
  library.read_lines = (__typeof__(library.read_lines))dlsym(handle, "jpeg_read_scanlines");
  library.finish = (__typeof__(library.finish))dlsym(handle, "jpeg_finish_decompress");
  library.destroy = (__typeof__(library.destroy))dlsym(handle, "jpeg_destroy_decompress");
  if (library.create && library.source && library.read_header && library.start && library.read_lines &&
      library.finish && library.destroy) {
    library.std_error = (__typeof__(library.std_error))dlsym(handle, "jpeg_std_error");
  }
  if (!library.std_error) snprintf(reason, sizeof reason, LIBRARY " lacks a function");
}

// What the library's callbacks know; `manager` comes first.
typedef struct {
  struct jpeg_error_mgr manager;
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
} errors;

static void stop(j_common_ptr state) {
  errors* known = (errors*)state->err;
  known->manager.format_message(state, known->message);
  longjmp(known->escape, 1);
}

// The library would fill what is missing with gray and go on. Stray bytes before a marker alone harm nothing.
static void notice(j_common_ptr state, int level) {
  if (level < 0 && state->err->msg_code != JWRN_EXTRANEOUS_DATA) stop(state);
}

static void print_nothing(j_common_ptr state) { (void)state; }

static void decode(const uint8_t* bytes, size_t count, uint64_t most_pixels, kiln_image* result) {
  struct jpeg_decompress_struct state;
  errors known;
  memset(&state, 0, sizeof state);
  state.err = library.std_error(&known.manager);
  known.manager.error_exit = stop;
  known.manager.emit_message = notice;
  known.manager.output_message = print_nothing;
  known.message[0] = 0;
  if (setjmp(known.escape)) {
    result->status = 2;
    snprintf(result->message, sizeof result->message, "%.*s", (int)sizeof result->message - 1, known.message);
    free(result->pixels);
    result->pixels = NULL;
    library.destroy(&state);
    return;
  }
  library.create(&state, JPEG_LIB_VERSION, sizeof state);
  library.source(&state, (unsigned char*)bytes, (unsigned long)count);
  library.read_header(&state, TRUE);
  result->width = state.image_width;
  result->height = state.image_height;
  if ((uint64_t)state.image_width * state.image_height > most_pixels) {
    result->status = 3;
    library.destroy(&state);
    return;
  }
  state.out_color_space = state.jpeg_color_space == JCS_GRAYSCALE ? JCS_GRAYSCALE : JCS_RGB;
  library.start(&state);
  result->channels = (uint32_t)state.output_components;
  size_t line = (size_t)state.output_width * result->channels;
  result->pixels = malloc(line * state.output_height);
  if (!result->pixels) {
    result->status = 4;
    library.destroy(&state);
    return;
  }
  while (state.output_scanline < state.output_height) {
    JSAMPROW row = result->pixels + line * state.output_scanline;
    library.read_lines(&state, &row, 1);
  }
  library.finish(&state);
  library.destroy(&state);
}

void kiln_image_read_jpeg(const uint8_t* bytes, size_t count, uint64_t most_pixels, kiln_image* result) {
  memset(result, 0, sizeof *result);
  pthread_once(&once, open_once);
  if (!library.std_error) {
    result->status = 1;
    snprintf(result->message, sizeof result->message, "%s", reason);
    return;
  }
  decode(bytes, count, most_pixels, result);
}
