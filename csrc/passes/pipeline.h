// Pipelines: passes in order, some for some sizes only, some again and again until nothing changes.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "passes/pass.h"

namespace fusible {

// Sizes of the token dimension, both counted in.
struct SizeRange {
  static constexpr int64_t kNoEnd = std::numeric_limits<int64_t>::max();
  int64_t least = 0, greatest = kNoEnd;

  bool Holds(const SizeRange& other) const {
    return least <= other.least && other.greatest <= greatest;
  }
  friend bool operator==(const SizeRange&, const SizeRange&) = default;
};
std::string ToText(const SizeRange& range);  // "1 to 512", "513 and more"

// A pass, and the sizes that it runs for.
struct PassCall {
  const Pass* pass = nullptr;
  std::optional<SizeRange> range;  // none: any
};

// One call; or several, in turn, until none of them changes anything.
struct Stage {
  std::vector<PassCall> calls;
  bool fixpoint = false;
};
using Pipeline = std::vector<Stage>;

// `canonicalize,fuse-ops@[1,512],fuse-rows@[513,],fixpoint(canonicalize,share-common)`, with spaces
// wherever. ArgumentError for anything else, and for an unknown pass.
Pipeline ParsePipeline(std::string_view text);
// Without spaces; parsing it gives the same.
std::string ToText(const Stage& stage);
std::string ToText(const Pipeline& pipeline);

}  // namespace fusible
