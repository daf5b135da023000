// Finds a place for every value of a row program: an input's or result's own memory where its rows
// can be read or written there, else a scratch of a few rows.
#include "runtime/row_plan.h"

#include <algorithm>
#include <utility>

#include "core/cat.h"
#include "core/error.h"
#include "ir/infer.h"
#include "ir/rows.h"
#include "ir/views.h"
#include "runtime/reads.h"
#include "runtime/row_draft.h"
#include "runtime/row_join.h"

namespace fusible {
namespace {

Sizes First(const Sizes& sizes, int n) {
  return Sizes(std::span(sizes.begin(), sizes.begin() + n));
}

Sizes From(const Sizes& sizes, int n) { return Sizes(std::span(sizes.begin() + n, sizes.end())); }

class Builder {
 public:
  Builder(const Graph& body, int prefix, const RowLayouts& layouts)
      : body_(body),
        prefix_(prefix),
        layouts_(layouts),
        reads_(body),
        places_(body.values.size()),
        in_inputs_(body.values.size()),
        written_(layouts.results.size()) {
    plan_.inputs = static_cast<int>(layouts.inputs.size());
    plan_.results = static_cast<int>(layouts.results.size());
  }

  RowPlan Build() {
    FindRows();
    if (plan_.rows == 0) return std::move(plan_);
    for (int i = 0; i < plan_.inputs; ++i) {
      const ValueId input = body_.inputs[i].value;
      places_[input] = {.root = i, .strides = layouts_.inputs[i].strides};
      in_inputs_[input] = places_[input];
    }
    for (now_ = 0; now_ < std::ssize(body_.nodes); ++now_) {
      const Node& node = body_.nodes[now_];
      if (IsView(node)) {
        AddView(node);
      } else {
        AddCall(node);
      }
    }
    AddOutputCopies();
    return FinishRowPlan(std::move(draft_), layouts_);
  }

 private:
  Sizes ShapeOf(ValueId value) const { return *ToSizes(body_.TypeOf(value).shape); }

  int64_t ElementBytes(ValueId value) const {
    return static_cast<int64_t>(Bytes(body_.TypeOf(value).dtype));
  }

  [[noreturn]] void Refuse(const Node& node, std::string_view what) const {
    throw GraphError(Cat("row program: ", body_.values[node.outputs[0]].name, " = ", NodeName(node),
                         ": ", what));
  }

  void FindRows() {
    bool found = false;
    for (const Node& node : body_.nodes) {
      if (IsView(node)) continue;
      if (!node.op || !node.op->rows()) Refuse(node, "expected a row operator or a view");
      const Sizes leading = *ToSizes(LeadingDims(body_, node));
      if (leading.size() < prefix_) Refuse(node, "expected more leading dimensions");
      if (!found) draft_.rows = First(leading, prefix_);
      if (!(draft_.rows == First(leading, prefix_))) Refuse(node, "expected the others' rows");
      found = true;
    }
    if (!found) throw GraphError("row program: expected at least one row operator");
    plan_.rows = Product(draft_.rows);
  }

  // --- places ---

  // Memory of a block's rows that holds `value` without gaps, up to node `last`.
  RowPlace AddTemporary(ValueId value, int last) {
    const Sizes shape = ShapeOf(value);
    draft_.temporaries.push_back({.row_bytes = ProductFrom(shape, prefix_) * ElementBytes(value),
                                  .first = now_,
                                  .last = std::max(now_, last)});
    const auto index = static_cast<int>(draft_.temporaries.size()) - 1;
    return {.root = plan_.inputs + plan_.results + index, .strides = ContiguousStrides(shape)};
  }

  // Copies the rows of `value` to a place without gaps, for it and the views made of it from now
  // on.
  void Materialize(ValueId value) {
    const RowPlace from = places_[value];
    places_[value] = AddTemporary(value, reads_.LastRead(value));
    AddCopy(value, from, places_[value]);
  }

  void AddCopy(ValueId value, const RowPlace& from, const RowPlace& to) {
    const Sizes shape = ShapeOf(value);
    plan_.steps.push_back({.copy = PlanCopy(body_.TypeOf(value).dtype, From(shape, prefix_),
                                            From(from.strides, prefix_), From(to.strides, prefix_)),
                           .first_arg = static_cast<int>(plan_.args.size()),
                           .operands = 1,
                           .results = 1});
    for (const RowPlace& place : {from, to}) {
      AddArg(value, prefix_, false);
      draft_.args.back().place = place;
    }
  }

  void AddView(const Node& node) {
    const ValueId in = node.inputs[0], out = node.outputs[0];
    auto viewed = View(node, places_[in]);
    if (!viewed && reads_.AsRows(in)) {
      Materialize(in);
      viewed = View(node, places_[in]);
    }
    if (!viewed) Refuse(node, "expected a view that needs no copy");
    if (reads_.AsRows(out)) CheckPrefixKept(node, places_[in], *viewed);
    places_[out] = *viewed;
    if (in_inputs_[in]) in_inputs_[out] = View(node, *in_inputs_[in]);
  }

  std::optional<RowPlace> View(const Node& node, const RowPlace& place) const {
    const ValueId in = node.inputs[0];
    const auto view = node.op->view()(body_.TypeOf(in).shape, &place.strides, node.attrs);
    if (!view.strides) return std::nullopt;
    return RowPlace{.root = place.root,
                    .offset = place.offset + view.offset * ElementBytes(in),
                    .strides = *view.strides};
  }

  void CheckPrefixKept(const Node& node, const RowPlace& from, const RowPlace& to) const {
    const Sizes shape = ShapeOf(node.outputs[0]);
    bool kept = shape.size() >= prefix_;
    for (int i = 0; kept && i < prefix_; ++i) {
      kept = shape[i] == draft_.rows[i] && (shape[i] == 1 || to.strides[i] == from.strides[i]);
    }
    if (!kept) Refuse(node, "expected a view that keeps the rows");
  }

  // --- calls ---

  void AddCall(const Node& node) {
    if (node.inputs.size() + node.outputs.size() > kMaxStepArgs) Refuse(node, "too many operands");
    const Binding binding = BindCall(*node.op, OperandTypes(body_, node), node.attrs);
    const int leading = binding.leading.size();
    for (size_t i = 0; i < node.inputs.size(); ++i) PrepareOperand(node, i, leading);
    ValueIds operands = node.inputs;
    for (size_t r = 0; r < node.outputs.size(); ++r) PlaceResult(node, r, leading, &operands);
    plan_.infos.push_back(std::make_unique<const CallInfo>(ToCallInfo(binding)));
    RowStep step{.fn = node.op->rows(),
                 .info = plan_.infos.back().get(),
                 .copy = {},
                 .first_arg = static_cast<int>(plan_.args.size()),
                 .operands = static_cast<int>(operands.size()),
                 .results = static_cast<int>(node.outputs.size()),
                 .cost = node.op->cost(),
                 .asks_ahead = node.op->asks_ahead(),
                 .fold = ProductFrom(*ToSizes(binding.leading), prefix_)};
    plan_.steps.push_back(step);
    const Signature& signature = node.op->signature();
    for (size_t i = 0; i < operands.size(); ++i) {
      AddArg(operands[i], leading, !signature.params[i].type.leading);
    }
    for (size_t r = 0; r < node.outputs.size(); ++r) AddResultArg(node, r, leading);
    JoinBefore(node);
    AddCheck(node, binding);
  }

  // One step for this call and the one before it, where a kernel does both.
  void JoinBefore(const Node& node) {
    if (plan_.steps.size() < 2 || now_ == 0) return;
    const Node& before = body_.nodes[now_ - 1];
    const Op::RowsFn joint = before.op ? node.op->rows_with(*before.op) : nullptr;
    const bool follows = joint != nullptr && before.outputs[0] == node.inputs[0] &&
                         plan_.steps.end()[-2].fn == before.op->rows();
    if (!follows) return;
    RowArg* result = JoinLastSteps(draft_, layouts_, joint, now_);
    if (result) result->block.stream = MayStream(before.outputs[0]);
  }

  void AddArg(ValueId value, int leading, bool whole) {
    RowArg arg;
    RowArgDraft draft;
    if (value != kAbsent) {
      arg.block.dtype = body_.TypeOf(value).dtype;
      draft = {
          .place = places_[value], .shape = ShapeOf(value), .leading = leading, .whole = whole};
    }
    plan_.args.push_back(arg);
    draft_.args.push_back(draft);
  }

  void AddResultArg(const Node& node, size_t r, int leading) {
    const ValueId value = node.outputs[r];
    const TypeSpec& spec = node.op->signature().results[r].type;
    AddArg(value, leading, !spec.leading);
    kernels::Block& block = plan_.args.back().block;
    if (IsColumn(spec, node.attrs)) block.stride = places_[value].strides.back();
    block.stream = MayStream(value);
  }

  // A large result that no later step reads.
  bool MayStream(ValueId value) const {
    const int k = places_[value].root - plan_.inputs;
    if (k < 0 || k >= plan_.results) return false;
    return layouts_.streams[k] && layouts_.takes[k] < 0 && reads_.LastNode(value) <= now_;
  }

  // One element of each row after the other, then the next: the kernel takes any stride then.
  static bool IsColumn(const TypeSpec& spec, const Attrs& attrs) {
    return IsColumnLayout(spec, attrs) && spec.dims.size() == 1;
  }

  void PrepareOperand(const Node& node, size_t i, int leading) {
    const ValueId value = node.inputs[i];
    if (value == kAbsent) return;
    const ParamSpec& param = node.op->signature().params[i];
    const Sizes shape = ShapeOf(value);
    const RowPlace& place = places_[value];
    if (param.type.leading) {
      const bool packed = IsPacked(shape, place.strides, leading);
      if (packed && FoldedStride(shape, place.strides, prefix_, leading)) return;
      Materialize(value);
      return;
    }
    if (place.root >= plan_.inputs) Refuse(node, Cat(param.name, ": expected a region input"));
    if (!IsPacked(shape, place.strides, 0)) {
      throw ShapeError(Cat(NodeName(node), ": ", param.name, ": expected a contiguous array, got ",
                           "strides ", place.strides, " of shape ", shape));
    }
  }

  // --- results ---

  // The result's own memory where rows can be written there and nobody reads them after, else the
  // operand's temporary that this result may take, else a new one.
  void PlaceResult(const Node& node, size_t r, int leading, ValueIds* operands) {
    const ValueId value = node.outputs[r];
    const ResultSpec& spec = node.op->signature().results[r];
    for (int k = 0; k < plan_.results; ++k) {
      if (body_.outputs[k] != value || !CanWrite(node, r, k, leading, operands)) continue;
      places_[value] = {.root = plan_.inputs + k, .strides = layouts_.results[k].strides};
      written_[k] = true;
      return;
    }
    if (!spec.type.leading)
      Refuse(node, "expected its result to be a contiguous one of the region");
    const int alias = spec.alias.empty() ? -1 : node.op->signature().FindParam(spec.alias);
    if (alias < 0 || !CanTakeTemporary(node, alias, value)) {
      places_[value] = AddTemporary(value, reads_.LastRead(value));
      return;
    }
    places_[value] = places_[node.inputs[alias]];
    RowTemporary& shared = draft_.TemporaryOf(places_[value].root);
    shared.last = std::max(shared.last, reads_.LastRead(value));
  }

  bool CanTakeTemporary(const Node& node, int alias, ValueId result) {
    const ValueId operand = node.inputs[alias];
    if (operand == kAbsent || !(body_.TypeOf(operand) == body_.TypeOf(result))) return false;
    const RowPlace& place = places_[operand];
    if (!draft_.IsTemporary(place.root) || place.offset != 0) return false;
    const Sizes shape = ShapeOf(operand);
    const int64_t bytes = ProductFrom(shape, prefix_) * ElementBytes(operand);
    return place.strides == ContiguousStrides(shape) &&
           draft_.TemporaryOf(place.root).row_bytes == bytes &&
           draft_.TemporaryOf(place.root).last == now_ && UsesOf(node, place.root) == 1 &&
           !TakenInThisCall(node, place.root);
  }

  int64_t UsesOf(const Node& node, int root) const {
    return std::ranges::count_if(
        node.inputs, [&](ValueId in) { return in != kAbsent && places_[in].root == root; });
  }

  // An earlier result of the same call has this memory already.
  bool TakenInThisCall(const Node& node, int root) const {
    return std::ranges::any_of(node.outputs,
                               [&](ValueId out) { return places_[out].root == root; });
  }

  bool CanWrite(const Node& node, size_t r, int k, int leading, ValueIds* operands) {
    const ArrayLayout& layout = layouts_.results[k];
    const TypeSpec& spec = node.op->signature().results[r].type;
    if (!spec.leading) return IsPacked(layout.shape, layout.strides, 0);
    if (!IsColumn(spec, node.attrs) && !IsPacked(layout.shape, layout.strides, leading))
      return false;
    if (!FoldedStride(layout.shape, layout.strides, prefix_, leading)) return false;
    return layouts_.takes[k] < 0 || CanOverwrite(node, r, layouts_.takes[k], operands);
  }

  // Whether this call may write its result r over input `taken`, whose rows end here: as the
  // operator says (`y@x`), where commuting operands may change places to make it so.
  bool CanOverwrite(const Node& node, size_t r, int taken, ValueIds* operands) {
    if (reads_.LastRead(body_.inputs[taken].value) > now_) return false;
    const int64_t uses = UsesOf(node, taken);
    if (uses == 0) return true;
    const Signature& signature = node.op->signature();
    const int alias = signature.FindParam(signature.results[r].alias);
    if (uses > 1 || alias < 0) return false;
    const auto at = std::ranges::find_if(
        node.inputs, [&](ValueId in) { return in != kAbsent && places_[in].root == taken; });
    const int reader = static_cast<int>(at - node.inputs.begin());
    const RowPlace& place = places_[*at];
    if (place.offset != 0 || place.strides != layouts_.inputs[taken].strides) return false;
    if (reader == alias) return true;
    if (!node.op->commutes() || reader > 1 || alias > 1) return false;
    std::swap((*operands)[0], (*operands)[1]);
    return true;
  }

  void AddOutputCopies() {
    now_ = static_cast<int>(body_.nodes.size());
    for (int k = 0; k < plan_.results; ++k) {
      const int root = places_[body_.outputs[k]].root;
      if (!written_[k] && std::ranges::count(layouts_.takes, root)) Materialize(body_.outputs[k]);
    }
    for (int k = 0; k < plan_.results; ++k) {
      if (written_[k]) continue;
      const ValueId value = body_.outputs[k];
      AddCopy(value, places_[value],
              {.root = plan_.inputs + k, .strides = layouts_.results[k].strides});
    }
  }

  void AddCheck(const Node& node, const Binding& binding) {
    const auto& params = node.op->signature().params;
    IndexCheck check{.op = node.op,
                     .binding = binding,
                     .operands = std::vector<TensorView>(params.size()),
                     .sources = {}};
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId value = node.inputs[i];
      if (value == kAbsent || !params[i].bound) continue;
      // No operator makes indices: they are an input, or a view of one.
      const auto& place = in_inputs_[value];
      if (!place) Refuse(node, Cat(params[i].name, ": expected an input or a view of one"));
      check.operands[i] = {
          .dtype = body_.TypeOf(value).dtype, .shape = ShapeOf(value), .strides = place->strides};
      check.sources.push_back({static_cast<int>(i), place->root, place->offset});
    }
    if (!check.sources.empty()) plan_.checks.push_back(std::move(check));
  }

  const Graph& body_;
  const int prefix_;
  const RowLayouts& layouts_;
  const Reads reads_;
  RowDraft draft_;
  RowPlan& plan_ = draft_.plan;
  std::vector<RowPlace> places_;                    // where steps from now on find each value
  std::vector<std::optional<RowPlace>> in_inputs_;  // where an input itself shows it
  std::vector<bool> written_;                       // results that a call writes in place
  int now_ = 0;                                     // the node at hand
};

}  // namespace

RowPlan BuildRowPlan(const Graph& body, int prefix, const RowLayouts& layouts) {
  return Builder(body, prefix, layouts).Build();
}

}  // namespace fusible
