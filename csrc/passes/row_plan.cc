#include "passes/row_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "core/cat.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "passes/row_cluster.h"
#include "passes/savings.h"

namespace fusible {
namespace {

// A region that has been chosen.
struct Written {
  Members members;
  std::set<ValueId> written;
};

class Planner {
 public:
  Planner(const RowGraph& rows, const Target& target, Grouping& groups,
          std::vector<Choice>& choices)
      : rows_(rows), target_(target), groups_(groups), choices_(choices) {
    for (const Input& input : rows.graph().inputs) {
      if (input.kind == InputKind::kUpdated) updated_.insert(input.value);
    }
  }

  Members Run(const std::vector<std::pair<int32_t, int32_t>>& contested) {
    std::vector<int> cluster(groups_.size());
    std::iota(cluster.begin(), cluster.end(), 0);
    const auto find = [&](int group) {
      while (cluster[group] != group) group = cluster[group] = cluster[cluster[group]];
      return group;
    };
    for (const auto& [a, b] : contested) {
      const int one = find(groups_.GroupOf(a)), other = find(groups_.GroupOf(b));
      if (one != other && MayGain(std::min(a, b), std::max(a, b))) {
        cluster[std::max(one, other)] = std::min(one, other);
      }
    }
    std::map<int, std::vector<int>> clusters;
    for (int group = 0; group < static_cast<int>(cluster.size()); ++group) {
      if (!groups_.MembersOf(group).empty()) clusters[find(group)].push_back(group);
    }
    for (const auto& [first, together] : clusters) {
      if (together.size() > 1) Plan(together);
    }
    return std::move(planned_);
  }

 private:
  // Whether the two could be in one region, or b's could compute a for itself.
  bool MayGain(int32_t a, int32_t b) const {
    if (rows_.MutationsBefore(a) != rows_.MutationsBefore(b)) return false;
    const auto early = rows_.EarlyOperands(b);
    const auto is_made = [&](const Traced& operand) { return rows_.MakerOf(operand.source) == a; };
    if (std::ranges::any_of(early, is_made)) return false;
    return SavesRepeated(a, b) || !IsParted(a, b);
  }

  // Moves memory and computes next to nothing. Rows that an index chooses lie anywhere: to read
  // them again costs more than their bytes. An updated input should not be read later than it is:
  // it is written when its old value has been read for the last time.
  bool IsRepeatable(int32_t index) const {
    const Op& op = *rows_.node(index).op;
    const auto is_index = [](const ParamSpec& param) { return param.bound.has_value(); };
    const auto is_updated = [&](const RowOperand& o) { return updated_.contains(o.source); };
    return op.cost() == 1 && std::ranges::none_of(op.signature().params, is_index) &&
           std::ranges::none_of(OperandsOf(rows_, index), is_updated);
  }

  // Whether less is moved if b's group computes a again, at best: if a is written no more.
  bool SavesRepeated(int32_t a, int32_t b) const {
    if (!IsRepeatable(a)) return false;
    std::set<ValueId> known;
    for (int32_t member : groups_.MembersOf(groups_.GroupOf(b))) {
      for (const RowOperand& operand : OperandsOf(rows_, member)) known.insert(operand.read);
    }
    int64_t saved = 0;
    for (ValueId value : rows_.node(a).outputs) {
      saved += 2 * BytesPerRow(rows_.graph().TypeOf(value));
    }
    for (const RowOperand& operand : OperandsOf(rows_, a)) {
      if (known.insert(operand.read).second) saved -= LeastBytes(operand, 0);
    }
    return saved > 0;
  }

  // What must be read for an operand, if what makes it may run again too.
  int64_t LeastBytes(const RowOperand& operand, int depth) const {
    constexpr int kDeepest = 4;
    const int32_t maker = rows_.MakerOf(operand.source);
    if (depth == kDeepest || maker < 0 || groups_.GroupOf(maker) < 0 || !IsRepeatable(maker)) {
      return operand.bytes;
    }
    int64_t bytes = 0;
    for (const RowOperand& each : OperandsOf(rows_, maker)) bytes += LeastBytes(each, depth + 1);
    return std::min(operand.bytes, bytes);
  }

  // Whether something that is no row operator needs a, and b needs that: then they are never in one
  // region. What lies further away than that is taken for parted.
  bool IsParted(int32_t a, int32_t b) const {
    constexpr int32_t kFurthest = 1000;
    if (b - a > kFurthest) return true;
    enum State : uint8_t { kUnseen, kByRows, kParted };
    std::vector<uint8_t> seen(b - a + 1, kUnseen);
    seen[0] = kByRows;
    for (int32_t i = a; i < b; ++i) {
      if (seen[i - a] == kUnseen) continue;
      const Node& node = rows_.node(i);
      const uint8_t state = IsRowOp(node) || IsView(node) ? seen[i - a] : uint8_t{kParted};
      for (ValueId value : node.outputs) {
        for (int32_t user : rows_.UsersOf(value)) {
          if (user <= b) seen[user - a] = std::max(seen[user - a], state);
        }
      }
    }
    return seen[b - a] == kParted;
  }

  void Plan(const std::vector<int>& together) {
    Members all;
    int64_t now = 0;
    for (int group : together) {
      const Members& members = groups_.MembersOf(group);
      all.insert(members.begin(), members.end());
      now += MovedBytes(rows_, members, WrittenBy(rows_, members));
    }
    Members repeatable;
    for (int32_t node : all) {
      if (IsRepeatable(node)) repeatable.insert(node);
    }
    const int64_t whole = BytesAsOne(all);
    const Cluster cluster(rows_, target_, groups_, StepsOf(together, all, repeatable), repeatable);
    const auto plan = cluster.Search(now);
    if (plan) {
      ReportRepeated(cluster, *plan);
      Apply(cluster, *plan, together);
      planned_.insert(all.begin(), all.end());
    }
    if (whole >= 0) ReportSplit(all, plan ? plan->bytes : now, whole);
  }

  // What would be moved if scratch were no bound; -1: these cannot be one region anyhow.
  int64_t BytesAsOne(const Members& all) const {
    const int64_t live = LiveBytes(rows_, all, WrittenBy(rows_, all));
    if (live == kNever || groups_.FindDetour(all, rows_.ViewsBetween(all)) >= 0) return -1;
    return MovedBytes(rows_, all, WrittenBy(rows_, all));
  }

  // Each row operator alone, or groups less the steps at their beginning that others could compute
  // for themselves.
  std::vector<Members> StepsOf(const std::vector<int>& together, const Members& all,
                               const Members& repeatable) const {
    std::vector<Members> steps;
    if (all.size() <= RowProblem::kMostSteps) {
      for (int32_t node : all) steps.push_back({node});
      return steps;
    }
    for (int group : together) {
      const Members& members = groups_.MembersOf(group);
      Members rest;
      for (int32_t node : members) {
        const auto is_inside = [&](const RowOperand& operand) {
          return members.contains(rows_.MakerOf(operand.source));
        };
        if (repeatable.contains(node) && std::ranges::none_of(OperandsOf(rows_, node), is_inside)) {
          steps.push_back({node});
        } else {
          rest.insert(node);
        }
      }
      if (!rest.empty()) steps.push_back(std::move(rest));
    }
    return steps;
  }

  void Apply(const Cluster& cluster, const RowPlan& plan, const std::vector<int>& together) {
    for (int group : together) groups_.Dissolve(group);
    for (const PlannedRegion& region : plan.regions) {
      groups_.Add(cluster.MembersOf(region.steps), cluster.ValuesOf(region.written));
    }
  }

  void ReportRepeated(const Cluster& cluster, const RowPlan& plan) {
    std::vector<Written> regions;
    std::map<int32_t, int> copies;
    for (const PlannedRegion& region : plan.regions) {
      regions.push_back({cluster.MembersOf(region.steps), cluster.ValuesOf(region.written)});
      for (int32_t node : regions.back().members) ++copies[node];
    }
    for (const auto& [node, count] : copies) {
      if (count == 1) continue;
      choices_.push_back({"recompute", LabelOf(rows_.graph(), rows_.node(node)),
                          Cat(NodeName(rows_.node(node)), " runs in ", count,
                              " regions, instead of being written and read back"),
                          plan.bytes, BytesWithout(regions, node)});
    }
  }

  // What these regions would move if the first one that runs the step wrote what the others need.
  int64_t BytesWithout(std::vector<Written> regions, int32_t step) const {
    const auto runs = [&](const Written& region) { return region.members.contains(step); };
    const auto first = std::ranges::find_if(regions, runs);
    for (auto region = first + 1; region != regions.end(); ++region) region->members.erase(step);
    const auto is_made = [&](ValueId value) { return rows_.MakerOf(value) == step; };
    for (Written& region : regions) std::erase_if(region.written, is_made);
    for (ValueId value : rows_.node(step).outputs) {
      if (IsNeeded(rows_, value, first->members)) first->written.insert(value);
    }
    int64_t bytes = 0;
    for (const Written& region : regions) {
      bytes += MovedBytes(rows_, region.members, region.written);
    }
    return bytes;
  }

  void ReportSplit(const Members& all, int64_t bytes, int64_t whole) {
    const int64_t live = LiveBytes(rows_, all, WrittenBy(rows_, all));
    if (live <= target_.scratch_bytes) return;
    choices_.push_back(
        {"split", LabelOf(rows_.graph(), rows_.node(*all.begin())),
         Cat("one region of these ", all.size(), " row operators needs ", live,
             " bytes of scratch a row; ", target_.name, " has ", target_.scratch_bytes),
         bytes, whole});
  }

  const RowGraph& rows_;
  const Target& target_;
  Grouping& groups_;
  std::vector<Choice>& choices_;
  std::set<ValueId> updated_;  // inputs
  Members planned_;
};

}  // namespace

Members PlanRegions(const RowGraph& rows, const Target& target,
                    const std::vector<std::pair<int32_t, int32_t>>& contested, Grouping& groups,
                    std::vector<Choice>& choices) {
  return Planner(rows, target, groups, choices).Run(contested);
}

}  // namespace fusible
