#include "runtime/run_plan.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ops/dispatch.h"
#include "ops/rows.h"

namespace fusible {
namespace {

using Clock = std::chrono::steady_clock;

double MicrosecondsBetween(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double, std::micro>(to - from).count();
}

// The bytes that an input spans.
struct InputExtent {
  Extent extent;
  int input = 0;
  bool written = false;
};

void CheckApartFromWeights(const Executable::Plan& plan, const InputExtent& written) {
  const auto next = std::ranges::upper_bound(plan.weights, written.extent.begin, {}, &Extent::end);
  if (next == plan.weights.end() || next->begin >= written.extent.end) return;
  throw ArgumentError(Cat("inputs: ", plan.input_names[written.input], ": expected memory apart ",
                          "from the weights, as it is updated in place, got an overlap"));
}

// Two inputs may be one array, but not if a step writes one of them while others read. By
// increasing address, so that many caches cost little.
void CheckInputsApart(const Executable::Plan& plan, std::span<const TensorView> inputs) {
  if (plan.in_place.empty()) return;
  std::vector<InputExtent> extents;
  extents.reserve(inputs.size());
  for (int i = 0; i < std::ssize(inputs); ++i) {
    const bool written = std::ranges::count(plan.in_place, i) > 0;
    if (inputs[i].Count() > 0) extents.push_back({ExtentOf(inputs[i]), i, written});
  }
  std::ranges::sort(extents, {}, [](const InputExtent& one) { return one.extent.begin; });
  InputExtent last, last_written;  // of those before, the ones that reach furthest
  for (const InputExtent& one : extents) {
    if (one.written) CheckApartFromWeights(plan, one);
    const InputExtent& before = one.written ? last : last_written;
    if (one.extent.begin < before.extent.end) {
      throw ArgumentError(Cat("inputs: ", plan.input_names[one.input], ": expected memory apart ",
                              "from ", plan.input_names[before.input],
                              ", as one of them is updated in place, got an overlap"));
    }
    if (one.extent.end > last.extent.end) last = one;
    if (one.written && one.extent.end > last_written.extent.end) last_written = one;
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
    run.op->kernel()({.op = run.op,
                      .in = in,
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
