#include "passes/row_plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "core/cat.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "passes/row_search.h"
#include "passes/savings.h"

namespace fusible {
namespace {

// What a row operator reads: a value, seen through views; a part of it counts as itself.
struct RowOperand {
  ValueId read = kAbsent;
  ValueId source = kAbsent;
  int64_t bytes = 0;  // per row; a whole operand is read once for all rows, and counts nothing
};

std::vector<RowOperand> OperandsOf(const RowGraph& rows, int32_t node) {
  std::vector<RowOperand> operands;
  for (const Traced& traced : rows.Operands(node, false)) {
    const ValueId source = traced.source;
    const ValueId seen = traced.views.empty() ? source : rows.node(traced.views[0]).outputs[0];
    const int64_t whole = BytesPerRow(rows.graph().TypeOf(source));
    const int64_t part = BytesPerRow(rows.graph().TypeOf(seen));
    operands.push_back({part < whole ? seen : source, source, part});
  }
  for (const Traced& traced : rows.Operands(node, true)) {
    operands.push_back({traced.source, traced.source, 0});
  }
  return operands;
}

// Whether something but row operators of the cluster reads the value.
bool IsNeeded(const RowGraph& rows, ValueId value, const Members& cluster) {
  if (rows.IsResult(value)) return true;
  return std::ranges::any_of(rows.UsersOf(value), [&](int32_t user) {
    const Node& node = rows.node(user);
    return IsView(node) ? IsNeeded(rows, node.outputs[0], cluster) : !cluster.contains(user);
  });
}

// Values of members that something else reads.
std::set<ValueId> WrittenBy(const RowGraph& rows, const Members& members) {
  std::set<ValueId> written;
  for (int32_t node : members) {
    for (ValueId value : rows.node(node).outputs) {
      if (IsNeeded(rows, value, members)) written.insert(value);
    }
  }
  return written;
}

// Bytes per row that the members read of others and write.
int64_t MovedBytes(const RowGraph& rows, const Members& members,
                   const std::set<ValueId>& written) {
  std::map<ValueId, int64_t> moved;
  for (int32_t node : members) {
    for (const RowOperand& operand : OperandsOf(rows, node)) {
      if (members.contains(rows.MakerOf(operand.source))) continue;
      moved[operand.read] = std::max(moved[operand.read], operand.bytes);
    }
  }
  int64_t bytes = 0;
  for (const auto& [value, read] : moved) bytes += read;
  for (ValueId value : written) bytes += BytesPerRow(rows.graph().TypeOf(value));
  return bytes;
}

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

// Scratch of a region that writes these values; kNever where there is no such region for another
// reason, or its rows have no known size.
int64_t LiveBytes(const RowGraph& rows, const Members& members, const std::set<ValueId>& written) {
  if (members.size() > kMostMembers) return kNever;
  for (int32_t node : members) {
    for (const Traced& operand : rows.EarlyOperands(node)) {
      if (members.contains(rows.MakerOf(operand.source))) return kNever;
    }
  }
  const RowGroup group =
      rows.Build(members, [&](ValueId value) { return written.contains(value); });
  const auto prefix = CommonPrefix(group.body);
  return prefix ? LiveBytesPerRow(group.body, *prefix) : kNever;
}

// Row operators that may form regions together, as a problem to search.
class Cluster {
 public:
  // steps: row operators that stay together; repeatable: those of them that several regions may
  // compute.
  Cluster(const RowGraph& rows, const Target& target, const Grouping& groups,
          std::vector<Members> steps, const Members& repeatable)
      : rows_(rows), target_(target), steps_(std::move(steps)) {
    if (steps_.size() > RowProblem::kMostSteps) return;
    for (const Members& step : steps_) all_.insert(step.begin(), step.end());
    for (size_t i = 0; i < steps_.size(); ++i) AddValues(i);
    std::vector<std::set<int>> reads;
    for (const Members& step : steps_) reads.push_back(ReadsOf(step));
    is_searchable_ = values_.size() <= RowProblem::kMostValues &&
                     problem_.reads.size() <= RowProblem::kMostReads;
    if (!is_searchable_) return;
    for (size_t i = 0; i < steps_.size(); ++i) AddStep(steps_[i], reads[i], repeatable);
    for (size_t i = 0; i < steps_.size(); ++i) AddOrder(i, groups);
    problem_.fits = [this](Bits members, Bits written) {
      return LiveBytes(rows_, MembersOf(members), ValuesOf(written)) <= target_.scratch_bytes;
    };
  }
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // The regions that move the fewest bytes, if these are below the bound; nullopt also where there
  // are too many regions to try.
  std::optional<RowPlan> Search(int64_t bound) const {
    return is_searchable_ ? FindBestPlan(problem_, bound) : std::nullopt;
  }

  Members MembersOf(Bits steps) const {
    Members members;
    for (size_t i = 0; i < steps_.size(); ++i) {
      if (steps >> i & 1) members.insert(steps_[i].begin(), steps_[i].end());
    }
    return members;
  }

  std::set<ValueId> ValuesOf(Bits values) const {
    std::set<ValueId> chosen;
    for (const auto& [value, number] : values_) {
      if (values >> number & 1) chosen.insert(value);
    }
    return chosen;
  }

 private:
  void AddValues(size_t step) {
    for (ValueId value : WrittenBy(rows_, steps_[step])) {
      values_.emplace(value, static_cast<int>(problem_.values.size()));
      problem_.values.push_back({BytesPerRow(rows_.graph().TypeOf(value)), static_cast<int>(step),
                                 IsNeeded(rows_, value, all_)});
    }
  }

  // Numbers of what a step reads of others.
  std::set<int> ReadsOf(const Members& step) {
    std::set<int> reads;
    for (int32_t node : step) {
      for (const RowOperand& operand : OperandsOf(rows_, node)) {
        if (!step.contains(rows_.MakerOf(operand.source))) reads.insert(NumberOf(operand));
      }
    }
    return reads;
  }

  int NumberOf(const RowOperand& operand) {
    const auto [known, fresh] =
        reads_.try_emplace({operand.read, operand.bytes}, static_cast<int>(reads_.size()));
    if (fresh) {
      const auto made = values_.find(operand.source);
      problem_.reads.push_back({operand.bytes, made == values_.end() ? -1 : made->second});
    }
    return known->second;
  }

  void AddStep(const Members& nodes, const std::set<int>& reads, const Members& repeatable) {
    RowStep step;
    step.may_repeat = nodes.size() == 1 && repeatable.contains(*nodes.begin());
    for (int read : reads) step.reads |= Bits{1} << read;
    problem_.steps.push_back(step);
  }

  // Steps that need this one through others than row operators run after it.
  void AddOrder(size_t first, const Grouping& groups) {
    const Members behind = groups.FindBehind(steps_[first], all_);
    for (size_t i = 0; i < steps_.size(); ++i) {
      const auto is_behind = [&](int32_t node) { return behind.contains(node); };
      if (i != first && std::ranges::any_of(steps_[i], is_behind)) {
        problem_.steps[i].after |= Bits{1} << first;
      }
    }
  }

  const RowGraph& rows_;
  const Target& target_;
  std::vector<Members> steps_;
  Members all_;
  bool is_searchable_ = false;
  std::map<ValueId, int> values_;                     // -> number in the problem
  std::map<std::pair<ValueId, int64_t>, int> reads_;  // what is read, and bytes -> number
  RowProblem problem_;
};

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
    const auto is_index = [](const ParamSpec& param) { return bool(param.bound); };
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
        if (repeatable.contains(node) &&
            std::ranges::none_of(OperandsOf(rows_, node), is_inside)) {
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
    choices_.push_back({"split", LabelOf(rows_.graph(), rows_.node(*all.begin())),
                        Cat("one region of these ", all.size(), " row operators needs ", live,
                            " bytes of scratch a row; ", target_.name, " has ",
                            target_.scratch_bytes),
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
