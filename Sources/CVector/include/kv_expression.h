// Expressions of the engine, lowered to calls of block loops. The Swift side (ExpressionLowering) fills these in; the
// evaluator runs them over blocks small enough to stay in the first-level cache.
#ifndef KV_EXPRESSION_H
#define KV_EXPRESSION_H

#include "kv_types.h"

#define KV_MAX_DIMS 32

// A value in memory: element at offset + sum(index * stride), in elements. slot < 0: an address without memory.
typedef struct {
  int32_t slot;
  int32_t size; // bytes of an element
  int64_t offset;
  const int64_t* strides;
} kv_operand;

typedef enum {
  KV_DIRECT,  // contiguous along the row: a pointer into memory
  KV_STRIDED, // copied to or from scratch
  KV_UNIFORM, // one element for the whole row
} kv_access;

typedef struct {
  int32_t value, operand;
  kv_access access;
  bool is_address; // the position itself, as int64
} kv_load;

typedef struct {
  int32_t value, scalar;
  kv_dtype dtype;
} kv_scalar;

// dst = loop(a, b, c); operands are values, -1 where absent.
typedef struct {
  kv_loop loop;
  const void* context;
  int32_t dst, a, b, c;
} kv_op;

typedef struct {
  int32_t value, operand;
  kv_access access;
  int32_t size;
  // The op that makes the value writes straight to memory.
  bool in_place;
} kv_output;

// The iteration space is dims; its last row_dims dims, flattened, make one row.
typedef struct {
  int32_t dim_count, row_dims;
  const int64_t* dims;
  int64_t rows, row_count;
  int64_t block; // elements per block
  int32_t operand_count, value_count, load_count, scalar_count, once_count, row_op_count, op_count, output_count;
  const kv_operand* operands;
  const int64_t* offsets; // of each value in scratch, -1 for pointers into memory
  const kv_load* loads;
  const kv_scalar* scalars;
  const kv_op* once;    // of scalars only: once per frame
  const kv_op* row_ops; // of what is uniform along a row
  const kv_op* ops;
  const kv_output* outputs;
  int32_t result_value; // -1: none
  int32_t result_size;
  int64_t scratch_bytes;
} kv_expression;

// What a run binds: a base address for each slot, and the scalars' bits (Double for floats, Int64 otherwise).
typedef struct {
  char* const* bases;
  const uint64_t* scalars;
} kv_binding;

// One thread's use of an expression. Lives in scratch.
typedef struct {
  const kv_expression* e;
  char* scratch;
  char** values; // where each value is
  char** row;    // each operand's first element of the row (an int64 position for addresses)
  int64_t row_index;
  char* result; // what .result reads: element (row * row_count + start)
} kv_frame;

// Bytes of scratch that a frame needs, frame included.
int64_t kv_frame_bytes(const kv_expression* e);
// Places a frame at scratch.
kv_frame* kv_frame_begin(const kv_expression* e, const kv_binding* binding, char* scratch);
void kv_frame_row(kv_frame* frame, int64_t row);
// Evaluates elements start ..< start + count of the row; count <= block. Outputs with an operand are stored.
void kv_frame_block(kv_frame* frame, int64_t start, int64_t count);
static inline char* kv_frame_value(const kv_frame* frame, int32_t value) { return frame->values[value]; }

// Flattened elements first ..< first + count of the whole space; rows are crossed as needed.
void kv_frame_range(kv_frame* frame, int64_t first, int64_t count);

typedef struct {
  kv_expression e;
  double weight; // rough cost of one element in nanoseconds
} kv_elementwise;
void kv_run_elementwise(const kv_elementwise* step, const kv_binding* binding);

#endif
