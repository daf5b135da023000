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
  struct Copy {
    std::shared_ptr<const std::byte> data;
    int64_t bytes = 0;
    int number = 0;
  };

  // Without gaps, the elements of `source` that lie as `layout` says from byte `offset` of `data`
  // on. source: a weight's number, or behind those of all weights the number of a copy. data is
  // not looked at where that copy is there already.
  Copy Get(int source, int64_t offset, const ArrayLayout& layout, const std::byte* data);

  // The same of a matrix, as kernels::PackWeight leaves it.
  Copy GetPacked(int source, int64_t offset, const ArrayLayout& layout, const std::byte* data);

  // Lets GetPacked give this memory, which the caller keeps, for all of a weight without gaps.
  void UsePacked(int weight, const ArrayLayout& layout, const std::byte* packed);

  int64_t bytes();  // of those made here

 private:
  struct Entry {
    int source;
    int64_t offset;
    ArrayLayout layout;
    bool packed;
    Copy copy = {};
    bool made = true;  // here
  };
  template <class Make>
  Copy Find(Entry entry, const Make& make);

  std::mutex mutex_;
  std::vector<Entry> entries_;
};

}  // namespace fusible
