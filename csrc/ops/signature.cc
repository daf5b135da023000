#include "ops/signature.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

constexpr size_t kMaxText = 16 << 10;  // bytes of a signature; the parser also runs on fuzzed text
constexpr int kMaxDepth = 16;          // of an expression

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {
    if (text.size() > kMaxText) Fail("at most 16384 bytes", "more");
  }

  Signature Parse() {
    Signature s;
    s.text = text_;
    s.name = Word("an operator name");
    ParseParams(s);
    Expect("->");
    do {
      s.results.push_back(Result());
    } while (Accept(","));
    if (AcceptWord("where")) ParseRules(s);
    if (!Done()) Fail("the end", Rest());
    CheckNames(s);
    return s;
  }

  DimExpr ParseExpr() {
    DimExpr expr = Expr(0);
    if (!Done()) Fail("the end", Rest());
    return expr;
  }

 private:
  void ParseParams(Signature& s) {
    Expect("(");
    if (Accept(")")) return;
    bool attributes = false;
    do {
      if (!attributes && Accept("*")) {
        attributes = true;
      } else if (attributes) {
        s.attrs.push_back(Attribute());
      } else {
        s.params.push_back(Param());
      }
    } while (Accept(","));
    Expect(")");
  }

  void ParseRules(Signature& s) {
    do {
      SizeRule rule{Expr(0), std::nullopt};
      if (Accept("<=")) rule.right = Expr(0);
      s.rules.push_back(std::move(rule));
    } while (Accept(","));
  }

  ParamSpec Param() {
    ParamSpec p;
    p.name = Word("an operand name");
    Expect(":");
    p.type = Type();
    p.optional = Accept("?");
    if (AcceptWord("in")) {
      p.bound = Expr(0);
      p.skips_negative = Accept("?");
    }
    return p;
  }

  ResultSpec Result() {
    ResultSpec r;
    r.name = Word("a result name");
    if (Accept("@")) r.alias = Word("an operand name");
    Expect(":");
    r.type = Type();
    if (AcceptWord("layout")) {
      Expect("(");
      r.type.layout = Word("col, or an attribute");
      Expect(")");
    }
    return r;
  }

  TypeSpec Type() {
    TypeSpec t;
    t.dtype = Word("a dtype");
    if (!Accept("[")) {
      t.any_shape = true;
      return t;
    }
    if (Accept("...")) {
      t.leading = true;
      if (Accept("]")) return t;
      Expect(",");
    }
    do {
      t.dims.push_back(Expr(0));
    } while (Accept(","));
    Expect("]");
    return t;
  }

  AttrSpec Attribute() {
    AttrSpec a;
    a.name = Word("an attribute name");
    Expect(":");
    if (!ParseKind(a)) {
      do {
        a.choices.push_back(Literal());
      } while (Accept("|"));
      a.kind = static_cast<AttrKind>(KindOf(a.choices.front()));
    }
    if (Accept(">=")) a.lowest = Lowest(a);
    if (AcceptWord("in")) a.value_of = Word("a dtype attribute");
    a.optional = Accept("?");
    if (Accept("=")) a.default_value = Default(a);
    a.variant = AcceptWord("variant");
    return a;
  }

  double Lowest(const AttrSpec& a) {
    const bool number = a.kind == AttrKind::kInt || a.kind == AttrKind::kFloat;
    if (!number || !a.choices.empty()) Fail("a bound of a number", Rest());
    Skip();
    const AttrValue value = Number();
    const auto* whole = std::get_if<int64_t>(&value);
    return whole ? static_cast<double>(*whole) : std::get<double>(value);
  }

  bool ParseKind(AttrSpec& a) {
    static constexpr std::pair<std::string_view, AttrKind> kKinds[] = {
        {"int", AttrKind::kInt},    {"float", AttrKind::kFloat}, {"bool", AttrKind::kBool},
        {"str", AttrKind::kString}, {"dtype", AttrKind::kDType}, {"ints", AttrKind::kInts},
    };
    for (const auto& [word, kind] : kKinds) {
      if (AcceptWord(word)) {
        a.kind = kind;
        return true;
      }
    }
    return false;
  }

  static int KindOf(const AttrValue& value) {
    if (std::holds_alternative<int64_t>(value)) return static_cast<int>(AttrKind::kInt);
    if (std::holds_alternative<double>(value)) return static_cast<int>(AttrKind::kFloat);
    if (std::holds_alternative<bool>(value)) return static_cast<int>(AttrKind::kBool);
    if (std::holds_alternative<DType>(value)) return static_cast<int>(AttrKind::kDType);
    return static_cast<int>(AttrKind::kString);
  }

  AttrValue Default(const AttrSpec& a) {
    AttrValue value = Literal();
    if (a.kind == AttrKind::kFloat && std::holds_alternative<int64_t>(value)) {
      value = static_cast<double>(std::get<int64_t>(value));
    }
    if (KindOf(value) != static_cast<int>(a.kind)) {
      Fail("a default of the attribute's kind", Rest());
    }
    return value;
  }

  AttrValue Literal() {
    Skip();
    if (at_ < text_.size() && text_[at_] == '"') return String();
    if (at_ < text_.size() &&
        (std::isdigit(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-')) {
      return Number();
    }
    const std::string word = Word("a value");
    if (word == "true" || word == "false") return word == "true";
    if (const auto dtype = FindDType(word)) return *dtype;
    Fail("a number, a string, true, false or a dtype", word);
  }

  AttrValue String() {
    const size_t end = text_.find('"', at_ + 1);
    if (end == std::string_view::npos) Fail("a closing quote", "the end");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }

  AttrValue Number() {
    const char* begin = text_.data() + at_;
    const char* end = text_.data() + text_.size();
    int64_t integer = 0;
    const auto as_int = std::from_chars(begin, end, integer);
    double real = 0;
    const auto as_float = std::from_chars(begin, end, real);
    if (as_float.ec != std::errc()) Fail("a number", Rest());
    at_ += as_float.ptr - begin;
    if (as_int.ec == std::errc() && as_int.ptr == as_float.ptr) return integer;
    return real;
  }

  DimExpr Expr(int depth) {
    DimExpr left = Term(depth);
    while (Accept("+")) left = {DimExpr::Kind::kAdd, 0, "", {left, Term(depth)}};
    return left;
  }

  DimExpr Term(int depth) {
    DimExpr left = Factor(depth);
    for (;;) {
      if (Accept("*")) {
        left = {DimExpr::Kind::kMultiply, 0, "", {left, Factor(depth)}};
      } else if (Accept("/")) {
        left = {DimExpr::Kind::kDivide, 0, "", {left, Factor(depth)}};
      } else {
        return left;
      }
    }
  }

  DimExpr Factor(int depth) {
    if (depth > kMaxDepth) Fail("a shallower expression", "one nested too deep");
    Skip();
    if (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_]))) {
      return {DimExpr::Kind::kNumber, Integer(), "", {}};
    }
    const std::string word = Word("a dimension");
    if (word != "ceil" || !Accept("(")) return {DimExpr::Kind::kName, 0, word, {}};
    DimExpr inner = Expr(depth + 1);
    Expect(")");
    if (inner.kind != DimExpr::Kind::kDivide) Fail("a division inside ceil(…)", Rest());
    inner.kind = DimExpr::Kind::kCeilDivide;
    return inner;
  }

  int64_t Integer() {
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto parsed = std::from_chars(begin, text_.data() + text_.size(), value);
    if (parsed.ec != std::errc()) Fail("an integer that fits 64 bits", Rest());
    at_ += parsed.ptr - begin;
    return value;
  }

  void CheckNames(const Signature& s) {
    std::set<std::string> operands, results;
    for (const ParamSpec& p : s.params) CheckName(operands, p.name, p.type, s);
    for (const AttrSpec& a : s.attrs) {
      if (!operands.insert(a.name).second) Fail("a name used once", a.name);
      const AttrSpec* format = s.FindAttr(a.value_of);
      if (!a.value_of.empty() && (a.kind != AttrKind::kFloat || !IsFp8Attr(format))) {
        Fail("a float in an attribute whose choices are 8-bit formats", a.value_of);
      }
    }
    for (const ResultSpec& r : s.results) {
      CheckName(results, r.name, r.type, s);
      if (!r.alias.empty() && s.FindParam(r.alias) < 0) Fail("an operand behind @", r.alias);
      const bool given = std::any_of(s.params.begin(), s.params.end(), [&](const ParamSpec& p) {
        return p.type.dtype == r.type.dtype;
      });
      if (IsDTypeClass(r.type.dtype) && !given) {
        Fail("a class of dtypes that an operand has", r.type.dtype);
      }
      const AttrSpec* layout = s.FindAttr(r.type.layout);
      const bool says_layout = layout && layout->kind == AttrKind::kString && !layout->optional;
      if (!r.type.layout.empty() && r.type.layout != "col" && !says_layout) {
        Fail("col or an attribute as layout", r.type.layout);
      }
    }
  }

  static bool IsFp8Attr(const AttrSpec* attr) {
    const auto is_fp8 = [](const AttrValue& choice) {
      return std::holds_alternative<DType>(choice) && InDTypeClass("Q8", std::get<DType>(choice));
    };
    return attr && !attr->optional && !attr->choices.empty() &&
           std::ranges::all_of(attr->choices, is_fp8);
  }

  void CheckName(std::set<std::string>& names, const std::string& name, const TypeSpec& type,
                 const Signature& s) {
    if (!names.insert(name).second) Fail("a name used once", name);
    const AttrSpec* attr = s.FindAttr(type.dtype);
    const bool known = IsDTypeClass(type.dtype) || FindDType(type.dtype) ||
                       (attr && attr->kind == AttrKind::kDType);
    if (!known) Fail("a dtype, a class of dtypes or a dtype attribute", type.dtype);
  }

  void Skip() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  bool Done() {
    Skip();
    return at_ == text_.size();
  }
  bool Accept(std::string_view token) {
    Skip();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }
  void Expect(std::string_view token) {
    if (!Accept(token)) Fail(Cat('\'', token, '\''), Rest());
  }

  static bool IsWordChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

  std::string_view PeekWord() {
    Skip();
    size_t end = at_;
    if (end < text_.size() && std::isdigit(static_cast<unsigned char>(text_[end]))) return {};
    while (end < text_.size() && IsWordChar(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool AcceptWord(std::string_view word) {
    if (PeekWord() != word) return false;
    at_ += word.size();
    return true;
  }
  std::string Word(std::string_view what) {
    const std::string_view word = PeekWord();
    if (word.empty()) Fail(what, Rest());
    at_ += word.size();
    return std::string(word);
  }

  std::string Rest() {
    Skip();
    return at_ == text_.size() ? "the end" : Cat('\'', text_.substr(at_, 12), '\'');
  }
  [[noreturn]] void Fail(std::string_view expected, const std::string& got) const {
    const int column = static_cast<int>(at_) + 1;
    throw GraphError(Cat("signature: column ", column, ": expected ", expected, ", got ", got), 1,
                     column);
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

const AttrSpec* Signature::FindAttr(std::string_view name) const {
  for (const AttrSpec& attr : attrs) {
    if (attr.name == name) return &attr;
  }
  return nullptr;
}

int Signature::FindParam(std::string_view name) const {
  for (size_t i = 0; i < params.size(); ++i) {
    if (params[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Signature ParseSignature(std::string_view text) { return Parser(text).Parse(); }

std::string_view DTypeClassOf(std::string_view word) {
  for (std::string_view name : {"F", "Q8", "Q", "FQ", "I", "A"}) {
    if (word == name) return name;
    const bool numbered = word.size() == name.size() + 1 && word.starts_with(name) &&
                          std::isdigit(static_cast<unsigned char>(word.back()));
    if (numbered) return name;
  }
  return {};
}

bool IsDTypeClass(std::string_view word) { return !DTypeClassOf(word).empty(); }

bool InDTypeClass(std::string_view word, DType dtype) {
  const std::string_view name = DTypeClassOf(word);
  const std::string_view own = Info(dtype).dtype_class;
  if (name == "Q") return own == "Q8" || dtype == DType::kI8;
  return name == "A" || name == own || (name == "FQ" && (own == "F" || own == "Q8"));
}

DimExpr ParseDimExpr(std::string_view text) { return Parser(text).ParseExpr(); }

}  // namespace fusible
