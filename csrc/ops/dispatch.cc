#include "ops/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ops/rows.h"

namespace fusible {
namespace {

bool SameMemory(const TensorView& a, const TensorView& b) {
  return a.data == b.data && a.dtype == b.dtype && a.shape == b.shape && a.strides == b.strides;
}

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
    const int64_t pitch = stride * static_cast<int64_t>(Bytes(a.dtype));
    if (pitch <= 0) return false;
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

std::vector<RowsView> ViewsOf(const Op& op, const Binding& binding, bool results,
                              std::span<const TensorView> tensors) {
  std::vector<RowsView> views;
  views.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TypeSpec& spec = results ? op.signature().results[i].type : op.signature().params[i].type;
    const std::string& name =
        results ? op.signature().results[i].name : op.signature().params[i].name;
    views.push_back(
        ViewAsRows(op, name, spec, tensors[i], results && IsColumnLayout(spec, binding.attrs)));
  }
  return views;
}

int64_t TrafficPerRow(std::span<const RowsView> views, std::span<const TensorView> tensors,
                      int64_t rows) {
  int64_t bytes = 0;
  for (size_t i = 0; i < views.size(); ++i) {
    if (views[i].whole || !views[i].block) continue;
    bytes += tensors[i].Count() * static_cast<int64_t>(Bytes(tensors[i].dtype)) / rows;
  }
  return bytes;
}

bool HasWholeResult(const Op& op) {
  for (const ResultSpec& result : op.signature().results) {
    if (!result.type.leading) return true;
  }
  return false;
}

void MarkStreams(std::span<RowsView> out, std::span<const RowsView> in,
                 std::span<const TensorView> results) {
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t bytes = results[i].Count() * static_cast<int64_t>(Bytes(results[i].dtype));
    bool in_place = false;
    for (const RowsView& operand : in) in_place |= operand.block.data == out[i].block.data;
    out[i].block.stream = bytes >= kStreamBytes && !in_place;
  }
}

void RunRowsOp(const Op& op, const Binding& binding, std::span<const TensorView> operands,
               std::span<const TensorView> results) {
  const std::vector<RowsView> in = ViewsOf(op, binding, false, operands);
  std::vector<RowsView> out = ViewsOf(op, binding, true, results);
  const CallInfo info = ToCallInfo(binding);
  CopyAliasedWholes(op, operands, results);
  const int64_t rows = Product(*ToSizes(binding.leading));
  if (rows == 0) return;
  MarkStreams(out, in, results);
  const int64_t traffic = TrafficPerRow(in, operands, rows) + TrafficPerRow(out, results, rows);
  const int64_t grain =
      HasWholeResult(op) ? rows : kBytesPerThread / std::max<int64_t>(traffic, 1) + 1;
  ParallelFor(rows, grain,
              [&](int64_t begin, int64_t end) { RunRows(op, info, in, out, begin, end); });
}

}  // namespace

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
      if (may && SameMemory(results[r], operands[i])) continue;
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

void CopyAliasedWholes(const Op& op, std::span<const TensorView> operands,
                       std::span<const TensorView> results) {
  for (size_t r = 0; r < results.size(); ++r) {
    const ResultSpec& spec = op.signature().results[r];
    if (spec.type.leading || spec.alias.empty()) continue;
    const TensorView& from = operands[op.signature().FindParam(spec.alias)];
    if (from.data == results[r].data || from.Count() == 0) continue;
    std::memcpy(results[r].data, from.data, from.Count() * Bytes(from.dtype));
  }
}

void RunOp(const Op& op, const Binding& binding, std::span<const TensorView> operands,
           std::span<const TensorView> results) {
  const FloatEnvironment environment;
  CheckOverlap(op, operands, results);
  CheckIndices(op, binding, operands);
  if (op.rows()) return RunRowsOp(op, binding, operands, results);
  if (!op.kernel()) throw UnsupportedError(Cat(op.name(), ": expected a kernel, got none"));
  const CallInfo info = ToCallInfo(binding);
  op.kernel()({.op = &op, .in = operands, .out = results, .info = &info});
}

}  // namespace fusible
