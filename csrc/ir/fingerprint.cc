// A number that tells graphs apart without their texts.
#include <bit>
#include <functional>
#include <span>
#include <string_view>

#include "ir/graph.h"

namespace fusible {
namespace {

// What a graph mentions, in order; values by their number in the order of mention.
class Mixer {
 public:
  explicit Mixer(const Graph& graph) : graph_(graph), numbers_(graph.values.size(), 0) {}

  uint64_t Run() {
    for (const Input& input : graph_.inputs) {
      Add(static_cast<uint64_t>(input.kind));
      Add(static_cast<uint64_t>(input.new_value));
      Mention(input.value);
    }
    for (const Node& node : graph_.nodes) AddNode(node);
    MentionAll(graph_.outputs);
    return hash_;
  }

 private:
  void AddNode(const Node& node) {
    Add(reinterpret_cast<uintptr_t>(node.op));
    Add(node.mutates);
    AddText(node.opaque);
    for (const auto& [name, value] : node.attrs) {
      AddText(name);
      Add(value.index());
      std::visit([&](const auto& held) { AddHeld(held); }, value);
    }
    if (node.region) {
      AddText(node.region->name);
      Add(Fingerprint(node.region->body));
    }
    MentionAll(node.inputs);
    MentionAll(node.outputs);
  }

  void MentionAll(std::span<const ValueId> ids) {
    Add(ids.size());
    for (ValueId id : ids) Mention(id);
  }

  // At first the name and the type as well. A number that is no value stands for itself.
  void Mention(ValueId id) {
    if (id < 0 || id >= std::ssize(numbers_)) return Add(static_cast<uint64_t>(id));
    const bool first = numbers_[id] == 0;
    if (first) numbers_[id] = ++mentioned_;
    Add(static_cast<uint64_t>(numbers_[id]));
    if (!first) return;
    AddText(graph_.values[id].name);
    Add(HashOf(graph_.TypeOf(id)));
  }

  template <class T>
  void AddHeld(T value) {
    Add(static_cast<uint64_t>(value));
  }
  void AddHeld(const std::string& value) { AddText(value); }
  void AddHeld(double value) {  // NaN is NaN
    Add(value == value ? std::bit_cast<uint64_t>(value) : ~uint64_t{0});
  }
  void AddHeld(const std::vector<int64_t>& values) {
    Add(values.size());
    for (int64_t value : values) AddHeld(value);
  }

  void AddText(std::string_view text) { Add(std::hash<std::string_view>()(text)); }
  void Add(uint64_t part) {
    hash_ = (hash_ ^ part) * 0x9E3779B97F4A7C15;
    hash_ ^= hash_ >> 32;
  }

  const Graph& graph_;
  uint64_t hash_ = 0;
  std::vector<int32_t> numbers_;  // of each value; 0: not mentioned yet
  int32_t mentioned_ = 0;
};

}  // namespace

uint64_t Fingerprint(const Graph& graph) { return Mixer(graph).Run(); }

}  // namespace fusible
