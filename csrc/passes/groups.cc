#include "passes/groups.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/cat.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "passes/grouping.h"
#include "passes/region_name.h"
#include "passes/row_plan.h"
#include "passes/savings.h"

namespace fusible {
namespace {

// Why two groups cannot be one. plain: nobody would expect them to be (a matmul in between, say).
struct Boundary {
  std::string reason, hint;
  bool plain = false;
  int64_t saves = 0;  // as in Miss
};

class Grouper {
 public:
  Grouper(const Graph& graph, const Target& target)
      : rows_(graph), target_(target), groups_(rows_) {}

  std::vector<RowGroup> Run(Report& report) {
    for (int32_t i = 0; i < rows_.size(); ++i) {
      if (IsRow(i)) JoinProducers(i);
    }
    JoinSiblings();
    for (int32_t node : PlanRegions(rows_, target_, contested_, groups_, report.choices)) {
      ExplainParted(node);
    }
    for (const auto& [edge, boundary] : boundaries_) {
      if (boundary.plain || groups_.AreTogether(edge.second, edge.first)) continue;
      report.misses.push_back(
          {"rows", Label(edge.first), boundary.reason, boundary.hint, boundary.saves});
    }
    ReportEnds(report.misses);
    std::vector<RowGroup> made;
    for (int group = 0; group < groups_.size(); ++group) {
      if (groups_.MembersOf(group).size() < 2) continue;
      RowGroup built = groups_.Build(group);
      if (!built.outputs.empty()) made.push_back(std::move(built));
    }
    return made;
  }

 private:
  bool IsRow(int32_t node) const { return groups_.GroupOf(node) >= 0; }
  std::string Label(int32_t node) const { return LabelOf(rows_.graph(), rows_.node(node)); }

  void JoinProducers(int32_t node) {
    for (const bool whole : {false, true}) {
      for (const Traced& operand : rows_.Operands(node, whole)) {
        const int32_t maker = rows_.MakerOf(operand.source);
        if (maker < 0 || !IsRow(maker) || groups_.GroupOf(maker) == groups_.GroupOf(node)) continue;
        auto boundary = Join(maker, node);
        if (!boundary) continue;
        contested_.emplace_back(maker, node);
        boundary->saves = SavedBytesOf(operand.source);
        boundaries_.insert({{node, maker}, *std::move(boundary)});
      }
    }
  }

  // Why it is not in the region of what it reads, where other groups have been chosen.
  void ExplainParted(int32_t node) {
    for (const Traced& operand : rows_.Operands(node, false)) {
      const int32_t maker = rows_.MakerOf(operand.source);
      if (maker < 0 || !IsRow(maker) || groups_.AreTogether(maker, node)) continue;
      auto boundary = FindBoundary(groups_.Union(groups_.GroupOf(maker), groups_.GroupOf(node)));
      if (!boundary) continue;
      boundary->saves = SavedBytesOf(operand.source);
      boundaries_.insert({{node, maker}, *std::move(boundary)});
    }
  }

  // What joining its maker and a reader saves: the reading, and the writing if nobody else reads.
  int64_t SavedBytesOf(ValueId value) const {
    const bool alone = !rows_.IsResult(value) && rows_.UsersOf(value).size() == 1;
    return BytesPerRow(rows_.graph().TypeOf(value)) * (alone ? 2 : 1);
  }

  struct Reader {
    int32_t node;
    bool viewed;
  };

  // Operators that read the same value read it from memory once if they run together. Each is tried
  // with the last few before it: a value such as the positions has readers in every layer.
  void JoinSiblings() {
    constexpr size_t kTried = 4;
    std::map<ValueId, std::vector<Reader>> readers;
    for (int32_t i = 0; i < rows_.size(); ++i) {
      if (!IsRow(i)) continue;
      for (const Traced& operand : rows_.Operands(i, false)) {
        std::vector<Reader>& before = readers[operand.source];
        const Reader reader{i, !operand.views.empty()};
        for (const Reader& other : before) JoinReaders(other, reader);
        before.insert(before.begin(), reader);
        before.resize(std::min(before.size(), kTried));
      }
    }
  }

  // Readers of parts of a value share less: there, a group that is a named operator stays one.
  void JoinReaders(const Reader& a, const Reader& b) {
    if (groups_.GroupOf(a.node) == groups_.GroupOf(b.node)) return;
    if ((a.viewed || b.viewed) && (IsNamed(a.node) || IsNamed(b.node))) return;
    if (Join(a.node, b.node)) contested_.emplace_back(a.node, b.node);
  }

  bool IsNamed(int32_t node) const {
    const RowGroup group = groups_.Build(groups_.GroupOf(node));
    return group.members.size() > 1 && FindEqualOperator(group.body);
  }

  // Makes the groups of two row operators one, or says why not.
  std::optional<Boundary> Join(int32_t a, int32_t b) {
    const int into = groups_.GroupOf(a), from = groups_.GroupOf(b);
    auto boundary = FindBoundary(groups_.Union(into, from));
    if (!boundary) groups_.Join(into, from);
    return boundary;
  }

  std::optional<Boundary> FindBoundary(const Members& joined) const {
    if (joined.size() > kMostMembers) {
      return Boundary{"length", Cat("a region has at most ", kMostMembers, " row operators")};
    }
    for (int32_t node : joined) {
      if (rows_.MutationsBefore(node) != rows_.MutationsBefore(*joined.begin())) {
        return Boundary{"order", "move the mutation before or behind these operators"};
      }
      for (const Traced& operand : rows_.EarlyOperands(node)) {
        if (!joined.contains(rows_.MakerOf(operand.source))) continue;
        return Boundary{"whole_operand",
                        Cat(NodeName(rows_.node(node)), " needs all of ",
                            rows_.graph().values[operand.source].name, " before its first row")};
      }
    }
    if (const int32_t detour = groups_.FindDetour(joined, rows_.ViewsBetween(joined));
        detour >= 0) {
      return Boundary{"cycle", Cat("make ", Label(detour), " independent of these rows"),
                      !ReadsOne(detour, joined) || !IsCheap(rows_.node(detour))};
    }
    return FindMisfit(rows_.Build(joined).body);
  }

  bool ReadsOne(int32_t node, const Members& members) const {
    return std::ranges::any_of(rows_.node(node).inputs, [&](ValueId value) {
      return value != kAbsent && members.contains(rows_.MakerOf(value));
    });
  }

  static bool IsCheap(const Node& node) { return !node.op || !node.op->kernel(); }

  std::optional<Boundary> FindMisfit(const Graph& body) const {
    const auto prefix = CommonPrefix(body);
    if (!prefix) return Boundary{"leading_dims", "give both one first dimension, kept by views"};
    const int64_t bytes = LiveBytesPerRow(body, *prefix);
    if (bytes <= target_.scratch_bytes) return std::nullopt;
    return Boundary{"scratch", Cat("a row of both needs more scratch than the ",
                                   target_.scratch_bytes, " bytes of ", target_.name)};
  }

  // What the node reads, behind views, of row operators.
  std::vector<ValueId> ReadOfRows(const Node& node) const {
    std::vector<ValueId> read;
    for (ValueId value : node.inputs) {
      const ValueId source = value == kAbsent ? kAbsent : rows_.Trace(value).source;
      const int32_t maker = source == kAbsent ? -1 : rows_.MakerOf(source);
      if (maker >= 0 && IsRow(maker)) read.push_back(source);
    }
    return read;
  }

  bool IsBeforeRows(const Node& node) const {
    return std::ranges::any_of(node.outputs, [&](ValueId value) {
      return std::ranges::any_of(rows_.UsersOf(value), [&](int32_t user) {
        return IsView(rows_.node(user)) ? IsBeforeRows(rows_.node(user)) : IsRow(user);
      });
    });
  }

  // Why a node that is in no group ends the one before it. Matrix products and attention go without
  // saying: nobody expects them in a region.
  std::optional<Boundary> FindEnd(const Node& node) const {
    if (node.op && node.op->rows()) {
      return Boundary{"not_rows",
                      Cat(node.op->name(), " gives no rows: it changes a whole tensor")};
    }
    if (node.opaque.empty() || !IsBeforeRows(node)) return std::nullopt;
    if (node.mutates) {
      return Boundary{"order", Cat("move ", node.opaque, ", which mutates, before or behind them")};
    }
    return Boundary{"not_rows", Cat("write ", node.opaque, " in row operators, as its neighbours")};
  }

  void ReportEnds(std::vector<Miss>& misses) const {
    for (int32_t i = 0; i < rows_.size(); ++i) {
      const Node& node = rows_.node(i);
      if (IsRow(i) || IsView(node)) continue;
      const std::vector<ValueId> read = ReadOfRows(node);
      const auto end = read.empty() ? std::nullopt : FindEnd(node);
      if (!end) continue;
      int64_t saves = 0;
      for (ValueId value : read) saves += SavedBytesOf(value);
      misses.push_back({"rows", Label(i), end->reason, end->hint, saves});
    }
  }

  const RowGraph rows_;
  const Target& target_;
  Grouping groups_;
  std::map<std::pair<int32_t, int32_t>, Boundary> boundaries_;  // (reader, maker)
  std::vector<std::pair<int32_t, int32_t>> contested_;          // neighbours that were kept apart
};

}  // namespace

std::vector<RowGroup> GroupRows(const Graph& graph, const Target& target, Report& report) {
  return Grouper(graph, target).Run(report);
}

}  // namespace fusible
