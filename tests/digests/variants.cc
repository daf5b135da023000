#include "digests/variants.h"

#include <algorithm>

#include "core/cat.h"
#include "digests/sizes.h"
#include "ops/check.h"

namespace fusible::digests {
namespace {

// Of attributes that have none by default.
constexpr double kRequiredFloat = 0.25;
// No power of two.
constexpr double kOtherFloat = 0.7;
constexpr int64_t kOtherInt = 3;

Attrs RequiredAttrs(const Op& op, int64_t columns) {
  Attrs attrs;
  for (const AttrSpec& spec : op.signature().attrs) {
    if (spec.optional || spec.default_value) continue;
    if (spec.kind == AttrKind::kFloat) attrs.Set(spec.name, kRequiredFloat);
    if (spec.kind == AttrKind::kInt) attrs.Set(spec.name, RequiredInt(op, spec.name, columns));
  }
  return attrs;
}

AttrValue OtherFloat(const AttrSpec& spec, const Attrs& complete) {
  if (spec.value_of.empty()) return kOtherFloat;
  return RangeOf(complete.Type(spec.value_of)).largest / 2.0;
}

// Values of an attribute beside the one that it has.
std::vector<AttrValue> OtherValues(const AttrSpec& spec, const Attrs& complete) {
  std::vector<AttrValue> values = spec.choices;
  if (values.empty() && spec.kind == AttrKind::kFloat) values = {OtherFloat(spec, complete)};
  if (values.empty() && spec.kind == AttrKind::kInt) values = {kOtherInt};
  if (values.empty() && spec.kind == AttrKind::kBool) values = {false, true};
  if (const AttrValue* own = complete.Find(spec.name)) std::erase(values, *own);
  return values;
}

std::vector<size_t> OptionalParams(const Op& op) {
  const auto& params = op.signature().params;
  std::vector<size_t> places;
  for (size_t i = 0; i < params.size(); ++i) {
    if (params[i].optional) places.push_back(i);
  }
  return places;
}

void AddAttrs(const Op& op, const Variant& base, std::vector<Variant>& variants) {
  const Attrs complete = CompleteAttrs(op, base.attrs);
  for (const AttrSpec& spec : op.signature().attrs) {
    if (!spec.optional && !spec.default_value) continue;
    for (const AttrValue& value : OtherValues(spec, complete)) {
      Variant& other = variants.emplace_back(base);
      other.attrs.Set(spec.name, value);
      other.text = Cat(spec.name, "=", ToText(value));
    }
  }
}

void AddAbsent(const Op& op, const Variant& base, std::vector<Variant>& variants) {
  const std::vector<size_t> places = OptionalParams(op);
  for (size_t absent = 1; absent < size_t{1} << places.size(); ++absent) {
    Variant& other = variants.emplace_back(base);
    other.text.clear();
    for (size_t i = 0; i < places.size(); ++i) {
      if ((absent >> i & 1) == 0) continue;
      other.present[places[i]] = false;
      other.text += Cat("-", op.signature().params[places[i]].name);
    }
  }
}

}  // namespace

std::vector<ClassDTypes> AllClassDTypes(const Op& op) {
  std::vector<ClassDTypes> all = {{}};
  for (const ParamSpec& param : op.signature().params) {
    const std::string& word = param.type.dtype;
    const auto known = [&](const auto& entry) { return entry.first == word; };
    if (!IsDTypeClass(word) || std::ranges::any_of(all[0], known)) continue;
    std::vector<ClassDTypes> longer;
    for (const ClassDTypes& chosen : all) {
      for (const DTypeInfo& info : AllDTypes()) {
        if (!InDTypeClass(word, info.dtype)) continue;
        longer.emplace_back(chosen).emplace_back(word, info.dtype);
      }
    }
    all = std::move(longer);
  }
  return all;
}

std::vector<Variant> AllVariants(const Op& op, int64_t columns) {
  const Variant base = {.attrs = RequiredAttrs(op, columns),
                        .present = std::vector<bool>(op.signature().params.size(), true),
                        .text = "default"};
  std::vector<Variant> variants = {base};
  AddAttrs(op, base, variants);
  AddAbsent(op, base, variants);
  return variants;
}

}  // namespace fusible::digests
