// An executable graph: planned memory, no allocation and no Python between operators.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "ir/graph.h"
#include "runtime/pack_constants.h"

namespace fusible {

// Time, bytes and flops of one step of one call.
struct StepProfile {
  std::string name;    // operator or region
  std::string result;  // its first result in the graph
  double start_us = 0, us = 0;
  int64_t bytes = 0;  // read and written once each
  int64_t flops = 0;  // 0 where the operator does not say
};

class Executable {
 public:
  // weights: the graph's `constant` inputs by name, borrowed: the caller keeps alive those that
  // Reads says. What products multiply by is packed here, and no later.
  // ArgumentError for a missing or unknown name, and for a packed one that something else than
  // products reads; shape and dtype are checked. UnsupportedError for
  // an opaque node.
  Executable(Graph graph, const std::map<std::string, Weight>& weights);
  ~Executable();

  const Graph& graph() const;

  // Whether calls read this weight as it was given, and not only a packed copy.
  bool Reads(const std::string& weight) const;

  // Of all copies of weights.
  int64_t copied_bytes() const;

  // One call in three steps, so that the caller may make the result arrays:
  // 1. Bind: checks inputs (plain and updated ones, in graph order), binds symbols, finds or makes
  //    the plan for these sizes and strides.
  // 2. ResultSpecs: dtype, shape, strides of each result; `updates`: the input whose memory it is.
  // 3. Run, with result arrays (data of an updated one = the input's own).
  struct ResultSpec {
    DType dtype;
    Sizes shape, strides;
    int updates = -1;  // index into inputs (non-constant, graph order), or -1: fresh memory
  };
  class Plan;
  std::shared_ptr<const Plan> Bind(std::span<const TensorView> inputs);
  static std::span<const ResultSpec> ResultSpecs(const Plan& plan);
  // profile: nullptr, or filled with one entry a step. Thread-safe: arenas are taken from a pool.
  void Run(const Plan& plan, std::span<const TensorView> inputs,
           std::span<const TensorView> results, std::vector<StepProfile>* profile = nullptr);

  int plans_made() const;       // for tests of the plan cache
  int64_t arena_bytes() const;  // of the last plan

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace fusible
