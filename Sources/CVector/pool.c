#define _GNU_SOURCE
#include "kv_pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_THREADS 256
// Tasks of one job fit in 24 bits of a claim.
#define MAX_TASKS ((1L << 24) - 1)

// What remains of one thread's share: epoch (16 bits), next (24), end (24), so that one compare-and-swap claims a task
// and a thread that wakes late cannot touch a newer job.
typedef struct {
  _Alignas(128) _Atomic uint64_t claim;
} share_t;

static share_t shares[MAX_THREADS];
static struct {
  _Alignas(128) _Atomic uint32_t epoch;
  _Alignas(128) _Atomic int sleepers;
  _Alignas(128) _Atomic long done;
  kv_task task;
  void* context;
  _Atomic int threads;
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t started = PTHREAD_ONCE_INIT;
static int available = 1;      // threads that exist, the caller included
static _Atomic int in_use = 1; // threads that jobs are split over
static _Thread_local bool inside = false;
static char* scratch[MAX_THREADS];
static size_t scratch_bytes = 0;

static void pause_briefly(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void work(uint32_t epoch, int thread) {
  uint64_t tag = (uint64_t)(epoch & 0xffff) << 48;
  int threads = atomic_load_explicit(&job.threads, memory_order_relaxed);
  for (int offset = 0; offset < threads; offset++) {
    share_t* share = &shares[(thread + offset) % threads];
    for (;;) {
      uint64_t claim = atomic_load_explicit(&share->claim, memory_order_acquire);
      long next = (long)(claim >> 24 & 0xffffff), end = (long)(claim & 0xffffff);
      if ((claim & 0xffff000000000000u) != tag || next >= end) break;
      if (!atomic_compare_exchange_weak_explicit(&share->claim, &claim, claim + (1 << 24), memory_order_acq_rel,
                                                 memory_order_relaxed)) {
        continue;
      }
      // The claim succeeded, so the job cannot end before this task does: reading it is safe.
      job.task(job.context, next, thread);
      atomic_fetch_add_explicit(&job.done, 1, memory_order_release);
    }
  }
}

static void* worker(void* argument) {
  int thread = (int)(intptr_t)argument;
  uint32_t seen = 0;
  inside = true;
  for (;;) {
    uint32_t epoch;
    int spins = 0;
    while ((epoch = atomic_load_explicit(&job.epoch, memory_order_acquire)) == seen) {
      if (++spins < 4000) {
        pause_briefly();
      } else {
        atomic_fetch_add(&job.sleepers, 1);
        if (atomic_load(&job.epoch) == seen) {
          syscall(SYS_futex, &job.epoch, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
        }
        atomic_fetch_sub(&job.sleepers, 1);
        spins = 0;
      }
    }
    seen = epoch;
    if (thread < atomic_load_explicit(&job.threads, memory_order_relaxed)) work(epoch, thread);
  }
  return NULL;
}

static void start(void) {
  int count = 1;
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
  const char* wish = getenv("KILN_NUM_THREADS");
  if (wish && atoi(wish) > 0) count = atoi(wish);
  if (count > MAX_THREADS) count = MAX_THREADS;
  kv_set_threads(count);
}

// Every thread's scratch has at least this many bytes afterwards. Holds the lock.
static bool grow_scratch(int threads, size_t bytes) {
  bytes = (bytes + 4095) & ~(size_t)4095;
  bool larger = bytes > scratch_bytes;
  size_t size = larger ? bytes : scratch_bytes;
  for (int t = 0; size > 0 && t < threads; t++) {
    if (scratch[t] && !larger) continue;
    char* memory = aligned_alloc(4096, size);
    if (!memory) return false;
    free(scratch[t]);
    scratch[t] = memory;
  }
  scratch_bytes = size;
  return true;
}

// The first caller may be any thread; workers are never joined: they live as long as the process.
void kv_set_threads(int count) {
  if (count < 1) count = 1;
  if (count > MAX_THREADS) count = MAX_THREADS;
  pthread_mutex_lock(&lock);
  while (available < count) {
    pthread_t handle;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 8 << 20);
    int failed = pthread_create(&handle, &attributes, worker, (void*)(intptr_t)available);
    pthread_attr_destroy(&attributes);
    if (failed) break;
    available++;
  }
  grow_scratch(available, scratch_bytes);
  atomic_store(&in_use, count < available ? count : available);
  pthread_mutex_unlock(&lock);
}

int kv_threads(void) {
  pthread_once(&started, start);
  return atomic_load_explicit(&in_use, memory_order_relaxed);
}

static void run_inline(long tasks, kv_task task, void* context) {
  for (long i = 0; i < tasks; i++) task(context, i, 0);
}

void kv_parallel(long tasks, kv_task task, void* context) {
  int threads = kv_threads();
  if (tasks <= 1 || threads == 1 || inside || tasks > MAX_TASKS || pthread_mutex_trylock(&lock) != 0) {
    run_inline(tasks, task, context);
    return;
  }
  inside = true;
  // Again under the lock, which a change of the number takes too.
  threads = atomic_load_explicit(&in_use, memory_order_relaxed);
  atomic_store_explicit(&job.threads, threads, memory_order_relaxed);
  uint32_t epoch = atomic_load_explicit(&job.epoch, memory_order_relaxed) + 1;
  uint64_t tag = (uint64_t)(epoch & 0xffff) << 48;
  job.task = task;
  job.context = context;
  atomic_store_explicit(&job.done, 0, memory_order_relaxed);
  for (int t = 0; t < threads; t++) {
    uint64_t next = (uint64_t)(tasks * t / threads), end = (uint64_t)(tasks * (t + 1) / threads);
    atomic_store_explicit(&shares[t].claim, tag | next << 24 | end, memory_order_release);
  }
  atomic_store(&job.epoch, epoch);
  if (atomic_load(&job.sleepers) > 0) {
    syscall(SYS_futex, &job.epoch, FUTEX_WAKE_PRIVATE, MAX_THREADS, NULL, NULL, 0);
  }
  work(epoch, 0);
  int spins = 0;
  while (atomic_load_explicit(&job.done, memory_order_acquire) < tasks) {
    if (++spins < 2000) {
      pause_briefly();
    } else {
      sched_yield();
    }
  }
  inside = false;
  pthread_mutex_unlock(&lock);
}

char* kv_scratch(int thread) { return scratch[thread]; }

bool kv_reserve_scratch(size_t bytes) {
  kv_threads();
  pthread_mutex_lock(&lock);
  bool fine = grow_scratch(available, bytes);
  pthread_mutex_unlock(&lock);
  return fine;
}
