// Shapes: plain sizes of arrays at hand, and dimensions that may hold a symbol.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"

namespace fusible {

inline constexpr int kMaxRank = 8;

// A list of at most kMaxRank values, held in place.
template <class T>
class DimList {
 public:
  DimList() = default;
  DimList(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }
  explicit DimList(std::span<const T> values) {
    for (const T& value : values) push_back(value);
  }

  void push_back(const T& value) {
    if (size_ == kMaxRank) throw ShapeError("expected at most 8 dimensions, got more");
    values_[size_++] = value;
  }
  void resize(int size) { size_ = size; }

  int size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](int i) { return values_[i]; }
  const T& operator[](int i) const { return values_[i]; }
  const T& back() const { return values_[size_ - 1]; }
  T& back() { return values_[size_ - 1]; }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + size_; }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + size_; }

  friend bool operator==(const DimList& a, const DimList& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  std::array<T, kMaxRank> values_{};
  int size_ = 0;
};

using Sizes = DimList<int64_t>;

// A name for a size that is known only when the graph is called. Interned: equal names, equal
// symbols.
class Symbol {
 public:
  Symbol() = default;
  explicit Symbol(std::string_view name);
  const std::string& name() const { return *name_; }
  explicit operator bool() const { return name_ != nullptr; }
  friend bool operator==(Symbol a, Symbol b) { return a.name_ == b.name_; }

 private:
  const std::string* name_ = nullptr;
};

// factor * symbol + offset; a constant has no symbol and factor 0.
struct Dim {
  int64_t factor = 0;
  Symbol symbol;
  int64_t offset = 0;

  Dim() = default;
  Dim(int64_t constant) : offset(constant) {}  // NOLINT: a number is a dimension
  Dim(int64_t factor, Symbol symbol, int64_t offset);

  bool IsConstant() const { return !symbol; }
  friend bool operator==(const Dim&, const Dim&) = default;
};

// Arithmetic that stays inside factor * symbol + offset and int64_t; nullopt where it does not.
std::optional<Dim> Add(const Dim& a, const Dim& b);
std::optional<Dim> Multiply(const Dim& a, const Dim& b);
// Exact: must divide factor and offset.
std::optional<Dim> Divide(const Dim& a, int64_t divisor);
std::optional<Dim> CeilDivide(const Dim& a, int64_t divisor);  // constants, or an exact division

using Shape = DimList<Dim>;

int64_t Product(const Sizes& sizes);
Sizes ContiguousStrides(const Sizes& sizes);
// Rows are neighbours in memory; elements of a row are as many apart as there are rows, rounded up
// to a multiple of `align`.
Sizes ColumnStrides(const Sizes& sizes, int64_t align);
// Elements from the first to the last in memory; strides are not negative.
int64_t Span(const Sizes& sizes, const Sizes& strides);
Shape ToShape(const Sizes& sizes);
std::optional<Sizes> ToSizes(const Shape& shape);  // nullopt where a symbol is left

// "T", "2*T", "S+1", "4096"; shapes as "[T, 4096]".
std::ostream& operator<<(std::ostream& out, const Dim& dim);
std::ostream& operator<<(std::ostream& out, const Shape& shape);
std::ostream& operator<<(std::ostream& out, const Sizes& sizes);

}  // namespace fusible
