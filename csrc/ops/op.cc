#include "ops/op.h"

#include <stdexcept>

#include "core/cat.h"

namespace fusible {

void CallInfo::NoDim(std::string_view letter) {
  throw std::logic_error(Cat("no dimension ", letter));
}

Op&& Op::Doc(std::string_view text) && {
  doc_ = text;
  return std::move(*this);
}

Op&& Op::Source(std::string_view text) && {
  source_ = text;
  return std::move(*this);
}

Op&& Op::Rows(RowsFn fn) && {
  rows_ = fn;
  return std::move(*this);
}

Op&& Op::Kernel(WholeFn fn) && {
  kernel_ = fn;
  return std::move(*this);
}

Op&& Op::View(ViewFn fn) && {
  view_ = fn;
  return std::move(*this);
}

Op&& Op::Equals(std::string_view body) && {
  equals_ = body;
  return std::move(*this);
}

Op&& Op::Commutes() && {
  commutes_ = true;
  return std::move(*this);
}

Op&& Op::Cost(int64_t cost) && {
  cost_ = cost;
  return std::move(*this);
}

Op&& Op::AsksAhead() && {
  asks_ahead_ = true;
  return std::move(*this);
}

Op&& Op::Joins(std::string_view before, RowsFn fn) && {
  joins_ = before;
  joint_ = fn;
  return std::move(*this);
}

Op&& Op::Packs(std::string_view param) && {
  packs_ = signature_.FindParam(param);
  if (packs_ < 0) throw std::logic_error(Cat(name(), ": no operand ", param));
  return std::move(*this);
}

Op&& Op::Flops(std::string_view expr) && {
  flops_ = ParseDimExpr(expr);
  return std::move(*this);
}

}  // namespace fusible
