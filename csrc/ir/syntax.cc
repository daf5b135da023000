#include "ir/syntax.h"

#include <charconv>
#include <limits>

#include "core/cat.h"
#include "ir/infer.h"
#include "ir/lexer.h"

namespace fusible::syntax {
namespace {

// Reads by recursive descent; only `rows` recurses, at most kMaxDepth deep.
class Parser {
 public:
  Parser(std::string_view text, bool equals) : lexer_(text), equals_(equals) {}

  Body ParseAll() {
    Body body = ParseBody(0);
    ExpectEnd();
    return body;
  }

  Body ReadAll(const OnInput& on_input, const OnStatement& on_statement) {
    Body body = ReadLines(0, on_input, on_statement);
    ExpectEnd();
    return body;
  }

 private:
  Body ParseBody(int depth);
  Body ReadLines(int depth, const OnInput& on_input, const OnStatement& on_statement);
  void ExpectEnd();
  bool AtInputLine(int depth) const;
  bool AtReturn() const;
  InputLine ParseInputLine();
  Return ParseReturn(int depth);
  Statement ParseStatement(int depth);
  Target ParseTarget();
  void ParseRegion(Statement& statement, int depth);
  void ParseArguments(Statement& statement);
  void ParseAttr(Statement& statement);
  std::variant<AttrValue, Name> ParseValue();
  AttrValue ParseNumber();
  std::optional<AttrValue> NamedValue(std::string_view name) const;
  Type ParseType();
  Dim ParseDim();
  int64_t ParseInt();
  void EndLine();

  Lexer lexer_;
  bool equals_;
  int64_t nodes_ = 0;
};

Body Parser::ParseBody(int depth) {
  std::vector<Statement> statements;
  Body body = ReadLines(depth, nullptr,
                        [&](Statement& statement) { statements.push_back(std::move(statement)); });
  body.statements = std::move(statements);
  return body;
}

// The body, without its statements.
Body Parser::ReadLines(int depth, const OnInput& on_input, const OnStatement& on_statement) {
  Body body;
  lexer_.SkipNewlines();
  while (!AtReturn()) {
    if (AtInputLine(depth)) {
      const InputLine input = ParseInputLine();
      EndLine();
      on_input(input);
    } else {
      Statement statement = ParseStatement(depth);
      EndLine();
      on_statement(statement);
    }
    lexer_.SkipNewlines();
  }
  body.end = lexer_.Next().at;
  if (!lexer_.Peek().IsName()) return body;
  do {
    body.returns.push_back(ParseReturn(depth));
  } while (lexer_.Accept(','));
  return body;
}

void Parser::ExpectEnd() {
  lexer_.SkipNewlines();
  if (lexer_.Peek().kind != Token::Kind::kEnd) lexer_.Unexpected("the end of the text");
}

Return Parser::ParseReturn(int depth) {
  Return result{lexer_.ExpectName("the name of a value"), std::nullopt};
  if (depth > 0 || equals_ || !lexer_.Accept('-')) return result;
  lexer_.Expect('>', "and the updated input whose new value it is");
  result.updates = lexer_.ExpectName("the name of an updated input");
  return result;
}

// A keyword is one only where a name follows: values may be called `input` too.
bool Parser::AtInputLine(int depth) const {
  if (depth > 0 || equals_ || !lexer_.Peek(1).IsName()) return false;
  const std::string_view word = lexer_.Peek().at.text;
  return word == Keyword(InputKind::kPlain) || word == Keyword(InputKind::kConstant) ||
         word == Keyword(InputKind::kUpdated);
}

bool Parser::AtReturn() const {
  if (!lexer_.Peek().IsName() || lexer_.Peek().at.text != "return") return false;
  const Token& next = lexer_.Peek(1);
  return !next.Is('=') && !next.Is(',') && !next.Is(':') && !next.Is('(');
}

InputLine Parser::ParseInputLine() {
  InputLine line;
  const std::string_view word = lexer_.Next().at.text;
  for (InputKind kind : {InputKind::kConstant, InputKind::kUpdated}) {
    if (word == Keyword(kind)) line.kind = kind;
  }
  line.name = lexer_.ExpectName("the name of an input");
  lexer_.Expect(':', "and the input's type");
  line.type = ParseType();
  return line;
}

Statement Parser::ParseStatement(int depth) {
  Statement statement;
  if (!lexer_.Peek().IsName()) lexer_.Unexpected("a statement, or `return` and the results");
  if (++nodes_ > kMaxNodes) Fail(lexer_.Peek().at, Cat("expected at most ", kMaxNodes, " nodes"));
  if (!lexer_.Peek(1).Is('(')) {
    do {
      statement.targets.push_back(ParseTarget());
    } while (lexer_.Accept(','));
    lexer_.Expect('=', "and a call");
  }
  statement.callee = lexer_.ExpectName("the name of an operator");
  if (statement.callee.text == "rows" && lexer_.Peek().IsName()) {
    ParseRegion(statement, depth);
  } else {
    ParseArguments(statement);
  }
  return statement;
}

Target Parser::ParseTarget() {
  Target target;
  target.name = lexer_.ExpectName("the name of a value");
  if (lexer_.Accept(':')) target.type = std::make_unique<Type>(ParseType());
  return target;
}

// The name may be names joined by '+', without blanks: they lie side by side in the text.
void Parser::ParseRegion(Statement& statement, int depth) {
  Name name = lexer_.Next().at;
  const auto extend = [&](const Name& part) {
    const char* end = name.text.data() + name.text.size();
    if (part.text.data() != end) Fail(part, "expected a region's name without blanks");
    name.text = {name.text.data(), name.text.size() + part.text.size()};
  };
  while (lexer_.Peek().Is('+')) {
    extend(lexer_.Next().at);
    extend(lexer_.ExpectName("the name of an operator"));
  }
  statement.callee = name;
  if (depth + 1 > kMaxDepth) Fail(name, Cat("expected regions at most ", kMaxDepth, " deep"));
  lexer_.Expect('{', "and the region's body");
  statement.body = std::make_unique<Body>(ParseBody(depth + 1));
  lexer_.SkipNewlines();
  lexer_.Expect('}', "behind the region's results");
}

void Parser::ParseArguments(Statement& statement) {
  lexer_.Expect('(', "and the operands");
  while (!lexer_.Peek().Is(')')) {
    if (lexer_.Peek(1).Is('=')) {
      ParseAttr(statement);
    } else if (!statement.attrs.empty()) {
      lexer_.Unexpected("an attribute and `=` (operands come first)");
    } else {
      statement.operands.push_back(lexer_.ExpectName("the name of an operand"));
    }
    if (!lexer_.Accept(',')) break;
  }
  lexer_.Expect(')', "behind the arguments");
}

void Parser::ParseAttr(Statement& statement) {
  Attr attr;
  attr.name = lexer_.ExpectName("the name of an attribute");
  if (statement.FindAttr(attr.name.text)) {
    Fail(attr.name, Cat("expected each attribute once, got `", attr.name.text, "` again"));
  }
  lexer_.Expect('=', "and a value");
  attr.value = ParseValue();
  statement.attrs.push_back(std::move(attr));
}

std::string Unquote(std::string_view quoted) {
  std::string text;
  for (size_t i = 1; i + 1 < quoted.size(); ++i) {
    if (quoted[i] == '\\') ++i;
    text += quoted[i];
  }
  return text;
}

std::variant<AttrValue, Name> Parser::ParseValue() {
  const Token token = lexer_.Peek();
  if (token.kind == Token::Kind::kString) return Unquote(lexer_.Next().at.text);
  if (token.kind == Token::Kind::kNumber || token.Is('-')) return ParseNumber();
  if (lexer_.Accept('[')) {
    std::vector<int64_t> values;
    while (!lexer_.Peek().Is(']')) {
      values.push_back(ParseInt());
      if (!lexer_.Accept(',')) break;
    }
    lexer_.Expect(']', "behind the numbers");
    return AttrValue(std::move(values));
  }
  if (!token.IsName()) lexer_.Unexpected("a value");
  const std::optional<AttrValue> value = NamedValue(token.at.text);
  if (!value && !equals_) lexer_.Unexpected("a value (a string stands in quotes)");
  lexer_.Next();
  if (value) return *value;
  return token.at;
}

std::optional<AttrValue> Parser::NamedValue(std::string_view name) const {
  if (name == "true") return AttrValue(true);
  if (name == "false") return AttrValue(false);
  if (name == "inf") return AttrValue(std::numeric_limits<double>::infinity());
  if (name == "nan") return AttrValue(std::numeric_limits<double>::quiet_NaN());
  if (const std::optional<DType> dtype = FindDType(name)) return AttrValue(*dtype);
  return std::nullopt;
}

AttrValue Parser::ParseNumber() {
  const std::string sign = lexer_.Accept('-') ? "-" : "";
  if (!sign.empty() && lexer_.Peek().at.text == "inf") {
    lexer_.Next();
    return -std::numeric_limits<double>::infinity();
  }
  if (lexer_.Peek().kind != Token::Kind::kNumber) lexer_.Unexpected("a number");
  const std::string text = sign + std::string(lexer_.Peek().at.text);
  const char* end = text.data() + text.size();
  int64_t integer = 0;
  double real = 0;
  if (text.find_first_of(".eE") == std::string::npos) {
    if (std::from_chars(text.data(), end, integer).ec != std::errc()) {
      lexer_.Unexpected("an integer of 64 bits");
    }
    lexer_.Next();
    return integer;
  }
  if (std::from_chars(text.data(), end, real).ec != std::errc()) {
    lexer_.Unexpected("a number that a double can hold");
  }
  lexer_.Next();
  return real;
}

int64_t Parser::ParseInt() {
  const Token at = lexer_.Peek();
  const AttrValue value = ParseNumber();
  const int64_t* integer = std::get_if<int64_t>(&value);
  if (!integer) Fail(at.at, "expected an integer, got another number");
  return *integer;
}

Type Parser::ParseType() {
  Type type;
  const std::optional<DType> dtype = FindDType(lexer_.Peek().at.text);
  if (!lexer_.Peek().IsName() || !dtype) lexer_.Unexpected("a dtype such as bf16");
  lexer_.Next();
  type.dtype = *dtype;
  lexer_.Expect('[', "and the sizes");
  while (!lexer_.Peek().Is(']')) {
    if (type.shape.size() == kMaxRank) lexer_.Unexpected(Cat("at most ", kMaxRank, " sizes"));
    type.shape.push_back(ParseDim());
    if (!lexer_.Accept(',')) break;
  }
  const Name end = lexer_.Expect(']', "behind the sizes").at;
  const std::string problem = ShapeProblem(type.shape);
  if (!problem.empty()) Fail(end, problem);
  return type;
}

// 4096, T, 2*T, T+1, 2*T-1
Dim Parser::ParseDim() {
  int64_t factor = 1;
  if (lexer_.Peek().kind == Token::Kind::kNumber) {
    factor = ParseInt();
    if (!lexer_.Accept('*')) return Dim(factor);
    if (factor == 0) Fail(lexer_.Peek().at, "expected a factor of at least 1, got 0");
  }
  const Symbol symbol(lexer_.ExpectName("a size: a number, or a symbol such as T").text);
  if (lexer_.Accept('+')) return Dim(factor, symbol, ParseInt());
  if (lexer_.Peek().Is('-')) return Dim(factor, symbol, ParseInt());
  return Dim(factor, symbol, 0);
}

void Parser::EndLine() {
  const Token::Kind kind = lexer_.Peek().kind;
  if (kind != Token::Kind::kNewline && kind != Token::Kind::kEnd) {
    lexer_.Unexpected("the end of the line");
  }
}

}  // namespace

const Attr* Statement::FindAttr(std::string_view name) const {
  for (const Attr& attr : attrs) {
    if (attr.name.text == name) return &attr;
  }
  return nullptr;
}

Body ReadGraphSyntax(std::string_view text, const OnInput& on_input,
                     const OnStatement& on_statement) {
  return Parser(text, false).ReadAll(on_input, on_statement);
}

Body ParseEqualsSyntax(std::string_view text) { return Parser(text, true).ParseAll(); }

std::string_view Keyword(InputKind kind) {
  if (kind == InputKind::kConstant) return "constant";
  if (kind == InputKind::kUpdated) return "updated";
  return "input";
}

void Fail(const Name& at, std::string_view message) {
  throw GraphError(Cat("line ", at.line, ", column ", at.column, ": ", message), at.line,
                   at.column);
}

}  // namespace fusible::syntax
