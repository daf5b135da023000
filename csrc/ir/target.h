// What a graph is fused for. Read from TOML by Python (python/fusible/targets), plain data here, so
// that a pass run is a pure function of graph and target.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/attrs.h"
#include "core/dtype.h"

namespace fusible {

struct Target {
  std::string name;
  std::string pipeline;                          // "canonicalize,share-common,fuse-rows,drop-dead"
  DType fp8 = DType::kE4M3FN;                    // its native 8-bit float format
  int64_t scratch_bytes = 256 << 10;             // for the live rows of a region (fuse-rows)
  bool all_operators = false;                    // cpu: everything registered here
  std::set<std::string, std::less<>> operators;  // else: what it has a kernel or step for
  // operator -> attribute -> the values it has; absent: any. "variants" of an operator.
  std::map<std::string, std::map<std::string, std::vector<AttrValue>>> variants;
  std::map<std::string, AttrValue> capabilities;   // "programmatic_dependent_launch" -> true, …
  std::map<std::string, AttrValue> costs;          // "recompute_norm" -> true, …
  std::map<std::string, std::string> uncacheable;  // pass that keys leave out -> the reason

  bool Has(std::string_view op) const { return all_operators || operators.contains(op); }
  // nullptr for a capability it does not state; never throws.
  const AttrValue* Capability(std::string_view name) const;
  std::string ToText() const;  // canonical, for keys: the same for equal targets
};

}  // namespace fusible
