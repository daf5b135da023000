// Cuts graph text into tokens: names, numbers, strings, single characters and the ends of lines.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ir/syntax.h"

namespace fusible::syntax {

struct Token {
  enum class Kind : uint8_t { kEnd, kNewline, kName, kNumber, kString, kPunctuation };
  Kind kind = Kind::kEnd;
  Name at;  // the text as it stands, quotes included

  bool Is(char punctuation) const {
    return kind == Kind::kPunctuation && at.text[0] == punctuation;
  }
  bool IsName() const { return kind == Kind::kName; }
};

// What an error message calls the token; plain ASCII whatever the text holds.
std::string Describe(const Token& token);

// Hands out one token after the other and shows two of them ahead. The ends of lines inside (), []
// are no tokens. A comment runs from # to the end of its line.
class Lexer {
 public:
  explicit Lexer(std::string_view text);

  const Token& Peek(int ahead = 0) const { return ahead_[ahead]; }
  Token Next();
  bool Accept(char punctuation);
  Token Expect(char punctuation, std::string_view where);
  Name ExpectName(std::string_view what);
  void SkipNewlines();
  // `expected <what>, got <the next token>`, at its place.
  [[noreturn]] void Unexpected(std::string_view what) const;

 private:
  Token Read();
  void SkipBlanks();
  void TrackDepth(char c);
  void Advance(size_t count);
  size_t NameLength() const;
  size_t NumberLength() const;
  size_t StringLength(const Name& start) const;

  std::string_view rest_;
  int line_ = 1, column_ = 1;
  int depth_ = 0;  // of (), []
  std::array<Token, 2> ahead_;
};

}  // namespace fusible::syntax
