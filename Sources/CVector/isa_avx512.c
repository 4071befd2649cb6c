// Compiled for avx512 inside a binary that runs on any x86-64: kv_get_kernels chooses at run time.
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#include "kv_kernels.h"

#if defined(__x86_64__)
#pragma STDC FP_CONTRACT OFF
#define KV(name) name##_avx512
#define KV_HAS_FMA 1
#define KV_HAS_MASKS 1
#pragma clang attribute push(                                                                                          \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,bmi,bmi2,f16c"))),                     \
    apply_to = function)
#include "isa.inc.h"
#pragma clang attribute pop
#endif
