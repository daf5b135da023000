// Cache keys: an RFC 9562 version 8 UUID of a SHA-256 over named, length-framed parts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ir/graph.h"

namespace fusible {

struct Key {
  // name -> content (its digest where it is long)
  std::vector<std::pair<std::string, std::string>> parts;
  std::string uuid() const;  // lower case, 36 characters
};

// Structural: inputs and outputs count by position; names of values and symbols, and the order of
// independent nodes, do not count. Parts: "inputs", "outputs", "structure", "operators"
// (contracts).
Key GraphKey(const Graph& graph);

// The contract of an operator as keys see it: signature text, Equals text, commutes, view.
std::string OperatorContract(const Op& op);

// Hash of the sources and flags this extension was built from.
std::string_view BuildId();

}  // namespace fusible
