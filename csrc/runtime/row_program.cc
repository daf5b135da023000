#include "runtime/row_program.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"
#include "ops/dispatch.h"
#include "ops/rows.h"
#include "runtime/row_plan.h"

namespace fusible {
namespace {

constexpr size_t kMaxPlans = 8;  // ways in memory that one program keeps a plan for

ArrayLayout ContiguousLayout(const Type& type) {
  const Sizes shape = *ToSizes(type.shape);
  return {.dtype = type.dtype, .shape = shape, .strides = ContiguousStrides(shape)};
}

RowLayouts ContiguousLayouts(const Graph& body) {
  RowLayouts layouts;
  for (const Input& input : body.inputs) {
    layouts.inputs.push_back(ContiguousLayout(body.TypeOf(input.value)));
  }
  for (const ValueId out : body.outputs) {
    layouts.results.push_back(ContiguousLayout(body.TypeOf(out)));
    layouts.streams.push_back(layouts.results.back().bytes() >= kStreamBytes);
  }
  layouts.takes.assign(body.outputs.size(), -1);
  return layouts;
}

// The input whose very memory the result is, or -1.
int TakenInput(std::span<const TensorView> inputs, const TensorView& result) {
  const auto same = std::ranges::find_if(
      inputs, [&](const TensorView& input) { return result.data && SameElements(input, result); });
  return same == inputs.end() ? -1 : static_cast<int>(same - inputs.begin());
}

bool Describe(const std::vector<ArrayLayout>& layouts, std::span<const TensorView> tensors) {
  return std::ranges::equal(layouts, tensors, [](const ArrayLayout& layout, const TensorView& t) {
    return layout.Describes(t);
  });
}

bool Matches(const RowLayouts& layouts, std::span<const TensorView> inputs,
             std::span<const TensorView> results) {
  if (!Describe(layouts.inputs, inputs) || !Describe(layouts.results, results)) return false;
  for (size_t k = 0; k < results.size(); ++k) {
    if (layouts.takes[k] != TakenInput(inputs, results[k])) return false;
  }
  return true;
}

void SetStrides(std::vector<ArrayLayout>& layouts, std::span<const TensorView> tensors,
                std::string_view what) {
  if (layouts.size() != tensors.size()) {
    throw ArgumentError(
        Cat("row program: expected ", layouts.size(), " ", what, ", got ", tensors.size()));
  }
  for (size_t i = 0; i < layouts.size(); ++i) {
    if (tensors[i].shape != layouts[i].shape || tensors[i].dtype != layouts[i].dtype) {
      throw ShapeError(Cat("row program: ", what, " ", i, ": expected ", Name(layouts[i].dtype),
                           layouts[i].shape, ", got ", Name(tensors[i].dtype), tensors[i].shape));
    }
    layouts[i].strides = tensors[i].strides;
  }
}

}  // namespace

struct RowProgram::State {
  struct Made {
    RowLayouts layouts;
    std::shared_ptr<const RowPlan> plan;
  };

  Graph body;
  int prefix = 0;
  int64_t block_rows = 0, scratch_bytes = 0;  // for contiguous arrays
  std::mutex mutex;
  std::vector<Made> made;  // the latest last

  std::shared_ptr<const RowPlan> Make(RowLayouts layouts) {
    auto plan = std::make_shared<const RowPlan>(BuildRowPlan(body, prefix, layouts));
    const std::lock_guard lock(mutex);
    if (made.size() == kMaxPlans) made.erase(made.begin());
    made.push_back({std::move(layouts), plan});
    return plan;
  }

  std::shared_ptr<const RowPlan> Find(std::span<const TensorView> inputs,
                                      std::span<const TensorView> results) {
    const std::lock_guard lock(mutex);
    for (const Made& one : made) {
      if (Matches(one.layouts, inputs, results)) return one.plan;
    }
    return nullptr;
  }
};

RowProgram::RowProgram(const Graph& body, int prefix) : state_(std::make_unique<State>()) {
  state_->body = body;
  state_->prefix = prefix;
  Expand(state_->body,
         [](const Node& node) { return node.op && !node.op->rows() && !node.op->kernel(); });
  const auto plan = state_->Make(ContiguousLayouts(state_->body));
  state_->block_rows = plan->block_rows;
  state_->scratch_bytes = plan->scratch_bytes;
}

RowProgram::~RowProgram() = default;
RowProgram::RowProgram(RowProgram&&) noexcept = default;

std::shared_ptr<const RowPlan> RowProgram::PlanFor(std::span<const TensorView> inputs,
                                                   std::span<const TensorView> results) const {
  if (auto plan = state_->Find(inputs, results)) return plan;
  RowLayouts layouts = ContiguousLayouts(state_->body);
  SetStrides(layouts.inputs, inputs, "inputs");
  SetStrides(layouts.results, results, "results");
  for (size_t k = 0; k < results.size(); ++k) layouts.takes[k] = TakenInput(inputs, results[k]);
  return state_->Make(std::move(layouts));
}

int64_t RowProgram::block_rows() const { return state_->block_rows; }
int64_t RowProgram::scratch_bytes() const { return state_->scratch_bytes; }

}  // namespace fusible
