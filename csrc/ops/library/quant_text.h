// The texts of the quantizers, from which the fused operators that end in one are composed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ops/library/library.h"

namespace fusible::library {

enum class Codes : uint8_t { kFp8, kInt8 };

// A quantizer of rows of C elements (or another letter).
struct QuantText {
  std::string op;
  std::string suffix;    // what a fused operator's name ends in
  std::string operands;  // behind the value that is quantized
  std::string attrs;     // in a signature
  std::string passed;    // operands and attributes behind the value in a call
  std::string results;
  std::string values;  // the results' names
};

QuantText StaticQuantText(Codes codes, std::string_view columns);
QuantText PerTokenQuantText(Codes codes, std::string_view columns);
QuantText GroupQuantText(Codes codes, std::string_view columns);
std::vector<QuantText> AllQuantTexts(std::string_view columns);

// `values = op(value, ...)` and `return values`, the end of a fused operator's body.
std::string QuantLine(const QuantText& quant, std::string_view value);

}  // namespace fusible::library
