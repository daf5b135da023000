// A graph of operator calls in SSA form: functional, typed, multi-output, views are operators.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/value_ids.h"
#include "ops/check.h"

namespace fusible {

struct Value {
  std::string name;   // unique within its graph, or within its region's body
  int32_t type = -1;  // its number in the graph's types
};

// Of this process alone.
uint64_t HashOf(const Type& type);

// Each type once: a graph has thousands of values, and a few dozen types.
class TypeTable {
 public:
  int32_t Add(const Type& type);  // its number, an old one where it is there already
  // Good until the next Add.
  const Type& operator[](int32_t number) const { return types_[number]; }
  size_t size() const { return types_.size(); }

 private:
  int32_t* Slot(const Type& type);

  std::vector<Type> types_;
  std::vector<int32_t> slots_;  // numbers of types by their hash, half of them -1: none
};

enum class InputKind : uint8_t { kPlain, kConstant, kUpdated };

// `constant`: a weight, bound at compile time. `updated`: a cache; its new value is an ordinary
// result, known by its number (see ir/updates.h).
struct Input {
  ValueId value = kAbsent;
  InputKind kind = InputKind::kPlain;
  int new_value = -1;  // index into outputs; -1: not updated, or no result is its new value
};

struct Region;

// A call of an operator (op), of something that is not ours (opaque), or a region of row operators
// that runs block by block (region). Exactly one of the three is set.
struct Node {
  const Op* op = nullptr;
  std::string opaque;                    // its name; never moved across another opaque that mutates
  bool mutates = false;                  // opaque only
  std::shared_ptr<const Region> region;  // immutable once made, so graphs copy cheaply
  ValueIds inputs;                       // as long as op's params; kAbsent for absent ones
  ValueIds outputs;
  Attrs attrs;  // complete: defaults filled in
};

// [A-Za-z_][A-Za-z0-9_.]*, and not `none`, which stands for an absent operand.
bool IsValueName(std::string_view name);

// Which names a graph has given out, so that a fresh one costs no search: by their hashes, since a
// name that seems taken does no harm. Values appended by hand are seen; a value renamed by hand is
// not, so give such a name through FreshName.
class NameIndex {
 public:
  NameIndex() = default;
  NameIndex(const NameIndex&) {}  // found again from the names when it is asked
  NameIndex(NameIndex&&) = default;
  NameIndex& operator=(NameIndex) noexcept;
  ~NameIndex() = default;

  std::string Fresh(const std::vector<Value>& values, std::string_view hint);

 private:
  void See(const std::vector<Value>& values);
  size_t IndexOf(size_t hash) const;  // in hashes_, where it is or would be
  bool Holds(std::string_view name) const;

  size_t seen_ = 0;                                // values below it are in hashes_
  std::vector<size_t> hashes_;                     // half of them at least 0: none
  std::unordered_map<std::string, int64_t> next_;  // a taken name -> the number to try behind it
};

struct Graph {
  std::vector<Value> values;  // indexed by ValueId; those that nothing mentions are dead
  std::vector<Input> inputs;
  std::vector<Node> nodes;  // in topological order
  std::vector<ValueId> outputs;

  // A name that is not taken yet, also by a dead value: the hint itself (made a legal name), else
  // hint_1, hint_2, …
  std::string FreshName(std::string_view hint) const;
  ValueId AddValue(std::string_view hint, const Type& type);
  ValueId AddInput(std::string_view name, const Type& type, InputKind kind = InputKind::kPlain);
  // Appends a call with inferred result types (BindCall's errors pass through); returns the node,
  // whose reference is good until the next append. names: hints for the results, may be empty.
  const Node& AddCall(const Op& op, ValueIds inputs, const Attrs& attrs,
                      std::span<const std::string> names = {});

  const Type& TypeOf(ValueId id) const { return types[values[id].type]; }
  void SetType(ValueId id, const Type& type) { values[id].type = types.Add(type); }

  TypeTable types;          // also of values that are dead
  mutable NameIndex names;  // no part of what the graph is
};

// `rows name { … }`: the body's inputs stand, in order, for the node's inputs, and carry their
// names.
struct Region {
  std::string name;  // of the operator it equals, else its parts joined by '+' in dataflow order
  Graph body;
};

std::string NodeName(const Node& node);  // "rms_norm", "opaque(name)", or the region's name
// What a node is called in reports: its first result, or its name where it has none.
std::string LabelOf(const Graph& graph, const Node& node);

// Structure, types, attributes and names; order of nodes counts.
bool operator==(const Graph& a, const Graph& b);
// The same number for graphs that are equal, and for others another one, but for one in 2^64. Of
// this process alone. The graph need not be legal.
uint64_t Fingerprint(const Graph& graph);

// For each value the nodes that read it (indices, ascending, each once); outputs are not users.
class Users {
 public:
  explicit Users(const Graph& graph);

  std::span<const int32_t> operator[](ValueId value) const {
    return std::span(nodes_).subspan(first_[value], first_[value + 1] - first_[value]);
  }

 private:
  std::vector<int32_t> nodes_;   // of all values, one after the other
  std::vector<uint32_t> first_;  // of each value, in nodes_; and the end
};

// For each value the index of the node that makes it, -1 for inputs and dead values.
std::vector<int32_t> Producers(const Graph& graph);
// Puts nodes into a topological order that keeps the present order where it can.
// GraphError (rule "acyclic") when there is none.
void SortTopologically(Graph& graph);
// Drops dead values and renumbers the rest in order of first mention. A region's inputs are brought
// into that order too, without unused and doubled ones, and take the names of the node's inputs.
void Compact(Graph& graph);

}  // namespace fusible
