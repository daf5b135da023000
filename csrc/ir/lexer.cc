#include "ir/lexer.h"

#include <algorithm>

#include "core/cat.h"

namespace fusible::syntax {
namespace {

// <cctype> asks the locale; graph text is ASCII.
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

size_t CountDigits(std::string_view text, size_t from) {
  size_t at = from;
  while (at < text.size() && IsDigit(text[at])) ++at;
  return at - from;
}

}  // namespace

std::string Describe(const Token& token) {
  constexpr size_t kShown = 40;  // characters of a long name or number
  if (token.kind == Token::Kind::kEnd) return "the end of the text";
  if (token.kind == Token::Kind::kNewline) return "the end of the line";
  if (token.kind == Token::Kind::kString) return "a string";
  const std::string_view text = token.at.text;
  const auto byte = static_cast<unsigned char>(text[0]);
  if (byte < 32 || byte > 126) return Cat("byte ", static_cast<int>(byte));
  return Cat("`", text.substr(0, kShown), text.size() > kShown ? "…" : "", "`");
}

Lexer::Lexer(std::string_view text) : rest_(text) {
  for (Token& token : ahead_) token = Read();
}

Token Lexer::Next() {
  const Token token = ahead_[0];
  ahead_[0] = ahead_[1];
  ahead_[1] = Read();
  return token;
}

bool Lexer::Accept(char punctuation) {
  if (!Peek().Is(punctuation)) return false;
  Next();
  return true;
}

Token Lexer::Expect(char punctuation, std::string_view where) {
  if (!Peek().Is(punctuation)) Unexpected(Cat("`", punctuation, "` ", where));
  return Next();
}

Name Lexer::ExpectName(std::string_view what) {
  if (!Peek().IsName()) Unexpected(what);
  return Next().at;
}

void Lexer::SkipNewlines() {
  while (Peek().kind == Token::Kind::kNewline) Next();
}

void Lexer::Unexpected(std::string_view what) const {
  Fail(Peek().at, Cat("expected ", what, ", got ", Describe(Peek())));
}

Token Lexer::Read() {
  SkipBlanks();
  Token token;
  token.at = {rest_.substr(0, 0), line_, column_};
  if (rest_.empty()) return token;
  size_t length = 1;
  const char c = rest_[0];
  if (c == '\n') {
    token.kind = Token::Kind::kNewline;
  } else if (IsLetter(c)) {
    token.kind = Token::Kind::kName;
    length = NameLength();
  } else if (IsDigit(c)) {
    token.kind = Token::Kind::kNumber;
    length = NumberLength();
  } else if (c == '"') {
    token.kind = Token::Kind::kString;
    length = StringLength(token.at);
  } else {
    token.kind = Token::Kind::kPunctuation;
    TrackDepth(c);
  }
  token.at.text = rest_.substr(0, length);
  Advance(length);
  return token;
}

void Lexer::SkipBlanks() {
  while (!rest_.empty()) {
    const char c = rest_[0];
    if (c == '#') {
      Advance(std::min(rest_.find('\n'), rest_.size()));
    } else if (c == ' ' || c == '\t' || c == '\r' || (c == '\n' && depth_ > 0)) {
      Advance(1);
    } else {
      return;
    }
  }
}

void Lexer::TrackDepth(char c) {
  if (c == '(' || c == '[') ++depth_;
  if ((c == ')' || c == ']') && depth_ > 0) --depth_;
}

void Lexer::Advance(size_t count) {
  for (char c : rest_.substr(0, count)) {
    column_ = c == '\n' ? 1 : column_ + 1;
    line_ += c == '\n';
  }
  rest_.remove_prefix(count);
}

size_t Lexer::NameLength() const {
  size_t at = 1;
  while (at < rest_.size() && (IsLetter(rest_[at]) || IsDigit(rest_[at]) || rest_[at] == '.')) ++at;
  return at;
}

// 12, 1.5, 1., 1e-05, 1.5e+10
size_t Lexer::NumberLength() const {
  size_t at = CountDigits(rest_, 0);
  if (at < rest_.size() && rest_[at] == '.') at += 1 + CountDigits(rest_, at + 1);
  if (at < rest_.size() && (rest_[at] == 'e' || rest_[at] == 'E')) {
    size_t digits = at + 1;
    if (digits < rest_.size() && (rest_[digits] == '-' || rest_[digits] == '+')) ++digits;
    if (const size_t count = CountDigits(rest_, digits)) at = digits + count;
  }
  return at;
}

size_t Lexer::StringLength(const Name& start) const {
  for (size_t at = 1; at < rest_.size(); ++at) {
    if (rest_[at] == '"') return at + 1;
    if (rest_[at] == '\\') ++at;
  }
  Fail(start, "expected a closing quote, got the end of the text");
}

}  // namespace fusible::syntax
