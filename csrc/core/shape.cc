#include "core/shape.h"

#include <mutex>
#include <set>

namespace fusible {

Symbol::Symbol(std::string_view name) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>>& names = *new std::set<std::string, std::less<>>();
  const std::lock_guard lock(mutex);
  auto found = names.find(name);
  if (found == names.end()) found = names.emplace(name).first;
  name_ = &*found;
}

Dim::Dim(int64_t factor, Symbol symbol, int64_t offset)
    : factor(factor), symbol(factor == 0 ? Symbol() : symbol), offset(offset) {}

std::optional<Dim> Add(const Dim& a, const Dim& b) {
  if (a.symbol && b.symbol && !(a.symbol == b.symbol)) return std::nullopt;
  int64_t factor = 0, offset = 0;
  if (__builtin_add_overflow(a.factor, b.factor, &factor)) return std::nullopt;
  if (__builtin_add_overflow(a.offset, b.offset, &offset)) return std::nullopt;
  return Dim(factor, a.symbol ? a.symbol : b.symbol, offset);
}

std::optional<Dim> Multiply(const Dim& a, const Dim& b) {
  if (a.symbol && b.symbol) return std::nullopt;
  const Dim& symbolic = a.symbol ? a : b;
  const int64_t by = a.symbol ? b.offset : a.offset;
  int64_t factor = 0, offset = 0;
  if (__builtin_mul_overflow(symbolic.factor, by, &factor)) return std::nullopt;
  if (__builtin_mul_overflow(symbolic.offset, by, &offset)) return std::nullopt;
  return Dim(factor, symbolic.symbol, offset);
}

std::optional<Dim> Divide(const Dim& a, int64_t divisor) {
  if (divisor <= 0 || a.factor % divisor != 0 || a.offset % divisor != 0) return std::nullopt;
  return Dim(a.factor / divisor, a.symbol, a.offset / divisor);
}

std::optional<Dim> CeilDivide(const Dim& a, int64_t divisor) {
  if (divisor <= 0) return std::nullopt;
  if (a.IsConstant()) return Dim(a.offset / divisor + (a.offset % divisor > 0));
  return Divide(a, divisor);
}

int64_t Product(const Sizes& sizes) {
  int64_t product = 1;
  for (int64_t size : sizes) product *= size;
  return product;
}

Sizes ContiguousStrides(const Sizes& sizes) {
  Sizes strides = sizes;
  int64_t stride = 1;
  for (int i = sizes.size() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= sizes[i];
  }
  return strides;
}

Sizes ColumnStrides(const Sizes& sizes, int64_t align) {
  Sizes rows = sizes;
  rows.resize(sizes.size() - 1);
  Sizes strides = ContiguousStrides(rows);
  strides.push_back((Product(rows) + align - 1) / align * align);
  return strides;
}

int64_t Span(const Sizes& sizes, const Sizes& strides) {
  int64_t last = 0;
  for (int i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    last += (sizes[i] - 1) * strides[i];
  }
  return last + 1;
}

Shape ToShape(const Sizes& sizes) {
  Shape shape;
  for (int64_t size : sizes) shape.push_back(Dim(size));
  return shape;
}

std::optional<Sizes> ToSizes(const Shape& shape) {
  Sizes sizes;
  for (const Dim& dim : shape) {
    if (!dim.IsConstant()) return std::nullopt;
    sizes.push_back(dim.offset);
  }
  return sizes;
}

namespace {

template <class List>
std::ostream& PrintList(std::ostream& out, const List& list) {
  out << '[';
  for (int i = 0; i < list.size(); ++i) out << (i ? ", " : "") << list[i];
  return out << ']';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Dim& dim) {
  if (dim.IsConstant()) return out << dim.offset;
  if (dim.factor != 1) out << dim.factor << '*';
  out << dim.symbol.name();
  if (dim.offset > 0) out << '+' << dim.offset;
  if (dim.offset < 0) out << dim.offset;
  return out;
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return PrintList(out, shape); }
std::ostream& operator<<(std::ostream& out, const Sizes& sizes) { return PrintList(out, sizes); }

}  // namespace fusible
