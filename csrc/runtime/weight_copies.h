// Copies of weights in the layout that some step needs, made once for all plans of an executable.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

#include "core/arena.h"
#include "runtime/row_plan.h"

namespace fusible {

class WeightCopies {
 public:
  using Copy = std::shared_ptr<const Buffer>;

  // Without gaps, the elements of weight number `weight` that lie as `layout` says from byte
  // `offset` of `data` on.
  Copy Get(int weight, int64_t offset, const ArrayLayout& layout, const std::byte* data);

  // The same of a matrix without gaps in its rows, as kernels::PackWeight leaves it.
  Copy GetPacked(int weight, int64_t offset, const ArrayLayout& layout, const std::byte* data);

 private:
  struct Entry {
    int weight;
    int64_t offset;
    ArrayLayout layout;
    bool packed;
    Copy buffer;
  };
  template <class Make>
  Copy Find(Entry entry, const Make& make);

  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace fusible
