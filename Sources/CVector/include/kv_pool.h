// The CPU device's threads: pthreads that spin briefly between jobs, then sleep.
#ifndef KV_POOL_H
#define KV_POOL_H

#include "kv_types.h"

typedef void (*kv_task)(void* context, long task, int thread);

// The cores this process may use, or KILN_NUM_THREADS; at most 256.
int kv_threads(void);
// For tests; not while work is running.
void kv_set_threads(int count);

// Runs task(context, i, thread) for each i in 0..<tasks, split statically over the threads; a thread that is done helps
// the others. The caller is thread 0. Results must not depend on which thread runs what. Calls from inside a task, and
// calls while another thread's job runs, run inline as thread 0.
void kv_parallel(long tasks, kv_task task, void* context);

// Scratch memory of at least the size last reserved, private to a thread of the running job, 256-byte aligned.
char* kv_scratch(int thread);
// Grows every thread's scratch; false if memory is short. Not while work is running.
bool kv_reserve_scratch(size_t bytes);

#endif
