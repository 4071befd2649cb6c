#include <string.h>

#include "convolution_direct.h"
#include "convolution_strided.h"
#include "convolution_winograd.h"
#include "kv_kernels.h"
#include "kv_matmul.h"
#include "kv_pool.h"

enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112 };
// Bytes of unfolded columns that stay in the second-level cache.
#define UNFOLDED_BYTES (768 << 10)
#define MOST_THREADS 256

typedef struct {
  const kv_convolution* s;
  const kv_binding* binding;
  const char *a, *b;
  char *result, *partials;
  // Blocks of output points and of channels.
  int64_t points, point_blocks, channels, channel_blocks;
  void (*axpy_f32)(long, float, const float*, float*);
  void (*axpy_f64)(long, double, const double*, double*);
  bool is_direct;
  kv_direct direct;
  int64_t parts;    // tasks of one image's group
  bool is_winograd; // and direct where a result is not finite
  kv_winograd winograd;
  bool is_strided;
  kv_strided strided;
  // Whether a thread's scratch holds the packed weights.
  bool packed[MOST_THREADS];
} convolution_job;

#define T float
#define CONV(name) name##_f32
#define GEMM sgemm
#define AXPY axpy_f32
#include "convolution.inc.h"
#undef T
#undef CONV
#undef GEMM
#undef AXPY
#define T double
#define CONV(name) name##_f64
#define GEMM dgemm
#define AXPY axpy_f64
#include "convolution.inc.h"

// Some blocks of the outputs of one image's group; for the gradient of x its channels are the outputs.
static void direct_task(void* context, long task, int thread) {
  convolution_job* job = context;
  const kv_convolution* s = job->s;
  const kv_direct* d = &job->direct;
  int64_t part = task % job->parts, image = task / job->parts, g = image % s->groups;
  int64_t first = d->blocks * part / job->parts, end = d->blocks * (part + 1) / job->parts;
  int64_t from = first * kv_get_kernels()->direct_filters, to = end * kv_get_kernels()->direct_filters;
  if (to > d->outputs) to = d->outputs;
  const float* x = (const float*)job->a + image * d->inputs * d->in_height * d->in_width;
  const float* w = (const float*)job->b + g * d->taps * d->outputs;
  const int64_t plane = d->out_height * d->out_width, origin = (image * d->outputs + from) * plane;
  char* scratch = kv_scratch(thread);
  // What another group's weights would have to replace is packed anew.
  bool may_keep = s->groups == 1 && thread < MOST_THREADS;
  kv_direct_image(s, d, x, w, (float*)job->result + origin, first, end, scratch, may_keep && job->packed[thread]);
  if (may_keep) job->packed[thread] = true;
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, scratch + kv_direct_scratch(s, d, d->inputs));
  frame->result = job->result;
  kv_frame_range(frame, origin, (to - from) * plane);
}

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

static int64_t winograd_scratch(const kv_convolution* s, const convolution_job* job) {
  return larger(kv_winograd_scratch(s, &job->winograd), kv_direct_scratch(s, &job->direct, job->direct.inputs));
}

// All outputs of a block's images.
static void winograd_task(void* context, long task, int thread) {
  convolution_job* job = context;
  const kv_convolution* s = job->s;
  const kv_winograd* p = &job->winograd;
  const kv_direct* d = &job->direct;
  const int64_t from = task * p->images, end = s->batch - from < p->images ? s->batch : from + p->images;
  const int64_t of_x = p->inputs * p->in_height * p->in_width, of_y = p->outputs * p->out_height * p->out_width;
  const float *x = (const float*)job->a, *w = (const float*)job->b;
  float* y = (float*)job->result;
  char* scratch = kv_scratch(thread);
  const bool may_keep = thread < MOST_THREADS, packed = may_keep && job->packed[thread];
  const bool is_finite = kv_winograd_images(s, p, x, w, y, from, end, scratch, packed);
  if (!is_finite) {
    for (int64_t i = from; i < end; i++)
      kv_direct_image(s, d, x + i * of_x, w, y + i * of_y, 0, d->blocks, scratch, i > from);
  }
  if (may_keep) job->packed[thread] = is_finite;
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, scratch + winograd_scratch(s, job));
  frame->result = job->result;
  kv_frame_range(frame, from * of_y, (end - from) * of_y);
}

// Stride 2: all of one image.
static void strided_task(void* context, long task, int thread) {
  convolution_job* job = context;
  const kv_convolution* s = job->s;
  const bool back = s->kind == KV_INPUT_GRADIENT;
  const int64_t of_x = s->channels * s->height * s->width, of_y = s->filters * s->out_height * s->out_width;
  const int64_t origin = task * (back ? of_x : of_y);
  const float *a = (const float*)job->a + task * (back ? of_y : of_x), *w = (const float*)job->b;
  float* result = (float*)job->result + origin;
  char* scratch = kv_scratch(thread);
  const bool may_keep = thread < MOST_THREADS, packed = may_keep && job->packed[thread];
  (back ? kv_strided_input_gradient : kv_strided_forward)(s, &job->strided, a, w, result, scratch, packed);
  if (may_keep) job->packed[thread] = true;
  if (!s->has_epilogue) return;
  kv_frame* frame = kv_frame_begin(&s->epilogue, job->binding, scratch + kv_strided_scratch(s, &job->strided));
  frame->result = job->result;
  kv_frame_range(frame, origin, back ? of_x : of_y);
}
static void strided_filter_task(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const int64_t total = s->filters * s->channels * s->kernel_height * s->kernel_width;
  kv_strided_filter_gradient(s, &job->strided, (const float*)job->a, (const float*)job->b,
                             s->batch * task / s->batch_chunks, s->batch * (task + 1) / s->batch_chunks,
                             s->batch_chunks > 1 ? (float*)job->partials + task * total : (float*)job->result,
                             kv_scratch(thread));
}

static void direct_filter_task(void* context, long task, int thread) {
  const convolution_job* job = context;
  const kv_convolution* s = job->s;
  const kv_direct* d = &job->direct;
  const int64_t per_group = d->inputs, kernel = s->kernel_height * s->kernel_width;
  int64_t chunk = task % s->batch_chunks, block = task / s->batch_chunks % job->channel_blocks;
  int64_t g = task / s->batch_chunks / job->channel_blocks, channel = block * job->channels;
  int64_t channels = per_group - channel < job->channels ? per_group - channel : job->channels;
  int64_t total = s->filters * d->taps;
  float* w = (s->batch_chunks > 1 ? (float*)job->partials + chunk * total : (float*)job->result) +
             g * d->outputs * d->taps + channel * kernel;
  const float* x = (const float*)job->a + (g * per_group + channel) * s->height * s->width;
  const float* y = (const float*)job->b + g * d->outputs * s->out_height * s->out_width;
  const int64_t from = s->batch * chunk / s->batch_chunks, end = s->batch * (chunk + 1) / s->batch_chunks;
  if (job->is_winograd && kv_winograd_filter(s, &job->winograd, x, y, from, end, w, kv_scratch(thread))) return;
  kv_direct_filter(s, d, x, y, from, end, channels, w, kv_scratch(thread));
}

// Block sizes from the shape alone.
static void choose_blocks(const kv_convolution* s, convolution_job* job) {
  job->is_strided = kv_strided_plan(s, &job->strided);
  if (job->is_strided) {
    job->channels = s->channels;
    job->channel_blocks = 1;
    return;
  }
  job->is_direct = kv_direct_plan(s, &job->direct);
  // What has to be computed again is computed directly.
  job->is_winograd = job->is_direct && kv_winograd_plan(s, &job->winograd);
  if (job->is_winograd) {
    job->channels = job->direct.inputs;
    job->channel_blocks = 1;
    return;
  }
  if (job->is_direct && s->kind == KV_FILTER_GRADIENT) {
    // Each task puts the whole of g into lines, so that it should have as many channels as leave 8 tasks.
    int64_t wanted = (8 + s->groups * s->batch_chunks - 1) / (s->groups * s->batch_chunks);
    job->channels = (job->direct.inputs + wanted - 1) / wanted;
    job->channel_blocks = (job->direct.inputs + job->channels - 1) / job->channels;
    return;
  }
  int64_t points = s->out_height * s->out_width, kernel = s->kernel_height * s->kernel_width;
  int64_t per_group = s->channels / s->groups, size = kv_size(s->dtype);
  bool forward = s->kind == KV_CONVOLUTION;
  // Forward needs all channels of a point at once; the gradients take channels in blocks.
  job->channels = per_group;
  if (!forward) {
    job->channels = UNFOLDED_BYTES / (kernel * size * (points < 1024 ? points : 1024));
    if (job->channels < 1) job->channels = 1;
    if (job->channels > per_group) job->channels = per_group;
    // At least 8 tasks if that leaves enough work in each.
    int64_t others = s->groups * (s->kind == KV_INPUT_GRADIENT ? s->batch : s->batch_chunks);
    while (others * ((per_group + job->channels - 1) / job->channels) < 8 && job->channels * kernel > 64) {
      job->channels = (job->channels + 1) / 2;
    }
  }
  job->channel_blocks = (per_group + job->channels - 1) / job->channels;
  job->points = UNFOLDED_BYTES / (job->channels * kernel * size);
  if (job->points < 32) job->points = 32;
  if (forward && s->batch * s->groups < 8 && points > 512) {
    int64_t wish = (points * s->batch * s->groups + 7) / 8;
    if (wish < 256) wish = 256;
    if (job->points > wish) job->points = wish;
  }
  if (job->points > points) job->points = points;
  job->point_blocks = (points + job->points - 1) / job->points;
}

int64_t kv_convolution_scratch(const kv_convolution* s) {
  convolution_job job = {.s = s};
  choose_blocks(s, &job);
  if (job.is_strided) return kv_strided_scratch(s, &job.strided) + kv_frame_bytes(&s->epilogue) + 256;
  if (job.is_winograd) return (winograd_scratch(s, &job) + 63) / 64 * 64 + kv_frame_bytes(&s->epilogue) + 256;
  if (job.is_direct) {
    bool filter = s->kind == KV_FILTER_GRADIENT;
    return kv_direct_scratch(s, &job.direct, filter ? job.channels : job.direct.inputs) + kv_frame_bytes(&s->epilogue) +
           256;
  }
  int64_t columns = job.points * job.channels * s->kernel_height * s->kernel_width * kv_size(s->dtype);
  int64_t frame = kv_frame_bytes(&s->epilogue);
  return (columns > frame ? columns : frame) + 256;
}

int64_t kv_convolution_batch_chunks(const kv_convolution* s) {
  if (s->kind != KV_FILTER_GRADIENT) return 1;
  kv_strided strided;
  if (kv_strided_plan(s, &strided)) return 8;
  kv_direct direct;
  if (kv_direct_plan(s, &direct)) {
    // The batch gives parallelism first, where the partial results are small.
    if (s->filters * direct.taps * 4 > 512 << 10) return 1;
    return s->batch < 1 ? 1 : s->batch < 8 ? s->batch : 8;
  }
  // Channels give parallelism first; the batch makes up for few of them.
  int64_t kernel = s->kernel_height * s->kernel_width, blocks = s->channels * kernel / 64;
  if (blocks >= 8) return 1;
  int64_t chunks = 8 / (blocks < 1 ? 1 : blocks);
  return chunks < s->batch ? chunks : s->batch;
}

void kv_run_convolution(const kv_convolution* s, const kv_binding* binding) {
  int64_t size = kv_size(s->dtype);
  const kv_kernels* k = kv_get_kernels();
  convolution_job job = {.s = s,
                         .binding = binding,
                         .a = binding->bases[s->a_slot] + s->a_offset * size,
                         .b = binding->bases[s->b_slot] + s->b_offset * size,
                         .result = binding->bases[s->result_slot] + s->result_offset * size,
                         .partials = s->batch_chunks > 1 ? binding->bases[s->partial_slot] : NULL,
                         .axpy_f32 = k->axpy_f32,
                         .axpy_f64 = k->axpy_f64};
  choose_blocks(s, &job);
  bool single = s->dtype == KV_F32;
  long tasks;
  if (job.is_strided && s->kind != KV_FILTER_GRADIENT) {
    kv_parallel((long)s->batch, strided_task, &job);
    return;
  }
  if (job.is_winograd && s->kind != KV_FILTER_GRADIENT) {
    kv_parallel((long)((s->batch + job.winograd.images - 1) / job.winograd.images), winograd_task, &job);
    return;
  }
  if (job.is_direct && s->kind != KV_FILTER_GRADIENT) {
    int64_t images = s->batch * s->groups;
    job.parts = images < 8 && images > 0 ? (8 + images - 1) / images : 1;
    if (job.parts > job.direct.blocks) job.parts = job.direct.blocks;
    kv_parallel((long)(images * job.parts), direct_task, &job);
    return;
  }
  switch (s->kind) {
  case KV_CONVOLUTION:
    tasks = (long)(s->batch * s->groups * job.point_blocks);
    kv_parallel(tasks, single ? forward_task_f32 : forward_task_f64, &job);
    break;
  case KV_INPUT_GRADIENT:
    tasks = (long)(s->batch * s->groups * job.channel_blocks);
    kv_parallel(tasks, single ? input_gradient_task_f32 : input_gradient_task_f64, &job);
    break;
  case KV_FILTER_GRADIENT: {
    tasks = (long)(s->groups * job.channel_blocks * s->batch_chunks);
    kv_parallel(tasks,
                job.is_strided  ? strided_filter_task
                : job.is_direct ? direct_filter_task
                : single        ? filter_gradient_task_f32
                                : filter_gradient_task_f64,
                &job);
    if (s->batch_chunks > 1 || s->has_epilogue) {
      int64_t total = s->filters * (s->channels / s->groups) * s->kernel_height * s->kernel_width;
      kv_parallel((long)((total + 4095) / 4096), single ? merge_task_f32 : merge_task_f64, &job);
    }
  }
  }
}
