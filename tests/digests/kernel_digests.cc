// Prints a digest of what every operator gives, on the instruction set that FUSIBLE_ISA names, line
// by line: kind, operator, dtypes of its classes, what is not at its default, columns, SHA-256.
//   kernel_digests          the digests
//   kernel_digests --isas   the instruction sets of this CPU, best first
// Two machines that print the same lines agree to the bit. Kind `kernel`: an operator that promises
// its bits on one instruction set alone.
#include <algorithm>
#include <cfenv>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "core/cat.h"
#include "core/settings.h"
#include "digests/calls.h"
#include "digests/sizes.h"
#include "digests/values.h"
#include "kernels/simd/targets.h"
#include "ops/registry.h"
#include "ops/rows.h"

namespace fusible::digests {
namespace {

// Around the sizes of vectors, steps, groups of sums and whole rows.
constexpr int64_t kColumns[] = {1, 7, 33, 576, 4095};
// Of results that are stored past the caches, of 2 bytes an element or more.
constexpr int64_t kStreamed = kStreamBytes / (2 * kRowKinds);

std::string DTypesText(const ClassDTypes& classes) {
  std::string text;
  for (const auto& [word, dtype] : classes) text += Cat(text.empty() ? "" : ",", Name(dtype));
  return text.empty() ? "-" : text;
}

// What has been printed for fewer columns (of groups, which are whole) is not printed again.
void PrintColumns(const Op& op, int64_t columns, std::vector<std::string>& printed) {
  for (const Variant& variant : AllVariants(op, columns)) {
    const Binding sizes = ChooseSizes(op, CompleteAttrs(op, variant.attrs), columns);
    const std::string what = Cat(variant.text, " ", ColumnsOf(op, sizes));
    if (std::ranges::find(printed, what) != printed.end()) continue;
    printed.push_back(what);
    for (const ClassDTypes& classes : AllClassDTypes(op)) {
      std::printf("%s %s %s %s %s\n", op.kernel() ? "kernel" : "rows", op.name().c_str(),
                  DTypesText(classes).c_str(), what.c_str(),
                  DigestOf(op, classes, variant, sizes).c_str());
    }
  }
}

void PrintDigests() {
  kernels::ForceIsa(IsaSetting().value_or(""));
  std::fesetround(FE_UPWARD);  // calls have their own environment, whatever the caller's
  std::printf("instruction set %s\n", kernels::ChosenIsa().c_str());
  for (const Op& op : AllOps()) {
    if (op.view()) continue;
    std::vector<std::string> printed;
    for (int64_t columns : kColumns) PrintColumns(op, columns, printed);
    if (op.name() == "cast") PrintColumns(op, kAllCodes, printed);
    if (op.name() == "add") PrintColumns(op, kStreamed, printed);
  }
}

void PrintIsas() {
  for (const std::string& isa : kernels::PresentIsas()) std::printf("%s\n", isa.c_str());
}

}  // namespace
}  // namespace fusible::digests

int main(int count, char** arguments) {
  try {
    const bool isas = count == 2 && std::string_view(arguments[1]) == "--isas";
    isas ? fusible::digests::PrintIsas() : fusible::digests::PrintDigests();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
