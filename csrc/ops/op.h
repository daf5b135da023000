// What an operator is: its signature, its documentation, and how it runs. See ops/library for
// examples.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/attrs.h"
#include "core/tensor.h"
#include "kernels/block.h"
#include "ops/signature.h"

namespace fusible {

// The sizes and attributes of a call, after all checks; the same for each of its blocks.
struct CallInfo {
  std::vector<std::pair<std::string, int64_t>> dims;  // each letter of the signature
  Attrs attrs;                                        // defaults filled in
  bool packed = false;  // the operand Packs names lies as kernels::PackWeight leaves it

  int64_t Dim(std::string_view letter) const {
    for (const auto& [name, size] : dims) {
      if (IsNamed(name, letter)) return size;
    }
    NoDim(letter);
  }

 private:
  [[noreturn]] static void NoDim(std::string_view letter);
};

// One block of rows of a row operator. in and out follow the order of the signature.
struct RowCall {
  std::span<const kernels::Block> in;
  std::span<const kernels::Block> out;
  int64_t rows = 0;
  const CallInfo* info = nullptr;

  int64_t Dim(std::string_view letter) const { return info->Dim(letter); }
  int64_t Int(std::string_view name) const { return info->attrs.Int(name); }
  double Float(std::string_view name) const { return info->attrs.Float(name); }
  const std::string& Str(std::string_view name) const { return info->attrs.Str(name); }
  DType Type(std::string_view name) const { return info->attrs.Type(name); }
  bool Has(std::string_view name) const { return info->attrs.Find(name) != nullptr; }
};

// A whole call of an operator that is not row by row (matmul, attention). Its kernel splits its own
// work over threads (core/threads.h).
class Op;
struct WholeCall {
  const Op* op = nullptr;
  std::span<const TensorView> in;
  std::span<const TensorView> out;
  const CallInfo* info = nullptr;

  int64_t Dim(std::string_view letter) const { return info->Dim(letter); }
  int64_t Int(std::string_view name) const { return info->attrs.Int(name); }
  double Float(std::string_view name) const { return info->attrs.Float(name); }
};

// A view operator's result: the same memory, seen through another shape and other strides.
// strides is nullopt where the given strides cannot be seen so without a copy.
struct ViewResult {
  Shape shape;
  std::optional<Sizes> strides;
  int64_t offset = 0;  // elements from the operand's first to the result's first
};

class Op {
 public:
  using RowsFn = void (*)(const RowCall&);
  using WholeFn = void (*)(const WholeCall&);
  // strides == nullptr: only the shape is asked for, and sizes may be symbolic.
  using ViewFn = ViewResult (*)(const Shape& shape, const Sizes* strides, const Attrs& attrs);

  explicit Op(std::string_view signature) : signature_(ParseSignature(signature)) {}

  Op&& Doc(std::string_view text) &&;     // one sentence or more; the first is the summary
  Op&& Source(std::string_view text) &&;  // paper, standard or model card of the formula
  Op&& Rows(RowsFn fn) &&;                // a kernel for blocks of rows
  Op&& Kernel(WholeFn fn) &&;             // a kernel for whole tensors
  Op&& View(ViewFn fn) &&;                // no kernel: other strides on the same memory
  Op&& Equals(std::string_view body) &&;  // the same in smaller operators, as graph text
  Op&& Commutes() &&;                     // the first two operands may be swapped
  Op&& Cost(int64_t cost) &&;  // times as long a byte of its traffic as add's: 1 if not said
  Op&& AsksAhead() &&;         // its kernel asks memory for later rows of its operands itself
  // A kernel for rows of it and of the operator `before` whose one result is its first operand. in:
  // the operands of `before`, then the others of this one; out: the result of `before`, which may
  // be stored past the caches, then those of this one.
  Op&& Joins(std::string_view before, RowsFn fn) &&;
  Op&& Packs(std::string_view param) &&;  // this weight is also taken packed
  Op&& Flops(std::string_view expr) &&;   // per row, in letters and attributes: "2*K*N"

  const std::string& name() const { return signature_.name; }
  const Signature& signature() const { return signature_; }
  const std::string& doc() const { return doc_; }
  const std::string& source() const { return source_; }
  const std::string& equals() const { return equals_; }
  const std::optional<DimExpr>& flops() const { return flops_; }
  int64_t cost() const { return cost_; }
  int packs() const { return packs_; }  // position of the operand, or -1
  RowsFn rows() const { return rows_; }
  WholeFn kernel() const { return kernel_; }
  ViewFn view() const { return view_; }
  bool commutes() const { return commutes_; }
  bool asks_ahead() const { return asks_ahead_; }
  // nullptr: there is no such kernel.
  RowsFn rows_with(const Op& before) const { return before.name() == joins_ ? joint_ : nullptr; }

 private:
  Signature signature_;
  std::string doc_, source_, equals_;
  std::optional<DimExpr> flops_;
  RowsFn rows_ = nullptr;
  WholeFn kernel_ = nullptr;
  ViewFn view_ = nullptr;
  std::string joins_;
  RowsFn joint_ = nullptr;
  bool commutes_ = false, asks_ahead_ = false;
  int64_t cost_ = 1;
  int packs_ = -1;
};

}  // namespace fusible
