// Compiled for avx2 inside a binary that runs on any x86-64: kv_get_kernels chooses at run time.
#include <math.h>
#include <string.h>

#include "kv_kernels.h"

#if defined(__x86_64__)
#pragma STDC FP_CONTRACT OFF
#define KV_HAS_MASKS 0
#define KV(name) name##_avx2
#define KV_HAS_FMA 1
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,f16c"))), apply_to = function)
#include "isa.inc.h"
#pragma clang attribute pop
#endif
