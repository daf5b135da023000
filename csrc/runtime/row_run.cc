// Walks the steps of a row plan.
#include <algorithm>
#include <array>
#include <atomic>

#include "core/arena.h"
#include "core/threads.h"
#include "ops/rows.h"
#include "runtime/row_plan.h"

namespace fusible {
namespace {

// At least `bytes` of this thread's own memory. Only a RowRunner uses it, and no kernel starts
// another.
std::byte* ThreadScratch(int64_t bytes) {
  thread_local Buffer scratch;
  if (scratch.bytes() < bytes) {
    scratch = Buffer();  // not both at once
    scratch = Buffer(bytes);
  }
  return scratch.data();
}

void CheckIndexOperands(const IndexCheck& check, std::span<std::byte* const> inputs) {
  std::array<TensorView, kMaxStepArgs> operands;
  std::ranges::copy(check.operands, operands.begin());
  for (const IndexCheck::Source& source : check.sources) {
    operands[source.param].data = inputs[source.input] + source.offset;
  }
  CheckIndices(*check.op, check.binding, {operands.data(), check.operands.size()});
}

// One thread's way through a range of rows.
class RowRunner {
 public:
  RowRunner(const RowPlan& plan, std::span<std::byte* const> inputs,
            std::span<std::byte* const> results)
      : plan_(plan) {
    const int64_t table_bytes = (plan.ScratchPointer() + 1) * int64_t{sizeof(std::byte*)};
    std::byte* memory = ThreadScratch(plan.scratch_bytes + table_bytes);
    pointers_ = reinterpret_cast<std::byte**>(memory + plan.scratch_bytes);
    std::ranges::copy(inputs, pointers_);
    std::ranges::copy(results, pointers_ + plan.inputs);
    pointers_[plan.ScratchPointer()] = memory;
  }

  void Run(int64_t begin, int64_t end) {
    for (const RowPhase& phase : plan_.phases) RunPhase(phase, begin, end);
    // What was stored past the caches comes before all that follows. Once for all blocks: a fence a
    // block waits for memory each time.
    if (plan_.streams) std::atomic_thread_fence(std::memory_order_seq_cst);
  }

 private:
  void RunPhase(const RowPhase& phase, int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t outer = plan_.outer.empty() ? 0 : begin / plan_.inner;
      const int64_t inner = begin - outer * plan_.inner;
      const int64_t n = std::min({phase.block_rows, end - begin, plan_.inner - inner});
      Seek(outer, inner);
      for (size_t i = phase.begin; i < phase.end; ++i) RunStep(plan_.steps[i], n);
      begin += n;
    }
  }

  // Points every walk at row `inner` of the outer index `outer`.
  void Seek(int64_t outer, int64_t inner) {
    for (const RowWalk& walk : plan_.walks) {
      std::byte* at = pointers_[walk.array] + inner * walk.inner;
      for (int64_t d = plan_.outer.size() - 1, rest = outer; d >= 0; --d) {
        at += rest % plan_.outer[d] * walk.outer[d];
        rest /= plan_.outer[d];
      }
      pointers_[plan_.WalkPointer(walk.array)] = at;
    }
  }

  void RunStep(const RowStep& step, int64_t n) {
    const std::span<const RowArg> args{&plan_.args[step.first_arg],
                                       static_cast<size_t>(step.operands + step.results)};
    if (!step.fn) return Copy(step, args, n);
    if (step.fold == 0) return;
    if (step.even) return Call(step, args, 0, n * step.fold);
    for (int64_t row = 0; row < n; ++row) Call(step, args, row, step.fold);
  }

  std::byte* At(const RowArg& arg, int64_t row) const {
    return pointers_[arg.pointer] + arg.offset + row * arg.row_bytes;
  }

  void Call(const RowStep& step, std::span<const RowArg> args, int64_t row, int64_t rows) const {
    BlockRoom room;
    auto& blocks = room.blocks;
    for (size_t i = 0; i < args.size(); ++i) {
      blocks[i] = args[i].block;
      if (args[i].pointer >= 0) blocks[i].data = At(args[i], row);
      if (args[i].ahead.array >= 0) SetAhead(args[i].ahead, row, blocks[i]);
    }
    const auto operands = static_cast<size_t>(step.operands);
    step.fn({.in = {blocks.data(), operands},
             .out = {blocks.data() + operands, static_cast<size_t>(step.results)},
             .rows = rows,
             .info = step.info});
  }

  void SetAhead(const RowAhead& ahead, int64_t row, kernels::Block& block) const {
    const std::byte* rows = pointers_[plan_.WalkPointer(ahead.array)];
    block.ahead = rows + (row + plan_.block_rows) * ahead.row_bytes;
    block.ahead_row = ahead.row;
    block.ahead_step = ahead.step;
  }

  void Copy(const RowStep& step, std::span<const RowArg> args, int64_t n) const {
    const RowArg &from = args[0], &to = args[1];
    CopyPlan block = step.copy;
    if (block.IsPlain() && from.row_bytes == block.run && to.row_bytes == block.run) {
      block.run *= n;
      n = 1;
    }
    for (int64_t row = 0; row < n; ++row) RunCopy(block, At(from, row), At(to, row));
  }

  const RowPlan& plan_;
  std::byte** pointers_;
};

}  // namespace

void RunRowPlan(const RowPlan& plan, std::span<std::byte* const> inputs,
                std::span<std::byte* const> results) {
  for (const IndexCheck& check : plan.checks) CheckIndexOperands(check, inputs);
  // The spans themselves: another core waits for each line that it must get from this one's stack.
  ParallelFor(plan.rows, plan.grain, [&plan, inputs, results](int64_t begin, int64_t end) {
    RowRunner(plan, inputs, results).Run(begin, end);
  });
}

}  // namespace fusible
