#include "ir/value_names.h"

#include <bit>
#include <functional>
#include <utility>

namespace fusible {
namespace {

uint32_t HashOf(std::string_view name) {
  const size_t hash = std::hash<std::string_view>()(name);
  return static_cast<uint32_t>(hash ^ hash >> 32);
}

}  // namespace

ValueNames::ValueNames(const std::vector<Value>& values, size_t expected)
    : values_(values), slots_(std::bit_ceil(2 * expected + 8)) {}

std::optional<ValueId> ValueNames::Find(std::string_view name) const {
  const Slot& slot = slots_[IndexOf(name, HashOf(name))];
  return slot.value == kAbsent ? std::nullopt : std::optional(slot.value);
}

bool ValueNames::Insert(ValueId value) {
  if (2 * used_ >= slots_.size()) Grow();
  const uint32_t hash = HashOf(values_[value].name);
  Slot& slot = slots_[IndexOf(values_[value].name, hash)];
  if (slot.value != kAbsent) return false;
  slot = {hash, value};
  ++used_;
  return true;
}

size_t ValueNames::IndexOf(std::string_view name, uint32_t hash) const {
  const size_t mask = slots_.size() - 1;
  for (size_t at = hash & mask;; at = (at + 1) & mask) {
    const Slot& slot = slots_[at];
    if (slot.value == kAbsent || (slot.hash == hash && values_[slot.value].name == name)) return at;
  }
}

void ValueNames::Grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : old) {
    if (slot.value != kAbsent) slots_[IndexOf(values_[slot.value].name, slot.hash)] = slot;
  }
}

}  // namespace fusible
