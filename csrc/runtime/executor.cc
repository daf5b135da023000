#include "runtime/executor.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/arena.h"
#include "core/cat.h"
#include "core/error.h"
#include "ir/expand.h"
#include "ir/verify.h"
#include "runtime/bind_sizes.h"
#include "runtime/plan.h"
#include "runtime/run_plan.h"

namespace fusible {
namespace {

constexpr size_t kMaxPlans = 32;

void RefuseOpaque(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.opaque.empty()) continue;
    throw UnsupportedError(Cat("compile: ", LabelOf(graph, node),
                               ": expected an operator of fusible, got opaque node ", node.opaque));
  }
}

// The graph's constants in order, from `given` by name.
std::vector<Weight> TakeWeights(const Graph& graph, const std::map<std::string, Weight>& given) {
  std::vector<Weight> weights;
  for (const Input& input : graph.inputs) {
    if (input.kind != InputKind::kConstant) continue;
    const std::string& name = graph.values[input.value].name;
    const auto found = given.find(name);
    if (found == given.end()) {
      throw ArgumentError(
          Cat("weights: ", name, ": expected ", graph.TypeOf(input.value), ", got none"));
    }
    weights.push_back(found->second);
  }
  if (weights.size() == given.size()) return weights;
  for (const auto& one : given) {
    const bool known = std::ranges::any_of(graph.inputs, [&](const Input& input) {
      return input.kind == InputKind::kConstant && graph.values[input.value].name == one.first;
    });
    if (!known) {
      throw ArgumentError(Cat("weights: expected only the graph's constants, got ", one.first));
    }
  }
  return weights;
}

// All of the graph's inputs in order.
std::vector<TensorView> Merge(const Graph& graph, std::span<const TensorView> inputs,
                              std::span<const TensorView> weights) {
  std::vector<TensorView> all;
  size_t plain = 0, constant = 0;
  for (const Input& input : graph.inputs) {
    all.push_back(input.kind == InputKind::kConstant ? weights[constant++] : inputs[plain++]);
  }
  return all;
}

bool IsFor(const Executable::Plan& plan, std::span<const TensorView> inputs) {
  return std::ranges::equal(
      plan.inputs, inputs,
      [](const ArrayLayout& layout, const TensorView& t) { return layout.Describes(t); });
}

}  // namespace

struct Executable::State {
  Graph graph;
  std::vector<TensorView> weights;
  std::set<std::string> read;  // weights that are read where they lie
  size_t inputs = 0;           // without the weights
  std::vector<RowBlocks> blocks;
  WeightCopies copies;
  ArenaPool arenas;
  std::mutex mutex;
  std::vector<std::shared_ptr<const Plan>> plans;  // by their last use, the latest first
  int plans_made = 0;

  std::shared_ptr<const Plan> Find(std::span<const TensorView> given) {
    const std::lock_guard lock(mutex);
    const auto found =
        std::ranges::find_if(plans, [&](const auto& plan) { return IsFor(*plan, given); });
    if (found == plans.end()) return nullptr;
    std::rotate(plans.begin(), found, found + 1);
    return plans.front();
  }

  void Prepare(std::span<const Weight> given) {
    const std::vector<bool> reads = PackConstants(graph, given, copies);
    for (const Input& input : graph.inputs) {
      if (input.kind != InputKind::kConstant) continue;
      const size_t number = weights.size();
      weights.push_back(given[number].view);
      if (reads[number]) {
        read.insert(graph.values[input.value].name);
      } else {
        weights[number].data = nullptr;  // the caller may have it back
      }
    }
    blocks = FindRowBlocks(graph);
  }

  void Keep(std::shared_ptr<const Plan> plan) {
    const std::lock_guard lock(mutex);
    if (plans.size() == kMaxPlans) plans.pop_back();
    plans.insert(plans.begin(), std::move(plan));
    ++plans_made;
  }
};

Executable::Executable(Graph graph, const std::map<std::string, Weight>& weights)
    : state_(std::make_unique<State>()) {
  Verify(graph, "compile");
  RefuseOpaque(graph);
  Expand(graph, [](const Node& node) { return node.op && RunsAsGraph(*node.op); });
  const std::vector<Weight> taken = TakeWeights(graph, weights);
  state_->inputs = graph.inputs.size() - taken.size();
  state_->graph = std::move(graph);
  size_t next = 0;
  for (const Input& input : state_->graph.inputs) {
    if (input.kind != InputKind::kConstant) continue;
    CheckArray(state_->graph, input, taken[next++].view);
  }
  state_->Prepare(taken);
}

Executable::~Executable() = default;

const Graph& Executable::graph() const { return state_->graph; }

bool Executable::Reads(const std::string& weight) const { return state_->read.contains(weight); }

int64_t Executable::copied_bytes() const { return state_->copies.bytes(); }

std::shared_ptr<const Executable::Plan> Executable::Bind(std::span<const TensorView> inputs) {
  if (inputs.size() != state_->inputs) {
    throw ArgumentError(Cat("inputs: expected ", state_->inputs, ", got ", inputs.size()));
  }
  if (auto plan = state_->Find(inputs)) return plan;
  const Graph& graph = state_->graph;
  auto plan = MakePlan({.graph = graph,
                        .sizes = BindSizes(graph, Merge(graph, inputs, state_->weights)),
                        .inputs = inputs,
                        .weights = state_->weights,
                        .blocks = state_->blocks},
                       state_->copies);
  state_->Keep(plan);
  return plan;
}

std::span<const Executable::ResultSpec> Executable::ResultSpecs(const Plan& plan) {
  return plan.results;
}

void Executable::Run(const Plan& plan, std::span<const TensorView> inputs,
                     std::span<const TensorView> results, std::vector<StepProfile>* profile) {
  RunPlan(plan, {.inputs = inputs, .weights = state_->weights, .results = results}, state_->arenas,
          profile);
}

int Executable::plans_made() const {
  const std::lock_guard lock(state_->mutex);
  return state_->plans_made;
}

int64_t Executable::arena_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->plans.empty() ? 0 : state_->plans.front()->arena_bytes;
}

}  // namespace fusible
