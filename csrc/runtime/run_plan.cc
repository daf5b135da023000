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

// Where the time of steps goes.
class Watch {
 public:
  explicit Watch(std::vector<StepProfile>* profile) : profile_(profile) {}

  void Add(const PlanStep& step, Clock::time_point before) {
    profile_->push_back({.name = step.name,
                         .result = step.result,
                         .start_us = MicrosecondsBetween(start_, before),
                         .us = MicrosecondsBetween(before, Clock::now()),
                         .bytes = step.bytes,
                         .flops = step.flops});
  }

 private:
  std::vector<StepProfile>* profile_;
  const Clock::time_point start_ = Clock::now();
};

class Runner {
 public:
  // memory: Room() of the plan.
  Runner(const Executable::Plan& plan, std::byte* memory, Watch* watch)
      : plan_(plan),
        bases_(reinterpret_cast<std::byte**>(memory + plan.arena_bytes)),
        pointers_(bases_ + plan.bases.count()),
        watch_(watch) {
    bases_[PlanBases::kArena] = memory;
    std::byte** copies = bases_ + plan.bases.Copy(0);
    for (const auto& copy : plan.weight_copies) *copies++ = const_cast<std::byte*>(copy.data.get());
  }

  // Of input, weight and result i, by PlanBases.
  std::byte*& Base(int number) const { return bases_[number]; }

  void Run() const {
    for (const PlanStep& step : plan_.steps) {
      const bool timed = watch_ && !std::holds_alternative<BlocksRun>(step.run);
      const Clock::time_point before = timed ? Clock::now() : Clock::time_point();
      std::visit(*this, step.run);
      if (timed) watch_->Add(step, before);
    }
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

  // Each step of a block splits its own work over threads. Its steps are timed one by one.
  void operator()(const BlocksRun& run) const {
    const int64_t blocks = run.rows / run.block_rows;
    const Runner block(*run.block, At(run.arena), watch_);
    for (int64_t b = 0; b < blocks; ++b) RunBlock(run, block, b);
    if (run.rest) RunBlock(run, Runner(*run.rest, At(run.arena), watch_), blocks);
  }

 private:
  void RunBlock(const BlocksRun& run, const Runner& block, int64_t number) const {
    const PlanBases &ours = plan_.bases, &bases = block.plan_.bases;
    const auto at = [&](const BlocksRun::Array& array) {
      return At(array.memory) + number * array.step;
    };
    for (int i = 0; i < bases.inputs; ++i) block.Base(bases.Input(i)) = at(run.inputs[i]);
    for (int i = 0; i < bases.results; ++i) block.Base(bases.Result(i)) = at(run.results[i]);
    for (int i = 0; i < bases.weights; ++i) block.Base(bases.Weight(i)) = Base(ours.Weight(i));
    block.Run();
  }

  std::byte* At(const Memory& memory) const { return bases_[memory.base] + memory.offset; }

  const Executable::Plan& plan_;
  std::byte** const bases_;
  std::byte** const pointers_;
  Watch* const watch_;
};

}  // namespace

void RunPlan(const Executable::Plan& plan, const RunArrays& arrays, ArenaPool& arenas,
             std::vector<StepProfile>* profile) {
  CheckInputsApart(plan, arrays.inputs);
  const ArenaPool::Lease lease = arenas.Take(plan.Room());
  const FloatEnvironment environment;
  Watch watch(profile);
  const Runner runner(plan, lease.data(), profile ? &watch : nullptr);
  int next = PlanBases::kArena + 1;
  for (const auto& tensors : {arrays.inputs, arrays.weights, arrays.results}) {
    for (const TensorView& tensor : tensors) runner.Base(next++) = tensor.data;
  }
  runner.Run();
}

}  // namespace fusible
