// The texts of the fp8 quantizers, from which the fused operators that end in one are composed.
#pragma once

#include <string>
#include <string_view>

#include "ops/library/library.h"

namespace fusible::library {

struct QuantText {
  std::string_view op;
  std::string_view suffix;     // what a fused operator's name ends in
  std::string_view operands;   // behind the value that is quantized
  std::string_view arguments;  // the same in a call
  std::string_view attrs;
  std::string_view passed;  // the attributes in a call
  std::string results;      // for rows of `columns` elements
  std::string_view values;  // the results' names
};

inline QuantText StaticQuantText(std::string_view columns) {
  return {"static_quant_fp8",
          "static_quant_fp8",
          ", scale: f32[1]",
          ", scale",
          "dtype: e4m3fn | e4m3fnuz = e4m3fn variant, fp8_max: float in dtype?",
          "dtype=dtype, fp8_max=fp8_max",
          Cat("q: dtype[..., ", columns, "]"),
          "q"};
}

inline QuantText GroupQuantText(std::string_view columns) {
  return {"per_token_group_quant_fp8",
          "group_quant_fp8",
          "",
          "",
          "group_size: 32 | 64 | 128 = 128, dtype: e4m3fn | e4m3fnuz = e4m3fn variant, "
          "layout: \"row\" | \"col\" = \"row\" variant, fp8_max: float in dtype?",
          "group_size=group_size, dtype=dtype, layout=layout, fp8_max=fp8_max",
          Cat("q: dtype[..., ", columns, "], scales: f32[..., ", columns,
              "/group_size] layout(layout)"),
          "q, scales"};
}

// The quantizer itself as an operator on rows of C elements.
inline Op QuantOp(const QuantText& text) {
  return Op(
      Cat(text.op, "(x: F[..., C]", text.operands, ", *, ", text.attrs, ") -> ", text.results));
}

// The bound that a call clamps to: fp8_max, or the format's usual one.
inline float ClampOf(const RowCall& call) {
  return call.Has("fp8_max") ? static_cast<float>(call.Float("fp8_max"))
                             : QuantMax(call.Type("dtype"));
}

}  // namespace fusible::library
