#include <string.h>

#include "kv_expression.h"
#include "kv_pool.h"

static int64_t align(int64_t bytes) { return (bytes + 63) & ~(int64_t)63; }

int64_t kv_frame_bytes(const kv_expression* e) {
  return align((int64_t)sizeof(kv_frame)) + align(e->value_count * 8) + align(e->operand_count * 8) +
         align(e->scratch_bytes);
}

static void run_ops(const kv_op* ops, int32_t count, char** values, int64_t n) {
  for (int32_t i = 0; i < count; i++) {
    const kv_op* op = &ops[i];
    op->loop(values[op->dst], op->a < 0 ? NULL : values[op->a], op->b < 0 ? NULL : values[op->b],
             op->c < 0 ? NULL : values[op->c], n, op->context);
  }
}

static void put_scalar(char* cell, kv_dtype dtype, uint64_t bits) {
  double d;
  memcpy(&d, &bits, 8);
  float f = (float)d;
  int32_t i = (int32_t)bits;
  uint8_t u = (uint8_t)bits;
  switch (dtype) {
  case KV_F32: memcpy(cell, &f, 4); break;
  case KV_F64:
  case KV_I64: memcpy(cell, &bits, 8); break;
  case KV_I32: memcpy(cell, &i, 4); break;
  default: memcpy(cell, &u, 1); break;
  }
}

kv_frame* kv_frame_begin(const kv_expression* e, const kv_binding* binding, char* scratch) {
  kv_frame* frame = (kv_frame*)scratch;
  char* next = scratch + align((int64_t)sizeof(kv_frame));
  frame->e = e;
  frame->values = (char**)next;
  next += align(e->value_count * 8);
  frame->row = (char**)next;
  next += align(e->operand_count * 8);
  frame->scratch = next;
  frame->result = NULL;
  frame->row_index = -1;
  for (int32_t i = 0; i < e->value_count; i++) frame->values[i] = e->offsets[i] < 0 ? NULL : next + e->offsets[i];
  for (int32_t i = 0; i < e->scalar_count; i++) {
    put_scalar(frame->values[e->scalars[i].value], e->scalars[i].dtype, binding->scalars[e->scalars[i].scalar]);
  }
  // The row pointers of row 0; kv_frame_row moves them.
  for (int32_t i = 0; i < e->operand_count; i++) {
    const kv_operand* o = &e->operands[i];
    frame->row[i] = o->slot < 0 ? (char*)(intptr_t)o->offset : binding->bases[o->slot] + o->offset * o->size;
  }
  run_ops(e->once, e->once_count, frame->values, 1);
  return frame;
}

// Sum of index * stride of flattened position `at` over dims[0 ..< count].
static int64_t distance(const int64_t* dims, const int64_t* strides, int32_t count, int64_t at) {
  int64_t sum = 0;
  for (int32_t d = count - 1; d > 0; d--) {
    sum += at % dims[d] * strides[d];
    at /= dims[d];
  }
  return count > 0 ? sum + at * strides[0] : 0;
}

static int64_t unit(const kv_operand* o) { return o->slot < 0 ? 1 : o->size; }

void kv_frame_row(kv_frame* frame, int64_t row) {
  const kv_expression* e = frame->e;
  int64_t last = frame->row_index < 0 ? 0 : frame->row_index;
  int32_t lead = e->dim_count - e->row_dims;
  if (row != last) {
    if (lead == 1) {
      for (int32_t i = 0; i < e->operand_count; i++) {
        const kv_operand* o = &e->operands[i];
        frame->row[i] += (row - last) * o->strides[0] * unit(o);
      }
    } else {
      for (int32_t i = 0; i < e->operand_count; i++) {
        const kv_operand* o = &e->operands[i];
        int64_t move = distance(e->dims, o->strides, lead, row) - distance(e->dims, o->strides, lead, last);
        frame->row[i] += move * unit(o);
      }
    }
  }
  if (row == frame->row_index) return;
  frame->row_index = row;
  for (int32_t i = 0; i < e->load_count; i++) {
    const kv_load* load = &e->loads[i];
    if (load->access != KV_UNIFORM) continue;
    if (load->is_address) {
      *(int64_t*)frame->values[load->value] = (int64_t)(intptr_t)frame->row[load->operand];
    } else {
      frame->values[load->value] = frame->row[load->operand];
    }
  }
  run_ops(e->row_ops, e->row_op_count, frame->values, 1);
}

#define COPY_RUN(T)                                                                                                    \
  if (to_memory) {                                                                                                     \
    for (int64_t i = 0; i < n; i++) ((T*)memory)[i * stride] = ((const T*)dense)[i];                                   \
  } else {                                                                                                             \
    for (int64_t i = 0; i < n; i++) ((T*)dense)[i] = ((const T*)memory)[i * stride];                                   \
  }
#define FILL_RUN(T)                                                                                                    \
  {                                                                                                                    \
    const T value = *(const T*)memory;                                                                                 \
    for (int64_t i = 0; i < n; i++) ((T*)dense)[i] = value;                                                            \
  }

static void copy_run(char* memory, int64_t stride, char* dense, int64_t n, int32_t size, bool to_memory) {
  if (stride == 1) {
    if (to_memory) {
      memcpy(memory, dense, (size_t)(n * size));
    } else {
      memcpy(dense, memory, (size_t)(n * size));
    }
  } else if (stride == 0 && !to_memory) {
    if (size == 4) FILL_RUN(uint32_t) else if (size == 8) FILL_RUN(uint64_t) else FILL_RUN(uint8_t)
  } else if (size == 4) {
    COPY_RUN(uint32_t)
  } else if (size == 8) {
    COPY_RUN(uint64_t)
  } else {
    COPY_RUN(uint8_t)
  }
}

// Lines of `run` elements, `line_stride` apart, each stepping by `stride`: a piece of a transposed matrix. Tiles of 16
// lines use each cache line while it is near.
#define COPY_TILES(T)                                                                                                  \
  for (int64_t i0 = 0; i0 < run; i0 += 16) {                                                                           \
    int64_t i1 = i0 + 16 < run ? i0 + 16 : run;                                                                        \
    for (int64_t l = 0; l < lines; l++) {                                                                              \
      T* at = (T*)memory + l * line_stride;                                                                            \
      T* d = (T*)dense + l * run;                                                                                      \
      if (to_memory) {                                                                                                 \
        for (int64_t i = i0; i < i1; i++) at[i * stride] = d[i];                                                       \
      } else {                                                                                                         \
        for (int64_t i = i0; i < i1; i++) d[i] = at[i * stride];                                                       \
      }                                                                                                                \
    }                                                                                                                  \
  }
static void copy_lines(char* memory, int64_t stride, int64_t line_stride, char* dense, int64_t run, int64_t lines,
                       int32_t size, bool to_memory) {
  if (size == 4) {
    COPY_TILES(uint32_t)
  } else if (size == 8) {
    COPY_TILES(uint64_t)
  } else {
    COPY_TILES(uint8_t)
  }
}

// Copies elements start ..< start + count of a row between memory and dense scratch, run by run of the last dim.
static void copy_strided(const kv_expression* e, const kv_operand* o, char* memory, char* dense, int64_t start,
                         int64_t count, bool to_memory) {
  int32_t lead = e->dim_count - e->row_dims, rank = e->row_dims;
  const int64_t *dims = e->dims + lead, *strides = o->strides + lead;
  int64_t index[KV_MAX_DIMS], at = start, position = 0;
  for (int32_t d = rank - 1; d >= 0; d--) {
    index[d] = at % dims[d];
    at /= dims[d];
    position += index[d] * strides[d];
  }
  const int32_t last = rank - 1;
  int32_t size = o->slot < 0 ? 8 : o->size;
  while (count > 0) {
    int64_t run = rank ? dims[last] - index[last] : 1;
    if (run > count) run = count;
    if (rank > 1 && index[last] == 0 && run == dims[last] && o->slot >= 0 && strides[last] != 1 && strides[last] != 0) {
      // Whole lines of the last dim, as many as the dim before has left.
      int64_t lines = dims[last - 1] - index[last - 1];
      if (lines > count / run) lines = count / run;
      if (lines > 1) {
        copy_lines(memory + position * size, strides[last], strides[last - 1], dense, run, lines, size, to_memory);
        dense += lines * run * size;
        count -= lines * run;
        if (count == 0) break;
        // To the last of these lines, from which the carry goes on.
        index[last - 1] += lines - 1;
        position += (lines - 1) * strides[last - 1];
        goto carry;
      }
    }
    if (o->slot < 0) {
      int64_t first = (int64_t)(intptr_t)memory + position, step = rank ? strides[last] : 0;
      for (int64_t i = 0; i < run; i++) ((int64_t*)dense)[i] = first + i * step;
    } else {
      copy_run(memory + position * size, rank ? strides[last] : 0, dense, run, size, to_memory);
    }
    dense += run * size;
    count -= run;
    if (count == 0) break;
  carry:
    // The run ended its line.
    position -= index[last] * strides[last];
    index[last] = 0;
    int32_t d = last - 1;
    for (; d >= 0; d--) {
      index[d]++;
      position += strides[d];
      if (index[d] < dims[d]) break;
      position -= dims[d] * strides[d];
      index[d] = 0;
    }
    if (d < 0) break;
  }
}

void kv_frame_block(kv_frame* frame, int64_t start, int64_t count) {
  const kv_expression* e = frame->e;
  char** values = frame->values;
  for (int32_t i = 0; i < e->load_count; i++) {
    const kv_load* load = &e->loads[i];
    if (load->access == KV_UNIFORM) continue;
    const kv_operand* o = &e->operands[load->operand];
    char* base = frame->row[load->operand];
    if (load->access == KV_DIRECT && !load->is_address) {
      values[load->value] = base + start * o->size;
    } else if (load->access == KV_DIRECT) {
      int64_t first = (int64_t)(intptr_t)base + start, *dense = (int64_t*)values[load->value];
      for (int64_t k = 0; k < count; k++) dense[k] = first + k;
    } else {
      copy_strided(e, o, base, values[load->value], start, count, false);
    }
  }
  if (e->result_value >= 0) {
    values[e->result_value] = frame->result + (frame->row_index * e->row_count + start) * e->result_size;
  }
  for (int32_t i = 0; i < e->output_count; i++) {
    const kv_output* output = &e->outputs[i];
    if (output->in_place) values[output->value] = frame->row[output->operand] + start * output->size;
  }
  run_ops(e->ops, e->op_count, values, count);
  for (int32_t i = 0; i < e->output_count; i++) {
    const kv_output* output = &e->outputs[i];
    if (output->in_place || output->operand < 0) continue;
    char* base = frame->row[output->operand];
    if (output->access == KV_DIRECT) {
      char* target = base + start * output->size;
      if (target != values[output->value]) memmove(target, values[output->value], (size_t)(count * output->size));
    } else {
      copy_strided(e, &e->operands[output->operand], base, values[output->value], start, count, true);
    }
  }
}

void kv_frame_range(kv_frame* frame, int64_t first, int64_t count) {
  const kv_expression* e = frame->e;
  int64_t row = first / e->row_count, start = first % e->row_count;
  while (count > 0) {
    kv_frame_row(frame, row);
    int64_t left = e->row_count - start < count ? e->row_count - start : count;
    count -= left;
    while (left > 0) {
      int64_t n = left < e->block ? left : e->block;
      kv_frame_block(frame, start, n);
      start += n;
      left -= n;
    }
    row++;
    start = 0;
  }
}

typedef struct {
  const kv_elementwise* step;
  const kv_binding* binding;
  int64_t total, share;
} elementwise_job;

static void elementwise_task(void* context, long task, int thread) {
  elementwise_job* job = context;
  int64_t first = task * job->share, count = job->share;
  if (first >= job->total) return;
  if (count > job->total - first) count = job->total - first;
  kv_frame* frame = kv_frame_begin(&job->step->e, job->binding, kv_scratch(thread));
  kv_frame_range(frame, first, count);
}

void kv_run_elementwise(const kv_elementwise* step, const kv_binding* binding) {
  const kv_expression* e = &step->e;
  elementwise_job job = {step, binding, e->rows * e->row_count, 0};
  if (job.total == 0) return;
  // A share is worth a hand-over if it takes a few microseconds.
  double cost = (double)job.total * step->weight;
  long tasks = (long)(cost / 4000);
  long most = 4L * kv_threads();
  if (tasks > most) tasks = most;
  if (tasks < 2 || kv_threads() == 1) tasks = 1;
  int64_t share = (job.total + tasks - 1) / tasks;
  // Whole blocks, so that no thread writes into another's cache line.
  int64_t unit = e->row_count < e->block ? e->row_count : e->block;
  if (e->rows > 1 && e->row_count > share / 2) unit = e->block;
  job.share = (share + unit - 1) / unit * unit;
  tasks = (long)((job.total + job.share - 1) / job.share);
  kv_parallel(tasks, elementwise_task, &job);
}
