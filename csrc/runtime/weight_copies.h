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
  // The copy that is there, or a new one of so many bytes, which fill(std::byte*) writes.
  template <class Fill>
  Copy Find(Entry entry, int64_t bytes, const Fill& fill);
  std::shared_ptr<std::byte> Allocate(int64_t bytes);

  std::mutex mutex_;
  std::vector<Entry> entries_;
  std::shared_ptr<Buffer> slab_;  // the last one, of which the first used_ bytes are taken
  int64_t used_ = 0;
};

}  // namespace fusible
