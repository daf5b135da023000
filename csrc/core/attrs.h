// Attribute values of an operator call, ordered by name, and their text form.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/dtype.h"

namespace fusible {

using AttrValue = std::variant<int64_t, double, bool, std::string, DType, std::vector<int64_t>>;

// 1e-05, 3, true, "neox", bf16, [0, -1, 64]: what the graph parser reads back as the same value.
// A float always shows a point, an exponent, or inf/nan, and reads back to the same bits.
std::string ToText(const AttrValue& value);
// Whether both have the same text: NaN is NaN, and -0.0 is not 0.0.
bool SameText(const AttrValue& a, const AttrValue& b);

// Whether both are the same. Inlined, one comparison where `name` is a literal: operators ask for
// their attributes and sizes in every call, and memcmp would be a tenth of a call on few numbers.
inline bool IsNamed(const std::string& entry, std::string_view name) {
  return entry.size() == name.size() && std::equal(name.begin(), name.end(), entry.begin());
}

class Attrs {
 public:
  using Entry = std::pair<std::string, AttrValue>;

  const AttrValue* Find(std::string_view name) const {
    for (const Entry& entry : entries_) {
      if (IsNamed(entry.first, name)) return &entry.second;
    }
    return nullptr;
  }
  void Set(std::string_view name, AttrValue value);
  void Erase(std::string_view name);

  // Throw std::logic_error when absent or of another kind: the signature has been checked before.
  int64_t Int(std::string_view name) const { return As<int64_t>(name); }
  double Float(std::string_view name) const { return As<double>(name); }
  bool Bool(std::string_view name) const { return As<bool>(name); }
  DType Type(std::string_view name) const { return As<DType>(name); }
  const std::string& Str(std::string_view name) const { return As<std::string>(name); }
  const std::vector<int64_t>& Ints(std::string_view name) const {
    return As<std::vector<int64_t>>(name);
  }

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }
  friend bool operator==(const Attrs& a, const Attrs& b);  // of values as SameText

 private:
  template <class T>
  const T& As(std::string_view name) const;
  [[noreturn]] static void Missing(std::string_view name);

  std::vector<Entry> entries_;
};

template <class T>
const T& Attrs::As(std::string_view name) const {
  const AttrValue* value = Find(name);
  const T* held = value ? std::get_if<T>(value) : nullptr;
  if (!held) Missing(name);
  return *held;
}

}  // namespace fusible
