// ParallelFor from many threads at once, over ranges of every size, some of which fail, with rests
// in which helpers fall asleep: each index must run once, and no more than once where a call fails.
//   calls_at_once THREADS CALLERS CALLS
// Says how many calls went wrong, failed as they should, and had help; exits with 1 where one went
// wrong or none had help.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/threads.h"

namespace fusible {
namespace {

constexpr int64_t kMostIndices = 4000;

struct Failure : std::runtime_error {
  Failure() : std::runtime_error("as it should") {}
};

struct Counts {
  std::atomic<int64_t> wrong = 0, failed = 0, helped = 0;
};

class Caller {
 public:
  Caller(int seed, Counts& counts) : random_(seed), counts_(counts), runs_(kMostIndices) {}

  void Calls(int count) {
    for (int i = 0; i < count; ++i) {
      Call();
      if (Below(500) == 0) std::this_thread::sleep_for(std::chrono::microseconds(Below(400)));
    }
  }

 private:
  int64_t Below(int64_t limit) { return static_cast<int64_t>(random_() % limit); }

  void Call() {
    const int64_t n = 1 + Below(Below(8) == 0 ? kMostIndices : 40), grain = 1 + Below(16);
    const int64_t failing = Below(16) == 0 ? Below(n) : -1;
    std::fill_n(runs_.begin(), n, 0);
    bool failed = false;
    try {
      ParallelFor(n, grain, [&](int64_t begin, int64_t end) { Run(begin, end, failing); });
    } catch (const Failure&) {
      failed = true;
    }
    Count(n, failing >= 0, failed);
  }

  void Run(int64_t begin, int64_t end, int64_t failing) {
    if (std::this_thread::get_id() != caller_) helped_.store(true, std::memory_order_relaxed);
    for (int64_t i = begin; i < end; ++i) {
      ++runs_[i];  // a race where two threads have it
      if (i == failing) throw Failure();
    }
  }

  void Count(int64_t n, bool should_fail, bool failed) {
    const auto right = [&](int runs) { return runs == 1 || (failed && runs == 0); };
    const bool all = std::all_of(runs_.begin(), runs_.begin() + n, right);
    counts_.wrong += failed != should_fail || !all;
    counts_.failed += failed;
    counts_.helped += helped_.exchange(false);
  }

  std::mt19937 random_;
  Counts& counts_;
  std::vector<int> runs_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> helped_ = false;
};

int Main(int threads, int callers, int calls) {
  SetThreadCount(threads);
  Counts counts;
  {
    std::vector<std::jthread> all;
    for (int i = 0; i < callers; ++i) all.emplace_back([&, i] { Caller(i, counts).Calls(calls); });
  }
  std::printf("%d threads, %d callers: %lld wrong, %lld failed, %lld helped\n", threads, callers,
              static_cast<long long>(counts.wrong), static_cast<long long>(counts.failed),
              static_cast<long long>(counts.helped));
  return counts.wrong != 0 || counts.helped == 0;
}

}  // namespace
}  // namespace fusible

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("calls_at_once THREADS CALLERS CALLS\n", stderr);
    return 2;
  }
  return fusible::Main(std::atoi(words[1]), std::atoi(words[2]), std::atoi(words[3]));
}
