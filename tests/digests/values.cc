#include "digests/values.h"

#include <cstring>

#include "kernels/philox.h"

namespace fusible::digests {
namespace {

// Bits of a float format behind the sign.
struct Format {
  int exponent, mantissa;
};

Format FormatOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return {8, 23};
    case DType::kBF16:
      return {8, 7};
    case DType::kF16:
      return {5, 10};
    case DType::kE5M2:
      return {5, 2};
    default:
      return {4, 3};
  }
}

uint64_t Low(uint64_t bits, int count) { return bits & ((uint64_t{1} << count) - 1); }

enum class RowKind : uint8_t {
  kOrdinary,
  kSmall,
  kInfinities,
  kNaNs,
  kTiny,
  kAnyBits,
  kEveryCode,
  kZeros
};

// The upper 16 bits of a float, each once in kAllCodes columns; of an 8-bit format, all it has.
uint64_t CodeBits(Format f, uint64_t column) {
  const int bits = 1 + f.exponent + f.mantissa;
  const uint64_t code = Low(column * 40503, 16);  // odd: a permutation
  return bits < 16 ? Low(code, bits) : code << (bits - 16);
}

// The bits of one float. Parts of `random` that are used apart: the sign, whether this element is a
// special one, the exponent, the mantissa.
uint64_t FloatBits(Format f, RowKind kind, uint64_t column, uint64_t random) {
  const uint64_t sign = random >> 63, lot = Low(random >> 48, 15), draw = Low(random >> 32, 16);
  const auto join = [&](uint64_t exponent, uint64_t mantissa) {
    return ((sign << f.exponent | Low(exponent, f.exponent)) << f.mantissa) |
           Low(mantissa, f.mantissa);
  };
  const uint64_t one = Low(~uint64_t{0}, f.exponent - 1);  // the exponent of 1.0
  const uint64_t ordinary = join(one - 6 + draw % 9, random);
  switch (kind) {
    case RowKind::kOrdinary:
      return ordinary;
    case RowKind::kSmall:  // with zeros and subnormals
      return lot % 4 > 0 ? ordinary : join(0, lot % 8 > 0 ? random : 0);
    case RowKind::kInfinities:
      return lot % 16 > 0 ? ordinary : join(~uint64_t{0}, 0);
    case RowKind::kNaNs:
      return lot % 16 > 0 ? ordinary : join(~uint64_t{0}, ~uint64_t{0});
    case RowKind::kTiny:  // normals and subnormals whose squares are no normals
      return join(draw % 3, random);
    case RowKind::kAnyBits:
      return join(draw, random);
    case RowKind::kEveryCode:
      return CodeBits(f, column);
    default:
      return join(0, 0);
  }
}

uint64_t ElementBits(const TensorView& tensor, const Contents& contents, int64_t i,
                     uint64_t random) {
  using Kind = Contents::Kind;
  if (contents.kind == Kind::kBits) return random;
  if (contents.kind == Kind::kIntegers) {
    const auto count = static_cast<uint64_t>(contents.end - contents.lowest);
    return static_cast<uint64_t>(contents.lowest) + random % count;
  }
  const bool every = contents.kind == Kind::kFloats;
  const int64_t columns = tensor.shape.back();
  const auto kind = every ? static_cast<RowKind>(i / columns % kRowKinds) : RowKind::kOrdinary;
  return FloatBits(FormatOf(tensor.dtype), kind, i % columns, random);
}

}  // namespace

void Fill(const TensorView& tensor, uint64_t seed, const Contents& contents) {
  const size_t bytes = Bytes(tensor.dtype);
  for (int64_t i = 0; i < tensor.Count(); ++i) {
    const uint64_t random = kernels::RandomBits(seed, i);
    const uint64_t bits = ElementBits(tensor, contents, i, random);
    std::memcpy(tensor.data + i * bytes, &bits, bytes);  // the low bytes come first
  }
}

}  // namespace fusible::digests
