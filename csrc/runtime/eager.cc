#include "runtime/eager.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ir/expand.h"
#include "ir/rows.h"
#include "ops/rows.h"
#include "runtime/row_plan.h"
#include "runtime/row_program.h"

namespace fusible {
namespace {

constexpr size_t kMaxPrograms = 64;

// Empty arrays may have no memory either, but they have a shape.
bool IsAbsent(const TensorView& tensor) { return !tensor.data && tensor.shape.empty(); }

// One program, for one operator, types and attributes.
struct Made {
  const Op* op = nullptr;
  std::vector<std::optional<Type>> operands;
  Attrs attrs;
  std::shared_ptr<const RowProgram> program;
};

bool HasShape(const Type& type, const TensorView& tensor) {
  return type.dtype == tensor.dtype &&
         std::ranges::equal(type.shape, tensor.shape,
                            [](const Dim& dim, int64_t size) { return dim.offset == size; });
}

bool Matches(const Made& made, const Op& op, std::span<const TensorView> operands,
             const Attrs& attrs) {
  if (made.op != &op || !(made.attrs == attrs)) return false;
  return std::ranges::equal(made.operands, operands,
                            [](const std::optional<Type>& type, const TensorView& tensor) {
                              return type ? HasShape(*type, tensor) : IsAbsent(tensor);
                            });
}

Made Make(const Op& op, std::span<const TensorView> operands, const Attrs& attrs) {
  Made made;
  made.op = &op;
  made.attrs = attrs;
  for (const TensorView& tensor : operands) {
    made.operands.push_back(
        IsAbsent(tensor) ? std::nullopt : std::optional(Type{tensor.dtype, ToShape(tensor.shape)}));
  }
  Graph body = ExpandEquals(op, made.operands, attrs);
  Expand(body, [](const Node& node) { return node.op && !node.op->rows(); });
  const auto prefix = CommonPrefix(body);
  if (!prefix) {
    throw UnsupportedError(Cat(op.name(), ": expected what it equals to be rows of one kind"));
  }
  made.program = std::make_shared<const RowProgram>(body, *prefix);
  return made;
}

// Programs by their last use, the latest first.
class Programs {
 public:
  std::shared_ptr<const RowProgram> Get(const Op& op, std::span<const TensorView> operands,
                                        const Attrs& attrs) {
    {
      const std::lock_guard lock(mutex_);
      const auto found = std::ranges::find_if(
          made_, [&](const Made& made) { return Matches(made, op, operands, attrs); });
      if (found != made_.end()) {
        std::rotate(made_.begin(), found, found + 1);
        return made_.front().program;
      }
    }
    Made made = Make(op, operands, attrs);
    const std::lock_guard lock(mutex_);
    if (made_.size() == kMaxPrograms) made_.pop_back();
    return made_.insert(made_.begin(), std::move(made))->program;
  }

 private:
  std::mutex mutex_;
  std::vector<Made> made_;
};

// The layouts that the operator itself would refuse, with its own words: what runs is its parts.
void CheckLayouts(const Op& op, const Binding& binding, std::span<const TensorView> operands,
                  std::span<const TensorView> results) {
  const Signature& s = op.signature();
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!IsAbsent(operands[i])) {
      ViewAsRows(op, s.params[i].name, s.params[i].type, operands[i], false);
    }
  }
  for (size_t i = 0; i < results.size(); ++i) {
    const TypeSpec& spec = s.results[i].type;
    ViewAsRows(op, s.results[i].name, spec, results[i], IsColumnLayout(spec, binding.attrs));
  }
}

std::shared_ptr<const RowPlan> PlanOf(const Op& op, std::span<const TensorView> operands,
                                      std::span<const TensorView> results, const Attrs& attrs) {
  static Programs& programs = *new Programs();
  std::vector<TensorView> inputs;
  std::ranges::copy_if(operands, std::back_inserter(inputs),
                       [](const TensorView& tensor) { return !IsAbsent(tensor); });
  return programs.Get(op, operands, attrs)->PlanFor(inputs, results);
}

}  // namespace

EagerCall::EagerCall(const Op& op, const Binding& binding, std::span<const TensorView> operands,
                     std::span<const TensorView> results) {
  if (op.rows() || op.kernel() || op.equals().empty()) {
    kernel_.emplace(op, binding, operands, results);
    return;
  }
  CheckLayouts(op, binding, operands, results);
  arrays_.emplace(op, binding, operands, results);
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!IsAbsent(operands[i])) present_.push_back(i);
  }
  plan_ = PlanOf(op, operands, results, binding.attrs);
}

void EagerCall::Run(std::span<std::byte* const> memory) const {
  const FloatEnvironment environment;
  if (kernel_) return kernel_->Run(memory);
  arrays_->Begin(memory);
  std::array<std::byte*, kMaxOperands> inputs;
  for (size_t i = 0; i < present_.size(); ++i) inputs[i] = memory[present_[i]];
  RunRowPlan(*plan_, {inputs.data(), present_.size()}, memory.subspan(arrays_->operands()));
}

}  // namespace fusible
