#include "ir/views.h"

#include <algorithm>

namespace fusible {
namespace {

using Ints = std::vector<int64_t>;

bool IsNamed(const Node& node, std::string_view name) { return node.op && node.op->name() == name; }

int64_t FromFront(int64_t dim, int rank) { return dim < 0 ? dim + rank : dim; }

int FirstMoved(const Ints& dims) {
  const int rank = static_cast<int>(dims.size());
  int i = 0;
  while (i < rank && FromFront(dims[i], rank) == i) ++i;
  return i;
}

int LastMoved(const Ints& dims) {
  const int rank = static_cast<int>(dims.size());
  int i = rank - 1;
  while (i >= 0 && FromFront(dims[i], rank) == i) --i;
  return i;
}

int CommonLastDims(const Shape& a, const Shape& b) {
  const int limit = std::min(a.size(), b.size());
  int i = 0;
  while (i < limit && a[a.size() - 1 - i] == b[b.size() - 1 - i]) ++i;
  return i;
}

// A transpose that moves the same dimensions of a value of this rank.
std::optional<Attrs> SameMoves(const Node& view, int rank) {
  const Ints& dims = view.attrs.Ints("dims");
  if (LastMoved(dims) >= rank) return std::nullopt;
  Ints same;
  for (int i = 0; i < rank; ++i) {
    const bool given = i < static_cast<int>(dims.size());
    same.push_back(given ? FromFront(dims[i], static_cast<int>(dims.size())) : i);
  }
  Attrs attrs = view.attrs;
  attrs.Set("dims", same);
  return attrs;
}

// The `shape` attribute that reshapes `base` to `result`.
std::optional<Ints> ReshapeTo(const Shape& base, const Shape& result) {
  Ints shape;
  int inferred = 0;
  for (int i = 0; i < result.size(); ++i) {
    const bool stays = i < base.size() && base[i] == result[i];
    // A size of 0 cannot be written as a number: 0 keeps, -1 infers.
    const bool number = result[i].IsConstant() && result[i].offset != 0;
    inferred += !number && !stays;
    shape.push_back(number ? result[i].offset : stays ? 0 : -1);
  }
  if (inferred > 1) return std::nullopt;
  return shape;
}

}  // namespace

bool IsView(const Node& node) { return node.op && node.op->view(); }

int CommonDims(const Shape& a, const Shape& b) {
  const int limit = std::min(a.size(), b.size());
  int i = 0;
  while (i < limit && a[i] == b[i]) ++i;
  return i;
}

int KeptDims(const Graph& graph, const Node& view) {
  const Shape& before = graph.TypeOf(view.inputs[0]).shape;
  const int same = CommonDims(before, graph.TypeOf(view.outputs[0]).shape);
  if (!IsNamed(view, "transpose")) return same;
  return std::min(same, FirstMoved(view.attrs.Ints("dims")));
}

bool KeepsTrailing(const Graph& graph, const Node& view, int trailing) {
  const Shape& before = graph.TypeOf(view.inputs[0]).shape;
  const Shape& after = graph.TypeOf(view.outputs[0]).shape;
  if (before.size() < trailing || after.size() < trailing) return false;
  if (IsNamed(view, "slice")) {
    return FromFront(view.attrs.Int("dim"), before.size()) < before.size() - trailing;
  }
  if (IsNamed(view, "transpose")) {
    return LastMoved(view.attrs.Ints("dims")) < before.size() - trailing;
  }
  if (!IsNamed(view, "reshape")) return false;
  return std::equal(before.end() - trailing, before.end(), after.end() - trailing);
}

std::optional<Attrs> ReplayAttrs(const Graph& graph, const Node& view, const Type& type) {
  const Shape& before = graph.TypeOf(view.inputs[0]).shape;
  const Shape& after = graph.TypeOf(view.outputs[0]).shape;
  if (IsNamed(view, "slice")) return CanonicalViewAttrs(*view.op, view.attrs, before, after);
  if (IsNamed(view, "transpose")) return SameMoves(view, type.shape.size());
  const int kept = CommonLastDims(before, after);
  Shape result;
  for (int i = 0; i < after.size() - kept; ++i) result.push_back(after[i]);
  for (int i = before.size() - kept; i < type.shape.size(); ++i) result.push_back(type.shape[i]);
  return CanonicalViewAttrs(*view.op, view.attrs, type.shape, result);
}

std::optional<Attrs> CanonicalViewAttrs(const Op& view, const Attrs& attrs, const Shape& base,
                                        const Shape& result) {
  Attrs canonical = attrs;
  if (view.name() == "reshape") {
    const auto shape = ReshapeTo(base, result);
    if (!shape) return std::nullopt;
    canonical.Set("shape", *shape);
  } else if (view.name() == "slice") {
    canonical.Set("dim", FromFront(attrs.Int("dim"), base.size()));
  } else if (view.name() == "transpose") {
    Ints dims = attrs.Ints("dims");
    for (int64_t& dim : dims) dim = FromFront(dim, base.size());
    canonical.Set("dims", dims);
  }
  return canonical;
}

bool IsIdentityView(const Graph& graph, const Node& view) {
  const Shape& before = graph.TypeOf(view.inputs[0]).shape;
  return before == graph.TypeOf(view.outputs[0]).shape && KeptDims(graph, view) == before.size();
}

}  // namespace fusible
