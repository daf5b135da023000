#include "passes/groups.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

#include "core/cat.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "passes/edit.h"
#include "passes/region_name.h"
#include "passes/savings.h"

namespace fusible {
namespace {

// A value behind views, and the views, from the outermost in.
struct Traced {
  ValueId source = kAbsent;
  std::vector<int32_t> views;
};

// Why two groups cannot be one. plain: nobody would expect them to be (a matmul in between, say).
struct Boundary {
  std::string reason, hint;
  bool plain = false;
  int64_t saves = 0;  // as in Miss
};

using Members = std::set<int32_t>;

// A region of more operators would save no memory worth naming, and each that joins is checked
// with all that are there: without a bound, a chain of n takes n * n steps.
constexpr size_t kMostMembers = 64;

class Grouper {
 public:
  Grouper(const Graph& graph, const Target& target)
      : graph_(graph),
        target_(target),
        users_(Users(graph)),
        producers_(Producers(graph)),
        mutations_(MutationsBefore(graph)),
        results_(graph.values.size(), false),
        group_(graph.nodes.size(), -1),
        reach_(graph.nodes.size()),
        seen_(graph.nodes.size(), 0) {
    std::iota(reach_.begin(), reach_.end(), 0);
    for (ValueId output : graph.outputs) results_[output] = true;
    for (int32_t i = 0; i < Size(); ++i) {
      if (!IsRowOp(graph.nodes[i])) continue;
      group_[i] = static_cast<int>(members_.size());
      members_.push_back({i});
    }
  }

  std::vector<RowGroup> Run(std::vector<Miss>* misses) {
    for (int32_t i = 0; i < Size(); ++i) {
      if (group_[i] >= 0) JoinProducers(i);
    }
    JoinSiblings();
    for (const auto& [edge, boundary] : boundaries_) {
      if (boundary.plain || group_[edge.first] == group_[edge.second]) continue;
      misses->push_back(
          {"rows", Label(edge.first), boundary.reason, boundary.hint, boundary.saves});
    }
    ReportEnds(misses);
    std::vector<RowGroup> groups;
    for (const Members& members : members_) {
      if (members.size() < 2) continue;
      RowGroup group = Build(members);
      if (!group.outputs.empty()) groups.push_back(std::move(group));
    }
    return groups;
  }

 private:
  int32_t Size() const { return static_cast<int32_t>(graph_.nodes.size()); }
  std::string Label(int32_t node) const { return LabelOf(graph_, graph_.nodes[node]); }

  Traced Trace(ValueId value) const {
    Traced traced{value, {}};
    for (int32_t node = producers_[value]; node >= 0 && IsView(graph_.nodes[node]);
         node = producers_[traced.source]) {
      traced.views.push_back(node);
      traced.source = graph_.nodes[node].inputs[0];
    }
    return traced;
  }

  // The operands of a row operator that `choose` takes, behind views.
  template <class Choose>
  std::vector<Traced> OperandsOf(int32_t node, const Choose& choose) const {
    std::vector<Traced> operands;
    const auto& params = graph_.nodes[node].op->signature().params;
    for (size_t i = 0; i < params.size(); ++i) {
      const ValueId value = graph_.nodes[node].inputs[i];
      if (value != kAbsent && choose(params[i])) operands.push_back(Trace(value));
    }
    return operands;
  }

  // Those that differ from row to row, or the whole ones.
  std::vector<Traced> Operands(int32_t node, bool whole) const {
    return OperandsOf(node, [=](const ParamSpec& p) { return p.type.leading != whole; });
  }

  // Those that must be there before the first row: all indices are checked before a row is written.
  std::vector<Traced> EarlyOperands(int32_t node) const {
    return OperandsOf(node, [](const ParamSpec& p) { return !p.type.leading || p.bound; });
  }

  void JoinProducers(int32_t node) {
    for (const bool whole : {false, true}) {
      for (const Traced& operand : Operands(node, whole)) {
        const int32_t maker = producers_[operand.source];
        if (maker < 0 || group_[maker] < 0 || group_[maker] == group_[node]) continue;
        auto boundary = Join(maker, node);
        if (!boundary) continue;
        boundary->saves = SavedBytesOf(operand.source);
        boundaries_.insert({{node, maker}, *std::move(boundary)});
      }
    }
  }

  // What joining its maker and a reader saves: the reading, and the writing if nobody else reads.
  int64_t SavedBytesOf(ValueId value) const {
    const bool alone = !results_[value] && users_[value].size() == 1;
    return BytesPerRow(graph_.TypeOf(value)) * (alone ? 2 : 1);
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
    for (int32_t i = 0; i < Size(); ++i) {
      if (group_[i] < 0) continue;
      for (const Traced& operand : Operands(i, false)) {
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
    if (group_[a.node] == group_[b.node]) return;
    if ((a.viewed || b.viewed) && (IsNamed(a.node) || IsNamed(b.node))) return;
    Join(a.node, b.node);
  }

  bool IsNamed(int32_t node) const {
    const RowGroup group = Build(members_[group_[node]]);
    return group.members.size() > 1 && FindEqualOperator(group.body);
  }

  // Makes the groups of two row operators one, or says why not.
  std::optional<Boundary> Join(int32_t a, int32_t b) {
    const int into = group_[a], from = group_[b];
    Members joined = members_[into];
    joined.insert(members_[from].begin(), members_[from].end());
    if (auto boundary = FindBoundary(joined)) return boundary;
    for (int32_t node : members_[from]) group_[node] = into;
    Extend(*joined.begin(), *joined.rbegin());
    members_[into] = std::move(joined);
    members_[from].clear();
    return std::nullopt;
  }

  std::optional<Boundary> FindBoundary(const Members& joined) const {
    if (joined.size() > kMostMembers) {
      return Boundary{"length", Cat("a region has at most ", kMostMembers, " row operators")};
    }
    for (int32_t node : joined) {
      if (mutations_[node] != mutations_[*joined.begin()]) {
        return Boundary{"order", "move the mutation before or behind these operators"};
      }
      for (const Traced& operand : EarlyOperands(node)) {
        if (!joined.contains(producers_[operand.source])) continue;
        return Boundary{"whole_operand",
                        Cat(NodeName(graph_.nodes[node]), " needs all of ",
                            graph_.values[operand.source].name, " before its first row")};
      }
    }
    const std::set<int32_t> views = ViewsBetween(joined);
    if (const int32_t detour = FindDetour(joined, views); detour >= 0) {
      return Boundary{"cycle", Cat("make ", Label(detour), " independent of these rows"),
                      !ReadsOne(detour, joined) || !IsCheap(graph_.nodes[detour])};
    }
    return FindMisfit(Build(joined).body);
  }

  bool ReadsOne(int32_t node, const Members& members) const {
    return std::ranges::any_of(graph_.nodes[node].inputs, [&](ValueId value) {
      return value != kAbsent && members.contains(producers_[value]);
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

  std::set<int32_t> ViewsBetween(const Members& members) const {
    std::set<int32_t> views;
    for (int32_t node : members) {
      for (const Traced& operand : Operands(node, false)) {
        if (!members.contains(producers_[operand.source])) continue;
        views.insert(operand.views.begin(), operand.views.end());
      }
    }
    return views;
  }

  // Behind this node nothing leads back to the members: no group that begins before it ends later.
  int32_t Horizon(const Members& members) const {
    int32_t horizon = *members.rbegin();
    while (reach_[horizon] > horizon) horizon = reach_[horizon];
    return horizon;
  }

  // A group that begins here ends there.
  void Extend(int32_t begin, int32_t end) {
    for (int32_t i = begin; i < end && reach_[i] < end; ++i) reach_[i] = end;
  }

  // A node outside that needs the members' results and that a member needs, groups counting as one
  // node; -1 where there is none.
  int32_t FindDetour(const Members& members, const std::set<int32_t>& views) const {
    const int32_t horizon = Horizon(members);
    std::vector<int32_t> stack(members.begin(), members.end());
    ++search_;
    for (int32_t node : stack) seen_[node] = search_;
    while (!stack.empty()) {
      const int32_t node = stack.back();
      stack.pop_back();
      const bool inside = members.contains(node) || views.contains(node);
      for (ValueId output : graph_.nodes[node].outputs) {
        for (int32_t user : users_[output]) {
          if (members.contains(user) && !inside) return node;
          if (user <= horizon) Visit(user, &stack);
        }
      }
    }
    return -1;
  }

  void Visit(int32_t node, std::vector<int32_t>* stack) const {
    if (seen_[node] == search_) return;
    if (group_[node] < 0) {
      seen_[node] = search_;
      stack->push_back(node);
      return;
    }
    for (int32_t member : members_[group_[node]]) {
      if (seen_[member] != search_) stack->push_back(member);
      seen_[member] = search_;
    }
  }

  bool Escapes(ValueId value, const Members& members, const std::set<int32_t>& views) const {
    if (results_[value]) return true;
    return std::ranges::any_of(users_[value], [&](int32_t user) {
      if (members.contains(user)) return false;
      return !views.contains(user) || Escapes(graph_.nodes[user].outputs[0], members, views);
    });
  }

  RowGroup Build(const Members& members) const {
    RowGroup group;
    const std::set<int32_t> views = ViewsBetween(members);
    group.members.assign(members.begin(), members.end());
    group.views.assign(views.begin(), views.end());
    std::vector<int32_t> order;
    std::ranges::merge(group.members, group.views, std::back_inserter(order));
    std::map<ValueId, ValueId> inner = {{kAbsent, kAbsent}};
    for (int32_t index : order) {
      for (ValueId value : graph_.nodes[index].outputs) inner[value] = kAbsent;
    }
    for (int32_t index : order) AddNode(graph_.nodes[index], &inner, &group);
    for (int32_t index : group.members) {
      for (ValueId value : graph_.nodes[index].outputs) {
        if (!Escapes(value, members, views)) continue;
        group.outputs.push_back(value);
        group.body.outputs.push_back(inner[value]);
      }
    }
    return group;
  }

  void AddNode(Node node, std::map<ValueId, ValueId>* inner, RowGroup* group) const {
    for (ValueId& input : node.inputs) {
      const auto [known, fresh] = inner->try_emplace(input, kAbsent);
      if (fresh) {
        known->second = group->body.AddInput(graph_.values[input].name, graph_.TypeOf(input));
        group->inputs.push_back(input);
      }
      input = known->second;
    }
    for (ValueId& output : node.outputs) {
      const ValueId value = group->body.AddValue(graph_.values[output].name, graph_.TypeOf(output));
      (*inner)[output] = value;
      output = value;
    }
    group->body.nodes.push_back(std::move(node));
  }

  // What the node reads, behind views, of row operators.
  std::vector<ValueId> ReadOfRows(const Node& node) const {
    std::vector<ValueId> read;
    for (ValueId value : node.inputs) {
      const ValueId source = value == kAbsent ? kAbsent : Trace(value).source;
      const int32_t maker = source == kAbsent ? -1 : producers_[source];
      if (maker >= 0 && group_[maker] >= 0) read.push_back(source);
    }
    return read;
  }

  bool IsBeforeRows(const Node& node) const {
    return std::ranges::any_of(node.outputs, [&](ValueId value) {
      return std::ranges::any_of(users_[value], [&](int32_t user) {
        return IsView(graph_.nodes[user]) ? IsBeforeRows(graph_.nodes[user]) : group_[user] >= 0;
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

  void ReportEnds(std::vector<Miss>* misses) const {
    for (int32_t i = 0; i < Size(); ++i) {
      const Node& node = graph_.nodes[i];
      if (group_[i] >= 0 || IsView(node)) continue;
      const std::vector<ValueId> read = ReadOfRows(node);
      const auto end = read.empty() ? std::nullopt : FindEnd(node);
      if (!end) continue;
      int64_t saves = 0;
      for (ValueId value : read) saves += SavedBytesOf(value);
      misses->push_back({"rows", Label(i), end->reason, end->hint, saves});
    }
  }

  const Graph& graph_;
  const Target& target_;
  std::vector<std::vector<int32_t>> users_;
  std::vector<int32_t> producers_;
  std::vector<int> mutations_;
  std::vector<bool> results_;
  std::vector<int> group_;        // of each node, -1: not a row operator
  std::vector<Members> members_;  // of each group; empty: joined to another
  std::vector<int32_t> reach_;    // where the groups end that begin at or before each node
  mutable int64_t search_ = 0;    // the present walk, and the last one that met each node: a walk
  mutable std::vector<int64_t> seen_;  // costs what it meets, not what the graph holds
  std::map<std::pair<int32_t, int32_t>, Boundary> boundaries_;  // (reader, maker)
};

}  // namespace

std::vector<RowGroup> GroupRows(const Graph& graph, const Target& target,
                                std::vector<Miss>* misses) {
  return Grouper(graph, target).Run(misses);
}

}  // namespace fusible
