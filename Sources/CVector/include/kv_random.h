// Random numbers, one at a time: the definition that docs/numerics.md describes and the vector loops are tested
// against. Everything is integer arithmetic, +, -, * and fma in round-to-nearest, so that every device agrees to the
// bit.
#ifndef KV_RANDOM_H
#define KV_RANDOM_H

#include <stdint.h>

// Philox 4x32-10's block for a key and a counter.
void kv_philox(uint64_t key, uint64_t position, uint64_t counter, uint32_t words[4]);

float kv_random_uniform_f32(uint64_t key, uint64_t counter, uint64_t position);
double kv_random_uniform_f64(uint64_t key, uint64_t counter, uint64_t position);
float kv_random_normal_f32(uint64_t key, uint64_t counter, uint64_t position);
double kv_random_normal_f64(uint64_t key, uint64_t counter, uint64_t position);
int64_t kv_random_bits(uint64_t key, uint64_t counter, uint64_t position);

#endif
