#include "core/helpers.h"

#include <chrono>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace fusible {
namespace {

// Longer than what lies between two operators that are called from Python, shorter than what others
// on this CPU would feel. To wake a thread takes 20 to 50 us.
constexpr std::chrono::microseconds kLooking{100};
// A caller waits for helpers that are at their last range, about as long as being woken would take.
constexpr std::chrono::microseconds kWaiting{20};

void Pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Looks at a state until it is as wanted or time is over; gives what it has seen last.
template <class Wanted>
uint32_t Look(const std::atomic<uint32_t>& state, std::chrono::microseconds time, Wanted wanted) {
  using Clock = std::chrono::steady_clock;
  constexpr int kLooks = 32;  // to one reading of the clock, which takes as long as some of them
  const Clock::time_point until = Clock::now() + time;
  uint32_t seen = state.load(std::memory_order_acquire);
  while (!wanted(seen)) {
    for (int i = 0; i < kLooks && !wanted(seen); ++i) {
      Pause();
      seen = state.load(std::memory_order_acquire);
    }
    if (Clock::now() >= until) break;
  }
  return seen;
}

}  // namespace

uint32_t Helper::OfferIn(Phase phase, Work& work, int place) {
  uint32_t state = state_.load(std::memory_order_relaxed);
  if (PhaseOf(state) != phase) return 0;
  const uint32_t next = state + kPhases;
  if (!state_.compare_exchange_strong(state, InPhase(next, kClaimed))) return 0;
  work_ = &work;
  place_ = place;
  state_.store(InPhase(next, kOffered), std::memory_order_release);
  return InPhase(next, kOffered);
}

void Helper::Finish(uint32_t offer) {
  uint32_t expected = offer;
  if (state_.compare_exchange_strong(expected, InPhase(offer, kFree))) return;
  const uint32_t running = InPhase(offer, kRunning);
  Look(state_, kWaiting, [=](uint32_t state) { return state != running; });
  state_.wait(running, std::memory_order_acquire);
}

void Helper::Sleep(uint32_t offer) { state_.store(InPhase(offer, kAsleep)); }

bool Helper::Begin(uint32_t offered) {
  return state_.compare_exchange_strong(offered, InPhase(offered, kRunning));
}

void Helper::Serve() {
  for (;;) {
    uint32_t state =
        Look(state_, kLooking, [](uint32_t seen) { return PhaseOf(seen) == kOffered; });
    if (PhaseOf(state) == kFree) {
      if (state_.compare_exchange_strong(state, InPhase(state, kAsleep))) return;
    }
    if (PhaseOf(state) != kOffered || !Begin(state)) continue;  // claimed, or taken back
    // The scheduler may wake this thread on its caller's CPU, though another one is idle, and stop
    // the caller for it, call after call.
    if (CurrentCpu() == work_->caller_cpu()) LeaveCpu(work_->caller_cpu());
    work_->Run(place_);
    // Sequentially consistent: the look for a caller that sleeps must not come before.
    state_.store(InPhase(state, kFree));
    state_.notify_all();
  }
}

}  // namespace fusible
