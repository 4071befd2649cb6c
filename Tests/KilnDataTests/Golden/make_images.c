// Writes rgb.jpg and gray.jpg, the gradient of make_images.py. cc make_images.c -ljpeg && ./a.out
#include <stdio.h>

#include <jpeglib.h>

static void save(const char* name, int channels) {
  struct jpeg_compress_struct state;
  struct jpeg_error_mgr errors;
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  FILE* file = fopen(name, "wb");
  jpeg_stdio_dest(&state, file);
  state.image_width = 17;
  state.image_height = 12;
  state.input_components = channels;
  state.in_color_space = channels == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, 98, TRUE);
  state.comp_info[0].h_samp_factor = state.comp_info[0].v_samp_factor = 1;
  jpeg_start_compress(&state, TRUE);
  for (int y = 0; y < 12; y++) {
    unsigned char line[51];
    for (int x = 0; x < 17; x++) {
      int values[3] = {x * 14, y * 20, (x + y) * 8};
      for (int c = 0; c < channels; c++) line[x * channels + c] = (unsigned char)values[c];
    }
    JSAMPROW row = line;
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  fclose(file);
  jpeg_destroy_compress(&state);
}

int main(void) {
  save("rgb.jpg", 3);
  save("gray.jpg", 1);
}
