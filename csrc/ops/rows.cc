#include "ops/rows.h"

#include <algorithm>
#include <atomic>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

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

int64_t RowsView::Run(int64_t row, int64_t limit, std::byte* data, kernels::Block* out) const {
  *out = block;
  out->data = data;
  if (whole || leading.empty() || !data) return limit;
  int64_t offset = 0, rest = row;
  for (int i = leading.size() - 1; i >= 0; --i) {
    offset += rest % leading[i] * strides[i];
    rest /= leading[i];
  }
  out->data += offset * static_cast<int64_t>(Bytes(block.dtype));
  return std::min(limit, leading.back() - row % leading.back());
}

void RefuseMany(const Op& op, size_t operands) {
  if (operands <= kMaxOperands) return;
  throw UnsupportedError(Cat(op.name(), ": expected at most ", kMaxOperands, " operands"));
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

void RunRows(Op::RowsFn fn, const CallInfo& info, size_t operands, std::span<const RowsView> views,
             std::span<std::byte* const> memory, int64_t begin, int64_t end) {
  BlockRoom room;
  for (int64_t row = begin; row < end;) {
    int64_t n = end - row;
    for (size_t i = 0; i < views.size(); ++i) {
      n = views[i].Run(row, n, memory[i], &room.blocks[i]);
    }
    CallRows(fn, {.in = {room.blocks.data(), operands},
                  .out = {room.blocks.data() + operands, views.size() - operands},
                  .rows = n,
                  .info = &info});
    row += n;
  }
}

void CallRows(Op::RowsFn fn, const RowCall& call) {
  fn(call);
  const bool streamed = std::ranges::any_of(call.out, &kernels::Block::stream);
  if (streamed) std::atomic_thread_fence(std::memory_order_seq_cst);
}

void RunAsRows(const WholeCall& call, Op::RowsFn fn, std::string_view any_step) {
  const Op& op = *call.op;
  const Signature& s = op.signature();
  RefuseMany(op, call.in.size() + call.out.size());
  std::array<RowsView, kMaxOperands> views;  // no vectors: between operators nothing is allocated
  std::array<std::byte*, kMaxOperands> memory;
  size_t count = 0;
  const auto add = [&](const std::string& name, const TypeSpec& spec, const TensorView& tensor) {
    views[count] = ViewAsRows(op, name, spec, tensor, name == any_step);
    memory[count++] = tensor.data;
  };
  for (size_t i = 0; i < call.in.size(); ++i) add(s.params[i].name, s.params[i].type, call.in[i]);
  for (size_t i = 0; i < call.out.size(); ++i) {
    add(s.results[i].name, s.results[i].type, call.out[i]);
  }
  int64_t rows = 1;
  const TensorView& y = call.out[0];
  for (int i = 0; i + 1 < y.shape.size(); ++i) rows *= y.shape[i];
  RunRows(fn, *call.info, call.in.size(), std::span(views).first(count),
          std::span(memory).first(count), 0, rows);
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

void CheckIndices(const Op& op, const ParamSpec& param, const TensorView& operand, int64_t bound) {
  if (operand.dtype == DType::kI32) {
    CheckValues<int32_t>(op, param, operand, bound);
  } else {
    CheckValues<int64_t>(op, param, operand, bound);
  }
}

void CheckIndices(const Op& op, const Binding& binding, std::span<const TensorView> operands) {
  const auto& params = op.signature().params;
  for (size_t i = 0; i < params.size(); ++i) {
    if (!params[i].bound || !operands[i].data) continue;
    CheckIndices(op, params[i], operands[i], Evaluate(*params[i].bound, binding).value().offset);
  }
}

}  // namespace fusible
