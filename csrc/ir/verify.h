// What a legal graph is: a named rule for each check.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace fusible {

struct Violation {
  std::string rule;  // "defined-before-use", "types", …: one of VerifierRules
  std::string node;  // the name of its first result, or of the value
  std::string message;
};

std::vector<Violation> FindViolations(const Graph& graph);
// GraphError `<where>: <rule>: <node>: <message>` for the first one.
void Verify(const Graph& graph, std::string_view where = "graph");

// rule name -> the sentence that it checks, for the documentation and its test.
std::vector<std::pair<std::string, std::string>> VerifierRules();

}  // namespace fusible
