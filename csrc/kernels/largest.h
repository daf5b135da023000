// The k largest elements of a row without sorting it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fusible::kernels {

// An element's value and index as one number, the greater the earlier the element comes: larger
// values first, among equal ones the lower index. NaN counts as larger than every number; zeros of
// either sign are equal.
inline uint64_t RankOf(float value, size_t index) {
  const auto bits = std::bit_cast<uint32_t>(value + 0.0f);  // -0 becomes 0
  const uint32_t ordered = bits >> 31 ? ~bits : bits | 0x80000000;
  const uint32_t order = value != value ? 0xFFFFFFFF : ordered;
  return uint64_t{order} << 32 | static_cast<uint32_t>(~index);
}

inline size_t IndexOf(uint64_t rank) { return static_cast<uint32_t>(~rank); }

// Of a NaN some NaN.
inline float ValueOf(uint64_t rank) {
  const auto order = static_cast<uint32_t>(rank >> 32);
  return std::bit_cast<float>(order >> 31 ? order & 0x7FFFFFFF : ~order);
}

// Elements come one by one; those that can no longer be among the k largest are refused or dropped
// whenever the room (twice k, and some) is full. So a row costs a pass over it and a few selections
// among 2k; in random order all but some k ln(n / k) elements are refused by one comparison.
class Largest {
 public:
  void Reset(size_t k);

  void Add(uint64_t rank) {
    if (rank <= least_) return;
    ranks_[count_++] = rank;
    if (count_ == ranks_.size()) KeepLargest();
  }

  // Elements that are not larger than this would be refused; NaN: none is refused yet.
  float bound() const { return bound_; }

  // Of the elements added (at least k), the k largest.
  std::span<const uint64_t> ByValue();
  std::span<const uint64_t> ByIndex();

 private:
  void KeepLargest();

  std::vector<uint64_t> ranks_;
  size_t k_ = 0, count_ = 0;
  uint64_t least_ = 0;
  float bound_ = 0;
};

}  // namespace fusible::kernels
