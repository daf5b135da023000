// What a pass may still change, and what it has changed.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace fusible {

// One change of a graph; whatever number of them is made, the graph is legal.
struct Rewrite {
  std::string pass;
  std::string rule;  // the fused operator's or region's name, or what the pass calls the change
  std::string node;  // the first result of the call, or of the last call that is fused
};

// A pass asks before each rewrite. What only follows from one (calls that died of it, views taken
// again, nodes put in order) belongs to it and is not asked for.
class Rewrites {
 public:
  static constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

  explicit Rewrites(std::string_view pass = "", size_t fuel = kNoLimit)
      : pass_(pass), fuel_(fuel) {}

  // Writes the rewrite down; false, and nothing is written, where the fuel is used up. From then on
  // it stays false.
  bool Take(std::string_view rule, std::string_view node) {
    if (made_.size() == fuel_) {
      refused_ = true;
      return false;
    }
    made_.push_back({pass_, std::string(rule), std::string(node)});
    return true;
  }
  // All of them together are no change. Where the fuel has ended in between, they count all the
  // same: the next one would be a change.
  void Cancel() {
    if (!refused_) made_.clear();
  }

  const std::vector<Rewrite>& made() const { return made_; }
  bool refused() const { return refused_; }

 private:
  std::string pass_;
  size_t fuel_;
  std::vector<Rewrite> made_;
  bool refused_ = false;
};

}  // namespace fusible
