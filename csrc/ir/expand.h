// What a fused operator equals, as a graph of smaller operators.
#pragma once

#include <functional>

#include "ir/graph.h"

namespace fusible {

// The Equals body of `op` for operands of these types (nullopt = absent) and complete attributes: a
// graph whose inputs are op's operands (absent ones left out of inputs) and whose outputs are its
// results. Nested fused operators in the body are left as they are. GraphError if op has no Equals.
Graph ExpandEquals(const Op& op, std::span<const std::optional<Type>> operands, const Attrs& attrs);

// Replaces nodes by what they equal, calls by their Equals body and regions by theirs, and what
// that brings to light in the same way; returns how many were replaced. choose: asked once of each
// call that has an Equals body, and of each region.
int Expand(Graph& graph, const std::function<bool(const Node&)>& choose);

// Whether the operator has no kernel of its own, and what it equals calls one of whole tensors: it
// cannot run as rows, but its parts can run one after the other.
bool RunsAsGraph(const Op& op);

// A body's nodes, appended to `graph` with body inputs bound to `inputs`; returns the values that
// stand for the body's outputs. Names are made fresh.
std::vector<ValueId> Inline(Graph& graph, const Graph& body, std::span<const ValueId> inputs);

}  // namespace fusible
