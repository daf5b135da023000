#include "ops/rows.h"

#include <array>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

constexpr size_t kMaxOperands = 16;

// Trailing dimensions must follow each other without gaps; dimensions of one element never count.
bool IsPacked(const TensorView& tensor, int from) {
  if (tensor.Count() == 0) return true;  // NumPy's strides of empty arrays mean nothing
  int64_t expected = 1;
  for (int i = tensor.shape.size() - 1; i >= from; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// Drops dimensions of one element and folds neighbours that lie evenly.
void FoldLeading(const TensorView& tensor, int rank, RowsView* view) {
  for (int i = 0; i < rank; ++i) {
    if (tensor.shape[i] == 1) continue;
    const bool folds =
        !view->leading.empty() && view->strides.back() == tensor.strides[i] * tensor.shape[i];
    if (folds) {
      view->leading.back() *= tensor.shape[i];
      view->strides.back() = tensor.strides[i];
    } else {
      view->leading.push_back(tensor.shape[i]);
      view->strides.push_back(tensor.strides[i]);
    }
  }
}

}  // namespace

int64_t RowsView::Run(int64_t row, int64_t limit, kernels::Block* out) const {
  *out = block;
  if (whole || leading.empty() || !block) return limit;
  int64_t offset = 0, rest = row;
  for (int i = leading.size() - 1; i >= 0; --i) {
    offset += rest % leading[i] * strides[i];
    rest /= leading[i];
  }
  out->data += offset * static_cast<int64_t>(Bytes(block.dtype));
  return std::min(limit, leading.back() - row % leading.back());
}

RowsView ViewAsRows(const Op& op, const std::string& argument, const TypeSpec& spec,
                    const TensorView& tensor, bool column_layout) {
  RowsView view;
  view.block.data = tensor.data;
  view.block.dtype = tensor.dtype;
  view.whole = !spec.leading;
  if (!tensor.data && tensor.shape.empty()) return view;  // absent
  const int leading = view.whole ? 0 : tensor.shape.size() - static_cast<int>(spec.dims.size());
  if (column_layout && !tensor.shape.empty()) {
    view.block.stride = tensor.strides.back();
  } else if (!IsPacked(tensor, leading)) {
    const int trailing = tensor.shape.size() - leading;
    throw ShapeError(Cat(op.name(), ": ", argument, ": expected ",
                         view.whole      ? "a contiguous array"
                         : trailing == 1 ? "a contiguous last dimension"
                                         : Cat("contiguous last ", trailing, " dimensions"),
                         ", got strides ", tensor.strides, " of shape ", tensor.shape,
                         "; numpy.ascontiguousarray makes such a copy"));
  }
  FoldLeading(tensor, leading, &view);
  if (!view.strides.empty()) view.block.row_stride = view.strides.back();
  return view;
}

namespace {

void RefuseMany(const Op& op, size_t operands) {
  if (operands <= kMaxOperands) return;
  throw UnsupportedError(Cat(op.name(), ": expected at most ", kMaxOperands, " operands"));
}

// Calls fn on rows [begin, end), split where some operand's rows do not lie evenly.
void RunBlocks(const Op& op, Op::RowsFn fn, const CallInfo& info, std::span<const RowsView> in,
               std::span<const RowsView> out, int64_t begin, int64_t end) {
  std::array<kernels::Block, kMaxOperands> blocks;
  const size_t count = in.size() + out.size();
  RefuseMany(op, count);
  for (int64_t row = begin; row < end;) {
    int64_t n = end - row;
    for (size_t i = 0; i < count; ++i) {
      n = (i < in.size() ? in[i] : out[i - in.size()]).Run(row, n, &blocks[i]);
    }
    fn({.in = {blocks.data(), in.size()},
        .out = {blocks.data() + in.size(), out.size()},
        .rows = n,
        .info = &info});
    row += n;
  }
}

}  // namespace

void RunRows(const Op& op, const CallInfo& info, std::span<const RowsView> in,
             std::span<const RowsView> out, int64_t begin, int64_t end) {
  RunBlocks(op, op.rows(), info, in, out, begin, end);
}

void RunAsRows(const WholeCall& call, Op::RowsFn fn, std::string_view any_step) {
  const Op& op = *call.op;
  RefuseMany(op, call.in.size() + call.out.size());
  std::array<RowsView, kMaxOperands> views;  // no vectors: between operators nothing is allocated
  const std::span in(views.data(), call.in.size());
  const std::span out(views.data() + in.size(), call.out.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const ParamSpec& param = op.signature().params[i];
    in[i] = ViewAsRows(op, param.name, param.type, call.in[i], param.name == any_step);
  }
  for (size_t i = 0; i < out.size(); ++i) {
    const ResultSpec& result = op.signature().results[i];
    out[i] = ViewAsRows(op, result.name, result.type, call.out[i], false);
  }
  int64_t rows = 1;
  const TensorView& y = call.out[0];
  for (int i = 0; i + 1 < y.shape.size(); ++i) rows *= y.shape[i];
  RunBlocks(op, fn, *call.info, in, out, 0, rows);
}

namespace {

std::string PlaceText(const TensorView& tensor, int64_t index) {
  Sizes place = tensor.shape;
  for (int i = place.size() - 1; i >= 0; --i) {
    place[i] = index % tensor.shape[i];
    index /= tensor.shape[i];
  }
  return Cat(place);
}

template <class Index>
void CheckValues(const Op& op, const ParamSpec& param, const TensorView& tensor, int64_t bound) {
  const Index* data = reinterpret_cast<const Index*>(tensor.data);
  const int64_t count = tensor.Count();
  const bool contiguous = tensor.IsContiguous();
  for (int64_t i = 0; i < count; ++i) {
    int64_t offset = i;
    if (!contiguous) {
      offset = 0;
      for (int64_t d = tensor.shape.size() - 1, rest = i; d >= 0; --d) {
        offset += rest % tensor.shape[d] * tensor.strides[d];
        rest /= tensor.shape[d];
      }
    }
    const int64_t value = data[offset];
    if (value < bound && (value >= 0 || param.skips_negative)) continue;
    throw RangeError(Cat(op.name(), ": ", param.name, ": expected values ",
                         param.skips_negative ? "below " : "from 0 to below ", bound, ", got ",
                         value, " at ", PlaceText(tensor, i)));
  }
}

}  // namespace

void CheckIndices(const Op& op, const Binding& binding, std::span<const TensorView> operands) {
  const auto& params = op.signature().params;
  for (size_t i = 0; i < params.size(); ++i) {
    if (!params[i].bound || !operands[i].data) continue;
    const int64_t bound = Evaluate(*params[i].bound, binding).value().offset;
    if (operands[i].dtype == DType::kI32) {
      CheckValues<int32_t>(op, params[i], operands[i], bound);
    } else {
      CheckValues<int64_t>(op, params[i], operands[i], bound);
    }
  }
}

}  // namespace fusible
