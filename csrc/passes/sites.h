// Which matches fuse: all rules at once, since what feeds several sites is only free when all of
// them take it.
#pragma once

#include <span>
#include <vector>

#include "ir/match.h"
#include "passes/pass.h"

namespace fusible {

struct Selection {
  std::vector<Match> chosen;  // in order of their roots
  std::vector<Miss> misses;
};

// rules: those that come first where several match stand first.
Selection SelectSites(const Matcher& matcher, const Target& target,
                      std::span<const Rule* const> rules);

}  // namespace fusible
