// Any text is refused with a GraphError, or is a graph; a graph that verifies prints as text that
// reads back as the same graph with the same key, expands to one that verifies, and takes sizes or
// says why not.
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "ir/expand.h"
#include "ir/infer.h"
#include "ir/key.h"
#include "ir/text.h"
#include "ir/verify.h"

namespace {

using fusible::Graph;

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "not so: %s\n", what);
  std::abort();
}

std::map<std::string, int64_t> SizesFor(const Graph& graph, int64_t size) {
  std::map<std::string, int64_t> sizes;
  for (const fusible::Value& value : graph.values) {
    for (const fusible::Dim& dim : graph.types[value.type].shape) {
      if (dim.symbol) sizes[dim.symbol.name()] = size;
    }
  }
  return sizes;
}

void CheckRoundTrip(Graph graph) {
  Compact(graph);
  const std::string text = ToText(graph);
  const Graph again = fusible::ParseGraph(text);
  Require(again == graph, "parse(print(graph)) == graph");
  Require(ToText(again) == text, "the text is the same again");
  Require(GraphKey(again).uuid() == GraphKey(graph).uuid(), "the key is the same again");
}

void CheckExpansion(Graph graph) {
  Expand(graph, [](const fusible::Node&) { return true; });
  SortTopologically(graph);
  Compact(graph);
  Verify(graph, "expanded");
}

void CheckSizes(const Graph& graph) {
  for (int64_t size : {0, 1, 7, 4096}) {
    try {
      Verify(BindSymbols(graph, SizesFor(graph, size)), "bound");
    } catch (const fusible::GraphError&) {
      throw;
    } catch (
        const fusible::Error&) {  // a size that does not fit: a reshape of 7 rows to pairs, say
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Graph graph;
  try {
    graph = fusible::ParseGraph({reinterpret_cast<const char*>(data), size});
  } catch (const fusible::GraphError&) {
    return 0;
  }
  if (!FindViolations(graph).empty()) return 0;
  CheckRoundTrip(graph);
  CheckExpansion(graph);
  CheckSizes(graph);
  return 0;
}
