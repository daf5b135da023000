#include "passes/row_search.h"

#include <algorithm>
#include <bit>
#include <map>
#include <queue>
#include <tuple>
#include <unordered_map>

namespace fusible {
namespace {

constexpr size_t kMostStates = 4096;

// Calls `visit` with the number of each bit that is set, from the lowest.
template <class Visit>
void ForEachBit(Bits bits, const Visit& visit) {
  for (; bits; bits &= bits - 1) visit(std::countr_zero(bits));
}

// A set of steps that may be a region, whatever it writes.
struct Candidate {
  Bits steps = 0;
  Bits last = 0;      // steps whose values no step of the set reads: it is there for these
  Bits once = 0;      // steps that may be in no other region
  Bits read = 0;      // values from other regions
  Bits before = 0;    // steps whose values must be written before it runs
  int64_t bytes = 0;  // that it reads
};

using Cost = std::tuple<int64_t, int, int>;  // bytes, steps of all regions, regions

// Regions are chosen from the last that runs to the first. What is left to do then depends on the
// values that must still be written, and the steps that may not be computed any more, alone.
struct State {
  Bits needed = 0;  // values
  Bits closed = 0;  // steps
  bool operator==(const State&) const = default;
};

struct StateHash {
  size_t operator()(const State& state) const { return state.closed << 32 ^ state.needed; }
};

struct Entry {
  Cost estimate;  // with what is left to do at least
  size_t number;  // of the state; an older one comes first
  Cost cost;      // so far
  bool operator>(const Entry& other) const {
    return std::tie(estimate, number) > std::tie(other.estimate, other.number);
  }
};

struct Reached {
  State state;
  Cost cost;
  PlannedRegion region;  // by which it was reached last
  size_t from = 0;
  bool done = false;
};

class Search {
 public:
  Search(const RowProblem& problem, int64_t bound) : problem_(problem), bound_(bound) {
    FindNeighbours();
    for (Bits steps = 1; steps < Bits{1} << problem.steps.size(); ++steps) {
      if (IsConnected(steps)) candidates_.push_back(Describe(steps));
    }
  }

  std::optional<RowPlan> Run() {
    State start;
    for (size_t v = 0; v < problem_.values.size(); ++v) {
      if (problem_.values[v].is_needed) start.needed |= Bits{1} << v;
    }
    Reach(start, {BytesOf(start.needed), 0, 0}, {}, 0);
    while (!queue_.empty()) {
      const Entry entry = queue_.top();
      queue_.pop();
      Reached& reached = reached_[entry.number];
      if (reached.done || entry.cost != reached.cost) continue;
      if (!reached.state.needed) return PlanTo(entry.number);
      if (++expanded_ > kMostStates) return std::nullopt;
      reached.done = true;
      Expand(entry.number);
    }
    return std::nullopt;
  }

 private:
  const RowRead& Read(int number) const { return problem_.reads[number]; }
  Bits StepOf(int value) const { return Bits{1} << problem_.values[value].step; }

  Bits StepsOf(Bits values) const {
    Bits steps = 0;
    ForEachBit(values, [&](int v) { steps |= StepOf(v); });
    return steps;
  }

  int64_t BytesOf(Bits values) const {
    int64_t bytes = 0;
    ForEachBit(values, [&](int v) { bytes += problem_.values[v].bytes; });
    return bytes;
  }

  // What steps read of each other, and which read each other or the same.
  void FindNeighbours() {
    const size_t count = problem_.steps.size();
    makers_.assign(count, 0);
    neighbours_.assign(count, 0);
    for (size_t i = 0; i < count; ++i) {
      ForEachBit(problem_.steps[i].reads, [&](int r) {
        if (Read(r).made >= 0) makers_[i] |= StepOf(Read(r).made);
      });
    }
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = 0; j < count; ++j) {
        const bool near = problem_.steps[i].reads & problem_.steps[j].reads ||
                          makers_[i] >> j & 1 || makers_[j] >> i & 1;
        if (i != j && near) neighbours_[i] |= Bits{1} << j;
      }
    }
  }

  // The steps, and those that these read of, and so on.
  static Bits Closure(Bits steps, Bits within, const std::vector<Bits>& edges) {
    Bits before = 0;
    while (steps != before) {
      before = steps;
      ForEachBit(before, [&](int i) { steps |= edges[i] & within; });
    }
    return steps;
  }

  bool IsConnected(Bits steps) const {
    return Closure(steps & -steps, steps, neighbours_) == steps;
  }

  Candidate Describe(Bits steps) const {
    Candidate found{.steps = steps, .last = steps};
    Bits reads = 0;
    ForEachBit(steps, [&](int i) {
      reads |= problem_.steps[i].reads;
      found.before |= problem_.steps[i].after;
      if (!problem_.steps[i].may_repeat) found.once |= Bits{1} << i;
    });
    ForEachBit(reads, [&](int r) {
      const int made = Read(r).made;
      if (made >= 0 && steps & StepOf(made)) {
        found.last &= ~StepOf(made);
        return;
      }
      found.bytes += Read(r).bytes;
      if (made >= 0) found.read |= Bits{1} << made;
    });
    found.before |= StepsOf(found.read);
    return found;
  }

  // What the steps that are left read from outside at least: all that lead to needed values run.
  int64_t LeastBytes(Bits needed) const {
    Bits reads = 0;
    ForEachBit(Closure(StepsOf(needed), ~Bits{0}, makers_),
               [&](int i) { reads |= problem_.steps[i].reads; });
    int64_t bytes = 0;
    ForEachBit(reads, [&](int r) { bytes += Read(r).made < 0 ? Read(r).bytes : 0; });
    return bytes;
  }

  void Reach(const State& state, const Cost& cost, const PlannedRegion& region, size_t from) {
    const auto [bytes, steps, regions] = cost;
    const int64_t estimate = bytes + LeastBytes(state.needed);
    if (estimate >= bound_) return;
    const auto [known, fresh] = numbers_.try_emplace(state, reached_.size());
    if (fresh) {
      reached_.push_back({state, cost, region, from});
    } else if (Reached& old = reached_[known->second]; cost < old.cost) {
      old = {state, cost, region, from};
    } else {
      return;
    }
    queue_.push({{estimate, steps, regions}, known->second, cost});
  }

  void Expand(size_t number) {
    const State state = reached_[number].state;
    const Bits wanted = StepsOf(state.needed);
    for (const Candidate& candidate : candidates_) {
      if (candidate.last & ~wanted || candidate.once & state.closed) continue;
      if (candidate.before & (state.closed | candidate.once)) continue;
      // Steps that may be repeated write what is needed of them here, or another region does.
      const Bits must = candidate.last | (candidate.once & wanted);
      const Bits may = candidate.steps & wanted & ~must & ~state.closed;
      for (Bits some = may;; some = (some - 1) & may) {
        Choose(number, candidate, must | some);
        if (!some) break;
      }
    }
  }

  // The region that writes what is needed of the steps `writers`.
  void Choose(size_t number, const Candidate& candidate, Bits writers) {
    const Reached& at = reached_[number];
    if (candidate.before & writers || at.state.closed & writers) return;
    Bits written = 0;
    ForEachBit(at.state.needed, [&](int v) {
      if (writers & StepOf(v)) written |= Bits{1} << v;
    });
    const auto [bytes, steps, regions] = at.cost;
    const Bits fresh = candidate.read & ~at.state.needed;
    const State next{(at.state.needed & ~written) | candidate.read,
                     at.state.closed | candidate.once | writers};
    const Cost cost{bytes + candidate.bytes + BytesOf(fresh),
                    steps + std::popcount(candidate.steps), regions + 1};
    if (std::get<0>(cost) + LeastBytes(next.needed) >= bound_) return;
    if (Fits(candidate.steps, written)) Reach(next, cost, {candidate.steps, written}, number);
  }

  bool Fits(Bits steps, Bits written) {
    if (std::has_single_bit(steps)) return true;
    const auto [known, fresh] = fits_.try_emplace({steps, written}, false);
    if (fresh) known->second = problem_.fits(steps, written);
    return known->second;
  }

  RowPlan PlanTo(size_t number) const {
    RowPlan plan{.bytes = std::get<0>(reached_[number].cost), .regions = {}};
    for (; number != 0; number = reached_[number].from) {
      plan.regions.push_back(reached_[number].region);
    }
    return plan;
  }

  const RowProblem& problem_;
  const int64_t bound_;
  std::vector<Bits> makers_, neighbours_;  // of each step
  std::vector<Candidate> candidates_;
  std::vector<Reached> reached_;
  std::unordered_map<State, size_t, StateHash> numbers_;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
  std::map<std::pair<Bits, Bits>, bool> fits_;
  size_t expanded_ = 0;
};

}  // namespace

std::optional<RowPlan> FindBestPlan(const RowProblem& problem, int64_t bound) {
  return Search(problem, bound).Run();
}

}  // namespace fusible
