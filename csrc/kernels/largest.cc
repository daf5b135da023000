#include "kernels/largest.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace fusible::kernels {

void Largest::Reset(size_t k) {
  k_ = k;
  count_ = 0;
  least_ = 0;
  bound_ = std::numeric_limits<float>::quiet_NaN();
  ranks_.resize(2 * k + 64);
}

void Largest::KeepLargest() {
  const auto first = ranks_.begin();
  std::nth_element(first, first + static_cast<int64_t>(k_) - 1,
                   first + static_cast<int64_t>(count_), std::greater());
  count_ = k_;
  least_ = ranks_[k_ - 1];
  bound_ = ValueOf(least_);
}

std::span<const uint64_t> Largest::ByValue() {
  KeepLargest();
  std::ranges::sort(ranks_.data(), ranks_.data() + k_, std::greater());
  return {ranks_.data(), k_};
}

std::span<const uint64_t> Largest::ByIndex() {
  KeepLargest();
  std::ranges::sort(ranks_.data(), ranks_.data() + k_, {}, IndexOf);
  return {ranks_.data(), k_};
}

}  // namespace fusible::kernels
