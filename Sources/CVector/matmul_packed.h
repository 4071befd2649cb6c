// Float32 products by own kernels (matmul_packed.c).
#ifndef MATMUL_PACKED_H
#define MATMUL_PACKED_H

#include "kv_kernels.h"
#include "kv_matmul.h"

// Whether the step's shape and layouts, and the ISA, are what they are made for.
bool kv_packs_matmul(const kv_matmul* step, const kv_kernels* kernels);
void kv_run_packed_matmul(const kv_matmul* step, const kv_binding* binding);
// Bytes of scratch per thread.
int64_t kv_packed_matmul_scratch(const kv_matmul* step);

// Where matrix b of a batch begins, in elements.
int64_t kv_matrix_offset(const kv_matmul* step, const kv_matrix* x, int64_t b);

#endif
