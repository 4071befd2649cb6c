// Types shared by all of CVector.
#ifndef KV_TYPES_H
#define KV_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The engine's dtypes, in its order.
typedef enum { KV_F32, KV_F64, KV_I32, KV_I64, KV_U8, KV_BOOL, KV_DTYPES } kv_dtype;

static inline int kv_size(kv_dtype dtype) {
  return dtype == KV_F64 || dtype == KV_I64 ? 8 : dtype == KV_F32 || dtype == KV_I32 ? 4 : 1;
}

// A block loop: dst[i] = f(a[i], b[i], c[i]) for i in 0..<n. Operands may be the destination itself, never overlap it
// otherwise. `context` belongs to functions that come from outside (a row without a C loop).
typedef void (*kv_loop)(void* dst, const void* a, const void* b, const void* c, long n, const void* context);

// Which operands of a loop are vectors (a letter v) and which are single values (s).
typedef enum { KV_VV, KV_VS, KV_SV, KV_FORMS } kv_form;

// One ISA's loops, by name: "exp", "add", "select", ...
typedef struct {
  const char* name;
  kv_dtype dtype;
  kv_form form; // unary loops: KV_VV
  kv_loop loop;
} kv_entry;

typedef enum { KV_ISA_BASELINE, KV_ISA_AVX2, KV_ISA_AVX512, KV_ISAS } kv_isa;

#endif
