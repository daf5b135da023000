// Tokens and the syntax tree of graph text, shared by whole graphs (ir/text.h) and by the Equals
// bodies of operators (ir/expand.h, ir/pattern.h). Nothing is resolved here: no names, operators or
// types.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/graph.h"

namespace fusible::syntax {

inline constexpr int kMaxDepth = 8;              // of regions within regions
inline constexpr int64_t kMaxNodes = 1'000'000;  // of one text

// Views into the text, which must outlive the tree. line and column count from 1.
struct Name {
  std::string_view text;
  int line = 0;
  int column = 0;
};

// `eps=1e-05`, or `eps=eps` where the value is the name of an attribute of the enclosing operator.
struct Attr {
  Name name;
  std::variant<AttrValue, Name> value;
};

// A result, with its type where the text declares one: `a: bf16[T, 64]`.
struct Target {
  Name name;
  std::unique_ptr<Type> type;  // mostly none, and large
};

struct Body;

// `a, b = callee(x, none, eps=1e-05)`, or `a, b = rows callee { … }` where body is set.
struct Statement {
  std::vector<Target> targets;
  Name callee;
  std::vector<Name> operands;  // the text of an absent one is "none"
  std::vector<Attr> attrs;
  std::unique_ptr<Body> body;

  const Attr* FindAttr(std::string_view name) const;
};

struct InputLine {
  InputKind kind = InputKind::kPlain;
  Name name;
  Type type;
};

// A result, and the updated input whose new value it is, in `return y -> cache`.
struct Return {
  Name value;
  std::optional<Name> updates;  // of a whole graph only
};

struct Body {
  std::vector<Statement> statements;
  std::vector<Return> returns;
  Name end;  // the word `return`
};

using OnInput = std::function<void(const InputLine&)>;
using OnStatement = std::function<void(Statement&)>;

// Throw GraphError `line 3, column 7: expected …, got …`.
// A whole graph, with input lines and no attribute names as values. A graph may be long: each line
// is handed on as soon as it is read, and is not kept. Returned is what the graph returns.
Body ReadGraphSyntax(std::string_view text, const OnInput& on_input,
                     const OnStatement& on_statement);
Body ParseEqualsSyntax(std::string_view text);  // no input lines; attribute names as values

// How the input lines of each kind begin: "input", "constant", "updated".
std::string_view Keyword(InputKind kind);

[[noreturn]] void Fail(const Name& at, std::string_view message);

}  // namespace fusible::syntax
