#include "ir/graph.h"

#include <algorithm>
#include <bit>
#include <functional>

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

// Not 0, which stands for no name.
size_t HashOf(std::string_view name) { return std::hash<std::string_view>()(name) | 1; }

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

  bool SameList(std::span<const ValueId> x, std::span<const ValueId> y) {
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

uint64_t HashOf(const Type& type) {
  auto hash = static_cast<uint64_t>(type.dtype);
  const auto mix = [&](uint64_t part) { hash = (hash ^ part) * 0x9E3779B97F4A7C15 ^ hash >> 29; };
  for (const Dim& dim : type.shape) {
    mix(static_cast<uint64_t>(dim.factor));
    mix(static_cast<uint64_t>(dim.offset));
    if (dim.symbol) mix(reinterpret_cast<uintptr_t>(&dim.symbol.name()));
  }
  return hash;
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
  hashes_.swap(other.hashes_);
  next_.swap(other.next_);
  return *this;
}

std::string NameIndex::Fresh(const std::vector<Value>& values, std::string_view hint) {
  See(values);
  std::string base = LegalName(hint);
  if (!Holds(base)) return base;
  int64_t& number = next_.try_emplace(base, 1).first->second;
  std::string name;
  do {
    name = Cat(base, "_", number++);
  } while (Holds(name));
  return name;
}

void NameIndex::See(const std::vector<Value>& values) {
  if (values.size() < seen_) *this = NameIndex();
  if (hashes_.size() < 2 * values.size() + 2) {
    hashes_.assign(std::bit_ceil(4 * values.size() + 8), 0);
    seen_ = 0;
  }
  for (; seen_ < values.size(); ++seen_) {
    const size_t hash = HashOf(values[seen_].name);
    hashes_[IndexOf(hash)] = hash;
  }
}

size_t NameIndex::IndexOf(size_t hash) const {
  const size_t mask = hashes_.size() - 1;
  size_t at = hash & mask;
  while (hashes_[at] != 0 && hashes_[at] != hash) at = (at + 1) & mask;
  return at;
}

bool NameIndex::Holds(std::string_view name) const { return hashes_[IndexOf(HashOf(name))] != 0; }

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

const Node& Graph::AddCall(const Op& op, ValueIds inputs, const Attrs& attrs,
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
