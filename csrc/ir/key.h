// Cache keys: an RFC 9562 version 8 UUID of a SHA-256 over named, length-framed parts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace fusible {

struct Key {
  std::vector<std::pair<std::string, std::string>> parts;  // name -> content, whole
  // What the key was not made from, and why. No part of it, like the graph below.
  std::vector<std::string> left_out;
  std::string graph;  // its text, "" without one: names the nodes where two keys part

  std::string uuid() const;  // lower case, 36 characters
  // The UUID, its parts (of long ones the digest) and what was left out, as lines.
  std::string Explain() const;
};

// The content of a part, or its digest where that is long: what the UUID is made from.
std::string Shorten(const std::string& content);

// Structural: inputs and outputs count by position; names of values and symbols, the order of
// independent nodes, and that of operands which may be swapped do not count. Parts: "inputs",
// "outputs", "structure", "operators" (contracts).
Key GraphKey(const Graph& graph);

// Part -> a sentence that says what each has, for the parts that differ, in their order.
std::vector<std::pair<std::string, std::string>> Diff(const Key& here, const Key& there);

// The contract of an operator as keys see it: signature text, Equals text, commutes, view.
std::string OperatorContract(const Op& op);

// Hash of the sources and flags this extension was built from.
std::string_view BuildId();

}  // namespace fusible
