// Quantizers to 8-bit codes, fp8 or int8: with one given scale, or with scales of rows or of
// groups.
#include "kernels/group_quant.h"
#include "kernels/static_quant.h"
#include "ops/library/quant_text.h"

namespace fusible::library {
namespace {

constexpr std::string_view kFormats = "dtype: e4m3fn | e4m3fnuz | e5m2 = e4m3fn variant";
constexpr std::string_view kClamp = "fp8_max: float in dtype?";
// So large that the smallest scale is a normal number in every format.
constexpr std::string_view kFloor = "amax_floor: float >= 1e-30 = 1e-10";
constexpr std::string_view kLayout =
    "layout: \"row\" | \"col\" | \"col_aligned4\" = \"row\" variant";

// The floors that the field's contracts know, all of them an amax_floor.
constexpr std::string_view kFloorsOfFp8 =
    "amax_floor is 1e-10 in the group quantizers of SGLang and vLLM, 1e-4 in SGLang's act_quant, "
    "and 2^-9 in vLLM's per-token quantizers, whose scales are at least 1 / (448 * 512).";
constexpr std::string_view kFloorsOfInt8 =
    "amax_floor is 1e-10 in the group quantizers of SGLang, 1e-7 in its CPU per-token quantizer, "
    "and "
    "127 * 2^-23 in vLLM's, whose scales are at least 2^-23.";

std::string_view Name(Codes codes) { return codes == Codes::kFp8 ? "fp8" : "int8"; }

std::string ResultQ(Codes codes, std::string_view columns) {
  return Cat("q: ", codes == Codes::kFp8 ? "dtype" : "i8", "[..., ", columns, "]");
}

// The names of attributes as a call passes them on: `group_size=group_size, ...`.
std::string Passed(std::initializer_list<std::string_view> names) {
  std::string text;
  for (std::string_view name : names) text += Cat(", ", name, "=", name);
  return text;
}

float ScaleTo(const RowCall& call) {
  const bool given = call.Has("fp8_max");
  return given ? static_cast<float>(call.Float("fp8_max")) : QuantMax(call.out[0].dtype);
}

void RunStatic(const RowCall& c) {
  kernels::StaticQuant({c.in[0], c.in[1], c.out[0], c.rows, c.Dim("C"), ScaleTo(c)});
}

void RunGroups(const RowCall& c) {
  const int64_t size = c.Has("group_size") ? c.Int("group_size") : c.Dim("C");
  const bool power_of_two = c.Has("scale_format") && c.Str("scale_format") == "ue8m0";
  const auto floor = static_cast<float>(c.Float("amax_floor"));
  kernels::GroupQuant(
      {c.in[0], c.out[0], c.out[1], c.rows, c.Dim("C"), size, ScaleTo(c), floor, power_of_two});
}

Op QuantOp(const QuantText& text) {
  const std::string_view star = text.attrs.empty() ? "" : ", *, ";
  return Op(Cat(text.op, "(x: F[..., C]", text.operands, star, text.attrs, ") -> ", text.results));
}

constexpr std::string_view kCodes =
    "q = clamp(x / scale), rounded to f32 and then to nearest even. ";

Op StaticQuant(Codes codes) {
  return QuantOp(StaticQuantText(codes, "C"))
      .Doc(Cat("Quantizes with one given scale: ", kCodes,
               codes == Codes::kFp8 ? "fp8_max is 448 for e4m3fn, 224 for e4m3fnuz and 57344 for "
                                      "e5m2 unless given. NaN stays NaN."
                                    : "q lies within -128 and 127, and is 0 for a NaN."))
      .Source("Micikevicius et al. 2022, arXiv:2209.05433, section 3")
      .Cost(4)
      .Rows(&RunStatic);
}

Op PerTokenQuant(Codes codes) {
  const bool fp8 = codes == Codes::kFp8;
  return QuantOp(PerTokenQuantText(codes, "C"))
      .Doc(
          Cat("Quantizes each row with a scale of its own: a = max(amax, amax_floor), scale = a / ",
              fp8 ? "fp8_max, " : "127, ", kCodes,
              fp8 ? "A NaN makes its row's scale and codes NaN. "
                  : "A NaN makes its row's scale NaN and its codes 0. ",
              fp8 ? kFloorsOfFp8 : kFloorsOfInt8))
      .Source("Micikevicius et al. 2022, arXiv:2209.05433, section 3")
      .Cost(4)
      .Rows(&RunGroups);
}

Op GroupQuant(Codes codes) {
  const bool fp8 = codes == Codes::kFp8;
  return QuantOp(GroupQuantText(codes, "C"))
      .Doc(Cat(
          "Quantizes each group of a row with a scale of its own: a = max(amax, amax_floor), "
          "scale = a / ",
          fp8 ? "fp8_max, " : "127, ", kCodes,
          fp8 ? "A NaN makes its group's scale and codes NaN. fp8_max is 448 for e4m3fn, 224 "
                "for e4m3fnuz and 57344 for e5m2 unless given. scale_format \"ue8m0\": the "
                "scale is the power of two at or above a / fp8_max, and the codes are x divided "
                "by that. "
              : "A NaN makes its group's scale NaN and its codes 0. ",
          "layout \"col_aligned4\": columns of scales are a multiple of 4 rows apart. ",
          fp8 ? kFloorsOfFp8 : kFloorsOfInt8))
      .Source("DeepSeek-AI 2024, arXiv:2412.19437, section 3.3.2")
      .Cost(4)
      .Rows(&RunGroups);
}

}  // namespace

QuantText StaticQuantText(Codes codes, std::string_view columns) {
  const bool fp8 = codes == Codes::kFp8;
  const std::string name = Cat("static_quant_", Name(codes));
  return {.op = name,
          .suffix = name,
          .operands = ", scale: f32[1]",
          .attrs = fp8 ? Cat(kFormats, ", ", kClamp) : "",
          .passed = Cat(", scale", fp8 ? Passed({"dtype", "fp8_max"}) : ""),
          .results = ResultQ(codes, columns),
          .values = "q"};
}

QuantText PerTokenQuantText(Codes codes, std::string_view columns) {
  const bool fp8 = codes == Codes::kFp8;
  const std::string name = Cat("per_token_quant_", Name(codes));
  return {.op = name,
          .suffix = name,
          .operands = "",
          .attrs = fp8 ? Cat(kFormats, ", ", kFloor, ", ", kClamp) : std::string(kFloor),
          .passed = fp8 ? Passed({"dtype", "amax_floor", "fp8_max"}) : Passed({"amax_floor"}),
          .results = Cat(ResultQ(codes, columns), ", scales: f32[..., 1]"),
          .values = "q, scales"};
}

QuantText GroupQuantText(Codes codes, std::string_view columns) {
  const bool fp8 = codes == Codes::kFp8;
  const std::string format = fp8 ? Cat(kFormats, ", ") : "";
  const std::string rest =
      fp8 ? Cat(", scale_format: \"float\" | \"ue8m0\" = \"float\" variant, ", kFloor, ", ", kClamp)
          : Cat(", ", kFloor);
  return {.op = Cat("per_token_group_quant_", Name(codes)),
          .suffix = Cat("group_quant_", Name(codes)),
          .operands = "",
          .attrs = Cat("group_size: 16 | 32 | 64 | 128 = 128, ", format, kLayout, rest),
          .passed = fp8 ? Passed({"group_size", "dtype", "layout", "scale_format", "amax_floor",
                                  "fp8_max"})
                        : Passed({"group_size", "layout", "amax_floor"}),
          .results = Cat(ResultQ(codes, columns), ", scales: f32[..., ", columns,
                         "/group_size] layout(layout)"),
          .values = "q, scales"};
}

std::vector<QuantText> AllQuantTexts(std::string_view columns) {
  std::vector<QuantText> texts;
  for (const Codes codes : {Codes::kFp8, Codes::kInt8}) {
    texts.push_back(StaticQuantText(codes, columns));
    texts.push_back(PerTokenQuantText(codes, columns));
    texts.push_back(GroupQuantText(codes, columns));
  }
  return texts;
}

std::string QuantLine(const QuantText& quant, std::string_view value) {
  return Cat(quant.values, " = ", quant.op, "(", value, quant.passed, ")\n");
}

std::vector<Op> quant() {
  std::vector<Op> ops;
  for (const Codes codes : {Codes::kFp8, Codes::kInt8}) {
    ops.push_back(StaticQuant(codes));
    ops.push_back(PerTokenQuant(codes));
    ops.push_back(GroupQuant(codes));
  }
  return ops;
}

}  // namespace fusible::library
