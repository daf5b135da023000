#include "ops/dispatch.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ops/rows.h"

namespace fusible {
namespace {

// Bytes that the elements of `t` cover, counted modulo `pitch` from its first element on: what
// steps over whole pitches adds nothing. `pitch` or more for what goes backwards.
int64_t WidthWithin(const TensorView& t, int64_t pitch) {
  const auto bytes = static_cast<int64_t>(Bytes(t.dtype));
  int64_t width = bytes;
  for (int i = 0; i < t.shape.size(); ++i) {
    const int64_t step = t.strides[i] * bytes;
    if (step % pitch == 0) continue;
    if (step < 0) return pitch;
    width += (t.shape[i] - 1) * step;
  }
  return width;
}

// Slices of columns, or of heads, of the same rows touch the same span of memory and share no
// element: modulo the way from one row (or head) to the next, one lies before the other.
bool AreDisjointSlices(const TensorView& a, const TensorView& b) {
  return std::ranges::any_of(a.strides, [&](int64_t stride) {
    const int64_t pitch = std::abs(stride) * static_cast<int64_t>(Bytes(a.dtype));
    if (pitch == 0) return false;
    const int64_t gap = ((b.data - a.data) % pitch + pitch) % pitch;
    return gap >= WidthWithin(a, pitch) && gap + WidthWithin(b, pitch) <= pitch;
  });
}

bool Overlaps(const TensorView& a, const TensorView& b) {
  const Extent x = ExtentOf(a), y = ExtentOf(b);
  return x.begin < y.end && y.begin < x.end && !AreDisjointSlices(a, b);
}

// Whether two indices of the array may mean the same element. Sorted by stride, each dimension must
// step past all that the smaller ones reach; interleaved views that pass by luck are refused too.
bool OverlapsItself(const TensorView& t) {
  if (t.Count() == 0) return false;
  std::vector<std::pair<int64_t, int64_t>> steps;  // stride, steps
  for (int i = 0; i < t.shape.size(); ++i) {
    if (t.shape[i] > 1) steps.emplace_back(std::abs(t.strides[i]), t.shape[i] - 1);
  }
  std::ranges::sort(steps);
  int64_t reach = 0;
  for (const auto& [stride, count] : steps) {
    if (stride <= reach) return true;
    reach += stride * count;
  }
  return false;
}

int64_t BytesOf(const TensorView& tensor) {
  return tensor.Count() * static_cast<int64_t>(Bytes(tensor.dtype));
}

// A whole result `y@x` begins as a copy of x, unless it is x's memory.
bool BeginsAsCopy(const ResultSpec& result) {
  return !result.type.leading && !result.alias.empty();
}

}  // namespace

bool SameElements(const TensorView& a, const TensorView& b) {
  if (a.data != b.data || a.dtype != b.dtype || !(a.shape == b.shape)) return false;
  for (int i = 0; i < a.shape.size(); ++i) {
    if (a.shape[i] != 1 && a.strides[i] != b.strides[i]) return false;
  }
  return true;
}

CallArrays::CallArrays(const Op& op, const Binding& binding, std::span<const TensorView> operands,
                       std::span<const TensorView> results)
    : op_(&op), operands_(operands.size()) {
  RefuseMany(op, operands.size() + results.size());
  arrays_.reserve(operands.size() + results.size());
  arrays_.insert(arrays_.end(), operands.begin(), operands.end());
  arrays_.insert(arrays_.end(), results.begin(), results.end());
  const Signature& s = op.signature();
  for (size_t i = 0; i < operands_; ++i) {
    if (!s.params[i].bound || !arrays_[i].data) continue;
    indices_.push_back({i, Evaluate(*s.params[i].bound, binding).value().offset});
  }
  for (size_t r = 0; r < results.size(); ++r) {
    if (!BeginsAsCopy(s.results[r])) continue;
    copies_.push_back({static_cast<size_t>(s.FindParam(s.results[r].alias)), operands_ + r});
  }
}

TensorView CallArrays::At(size_t i, std::span<std::byte* const> memory) const {
  TensorView array = arrays_[i];
  array.data = memory[i];
  return array;
}

void CallArrays::Begin(std::span<std::byte* const> memory) const {
  for (const auto& [operand, bound] : indices_) {
    CheckIndices(*op_, op_->signature().params[operand], At(operand, memory), bound);
  }
  for (const auto& [from, to] : copies_) {
    if (memory[from] != memory[to]) std::memcpy(memory[to], memory[from], BytesOf(arrays_[to]));
  }
}

KernelCall::KernelCall(const Op& op, const Binding& binding, std::span<const TensorView> operands,
                       std::span<const TensorView> results)
    : op_(&op), info_(ToCallInfo(binding)), arrays_(op, binding, operands, results) {
  if (op.rows()) {
    PrepareRows(binding);
  } else if (!op.kernel()) {
    throw UnsupportedError(Cat(op.name(), ": expected a kernel, got none"));
  }
}

void KernelCall::PrepareRows(const Binding& binding) {
  const Signature& s = op_->signature();
  const size_t operands = arrays_.operands();
  int64_t traffic = 0;
  rows_ = Product(*ToSizes(binding.leading));
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const bool result = i >= operands;
    const TypeSpec& spec = result ? s.results[i - operands].type : s.params[i].type;
    const std::string& name = result ? s.results[i - operands].name : s.params[i].name;
    const bool column = result && IsColumnLayout(spec, binding.attrs);
    views_.push_back(ViewAsRows(*op_, name, spec, arrays_[i], column));
    if (rows_ > 0 && spec.leading) traffic += BytesOf(arrays_[i]) / rows_;
  }
  MarkLarge();
  const bool in_order =
      std::ranges::any_of(s.results, [](const ResultSpec& result) { return !result.type.leading; });
  grain_ = in_order ? kUnsplit : BytesPerThread() / std::max<int64_t>(traffic * op_->cost(), 1) + 1;
}

void KernelCall::MarkLarge() {
  const auto is_operand = [&](const std::byte* data) {
    for (size_t i = 0; i < arrays_.operands(); ++i) {
      if (arrays_[i].data == data) return true;
    }
    return false;
  };
  for (size_t i = arrays_.operands(); i < arrays_.size(); ++i) {
    kernels::Block& block = views_[i].block;
    block.large = BytesOf(arrays_[i]) >= kStreamBytes;
    block.stream = block.large && !is_operand(arrays_[i].data);
  }
}

void KernelCall::Run(std::span<std::byte* const> memory) const {
  arrays_.Begin(memory);
  if (!op_->rows()) return RunWhole(memory);
  ParallelFor(rows_, grain_, [&](int64_t begin, int64_t end) {
    RunRows(op_->rows(), info_, arrays_.operands(), views_, memory, begin, end);
  });
}

void KernelCall::RunWhole(std::span<std::byte* const> memory) const {
  std::array<TensorView, kMaxOperands> arrays;
  for (size_t i = 0; i < arrays_.size(); ++i) arrays[i] = arrays_.At(i, memory);
  const std::span<const TensorView> all = std::span(arrays).first(arrays_.size());
  const size_t operands = arrays_.operands();
  op_->kernel()(
      {.op = op_, .in = all.first(operands), .out = all.subspan(operands), .info = &info_});
}

Extent ExtentOf(const TensorView& t) {
  if (!t.data || t.Count() == 0) return {};
  int64_t low = 0, high = 0;
  for (int i = 0; i < t.shape.size(); ++i) {
    const int64_t reach = (t.shape[i] - 1) * t.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto bytes = static_cast<int64_t>(Bytes(t.dtype));
  return {t.data + low * bytes, t.data + (high + 1) * bytes};
}

void CheckOverlap(const Op& op, std::span<const TensorView> operands,
                  std::span<const TensorView> results) {
  const Signature& s = op.signature();
  for (size_t r = 0; r < results.size(); ++r) {
    if (!results[r].IsContiguous() && OverlapsItself(results[r])) {
      throw ArgumentError(Cat(op.name(), ": ", s.results[r].name,
                              ": expected an array whose elements lie apart, got strides ",
                              results[r].strides, " of shape ", results[r].shape));
    }
    for (size_t i = 0; i < operands.size(); ++i) {
      if (!Overlaps(results[r], operands[i])) continue;
      const bool may = s.results[r].alias == s.params[i].name;
      if (may && SameElements(results[r], operands[i])) continue;
      throw ArgumentError(Cat(op.name(), ": ", s.results[r].name, ": expected memory apart from ",
                              s.params[i].name, may ? ", or exactly its memory" : "",
                              ", got an array that overlaps it"));
    }
    for (size_t other = 0; other < r; ++other) {
      if (!Overlaps(results[r], results[other])) continue;
      throw ArgumentError(Cat(op.name(), ": ", s.results[r].name, ": expected memory apart from ",
                              s.results[other].name, ", got an array that overlaps it"));
    }
  }
}

}  // namespace fusible
