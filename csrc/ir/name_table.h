// Names and what each stands for, in one piece of memory: a graph may have a hundred thousand.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace fusible {

// Does not hold the names' text.
class NameTable {
 public:
  // expected: how many names there will be; more are possible.
  explicit NameTable(size_t expected = 0);

  // What the name stands for, if it is there.
  std::optional<int32_t> Find(std::string_view name) const;
  // False, and nothing changes, where the name is there already.
  bool Insert(std::string_view name, int32_t meaning);

 private:
  struct Slot {
    std::string_view name;
    int32_t meaning = -1;
    bool used = false;
  };
  size_t IndexOf(std::string_view name) const;  // where it is, or would be

  std::vector<Slot> slots_;  // by the hash of the name; half of them at least are not used
  size_t used_ = 0;
};

}  // namespace fusible
