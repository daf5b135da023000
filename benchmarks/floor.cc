// The time in which an operator's bytes can be moved at all: each byte that it reads is loaded
// once, each that it writes is stored once, and what it updates in place is loaded and stored.
// Compiled for the machine that it measures (-march=native); not part of the package.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<uint8_t>;
using V = hn::Vec<D>;

enum Use : int32_t { kRead = 0, kWritten = 1, kUpdated = 2 };

struct Stream {  // of one array, as benchmarks/machine.py declares it
  uint8_t* data;
  int64_t bytes;  // a multiple of kLine
  int32_t use;
};

constexpr int64_t kLine = 64;

template <bool kStreaming>
HWY_INLINE void Put(V value, uint8_t* to) {
  if constexpr (kStreaming) {
    hn::Stream(value, D(), to);
  } else {
    hn::Store(value, D(), to);
  }
}

// Moves bytes [begin, end) of a stream. What is read goes into `seen`, what is written comes from
// it, so that nothing can be left out.
template <bool kStreaming>
V Move(const Stream& s, int64_t begin, int64_t end, V seen) {
  const int64_t step = hn::Lanes(D());
  if (s.use == kWritten) {
    for (int64_t i = begin; i < end; i += step) Put<kStreaming>(seen, s.data + i);
  } else if (s.use == kRead) {
    for (int64_t i = begin; i < end; i += step) seen = hn::Xor(seen, hn::Load(D(), s.data + i));
  } else {
    for (int64_t i = begin; i < end; i += step) {
      const V value = hn::Load(D(), s.data + i);
      seen = hn::Xor(seen, value);
      Put<kStreaming>(value, s.data + i);
    }
  }
  return seen;
}

struct Pass {
  const Stream* streams;
  int64_t count, blocks;

  // Blocks [first, last): of every stream its share, in whole lines.
  template <bool kStreaming>
  uint8_t Run(int64_t first, int64_t last) const {
    V seen = hn::Zero(D());
    for (int64_t b = first; b < last; ++b) {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t lines = streams[i].bytes / kLine;
        seen = Move<kStreaming>(streams[i], lines * b / blocks * kLine,
                                lines * (b + 1) / blocks * kLine, seen);
      }
    }
    if constexpr (kStreaming) hwy::FlushStream();
    return hn::GetLane(seen);
  }
};

}  // namespace

// Seconds of one pass over `streams`, blocks being walked in order by `threads` threads, up to the
// end of the last one. Passes are not waited for one by one: that a real operator must wait is its
// own cost, not the floor's.
extern "C" __attribute__((visibility("default"))) double floor_seconds(
    const Stream* streams, int64_t count, int64_t blocks, int32_t streaming, int32_t threads,
    int64_t passes) {
  const Pass pass{streams, count, blocks};
  using Clock = std::chrono::steady_clock;
  std::atomic<int> ready = 0, kept = 0;
  std::vector<Clock::time_point> ends(threads);
  const auto work = [&](int64_t t) {
    ++ready;
    while (ready < threads) {
    }
    const int64_t first = blocks * t / threads, last = blocks * (t + 1) / threads;
    int seen = 0;
    for (int64_t p = 0; p < passes; ++p) {
      seen += streaming ? pass.Run<true>(first, last) : pass.Run<false>(first, last);
    }
    kept += seen;
    ends[t] = Clock::now();
  };
  std::vector<std::jthread> others;
  for (int32_t t = 1; t < threads; ++t) others.emplace_back(work, t);
  while (ready < threads - 1) {
  }
  const Clock::time_point start = Clock::now();
  work(0);
  others.clear();  // joins them
  const Clock::time_point end = *std::max_element(ends.begin(), ends.end());
  return std::chrono::duration<double>(end - start).count() / passes;
}
