#include "runtime/row_draft.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/arena.h"
#include "core/threads.h"
#include "ops/rows.h"
#include "runtime/plan_memory.h"

namespace fusible {
namespace {

// Half of a small core's second-level cache (256 KiB): the other half is for operands passing
// through.
constexpr int64_t kScratchBytes = 128 << 10;

// A block has so much traffic: half of the 512 KiB and more that a server's core has as its second
// level. With a row at a time, which would stay in the first level, kernels that begin anew for
// each took 1.02 to 1.1 of the time (bench_fused, H from 2,048 on): they are bound by arithmetic,
// and their prefetches end with the row.
constexpr int64_t kBlockBytes = 256 << 10;

class Finisher {
 public:
  Finisher(RowDraft draft, const RowLayouts& layouts)
      : draft_(std::move(draft)), plan_(draft_.plan), layouts_(layouts) {}

  RowPlan Finish() {
    AddWalks();
    FoldRows();
    ChooseBlocks();
    ChoosePhases();
    const std::vector<int64_t> offsets = PlaceTemporaries();
    for (size_t i = 0; i < plan_.args.size(); ++i) FinishArg(i, offsets);
    for (RowStep& step : plan_.steps) FinishStep(step);
    plan_.streams = std::ranges::any_of(plan_.args, [](const RowArg& a) { return a.block.stream; });
    if (ComesFromMemory()) {
      for (const RowPhase& phase : plan_.phases) AskAhead(phase);
    }
    return std::move(plan_);
  }

 private:
  const ArrayLayout& LayoutOf(int array) const {
    return array < plan_.inputs ? layouts_.inputs[array] : layouts_.results[array - plan_.inputs];
  }

  int64_t RowBytes(int array) const {
    const ArrayLayout& layout = LayoutOf(array);
    return ProductFrom(layout.shape, draft_.prefix()) * static_cast<int64_t>(Bytes(layout.dtype));
  }

  // One for each input or result of which some step reads or writes rows.
  void AddWalks() {
    std::vector<bool> walked(plan_.inputs + plan_.results);
    for (const RowArgDraft& arg : draft_.args) {
      const bool rows = arg.place.root >= 0 && !arg.whole && !draft_.IsTemporary(arg.place.root);
      if (rows) walked[arg.place.root] = true;
    }
    for (int array = 0; array < std::ssize(walked); ++array) {
      if (walked[array]) plan_.walks.push_back({.array = array, .outer = {}});
    }
  }

  int64_t RowStrideBytes(int array, int dim) const {
    const ArrayLayout& layout = LayoutOf(array);
    return layout.strides[dim] * static_cast<int64_t>(Bytes(layout.dtype));
  }

  // Whether rows of dimension `dim` continue those of the dimensions inside it, in every walk.
  bool ContinuesInner(int dim) const {
    return std::ranges::all_of(plan_.walks, [&](const RowWalk& walk) {
      return RowStrideBytes(walk.array, dim) == walk.inner * plan_.inner;
    });
  }

  void FoldRows() {
    int dim = draft_.prefix() - 1;
    bool first = true;
    for (; dim >= 0; --dim) {
      if (draft_.rows[dim] == 1) continue;
      if (first) {
        for (RowWalk& walk : plan_.walks) walk.inner = RowStrideBytes(walk.array, dim);
      } else if (!ContinuesInner(dim)) {
        break;
      }
      plan_.inner *= draft_.rows[dim];
      first = false;
    }
    for (int outer = 0; outer <= dim; ++outer) {
      plan_.outer.push_back(draft_.rows[outer]);
      for (RowWalk& walk : plan_.walks) walk.outer.push_back(RowStrideBytes(walk.array, outer));
    }
  }

  int64_t TrafficPerRow() const {
    int64_t bytes = 1;
    for (const RowWalk& walk : plan_.walks) bytes += RowBytes(walk.array);
    for (const RowTemporary& temporary : draft_.temporaries) bytes += temporary.row_bytes;
    return bytes;
  }

  // In bytes of traffic of an operator without a cost: steps take their time one after the other.
  int64_t WorkPerRow() const {
    int64_t work = 1;
    for (const RowStep& step : plan_.steps) {
      for (int i = step.first_arg; i < step.first_arg + step.operands + step.results; ++i) {
        const RowArgDraft& arg = draft_.args[i];
        if (arg.place.root < 0 || arg.whole) continue;
        const auto bytes = static_cast<int64_t>(Bytes(plan_.args[i].block.dtype));
        work += step.cost * bytes * ProductFrom(arg.shape, draft_.prefix());
      }
    }
    return work;
  }

  bool WritesWhole() const {
    for (const RowArgDraft& arg : draft_.args) {
      if (arg.whole && arg.place.root >= plan_.inputs) return true;
    }
    return false;
  }

  void ChooseBlocks() {
    const int64_t traffic = TrafficPerRow();
    plan_.block_rows = plan_.steps.size() == 1 ? plan_.rows : kBlockBytes / traffic + 1;
    plan_.block_rows = std::min(plan_.block_rows, plan_.inner);
    const int64_t row = ScratchFor(1).bytes;
    if (row > 0) {
      plan_.block_rows = std::clamp<int64_t>(kScratchBytes / row, 1, plan_.block_rows);
    }
    // A row that is written twice must keep the later value, so rows stay in order.
    if (WritesWhole()) {
      plan_.grain = kUnsplit;
      return;
    }
    const int64_t worth = BytesPerThread() / WorkPerRow() + 1;
    const int64_t unit = plan_.steps.size() == 1 ? 1 : plan_.block_rows;
    plan_.grain = (worth + unit - 1) / unit * unit;
  }

  MemoryPlan ScratchFor(int64_t rows) const {
    std::vector<MemoryNeed> needs;
    for (const RowTemporary& t : draft_.temporaries) {
      needs.push_back({.bytes = t.row_bytes * rows, .first = t.first, .last = t.last});
    }
    return PlanMemory(needs);
  }

  std::vector<int64_t> PlaceTemporaries() {
    MemoryPlan memory = ScratchFor(plan_.block_rows);
    plan_.scratch_bytes = memory.bytes;
    return std::move(memory.offsets);
  }

  // Elements from a row to the next: the stride of the last dimension that counts rows.
  int64_t RowStride(const RowPlace& place) const {
    for (int d = draft_.prefix() - 1; d >= 0; --d) {
      if (draft_.rows[d] != 1) return place.strides[d];
    }
    return 0;
  }

  void FinishArg(size_t i, const std::vector<int64_t>& offsets) {
    const RowArgDraft& draft = draft_.args[i];
    RowArg& arg = plan_.args[i];
    const int root = draft.place.root;
    if (root < 0) return;
    arg.offset = draft.place.offset;
    if (draft.whole) {
      arg.pointer = root;
      return;
    }
    const auto element = static_cast<int64_t>(Bytes(arg.block.dtype));
    arg.row_bytes = RowStride(draft.place) * element;
    arg.pointer = draft_.IsTemporary(root) ? plan_.ScratchPointer() : plan_.WalkPointer(root);
    if (draft_.IsTemporary(root)) arg.offset += offsets[root - plan_.inputs - plan_.results];
  }

  int64_t MostRows() const {
    return std::ranges::max(plan_.phases, {}, &RowPhase::block_rows).block_rows;
  }

  // Where the operator's rows within a row continue evenly into the next row, a block is one call.
  void FinishStep(RowStep& step) {
    if (!step.fn) return;
    const int count = step.operands + step.results;
    for (int i = step.first_arg; i < step.first_arg + count; ++i) {
      const RowArgDraft& draft = draft_.args[i];
      if (draft.place.root < 0 || draft.whole) continue;
      plan_.args[i].block.row_stride = OperatorRowStride(step, draft);
    }
  }

  // Elements from a row of the operator to the next.
  int64_t OperatorRowStride(RowStep& step, const RowArgDraft& draft) const {
    const int64_t row = RowStride(draft.place);
    if (step.fold == 1) return row;
    const int64_t fold =
        FoldedStride(draft.shape, draft.place.strides, draft_.prefix(), draft.leading).value();
    if (MostRows() > 1 && row != fold * step.fold) step.even = false;
    return fold;
  }

  // Arrays so large that the next block's rows are not in the caches. Of smaller ones that lie in
  // the last level, asking ahead made fused_add_rms_norm take 1.05 to 1.2 times as long.
  bool ComesFromMemory() const {
    return std::ranges::any_of(plan_.walks, [&](const RowWalk& walk) {
      return LayoutOf(walk.array).bytes() >= kStreamBytes;
    });
  }

  // Whether is(root) for an operand of some step of the phase, or for a result.
  template <class F>
  bool AnyRoot(const RowPhase& phase, bool results, const F& is) const {
    for (size_t s = phase.begin; s < phase.end; ++s) {
      const RowStep& step = plan_.steps[s];
      const int first = step.first_arg + (results ? step.operands : 0);
      for (int i = first; i < first + (results ? step.results : step.operands); ++i) {
        if (is(draft_.args[i].place.root)) return true;
      }
    }
    return false;
  }
  bool Reads(const RowPhase& phase, int root) const {
    return AnyRoot(phase, false, [=](int other) { return other == root; });
  }
  bool Writes(const RowPhase& phase, int root) const {
    return AnyRoot(phase, true, [=](int other) { return other == root; });
  }

  // The result that step `s` stores for later steps to read, where that is large; else nullptr.
  kernels::Block* LargeReadBack(size_t s) {
    const RowStep& step = plan_.steps[s];
    for (int i = step.first_arg + step.operands, r = 0; r < step.results; ++i, ++r) {
      const int root = draft_.args[i].place.root, k = root - plan_.inputs;
      if (k < 0 || k >= plan_.results || draft_.args[i].whole) continue;
      if (!layouts_.streams[k] || layouts_.takes[k] >= 0) continue;
      if (Reads({s + 1, plan_.steps.size()}, root)) return &plan_.args[i].block;
    }
    return nullptr;
  }

  // A result that nobody reads has a scratch too.
  bool UsesScratch(const RowPhase& phase) const {
    const auto is_scratch = [&](int root) { return draft_.IsTemporary(root); };
    return AnyRoot(phase, false, is_scratch) || AnyRoot(phase, true, is_scratch);
  }

  bool ScratchCrosses(size_t step) const {
    return AnyRoot({step, plan_.steps.size()}, false,
                   [&](int root) { return draft_.IsTemporary(root) && Writes({0, step}, root); });
  }

  // A large result that later steps read ends a phase: stored past the caches and read again it
  // costs less than plain stores, whose lines are read first. On a Zen 4 fused_add_rms_norm of
  // 4,096 rows that keeps its sum takes 0.8 to 0.9 of the time that way.
  void ChoosePhases() {
    plan_.phases = {{0, plan_.steps.size(), plan_.block_rows}};
    for (size_t s = 0; s + 1 < plan_.steps.size(); ++s) {
      kernels::Block* block = LargeReadBack(s);
      if (!block || ScratchCrosses(s + 1)) continue;
      block->stream = true;
      plan_.phases.back().end = s + 1;
      plan_.phases.push_back({s + 1, plan_.steps.size(), plan_.block_rows});
    }
    for (RowPhase& phase : plan_.phases) {
      if (phase.end - phase.begin == 1 && !UsesScratch(phase)) phase.block_rows = plan_.inner;
    }
  }

  // The kernel of a step that is alone asks for rows below its own.
  void MarkLarge(const RowStep& step) {
    const int result = step.first_arg + step.operands;
    for (int i = result; i < result + step.results; ++i) plan_.args[i].block.large = true;
  }

  // While the steps of one block run, they ask memory for the rows of the next, so that it is busy
  // all the time; each step for those of another array, the last ones first: the first step waits
  // for memory already. Of 4,096 rows on a Zen 4, fused_add_rms_norm in place took 0.76 to 0.88 of
  // its time that way (0.85 to 1.0 with everything asked for by the last step),
  // rms_norm_group_quant 0.8, and fused_add_rms_norm_group_quant 0.86 to 0.95 of the time it takes
  // where the first step and the last one ask.
  void AskAhead(const RowPhase& phase) {
    const size_t steps = phase.end - phase.begin;
    if (steps == 1) return MarkLarge(plan_.steps[phase.begin]);
    std::vector<const RowWalk*> read;
    for (const RowWalk& walk : plan_.walks) {
      const bool only_read = Reads(phase, walk.array) && !Writes(phase, walk.array);
      if (only_read && !IsAskedFor(phase, walk.array)) read.push_back(&walk);
    }
    const size_t count = std::min(read.size(), steps);
    for (size_t k = 0; k < count; ++k) {
      AskAhead(plan_.steps[phase.end - count + k], *read[k]);
    }
  }

  // By the kernel of a step that reads it.
  bool IsAskedFor(const RowPhase& phase, int root) const {
    for (size_t s = phase.begin; s < phase.end; ++s) {
      if (plan_.steps[s].asks_ahead && Reads({s, s + 1}, root)) return true;
    }
    return false;
  }

  void AskAhead(const RowStep& step, const RowWalk& walk) {
    const int64_t row_bytes = RowBytes(walk.array);
    const bool evenly = step.fold == 1 || walk.inner == row_bytes;
    const int result = step.first_arg + step.operands;
    const RowArgDraft& draft = draft_.args[result];
    RowAhead& ahead = plan_.args[result].ahead;
    if (!step.fn || step.fold == 0 || !evenly || draft.whole || ahead.array >= 0) return;
    const int64_t elements = ProductFrom(draft.shape, draft_.prefix());
    ahead = {.array = walk.array,
             .row_bytes = walk.inner,
             .row = step.fold == 1 ? walk.inner : row_bytes / step.fold,
             .step = row_bytes / std::max<int64_t>(elements, 1)};
  }

  RowDraft draft_;
  RowPlan& plan_;
  const RowLayouts& layouts_;
};

}  // namespace

int64_t ProductFrom(const Sizes& sizes, int from) {
  int64_t product = 1;
  for (int i = from; i < sizes.size(); ++i) product *= sizes[i];
  return product;
}

bool IsPacked(const Sizes& sizes, const Sizes& strides, int from) {
  if (Product(sizes) == 0) return true;
  int64_t expected = 1;
  for (int i = sizes.size() - 1; i >= from; --i) {
    if (sizes[i] != 1 && strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

std::optional<int64_t> FoldedStride(const Sizes& sizes, const Sizes& strides, int from, int to) {
  int64_t stride = 0, count = 1;
  for (int i = to - 1; i >= from; --i) {
    if (sizes[i] == 1) continue;
    if (count == 1) {
      stride = strides[i];
    } else if (strides[i] != stride * count) {
      return std::nullopt;
    }
    count *= sizes[i];
  }
  return stride;
}

RowPlan FinishRowPlan(RowDraft draft, const RowLayouts& layouts) {
  return Finisher(std::move(draft), layouts).Finish();
}

}  // namespace fusible
