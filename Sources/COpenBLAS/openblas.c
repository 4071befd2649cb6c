#define _GNU_SOURCE
#include "kiln_openblas.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kiln_openblas library;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char path[4096], error[1024];

const char* kiln_openblas_expected_core(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
    return "SkylakeX";
  }
  if (avx2) return __builtin_cpu_is("amd") ? "Zen" : "Haswell";
#endif
  return "";
}

static void* try_open(const char* candidate) {
  void* handle = dlopen(candidate, RTLD_NOW | RTLD_LOCAL);
  if (handle) {
    snprintf(path, sizeof path, "%s", candidate);
  } else if (!error[0]) {
    const char* reason = dlerror();
    snprintf(error, sizeof error, "%s", reason ? reason : "dlopen failed");
  }
  return handle;
}

static void* open_any(void) {
  const char* wish = getenv("KILN_OPENBLAS");
  // A path that was asked for is not replaced by another in silence.
  if (wish && wish[0]) return try_open(wish);
  char executable[3072];
  ssize_t length = readlink("/proc/self/exe", executable, sizeof executable - 1);
  if (length > 0) {
    executable[length] = 0;
    char* slash = strrchr(executable, '/');
    if (slash) *slash = 0;
    static const char* const places[] = {"%s/libopenblas.so.0", "%s/lib/libopenblas.so.0"};
    for (int i = 0; i < 2; i++) {
      char candidate[4096];
      snprintf(candidate, sizeof candidate, places[i], executable);
      if (access(candidate, R_OK) != 0) continue;
      void* handle = try_open(candidate);
      if (handle) return handle;
    }
  }
  error[0] = 0;
  void* handle = try_open("libopenblas.so.0");
  return handle ? handle : try_open("libopenblas.so");
}

static void open_once(void) {
  const char* core = kiln_openblas_expected_core();
  if (core[0]) setenv("OPENBLAS_CORETYPE", core, 0);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  void* handle = open_any();
  if (handle) {
    library.sgemm = (kiln_sgemm)dlsym(handle, "cblas_sgemm");
    library.dgemm = (kiln_dgemm)dlsym(handle, "cblas_dgemm");
    if (!library.sgemm || !library.dgemm) {
      snprintf(error, sizeof error, "%s has no cblas_sgemm and cblas_dgemm", path);
      library.sgemm = NULL;
      library.dgemm = NULL;
    }
    char* (*core_name)(void) = (char* (*)(void))dlsym(handle, "openblas_get_corename");
    char* (*configuration)(void) = (char* (*)(void))dlsym(handle, "openblas_get_config");
    void (*set_threads)(int) = (void (*)(int))dlsym(handle, "openblas_set_num_threads");
    if (set_threads) set_threads(1);
    library.core = core_name ? core_name() : "";
    library.configuration = configuration ? configuration() : "";
  }
  library.path = path;
  library.error = library.sgemm ? NULL : error;
}

const kiln_openblas* kiln_openblas_open(void) {
  pthread_once(&once, open_once);
  return &library;
}
