// OpenBLAS, opened at run time. Debian 12's mistakes recent Intel CPUs for "Prescott" and runs at a fraction of their
// speed, so the core type is chosen from CPUID before it is opened, unless OPENBLAS_CORETYPE is set by the user.
#ifndef KILN_OPENBLAS_H
#define KILN_OPENBLAS_H

typedef void (*kiln_sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                           const float* a, int lda, const float* b, int ldb, float beta, float* c, int ldc);
typedef void (*kiln_dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
                           const double* a, int lda, const double* b, int ldb, double beta, double* c, int ldc);

typedef struct {
  // NULL if the library could not be opened; `error` says why.
  kiln_sgemm sgemm;
  kiln_dgemm dgemm;
  const char* error;
  // The file that was opened, its version text, and the core it runs as.
  const char *path, *configuration, *core;
} kiln_openblas;

// Opens the library on the first call: KILN_OPENBLAS, beside the executable (or in lib/), then the system's. It runs
// single-threaded; the engine splits the work. Any thread may call.
const kiln_openblas* kiln_openblas_open(void);

// The core name that OpenBLAS should report for this CPU; "" where the choice is left to it (not x86-64, no AVX2).
const char* kiln_openblas_expected_core(void);

#endif
