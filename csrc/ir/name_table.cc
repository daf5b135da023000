#include "ir/name_table.h"

#include <bit>
#include <functional>
#include <utility>

namespace fusible {

NameTable::NameTable(size_t expected) : slots_(std::bit_ceil(2 * expected + 8)) {}

std::optional<int32_t> NameTable::Find(std::string_view name) const {
  const Slot& slot = slots_[IndexOf(name)];
  return slot.used ? std::optional(slot.meaning) : std::nullopt;
}

bool NameTable::Insert(std::string_view name, int32_t meaning) {
  if (2 * used_ >= slots_.size()) {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
    for (const Slot& slot : old) {
      if (slot.used) slots_[IndexOf(slot.name)] = slot;
    }
  }
  Slot& slot = slots_[IndexOf(name)];
  if (slot.used) return false;
  slot = {name, meaning, true};
  ++used_;
  return true;
}

size_t NameTable::IndexOf(std::string_view name) const {
  const size_t mask = slots_.size() - 1;
  size_t at = std::hash<std::string_view>()(name) & mask;
  while (slots_[at].used && slots_[at].name != name) at = (at + 1) & mask;
  return at;
}

}  // namespace fusible
