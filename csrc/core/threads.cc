#include "core/threads.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <unsupported/Eigen/CXX11/ThreadPool>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "core/cat.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/helpers.h"
#include "core/ready_threads.h"
#include "core/settings.h"

namespace fusible {
namespace {

thread_local bool inside_parallel = false;

constexpr int kMostThreads = 1024;

// What bench_threads shows on 2 CPUs of an EPYC under Firecracker that nothing else was on: with a
// helper that is awake, two threads win from 10 us of work on: 200 KiB of add's traffic, 64 of
// rms_norm's, 48 of silu_and_mul's. To wake one takes the caller 10 us, and the helper comes after
// 20 to 50: that is worth 50 us of work on: 3 MiB, 1 and 0.6. At this bound, between the two, a
// call after a rest loses a quarter at most.
constexpr int64_t kBytesPerThread = 1536 << 10;
std::atomic<int64_t> bytes_per_thread{kBytesPerThread};

// A thread that is awake already is worth having for so many times less.
constexpr int64_t kAwakeShare = 8;
// Calls that follow each other so soon will be followed by more: for them a helper is woken too.
constexpr std::chrono::microseconds kSoon{100};

// Threads, as many as there were to be had, and their places.
class Crew {
 public:
  explicit Crew(int wanted) : Crew(wanted, ReadyThreads(wanted)) {}

  int wanted() const { return wanted_; }
  std::span<Helper> helpers() { return helpers_; }

  // Sends a thread to a helper that sleeps; false where that takes memory that there is not.
  bool Wake(Helper& helper, uint32_t offer) {
    try {
      threads_->Schedule([&helper] { helper.Serve(); });
      return true;
    } catch (const std::bad_alloc&) {
      helper.Sleep(offer);
      return false;
    }
  }

 private:
  Crew(int wanted, ReadyThreads ready) : wanted_(wanted), helpers_(ready.count()) {
    ready.MakeRoom();
    if (ready.count() > 0) threads_.emplace(ready.count(), /*allow_spinning=*/true, ready);
  }

  const int wanted_;
  std::vector<Helper> helpers_;
  std::optional<Eigen::ThreadPoolTempl<ReadyThreads>> threads_;  // ends first
};

// The pool has one thread less than its count: the caller works too. They start with the first call
// that is worth them.
class Pool {
  using Clock = std::chrono::steady_clock;
  static constexpr auto relaxed = std::memory_order_relaxed;

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
    const bool other = crew_ && crew_->wanted() != threads - 1;
    if (other && threads > 1) crew_.reset();
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

  // Those that there are; nullptr before the first call that is worth waking one.
  std::shared_ptr<Crew> Workers(bool start) {
    const std::lock_guard lock(mutex_);
    if (!crew_ && start) crew_ = std::make_shared<Crew>(Threads() - 1);
    return crew_;
  }

  // Whether the last call of this kind ended just now.
  bool IsSoon() const {
    return Clock::now().time_since_epoch() - Clock::duration(ended_.load(relaxed)) < kSoon;
  }
  void NoteEnd() { ended_.store(Clock::now().time_since_epoch().count(), relaxed); }

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
  std::shared_ptr<Crew> crew_;
  std::atomic<Clock::rep> ended_{0};
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

// The shared state of one ParallelFor. Each thread has a part of the whole, the same from call to
// call, so that what it finds in its caches is what it left there: rows of the one operator are
// those of the next. It takes its ranges in order, then those that others have not begun.
class Job final : public Work {
 public:
  Job(int64_t n, int64_t range, int threads, RangeFn fn)
      : n_(n), range_(range), parts_(std::min(threads, kMostParts)), fn_(fn) {}

  void Run(int place) override {
    const FloatEnvironment environment;
    inside_parallel = true;
    try {
      for (int i = 0; i < parts_; ++i) RunPart((place + i) % parts_);
    } catch (...) {
      for (Part& part : part_) part.taken.store(n_, std::memory_order_relaxed);
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_parallel = false;
  }

  void Rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  static constexpr int kMostParts = 64;  // more threads share them
  struct alignas(64) Part {              // a cache line
    std::atomic<int64_t> taken{0};       // ranges
  };

  int64_t FirstRange(int part) const { return (n_ + range_ - 1) / range_ * part / parts_; }

  void RunPart(int part) {
    const int64_t first = FirstRange(part), count = FirstRange(part + 1) - first;
    for (;;) {
      const int64_t taken = part_[part].taken.fetch_add(1, std::memory_order_relaxed);
      if (taken >= count) return;
      const int64_t begin = (first + taken) * range_;
      fn_(begin, std::min(begin + range_, n_));
    }
  }

  const int64_t n_, range_;
  const int parts_;
  const RangeFn fn_;
  std::array<Part, kMostParts> part_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

// Several ranges a thread even out noisy neighbours, where each is still worth some microseconds.
int64_t RangeOf(int64_t n, int64_t least, int threads) {
  constexpr int64_t kRangesPerThread = 4;
  const int64_t worth = n / (least * threads / kRangesPerThread + 1);
  const int64_t ranges = threads * std::clamp<int64_t>(worth, 1, kRangesPerThread);
  return (n + ranges - 1) / ranges;
}

// Runs a job on this thread, on up to `awake` helpers that are awake and free, and where these are
// less than `woken` on some that are woken.
void RunOn(int awake, int woken, Job&& job) {
  const auto crew = Pool::Get().Workers(woken > 0);
  std::array<uint32_t, kMostThreads> offers;
  const std::span<Helper> helpers = crew ? crew->helpers() : std::span<Helper>();
  int helping = 0;
  for (size_t i = 0; i < helpers.size(); ++i) {
    offers[i] = helping < awake ? helpers[i].Offer(job, helping + 1) : 0;
    helping += offers[i] != 0;
  }
  for (size_t i = 0; i < helpers.size() && helping < woken; ++i) {
    if (offers[i] != 0) continue;
    offers[i] = helpers[i].OfferAsleep(job, helping + 1);
    if (offers[i] != 0 && !crew->Wake(helpers[i], offers[i])) offers[i] = 0;
    helping += offers[i] != 0;
  }
  job.Run(0);
  for (size_t i = 0; i < helpers.size(); ++i) {
    if (offers[i] != 0) helpers[i].Finish(offers[i]);
  }
  job.Rethrow();
}

int Parts(int64_t n, int64_t size, int most) {
  return static_cast<int>(std::min<int64_t>(most, (n + size - 1) / size));
}

// On several threads; `grain` is worth waking one, `least` having one that is awake.
void RunParallel(int64_t n, int64_t grain, int64_t least, RangeFn fn) {
  Pool& pool = Pool::Get();
  const Share share(Parts(n, least, pool.Threads()) - 1);
  if (share.helpers() == 0) return fn(0, n);
  const int threads = share.helpers() + 1;
  const int worth = Parts(n, pool.IsSoon() ? least : grain, threads) - 1;
  RunOn(share.helpers(), worth, Job(n, RangeOf(n, least, threads), threads, fn));
  pool.NoteEnd();
}

}  // namespace

int64_t BytesPerThread() { return bytes_per_thread.load(std::memory_order_relaxed); }

int64_t SetBytesPerThread(int64_t bytes) {
  if (bytes < 1) throw ArgumentError(Cat("bytes per thread: expected at least 1, got ", bytes));
  return bytes_per_thread.exchange(bytes, std::memory_order_relaxed);
}

int ThreadCount() { return Pool::Get().Threads(); }

void SetThreadCount(int n) {
  if (n < 1 || n > kMostThreads)
    throw ArgumentError(Cat("threads: expected 1 to ", kMostThreads, ", got ", n));
  Pool::Get().Resize(n);
}

void ParallelFor(int64_t n, int64_t grain, RangeFn fn) {
  if (n <= 0) return;
  grain = std::max(grain, int64_t{1});
  const int64_t least = grain / kAwakeShare + (grain % kAwakeShare != 0);
  if (n <= least || inside_parallel || ThreadCount() == 1) return fn(0, n);
  RunParallel(n, grain, least, fn);
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
