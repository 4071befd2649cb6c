// For any CPU: SSE2 on x86-64, NEON (which has fma) on arm64.
#include "kv_kernels.h"

#pragma STDC FP_CONTRACT OFF
#define KV_HAS_MASKS 0
#define KV(name) name##_baseline
#if defined(__aarch64__)
#define KV_HAS_FMA 1
#else
#define KV_HAS_FMA 0
#endif
#include "isa.inc.h"
