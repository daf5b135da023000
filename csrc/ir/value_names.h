// Which value has a name: a table of a few bytes a name, for graphs of a hundred thousand.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace fusible {

class ValueNames {
 public:
  // Refers to the values, which may grow; names of those that were inserted must stay.
  // expected: how many names there will be; more are possible.
  ValueNames(const std::vector<Value>& values, size_t expected);

  std::optional<ValueId> Find(std::string_view name) const;
  // False, and nothing changes, where its name is there already.
  bool Insert(ValueId value);

 private:
  struct Slot {
    uint32_t hash = 0;
    ValueId value = kAbsent;
  };
  size_t IndexOf(std::string_view name, uint32_t hash) const;  // where it is, or would be
  void Grow();

  const std::vector<Value>& values_;
  std::vector<Slot> slots_;  // by hash; half of them at least hold nothing
  size_t used_ = 0;
};

}  // namespace fusible
