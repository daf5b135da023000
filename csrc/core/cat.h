// Joins values into text (g++ 12 has no std::format).
#pragma once

#include <sstream>
#include <string>

namespace fusible {

template <class... Parts>
std::string Cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace fusible
