#include "runtime/pack_constants.h"

#include <optional>
#include <string>

#include "core/cat.h"
#include "core/error.h"
#include "ir/views.h"
#include "runtime/row_plan.h"

namespace fusible {
namespace {

// Where a weight shows a value; strides are nullopt for a view that needs a copy.
struct Place {
  int weight = 0;
  int64_t offset = 0;  // bytes
  DType dtype = DType::kF32;
  Sizes shape;
  std::optional<Sizes> strides;
};

Place ViewOf(const Place& place, const Node& node) {
  Place seen = place;
  const Sizes* strides = place.strides ? &*place.strides : nullptr;
  const ViewResult view = node.op->view()(ToShape(place.shape), strides, node.attrs);
  seen.shape = *ToSizes(view.shape);
  seen.strides = strides ? view.strides : std::nullopt;
  seen.offset += view.offset * static_cast<int64_t>(Bytes(place.dtype));
  return seen;
}

class Packer {
 public:
  Packer(const Graph& graph, std::span<const Weight> weights, WeightCopies& copies)
      : graph_(graph),
        weights_(weights),
        copies_(copies),
        places_(graph.values.size()),
        read_(weights.size()) {
    int next = 0;
    for (const Input& input : graph.inputs) {
      if (input.kind != InputKind::kConstant) continue;
      const TensorView& given = weights[next].view;
      places_[input.value] = Place{next, 0, given.dtype, given.shape, given.strides};
      names_.push_back(graph.values[input.value].name);
      if (weights[next].packed) TakePacked(next);
      ++next;
    }
  }

  std::vector<bool> Run() {
    for (const Node& node : graph_.nodes) {
      if (IsView(node)) {
        AddView(node);
        continue;
      }
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

  void AddView(const Node& node) {
    const auto& place = places_[node.inputs[0]];
    if (!place) return;
    RefusePacked(*place, NodeName(node));
    places_[node.outputs[0]] = ViewOf(*place, node);
  }

  void Read(ValueId value, bool packed, const std::string& reader) {
    const auto& place = places_[value];
    if (!place) return;
    if (!packed || !place->strides) {
      RefusePacked(*place, reader);
      read_[place->weight] = true;
    } else {
      const ArrayLayout layout{place->dtype, place->shape, *place->strides};
      copies_.GetPacked(place->weight, place->offset, layout, weights_[place->weight].view.data);
    }
  }

  void RefusePacked(const Place& place, const std::string& reader) const {
    if (!weights_[place.weight].packed) return;
    throw ArgumentError(Cat("weights: ", names_[place.weight], ": expected an array, since ",
                            reader, " reads it, got a packed weight"));
  }

  const Graph& graph_;
  const std::span<const Weight> weights_;
  WeightCopies& copies_;
  std::vector<std::optional<Place>> places_;  // of each value
  std::vector<bool> read_;
  std::vector<std::string> names_;  // of weights
};

}  // namespace

std::vector<bool> PackConstants(const Graph& graph, std::span<const Weight> weights,
                                WeightCopies& copies) {
  return Packer(graph, weights, copies).Run();
}

}  // namespace fusible
