// The storage types. To add one: a row here, a load and a store in kernels/simd/lanes-inl.h, a row
// in tests/support/tolerance.py.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace fusible {

enum class DType : uint8_t { kF32, kBF16, kF16, kE4M3FN, kE4M3FNUZ, kE5M2, kI8, kI32, kI64, kU64 };

struct DTypeInfo {
  DType dtype;
  std::string_view name;        // in graph text and signatures
  std::string_view numpy_name;  // in NumPy or ml_dtypes
  uint8_t bytes;
  std::string_view dtype_class;  // "F" float storage, "Q8" one-byte float formats, "I" indices; "":
                                 // by its own name only
};

std::span<const DTypeInfo> AllDTypes();
const DTypeInfo& Info(DType dtype);
inline std::string_view Name(DType dtype) { return Info(dtype).name; }
inline size_t Bytes(DType dtype) { return Info(dtype).bytes; }

// By name in graph text ("bf16"); nullopt when there is none.
std::optional<DType> FindDType(std::string_view name);

// The largest value that a quantizer scales to: 448 for e4m3fn; 224 for e4m3fnuz, whose own
// largest is 240, as SGLang and vLLM use on ROCm for its accuracy; 57344 for e5m2;
// 127 for i8.
float QuantMax(DType dtype);

// The positive values of an 8-bit float format: its smallest subnormal and its largest.
struct PositiveRange {
  float smallest = 0, largest = 0;
};
PositiveRange RangeOf(DType dtype);

}  // namespace fusible
