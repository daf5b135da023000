// What a thread of the pool is while it helps callers: awake for a while after each work, for that
// is when the next one comes.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpus.h"

namespace fusible {

// What helpers run. It lives on the caller's stack until Helper::Finish has returned.
class Work {
 public:
  Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  // As one of its threads: 0 is the caller, the others count from 1. Does not throw.
  virtual void Run(int place) = 0;
  int caller_cpu() const { return caller_cpu_; }

 protected:
  ~Work() = default;

 private:
  const int caller_cpu_ = CurrentCpu();
};

// One thread, for any number of callers, of which one at a time claims it. What a helper has not
// begun when its caller is done is taken back: one that comes late costs nothing.
//
// A line that two cores write in turns takes 100 to 300 ns each time it changes hands, so callers
// keep to a line of their own but for one that they hand over, with plain stores, and look at again
// when they are done.
class Helper {
 public:
  // The caller's, from Claim to Finish:
  bool Claim() { return !claimed_.exchange(true, std::memory_order_acquire); }
  // An offer to one that is not awake, or falls asleep just now, is one to take back.
  void Offer(Work& work, const void* reads, int place);
  bool TakeBack();  // whether it had not begun
  void Finish();    // returns when nothing runs; gives the claim up

  bool IsAwake() const { return awake_.load(std::memory_order_relaxed); }
  // Whoever has claimed one that sleeps then, and offered, wakes it: sends a thread to Serve, or
  // says that none comes.
  void Wake() { awake_.store(true, std::memory_order_relaxed); }
  void Sleep() { awake_.store(false, std::memory_order_release); }

  // Runs work until there is none for a while; then the helper sleeps.
  void Serve();

 private:
  static constexpr uint32_t kFree = 0, kOffered = 1, kRunning = 2;  // a word can be waited for

  bool Begin();

  // Callers' line, but when it falls asleep.
  alignas(64) std::atomic<bool> claimed_{false};
  std::atomic<bool> awake_{false};
  // The line that is handed over.
  alignas(64) std::atomic<uint32_t> phase_{kFree};
  std::atomic<int> place_{0};
  std::atomic<Work*> work_{nullptr};
  std::atomic<const void*> reads_{nullptr};
};

}  // namespace fusible
