// A short list of values: what a node reads, and what it makes.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

namespace fusible {

using ValueId = int32_t;
inline constexpr ValueId kAbsent = -1;  // an optional operand that is not given

// Up to four are held in place, as most nodes have no more: a graph of fifty thousand nodes is
// copied, swept and freed without two blocks of memory a node, which no cache would hold.
class ValueIds {
 public:
  ValueIds() = default;
  ValueIds(std::initializer_list<ValueId> ids) { assign(ids.begin(), ids.end()); }
  ValueIds(const std::vector<ValueId>& ids) {  // NOLINT: a list is a list
    assign(ids.begin(), ids.end());
  }
  ValueIds(const ValueIds& other) { assign(other.begin(), other.end()); }
  ValueIds(ValueIds&& other) noexcept { swap(other); }
  ValueIds& operator=(ValueIds other) noexcept {
    swap(other);
    return *this;
  }
  ~ValueIds() = default;

  template <class Iterator>
  void assign(Iterator first, Iterator last) {  // of no part of this list
    size_ = 0;
    Reserve(last - first);
    size_ = static_cast<uint32_t>(last - first);
    std::copy(first, last, begin());
  }
  void push_back(ValueId id) {
    if (size_ == capacity_) Reserve(2 * size_t{capacity_});
    data()[size_++] = id;
  }
  void resize(size_t size, ValueId added) {
    Reserve(size);
    if (size > size_) std::fill(end(), begin() + size, added);
    size_ = static_cast<uint32_t>(size);
  }
  void clear() { size_ = 0; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  ValueId* data() { return more_ ? more_.get() : here_.data(); }
  const ValueId* data() const { return more_ ? more_.get() : here_.data(); }
  ValueId& operator[](size_t i) { return data()[i]; }
  ValueId operator[](size_t i) const { return data()[i]; }
  ValueId* begin() { return data(); }
  ValueId* end() { return data() + size_; }
  const ValueId* begin() const { return data(); }
  const ValueId* end() const { return data() + size_; }

  friend bool operator==(const ValueIds& a, const ValueIds& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr uint32_t kInPlace = 4;

  void swap(ValueIds& other) noexcept {
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    here_.swap(other.here_);
    more_.swap(other.more_);
  }
  void Reserve(size_t size) {
    if (size <= capacity_) return;
    auto more = std::make_unique<ValueId[]>(size);
    std::copy(begin(), end(), more.get());
    more_ = std::move(more);
    capacity_ = static_cast<uint32_t>(size);
  }

  uint32_t size_ = 0, capacity_ = kInPlace;
  std::array<ValueId, kInPlace> here_{};
  std::unique_ptr<ValueId[]> more_;  // all of them, where there are more
};

}  // namespace fusible
