#include "passes/row_cluster.h"

#include <algorithm>

#include "ir/rows.h"
#include "ir/views.h"
#include "passes/savings.h"

namespace fusible {

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

bool IsNeeded(const RowGraph& rows, ValueId value, const Members& cluster) {
  if (rows.IsResult(value)) return true;
  return std::ranges::any_of(rows.UsersOf(value), [&](int32_t user) {
    const Node& node = rows.node(user);
    return IsView(node) ? IsNeeded(rows, node.outputs[0], cluster) : !cluster.contains(user);
  });
}

std::set<ValueId> WrittenBy(const RowGraph& rows, const Members& members) {
  std::set<ValueId> written;
  for (int32_t node : members) {
    for (ValueId value : rows.node(node).outputs) {
      if (IsNeeded(rows, value, members)) written.insert(value);
    }
  }
  return written;
}

int64_t MovedBytes(const RowGraph& rows, const Members& members, const std::set<ValueId>& written) {
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

Cluster::Cluster(const RowGraph& rows, const Target& target, const Grouping& groups,
                 std::vector<Members> steps, const Members& repeatable)
    : rows_(rows), target_(target), steps_(std::move(steps)) {
  if (steps_.size() > RowProblem::kMostSteps) return;
  for (const Members& step : steps_) all_.insert(step.begin(), step.end());
  for (size_t i = 0; i < steps_.size(); ++i) AddValues(i);
  std::vector<std::set<int>> reads;
  for (const Members& step : steps_) reads.push_back(ReadsOf(step));
  is_searchable_ =
      values_.size() <= RowProblem::kMostValues && problem_.reads.size() <= RowProblem::kMostReads;
  if (!is_searchable_) return;
  for (size_t i = 0; i < steps_.size(); ++i) AddStep(steps_[i], reads[i], repeatable);
  for (size_t i = 0; i < steps_.size(); ++i) AddOrder(i, groups);
  problem_.fits = [this](Bits members, Bits written) {
    return LiveBytes(rows_, MembersOf(members), ValuesOf(written)) <= target_.scratch_bytes;
  };
}
std::optional<RowPlan> Cluster::Search(int64_t bound) const {
  return is_searchable_ ? FindBestPlan(problem_, bound) : std::nullopt;
}

Members Cluster::MembersOf(Bits steps) const {
  Members members;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (steps >> i & 1) members.insert(steps_[i].begin(), steps_[i].end());
  }
  return members;
}

std::set<ValueId> Cluster::ValuesOf(Bits values) const {
  std::set<ValueId> chosen;
  for (const auto& [value, number] : values_) {
    if (values >> number & 1) chosen.insert(value);
  }
  return chosen;
}

void Cluster::AddValues(size_t step) {
  for (ValueId value : WrittenBy(rows_, steps_[step])) {
    values_.emplace(value, static_cast<int>(problem_.values.size()));
    problem_.values.push_back({BytesPerRow(rows_.graph().TypeOf(value)), static_cast<int>(step),
                               IsNeeded(rows_, value, all_)});
  }
}

// Numbers of what a step reads of others.
std::set<int> Cluster::ReadsOf(const Members& step) {
  std::set<int> reads;
  for (int32_t node : step) {
    for (const RowOperand& operand : OperandsOf(rows_, node)) {
      if (!step.contains(rows_.MakerOf(operand.source))) reads.insert(NumberOf(operand));
    }
  }
  return reads;
}

int Cluster::NumberOf(const RowOperand& operand) {
  const auto [known, fresh] =
      reads_.try_emplace({operand.read, operand.bytes}, static_cast<int>(reads_.size()));
  if (fresh) {
    const auto made = values_.find(operand.source);
    problem_.reads.push_back({operand.bytes, made == values_.end() ? -1 : made->second});
  }
  return known->second;
}

void Cluster::AddStep(const Members& nodes, const std::set<int>& reads, const Members& repeatable) {
  RowStep step;
  step.may_repeat = nodes.size() == 1 && repeatable.contains(*nodes.begin());
  for (int read : reads) step.reads |= Bits{1} << read;
  problem_.steps.push_back(step);
}

// Steps that need this one through others than row operators run after it.
void Cluster::AddOrder(size_t first, const Grouping& groups) {
  const Members behind = groups.FindBehind(steps_[first], all_);
  for (size_t i = 0; i < steps_.size(); ++i) {
    const auto is_behind = [&](int32_t node) { return behind.contains(node); };
    if (i != first && std::ranges::any_of(steps_[i], is_behind)) {
      problem_.steps[i].after |= Bits{1} << first;
    }
  }
}

}  // namespace fusible
