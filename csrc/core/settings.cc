#include "core/settings.h"

#include <charconv>
#include <cstdlib>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

constexpr int kMaxThreads = 1024;

std::optional<std::string> Read(const char* name) {
  const char* value = std::getenv(name);
  if (!value || !*value) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> IsaSetting() { return Read("FUSIBLE_ISA"); }

std::optional<int> ThreadsSetting() {
  const auto text = Read("FUSIBLE_THREADS");
  if (!text) return std::nullopt;
  int threads = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, threads);
  if (parsed.ec != std::errc() || parsed.ptr != end || threads < 1 || threads > kMaxThreads) {
    throw ArgumentError(
        Cat("FUSIBLE_THREADS: expected a whole number from 1 to 1024, got '", *text, "'"));
  }
  return threads;
}

}  // namespace fusible
