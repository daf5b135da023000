// Names an argument in messages; its text is made only when there is something to say, since every
// small call passes here.
#pragma once

#include <ostream>
#include <string_view>

namespace fusible {

// "rms_norm: weight", "target: costs: recompute". Views of names that outlive it.
struct Argument {
  std::string_view owner;
  std::string_view prefix;  // "out ", or ""
  std::string_view name;
  std::string_view dtype = "A";  // the class of dtypes that it may have, as in a signature

  friend std::ostream& operator<<(std::ostream& out, const Argument& argument) {
    return out << argument.owner << ": " << argument.prefix << argument.name;
  }
};

}  // namespace fusible
