#include "runtime/eager.h"

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "core/arena.h"
#include "core/cat.h"
#include "core/error.h"
#include "core/threads.h"
#include "ir/expand.h"
#include "ir/rows.h"
#include "ops/rows.h"
#include "runtime/executor.h"
#include "runtime/row_plan.h"
#include "runtime/row_program.h"
#include "runtime/strided_copy.h"

namespace fusible {
namespace {

constexpr size_t kMaxPrograms = 64;

// Empty arrays may have no memory either, but they have a shape.
bool IsAbsent(const TensorView& tensor) { return !tensor.data && tensor.shape.empty(); }

// What runs one operator with certain types and attributes: one of the two.
struct Made {
  const Op* op = nullptr;
  std::vector<std::optional<Type>> operands;
  Attrs attrs;
  const std::byte* packed = nullptr;  // the weight's memory, where it is given packed
  std::shared_ptr<const RowProgram> program;
  std::shared_ptr<Executable> graph;
};

bool HasShape(const Type& type, const TensorView& tensor) {
  return type.dtype == tensor.dtype &&
         std::ranges::equal(type.shape, tensor.shape,
                            [](const Dim& dim, int64_t size) { return dim.offset == size; });
}

// An operator as it is called.
struct Called {
  const Op& op;
  std::span<const TensorView> operands;
  const Attrs& attrs;
  const std::byte* packed;  // the weight's memory, where it is given packed
};

bool Matches(const Made& made, const Called& call) {
  if (made.op != &call.op || made.packed != call.packed || !(made.attrs == call.attrs)) {
    return false;
  }
  return std::ranges::equal(made.operands, call.operands,
                            [](const std::optional<Type>& type, const TensorView& tensor) {
                              return type ? HasShape(*type, tensor) : IsAbsent(tensor);
                            });
}

// A graph whose operand `weight` is a constant, which lies packed at `packed`. Nothing is copied of
// it: what is kept of the graph serves any weight of that shape that lies there later.
std::shared_ptr<Executable> WithPacked(Graph body, const TensorView& weight,
                                       const std::string& name) {
  for (Input& input : body.inputs) {
    if (body.values[input.value].name == name) input.kind = InputKind::kConstant;
  }
  return std::make_shared<Executable>(std::move(body),
                                      std::map<std::string, Weight>{{name, {weight, true}}});
}

Made Make(const Called& call) {
  const Op& op = call.op;
  Made made;
  made.op = &op;
  made.attrs = call.attrs;
  made.packed = call.packed;
  for (const TensorView& tensor : call.operands) {
    made.operands.push_back(
        IsAbsent(tensor) ? std::nullopt : std::optional(Type{tensor.dtype, ToShape(tensor.shape)}));
  }
  Graph body = ExpandEquals(op, made.operands, call.attrs);
  if (call.packed) {
    const int weight = op.packs();
    made.graph =
        WithPacked(std::move(body), call.operands[weight], op.signature().params[weight].name);
    return made;
  }
  if (RunsAsGraph(op)) {
    made.graph = std::make_shared<Executable>(std::move(body), std::map<std::string, Weight>());
    return made;
  }
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
  Made Get(const Called& call) {
    {
      const std::lock_guard lock(mutex_);
      const auto found =
          std::ranges::find_if(made_, [&](const Made& made) { return Matches(made, call); });
      if (found != made_.end()) {
        std::rotate(made_.begin(), found, found + 1);
        return made_.front();
      }
    }
    Made made = Make(call);
    const std::lock_guard lock(mutex_);
    if (made_.size() == kMaxPrograms) made_.pop_back();
    return *made_.insert(made_.begin(), std::move(made));
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

Made MadeFor(const Called& call) {
  static Programs& programs = *new Programs();
  return programs.Get(call);
}

// A graph gives its results without gaps: others are copied to where they shall be.
void RunGraph(Executable& graph, std::span<const TensorView> inputs,
              std::span<const TensorView> results) {
  const auto plan = graph.Bind(inputs);
  const auto specs = Executable::ResultSpecs(*plan);
  std::vector<TensorView> made(results.begin(), results.end());
  std::vector<Buffer> buffers;
  for (size_t k = 0; k < made.size(); ++k) {
    if (specs[k].strides == made[k].strides) continue;
    made[k].strides = specs[k].strides;
    buffers.emplace_back(made[k].Count() * static_cast<int64_t>(Bytes(made[k].dtype)));
    made[k].data = buffers.back().data();
  }
  graph.Run(*plan, inputs, made);
  for (size_t k = 0; k < made.size(); ++k) {
    if (made[k].data == results[k].data) continue;
    RunCopyParallel(PlanCopy(made[k].dtype, made[k].shape, made[k].strides, results[k].strides),
                    made[k].data, results[k].data);
  }
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
  std::vector<TensorView> inputs;
  const int packed = binding.packed ? op.packs() : -1;
  for (int i = 0; i < std::ssize(operands); ++i) {
    if (IsAbsent(operands[i]) || i == packed) continue;
    present_.push_back(i);
    inputs.push_back(operands[i]);
  }
  const Made made =
      MadeFor({op, operands, binding.attrs, packed < 0 ? nullptr : operands[packed].data});
  graph_ = made.graph;
  if (made.program) plan_ = made.program->PlanFor(inputs, results);
}

void EagerCall::Run(std::span<std::byte* const> memory) const {
  const FloatEnvironment environment;
  if (kernel_) return kernel_->Run(memory);
  arrays_->Begin(memory);
  if (graph_) return RunParts(memory);
  std::array<std::byte*, kMaxOperands> inputs;
  for (size_t i = 0; i < present_.size(); ++i) inputs[i] = memory[present_[i]];
  RunRowPlan(*plan_, {inputs.data(), present_.size()}, memory.subspan(arrays_->operands()));
}

void EagerCall::RunParts(std::span<std::byte* const> memory) const {
  std::vector<TensorView> inputs, results;
  for (const size_t i : present_) inputs.push_back(arrays_->At(i, memory));
  for (size_t i = arrays_->operands(); i < arrays_->size(); ++i) {
    results.push_back(arrays_->At(i, memory));
  }
  RunGraph(*graph_, inputs, results);
}

}  // namespace fusible
