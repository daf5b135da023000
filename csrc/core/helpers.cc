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

void Helper::Offer(Work& work, const void* reads, int place) {
  work_.store(&work, std::memory_order_relaxed);
  reads_.store(reads, std::memory_order_relaxed);
  place_.store(place, std::memory_order_relaxed);
  phase_.store(kOffered, std::memory_order_release);
}

bool Helper::TakeBack() {
  uint32_t offered = kOffered;
  return phase_.load(std::memory_order_relaxed) == kOffered &&
         phase_.compare_exchange_strong(offered, kFree);
}

void Helper::Finish() {
  Look(phase_, kWaiting, [](uint32_t phase) { return phase != kRunning; });
  phase_.wait(kRunning, std::memory_order_acquire);
  claimed_.store(false, std::memory_order_release);
}

// Asks for what the work begins with while the line is made this core's own.
bool Helper::Begin() {
  uint32_t offered = kOffered;
  __builtin_prefetch(work_.load(std::memory_order_relaxed));
  __builtin_prefetch(reads_.load(std::memory_order_relaxed));
  return phase_.compare_exchange_strong(offered, kRunning);
}

void Helper::Serve() {
  while (Look(phase_, kLooking, [](uint32_t phase) { return phase == kOffered; }) == kOffered) {
    if (!Begin()) continue;  // taken back
    Work& work = *work_.load(std::memory_order_relaxed);
    // The scheduler may wake this thread on its caller's CPU, though another one is idle, and stop
    // the caller for it, call after call.
    if (CurrentCpu() == work.caller_cpu()) LeaveCpu(work.caller_cpu());
    work.Run(place_.load(std::memory_order_relaxed));
    // Sequentially consistent: the look for a caller that sleeps must not come before.
    phase_.store(kFree);
    phase_.notify_all();
  }
  Sleep();
}

}  // namespace fusible
