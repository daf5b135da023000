// Joins values into text (g++ 12 has no std::format).
#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

namespace fusible {

// Numbers that a stream does not print as a character or as true and false.
template <class T>
concept WholeNumber = std::integral<T> && sizeof(T) >= sizeof(int16_t);

// What goes into text without a stream, which takes longer to make than most texts.
template <class T>
concept PlainPart =
    std::convertible_to<T, std::string_view> || std::same_as<T, char> || WholeNumber<T>;

template <PlainPart T>
void AppendPart(std::string& text, const T& part) {
  if constexpr (WholeNumber<T>) {
    char digits[24];
    text.append(digits, std::to_chars(digits, digits + sizeof(digits), part).ptr);
  } else {
    text += part;
  }
}

template <class... Parts>
std::string Cat(const Parts&... parts) {
  if constexpr ((PlainPart<Parts> && ...)) {
    std::string text;
    (AppendPart(text, parts), ...);
    return text;
  } else {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
  }
}

}  // namespace fusible
