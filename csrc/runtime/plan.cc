// Lists the steps of a graph, and lets results take memory that nobody reads any more.
#include "runtime/plan.h"

#include <algorithm>
#include <utility>

#include "core/cat.h"
#include "core/error.h"
#include "ir/infer.h"
#include "ir/views.h"
#include "ops/rows.h"
#include "runtime/in_place.h"
#include "runtime/node_body.h"
#include "runtime/plan_store.h"
#include "runtime/reads.h"
#include "runtime/row_draft.h"

namespace fusible {
namespace {

NodeBodies BodiesOf(const Graph& graph) {
  NodeBodies bodies;
  for (const Node& node : graph.nodes) bodies.push_back(BodyOf(graph, node));
  return bodies;
}

std::vector<Extent> MergedExtents(std::span<const TensorView> arrays) {
  std::vector<Extent> extents;
  for (const TensorView& array : arrays) {
    if (array.data && array.Count() > 0) extents.push_back(ExtentOf(array));
  }
  std::ranges::sort(extents, {}, &Extent::begin);
  std::vector<Extent> merged;
  for (const Extent& one : extents) {
    if (merged.empty() || merged.back().end < one.begin) {
      merged.push_back(one);
    } else {
      merged.back().end = std::max(merged.back().end, one.end);
    }
  }
  return merged;
}

// A kernel takes scales, which are f32 beside operands of other types, in either layout.
bool TakesColumns(const TypeSpec& spec) {
  return spec.leading && spec.dims.size() == 1 && FindDType(spec.dtype) == DType::kF32;
}

int64_t ColumnAlignmentOf(const Graph& body, ValueId value) {
  for (const Node& node : body.nodes) {
    if (IsView(node)) continue;
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      if (node.outputs[r] != value) continue;
      return ColumnAlignment(node.op->signature().results[r].type, node.attrs);
    }
  }
  return 0;
}

class Planner {
 public:
  Planner(const PlanProblem& problem, WeightCopies& copies)
      : problem_(problem),
        copies_(copies),
        graph_(BindSymbols(problem.graph, problem.sizes)),
        reads_(graph_),
        bodies_(BodiesOf(graph_)),
        in_place_(graph_, bodies_, reads_),
        plan_(std::make_shared<Executable::Plan>()),
        store_(graph_, problem.inputs, problem.weights, copies, *plan_) {
    plan_->weights = MergedExtents(problem.weights);
    for (const Input& input : graph_.inputs) {
      if (input.kind == InputKind::kConstant) continue;
      const bool updated = input.kind == InputKind::kUpdated;
      updated_.push_back(updated ? &input : nullptr);
    }
  }

  std::shared_ptr<const Executable::Plan> Make() {
    for (now_ = 0; now_ < std::ssize(graph_.nodes); ++now_) {
      const Node& node = graph_.nodes[now_];
      if (const RowBlocks* part = PartAt(now_)) {
        AddPart(*part);
        now_ = part->last - 1;
      } else if (IsView(node)) {
        store_.AddView(node);
      } else if (bodies_[now_]) {
        AddRows(node, *bodies_[now_]);
      } else {
        AddKernel(node);
      }
    }
    for (int k = 0; k < std::ssize(graph_.outputs); ++k) {
      const ValueId output = graph_.outputs[k];
      const auto input = store_.InputOf(output);
      const Input* updated = input ? updated_[*input] : nullptr;
      // The same value returned as something else, or a view of it, is not the caller's array.
      const bool is_input = updated && updated->new_value == k &&
                            graph_.TypeOf(updated->value) == graph_.TypeOf(output);
      plan_->results.push_back(store_.AddResult(output, k, is_input));
    }
    store_.Finish();
    return std::move(plan_);
  }

 private:
  void AddStep(const Node& node, decltype(PlanStep::run) run, const Work& work) {
    plan_->steps.push_back({.run = std::move(run),
                            .name = NodeName(node),
                            .result = graph_.values[node.outputs[0]].name,
                            .bytes = work.bytes,
                            .flops = work.flops});
  }

  // --- parts in blocks of rows ---

  int64_t RowsOf(const RowBlocks& part) const { return problem_.sizes.at(part.rows.symbol.name()); }

  // The part that begins here, if it has rows for more than one block, whose results lie by rows.
  const RowBlocks* PartAt(int n) const {
    const auto part = std::ranges::find(problem_.blocks, n, &RowBlocks::first);
    if (part == problem_.blocks.end()) return nullptr;
    const int64_t rows = RowsOf(*part);
    if (BlockRows(rows) >= rows) return nullptr;
    for (int at = n; at < part->last; ++at) {
      for (int k = 0; k < std::ssize(graph_.nodes[at].outputs); ++k) {
        const bool escapes = std::ranges::count(part->results, graph_.nodes[at].outputs[k]) > 0;
        if (escapes && ColumnAlignmentOfResult(at, k) > 0) return nullptr;
      }
    }
    return &*part;
  }

  int64_t ColumnAlignmentOfResult(int n, int k) const {
    const auto& body = bodies_[n];
    if (body) return ColumnAlignmentOf(body->graph, body->graph.outputs[k]);
    const Node& node = graph_.nodes[n];
    return ColumnAlignment(node.op->signature().results[k].type, node.attrs);
  }

  void AddPart(const RowBlocks& part) {
    AddViews(part);
    const int64_t rows = RowsOf(part), block_rows = BlockRows(rows), rest = rows % block_rows;
    BlocksRun run;
    run.rows = rows;
    run.block_rows = block_rows;
    run.block = PlanPart(part, block_rows);
    if (rest > 0) run.rest = PlanPart(part, rest);
    for (const ValueId in : part.inputs) run.inputs.push_back(UseInPart(part, in));
    for (const ValueId out : part.results) {
      store_.AddOwn(out, 0);
      run.results.push_back(UseInPart(part, out));
    }
    run.arena = store_.UseScratch(std::max(run.block->Room(), rest > 0 ? run.rest->Room() : 0));
    plan_->steps.emplace_back().run.emplace<BlocksRun>(std::move(run));
    AddViews(part);
  }

  // Those between the part's nodes of which others may read, as far as what they show has a place.
  void AddViews(const RowBlocks& part) {
    for (int n = part.first; n < part.last; ++n) {
      const Node& node = graph_.nodes[n];
      if (!IsView(node) || store_.Holds(node.outputs[0])) continue;
      if (store_.Holds(node.inputs[0])) store_.AddView(node);
    }
  }

  bool HasRows(const RowBlocks& part, ValueId value) const {
    const Shape& shape = problem_.graph.TypeOf(value).shape;
    return !shape.empty() && shape[0] == part.rows;
  }

  std::shared_ptr<const Executable::Plan> PlanPart(const RowBlocks& part, int64_t rows) const {
    std::vector<TensorView> inputs;
    for (const ValueId in : part.inputs) {
      const ArrayLayout layout = store_.LayoutOf(in);
      TensorView view{.dtype = layout.dtype, .shape = layout.shape, .strides = layout.strides};
      if (HasRows(part, in)) view.shape[0] = rows;
      inputs.push_back(view);
    }
    PlanProblem problem{part.graph, problem_.sizes, inputs, problem_.weights, {}};
    problem.sizes[part.rows.symbol.name()] = rows;
    return MakePlan(problem, copies_);
  }

  BlocksRun::Array UseInPart(const RowBlocks& part, ValueId value) {
    const ArrayLayout layout = store_.LayoutOf(value);
    const auto item = static_cast<int64_t>(Bytes(layout.dtype));
    const int64_t rows = HasRows(part, value) ? BlockRows(layout.shape[0]) : 0;
    return {.memory = store_.Use(value), .step = rows == 0 ? 0 : rows * layout.strides[0] * item};
  }

  // --- kernels of whole tensors ---

  void AddKernel(const Node& node) {
    const Signature& signature = node.op->signature();
    if (node.inputs.size() + node.outputs.size() > kMaxStepArgs) {
      throw UnsupportedError(Cat(NodeName(node), ": expected at most ", kMaxStepArgs,
                                 " operands and results, got ",
                                 node.inputs.size() + node.outputs.size()));
    }
    KernelRun run;
    run.op = node.op;
    run.binding = BindCall(*node.op, OperandTypes(graph_, node), node.attrs);
    const int packs = node.op->packs();
    const auto packed = packs < 0 ? std::nullopt : store_.UsePacked(node.inputs[packs]);
    run.binding.packed = packed.has_value();
    run.info = ToCallInfo(run.binding);
    for (int i = 0; i < std::ssize(node.inputs); ++i) {
      const ParamSpec& param = signature.params[i];
      run.has_indices |= param.bound.has_value();
      if (node.inputs[i] == kAbsent || (packed && i == packs)) continue;
      PrepareForKernel(node.inputs[i], param.type);
    }
    for (size_t r = 0; r < node.outputs.size(); ++r) {
      store_.AddOwn(node.outputs[r], ColumnAlignmentOfResult(now_, static_cast<int>(r)));
    }
    for (const ValueId in : node.inputs) AddTensor(run, in);
    for (const ValueId out : node.outputs) AddTensor(run, out);
    if (packed) {
      run.memory[packs] = *packed;
      run.tensors[packs].strides = ContiguousStrides(run.tensors[packs].shape);
    }
    AddStep(node, std::move(run), WorkOf(graph_, node));
  }

  void PrepareForKernel(ValueId value, const TypeSpec& spec) {
    const ArrayLayout layout = store_.LayoutOf(value);
    const auto trailing = static_cast<int>(spec.dims.size());
    const int from = spec.leading ? layout.shape.size() - trailing : 0;
    if (TakesColumns(spec) || IsPacked(layout.shape, layout.strides, from)) return;
    store_.MakeContiguous(value);
  }

  void AddTensor(KernelRun& run, ValueId value) {
    TensorView tensor;
    Memory memory;
    if (value != kAbsent) {
      const ArrayLayout layout = store_.LayoutOf(value);
      tensor.dtype = layout.dtype;
      tensor.shape = layout.shape;
      tensor.strides = layout.strides;
      memory = store_.Use(value);
    }
    run.tensors.push_back(tensor);
    run.memory.push_back(memory);
  }

  // --- rows ---

  void AddRows(const Node& node, const NodeBody& body) {
    RowLayouts layouts;
    const Reads body_reads(body.graph);
    for (size_t i = 0; i < body.positions.size(); ++i) {
      const ValueId value = node.inputs[body.positions[i]];
      if (body_reads.AsWhole(body.graph.inputs[i].value)) store_.MakeContiguous(value);
      layouts.inputs.push_back(store_.LayoutOf(value));
    }
    for (int k = 0; k < std::ssize(node.outputs); ++k) {
      layouts.takes.push_back(PlaceRowsResult(node, body, k));
      layouts.results.push_back(store_.LayoutOf(node.outputs[k]));
      layouts.streams.push_back(Streams(node.outputs[k]));
    }
    RowsRun run{.plan = BuildRowPlan(body.graph, body.prefix, layouts), .memory = {}};
    for (const int position : body.positions) {
      run.memory.push_back(store_.Use(node.inputs[position]));
    }
    for (const ValueId out : node.outputs) run.memory.push_back(store_.Use(out));
    plan_->most_pointers = std::max(plan_->most_pointers, static_cast<int>(run.memory.size()));
    AddStep(node, std::move(run), WorkOf(body.graph));
  }

  // Large, and not what the next step reads.
  bool Streams(ValueId value) const {
    if (store_.BytesOf(value) < kStreamBytes) return false;
    if (now_ + 1 == std::ssize(graph_.nodes)) return true;
    return std::ranges::none_of(graph_.nodes[now_ + 1].inputs, [&](ValueId in) {
      return in != kAbsent && reads_.Origin(in) == value;
    });
  }

  // Returns the body's input whose memory the result takes, or -1.
  int PlaceRowsResult(const Node& node, const NodeBody& body, int k) {
    const ValueId value = node.outputs[k];
    for (const int input : in_place_.Candidates(now_, k)) {
      const ValueId operand = node.inputs[body.positions[input]];
      if (!MayTake(node, k, input, operand)) continue;
      if (const auto taken = store_.InputOf(operand)) plan_->in_place.push_back(*taken);
      store_.AddShared(value, operand);
      return input;
    }
    store_.AddOwn(value, ColumnAlignmentOfResult(now_, k));
    if (!node.op) return -1;
    const ResultSpec& spec = node.op->signature().results[k];
    if (spec.type.leading || spec.alias.empty()) return -1;
    // A whole result begins as a copy of what it changes.
    store_.AddCopy(node.inputs[node.op->signature().FindParam(spec.alias)], value);
    return -1;
  }

  bool MayTake(const Node& node, int k, int input, ValueId operand) const {
    if (!store_.Fills(operand)) return false;
    for (int other = 0; other < k; ++other) {
      if (store_.SameBlock(node.outputs[other], operand)) return false;
    }
    if (store_.IsOwn(operand)) return true;
    return store_.InputOf(operand) && in_place_.Updates(now_, k) == input;
  }

  const PlanProblem& problem_;
  WeightCopies& copies_;
  const Graph graph_;  // every size a number
  const Reads reads_;
  const NodeBodies bodies_;
  const InPlace in_place_;
  std::shared_ptr<Executable::Plan> plan_;
  PlanStore store_;
  std::vector<const Input*> updated_;  // by input, without the weights; nullptr: is not updated
  int now_ = 0;                        // the node at hand
};

}  // namespace

std::shared_ptr<const Executable::Plan> MakePlan(const PlanProblem& problem, WeightCopies& copies) {
  return Planner(problem, copies).Make();
}

}  // namespace fusible
