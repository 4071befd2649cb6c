// Attention in float32. Queries are taken in blocks: a block's scores, [block, keys], stay in the second-level cache
// between the products that make them and those that use them. Everything is copied into padded memory once per batch
// element, q with the scale; products then work in whole tiles. Causal blocks leave out what lies past their diagonal.
#include "attention.h"

#include <string.h>

#include "kv_pool.h"

// Scores of one block, in floats, and the queries it may have.
#define BLOCK_SCORES 32768
#define LEAST_QUERIES 16
#define MOST_QUERIES 64
// With fewer batch elements forward passes are cut further.
#define TASKS 16

// Sizes in floats; they depend on the shape alone.
typedef struct {
  int64_t features, value_features, keys; // rounded up to 16
  int64_t line;                           // from one row of scores to the next
  int64_t block, blocks;                  // queries in a block, and blocks
  int64_t chunks;                         // tasks of one batch element
} attention_plan;

typedef struct {
  const kv_attention* s;
  const kv_binding* binding;
  const kv_kernels* k;
  attention_plan plan;
} attention_job;

// Where a thread's operands lie.
typedef struct {
  float* scores; // [block, line]
  float* d;      // like scores: the gradient of the probabilities, then that of the scores
  float* q;      // [block, features], times scale
  float* g;      // [block, value_features]
  float* result; // o or dq of a block
  float* sums;   // [block]
  float* keys;   // panels [keys / 16, features, 16]: the right-hand side of q k^T
  float* values; // [keys, value_features]; as panels for the gradients, where it is that of g v^T
  float* k;      // [keys, features], times scale
  float *dk, *dv;
} attention_room;

static int64_t rounded(int64_t n) { return (n + 15) / 16 * 16; }

static attention_plan plan_of(const kv_attention* s) {
  attention_plan p = {.features = rounded(s->features),
                      .value_features = rounded(s->value_features),
                      .keys = rounded(kv_keys_seen(s, s->queries))};
  // An odd number of cache lines: rows that lie a power of two apart would share the places of the cache.
  p.line = (p.keys / 16 | 1) * 16;
  p.block = BLOCK_SCORES / p.line / 16 * 16;
  if (p.block > MOST_QUERIES) p.block = MOST_QUERIES;
  if (p.block > rounded(s->queries)) p.block = rounded(s->queries);
  if (p.block < LEAST_QUERIES) p.block = LEAST_QUERIES;
  p.blocks = (s->queries + p.block - 1) / p.block;
  p.chunks = s->is_gradient || s->batch_count < 1 ? 1 : (TASKS + s->batch_count - 1) / s->batch_count;
  if (p.chunks > p.blocks) p.chunks = p.blocks;
  return p;
}

// Lays out one thread's memory (NULL: none) and returns the number of floats.
static int64_t place(const kv_attention* s, const attention_plan* p, float* memory, attention_room* room) {
  int64_t at = 0;
  const int64_t width = p->features > p->value_features ? p->features : p->value_features;
#define PLACE(name, count) room->name = memory ? memory + at : NULL, at += (count)
  PLACE(scores, p->block * p->line);
  PLACE(q, p->block * p->features);
  PLACE(result, p->block * width);
  PLACE(sums, p->block);
  PLACE(keys, p->keys * p->features);
  PLACE(values, p->keys * p->value_features);
  if (s->is_gradient) {
    PLACE(d, p->block * p->line);
    PLACE(g, p->block * p->value_features);
    PLACE(k, p->keys * p->features);
    PLACE(dk, p->keys * p->features);
    PLACE(dv, p->keys * p->value_features);
  }
#undef PLACE
  return at;
}

int64_t kv_attention_scratch(const kv_attention* s) {
  if (s->dtype == KV_F64) return kv_attention_scratch_f64(s);
  const attention_plan plan = plan_of(s);
  attention_room room;
  return place(s, &plan, NULL, &room) * 4;
}

// `rows` rows of x from row `first` on, and zeros up to a multiple of 16 rows, since tiles have whole rows.
static void pack_block(const kv_kernels* k, const float* x, int64_t stride, int64_t first, int64_t rows,
                       int64_t columns, float factor, float* to) {
  k->attention_pack_rows(x + first * stride, (long)stride, (long)rows, (long)columns, factor, to);
  memset(to + rows * rounded(columns), 0, (size_t)((rounded(rows) - rows) * rounded(columns)) * 4);
}

// c = the block's packed rows times packed panels of all keys that it sees: scores from q and k, d from g and v.
static void score(const attention_job* job, const float* packed, const float* panels, int64_t columns, int64_t first,
                  int64_t rows, float* c) {
  const kv_attention* s = job->s;
  const kv_product product = {.m = (long)rows,
                              .n = (long)rounded(kv_keys_seen(s, first + rows)),
                              .k = (long)columns,
                              .a = packed,
                              .b = panels,
                              .a_row = (long)rounded(columns),
                              .a_column = 1,
                              .b_row = 16,
                              .b_panel = (long)(16 * columns),
                              .c = c,
                              .c_row = (long)job->plan.line,
                              .triangle = s->causal ? KV_TRIANGLE_RESULT : KV_TRIANGLE_NONE,
                              .first = (long)first};
  job->k->product(&product);
}
// result = scores (or d) times rows of `width`, one for each key.
static void weigh(const attention_job* job, const attention_room* room, const float* scores, const float* right,
                  int64_t width, int64_t first, int64_t rows) {
  const kv_attention* s = job->s;
  const kv_product product = {.m = (long)rows,
                              .n = (long)width,
                              .k = (long)kv_keys_seen(s, first + rows),
                              .a = scores,
                              .b = right,
                              .a_row = (long)job->plan.line,
                              .a_column = 1,
                              .b_row = (long)width,
                              .b_panel = 16,
                              .c = room->result,
                              .c_row = (long)width,
                              .triangle = s->causal ? KV_TRIANGLE_LHS : KV_TRIANGLE_NONE,
                              .first = (long)first};
  job->k->product(&product);
}
// sums = or += scores^T (or d^T) times the block's rows of `width`, one for each query.
static void gather(const attention_job* job, const float* scores, const float* right, int64_t width, int64_t first,
                   int64_t rows, bool accumulate, float* sums) {
  const kv_attention* s = job->s;
  const kv_product product = {.m = (long)kv_keys_seen(s, first + rows),
                              .n = (long)width,
                              .k = (long)rows,
                              .a = scores,
                              .b = right,
                              .a_row = 1,
                              .a_column = (long)job->plan.line,
                              .b_row = (long)width,
                              .b_panel = 16,
                              .c = sums,
                              .c_row = (long)width,
                              .accumulate = accumulate,
                              .triangle = s->causal ? KV_TRIANGLE_TRANSPOSED : KV_TRIANGLE_NONE,
                              .first = (long)first};
  job->k->product(&product);
}

// What a task of batch element b works with.
typedef struct {
  attention_room room;
  const float *q, *keys, *values;
} attention_work;

// Finds it, and packs the first `seen` keys.
static attention_work begin_work(const attention_job* job, int64_t b, int64_t seen, int thread) {
  const kv_attention* s = job->s;
  attention_work work = {.q = (const float*)kv_rows_of_batch(s, job->binding, &s->q, b),
                         .keys = (const float*)kv_rows_of_batch(s, job->binding, &s->k, b),
                         .values = (const float*)kv_rows_of_batch(s, job->binding, &s->v, b)};
  place(s, &job->plan, (float*)kv_scratch(thread), &work.room);
  job->k->pack_panels(work.keys, (long)s->k.row, (long)seen, (long)s->features, work.room.keys);
  return work;
}

static void forward_task(void* context, long task, int thread) {
  const attention_job* job = context;
  const kv_attention* s = job->s;
  const attention_plan* p = &job->plan;
  const kv_kernels* k = job->k;
  const int64_t b = task / p->chunks, chunk = task % p->chunks;
  const int64_t begin = chunk * p->blocks / p->chunks * p->block;
  int64_t end = (chunk + 1) * p->blocks / p->chunks * p->block;
  if (end > s->queries) end = s->queries;
  if (s->dtype == KV_F64) {
    kv_attention_f64(s, job->binding, b, begin, end, kv_scratch(thread));
    return;
  }
  const int64_t seen = kv_keys_seen(s, end);
  const attention_work work = begin_work(job, b, seen, thread);
  const attention_room room = work.room;
  float* o = (float*)kv_rows_of_batch(s, job->binding, &s->o, b);
  k->attention_pack_rows(work.values, (long)s->v.row, (long)seen, (long)s->value_features, 1, room.values);
  for (int64_t first = begin; first < end; first += p->block) {
    const int64_t rows = end - first < p->block ? end - first : p->block;
    pack_block(k, work.q, s->q.row, first, rows, s->features, (float)s->scale, room.q);
    score(job, room.q, room.keys, s->features, first, rows, room.scores);
    k->attention_exp_rows(room.scores, (long)p->line, (long)rows, (long)kv_keys_seen(s, first + 1), (long)s->keys,
                          room.sums);
    weigh(job, &room, room.scores, room.values, p->value_features, first, rows);
    k->attention_unpack_rows(room.result, (long)rows, (long)s->value_features, room.sums, o + first * s->o.row,
                             (long)s->o.row);
  }
}

// Sums over queries to where they belong; 0 for keys that no query sees.
static void store_sums(const kv_kernels* k, const float* sums, int64_t seen, int64_t keys, int64_t columns, float* y,
                       int64_t stride) {
  k->attention_unpack_rows(sums, (long)seen, (long)columns, NULL, y, (long)stride);
  for (int64_t j = seen; j < keys; j++) memset(y + j * stride, 0, (size_t)columns * 4);
}

static void gradient_task(void* context, long b, int thread) {
  const attention_job* job = context;
  const kv_attention* s = job->s;
  const attention_plan* p = &job->plan;
  const kv_kernels* k = job->k;
  if (s->dtype == KV_F64) {
    kv_attention_gradient_f64(s, job->binding, b, kv_scratch(thread));
    return;
  }
  const long seen = (long)kv_keys_seen(s, s->queries);
  const attention_work work = begin_work(job, b, seen, thread);
  const attention_room room = work.room;
  const float* g = (const float*)kv_rows_of_batch(s, job->binding, &s->g, b);
  float* dq = (float*)kv_rows_of_batch(s, job->binding, &s->dq, b);
  k->pack_panels(work.values, (long)s->v.row, seen, (long)s->value_features, room.values);
  k->attention_pack_rows(work.keys, (long)s->k.row, seen, (long)s->features, (float)s->scale, room.k);
  // From the last block on, since that one sees all keys: it sets the sums over queries and the others add to them.
  for (int64_t block = p->blocks - 1; block >= 0; block--) {
    const bool is_last = block == p->blocks - 1;
    const int64_t first = block * p->block, rows = is_last ? s->queries - first : p->block;
    pack_block(k, work.q, s->q.row, first, rows, s->features, (float)s->scale, room.q);
    pack_block(k, g, s->g.row, first, rows, s->value_features, 1, room.g);
    score(job, room.q, room.keys, s->features, first, rows, room.scores);
    score(job, room.g, room.values, s->value_features, first, rows, room.d);
    k->attention_gradient_rows(room.scores, room.d, (long)p->line, (long)rows, (long)kv_keys_seen(s, first + 1),
                               (long)s->keys);
    gather(job, room.scores, room.g, p->value_features, first, rows, !is_last, room.dv);
    gather(job, room.d, room.q, p->features, first, rows, !is_last, room.dk);
    weigh(job, &room, room.d, room.k, p->features, first, rows);
    k->attention_unpack_rows(room.result, (long)rows, (long)s->features, NULL, dq + first * s->dq.row, (long)s->dq.row);
  }
  store_sums(k, room.dk, seen, s->keys, s->features, (float*)kv_rows_of_batch(s, job->binding, &s->dk, b), s->dk.row);
  store_sums(k, room.dv, seen, s->keys, s->value_features, (float*)kv_rows_of_batch(s, job->binding, &s->dv, b),
             s->dv.row);
}

void kv_run_attention(const kv_attention* s, const kv_binding* binding) {
  attention_job job = {s, binding, kv_get_kernels(), plan_of(s)};
  const kv_task task = s->is_gradient ? gradient_task : forward_task;
  const long tasks = (long)(s->batch_count * job.plan.chunks);
  const double area = (double)s->batch_count * (double)s->queries * (double)s->keys;
  if (area * (double)(s->features + s->value_features) < 100000) {
    for (long t = 0; t < tasks; t++) task(&job, t, 0);
  } else {
    kv_parallel(tasks, task, &job);
  }
}
