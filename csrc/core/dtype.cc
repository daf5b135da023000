#include "core/dtype.h"

#include <array>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {
namespace {

constexpr std::array<DTypeInfo, 10> kDTypes = {{
    {DType::kF32, "f32", "float32", 4, "F"},
    {DType::kBF16, "bf16", "bfloat16", 2, "F"},
    {DType::kF16, "f16", "float16", 2, "F"},
    {DType::kE4M3FN, "e4m3fn", "float8_e4m3fn", 1, "Q8"},
    {DType::kE4M3FNUZ, "e4m3fnuz", "float8_e4m3fnuz", 1, "Q8"},
    {DType::kE5M2, "e5m2", "float8_e5m2", 1, "Q8"},
    {DType::kI8, "i8", "int8", 1, ""},
    {DType::kI32, "i32", "int32", 4, "I"},
    {DType::kI64, "i64", "int64", 8, "I"},
    {DType::kU64, "u64", "uint64", 8, ""},
}};

}  // namespace

std::span<const DTypeInfo> AllDTypes() { return kDTypes; }

const DTypeInfo& Info(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

std::optional<DType> FindDType(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

float QuantMax(DType dtype) {
  if (dtype == DType::kE4M3FN) return 448.0f;
  if (dtype == DType::kE4M3FNUZ) return 224.0f;
  if (dtype == DType::kE5M2) return 57344.0f;
  if (dtype == DType::kI8) return 127.0f;
  throw DTypeError(Cat("expected an 8-bit format, got ", Name(dtype)));
}

PositiveRange RangeOf(DType dtype) {
  if (dtype == DType::kE4M3FN) return {0x1p-9f, 448.0f};
  if (dtype == DType::kE4M3FNUZ) return {0x1p-10f, 240.0f};
  if (dtype == DType::kE5M2) return {0x1p-16f, 57344.0f};
  throw DTypeError(Cat("expected an 8-bit float format, got ", Name(dtype)));
}

}  // namespace fusible
