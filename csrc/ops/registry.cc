#include "ops/registry.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "core/cat.h"
#include "core/error.h"

namespace fusible {

namespace library {
#define FUSIBLE_OP(name) Op name();
#define FUSIBLE_OP_FAMILY(name) std::vector<Op> name();
#include "op_families.inc"
#include "ops.inc"
#undef FUSIBLE_OP
#undef FUSIBLE_OP_FAMILY
}  // namespace library

namespace {

std::vector<Op> MakeOps() {
  std::vector<Op> ops;
#define FUSIBLE_OP(name) ops.push_back(library::name());
#define FUSIBLE_OP_FAMILY(name) \
  for (Op & op : library::name()) ops.push_back(std::move(op));
#include "op_families.inc"
#include "ops.inc"
#undef FUSIBLE_OP
#undef FUSIBLE_OP_FAMILY
  std::ranges::sort(ops, {}, &Op::name);
  return ops;
}

// Levenshtein distance, to name what was probably meant.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Op> AllOps() {
  static const std::vector<Op>& ops = *new std::vector<Op>(MakeOps());
  return ops;
}

const Op* FindOp(std::string_view name) {
  const auto ops = AllOps();
  const auto at = std::ranges::lower_bound(
      ops, name, {}, [](const Op& op) -> std::string_view { return op.name(); });
  return at != ops.end() && at->name() == name ? &*at : nullptr;
}

const Op& RequireOp(std::string_view name) {
  if (const Op* op = FindOp(name)) return *op;
  const std::string_view shown = name.substr(0, 64);
  const auto distance = [&](const Op& op) { return EditDistance(shown, op.name()); };
  const Op& nearest = *std::ranges::min_element(AllOps(), {}, distance);
  const bool near = distance(nearest) <= 1 + shown.size() / 3;
  throw ArgumentError(Cat("expected the name of an operator, got '", shown, "'",
                          near ? Cat("; the nearest is '", nearest.name(), "'") : ""));
}

}  // namespace fusible
