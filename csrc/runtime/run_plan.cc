#include "runtime/run_plan.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ops/rows.h"

namespace fusible {
namespace {

using Clock = std::chrono::steady_clock;

double MicrosecondsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

// The bytes that an input spans.
struct Extent {
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  int input = 0;
  bool written = false;
};

Extent ExtentOf(const TensorView& array, int input) {
  int64_t low = 0, high = 1;
  for (int i = 0; i < array.shape.size(); ++i) {
    const int64_t reach = (array.shape[i] - 1) * array.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const auto bytes = static_cast<int64_t>(Bytes(array.dtype));
  return {.begin = array.data + low * bytes, .end = array.data + high * bytes, .input = input};
}

// Two inputs may be one array, but not if a step writes one of them while others read. By
// increasing address, so that many caches cost little.
void CheckInputsApart(const Executable::Plan& plan, std::span<const TensorView> inputs) {
  if (plan.in_place.empty()) return;
  std::vector<Extent> extents;
  extents.reserve(inputs.size());
  for (int i = 0; i < std::ssize(inputs); ++i) {
    if (inputs[i].Count() > 0) extents.push_back(ExtentOf(inputs[i], i));
  }
  for (Extent& extent : extents) {
    extent.written = std::ranges::count(plan.in_place, extent.input) > 0;
  }
  std::ranges::sort(extents, {}, &Extent::begin);
  Extent last, last_written;  // of those before, the ones that reach furthest
  for (const Extent& extent : extents) {
    const Extent& before = extent.written ? last : last_written;
    if (extent.begin < before.end) {
      throw ArgumentError(Cat("inputs: ", plan.input_names[extent.input],
                              ": expected memory apart ", "from ", plan.input_names[before.input],
                              ", as one of them is updated in place, got an overlap"));
    }
    if (extent.end > last.end) last = extent;
    if (extent.written && extent.end > last_written.end) last_written = extent;
  }
}

class Runner {
 public:
  // memory: room for the arena, then the pointers of bases and of one step.
  Runner(const Executable::Plan& plan, const RunArrays& arrays, std::byte* memory)
      : bases_(reinterpret_cast<std::byte**>(memory + plan.arena_bytes)),
        pointers_(bases_ + plan.bases.count()) {
    bases_[PlanBases::kArena] = memory;
    std::byte** next = bases_ + 1;
    for (const auto& tensors : {arrays.inputs, arrays.weights, arrays.results}) {
      for (const TensorView& tensor : tensors) *next++ = tensor.data;
    }
    for (const auto& copy : plan.weight_copies) *next++ = copy->data();
  }

  static int64_t Room(const Executable::Plan& plan) {
    const int64_t pointers = plan.bases.count() + plan.most_pointers;
    return plan.arena_bytes + pointers * int64_t{sizeof(std::byte*)};
  }

  void operator()(const RowsRun& run) const {
    for (size_t i = 0; i < run.memory.size(); ++i) pointers_[i] = At(run.memory[i]);
    const auto inputs = static_cast<size_t>(run.plan.inputs);
    RunRowPlan(run.plan, {pointers_, inputs}, {pointers_ + inputs, run.memory.size() - inputs});
  }

  void operator()(const KernelRun& run) const {
    std::array<TensorView, kMaxStepArgs> tensors;
    std::ranges::copy(run.tensors, tensors.begin());
    for (size_t i = 0; i < run.memory.size(); ++i) {
      if (run.memory[i].base >= 0) tensors[i].data = At(run.memory[i]);
    }
    const size_t operands = run.op->signature().params.size();
    const std::span<const TensorView> in{tensors.data(), operands};
    if (run.has_indices) CheckIndices(*run.op, run.binding, in);
    run.op->kernel()({.in = in,
                      .out = {tensors.data() + operands, run.tensors.size() - operands},
                      .info = &run.info});
  }

  void operator()(const CopyRun& run) const { RunCopyParallel(run.plan, At(run.from), At(run.to)); }

 private:
  std::byte* At(const Memory& memory) const { return bases_[memory.base] + memory.offset; }

  std::byte** const bases_;
  std::byte** const pointers_;
};

}  // namespace

void RunPlan(const Executable::Plan& plan, const RunArrays& arrays, ArenaPool& arenas,
             std::vector<StepProfile>* profile) {
  CheckInputsApart(plan, arrays.inputs);
  const ArenaPool::Lease lease = arenas.Take(Runner::Room(plan));
  const Runner runner(plan, arrays, lease.data());
  const FloatEnvironment environment;
  if (!profile) {
    for (const PlanStep& step : plan.steps) std::visit(runner, step.run);
    return;
  }
  const Clock::time_point start = Clock::now();
  for (const PlanStep& step : plan.steps) {
    const Clock::time_point before = Clock::now();
    std::visit(runner, step.run);
    profile->push_back({.name = step.name,
                        .result = step.result,
                        .start_us = MicrosecondsBetween(start, before),
                        .us = MicrosecondsBetween(before, Clock::now()),
                        .bytes = step.bytes,
                        .flops = step.flops});
  }
}

}  // namespace fusible
