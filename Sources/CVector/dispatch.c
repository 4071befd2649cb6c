#include <stdlib.h>
#include <string.h>

#include "kv_kernels.h"

extern const kv_entry entries_baseline[];
extern const kv_kernels kernels_baseline;
#if defined(__x86_64__)
extern const kv_entry entries_avx2[], entries_avx512[];
extern const kv_kernels kernels_avx2, kernels_avx512;
static const kv_entry* const all_entries[KV_ISAS] = {entries_baseline, entries_avx2, entries_avx512};
static const kv_kernels* const all_kernels[KV_ISAS] = {&kernels_baseline, &kernels_avx2, &kernels_avx512};
#else
static const kv_entry* const all_entries[KV_ISAS] = {entries_baseline, entries_baseline, entries_baseline};
static const kv_kernels* const all_kernels[KV_ISAS] = {&kernels_baseline, &kernels_baseline, &kernels_baseline};
#endif

static const char* const names[KV_ISAS] = {"baseline", "avx2", "avx512"};
static int current = -1;

const char* kv_isa_name(kv_isa isa) { return names[isa]; }

bool kv_isa_available(kv_isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  if (isa == KV_ISA_AVX2) return avx2;
  if (isa == KV_ISA_AVX512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512cd");
  }
#endif
  return isa == KV_ISA_BASELINE;
}

// Idempotent, so a race of first calls is harmless.
kv_isa kv_current_isa(void) {
  int isa = __atomic_load_n(&current, __ATOMIC_RELAXED);
  if (isa >= 0) return (kv_isa)isa;
  isa = kv_isa_available(KV_ISA_AVX512) ? KV_ISA_AVX512 : kv_isa_available(KV_ISA_AVX2) ? KV_ISA_AVX2 : KV_ISA_BASELINE;
  const char* wish = getenv("KILN_CPU_ISA");
  for (int i = 0; wish && i < KV_ISAS; i++) {
    if (strcmp(wish, names[i]) == 0 && kv_isa_available((kv_isa)i)) isa = i;
  }
  __atomic_store_n(&current, isa, __ATOMIC_RELAXED);
  return (kv_isa)isa;
}

bool kv_set_isa(kv_isa isa) {
  if (!kv_isa_available(isa)) return false;
  __atomic_store_n(&current, (int)isa, __ATOMIC_RELAXED);
  return true;
}

const kv_kernels* kv_get_kernels(void) { return all_kernels[kv_current_isa()]; }

kv_loop kv_find_loop(const char* name, kv_dtype dtype, kv_form form) {
  for (const kv_entry* e = all_entries[kv_current_isa()]; e->name; e++) {
    if (e->dtype == dtype && e->form == form && strcmp(e->name, name) == 0) return e->loop;
  }
  return NULL;
}
