// Convolution for one float type: T, CONV(name), GEMM.

// Columns first ..< first + count (output points) of the matrix [channels * kernel, output points] that x's channels
// unfold to. x is the first of the channels.
static void CONV(unfold)(const kv_convolution* s, const T* x, int64_t channels, int64_t first, int64_t count, T* to) {
  const int64_t plane = s->height * s->width;
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t ky = 0; ky < s->kernel_height; ky++) {
      for (int64_t kx = 0; kx < s->kernel_width; kx++) {
        int64_t oy = first / s->out_width, ox = first % s->out_width, left = count;
        T* d = to;
        while (left > 0) {
          int64_t run = s->out_width - ox < left ? s->out_width - ox : left;
          int64_t iy = oy * s->stride_y - s->pad_top + ky * s->dilation_y;
          if (iy < 0 || iy >= s->height) {
            memset(d, 0, (size_t)run * sizeof(T));
          } else {
            const T* line = x + c * plane + iy * s->width;
            int64_t ix = ox * s->stride_x - s->pad_left + kx * s->dilation_x;
            int64_t i = 0;
            for (; i < run && ix + i * s->stride_x < 0; i++) d[i] = 0;
            int64_t inside = ix + i * s->stride_x < s->width
                                 ? (s->width - (ix + i * s->stride_x) + s->stride_x - 1) / s->stride_x
                                 : 0;
            if (inside > run - i) inside = run - i;
            if (s->stride_x == 1) {
              memcpy(d + i, line + ix + i, (size_t)inside * sizeof(T));
            } else {
              for (int64_t j = 0; j < inside; j++) d[i + j] = line[ix + (i + j) * s->stride_x];
            }
            for (i += inside; i < run; i++) d[i] = 0;
          }
          d += run;
          left -= run;
          oy++;
          ox = 0;
        }
        to += count;
      }
    }
  }
}

// The adjoint: adds the columns back to x.
static void CONV(fold)(const kv_convolution* s, T* x, int64_t channels, int64_t first, int64_t count, const T* from) {
  const int64_t plane = s->height * s->width;
  for (int64_t c = 0; c < channels; c++) {
    for (int64_t ky = 0; ky < s->kernel_height; ky++) {
      for (int64_t kx = 0; kx < s->kernel_width; kx++) {
        int64_t oy = first / s->out_width, ox = first % s->out_width, left = count;
        const T* d = from;
        while (left > 0) {
          int64_t run = s->out_width - ox < left ? s->out_width - ox : left;
          int64_t iy = oy * s->stride_y - s->pad_top + ky * s->dilation_y;
          if (iy >= 0 && iy < s->height) {
            T* line = x + c * plane + iy * s->width;
            int64_t ix = ox * s->stride_x - s->pad_left + kx * s->dilation_x;
            int64_t i = 0;
            while (i < run && ix + i * s->stride_x < 0) i++;
            int64_t inside = ix + i * s->stride_x < s->width
                                 ? (s->width - (ix + i * s->stride_x) + s->stride_x - 1) / s->stride_x
                                 : 0;
            if (inside > run - i) inside = run - i;
            if (s->stride_x == 1) {
              T* target = line + ix + i;
              const T* source = d + i;
              for (int64_t j = 0; j < inside; j++) target[j] += source[j];
            } else {
              for (int64_t j = 0; j < inside; j++) line[ix + (i + j) * s->stride_x] += d[i + j];
            }
          }
          d += run;
          left -= run;
          oy++;
          ox = 0;
        }
        from += count;
      }
    }
  }
}

// A 1x1 kernel that visits every point once: x is its own unfolding.
static bool CONV(is_pointwise)(const kv_convolution* s) {
  return s->kernel_height == 1 && s->kernel_width == 1 && s->stride_y == 1 && s->stride_x == 1 && s->pad_top == 0 &&
         s->pad_left == 0 && s->out_height == s->height && s->out_width == s->width;
}

static void CONV(forward_task)(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const int64_t points = s->out_height * s->out_width, per_group = s->channels / s->groups;
  const int64_t filters = s->filters / s->groups, k = per_group * s->kernel_height * s->kernel_width;
  int64_t block = task % job->point_blocks, g = task / job->point_blocks % s->groups;
  int64_t b = task / job->point_blocks / s->groups;
  int64_t first = block * job->points, count = points - first < job->points ? points - first : job->points;
  const T* x = (const T*)job->a + (b * s->channels + g * per_group) * s->height * s->width;
  const T* w = (const T*)job->b + g * filters * k;
  T* y = (T*)job->result + (b * s->filters + g * filters) * points + first;
  char* scratch = kv_scratch(thread);
  if (per_group == 1 && filters == 1 && s->kernel_height * s->kernel_width <= 64) {
    // Depthwise: shifted rows are added up, which needs no unfolding.
    CONV(unfold)(s, x, 1, first, count, (T*)scratch);
    for (int64_t p = 0; p < count; p++) y[p] = 0;
    for (int64_t i = 0; i < k; i++) job->AXPY(count, w[i], (const T*)scratch + i * count, y);
  } else if (CONV(is_pointwise)(s)) {
    s->blas.GEMM(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, (int)filters, (int)count, (int)k, 1, w, (int)k, x + first,
                 (int)points, 0, y, (int)points);
  } else {
    CONV(unfold)(s, x, per_group, first, count, (T*)scratch);
    s->blas.GEMM(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, (int)filters, (int)count, (int)k, 1, w, (int)k,
                 (const T*)scratch, (int)count, 0, y, (int)points);
  }
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, scratch);
  frame->result = job->result;
  int64_t origin = (b * s->filters + g * filters) * points + first;
  if (count == points) {
    kv_frame_range(frame, origin, filters * points);
  } else {
    for (int64_t f = 0; f < filters; f++) kv_frame_range(frame, origin + f * points, count);
  }
}

// Channels of one image: everything that is added to them is added here, in one order.
static void CONV(input_gradient_task)(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const int64_t points = s->out_height * s->out_width, per_group = s->channels / s->groups;
  const int64_t filters = s->filters / s->groups, kernel = s->kernel_height * s->kernel_width, k = per_group * kernel;
  int64_t block = task % job->channel_blocks, g = task / job->channel_blocks % s->groups;
  int64_t b = task / job->channel_blocks / s->groups;
  int64_t channel = block * job->channels;
  int64_t channels = per_group - channel < job->channels ? per_group - channel : job->channels;
  const T* y = (const T*)job->a + (b * s->filters + g * filters) * points;
  const T* w = (const T*)job->b + g * filters * k + channel * kernel;
  int64_t origin = (b * s->channels + g * per_group + channel) * s->height * s->width;
  T* x = (T*)job->result + origin;
  char* scratch = kv_scratch(thread);
  if (CONV(is_pointwise)(s)) {
    s->blas.GEMM(ROW_MAJOR, TRANSPOSE, NO_TRANSPOSE, (int)channels, (int)points, (int)filters, 1, w, (int)k, y,
                 (int)points, 0, x, (int)points);
  } else {
    memset(x, 0, (size_t)(channels * s->height * s->width) * sizeof(T));
    for (int64_t first = 0; first < points; first += job->points) {
      int64_t count = points - first < job->points ? points - first : job->points;
      s->blas.GEMM(ROW_MAJOR, TRANSPOSE, NO_TRANSPOSE, (int)(channels * kernel), (int)count, (int)filters, 1, w, (int)k,
                   y + first, (int)points, 0, (T*)scratch, (int)count);
      CONV(fold)(s, x, channels, first, count, (const T*)scratch);
    }
  }
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, scratch);
  frame->result = job->result;
  kv_frame_range(frame, origin, channels * s->height * s->width);
}

// One block of channels, one chunk of the batch, whose images are added up in order.
static void CONV(filter_gradient_task)(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const int64_t points = s->out_height * s->out_width, per_group = s->channels / s->groups;
  const int64_t filters = s->filters / s->groups, kernel = s->kernel_height * s->kernel_width, k = per_group * kernel;
  int64_t chunk = task % s->batch_chunks, block = task / s->batch_chunks % job->channel_blocks;
  int64_t g = task / s->batch_chunks / job->channel_blocks;
  int64_t channel = block * job->channels;
  int64_t channels = per_group - channel < job->channels ? per_group - channel : job->channels;
  char* to = s->batch_chunks > 1 ? job->partials + chunk * s->filters * k * (int64_t)sizeof(T) : job->result;
  T* w = (T*)to + g * filters * k + channel * kernel;
  int64_t from = s->batch * chunk / s->batch_chunks, end = s->batch * (chunk + 1) / s->batch_chunks;
  T* scratch = (T*)kv_scratch(thread);
  bool fresh = true;
  for (int64_t b = from; b < end; b++) {
    const T* x = (const T*)job->a + (b * s->channels + g * per_group + channel) * s->height * s->width;
    const T* y = (const T*)job->b + (b * s->filters + g * filters) * points;
    for (int64_t first = 0; first < points; first += job->points) {
      int64_t count = points - first < job->points ? points - first : job->points;
      const T* columns = x + first;
      int64_t leading = points;
      if (!CONV(is_pointwise)(s)) {
        CONV(unfold)(s, x, channels, first, count, scratch);
        columns = scratch;
        leading = count;
      }
      s->blas.GEMM(ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE, (int)filters, (int)(channels * kernel), (int)count, 1, y + first,
                   (int)points, columns, (int)leading, fresh ? 0 : 1, w, (int)k);
      fresh = false;
    }
  }
}

static void CONV(merge_task)(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const int64_t total = s->filters * (s->channels / s->groups) * s->kernel_height * s->kernel_width;
  int64_t first = task * 4096, count = total - first < 4096 ? total - first : 4096;
  T* w = (T*)job->result;
  if (s->batch_chunks > 1) {
    memcpy(w + first, (const T*)job->partials + first, (size_t)count * sizeof(T));
    for (int64_t c = 1; c < s->batch_chunks; c++)
      job->AXPY(count, 1, (const T*)job->partials + c * total + first, w + first);
  }
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, kv_scratch(thread));
  frame->result = job->result;
  kv_frame_range(frame, first, count);
}
