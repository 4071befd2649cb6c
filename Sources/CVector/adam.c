#include "kv_adam.h"

#include <string.h>

#include "kv_kernels.h"
#include "kv_pool.h"

// Elements that are worth a hand-over, and whose seven streams share the caches of a core.
#define SHARE 8192

typedef struct {
  const kv_adam* s;
  const kv_kernels* k;
  kv_adam_numbers numbers;
  float *w, *m, *v, *g, *new_w, *new_m, *new_v;
  int64_t share;
} adam_job;

static float* address(const kv_adam_operand* x, const kv_binding* binding) {
  return (float*)binding->bases[x->slot] + x->offset;
}

static float number(int32_t slot, const kv_binding* binding) {
  if (slot < 0) return 1;
  double value;
  memcpy(&value, &binding->scalars[slot], 8);
  return (float)value;
}

static void adam_task(void* context, long task, int thread) {
  const adam_job* job = context;
  (void)thread;
  const int64_t at = task * job->share;
  int64_t count = job->s->count - at;
  if (count > job->share) count = job->share;
  job->k->adam_f32(&job->numbers, job->w + at, job->m + at, job->v + at, job->g + at, job->new_w + at, job->new_m + at,
                   job->new_v + at, (long)count);
}

void kv_run_adam(const kv_adam* s, const kv_binding* binding) {
  adam_job job = {.s = s,
                  .k = kv_get_kernels(),
                  .w = address(&s->w, binding),
                  .m = address(&s->m, binding),
                  .v = address(&s->v, binding),
                  .g = address(&s->g, binding),
                  .new_w = address(&s->new_w, binding),
                  .new_m = address(&s->new_m, binding),
                  .new_v = address(&s->new_v, binding)};
  job.numbers = (kv_adam_numbers){.gain = number(s->gain, binding),
                                  .decay = number(s->decay, binding),
                                  .square_gain = number(s->square_gain, binding),
                                  .root = number(s->root, binding),
                                  .epsilon = number(s->epsilon, binding),
                                  .rate = number(s->rate, binding),
                                  .shrink = number(s->shrink, binding),
                                  .has_shrink = s->shrink >= 0};
  // Two for each thread, so that one that is held up does not hold up all.
  int64_t tasks = s->count / SHARE;
  if (tasks > 2L * kv_threads()) tasks = 2L * kv_threads();
  if (tasks < 1) tasks = 1;
  // Whole cache lines.
  job.share = ((s->count + tasks - 1) / tasks + 15) / 16 * 16;
  kv_parallel((long)((s->count + job.share - 1) / job.share), adam_task, &job);
}
