// The one thread pool, and the floating-point environment every kernel runs in.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>

namespace fusible {

int ThreadCount();           // FUSIBLE_THREADS, else the CPUs this process may use
void SetThreadCount(int n);  // ArgumentError unless n >= 1; not while work runs

// Less traffic than this, of an operator of cost 1, is not worth a thread. Benchmarks and tests set
// it before the calls that it is for: a call like an earlier one keeps to what was found for that.
int64_t BytesPerThread();
int64_t SetBytesPerThread(int64_t bytes);  // returns what it was

// A borrowed callable: no allocation, valid during the call only.
class RangeFn {
 public:
  template <class F>
  RangeFn(const F& f)  // NOLINT: made from a lambda at the call
      : object_(std::addressof(f)), call_([](const void* object, int64_t begin, int64_t end) {
          (*static_cast<const F*>(object))(begin, end);
        }) {}
  void operator()(int64_t begin, int64_t end) const { call_(object_, begin, end); }
  const void* object() const { return object_; }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t, int64_t);
};

// The grain of work whose order counts: one range on one thread.
inline constexpr int64_t kUnsplit = std::numeric_limits<int64_t>::max();

// Calls fn on ranges that cover [0, n), on up to ThreadCount() threads, the caller's among them,
// and on fewer where other callers keep them busy. `grain`: how much of n is worth waking a thread
// for; one that is awake gets less. Returns when all are done; rethrows the first exception. Inside
// a range, another ParallelFor runs on its own thread alone.
void ParallelFor(int64_t n, int64_t grain, RangeFn fn);

// Default rounding and no flush-to-zero while it lives; restores the caller's environment.
class FloatEnvironment {
 public:
  FloatEnvironment();
  ~FloatEnvironment();
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
  uint32_t saved_;
};

}  // namespace fusible
