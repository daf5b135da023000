#include "runtime/pack_constants.h"

#include <map>
#include <string>

#include "core/cat.h"
#include "core/error.h"
#include "ir/views.h"
#include "runtime/constant_places.h"
#include "runtime/reads.h"

namespace fusible {
namespace {

class Packer {
 public:
  Packer(const Graph& graph, std::span<const Weight> weights, WeightCopies& copies)
      : graph_(graph), weights_(weights), copies_(copies), reads_(graph), read_(weights.size()) {
    std::vector<TensorView> views;
    for (const Input& input : graph.inputs) {
      if (input.kind != InputKind::kConstant) continue;
      const auto next = static_cast<int>(views.size());
      views.push_back(weights[next].view);
      numbers_[input.value] = next;
      if (weights[next].packed) TakePacked(next);
    }
    for (const Node& node : graph.nodes) {
      if (IsView(node)) RefusePacked(node.inputs[0], NodeName(node));
    }
    places_ = PlaceConstants(graph, views, copies);
  }

  std::vector<bool> Run() {
    for (const Node& node : graph_.nodes) {
      if (IsView(node)) continue;
      const int packs = node.op ? node.op->packs() : -1;
      for (int i = 0; i < std::ssize(node.inputs); ++i) {
        if (node.inputs[i] != kAbsent) Read(node.inputs[i], i == packs, NodeName(node));
      }
    }
    for (const ValueId output : graph_.outputs) Read(output, false, "the caller");
    return std::move(read_);
  }

 private:
  void TakePacked(int weight) {
    const TensorView& view = weights_[weight].view;
    copies_.UsePacked(weight, {view.dtype, view.shape, view.strides}, view.data);
    read_[weight] = true;
  }

  void Read(ValueId value, bool packed, const std::string& reader) {
    const auto& place = places_[value];
    if (!place) return;
    if (packed) {
      copies_.GetPacked(place->source, place->offset, place->layout, place->data);
      return;
    }
    RefusePacked(value, reader);
    if (place->source < std::ssize(weights_)) read_[place->source] = true;
  }

  void RefusePacked(ValueId value, const std::string& reader) const {
    const ValueId origin = reads_.Origin(value);
    const auto number = numbers_.find(origin);
    if (number == numbers_.end() || !weights_[number->second].packed) return;
    throw ArgumentError(Cat("weights: ", graph_.values[origin].name, ": expected an array, since ",
                            reader, " reads it, got a packed weight"));
  }

  const Graph& graph_;
  const std::span<const Weight> weights_;
  WeightCopies& copies_;
  const Reads reads_;
  std::map<ValueId, int> numbers_;  // of weights
  std::vector<std::optional<ConstantPlace>> places_;
  std::vector<bool> read_;
};

}  // namespace

std::vector<bool> PackConstants(const Graph& graph, std::span<const Weight> weights,
                                WeightCopies& copies) {
  return Packer(graph, weights, copies).Run();
}

}  // namespace fusible
