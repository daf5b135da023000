#include "ir/graph.h"

#include <algorithm>

#include "core/cat.h"
#include "ir/infer.h"

namespace fusible {
namespace {

bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool IsNamePart(char c) { return IsNameStart(c) || (c >= '0' && c <= '9') || c == '.'; }

std::string LegalName(std::string_view hint) {
  std::string name(hint);
  std::replace_if(name.begin(), name.end(), [](char c) { return !IsNamePart(c); }, '_');
  if (name.empty()) return "value";
  if (!IsNameStart(name[0])) name.insert(0, 1, '_');
  return name == "none" ? "none_" : name;
}

size_t HashOf(const Type& type) {
  auto hash = static_cast<size_t>(type.dtype);
  const auto mix = [&](size_t part) { hash = (hash ^ part) * 0x9E3779B97F4A7C15 ^ hash >> 29; };
  for (const Dim& dim : type.shape) {
    mix(static_cast<size_t>(dim.factor));
    mix(static_cast<size_t>(dim.offset));
    if (dim.symbol) mix(reinterpret_cast<uintptr_t>(&dim.symbol.name()));
  }
  return hash;
}

// Compares two graphs mention by mention: which numbers their values have does not matter.
class Comparison {
 public:
  Comparison(const Graph& a, const Graph& b) : a_(a), b_(b), partner_(a.values.size(), kAbsent) {}

  bool Run() {
    const auto same_input = [&](const Input& x, const Input& y) {
      return x.kind == y.kind && x.new_value == y.new_value && Same(x.value, y.value);
    };
    const auto same_node = [&](const Node& x, const Node& y) { return SameNode(x, y); };
    return std::equal(a_.inputs.begin(), a_.inputs.end(), b_.inputs.begin(), b_.inputs.end(),
                      same_input) &&
           std::equal(a_.nodes.begin(), a_.nodes.end(), b_.nodes.begin(), b_.nodes.end(),
                      same_node) &&
           SameList(a_.outputs, b_.outputs);
  }

 private:
  bool Same(ValueId x, ValueId y) {
    if (x == kAbsent || y == kAbsent) return x == y;
    if (partner_[x] != kAbsent) return partner_[x] == y;
    partner_[x] = y;
    return a_.values[x].name == b_.values[y].name && a_.TypeOf(x) == b_.TypeOf(y);
  }

  bool SameList(const std::vector<ValueId>& x, const std::vector<ValueId>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [&](ValueId a, ValueId b) { return Same(a, b); });
  }

  bool SameNode(const Node& x, const Node& y) {
    if (x.op != y.op || x.opaque != y.opaque || x.mutates != y.mutates) return false;
    if (!(x.attrs == y.attrs) || !x.region != !y.region) return false;
    if (x.region && x.region != y.region &&
        (x.region->name != y.region->name || !(x.region->body == y.region->body))) {
      return false;
    }
    return SameList(x.inputs, y.inputs) && SameList(x.outputs, y.outputs);
  }

  const Graph& a_;
  const Graph& b_;
  std::vector<ValueId> partner_;  // of each value of a_ that was met: the value of b_
};

}  // namespace

bool IsValueName(std::string_view name) {
  return !name.empty() && IsNameStart(name[0]) && name != "none" &&
         std::all_of(name.begin(), name.end(), IsNamePart);
}

int32_t TypeTable::Add(const Type& type) {
  if (2 * types_.size() >= slots_.size()) {
    slots_.assign(std::max<size_t>(8, 2 * slots_.size()), -1);
    for (size_t i = 0; i < types_.size(); ++i) *Slot(types_[i]) = static_cast<int32_t>(i);
  }
  int32_t* slot = Slot(type);
  if (*slot < 0) {
    *slot = static_cast<int32_t>(types_.size());
    types_.push_back(type);
  }
  return *slot;
}

// Where the type is, or would be.
int32_t* TypeTable::Slot(const Type& type) {
  size_t at = HashOf(type);
  const auto slot = [&] { return &slots_[at & (slots_.size() - 1)]; };
  while (*slot() >= 0 && !(types_[*slot()] == type)) ++at;
  return slot();
}

NameIndex& NameIndex::operator=(NameIndex other) noexcept {
  std::swap(seen_, other.seen_);
  next_.swap(other.next_);
  return *this;
}

std::string NameIndex::Fresh(const std::vector<Value>& values, std::string_view hint) {
  if (values.size() < seen_) *this = NameIndex();
  for (; seen_ < values.size(); ++seen_) next_.try_emplace(values[seen_].name, 1);
  std::string base = LegalName(hint);
  const auto taken = next_.find(base);
  if (taken == next_.end()) return base;
  std::string name;
  do {
    name = Cat(base, "_", taken->second++);
  } while (next_.contains(name));
  return name;
}

std::string Graph::FreshName(std::string_view hint) const { return names.Fresh(values, hint); }

ValueId Graph::AddValue(std::string_view hint, const Type& type) {
  const int32_t number = types.Add(type);
  values.push_back({FreshName(hint), number});
  return static_cast<ValueId>(values.size() - 1);
}

ValueId Graph::AddInput(std::string_view name, const Type& type, InputKind kind) {
  if (!IsValueName(name)) {
    throw GraphError(Cat("expected the name of an input, such as `x`, got `", name, "`"));
  }
  if (FreshName(name) != name) throw GraphError(Cat("expected a new name, got `", name, "` again"));
  const std::string problem = ShapeProblem(type.shape);
  if (!problem.empty()) throw GraphError(Cat("input ", name, ": ", problem));
  inputs.push_back({AddValue(name, type), kind});
  return inputs.back().value;
}

const Node& Graph::AddCall(const Op& op, std::vector<ValueId> inputs, const Attrs& attrs,
                           std::span<const std::string> names) {
  Node node;
  node.op = &op;
  node.inputs = std::move(inputs);
  Binding binding = BindCall(op, OperandTypes(*this, node), attrs);
  node.inputs.resize(op.signature().params.size(), kAbsent);
  node.attrs = std::move(binding.attrs);
  for (size_t i = 0; i < binding.results.size(); ++i) {
    const std::string& hint = i < names.size() ? names[i] : op.signature().results[i].name;
    node.outputs.push_back(AddValue(hint, binding.results[i]));
  }
  nodes.push_back(std::move(node));
  return nodes.back();
}

std::string NodeName(const Node& node) {
  if (node.op) return node.op->name();
  if (node.region) return node.region->name;
  return Cat("opaque(", node.opaque, ")");
}

std::string LabelOf(const Graph& graph, const Node& node) {
  return node.outputs.empty() ? NodeName(node) : graph.values[node.outputs[0]].name;
}

bool operator==(const Graph& a, const Graph& b) { return Comparison(a, b).Run(); }

}  // namespace fusible
