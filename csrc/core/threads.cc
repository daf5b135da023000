#include "core/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <unsupported/Eigen/CXX11/ThreadPool>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/cat.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/settings.h"

namespace fusible {
namespace {

thread_local bool inside_parallel = false;

// What bench_threads shows on 2 CPUs of an EPYC under Firecracker that nothing else was on. Back to
// back, when the other thread still looks for work, two threads win from 10 us of work on: 700 KiB
// of add's traffic, 180 of rms_norm's, 75 of silu_and_mul's. After a rest, when waking it takes the
// caller 10 us and the thread another 10, from 50 us on: 3 MiB, 1 and 0.6. At the bound between, a
// call gains a quarter in the one case and loses a quarter to a third in the other.
constexpr int64_t kBytesPerThread = 1536 << 10;
std::atomic<int64_t> bytes_per_thread{kBytesPerThread};

// The pool has one thread less than its count: the caller works too. They start with the first call
// that is worth them.
class Pool {
 public:
  static Pool& Get() {
    alignas(Pool) static unsigned char memory[sizeof(Pool)];
    static Pool* pool = [] {
      Pool* made = new (memory) Pool(0);
#if defined(__unix__) || defined(__APPLE__)
      // A forked child has no workers: it forgets them, leaking their memory, and starts its own.
      pthread_atfork(nullptr, nullptr, [] {
        const int threads = pool->threads_.load(std::memory_order_relaxed);
        new (memory) Pool(threads);
      });
#endif
      return made;
    }();
    return *pool;
  }

  int Threads() {
    const int threads = threads_.load(std::memory_order_relaxed);
    return threads > 0 ? threads : ChooseThreads();
  }

  // With one thread the workers sleep on; they are there when there are more again.
  void Resize(int threads) {
    const std::lock_guard lock(mutex_);
    if (workers_ && threads > 1 && workers_->NumThreads() != threads - 1) workers_.reset();
    threads_.store(threads, std::memory_order_relaxed);
  }

  // Counts the caller and the helpers that it gets: at most `wanted`, and none that would make more
  // threads busy than the pool has. So calls at once from many threads, of Python or of another
  // library's parallel region, run on one thread each.
  int Enter(int wanted) {
    const int free = Threads() - 1;
    int busy = busy_.load(std::memory_order_relaxed), helpers = 0;
    do {
      helpers = std::clamp(free - busy, 0, wanted);
    } while (!busy_.compare_exchange_weak(busy, busy + 1 + helpers, std::memory_order_relaxed));
    return helpers;
  }

  void Leave(int helpers) { busy_.fetch_sub(1 + helpers, std::memory_order_relaxed); }

  std::shared_ptr<Eigen::ThreadPool> Workers() {
    const std::lock_guard lock(mutex_);
    if (!workers_) workers_ = std::make_shared<Eigen::ThreadPool>(std::max(Threads() - 1, 1));
    return workers_;
  }

 private:
  explicit Pool(int threads) : threads_(threads) {}

  int ChooseThreads() {
    const int chosen = ThreadsSetting().value_or(UsableCpus());
    int unset = 0;
    return threads_.compare_exchange_strong(unset, chosen) ? chosen : unset;
  }

  std::atomic<int> threads_;  // 0: not chosen so far
  std::atomic<int> busy_{0};
  std::mutex mutex_;
  std::shared_ptr<Eigen::ThreadPool> workers_;
};

// The caller's place among the busy threads, and its helpers'.
class Share {
 public:
  explicit Share(int wanted) : helpers_(Pool::Get().Enter(wanted)) {}
  ~Share() { Pool::Get().Leave(helpers_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;
  int helpers() const { return helpers_; }

 private:
  const int helpers_;
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

  void Rethrow() const {
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

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// What a caller waits for. Helpers end at about the same time as the caller, so that it looks for a
// while, some 20 us, before it sleeps: to be woken takes as long.
class Helpers {
 public:
  explicit Helpers(int count) : running_(count), done_(count) {}

  void End() {
    running_.fetch_sub(1, std::memory_order_release);
    done_.Notify();
  }

  void Wait() {
    for (int i = 0; i < kLooks && running_.load(std::memory_order_acquire) > 0; ++i) Pause();
    done_.Wait();
  }

 private:
  static constexpr int kLooks = 1000;

  std::atomic<int> running_;
  Eigen::Barrier done_;  // keeps this alive until the last helper has let go of it
};

void RunOn(int count, Job&& job) {
  const auto workers = Pool::Get().Workers();
  Helpers helpers(count);
  const int caller_cpu = CurrentCpu();
  for (int i = 0; i < count; ++i) {
    try {
      workers->Schedule([&] {
        // The scheduler may wake this thread on its caller's CPU, though another one is idle, and
        // stop the caller for it, call after call.
        if (CurrentCpu() == caller_cpu) LeaveCpu(caller_cpu);
        job.Work();
        helpers.End();
      });
    } catch (const std::bad_alloc&) {
      helpers.End();  // one less: those that have begun must end before `job` does
    }
  }
  job.Work();
  helpers.Wait();
  job.Rethrow();
}

}  // namespace

int64_t BytesPerThread() { return bytes_per_thread.load(std::memory_order_relaxed); }

int64_t SetBytesPerThread(int64_t bytes) {
  if (bytes < 1) throw ArgumentError(Cat("bytes per thread: expected at least 1, got ", bytes));
  return bytes_per_thread.exchange(bytes, std::memory_order_relaxed);
}

int ThreadCount() { return Pool::Get().Threads(); }

void SetThreadCount(int n) {
  if (n < 1 || n > 1024) throw ArgumentError(Cat("threads: expected 1 to 1024, got ", n));
  Pool::Get().Resize(n);
}

void ParallelFor(int64_t n, int64_t grain, RangeFn fn) {
  if (n <= 0) return;
  if (n <= grain || inside_parallel) return fn(0, n);
  const int threads = ThreadCount();
  if (threads == 1) return fn(0, n);
  grain = std::max(grain, int64_t{1});
  const Share share(static_cast<int>(std::min<int64_t>(threads, (n + grain - 1) / grain)) - 1);
  if (share.helpers() == 0) return fn(0, n);
  RunOn(share.helpers(), Job(n, ChunkOf(n, grain, share.helpers() + 1), fn));
}

#if defined(__x86_64__)

namespace {

constexpr unsigned kDefault = 0x1f80, kRaised = 0x3f;  // the low bits only tell what has happened

}  // namespace

// Writing the register takes 10 times as long as reading it, and it is mostly as it should be.
FloatEnvironment::FloatEnvironment() : saved_(_mm_getcsr()) {
  if ((saved_ & ~kRaised) != kDefault) _mm_setcsr(kDefault);
}

FloatEnvironment::~FloatEnvironment() {
  if (_mm_getcsr() != saved_) _mm_setcsr(saved_);
}

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
