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

// One thread, for any number of callers. What a helper has not begun when its caller is done is
// taken back: one that comes late costs nothing. Each has a cache line of its own to look at.
class alignas(64) Helper {
 public:
  // Offers work to a helper that is awake and free. Returns what Finish asks for, or 0.
  uint32_t Offer(Work& work, int place) { return OfferIn(kFree, work, place); }
  // The same to one that sleeps: a thread must be sent to Serve, or Sleep be called.
  uint32_t OfferAsleep(Work& work, int place) { return OfferIn(kAsleep, work, place); }
  // Takes back what has not begun; else returns when it has ended.
  void Finish(uint32_t offer);
  // No thread will come for this offer.
  void Sleep(uint32_t offer);

  // Runs work until there is none for a while; then the helper sleeps.
  void Serve();

 private:
  enum Phase : uint32_t { kAsleep, kFree, kClaimed, kOffered, kRunning };
  static constexpr uint32_t kPhases = 8;  // the step from an offer to the next

  static Phase PhaseOf(uint32_t state) { return static_cast<Phase>(state % kPhases); }
  static uint32_t InPhase(uint32_t state, Phase phase) { return state - state % kPhases + phase; }

  uint32_t OfferIn(Phase phase, Work& work, int place);
  bool Begin(uint32_t offered);

  // The phase, and above it the number of the offer, so that nobody takes the next for this one.
  std::atomic<uint32_t> state_{kAsleep};
  // Written while claimed, read while running.
  Work* work_ = nullptr;
  int place_ = 0;
};

}  // namespace fusible
