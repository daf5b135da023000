// The kinds of error a user can meet. Each becomes the Python exception of its name, which is also
// the builtin exception that people would catch. Form: `<operator>: <argument>: expected <what>,
// got <what>`.
#pragma once

#include <stdexcept>
#include <string>

namespace fusible {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class ShapeError final : public Error {  // ValueError: rank, size, layout
 public:
  using Error::Error;
};

class DTypeError final : public Error {  // TypeError: dtype, or not an array at all
 public:
  using Error::Error;
};

class ArgumentError final : public Error {  // ValueError: attributes, names, counts, settings
 public:
  using Error::Error;
};

class RangeError final : public Error {  // IndexError: an id, slot or position out of its range
 public:
  using Error::Error;
};

// NotImplementedError: legal, and not done by this build.
class UnsupportedError final : public Error {
 public:
  using Error::Error;
};

// ValueError: a text, a graph or a rule that is not legal. line and column count from 1; 0 where
// they are unknown.
class GraphError final : public Error {
 public:
  explicit GraphError(const std::string& message, int line = 0, int column = 0)
      : Error(message), line(line), column(column) {}
  int line;
  int column;
};

}  // namespace fusible
