#include "ir/rows.h"

#include <algorithm>
#include <limits>
#include <map>

#include "ir/views.h"

namespace fusible {
namespace {

// Where the elements of a value of the body lie, one row of the prefix being at any distance from
// the next. Symbols of the prefix count as one row.
struct RowLayout {
  Shape shape;
  Sizes strides;
};

// Contiguous behind the prefix. The gap of one element between rows keeps views from folding them.
std::optional<RowLayout> ContiguousRows(const Shape& shape, int prefix) {
  Sizes sizes;
  for (int i = 0; i < shape.size(); ++i) {
    if (i >= prefix && !shape[i].IsConstant()) return std::nullopt;
    sizes.push_back(shape[i].IsConstant() ? shape[i].offset : 1);
  }
  RowLayout layout{ToShape(sizes), ContiguousStrides(sizes)};
  if (prefix > 0) {
    layout.strides[prefix - 1] += 1;
    for (int i = prefix - 2; i >= 0; --i) {
      layout.strides[i] = layout.strides[i + 1] * std::max<int64_t>(1, sizes[i + 1]);
    }
  }
  return layout;
}

// A row kernel takes its own (trailing) dimensions side by side.
bool TrailingIsContiguous(const RowLayout& layout, int trailing) {
  int64_t expected = 1;
  const int rank = layout.shape.size();
  for (int i = rank - 1; i >= rank - trailing; --i) {
    if (layout.shape[i].offset != 1 && layout.strides[i] != expected) return false;
    expected *= layout.shape[i].offset;
  }
  return true;
}

// Follows the body's values and refuses what a row program cannot do.
class BodyCheck {
 public:
  BodyCheck(const Graph& body, int prefix) : body_(body), prefix_(prefix) {
    for (const Input& input : body.inputs) {
      layouts_[input.value] = ContiguousRows(body.TypeOf(input.value).shape, prefix);
    }
  }

  bool Accept(const Node& node) { return IsView(node) ? AcceptView(node) : AcceptRowOp(node); }

 private:
  bool AcceptView(const Node& node) {
    const auto& source = layouts_[node.inputs[0]];
    if (KeptDims(body_, node) < prefix_ || !source || Has(wholes_, node.inputs[0])) return false;
    const ViewResult view = node.op->view()(source->shape, &source->strides, node.attrs);
    if (!view.strides) return false;
    layouts_[node.outputs[0]] = RowLayout{view.shape, *view.strides};
    made_.push_back(node.outputs[0]);
    if (Has(computed_, node.inputs[0])) computed_.push_back(node.outputs[0]);
    return true;
  }

  bool AcceptRowOp(const Node& node) {
    const Signature& signature = node.op->signature();
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const bool made = Has(made_, node.inputs[i]);
      if (made && !AcceptMade(node.inputs[i], signature.params[i])) return false;
    }
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      const ValueId output = node.outputs[r];
      layouts_[output] = ContiguousRows(body_.TypeOf(output).shape, prefix_);
      made_.push_back(output);
      computed_.push_back(output);
      if (signature.results[r].type.leading) continue;
      if (!Has(body_.outputs, output)) return false;
      wholes_.push_back(output);
    }
    return true;
  }

  // An operand from inside the body: rows of it are there, of indices and wholes too few.
  bool AcceptMade(ValueId value, const ParamSpec& param) {
    if (!param.type.leading || Has(wholes_, value)) return false;
    if (param.bound && Has(computed_, value)) return false;
    // Without a layout it is a result whose sizes are symbols: contiguous, as every result is.
    const auto& layout = layouts_[value];
    return !layout || TrailingIsContiguous(*layout, static_cast<int>(param.type.dims.size()));
  }

  static bool Has(const std::vector<ValueId>& values, ValueId value) {
    return std::ranges::count(values, value) > 0;
  }

  const Graph& body_;
  int prefix_;
  std::map<ValueId, std::optional<RowLayout>> layouts_;
  std::vector<ValueId> made_;      // by nodes of the body
  std::vector<ValueId> computed_;  // those that are no views of inputs
  std::vector<ValueId> wholes_;    // results that every row may write
};

// Bytes of one row of a value; nullopt where a size behind the prefix is a symbol.
std::optional<int64_t> RowBytes(const Type& type, int prefix) {
  int64_t bytes = static_cast<int64_t>(Bytes(type.dtype));
  for (int i = prefix; i < type.shape.size(); ++i) {
    if (!type.shape[i].IsConstant()) return std::nullopt;
    bytes *= type.shape[i].offset;
  }
  return bytes;
}

// For each value of the body the one whose memory it is seen in: itself, but for views.
std::vector<ValueId> Memories(const Graph& body) {
  std::vector<ValueId> memory(body.values.size());
  for (size_t i = 0; i < memory.size(); ++i) memory[i] = static_cast<ValueId>(i);
  for (const Node& node : body.nodes) {
    if (IsView(node)) memory[node.outputs[0]] = memory[node.inputs[0]];
  }
  return memory;
}

}  // namespace

bool IsRowOp(const Node& node) {
  if (!node.op || !node.op->rows()) return false;
  const auto& results = node.op->signature().results;
  return std::ranges::all_of(results, [](const ResultSpec& r) { return r.type.leading; });
}

int LeadingRank(const TypeSpec& spec, const Type& type) {
  return spec.leading ? type.shape.size() - static_cast<int>(spec.dims.size()) : 0;
}

Shape LeadingDims(const Graph& graph, const Node& node) {
  const Signature& signature = node.op->signature();
  const auto leading = [&](const TypeSpec& spec, ValueId value) {
    Shape shape = graph.TypeOf(value).shape;
    shape.resize(LeadingRank(spec, graph.TypeOf(value)));
    return shape;
  };
  for (size_t r = 0; r < node.outputs.size(); ++r) {
    const TypeSpec& spec = signature.results[r].type;
    if (spec.leading) return leading(spec, node.outputs[r]);
  }
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const TypeSpec& spec = signature.params[i].type;
    if (spec.leading && node.inputs[i] != kAbsent) return leading(spec, node.inputs[i]);
  }
  return {};
}

std::optional<int> CommonPrefix(const Graph& body) {
  std::optional<Shape> first;
  int prefix = 0;
  bool whole_call = false;
  for (const Node& node : body.nodes) {
    if (IsView(node)) continue;
    if (!node.op || !node.op->rows()) return std::nullopt;
    const Shape leading = LeadingDims(body, node);
    whole_call |= leading.empty();
    prefix = first ? std::min(prefix, CommonDims(*first, leading)) : leading.size();
    if (!first) first = leading;
  }
  if (!first) return std::nullopt;
  for (const Node& node : body.nodes) {
    if (IsView(node)) prefix = std::min(prefix, KeptDims(body, node));
  }
  if (prefix == 0 && !whole_call) return std::nullopt;
  BodyCheck check(body, prefix);
  for (const Node& node : body.nodes) {
    if (!check.Accept(node)) return std::nullopt;
  }
  return prefix;
}

int64_t LiveBytesPerRow(const Graph& body, int prefix) {
  const std::vector<ValueId> memory = Memories(body);
  std::vector<int> last(body.values.size(), -1);  // the step that reads the memory last
  for (size_t step = 0; step < body.nodes.size(); ++step) {
    for (ValueId input : body.nodes[step].inputs) {
      if (input != kAbsent) last[memory[input]] = static_cast<int>(step);
    }
  }
  std::vector<bool> result(body.values.size(), false);
  for (ValueId output : body.outputs) result[memory[output]] = true;

  int64_t live = 0, most = 0;
  std::map<int, int64_t> freed;  // behind a step
  for (int step = 0; step < static_cast<int>(body.nodes.size()); ++step) {
    const Node& node = body.nodes[step];
    for (ValueId output : node.outputs) {
      if (IsView(node) || result[output]) continue;
      const auto bytes = RowBytes(body.TypeOf(output), prefix);
      if (!bytes) return std::numeric_limits<int64_t>::max();
      live += *bytes;
      freed[std::max(step, last[output])] += *bytes;
    }
    most = std::max(most, live);
    live -= freed[step];
  }
  return most;
}

}  // namespace fusible
