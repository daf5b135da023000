#include "passes/pipeline.h"

#include <charconv>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

constexpr std::string_view kFixpoint = "fixpoint";

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text), rest_(text) {}

  Pipeline Run() {
    Pipeline pipeline;
    do {
      pipeline.push_back(ReadStage());
    } while (Take(','));
    if (!rest_.empty()) Fail("`,` or the end");
    return pipeline;
  }

 private:
  Stage ReadStage() {
    const std::string_view name = ReadName();
    if (name != kFixpoint || !Take('(')) return {.calls = {ReadCall(name)}};
    Stage stage{.calls = {}, .fixpoint = true};
    do {
      stage.calls.push_back(ReadCall(ReadName()));
    } while (Take(','));
    Require(')');
    return stage;
  }

  PassCall ReadCall(std::string_view name) {
    PassCall call{&RequirePass(name), std::nullopt};
    if (!Take('@')) return call;
    SizeRange range;
    Require('[');
    range.least = ReadSize();
    Require(',');
    if (!Take(']')) {
      range.greatest = ReadSize();
      Require(']');
    }
    if (range.least > range.greatest) {
      throw ArgumentError(Cat("pipeline: ", name,
                              ": expected the least size, then the greatest, got ", range.least,
                              " and ", range.greatest));
    }
    call.range = range;
    return call;
  }

  std::string_view ReadName() {
    SkipSpaces();
    const size_t end = std::min(rest_.find_first_of(",()@[] "), rest_.size());
    const std::string_view name = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return name;
  }

  int64_t ReadSize() {
    SkipSpaces();
    int64_t size = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), size);
    if (error != std::errc() || size < 0) Fail("a size");
    rest_.remove_prefix(end - rest_.data());
    return size;
  }

  void SkipSpaces() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }
  bool Take(char c) {
    SkipSpaces();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    SkipSpaces();
    return true;
  }
  void Require(char c) {
    if (!Take(c)) Fail(Cat('`', c, '`'));
  }
  [[noreturn]] void Fail(std::string_view expected) const {
    const std::string got = rest_.empty() ? "the end" : Cat('`', rest_, '`');
    throw ArgumentError(Cat("pipeline: column ", text_.size() - rest_.size() + 1, ": expected ",
                            expected, ", got ", got));
  }

  std::string_view text_, rest_;
};

std::string ToText(const PassCall& call) {
  std::string text(call.pass->name());
  if (!call.range) return text;
  text += Cat("@[", call.range->least, ',');
  return text + (call.range->greatest == SizeRange::kNoEnd ? "]" : Cat(call.range->greatest, ']'));
}

template <class T>
std::string Joined(const std::vector<T>& parts) {
  std::string text;
  for (const T& part : parts) text += Cat(text.empty() ? "" : ",", ToText(part));
  return text;
}

}  // namespace

std::string ToText(const SizeRange& range) {
  if (range.greatest == SizeRange::kNoEnd) return Cat(range.least, " and more");
  return Cat(range.least, " to ", range.greatest);
}

Pipeline ParsePipeline(std::string_view text) { return Parser(text).Run(); }

std::string ToText(const Stage& stage) {
  return stage.fixpoint ? Cat(kFixpoint, '(', Joined(stage.calls), ')') : Joined(stage.calls);
}

std::string ToText(const Pipeline& pipeline) { return Joined(pipeline); }

}  // namespace fusible
