#include "core/job.h"

namespace fusible {
namespace {

thread_local bool inside_range = false;

}  // namespace

bool Job::IsInside() { return inside_range; }

Job::Job(int64_t n, int64_t range, int threads, RangeFn fn)
    : parts_(std::min(threads, kMostParts)),
      n_(n),
      range_(range),
      ranges_((n + range - 1) / range),
      fn_(fn) {
  for (int i = 0; i < parts_; ++i) part_[i].taken = 1;
}

void Job::Run(int place) {
  const FloatEnvironment environment;
  inside_range = true;
  try {
    RunAs(place);
  } catch (...) {
    failed_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
  inside_range = false;
}

void Job::RunAs(int place) {
  if (place < parts_ && FirstRange(place) < FirstRange(place + 1)) RunRange(FirstRange(place));
  if (ranges_ <= parts_) return;
  for (int i = 0; i < parts_; ++i) RunRest((place + i) % parts_);
}

void Job::RunRest(int part) {
  const int64_t first = FirstRange(part), count = FirstRange(part + 1) - first;
  const std::atomic_ref<int64_t> next(part_[part].taken);
  while (next.load(std::memory_order_relaxed) < count) {
    const int64_t taken = next.fetch_add(1, std::memory_order_relaxed);
    if (taken < count) RunRange(first + taken);
  }
}

void Job::RunRange(int64_t range) const {
  if (failed_.load(std::memory_order_relaxed)) return;
  fn_(range * range_, std::min((range + 1) * range_, n_));
}

void Job::Rethrow() const {
  if (error_) std::rethrow_exception(error_);
}

}  // namespace fusible
