#include "runtime/row_join.h"

#include <algorithm>
#include <span>

namespace fusible {
namespace {

// Roots of the same memory are the same number: a result that takes an input has the input's.
int MemoryOf(const RowPlan& plan, const RowLayouts& layouts, int root) {
  const int k = root - plan.inputs;
  return k >= 0 && k < plan.results && layouts.takes[k] >= 0 ? layouts.takes[k] : root;
}

bool MayTakeTurns(const RowDraft& draft, const RowLayouts& layouts,
                  std::span<const RowArgDraft> read, std::span<const RowArgDraft> written) {
  const auto memory = [&](const RowPlace& place) {
    return MemoryOf(draft.plan, layouts, place.root);
  };
  const auto keeps = [&](const RowPlace& from, const RowPlace& to) {
    return memory(from) != memory(to) || (from.offset == to.offset && from.strides == to.strides);
  };
  return std::ranges::all_of(read, [&](const RowArgDraft& from) {
    return std::ranges::all_of(written,
                               [&](const RowArgDraft& to) { return keeps(from.place, to.place); });
  });
}

// Takes away what the second step reads of the result at `from`, and puts that behind the rest that
// is read, at `to`.
template <class Arg>
void MoveResult(std::vector<Arg>& args, int from, int to) {
  const auto result = args.begin() + from;
  args.erase(result + 1);
  std::rotate(result, result + 1, args.begin() + to + 1);
}

}  // namespace

RowArg* JoinLastSteps(RowDraft& draft, const RowLayouts& layouts, Op::RowsFn joint, int now) {
  std::vector<RowStep>& steps = draft.plan.steps;
  const RowStep first = steps.end()[-2], second = steps.back();
  const std::span args(draft.args);
  const auto read = args.subspan(first.first_arg, first.operands);
  const auto written = args.subspan(second.first_arg + second.operands, second.results);
  if (!MayTakeTurns(draft, layouts, read, written)) return nullptr;
  for (const RowArgDraft& arg : read) {  // until the second step is done with other rows
    if (!draft.IsTemporary(arg.place.root)) continue;
    RowTemporary& temporary = draft.TemporaryOf(arg.place.root);
    temporary.last = std::max(temporary.last, now);
  }
  const int from = first.first_arg + first.operands, to = from + second.operands - 1;
  MoveResult(draft.plan.args, from, to);
  MoveResult(draft.args, from, to);
  steps.pop_back();
  RowStep& step = steps.back() = second;
  step.fn = joint;
  step.first_arg = first.first_arg;
  step.operands += first.operands - 1;
  step.results += first.results;
  return &draft.plan.args[to];
}

}  // namespace fusible
