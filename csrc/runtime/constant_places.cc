#include "runtime/constant_places.h"

#include "ir/views.h"
#include "runtime/reads.h"
#include "runtime/row_draft.h"

namespace fusible {
namespace {

ViewResult SeenAt(const ConstantPlace& place, const Node& node) {
  return node.op->view()(ToShape(place.layout.shape), &place.layout.strides, node.attrs);
}

// The same values without gaps.
ConstantPlace Copied(const ConstantPlace& place, int weights, WeightCopies& copies) {
  ConstantPlace to;
  to.copy = copies.Get(place.source, place.offset, place.layout, place.data);
  to.source = weights + to.copy.number;
  to.layout = place.layout;
  to.layout.strides = ContiguousStrides(place.layout.shape);
  to.data = to.copy.data.get();
  return to;
}

}  // namespace

std::vector<std::optional<ConstantPlace>> PlaceConstants(const Graph& graph,
                                                         std::span<const TensorView> weights,
                                                         WeightCopies& copies) {
  const Reads reads(graph);
  std::vector<std::optional<ConstantPlace>> places(graph.values.size());
  int next = 0;
  for (const Input& input : graph.inputs) {
    if (input.kind != InputKind::kConstant) continue;
    const TensorView& w = weights[next];
    places[input.value] = {
        .source = next++, .layout = {w.dtype, w.shape, w.strides}, .copy = {}, .data = w.data};
  }
  for (const Node& node : graph.nodes) {
    if (!IsView(node) || !places[node.inputs[0]]) continue;
    const ValueId out = node.outputs[0];
    if (!reads.AsRows(out) && !reads.AsWhole(out)) continue;
    ConstantPlace place = *places[node.inputs[0]];
    ViewResult seen = SeenAt(place, node);
    if (!seen.strides) {
      place = Copied(place, static_cast<int>(weights.size()), copies);
      seen = SeenAt(place, node);
    }
    place.offset += seen.offset * static_cast<int64_t>(Bytes(place.layout.dtype));
    place.layout.shape = *ToSizes(seen.shape);
    place.layout.strides = seen.strides.value();
    places[out] = std::move(place);
  }
  return places;
}

}  // namespace fusible
