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
  // Without gaps, the elements of weight number `weight` that lie as `layout` says from byte
  // `offset` of `data` on.
  std::shared_ptr<const Buffer> Get(int weight, int64_t offset, const ArrayLayout& layout,
                                    const std::byte* data);

 private:
  struct Entry {
    int weight;
    int64_t offset;
    ArrayLayout layout;
    std::shared_ptr<const Buffer> buffer;
  };
  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace fusible
