#include "core/threads.h"

#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <unsupported/Eigen/CXX11/ThreadPool>

#if defined(__linux__)
#include <sched.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/cat.h"
#include "core/error.h"
#include "core/settings.h"

namespace fusible {
namespace {

thread_local bool inside_parallel = false;

int UsableCpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
#endif
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// The pool has one thread less than ThreadCount(): the caller works too.
struct Pool {
  std::mutex mutex;
  int threads = 0;
  std::shared_ptr<Eigen::ThreadPool> workers;

  static Pool& Get() {
    alignas(Pool) static unsigned char memory[sizeof(Pool)];
    static Pool* pool = [] {
      Pool* made = new (memory) Pool();
#if defined(__unix__) || defined(__APPLE__)
      // A forked child has no workers: it forgets the pool, leaking its memory, and starts its own.
      pthread_atfork(nullptr, nullptr, [] { new (memory) Pool(); });
#endif
      return made;
    }();
    return *pool;
  }

  void Resize(int n) {
    workers.reset();
    threads = n;
    if (n > 1) workers = std::make_shared<Eigen::ThreadPool>(n - 1);
  }

  std::pair<int, std::shared_ptr<Eigen::ThreadPool>> Acquire() {
    const std::lock_guard lock(mutex);
    if (threads == 0) Resize(ThreadsSetting().value_or(UsableCpus()));
    return {threads, workers};
  }
};

// The shared state of one ParallelFor: ranges are taken in order by whoever is free.
class Job {
 public:
  Job(int64_t n, int64_t chunk, RangeFn fn) : n_(n), chunk_(chunk), fn_(fn) {}

  void Work() {
    const FloatEnvironment environment;
    inside_parallel = true;
    try {
      for (;;) {
        const int64_t begin = next_.fetch_add(chunk_, std::memory_order_relaxed);
        if (begin >= n_) break;
        fn_(begin, std::min(begin + chunk_, n_));
      }
    } catch (...) {
      next_.store(n_, std::memory_order_relaxed);
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel = false;
  }

  void Finish() {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  const int64_t n_, chunk_;
  const RangeFn fn_;
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Several ranges a thread even out noisy neighbours; each stays a multiple of the grain.
int64_t ChunkOf(int64_t n, int64_t grain, int threads) {
  constexpr int64_t kRangesPerThread = 4;
  const int64_t even = (n + threads * kRangesPerThread - 1) / (threads * kRangesPerThread);
  return (std::max(even, int64_t{1}) + grain - 1) / grain * grain;
}

}  // namespace

int ThreadCount() { return Pool::Get().Acquire().first; }

void SetThreadCount(int n) {
  if (n < 1 || n > 1024) throw ArgumentError(Cat("threads: expected 1 to 1024, got ", n));
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  pool.Resize(n);
}

void ParallelFor(int64_t n, int64_t grain, RangeFn fn) {
  if (n <= 0) return;
  if (n <= grain || inside_parallel) return fn(0, n);
  const auto [threads, workers] = Pool::Get().Acquire();
  const int64_t chunk = ChunkOf(n, std::max(grain, int64_t{1}), threads);
  const int helpers = static_cast<int>(std::min<int64_t>(threads, (n + chunk - 1) / chunk)) - 1;
  if (helpers < 1) return fn(0, n);
  Job job(n, chunk, fn);
  Eigen::Barrier done(helpers);
  for (int i = 0; i < helpers; ++i) {
    workers->Schedule([&] {
      job.Work();
      done.Notify();
    });
  }
  job.Work();
  done.Wait();
  job.Finish();
}

#if defined(__x86_64__)

FloatEnvironment::FloatEnvironment() : saved_(_mm_getcsr()) { _mm_setcsr(0x1f80); }

FloatEnvironment::~FloatEnvironment() { _mm_setcsr(saved_); }

#elif defined(__aarch64__)

FloatEnvironment::FloatEnvironment() {
  uint64_t fpcr;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  saved_ = static_cast<uint32_t>(fpcr);
  asm volatile("msr fpcr, %0" : : "r"(uint64_t{0}));
}

FloatEnvironment::~FloatEnvironment() {
  asm volatile("msr fpcr, %0" : : "r"(static_cast<uint64_t>(saved_)));
}

#else
#error "fusible: the floating-point environment of this CPU is not known"
#endif

}  // namespace fusible
