// The parts of one ParallelFor, and who runs them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <exception>
#include <mutex>

#include "core/helpers.h"
#include "core/threads.h"

namespace fusible {

// Each thread has a part of the whole, the same from call to call, so that what it finds in its
// caches is what it left there: rows of the one operator are those of the next. It runs its ranges
// in order, then those that others have not begun. The first range of a part is nobody else's, so
// that a part of one range is run without a word to others: what its thread does not begin the
// caller takes back, and runs as that thread.
class alignas(64) Job final : public Work {  // what all read is in one cache line
 public:
  Job(int64_t n, int64_t range, int threads, RangeFn fn);

  void Run(int place) override;
  void Rethrow() const;    // the first exception of all threads
  static bool IsInside();  // whether this thread runs a range

 private:
  static constexpr int kMostParts = 64;  // more threads share them
  struct alignas(64) Part {              // a cache line
    int64_t taken;                       // ranges; set for as many parts as there are
  };

  int64_t FirstRange(int part) const { return ranges_ * part / parts_; }
  void RunRange(int64_t range) const;
  void RunRest(int part);
  void RunAs(int place);

  const int parts_;
  const int64_t n_, range_, ranges_;
  const RangeFn fn_;
  std::atomic<bool> failed_{false};
  std::array<Part, kMostParts> part_;
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace fusible
