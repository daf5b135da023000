#include "ir/target.h"

#include "core/cat.h"

namespace fusible {
namespace {

std::string EntriesText(const std::map<std::string, AttrValue>& entries) {
  std::string text;
  for (const auto& [name, value] : entries)
    text += Cat("  ", ToText(name), " = ", ToText(value), "\n");
  return text;
}

}  // namespace

const AttrValue* Target::Capability(std::string_view name) const {
  const auto found = capabilities.find(std::string(name));
  return found == capabilities.end() ? nullptr : &found->second;
}

std::string Target::ToText() const {
  std::string text =
      Cat("name = ", fusible::ToText(name), "\npipeline = ", fusible::ToText(pipeline),
          "\nfp8 = ", Name(fp8), "\nscratch_bytes = ", scratch_bytes,
          "\nall_operators = ", fusible::ToText(all_operators), "\noperators\n");
  for (const std::string& op : operators) text += Cat("  ", fusible::ToText(op), "\n");
  text += "variants\n";
  for (const auto& [op, attrs] : variants) {
    for (const auto& [attr, values] : attrs) {
      text += Cat("  ", fusible::ToText(op), ".", fusible::ToText(attr));
      for (const AttrValue& value : values) text += Cat(" ", fusible::ToText(value));
      text += "\n";
    }
  }
  text += "capabilities\n" + EntriesText(capabilities) + "costs\n" + EntriesText(costs);
  return text + "uncacheable\n" + EntriesText({uncacheable.begin(), uncacheable.end()});
}

}  // namespace fusible
