#include "core/threads.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
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
#include "core/job.h"
#include "core/ready_threads.h"
#include "core/settings.h"

namespace fusible {
namespace {

constexpr int kMostThreads = 1024;

// What bench_threads shows on a Zen 3 and on a Sapphire Rapids: with a helper that is awake, two
// threads win from 5 us of work on: 150 KiB of add's traffic, 64 of rms_norm's, 40 of
// silu_and_mul's. To wake one takes the caller 5 to 10 us, and the helper comes after 20 to 50:
// that is worth 40 us of work on: 1.5 MiB, 0.7 and 0.5. A call at the bound loses a tenth at most.
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

  // Sends a thread to a helper that sleeps, if there is memory for that.
  void Wake(Helper& helper) {
    helper.Wake();
    try {
      threads_->Schedule([&helper] { helper.Serve(); });
    } catch (const std::bad_alloc&) {
      helper.Sleep();
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

// Several ranges a thread even out noisy neighbours, where each is still worth some microseconds.
int64_t RangeOf(int64_t n, int64_t least, int threads) {
  constexpr int64_t kRangesPerThread = 4;
  const int64_t worth = n / (least * threads / kRangesPerThread + 1);
  const int64_t ranges = threads * std::clamp<int64_t>(worth, 1, kRangesPerThread);
  return (n + ranges - 1) / ranges;
}

int Parts(int64_t n, int64_t size, int most) {
  return static_cast<int>(std::min<int64_t>(most, (n + size - 1) / size));
}

// The helpers that one call has claimed. Run gives them back.
class Team {
 public:
  int size() const { return size_; }

  // Up to `most`, those that are awake or asleep, and free.
  void Gather(Crew& crew, int most, bool awake) {
    const std::span<Helper> helpers = crew.helpers();
    for (size_t i = 0; i < helpers.size() && size_ < most; ++i) {
      if (helpers[i].IsAwake() == awake && helpers[i].Claim()) members_[size_++] = &helpers[i];
    }
  }

  // On this thread and the members'; what they have not begun by then, on this one.
  void Run(Crew& crew, Job& job, const void* reads) {
    for (int i = 0; i < size_; ++i) members_[i]->Offer(job, reads, i + 1);
    // A thread that comes before its offer looks for one in vain, it may be on this CPU.
    for (int i = 0; i < size_; ++i) {
      if (!members_[i]->IsAwake()) crew.Wake(*members_[i]);
    }
    job.Run(0);
    for (int i = 0; i < size_; ++i) {
      if (members_[i]->TakeBack()) job.Run(i + 1);
    }
    for (int i = 0; i < size_; ++i) members_[i]->Finish();
  }

 private:
  std::array<Helper*, kMostThreads> members_;
  int size_ = 0;
};

// On several threads; `grain` is worth waking one, `least` having one that is awake.
void RunParallel(int64_t n, int64_t grain, int64_t least, RangeFn fn) {
  Pool& pool = Pool::Get();
  const Share share(Parts(n, least, pool.Threads()) - 1);
  if (share.helpers() == 0) return fn(0, n);
  std::shared_ptr<Crew> crew = pool.Workers(false);
  Team team;
  if (crew) team.Gather(*crew, share.helpers(), true);
  if (team.size() < share.helpers()) {
    const int worth = Parts(n, pool.IsSoon() ? least : grain, share.helpers() + 1) - 1;
    if (!crew && worth > 0) crew = pool.Workers(true);
    if (crew) team.Gather(*crew, worth, false);
  }
  const int threads = team.size() + 1;
  if (threads == 1) {
    fn(0, n);
  } else {
    Job job(n, RangeOf(n, least, threads), threads, fn);
    team.Run(*crew, job, fn.object());
    job.Rethrow();
  }
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
  if (n <= least || Job::IsInside() || ThreadCount() == 1) return fn(0, n);
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
